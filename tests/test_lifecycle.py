"""What a model costs over its life, as plain data."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_report import FULL, RUN
from udt.errors import SettingsError
from udt.lifecycle import cheaper, life_cycle, payback

PHASES = {
    "read": {"wall_s": 1.0, "kwh": 0.00001, "total_g": 0.006},
    "search": {"wall_s": 2.0, "kwh": 0.00002, "total_g": 0.012},
}
REPORT: dict[str, Any] = {
    **FULL,
    "carbon": {**FULL["carbon"], "phases": PHASES, "per_million_kwh": 0.0002},
}


def test_the_totals_by_hand() -> None:
    told = life_cycle(REPORT, shared_by=3, predictions=(2_000_000,))
    (total,) = told["totals"]
    assert total["training_g"] == pytest.approx(0.018 / 3)
    assert total["use_g"] == pytest.approx(0.2)
    assert total["total_g"] == pytest.approx(0.206)
    assert total["use_share"] == pytest.approx(0.2 / 0.206)
    assert told["use"]["repaid_predictions"] == pytest.approx(0.006 / 0.1e-6)
    assert told["use"]["search_repaid_predictions"] == pytest.approx(0.004 / 0.1e-6)


def test_break_even_is_where_training_and_use_are_level() -> None:
    n = life_cycle(REPORT)["use"]["repaid_predictions"]
    (total,) = life_cycle(REPORT, predictions=(round(n),))["totals"]
    assert total["use_share"] == pytest.approx(0.5, abs=1e-4)


def test_stages_have_their_share() -> None:
    stages = life_cycle(REPORT)["stages"]
    assert [s["stage"] for s in stages] == ["read", "search"]
    assert sum(s["share"] for s in stages) == pytest.approx(1)


def test_every_figure_of_others_has_source_and_year() -> None:
    told = life_cycle(REPORT)
    others = [*told["equivalences"], *told["elsewhere"], *told["use_shares"]]
    assert len(others) > 10
    for one in others:
        assert one["source"]
        assert 2000 < one["year"] < 2100


def test_what_was_measured_apart_comes_first() -> None:
    told = life_cycle(REPORT, per_million={"kwh": 0.5, "total_g": 2.0})
    assert told["use"]["total_g"] == 2.0
    assert told["elsewhere"][0]["times"] == pytest.approx(0.22 / 0.5)


def test_a_run_without_predictions_or_account() -> None:
    told = life_cycle(RUN)
    assert "use" not in told
    assert "totals" not in told
    assert told["training"]["total_g"] == 0.018
    assert life_cycle({**RUN, "energy": {}}) == {}


@pytest.mark.parametrize("shared_by", [0, -1, 1.5, True, "2"])
def test_refuses(shared_by: Any) -> None:
    with pytest.raises(SettingsError, match=r"shared_by is .* whole number"):
        life_cycle(REPORT, shared_by=shared_by)


@given(st.floats(1e-6, 1e6), st.floats(1e-9, 1.0), st.floats(1e-9, 1.0))
def test_payback(cost_g: float, each_g: float, other_each_g: float) -> None:
    n = payback(cost_g, each_g, other_each_g)
    assert payback(0.0, each_g, other_each_g) == 0
    if other_each_g <= each_g:
        assert n == math.inf
    else:
        assert cost_g + n * each_g == pytest.approx(n * other_each_g, rel=1e-6)


def test_what_would_be_cheaper() -> None:
    green, search = cheaper(REPORT["energy"], REPORT["carbon"])
    green_g = 0.00003 * 1.2 * 8.0 + 0.004
    assert green["saved_share"] == pytest.approx(1 - green_g / 0.018, rel=0.01)
    assert "eu-north-1" in green["what"]
    assert search["saved_share"] == pytest.approx(12 / 18)
    assert "--preset fast" in search["how"]


def test_nothing_is_cheaper_than_what_is_green_and_short() -> None:
    phases = {"fit": {"wall_s": 1.0, "kwh": 1e-9, "total_g": 0.004}}
    carbon = {"total_g": 0.004, "embodied_g": 0.00399, "phases": phases}
    assert cheaper({"kwh": 1e-9}, carbon) == []
    assert cheaper({"kwh": 0.0}, {"total_g": 0.0, "embodied_g": 0.0}) == []


def test_an_updated_model_bears_the_trainings_before() -> None:
    lineage = {"n_trainings": 2, "n_rows": 9, "kwh": 0.00009, "total_g": 0.054}
    carbon = {**REPORT["carbon"], "lineage": lineage}
    told = life_cycle({**REPORT, "carbon": carbon}, shared_by=2)
    assert told["training"]["total_g"] == 0.018
    assert told["training"]["each_g"] == pytest.approx(0.027)
    assert told["use"]["repaid_predictions"] == pytest.approx(0.027 / 0.1e-6)
