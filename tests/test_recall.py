"""What a model keeps of its training: counts by class, and rows drawn from them."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from udt.csr import CSR, one_class
from udt.engine.network import make_network
from udt.featurizers.rows import RowEncoder
from udt.recall import Recall, add, draw_rows, missing_rows, remember, renumber
from udt.settings import FeaturizerSettings, NetworkSettings, TrainSettings

N_FEATURES, N_CLASSES = 12, 3


def make_rows(rng: np.random.Generator, n: int) -> tuple[CSR, np.ndarray]:
    """Rows of three classes; each has features that no other has."""
    y = rng.integers(0, N_CLASSES, n)
    held = np.zeros((n, N_FEATURES), bool)
    for c in range(N_CLASSES):
        held[y == c, 4 * c : 4 * c + 4] = rng.random((int((y == c).sum()), 4)) < [1, 0.5, 0.5, 0.1]
    return reference.sparse(held.astype(np.float32)), y


def make_recall(rows: CSR, y: np.ndarray, rng: np.random.Generator) -> Recall:
    network = make_network(N_FEATURES, N_CLASSES, NetworkSettings(width=4), rng)
    network.w_wide[:, -1] = np.arange(N_FEATURES)
    return remember(
        rows, one_class(y), N_CLASSES, network, features=FeaturizerSettings(),
        training=TrainSettings(epochs=3), init_scale=0.3,
    )  # fmt: skip


def dense_counts(recall: Recall, n_features: int = N_FEATURES) -> np.ndarray:
    found = np.zeros((len(recall.class_rows), n_features), int)
    for c in range(len(recall.class_rows)):
        part = slice(recall.starts[c], recall.starts[c + 1])
        found[c, recall.ids[part]] = recall.counts[part]
    return found


def expected_counts(rows: CSR, y: np.ndarray) -> np.ndarray:
    found = np.zeros((N_CLASSES, rows.n_features), int)
    for row, c in enumerate(y):
        found[c, rows.indices[rows.indptr[row] : rows.indptr[row + 1]]] += c >= 0
    return found


def test_counts_are_those_of_the_rows(rng):
    rows, y = make_rows(rng, 200)
    y[:50] = -1  # held out
    recall = make_recall(rows, y, rng)
    assert np.array_equal(dense_counts(recall), expected_counts(rows, y))
    assert recall.class_rows.tolist() == np.bincount(y[50:], minlength=3).tolist()
    assert recall.n_rows == recall.n_first == 150
    assert np.allclose(recall.accumulated["w_wide"] ** 2.0, np.arange(N_FEATURES), rtol=1e-2)


def test_state_gives_the_same_back(rng):
    recall = make_recall(*make_rows(rng, 100), rng)
    meta, arrays = recall.state()
    again = Recall.from_state(meta, arrays)
    assert again.features == recall.features
    assert again.training == recall.training
    assert np.array_equal(dense_counts(again), dense_counts(recall))
    assert again.counts.dtype == np.int32
    assert again.accumulated.keys() == recall.accumulated.keys()


def test_new_numbers_and_more_rows(rng):
    (rows, y), (more, more_y) = make_rows(rng, 100), make_rows(rng, 60)
    recall = make_recall(rows, y, rng)
    features, classes = np.arange(N_FEATURES)[::-1].copy(), np.array([1, 2, 4])
    moved = renumber(recall, features, classes, 5)
    counts = dense_counts(moved)
    assert np.array_equal(counts[classes][:, features], dense_counts(recall))
    assert not counts[[0, 3]].any()
    network = make_network(N_FEATURES, N_CLASSES, NetworkSettings(width=4), rng)
    both = add(recall, more, one_class(more_y), network)
    assert np.array_equal(
        dense_counts(both), expected_counts(rows, y) + expected_counts(more, more_y)
    )
    assert both.n_rows == 160
    assert both.n_first == 100


def test_what_is_missing_is_recalled(rng):
    recall = make_recall(*make_rows(rng, 300), rng)
    as_before = one_class(np.repeat([0, 1, 2], 40))
    assert not missing_rows(recall, as_before).any()
    few_of_each = one_class(np.repeat([0, 1, 2], 20))
    assert missing_rows(recall, few_of_each).tolist() == recall.class_rows.tolist()
    only_first = one_class(np.zeros(60, np.int64))
    wanted = missing_rows(recall, only_first)
    assert wanted[0] == 0
    assert wanted[1:].tolist() == recall.class_rows[1:].tolist()


def test_drawn_rows_look_like_their_class(rng):
    rows, y = make_rows(rng, 600)
    recall = make_recall(rows, y, rng)
    encoder = RowEncoder(
        (), np.ones(N_FEATURES, np.float32), np.zeros(N_FEATURES, np.int32), np.ones(1, np.float32)
    )
    drawn, targets = draw_rows(recall, np.array([0, 400, 200]), encoder, rng)
    assert targets.ids.tolist() == [1] * 400 + [2] * 200
    classes = targets.ids[np.repeat(np.arange(600), np.diff(drawn.indptr))]
    assert np.array_equal(drawn.indices // 4, classes)  # no feature of another class
    share = np.bincount(drawn.indices, minlength=N_FEATURES)[4:8] / 400
    assert share[0] > share[1] > share[3] > 0
    assert np.diff(drawn.indptr).mean() == pytest.approx(1.8, abs=0.5)
    squares = np.add.reduceat(drawn.values**2, drawn.indptr[:-1])
    assert np.allclose(squares, 1, atol=1e-4)  # weighed as rows are
