"""The page on the published claim says what the formula gives."""

import re
from pathlib import Path

import pytest

from udt.carbon import ROBERTA, Footprint, estimate, find_machine, find_place

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "carbon-published.md"
CALIFORNIA = find_place("us-west-1", environ={})
R6G = find_machine("r6g.xlarge", environ={})
P4D = find_machine("p4d.24xlarge", environ={})


def numbers(row: str) -> list[float]:
    """Return the numbers in the cells of a table's row, the first cell left out."""
    (line,) = (
        line
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith(f"| {row} |") and re.search(r"\d", line.split("|")[2])
    )
    return [
        float(n.replace(",", ""))
        for n in re.findall(r"[\d,.]*\d", line.partition("|")[2][len(row) + 2 :])
    ]


def cpu_run(minutes: float, utilisation: float) -> Footprint:
    return estimate(R6G, CALIFORNIA, hours=minutes / 60, utilisation=utilisation)


def roberta(utilisation: float) -> Footprint:
    return ROBERTA._replace(utilisation=utilisation).footprint(CALIFORNIA)


@pytest.mark.parametrize("minutes", [42, 20])
def test_cpu_runs_by_the_formula(minutes: int) -> None:
    full, half = numbers(f"r6g.xlarge, {minutes} min")
    assert full == pytest.approx(cpu_run(minutes, 1.0).total_g, abs=6e-4)
    assert half == pytest.approx(cpu_run(minutes, 0.5).total_g, abs=6e-4)


def test_roberta_by_the_formula() -> None:
    full, half = numbers("p4d.24xlarge, 40 min, share 1/8")
    assert (full, half) == pytest.approx((roberta(1.0).total_g, roberta(0.5).total_g), abs=6e-3)


@pytest.mark.parametrize("minutes", [42, 20])
def test_ratios(minutes: int) -> None:
    found = numbers(f"{minutes} min of RoBERTa's")
    for percent, load in zip(found, (1.0, 0.5), strict=True):
        ratio = cpu_run(minutes, load).total_g / roberta(load).total_g
        assert percent == pytest.approx(100 * ratio, abs=6e-3)


@pytest.mark.parametrize(
    ("row", "run", "hourly_g"),
    [
        ("RoBERTa, 40 min, 1 of 8 GPUs", roberta(0.5), 135.3),
        ("42 min", cpu_run(42, 0.5), 3.1),
        ("20 min", cpu_run(20, 0.5), 3.1),
    ],
)
def test_the_reading_that_fits(row: str, run: Footprint, hourly_g: float) -> None:
    electricity_g, hour_g, total_g, *percent = numbers(row)
    assert electricity_g == pytest.approx(run.operational_g, rel=0.002)
    assert hour_g == hourly_g
    assert total_g == pytest.approx(run.operational_g + hourly_g, rel=0.001)
    if percent:
        assert percent[0] == pytest.approx(100 * total_g / 268.0, abs=0.06)


def test_hourly_manufacturing_of_the_sheet() -> None:
    for machine, hourly_g in ((R6G, 3.1), (P4D, 135.3)):
        by_hand = machine.platform_kg * 1000 * machine.platform_share / 34_560
        assert by_hand == pytest.approx(hourly_g, abs=0.06)
        assert f"{machine.platform_kg:,}" in PAGE.read_text("utf-8")


def test_grids_move_the_grams_and_hardly_the_ratio() -> None:
    ratios = []
    for vintage in ("teads", "ccf", "egrid"):
        place = find_place("us-west-1", environ={}, grid_source=vintage)
        run = estimate(R6G, place, hours=0.7, utilisation=0.5)
        ratios.append(run.total_g / ROBERTA._replace(utilisation=0.5).footprint(place).total_g)
    said = ", ".join(f"{100 * r:.1f}" for r in ratios[:2]) + f" and {100 * ratios[2]:.1f} %"
    assert said in " ".join(PAGE.read_text("utf-8").split())


def test_what_pre_training_adds() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    bert_kg = 1438 * 0.45359237
    assert f"1,438 lb or {bert_kg:.0f} kg" in text
    assert bert_kg * 1000 / roberta(1.0).total_g == pytest.approx(3300, rel=0.02)
    p3dn = find_machine("p3dn.24xlarge", environ={})
    day = estimate(p3dn, CALIFORNIA, hours=24, utilisation=1.0).scaled(1024 / p3dn.n_gpus)
    assert f"{day.total_g / 1e6:.1f} t, of it {day.embodied_g / 1e6:.2f} t manufacturing" in text
