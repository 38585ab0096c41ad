"""The metrics are scikit-learn's, to the last digits that matter; no matrix is needed for them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import dense_labels
from udt import metrics
from udt.csr import Targets, one_class
from udt.errors import EmptyTable
from udt.heads import summarise

NO_THRESHOLDS = np.zeros(0, np.float32)


def sample(seed: int, n: int, k: int, unknown: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(k, 0.3), n).astype(np.float32)
    guess = proba.argmax(axis=1)
    y = np.where(rng.random(n) < 0.6, guess, rng.integers(0, k, n)).astype(np.int32)
    y[rng.random(n) < unknown] = -1
    return y, proba


samples = st.builds(
    sample, st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 6), st.sampled_from([0, 0.2])
)


def one_each(y: np.ndarray) -> Targets:
    """Return targets of one class a row, -1 included."""
    return Targets(np.arange(len(y) + 1), np.asarray(y, np.int32))


def evaluate(y: np.ndarray, proba: np.ndarray) -> dict[str, Any]:
    targets = one_each(y)
    return metrics.evaluate(targets, summarise(proba, targets, NO_THRESHOLDS), proba.shape[1])


def log_loss(y: np.ndarray, proba: np.ndarray) -> float:
    return metrics.log_loss(summarise(proba, one_each(y), NO_THRESHOLDS).true_p)


def slow_ece(y: np.ndarray, proba: np.ndarray) -> float:
    confidence = [float(row.max()) for row in proba]
    hit = [int(row.argmax()) == t for row, t in zip(proba, y, strict=True)]
    error = 0.0
    for b in range(15):
        inside = [i for i, c in enumerate(confidence) if b / 15 < c <= (b + 1) / 15]
        if inside:
            accuracy = sum(hit[i] for i in inside) / len(inside)
            mean = sum(confidence[i] for i in inside) / len(inside)
            error += len(inside) / len(y) * abs(accuracy - mean)
    return error


@given(samples)
def test_agrees_with_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    y, proba = drawn
    pred = proba.argmax(axis=1)
    got = evaluate(y, proba)
    assert got["n_rows"] == len(y)
    assert got["accuracy"] == pytest.approx(oracle.accuracy_score(y, pred))
    assert got["macro_f1"] == pytest.approx(
        oracle.f1_score(y, pred, average="macro", zero_division=0)
    )
    assert got["ece"] == pytest.approx(slow_ece(y, proba), abs=1e-6)
    assert got["majority"] == pytest.approx(max(np.sum(y == c) for c in range(9)) / len(y))


@given(samples)
def test_log_loss_agrees_with_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    y, proba = drawn
    known = y >= 0
    labels = range(proba.shape[1])
    # scikit-learn cannot hold an unknown label: each costs the clip, by our definition.
    expected = 15.942385 * (~known).sum()
    if known.any():
        expected += oracle.log_loss(y[known], proba[known], labels=labels, normalize=False)
    assert log_loss(y, proba) == pytest.approx(expected / len(y), abs=1e-5)


@given(samples)
def test_tables_agree_with_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    y, proba = drawn
    k = proba.shape[1]
    pred = proba.argmax(axis=1).astype(np.int32)
    precision, recall, f1, n_rows = oracle.precision_recall_fscore_support(
        y, pred, labels=range(k), zero_division=0
    )
    table = metrics.per_class(one_each(y), one_class(pred), [f"c{i}" for i in range(k)])
    assert [r["label"] for r in table] == [f"c{i}" for i in range(k)]
    assert [r["n_rows"] for r in table] == n_rows.tolist()
    assert [r["n_predicted"] for r in table] == np.bincount(pred, minlength=k).tolist()
    np.testing.assert_allclose([r["precision"] for r in table], precision)
    np.testing.assert_allclose([r["recall"] for r in table], recall)
    np.testing.assert_allclose([r["f1"] for r in table], f1)
    matrix = metrics.confusion(y, pred, k)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(
        matrix, oracle.confusion_matrix(y, pred, labels=range(k)) if (y >= 0).any() else 0
    )
    mistakes = metrics.most_confused(y, pred, range(k), top=k * k)
    counts = [m["n_rows"] for m in mistakes]
    assert counts == sorted(counts, reverse=True)
    off_diagonal = matrix - np.diag(np.diag(matrix))
    assert sum(counts) == off_diagonal.sum()
    assert all(off_diagonal[m["true"], m["predicted"]] == m["n_rows"] for m in mistakes)


def test_has_exactly_the_documented_keys() -> None:
    y, proba = sample(0, 50, 3)
    got = evaluate(y, proba)
    assert sorted(got) == [
        "accuracy", "accuracy_ci95", "ece", "log_loss", "macro_f1", "majority", "n_rows",
    ]  # fmt: skip
    assert all(type(v) in (int, float, list) for v in got.values())  # JSON-able as it is


def test_unknown_labels_count_as_wrong_whatever_is_predicted() -> None:
    y = np.array([0, -1, 1, -1], np.int32)
    proba = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    got = evaluate(y, proba)
    assert got["accuracy"] == 0.5
    assert got["majority"] == 0.25  # unknown labels are no class that one could answer
    assert got["macro_f1"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert got["log_loss"] == pytest.approx(15.942385 / 2)


def test_only_unknown_labels() -> None:
    got = evaluate(np.full(3, -1, np.int32), np.full((3, 2), 0.5, np.float32))
    assert (got["accuracy"], got["macro_f1"], got["majority"]) == (0, 0, 0)
    assert got["log_loss"] == pytest.approx(15.942385)


def test_certain_and_wrong_is_finite_and_perfect_is_zero() -> None:
    y = np.array([0, 1], np.int32)
    right = np.eye(2, dtype=np.float32)
    assert log_loss(y, right[::-1]) == pytest.approx(15.942385)
    assert str(log_loss(y, right)) == "0.0"


def test_bins_are_closed_on_the_right() -> None:
    # 0.2 ends the third bin; were it in the fourth, it would share one with 0.25 and cancel.
    error = metrics.calibration_error(np.array([True, False]), np.array([0.2, 0.25]))
    assert error == pytest.approx((0.8 + 0.25) / 2)
    assert metrics.calibration_error(np.array([True]), np.array([0.0])) == 1.0


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval_matches_published_values(
    successes: int, n: int, low: float, high: float
) -> None:
    # The last line is Newcombe (1998), table I, method 3.
    assert metrics.wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_proportion(drawn: tuple[int, int]) -> None:
    successes, n = drawn
    low, high = metrics.wilson_interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1


def test_no_rows_is_an_error() -> None:
    with pytest.raises(EmptyTable, match="no row to evaluate"):
        evaluate(np.zeros(0, np.int32), np.zeros((0, 2), np.float32))


def test_tables_serve_a_million_classes() -> None:
    # A dense matrix would take 8 TB.
    k = 1_000_000
    y = np.array([0, k - 1, k - 1, 5], np.int32)
    pred = np.array([0, 3, 3, 6], np.int32)
    assert metrics.most_confused(y, pred, range(k), top=1) == [
        {"true": k - 1, "predicted": 3, "n_rows": 2}
    ]
    top = pred[:, None]
    predicted = metrics.Predicted(
        top, np.ones((4, 1), np.float32), np.ones(4, np.float32), np.zeros(4), one_class(pred)
    )
    got = metrics.evaluate(one_each(y), predicted, k)
    assert got["macro_f1"] == pytest.approx(1 / 5)
    assert got["accuracy"] == 1 / 4


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [True, False]])
def test_labels_come_back_as_given(labels: list[Any]) -> None:
    y = np.array([0, 1], np.int32)
    rows = metrics.per_class(one_class(y), one_class(y[::-1]), labels)
    assert [r["label"] for r in rows] == labels
    assert metrics.most_confused(y, y[::-1], labels)[0]["true"] is labels[0]


# --- several labels a row ---------------------------------------------------------------------


def several(seed: int, n: int, k: int, unknown: float) -> tuple[Targets, np.ndarray, np.ndarray]:
    """Return targets of at least one label a row, probabilities and thresholds."""
    rng = np.random.default_rng(seed)
    proba = rng.random((n, k)).astype(np.float32)
    is_true = rng.random((n, k)) < np.where(proba > 0.6, 0.7, 0.1)
    is_true[np.arange(n), rng.integers(0, k, n)] = True
    rows, ids = np.nonzero(is_true)
    ids[rng.random(len(ids)) < unknown] = -1
    indptr = np.searchsorted(rows, np.arange(n + 1))
    thresholds = rng.uniform(0.3, 0.95, k).astype(np.float32)
    return Targets(indptr, ids.astype(np.int32)), proba, thresholds


several_labels = st.builds(
    several,
    st.integers(0, 10**6),
    st.integers(1, 60),
    st.integers(2, 14),
    st.sampled_from([0, 0.2]),
)


@given(several_labels)
def test_several_labels_agree_with_scikit_learn(drawn: tuple[Any, ...]) -> None:
    targets, proba, thresholds = drawn
    n, k = proba.shape
    predicted = summarise(proba, targets, thresholds)
    got = metrics.evaluate(targets, predicted, k, is_multi_label=True)
    truth, guess = dense_labels(targets, k), dense_labels(predicted.chosen, k)
    # Each unknown label is a column of its own: true once, never predicted.
    n_unknown = int((targets.ids < 0).sum())
    unknown = np.zeros((n, n_unknown), bool)
    unknown[targets.rows[targets.ids < 0], np.arange(n_unknown)] = True
    wide, none = np.hstack([truth, unknown]), np.hstack([guess, np.zeros_like(unknown)])
    assert got["accuracy"] == pytest.approx(oracle.accuracy_score(wide, none))
    assert got["micro_f1"] == pytest.approx(oracle.f1_score(wide, none, average="micro"))
    occurs = (truth | guess).any(axis=0)
    f1 = oracle.f1_score(truth, guess, average=None, zero_division=0)[occurs]
    assert got["macro_f1"] == pytest.approx(f1.sum() / (len(f1) + (n_unknown > 0)))
    order = np.argsort(-proba, axis=1, kind="stable")
    ranked = np.take_along_axis(truth, order, axis=1)
    assert got["precision_at_1"] == pytest.approx(ranked[:, 0].mean())
    assert got["precision_at_3"] == pytest.approx(ranked[:, :3].sum(axis=1).mean() / 3)
    assert got["recall_at_10"] == pytest.approx(
        (ranked[:, :10].sum(axis=1) / targets.counts).mean()
    )
    sets = [tuple(sorted(row)) for row in np.split(targets.ids, targets.indptr[1:-1])]
    known = [s for s in sets if -1 not in s]
    assert got["majority"] == pytest.approx(max([0, *map(known.count, known)]) / n)


@given(several_labels)
def test_the_loss_of_several_labels_is_that_of_each(drawn: tuple[Any, ...]) -> None:
    targets, proba, thresholds = drawn
    truth = dense_labels(targets, proba.shape[1])
    clipped = proba.astype(np.float64).clip(metrics.SMALLEST, 1 - metrics.SMALLEST)
    expected = -np.log(np.where(truth, clipped, 1 - clipped)).sum(axis=1)
    expected += 15.942385 * np.bincount(targets.rows[targets.ids < 0], minlength=len(truth))
    losses = summarise(proba, targets, thresholds).row_loss
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_several_labels_have_exactly_the_documented_keys_more() -> None:
    targets, proba, thresholds = several(0, 50, 5, 0.0)
    predicted = summarise(proba, targets, thresholds)
    got = metrics.evaluate(targets, predicted, 5, is_multi_label=True)
    one = metrics.evaluate(targets, predicted, 5)
    assert got.keys() - one.keys() == {
        "micro_f1", "precision_at_1", "precision_at_3", "recall_at_10",
    }  # fmt: skip
    assert all(type(v) in (int, float, list) for v in got.values())


def test_per_class_of_several_labels() -> None:
    targets = Targets(np.array([0, 2, 4]), np.array([0, 1, 1, -1], np.int32))
    chosen = Targets(np.array([0, 1, 3]), np.array([1, 2, 1], np.int32))
    got = [list(r.values()) for r in metrics.per_class(targets, chosen, "abc")]
    assert got == [["a", 1, 0, 0, 0, 0], ["b", 2, 2, 1, 1, 1], ["c", 0, 1, 0, 0, 0]]


def test_classes_among_the_targets() -> None:
    targets = Targets(np.array([0, 0, 2, 3]), np.array([7, -1, 0], np.int32))
    asked = np.array([[0, 7], [7, 0], [0, 9]], np.int32)
    assert metrics.in_targets(asked, targets).tolist() == [[0, 0], [1, 0], [1, 0]]
    none = Targets(np.zeros(4, np.int64), np.zeros(0, np.int32))
    assert not metrics.in_targets(asked, none).any()


def test_importing_it_is_light() -> None:
    code = "import sys, udt.metrics; print(*{'scipy', 'numba', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
