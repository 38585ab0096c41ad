from collections.abc import Callable
from pathlib import Path

import pytest

MakeRoot = Callable[[dict[str, object]], Path]

CASCADE_LAKE = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
stepping\t: 7
siblings\t: 48
flags\t\t: fpu avx512f{flags}

processor\t: 1
vendor_id\t: Other
"""


@pytest.fixture
def make_root(tmp_path: Path) -> MakeRoot:
    """Write files below a folder that stands for ``/``, and return it."""

    def make(files: dict[str, object]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n", encoding="utf-8")
        return tmp_path

    return make


@pytest.fixture
def server() -> dict[str, object]:
    """A physical server: two sockets, 96 logical CPUs, 192 GiB, nothing limited."""
    return {
        "proc/cpuinfo": CASCADE_LAKE.format(flags=""),
        "proc/meminfo": f"MemTotal: {192 * 2**20} kB",
        "proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-95",
        "proc/self/cgroup": "0::/user.slice",
        "proc/stat": "cpu 0 0 0 0 0 0 0 0 0 0",
        "sys/devices/system/cpu/online": "0-95",
    }
