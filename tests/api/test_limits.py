"""Limits hold, presets differ, and what cannot be done is said."""

import os

import numpy as np
import pytest

from tests.api.conftest import rows_for_trees
from udt import UDT
from udt.errors import SettingsError

RNG = np.random.default_rng(0)
WORDS = np.array([f"w{i}" for i in range(3000)])
LABELS = RNG.integers(0, 3, 1500)
TEXTS = [
    " ".join([*RNG.choice(WORDS, 25), *(f"c{label}{i}" for i in RNG.integers(0, 30, 3))])
    for label in LABELS
]


def fit(**given):
    return UDT(**given).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def free():
    return fit(random_state=0)


def test_a_model_is_no_larger_than_allowed(free, tmp_path):
    whole = free.save(tmp_path / "whole.udt")
    limit = whole // 10
    small = fit(random_state=0, max_model_size=limit)
    assert small.save(tmp_path / "small.udt") <= limit
    assert os.path.getsize(tmp_path / "small.udt") <= limit
    assert small.report_.network["n_features"] < free.report_.network["n_features"]
    assert any(c["what"] == "features" for c in small.report_.choices)
    assert small.score(TEXTS, LABELS) > 0.8


def test_a_limit_that_leaves_room_changes_nothing(free):
    large = fit(random_state=0, max_model_size="1G", max_memory="100G", time_limit="1h")
    assert large.report_.network["n_features"] == free.report_.network["n_features"]
    np.testing.assert_array_equal(large.predict_proba(TEXTS[:50]), free.predict_proba(TEXTS[:50]))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_model_size": "1kB"}, "max_model_size of 1 kB is too small .* at least [0-9,]+ kB"),
        ({"max_memory": "1MB"}, "max_memory of 1 MB is too small .* at least [0-9,]+ MB"),
        ({"time_limit": 0.01}, "time limit of 0.01 s is too small .* at least [0-9]+ s"),
        ({"max_co2": "0.001mg"}, "CO2e limit of 1e-06 g is too small .* at least [0-9.e-]+ g"),
        ({"preset": "slow"}, "preset.* fast, balanced, best"),
        ({"max_memory": "much"}, "max_memory.* '4G'"),
        ({"max_model_size": -1}, "max_model_size.* above 0"),
        ({"max_co2": "1 ton"}, "max_co2.* '500mg'"),
    ],
)
def test_what_cannot_be_done_is_said(given, told):
    with pytest.raises(SettingsError, match=told):
        fit(**given)


def test_presets_differ_in_how_much_they_try(free):
    fast = fit(random_state=0, preset="fast")
    assert fast.report_.search["n_trials"] < free.report_.search["n_trials"]
    assert fast.score(TEXTS, LABELS) > 0.8


def test_under_a_limit_too_a_seed_decides_everything():
    one, other = (fit(random_state=0, time_limit=30) for _ in range(2))
    assert one.content_sha256_ == other.content_sha256_


def test_little_time_means_less_is_tried_and_is_told(free):
    hasty = fit(random_state=0, time_limit=2.5)
    assert hasty.report_.search["n_trials"] < free.report_.search["n_trials"]
    assert {"search", "time limit"} <= {v for c in hasty.report_.choices for v in c.values()}


def test_trees_without_room_are_left_out(tmp_path):
    rows = rows_for_trees()
    with_trees = UDT("label", random_state=0).fit(rows)
    size = with_trees.save(tmp_path / "with.udt")
    trees = sum(a.nbytes for a in with_trees._model.predictor.stack.state()[1].values())
    limit = size - trees // 2
    without = UDT("label", random_state=0, max_model_size=limit).fit(rows)
    assert without.save(tmp_path / "without.udt") <= limit
    assert without._model.predictor.stack is None
    left_out = [c for c in without.report_.choices if c["what"] == "trees"]
    assert [c["reason"] for c in left_out] == ["limit of the model's size"]
