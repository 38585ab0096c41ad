"""What a run may take, what it will take, and what is left.

A run under a limit has to know beforehand what its next step costs. `encode_seconds` and
`train_seconds` say it for the machine that they were measured on; a `Budget` learns from each step
how much slower or faster this one is. A seeded run must not depend on measured seconds: its budget
counts what steps should take, with caution, and the clock is looked at only to end in time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from udt.errors import SettingsError

_WORD_NS, _CHAR_NS = 18.0, 50.0  # of encoding a byte of text, for each kind of n-gram, one thread
_ROW_NS = 4_000.0  # of encoding and passing on a row
_VALUE_NS, _COLUMN_NS = 20.0, 0.35  # of training on a feature; on each of its weights
_START_S = 0.15  # of anything at all
_END_S = 1.0  # of judging, writing the model and the report
_CAUTION = 1.5  # with which a run that may not look at the clock counts
_LEAST_LEFT_S = 0.5
_KNOWN_SHARE = 0.02  # of the time: what a killed run has left took none
_VALUE_BYTES = 28  # of a row's n-grams while they are encoded and selected, the most at a time
_WEIGHT_BYTES = 4
_BYTES_PER_WORD = 6


class Limits(NamedTuple):
    """What the user allows; None = as much as it takes.

    Attributes
    ----------
    seconds : float or None
        Of the whole process.
    memory_bytes, model_bytes : int or None
        Most memory at a time; size of the model file.
    co2_g : float or None
        CO2e of the whole run, grams.
    """

    seconds: float | None = None
    memory_bytes: int | None = None
    model_bytes: int | None = None
    co2_g: float | None = None


def encode_seconds(n_rows: int, n_bytes: float, kinds: Sequence[str], n_threads: int) -> float:
    """Return what encoding rows with so many bytes of text should take.

    Parameters
    ----------
    n_rows : int
        Rows.
    n_bytes : float
        Their text, UTF-8 bytes in all.
    kinds : sequence of str
        Kinds of n-grams, such as ``"word 2"``.
    n_threads : int
        Threads.
    """
    ns = n_bytes * sum(_CHAR_NS if k.startswith("char") else _WORD_NS for k in kinds)
    return (ns + n_rows * _ROW_NS) / n_threads / 1e9


def train_seconds(n_values: float, n_columns: int, n_epochs: int, n_threads: int) -> float:
    """Return what training should take.

    Parameters
    ----------
    n_values : float
        Features of all rows together.
    n_columns : int
        Weights of a feature: classes and hidden neurons.
    n_epochs, n_threads : int
        Passes over the rows; threads.
    """
    return n_values * n_epochs * (_VALUE_NS + _COLUMN_NS * n_columns) / n_threads / 1e9


def values_per_row(bytes_per_row: float, kinds: Sequence[str]) -> float:
    """Return how many n-grams a text of so many bytes has, about."""
    n_words = bytes_per_row / _BYTES_PER_WORD
    return sum(bytes_per_row if k.startswith("char") else n_words for k in kinds)


def row_bytes(n_values: float) -> float:
    """Return the memory that a row of so many features takes while it is encoded, about."""
    return n_values * _VALUE_BYTES


def network_bytes(n_features: int, n_columns: int) -> int:
    """Return the memory of a network while it is trained, with a copy of its best state."""
    return 2 * _WEIGHT_BYTES * n_features * n_columns


class Budget:
    """What is left of a run's time; CO2e is time at full power.

    Parameters
    ----------
    limits : Limits
        What the user allows.
    spent_s : float
        Wall time that the run has already taken.
    g_per_s : float
        CO2e of a second with all threads busy, grams.
    is_seeded : bool
        Whether what is decided must not depend on measured seconds.

    Examples
    --------
    >>> budget = Budget(Limits(seconds=60.0), is_seeded=True)
    >>> with budget.step("train", 20.0):
    ...     pass
    >>> budget.allows("train", 15.0), budget.allows("train", 25.0)
    (True, False)
    """

    def __init__(
        self,
        limits: Limits = Limits(),  # noqa: B008 (it is immutable)
        *,
        spent_s: float = 0.0,
        g_per_s: float = 0.0,
        is_seeded: bool = False,
    ) -> None:
        self._started = time.perf_counter() - spent_s
        self.limits, self._is_seeded = limits, is_seeded
        by_co2 = math.inf if limits.co2_g is None else limits.co2_g / max(g_per_s, 1e-12)
        by_clock = math.inf if limits.seconds is None else limits.seconds
        self.limit_s = min(by_clock, by_co2)
        self.cause = "time limit" if by_clock <= by_co2 else "CO2e limit"
        self._g_per_s = g_per_s
        self._counted_s = 0.0
        self._pace: dict[str, float] = {}
        self._reserved_s = _END_S

    @property
    def is_limited(self) -> bool:
        """Whether time is."""
        return self.limit_s < math.inf

    def reserve(self, seconds: float) -> None:
        """Keep so many seconds, as `encode_seconds` counts them, for what comes after training."""
        self._reserved_s = _END_S + seconds

    @contextmanager
    def step(self, what: str, expected_s: float) -> Iterator[None]:
        """Do something that should take so long; learn how long it takes here."""
        started = time.perf_counter()
        yield
        taken_s = time.perf_counter() - started
        if self._is_seeded:
            self._counted_s += expected_s * _CAUTION
        elif taken_s > _KNOWN_SHARE * expected_s:
            self._pace[what] = taken_s / (expected_s + _START_S)

    def pace(self, what: str) -> float:
        """Return how many times longer than expected a step takes here."""
        if self._is_seeded:
            return _CAUTION
        known = self._pace
        return known.get(what) or max(known.values(), default=_CAUTION)

    def left_s(self) -> float:
        """Return the seconds left for encoding and training."""
        spent = self._counted_s if self._is_seeded else time.perf_counter() - self._started
        return self.limit_s - spent - self._reserved_s * self.pace("encode")

    def allows(self, what: str, expected_s: float, share: float = 1.0) -> bool:
        """Whether a step that should take so long ends within a share of what is left."""
        if not self.is_limited:
            return True
        return (expected_s + _START_S) * self.pace(what) <= share * self.left_s()

    def is_over(self) -> bool:
        """Whether it is time to come to an end, by the clock."""
        if not self.is_limited:
            return False
        spent = time.perf_counter() - self._started
        return spent + self._reserved_s * self.pace("encode") >= self.limit_s

    def check(self, least_s: float) -> None:
        """Refuse a limit within which nothing can be learned.

        Parameters
        ----------
        least_s : float
            What encoding and training on the fewest rows should take.

        Raises
        ------
        SettingsError
            There is not that much left.
        """
        needed = max(_LEAST_LEFT_S, least_s)
        if not self.is_limited or self.left_s() >= needed:
            return
        least = math.ceil(self.limit_s - self.left_s() + 2 * needed)
        if self.cause == "time limit":
            told, least_told = f"time limit of {self.limit_s:g} s", f"{least} s"
        else:
            told = f"CO2e limit of {self.limits.co2_g:g} g"
            least_told = f"{least * self._g_per_s:.2g} g"
        raise SettingsError(
            f"The {told} is too small for this table. Expected at least {least_told}: reading it "
            "and learning from its first rows takes that. Raise the limit, or leave it out."
        )
