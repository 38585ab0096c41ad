"""Thresholds: the best common one, and departures that held-out rows support."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import dense_labels, label_sets, micro_f1
from udt.csr import Targets
from udt.engine.thresholds import _common_threshold, _own_threshold, fit_thresholds
from udt.metrics import in_targets


def draw(seed: int, n: int, k: int, shift: np.ndarray | float = 0.0) -> tuple[Targets, np.ndarray]:
    """Return labels and their probabilities; those of a label are off by its shift in log-odds."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-2, 1.5, (n, k))
    has = rng.random((n, k)) < 1 / (1 + np.exp(-odds))
    has[np.arange(n), odds.argmax(axis=1)] = True
    rows, ids = np.nonzero(has)
    targets = Targets(np.searchsorted(rows, np.arange(n + 1)), ids.astype(np.int32))
    return targets, (1 / (1 + np.exp(-odds - shift))).astype(np.float32)


def top(probas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ids = np.argsort(-probas, axis=1, kind="stable").astype(np.int32)
    return ids, np.take_along_axis(probas, ids, axis=1)


def f1_at(probas: np.ndarray, thresholds: np.ndarray, targets: Targets) -> float:
    k = probas.shape[1]
    sets = label_sets(probas, thresholds)
    chosen = Targets(
        np.append(0, np.cumsum([*map(len, sets)])), np.array([c for s in sets for c in s], np.int32)
    )
    return micro_f1(dense_labels(chosen, k), dense_labels(targets, k))


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(2, 6))
def test_the_common_threshold_is_the_best_of_all(seed: int, n: int, k: int) -> None:
    targets, probas = draw(seed, n, k)
    ids, p = top(probas)
    found, f1 = _common_threshold(in_targets(ids, targets), p, len(targets.ids))
    assert f1_at(probas, np.full(k, found), targets) == pytest.approx(f1)
    tried = [f1_at(probas, np.full(k, t), targets) for t in np.linspace(0, 1, 60)]
    assert f1 >= max(tried) - 1e-9


def test_rare_labels_have_the_common_threshold() -> None:
    targets, probas = draw(0, 300, 5)
    kept = (targets.ids != 4) | (np.cumsum(targets.ids == 4) <= 9)
    counts = np.bincount(targets.rows[kept], minlength=300)
    targets = Targets(np.append(0, np.cumsum(counts)), targets.ids[kept])
    thresholds = fit_thresholds(*top(probas), targets, 7)
    assert thresholds.dtype == np.float32
    assert thresholds.shape == (7,)
    common = thresholds[5]  # of a label that never occurs
    assert thresholds[4] == thresholds[6] == common
    assert (thresholds[:4] != common).all()


def test_labels_that_are_off_get_thresholds_of_their_own() -> None:
    shift = np.array([0, 0, 2.0, -2.0])
    targets, probas = draw(1, 3_000, 4, shift)
    thresholds = fit_thresholds(*top(probas), targets, 4)
    assert thresholds[3] < thresholds[0] < thresholds[2]
    ids, p = top(probas)
    common = np.full(4, _common_threshold(in_targets(ids, targets), p, len(targets.ids))[0])
    held_out, held_probas = draw(2, 3_000, 4, shift)
    gain = f1_at(held_probas, thresholds, held_out) - f1_at(held_probas, common, held_out)
    assert gain > 0.01


def test_a_label_is_predicted_above_half_of_the_f1() -> None:
    # all of the first ten rows are right, two fifths of the next thirty, none of the rest
    hits = np.array([1] * 10 + [0, 0, 0, 1, 1] * 6 + [0] * 10, bool)
    p = np.linspace(0.9, 0.1, len(hits))
    assert p[10] < _own_threshold(hits, p, 0.9) < p[9]
    assert p[40] < _own_threshold(hits, p, 0.7) < p[39]
    assert _own_threshold(np.zeros(50, bool), p, 0.7) > p[0]


def test_few_rows_hardly_depart() -> None:
    targets, probas = draw(3, 60, 4)
    thresholds = fit_thresholds(*top(probas), targets, 5)
    common, own = thresholds[4], thresholds[:4]
    odds = np.log(own / (1 - own)) - np.log(common / (1 - common))
    assert np.abs(odds).max() < 1


def test_no_second_label_worth_predicting() -> None:
    # one label each, and certain: the threshold is above whatever comes second
    probas = np.array([[0.9, 0.1], [0.2, 0.8]] * 20, np.float32)
    targets = Targets(np.arange(41), np.array([0, 1] * 20, np.int32))
    thresholds = fit_thresholds(*top(probas), targets, 2)
    assert (thresholds > 0.2).all()
    assert f1_at(probas, thresholds, targets) == 1
