import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.carbon.conftest import CASCADE_LAKE, MakeRoot
from udt.carbon import find_machine
from udt.carbon.families import cpu_family
from udt.carbon.figures import read_table
from udt.carbon.host import busy_cpu_s, process_age_s, read_host
from udt.carbon.machine import platform_kg
from udt.errors import SettingsError

EC2 = {"sys/class/dmi/id/sys_vendor": "Amazon EC2"}


class TestNamedInstance:
    def test_watts_go_through_the_table(self) -> None:
        machine = find_machine("r6g.xlarge", environ={})
        assert [machine.watts(u) for u in (0, 0.1, 0.5, 1)] == [9.4, 14.5, 21.7, 30.6]
        assert machine.watts(0.3) == pytest.approx((14.5 + 21.7) / 2)
        assert machine.platform_share == 4 / 64

    @given(st.sampled_from(sorted(read_table("ec2_instances"))), st.floats(0, 1), st.floats(0, 1))
    def test_more_load_never_takes_less(self, name: str, u: float, v: float) -> None:
        machine = find_machine(name, environ={})
        low, high = sorted((u, v))
        assert 0 < machine.watts(low) <= machine.watts(high) <= machine.watts_at[-1]
        assert 0 < machine.platform_share <= 1

    def test_from_the_environment(self) -> None:
        assert find_machine(environ={"UDT_INSTANCE": "m5.large"}).name == "m5.large"
        assert find_machine("C5.LARGE", environ={"UDT_INSTANCE": "m5.large"}).name == "c5.large"

    def test_a_large_memory_instance_is_part_of_its_host_by_memory(self) -> None:
        assert find_machine("u-6tb1.metal", environ={}).platform_share == 0.25

    @pytest.mark.parametrize("name", ["r6g.xlrge", "R6G.XLARG", "r6g.xlarge2"])
    def test_unknown(self, name: str) -> None:
        with pytest.raises(SettingsError, match=r"r6g\.xlarge"):
            find_machine(name, environ={})

    def test_is_not_here_unless_the_firmware_says_so(self, make_root: MakeRoot) -> None:
        root = make_root(EC2 | {"sys/class/dmi/id/product_name": "r6g.xlarge"})
        assert find_machine("r6g.xlarge", environ={}, root=root).is_here
        assert not find_machine("m5.large", environ={}, root=root).is_here


class TestFirmware:
    def test_names_the_instance(self, make_root: MakeRoot, server: dict[str, object]) -> None:
        root = make_root(server | EC2 | {"sys/class/dmi/id/product_name": "m5.24xlarge"})
        machine = find_machine(environ={}, root=root)
        assert (machine.name, machine.vcpus) == ("m5.24xlarge", 96)
        assert machine.is_here
        assert machine.on_aws

    def test_a_container_has_its_part(self, make_root: MakeRoot, server: dict[str, object]) -> None:
        files = server | EC2 | {"sys/class/dmi/id/product_name": "m5.24xlarge"}
        whole = find_machine("m5.24xlarge", environ={})
        root = make_root(files | {"sys/fs/cgroup/cpu.max": "600000 100000"})
        machine = find_machine(environ={}, root=root)
        assert machine.vcpus == 6
        assert machine.watts(0.7) == pytest.approx(whole.watts(0.7) / 16)
        assert machine.platform_share == pytest.approx(whole.platform_share / 16)
        assert "6 of its 96 vCPUs" in machine.evidence

    def test_a_type_newer_than_the_table(
        self, make_root: MakeRoot, server: dict[str, object]
    ) -> None:
        root = make_root(server | EC2 | {"sys/class/dmi/id/product_name": "m9z.24xlarge"})
        machine = find_machine(environ={}, root=root)
        assert machine.name == "Cascade Lake"
        assert machine.on_aws

    def test_of_xen(self, make_root: MakeRoot, server: dict[str, object]) -> None:
        root = make_root(server | {"sys/class/dmi/id/bios_version": "4.11.amazon"})
        assert find_machine(environ={}, root=root).on_aws


