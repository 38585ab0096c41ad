"""The account of a run while it runs: time, energy and CO2e, phase by phase."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from udt.carbon import figures
from udt.carbon.footprint import Footprint, estimate, split, with_energy
from udt.carbon.grid import Place
from udt.carbon.host import busy_cpu_s, process_age_s
from udt.carbon.machine import Machine
from udt.carbon.rapl import Rapl

START, OTHER = "start", "other"
_S_PER_H = 3600.0
_J_PER_KWH = 3.6e6
# Counters move every millisecond and /proc/stat every hundredth of a second: a shorter span is
# better estimated.
_MIN_RAPL_S = 0.5


def _read_clock() -> tuple[float, float]:
    """Return wall and CPU seconds; those of ended children included."""
    times = os.times()
    cpu_s = time.process_time() + times.children_user + times.children_system
    return time.perf_counter(), cpu_s


class Meter:
    """Measures from its making on; charges each phase apart.

    Parameters
    ----------
    machine, place : Machine, Place
        What the run is charged as, and where.
    since_process_start : bool
        Charge the time since the process began too, as phase ``"start"``.
    root : Path
        The folder that has ``proc`` and ``sys``.
    clock : callable
        Returns wall and CPU seconds, each from any origin.

    Notes
    -----
    Time outside of any phase is charged to ``"other"``, so that the phases always add up to the
    whole. Phases may be nested: the inner one's time is not charged to the outer one. Used from
    one thread; what others compute is in the CPU time all the same.

    The machine's energy counters are used where they can be read and the machine is the one we
    run on; :meth:`so_far` or a phase's end then has to come every two minutes or so (see
    :class:`udt.carbon.rapl.Rapl`), or else the energy is estimated.

    Examples
    --------
    >>> from udt.carbon import find_machine, find_place
    >>> meter = Meter(find_machine(), find_place())
    >>> with meter.phase("read"):
    ...     rows = list(range(1000))
    >>> meter.stop().total_g >= 0
    True
    """

    def __init__(
        self,
        machine: Machine,
        place: Place,
        *,
        since_process_start: bool = False,
        root: Path = Path("/"),
        clock: Callable[[], tuple[float, float]] = _read_clock,
    ) -> None:
        self.machine, self.place = machine, place
        self._root, self._clock = root, clock
        self._last = clock()
        self._spent: dict[str, tuple[float, float]] = {}
        if since_process_start:
            self._spent[START] = (process_age_s(root), self._last[1])
        self._stack = [OTHER]
        self._final: Footprint | None = None
        self._opened, self._joules = self._last, 0.0
        self._busy_at_open_s = busy_cpu_s(root)
        self._rapl = Rapl.open(root, self._last[0]) if machine.is_here else None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge what happens inside to `name`, on top of what it has been charged before."""
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def so_far(self) -> Footprint:
        """Return the footprint up to now; after :meth:`stop`, up to then."""
        if self._final is not None:
            return self._final
        self._charge()
        wall_s, cpu_s = self._sums()
        modelled = estimate(self.machine, self.place, hours=wall_s / _S_PER_H, cpu_s=cpu_s)
        span_s = self._last[0] - self._opened[0]
        if self._rapl is None or span_s < _MIN_RAPL_S:
            return modelled
        if math.isnan(self._joules):
            note = "; energy counters given up (unreadable, or not read for too long)"
            return modelled._replace(energy_source=modelled.energy_source + note)
        ours = self._share_of_busy()
        # What went before the counters were opened is charged at the same power.
        kwh = self._joules * ours * wall_s / span_s / _J_PER_KWH
        source = (
            f"measured: RAPL counters ({self._rapl.n_packages} package,"
            f" {self._rapl.n_dram} memory), {ours:.0%} of the machine's CPU time is ours"
        )
        return with_energy(modelled, kwh, figures.RAPL_BAND.value, source)

    def stop(self) -> Footprint:
        """End the account and return the footprint of the whole."""
        self._final = self.so_far()
        return self._final

    def phases(self) -> dict[str, Footprint]:
        """Return the footprint of each phase; they add up to :meth:`so_far`'s."""
        whole = self.so_far()
        parts = [
            estimate(self.machine, self.place, hours=wall_s / _S_PER_H, cpu_s=cpu_s)
            for wall_s, cpu_s in self._spent.values()
        ]
        return dict(zip(self._spent, split(whole, parts), strict=True))

    def time_dict(self) -> dict[str, float]:
        """Return the report's ``time`` block: seconds in all, of each phase, and of the CPUs."""
        self._charge()
        wall_s, cpu_s = self._sums()
        by_phase = {f"{name}_s": wall for name, (wall, _) in self._spent.items()}
        return {"wall_s": wall_s, **by_phase, "cpu_s": cpu_s}

    def _charge(self) -> None:
        """Charge the time since the last call to the phase that we are in."""
        if self._final is not None:
            return
        now = self._clock()
        wall_s, cpu_s = self._spent.get(self._stack[-1], (0.0, 0.0))
        self._spent[self._stack[-1]] = (
            wall_s + now[0] - self._last[0],
            cpu_s + now[1] - self._last[1],
        )
        self._last = now
        if self._rapl is not None:
            joules = self._rapl.joules(now[0])
            self._joules = math.nan if joules is None else joules

    def _sums(self) -> tuple[float, float]:
        """Return wall and CPU seconds of all phases together."""
        return (
            sum(wall_s for wall_s, _ in self._spent.values()),
            sum(cpu_s for _, cpu_s in self._spent.values()),
        )

    def _share_of_busy(self) -> float:
        """Return our part of the CPU time that the machine has used; all of it where unknown."""
        busy_s = busy_cpu_s(self._root) - self._busy_at_open_s
        return min(1.0, (self._last[1] - self._opened[1]) / busy_s) if busy_s > 0 else 1.0
