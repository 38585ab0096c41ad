"""The command as a whole: quick to answer, its help, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

import udt
from tests.cli.conftest import Run

COMMANDS = (
    "train", "predict", "evaluate", "inspect", "report", "compare", "bench", "card", "carbon",
    "info",
)  # fmt: skip
HEAVY = ("numpy", "pyarrow", "numba", "sklearn", "datasets", "rich")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, udt.cli.app; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_help_takes_less_than_a_third_of_a_second() -> None:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "udt", "--help"], capture_output=True, check=True)
        best = min(best, time.perf_counter() - start)
    assert best < 0.3


def test_python_dash_m_runs_the_command() -> None:
    command = [sys.executable, "-m", "udt", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"udt {udt.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: udt {command}" in result.stdout


def test_without_a_command_it_helps(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)
    assert "..." not in result.stdout.split("Commands:")[1], "a summary is cut off"


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("trian",), "'trian'"),
        (("--frobnicate",), "--frobnicate"),
        (("train",), "FILE"),
        (("train", "reviews.csv"), "--target"),
        (("train", "reviews.csv", "--target", "y", "--tset", "x"), "--tset"),
        (("train", "reviews.csv", "--target", "y", "--bad-rows", "keep"), "'keep'"),
        (("train", "reviews.csv", "--target", "y", "--width", "wide"), "'wide'"),
    ],
)
def test_wrong_usage_is_one_line_that_points_to_the_help(
    run: Run, args: tuple[str, ...], part: str
) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert part in line
    assert "--help" in line


def test_info_names_versions_and_evidence(run: Run) -> None:
    result = run("info")
    assert result.exit_code == 0
    for part in (udt.__version__, "numba", "threads", "cache", "g/kWh"):
        assert part in result.stdout
    found = json.loads(run("info", "--json").stdout)
    assert found["version"] == udt.__version__
    assert found["threads"] >= 1
    assert found["energy"]["source"]
