"""What is kept of a block's probabilities, against the slow way; blocks do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from udt import heads, predictor
from udt.classifier import UDT
from udt.csr import Targets
from udt.metrics import Predicted
from udt.table import as_table

NONE = np.zeros(0, np.float32)


def draw(seed: int, n: int, k: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities, with many ties if there are few steps, and thresholds."""
    rng = np.random.default_rng(seed)
    probas = (rng.integers(0, steps + 1, (n, k)) / steps).astype(np.float32)
    return probas, (rng.integers(0, steps + 2, k) / steps).astype(np.float32)


blocks = st.builds(
    draw, st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 15), st.sampled_from([2, 10**6])
)


@given(blocks, st.integers(1, 15))
def test_top_k_is_a_stable_sort(drawn: tuple[Any, Any], k: int) -> None:
    probas, _ = drawn
    k = min(k, probas.shape[1])
    ids, p = heads.top_k(probas, k)
    assert (ids.dtype, p.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(ids, np.argsort(-probas, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(p, np.take_along_axis(probas, ids.astype(int), axis=1))


@given(blocks)
def test_label_sets(drawn: tuple[Any, Any]) -> None:
    for thresholds in (drawn[1], NONE):
        sets = heads.label_sets(drawn[0], thresholds)
        assert (sets.indptr.dtype, sets.ids.dtype) == (np.int64, np.int32)
        got = [ids.tolist() for ids in np.split(sets.ids, sets.indptr[1:-1])]
        assert got == reference.label_sets(drawn[0], thresholds)


def test_what_evaluation_needs() -> None:
    probas = np.array([[0.1, 0.9], [0.75, 0.25]], np.float32)
    targets = Targets(np.array([0, 1, 2]), np.array([0, -1], np.int32))
    kept = heads.summarise(probas, targets, NONE)
    np.testing.assert_array_equal(kept.top, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(kept.true_p, np.array([0.1, 0], np.float32))
    np.testing.assert_allclose(kept.row_loss, [2.302585, 15.942385], rtol=1e-6)
    assert kept.chosen.ids.tolist() == [1, 0]


@pytest.fixture(scope="module")
def trained() -> tuple[Any, Any, Any]:
    """Return a predictor of several labels, rows and their labels."""
    words = ["red", "green", "blue", "dark"]
    rng = np.random.default_rng(0)
    sets = [sorted(rng.choice(words, rng.integers(1, 4), replace=False)) for _ in range(300)]
    texts = [" ".join([*found, "thing", str(i)]) for i, found in enumerate(sets)]
    model = UDT(random_state=0, n_threads=1).fit(texts, sets)._model
    ids = np.array([sorted(words).index(word) for found in sets for word in found], np.int32)
    targets = Targets(np.append(0, np.cumsum([len(found) for found in sets])), ids)
    return model.predictor, as_table({"text": texts}), targets


def test_blocks_do_not_show(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, table, targets = trained

    def everything(n_threads: int) -> list[Any]:
        kept = found.predicted(table, targets, n_threads)
        sets = found.label_sets(table, n_threads)
        arrays = [found.probas(table, n_threads), *found.top_k(table, 2, n_threads), *sets]
        return [*arrays, *kept[:-1], *kept.chosen]

    whole = everything(1)
    assert isinstance(found.predicted(table, targets), Predicted)
    monkeypatch.setattr(predictor, "_BLOCK_ROWS", 7)
    monkeypatch.setattr(predictor, "_FEW_ROWS", 0)
    for one, other in zip(whole, everything(3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_state_keeps_thresholds(trained: Any) -> None:
    found, table, _ = trained
    assert found.head.thresholds.shape == (4,)
    again = predictor.Predictor.from_state(*found.state())
    np.testing.assert_array_equal(again.head.thresholds, found.head.thresholds)
    np.testing.assert_array_equal(again.label_sets(table).ids, found.label_sets(table).ids)


def test_thresholds_are_found_for_rows_of_many_labels() -> None:
    # 15 of 40 labels a row: more than the metrics look at
    rng = np.random.default_rng(1)
    truth = np.argsort(rng.random((200, 40)), axis=1)[:, :15].astype(np.int32)
    probas = rng.uniform(0.0, 0.4, (200, 40)).astype(np.float32)
    np.put_along_axis(probas, truth.astype(int), rng.uniform(0.6, 1, (200, 15)), axis=1)
    targets = Targets(np.arange(201) * 15, np.sort(truth, axis=1).ravel())
    sets = heads.label_sets(probas, heads.find_thresholds(probas, targets))
    np.testing.assert_array_equal(sets.counts, 15)
