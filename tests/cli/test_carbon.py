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
        (20, R6G, 0.5, 4.049),
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


@pytest.mark.parametrize(
    ("minutes", "load", "ratio"),
    [(42, 1.0, 0.0570), (42, 0.5, 0.0591), (20, 1.0, 0.0271), (20, 0.5, 0.0282)],
)
def test_known_ratios(run: Run, minutes: float, load: float, ratio: float) -> None:
    def total_g(minutes: float, where: tuple[str, ...]) -> float:
        result = run("carbon", "--hours", minutes / 60, *where, "--utilisation", load, "--json")
        return float(json.loads(result.stdout)["carbon"]["total_g"])

    assert total_g(minutes, R6G) / total_g(40, P4D) == pytest.approx(ratio, rel=0.005)


@pytest.mark.parametrize(
    ("where", "operational_g", "embodied_g"),
    [((42, *R6G), 9.019, 2.107), ((40, *P4D), 184.03, 11.12)],
)
def test_known_parts(
    run: Run, where: tuple[float, str], operational_g: float, embodied_g: float
) -> None:
    minutes, *flags = where
    result = run("carbon", "--hours", minutes / 60, *flags, "--utilisation", 1, "--json")
    carbon = json.loads(result.stdout)["carbon"]
    assert carbon["operational_g"] == pytest.approx(operational_g, rel=0.005)
    assert carbon["embodied_g"] == pytest.approx(embodied_g, rel=0.005)


def test_greenest_first(run: Run) -> None:
    flags = ("--hours", 0.7, *R6G, "--regions", "--instances", "--min-memory", 8, "--shared-by", 2)
    result = run("carbon", *flags, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    for what, name in (("regions", "us-west-1"), ("instances", "r6g.xlarge")):
        totals = [row["total_g"] for row in found[what]]
        assert totals == sorted(totals)
        assert len(totals) > 20
        (own,) = (row for row in found[what] if row[what.removesuffix("s")] == name)
        assert own["total_g"] == pytest.approx(found["carbon"]["total_g"])
    assert found["regions"][0]["region"] == "eu-north-1"
    assert all(row["memory_gb"] >= 8 for row in found["instances"])
    words = run("carbon", *flags).stdout
    assert words.index("eu-north-1") < words.index("us-east-1")
    assert "--json has all" in words


def test_regions_of_one_vintage(run: Run) -> None:
    flags = ("--hours", 1, *R6G, "--grid-source", "egrid", "--regions", "--json")
    found = json.loads(run("carbon", *flags).stdout)
    assert {row["region"] for row in found["regions"]} == {
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    }
    assert "eGRID" in found["carbon"]["grid_source"]


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
        (("--hours", "1", "--country", "Germny"), "Germany"),
        (("--hours", "1", "--instances", "--min-memory", "-1"), "-1"),
        (("--hours", "1", "--instance", "p4d.24xlarge", "--instances"), "GPUs"),
    ],
)
def test_refused(run: Run, flags: tuple[str, ...], part: str) -> None:
    result = run("carbon", *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert part in line