class TestFamily:
    def test_a_physical_server(self, make_root: MakeRoot, server: dict[str, object]) -> None:
        machine = find_machine(environ={}, root=make_root(server))
        assert machine.name == "Cascade Lake"
        assert machine.watts(0) == pytest.approx(96 * 0.69 + 192 * 0.392)
        assert machine.watts(1) == pytest.approx(96 * 4.06 + 192 * 0.392)
        assert machine.watts(0.3) == pytest.approx(96 * (0.69 + 0.3 * 3.37) + 192 * 0.392)
        assert machine.platform_kg == pytest.approx(1000 + 176 * 533 / 384 + 100 + 100)
        assert (machine.platform_share, machine.band) == (1, 2)
        assert "Cascade Lake, 96 of 96 vCPUs, 192 GB" in machine.evidence

    def test_a_virtual_machine_is_part_of_a_server(
        self, make_root: MakeRoot, server: dict[str, object]
    ) -> None:
        server["proc/cpuinfo"] = CASCADE_LAKE.format(flags=" hypervisor")
        server["sys/devices/system/cpu/online"] = "0-3"
        machine = find_machine(environ={}, root=make_root(server))
        assert machine.vcpus == 4
        assert machine.platform_share == pytest.approx(4 / 96)
        assert machine.platform_kg == pytest.approx(1610.8, rel=1e-3)

    def test_a_linux_that_tells_nothing(self, make_root: MakeRoot) -> None:
        machine = find_machine(environ={}, root=make_root({"proc/self/status": ""}))
        assert machine.vcpus == os.cpu_count()
        assert machine.band == 3
        assert machine.watts(1) > machine.watts(0) > 0
        assert "CPU unknown" in machine.evidence

    def test_a_system_without_proc(self, tmp_path: Path) -> None:
        machine = find_machine(environ={}, root=tmp_path)
        assert machine.platform_share == 1
        assert machine.band == 3

    def test_this_machine(self) -> None:
        machine = find_machine(environ={})
        assert machine.is_here
        assert 0 < machine.watts(0) < machine.watts(1)

    @pytest.mark.parametrize(
        "garbage", ["", "::::", "cpu family: x\nmodel: \x00\nsiblings: many", "processor"]
    )
    def test_odd_files(self, make_root: MakeRoot, garbage: str) -> None:
        names = (
            "proc/cpuinfo",
            "proc/meminfo",
            "proc/stat",
            "proc/self/stat",
            "proc/self/status",
            "proc/self/cgroup",
            "sys/devices/system/cpu/online",
            "sys/fs/cgroup/cpu.max",
            "sys/fs/cgroup/memory.max",
        )
        root = make_root(dict.fromkeys(names, garbage))
        assert find_machine(environ={}, root=root).watts(1) > 0
        assert process_age_s(root) > 0
        assert not busy_cpu_s(root) >= 0


