"""``udt carbon`` gives the published acceptance values, and refuses what it does not know."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run

R6G = ("--instance", "r6g.xlarge", "--region", "us-west-1")
P4D = ("--instance", "p4d.24xlarge", "--region", "us-west-1", "--share", "1/8")


@pytest.mark.parametrize(
    ("minutes", "where", "load", "total_g"),
    [
        (42, R6G, 1.0, 11.126),
        (42, R6G, 0.5, 8.503),
        (20, R6G, 1.0, 5.298),
        (40, P4D, 1.0, 195.15),
        (40, P4D, 0.5, 143.81),
    ],
)
def test_known_values(
    run: Run, minutes: float, where: tuple[str, ...], load: float, total_g: float
) -> None:
    hours = minutes / 60
    result = run("carbon", "--hours", hours, *where, "--utilisation", load, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["carbon"]["total_g"] == pytest.approx(total_g, rel=0.005)
    assert "r6g" in found["energy"]["source"] or "p4d" in found["energy"]["source"]


def test_reserved_and_shared(run: Run) -> None:
    def total_g(*flags: str) -> float:
        result = run("carbon", "--hours", 1, *P4D, *flags, "--json")
        return float(json.loads(result.stdout)["carbon"]["total_g"])

    assert total_g("--reserved") == pytest.approx(8 * total_g())
    assert total_g("--shared-by", "4") == pytest.approx(total_g() / 4)


def test_words(run: Run) -> None:
    result = run("carbon", "--hours", 0.7, *R6G, "--utilisation", 0.5)
    for part in ("0.7 h on r6g.xlarge", "CO2e 8.5 g", "electricity", "us-west-1"):
        assert part in result.stdout


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--hours", "-1"), "-1"),
        (("--hours", "long"), "'long'"),
        (("--hours", "1", "--utilisation", "2"), "2"),
        (("--hours", "1", "--share", "9/8"), "9/8"),
        (("--hours", "1", "--shared-by", "0"), "0"),
        (("--hours", "1", "--region", "us-west-9"), "us-west-1"),
        (("--hours", "1", "--instance", "r6g.xlarg"), "r6g.xlarge"),
        (("--hours", "1", "--region", "us-west-1", "--grid-source", "iea"), "teads"),
    ],
)
def test_refused(run: Run, flags: tuple[str, ...], part: str) -> None:
    result = run("carbon", *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert part in line
