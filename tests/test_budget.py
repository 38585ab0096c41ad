"""What a run may take: forecasts, pace, reserves, refusals."""

import math
import time

import pytest

from udt.budget import (
    Budget,
    Limits,
    encode_seconds,
    network_bytes,
    train_seconds,
    values_per_row,
)
from udt.errors import SettingsError


def test_without_limits_everything_is_allowed():
    budget = Budget()
    assert not budget.is_limited
    assert budget.allows("train", 1e9)
    assert not budget.is_over()
    assert budget.left_s() == math.inf
    budget.check(1e9)


def test_costs_grow_with_what_there_is_to_do():
    words, chars = ("word 1", "word 2"), ("word 1", "word 2", "char 3")
    assert encode_seconds(10, 1e6, chars, 1) > encode_seconds(10, 1e6, words, 1)
    assert encode_seconds(10, 1e6, words, 2) == encode_seconds(10, 1e6, words, 1) / 2
    assert train_seconds(1e6, 66, 10, 1) == pytest.approx(10 * train_seconds(1e6, 66, 1, 1))
    assert train_seconds(1e6, 130, 1, 1) > train_seconds(1e6, 66, 1, 1)
    assert values_per_row(60, words) == 20
    assert values_per_row(60, chars) == 80
    assert network_bytes(1000, 66) == 2 * 4 * 66_000


def test_a_seeded_budget_counts_and_does_not_look_at_the_clock():
    budgets = [Budget(Limits(seconds=100.0), is_seeded=True) for _ in range(2)]
    with budgets[0].step("train", 20.0):
        time.sleep(0.05)
    with budgets[1].step("train", 20.0):
        pass
    assert budgets[0].left_s() == budgets[1].left_s() < 80
    assert budgets[0].pace("train") == budgets[1].pace("train")


def test_an_unseeded_budget_learns_how_fast_the_machine_is():
    budget = Budget(Limits(seconds=100.0))
    before = budget.pace("train")
    with budget.step("train", 0.01):
        time.sleep(0.4)
    assert budget.pace("train") > before
    assert budget.pace("encode") == budget.pace("train")  # nothing better is known
    assert not budget.allows("train", 99.0)


def test_what_a_killed_run_has_left_says_nothing_of_the_pace():
    budget = Budget(Limits(seconds=100.0))
    before = budget.pace("train")
    with budget.step("train", 50.0):
        pass
    assert budget.pace("train") == before


def test_time_spent_before_and_reserved_is_not_left():
    plain, late = Budget(Limits(seconds=10.0)), Budget(Limits(seconds=10.0), spent_s=4.0)
    assert plain.left_s() - late.left_s() == pytest.approx(4.0, abs=0.1)
    plain.reserve(2.0)
    assert plain.left_s() < 9
    assert Budget(Limits(seconds=10.0), spent_s=10.0).is_over()


def test_co2_is_time_at_full_power_and_the_stricter_limit_counts():
    budget = Budget(Limits(seconds=60.0, co2_g=0.1), g_per_s=0.01)
    assert (budget.limit_s, budget.cause) == (pytest.approx(10.0), "CO2e limit")
    budget = Budget(Limits(seconds=5.0, co2_g=0.1), g_per_s=0.01)
    assert (budget.limit_s, budget.cause) == (5.0, "time limit")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(seconds=0.5), "time limit of 0.5 s is too small .* at least [2-9] s"),
        (Limits(co2_g=0.001), "CO2e limit of 0.001 g is too small .* at least 0.0"),
    ],
)
def test_a_limit_too_small_for_anything_says_what_it_would_take(limits, told):
    with pytest.raises(SettingsError, match=told):
        Budget(limits, g_per_s=0.01).check(1.0)