class TestCpuFamily:
    @pytest.mark.parametrize(
        ("vendor", "family", "model", "stepping", "row", "is_own"),
        [
            ("GenuineIntel", 6, 85, 4, "Sky Lake", True),
            ("GenuineIntel", 6, 85, 7, "Cascade Lake", True),
            ("GenuineIntel", 6, 106, 6, "Ice Lake", True),
            ("GenuineIntel", 6, 143, 8, "Sapphire Rapids", True),
            ("GenuineIntel", 6, 207, 2, "Emerald Rapids", True),
            ("GenuineIntel", 6, 173, 1, "Granite Rapids", True),
            ("GenuineIntel", 6, 142, 10, "Sky Lake", False),
            ("GenuineIntel", 6, 63, 2, "default", False),
            ("AuthenticAMD", 23, 1, 2, "EPYC 1st Gen", True),
            ("AuthenticAMD", 23, 49, 0, "EPYC 2nd Gen", True),
            ("AuthenticAMD", 23, 113, 0, "EPYC 2nd Gen", False),
            ("AuthenticAMD", 25, 1, 1, "EPYC 3rd Gen", True),
            ("AuthenticAMD", 25, 17, 1, "EPYC 4th Gen", True),
            ("AuthenticAMD", 25, 33, 0, "EPYC 3rd Gen", False),
            ("AuthenticAMD", 25, 97, 2, "EPYC 4th Gen", False),
            ("AuthenticAMD", 25, 160, 2, "EPYC 4th Gen", True),
            ("AuthenticAMD", 26, 2, 1, "EPYC 4th Gen", False),
            ("AuthenticAMD", 21, 2, 0, "default", False),
        ],
    )
    def test_by_numbers(
        self, vendor: str, family: int, model: int, stepping: int, row: str, is_own: bool
    ) -> None:
        cpu = {
            "vendor_id": vendor,
            "cpu family": str(family),
            "model": str(model),
            "stepping": str(stepping),
        }
        assert cpu_family(cpu) == (row, is_own)

    @pytest.mark.parametrize("part", ["0xd0c", "0xd40", "0xd4f"])
    def test_graviton(self, part: str) -> None:
        cpu = {"CPU implementer": "0x41", "CPU part": part}
        assert cpu_family(cpu) == ("Graviton 2/3/4", True)

    @pytest.mark.parametrize(
        ("name", "row"),
        [
            ("AMD EPYC 7571", "EPYC 1st Gen"),
            ("AMD EPYC 7R32", "EPYC 2nd Gen"),
            ("AMD EPYC 7B12", "EPYC 2nd Gen"),
            ("AMD EPYC-Rome Processor", "EPYC 2nd Gen"),
            ("AMD EPYC 7R13 Processor", "EPYC 3rd Gen"),
            ("AMD EPYC 9R14", "EPYC 4th Gen"),
            ("Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz", "Sky Lake"),
            ("Intel(R) Xeon(R) Gold 6254 CPU @ 3.10GHz", "Cascade Lake"),
            ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "Ice Lake"),
            ("Intel Xeon Processor (Icelake)", "Ice Lake"),
            ("Intel(R) Xeon(R) Platinum 8488C", "Sapphire Rapids"),
            ("Intel(R) Xeon(R) Platinum 8592+", "Emerald Rapids"),
            ("Intel(R) Xeon(R) 6972P", "Granite Rapids"),
        ],
    )
    def test_by_name(self, name: str, row: str) -> None:
        assert cpu_family({"model name": name}) == (row, True)

    @pytest.mark.parametrize("name", ["Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", "Core i7", ""])
    def test_unknown_name(self, name: str) -> None:
        assert cpu_family({"model name": name}) == ("default", False)

    def test_instructions_tell_where_numbers_are_masked(self) -> None:
        masked = {"vendor_id": "GenuineIntel", "cpu family": "6", "model": "167"}
        assert cpu_family(masked).row == "Ice Lake"
        assert cpu_family(masked | {"flags": "fpu amx_tile"}).row == "Sapphire Rapids"
        assert cpu_family(masked | {"flags": "amx_tile amx_fp16"}).row == "Granite Rapids"

    def test_every_row_exists(self) -> None:
        rows = read_table("cpu_families")
        assert {"default", "memory", "Graviton 2/3/4", "EPYC 4th Gen"} <= rows.keys()


class TestLimits:
    @pytest.mark.parametrize(
        ("files", "vcpus"),
        [
            ({}, 96),
            ({"sys/fs/cgroup/cpu.max": "max 100000"}, 96),
            ({"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
            ({"sys/fs/cgroup/user.slice/cpu.max": "200000 100000"}, 2),
            (
                {
                    "sys/fs/cgroup/cpu.max": "100000 100000",
                    "sys/fs/cgroup/user.slice/cpu.max": "max 100000",
                },
                1,
            ),
            ({"proc/self/status": "Cpus_allowed_list:\t0-1,48-49"}, 4),
            (
                {
                    "proc/self/cgroup": "4:memory:/docker/1\n1:cpu,cpuacct:/docker/1\n0::/",
                    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
                    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                },
                3,
            ),
            (
                {
                    "proc/self/cgroup": "1:cpu:/",
                    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                },
                96,
            ),
        ],
    )
    def test_vcpus(
        self,
        make_root: MakeRoot,
        server: dict[str, object],
        files: dict[str, object],
        vcpus: float,
    ) -> None:
        host = read_host(make_root(server | files))
        assert (host.vcpus, host.usable_vcpus) == (96, vcpus)
        assert host.usable_memory_gb == pytest.approx(192 * vcpus / 96)
        assert host.sockets == 2

    @pytest.mark.parametrize(
        "files",
        [
            {"sys/fs/cgroup/memory.max": 8 * 2**30},
            {
                "proc/self/cgroup": "4:memory:/job",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": 8 * 2**30,
            },
        ],
    )
    def test_memory(
        self, make_root: MakeRoot, server: dict[str, object], files: dict[str, object]
    ) -> None:
        assert read_host(make_root(server | files)).usable_memory_gb == 8

    def test_a_limit_above_the_memory_is_none(
        self, make_root: MakeRoot, server: dict[str, object]
    ) -> None:
        server["sys/fs/cgroup/memory.max"] = 500 * 2**30
        server["sys/fs/cgroup/cpu.max"] = "4800000 100000"
        assert read_host(make_root(server)).usable_memory_gb == pytest.approx(96)


def test_platform_kg() -> None:
    assert platform_kg(16, sockets=1, ssds=0) == 1000
    assert platform_kg(400, sockets=2, ssds=3) == pytest.approx(1000 + 533 + 100 + 300)
