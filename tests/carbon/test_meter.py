import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.carbon.conftest import MakeRoot
from udt.carbon import Meter, estimate, find_machine, find_place
from udt.carbon.rapl import Rapl

WORLD = find_place(environ={})
R6G = find_machine("r6g.xlarge", environ={})
POWERCAP = "sys/class/powercap"
UJ = 1_000_000


class Clock:
    """Wall and CPU seconds that move when told to."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 1000.0

    def __call__(self) -> tuple[float, float]:
        return self.wall_s, self.cpu_s

    def pass_(self, wall_s: float, cpu_s: float = 0.0) -> None:
        self.wall_s += wall_s
        self.cpu_s += cpu_s


def zone(name: str, label: str, joules: float, range_j: int = 262_144) -> dict[str, object]:
    return {
        f"{POWERCAP}/{name}/name": label,
        f"{POWERCAP}/{name}/energy_uj": round(joules * UJ),
        f"{POWERCAP}/{name}/max_energy_range_uj": range_j * UJ,
    }


def two_sockets(package0: float, package1: float, dram: float) -> dict[str, object]:
    """Counters in J: two packages, memory, and what must not be counted on top."""
    return (
        {f"{POWERCAP}/intel-rapl/enabled": 1}
        | zone("intel-rapl:0", "package-0", package0)
        | zone("intel-rapl:0:0", "core", package0 * 0.7)
        | zone("intel-rapl:0:1", "dram", dram, range_j=65_712)
        | zone("intel-rapl:1", "package-1", package1)
        | zone("intel-rapl:1:0", "dram", dram, range_j=65_712)
        | zone("intel-rapl:2", "psys", 3 * (package0 + package1))
        | zone("intel-rapl-mmio:0", "package-0", package0)
    )


class TestPhases:
    def test_are_charged_apart(self) -> None:
        clock = Clock()
        meter = Meter(R6G, WORLD, clock=clock)
        with meter.phase("search"):
            clock.pass_(10, 40)
            with meter.phase("compile"):
                clock.pass_(2, 2)
            clock.pass_(5)
        clock.pass_(1)
        with meter.phase("search"):
            clock.pass_(3)
        meter.stop()
        clock.pass_(100, 100)
        assert meter.time_dict() == {
            "wall_s": 21,
            "other_s": 1,
            "search_s": 18,
            "compile_s": 2,
            "cpu_s": 42,
        }
        assert meter.so_far() is meter.stop()

    def test_are_charged_when_they_fail(self) -> None:
        clock = Clock()
        meter = Meter(R6G, WORLD, clock=clock)

        def fail() -> None:
            with meter.phase("fit"):
                clock.pass_(3)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        clock.pass_(1)
        assert meter.time_dict()["fit_s"] == 3

    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.floats(0.001, 1e3), st.floats(0, 4)), max_size=8
        )
    )
    def test_add_up(self, steps: list[tuple[str, float, float]]) -> None:
        clock = Clock()
        meter = Meter(R6G, WORLD, clock=clock)
        for name, wall_s, cores in steps:
            with meter.phase(name):
                clock.pass_(wall_s, wall_s * cores)
        whole, parts = meter.stop(), meter.phases().values()
        assert sum(part.kwh for part in parts) == pytest.approx(whole.kwh)
        assert sum(part.total_g for part in parts) == pytest.approx(whole.total_g)
        assert whole.hours * 3600 == pytest.approx(sum(wall_s for _, wall_s, _ in steps))

    def test_whole_is_the_formula(self) -> None:
        clock = Clock()
        meter = Meter(R6G, WORLD, clock=clock)
        with meter.phase("fit"):
            clock.pass_(3600, 7200)
        assert meter.stop() == estimate(R6G, WORLD, hours=1, cpu_s=7200)

    def test_since_process_start(self) -> None:
        meter = Meter(R6G, WORLD, since_process_start=True)
        times = meter.time_dict()
        assert 0.01 < times["start_s"] < 3600
        assert times["cpu_s"] >= 0.01

    def test_children_are_counted(self) -> None:
        meter = Meter(R6G, WORLD)
        busy = "import time\nwhile time.process_time() < 0.3: pass"
        subprocess.run([sys.executable, "-c", busy], check=True)
        assert meter.time_dict()["cpu_s"] >= 0.28


class TestRapl:
    """Counters on a made-up tree."""

    def meter(self, root: Path, clock: Clock) -> Meter:
        machine = find_machine(environ={}, root=root)
        return Meter(machine, WORLD, root=root, clock=clock)

    def test_packages_and_memory_once(self, make_root: MakeRoot, server: dict[str, object]) -> None:
        clock = Clock()
        meter = self.meter(make_root(server | two_sockets(100, 200, 50)), clock)
        clock.pass_(10, 20)
        make_root(two_sockets(1100, 700, 90) | {"proc/stat": "cpu 1000 0 1000 0 0 0 0 0"})
        run = meter.stop()
        assert run.kwh == pytest.approx((1000 + 500 + 40 + 40) / 3.6e6)
        assert run.band == 1.25
        assert "2 package, 2 memory" in run.energy_source
        assert run.carbon_dict()["high_g"] == pytest.approx(run.total_g * 1.25)

    def test_share_of_cpu_time(self, make_root: MakeRoot, server: dict[str, object]) -> None:
        clock = Clock()
        meter = self.meter(make_root(server | two_sockets(0, 0, 0)), clock)
        clock.pass_(10, 20)
        busy_80_s = "cpu 4000 1000 2000 9999 9999 500 500 7777 0 0"
        make_root(two_sockets(400, 0, 0) | {"proc/stat": busy_80_s})
        run = meter.stop()
        assert run.kwh == pytest.approx(400 * 20 / 80 / 3.6e6)
        assert "25%" in run.energy_source

    def test_wraps(self, make_root: MakeRoot) -> None:
        root = make_root(two_sockets(262_000, 262_000, 65_700))
        counters = Rapl.open(root, 0.0)
        assert counters is not None
        make_root(two_sockets(100, 262_100, 10))
        assert counters.joules(10.0) == pytest.approx(244 + 100 + 2 * 22)
        make_root(two_sockets(200, 262_100, 10))
        assert counters.joules(20.0) == pytest.approx(244 + 100 + 2 * 22 + 100)

    def test_a_late_reading_is_not_trusted(
        self, make_root: MakeRoot, server: dict[str, object]
    ) -> None:
        clock = Clock()
        meter = self.meter(make_root(server | two_sockets(0, 0, 0)), clock)
        clock.pass_(3600, 3600)
        make_root(two_sockets(10, 10, 10))
        late = meter.so_far()
        assert late.kwh == pytest.approx(estimate(meter.machine, WORLD, hours=1, cpu_s=3600).kwh)
        assert "given up" in late.energy_source
        assert late.band == 2

    def test_counters_that_vanish(self, make_root: MakeRoot, server: dict[str, object]) -> None:
        clock = Clock()
        root = make_root(server | two_sockets(0, 0, 0))
        meter = self.meter(root, clock)
        clock.pass_(10, 10)
        (root / POWERCAP / "intel-rapl:1" / "energy_uj").unlink()
        assert "given up" in meter.stop().energy_source

    @pytest.mark.parametrize("broken", ["", "unreadable", "-"])
    def test_unreadable(self, make_root: MakeRoot, broken: str) -> None:
        root = make_root(two_sockets(0, 0, 0) | {f"{POWERCAP}/intel-rapl:1/energy_uj": broken})
        assert Rapl.open(root, 0.0) is None

    def test_none(self, tmp_path: Path) -> None:
        assert Rapl.open(tmp_path, 0.0) is None

    def test_nested_folders(self, make_root: MakeRoot) -> None:
        files = zone("intel-rapl:0", "package-0", 0) | zone(
            "intel-rapl:0/intel-rapl:0:0", "dram", 0
        )
        counters = Rapl.open(make_root(files), 0.0)
        assert counters is not None
        assert (counters.n_packages, counters.n_dram) == (1, 1)

    def test_cores_are_part_of_their_package(self, make_root: MakeRoot) -> None:
        files = zone("intel-rapl:0", "package-0", 0) | zone("intel-rapl:0:0", "core", 0)
        counters = Rapl.open(make_root(files), 0.0)
        assert counters is not None
        make_root(zone("intel-rapl:0", "package-0", 9) | zone("intel-rapl:0:0", "core", 7))
        assert counters.joules(1.0) == pytest.approx(9)

    def test_psys_where_there_is_no_package(self, make_root: MakeRoot) -> None:
        counters = Rapl.open(make_root(zone("intel-rapl:0", "psys", 5)), 0.0)
        assert counters is not None
        make_root(zone("intel-rapl:0", "psys", 12))
        assert counters.joules(1.0) == pytest.approx(7)

    def test_not_for_a_machine_elsewhere(self, make_root: MakeRoot) -> None:
        clock = Clock()
        meter = Meter(R6G, WORLD, root=make_root(two_sockets(0, 0, 0)), clock=clock)
        clock.pass_(10, 10)
        make_root(two_sockets(9999, 9999, 9999))
        assert "r6g.xlarge" in meter.stop().energy_source

    def test_a_moment_is_estimated(self, make_root: MakeRoot, server: dict[str, object]) -> None:
        clock = Clock()
        meter = self.meter(make_root(server | two_sockets(0, 0, 0)), clock)
        clock.pass_(0.01, 0.01)
        assert meter.so_far().energy_source.startswith("estimate")


def test_three_kinds_of_evidence_agree(make_root: MakeRoot, server: dict[str, object]) -> None:
    """Two threads busy for 60 s on an idle m5.24xlarge: counters, instance, CPU family."""
    clock = Clock()
    root = make_root(server | two_sockets(0, 0, 0))
    here = find_machine(environ={}, root=root)
    meter = Meter(here, WORLD, root=root, clock=clock)
    clock.pass_(60, 120)
    # Two packages at 45 W with one core pair busy, memory at 30 W.
    make_root(two_sockets(60 * 50, 60 * 40, 60 * 15) | {"proc/stat": "cpu 12000 0 0 0 0 0 0 0"})
    counted = meter.stop()
    assert counted.energy_source.startswith("measured")
    family = estimate(here, WORLD, hours=60 / 3600, cpu_s=120)
    instance = estimate(find_machine("m5.24xlarge", environ={}), WORLD, hours=60 / 3600, cpu_s=120)
    for one in (family, instance):
        assert one.low_g <= counted.total_g <= one.high_g
    assert family.low_g <= instance.total_g <= family.high_g


@pytest.mark.slow
def test_overhead(tmp_path: Path) -> None:
    """Importing, finding the machine and the place, and each account cost next to nothing.

    A few milliseconds in truth; the limits leave room for a busy machine.
    """
    code = (
        "import time, pathlib, udt\n"
        "began = time.perf_counter()\n"
        "from udt.carbon import Meter, find_machine, find_place\n"
        "imported = time.perf_counter()\n"
        "Meter(find_machine(), find_place())\n"
        "print(imported - began, time.perf_counter() - imported)"
    )
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    runs = []
    for _ in range(6):  # the first one compiles
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | compiled,
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(tuple(map(float, run.stdout.split())))
    assert min(import_s for import_s, _ in runs) < 0.015
    assert min(start_s for _, start_s in runs) < 0.010
    meter = Meter(find_machine(environ={}), WORLD)
    began = time.perf_counter()
    for _ in range(100):
        meter.so_far()
    assert time.perf_counter() - began < 0.1
