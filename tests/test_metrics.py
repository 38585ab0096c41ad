"""The metrics are scikit-learn's, to the last digits that matter."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given
from hypothesis import strategies as st

from udt import metrics
from udt.errors import EmptyTable


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
    got = metrics.evaluate(y, proba)
    assert got["n_rows"] == len(y)
    assert got["accuracy"] == pytest.approx(oracle.accuracy_score(y, pred))
    assert got["macro_f1"] == pytest.approx(
        oracle.f1_score(y, pred, average="macro", zero_division=0)
    )
    assert got["ece"] == pytest.approx(slow_ece(y, proba), abs=1e-6)
    assert got["macro_f1"] == metrics.macro_f1(y, pred.astype(np.int32), proba.shape[1])


@given(samples)
def test_log_loss_agrees_with_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    y, proba = drawn
    known = y >= 0
    labels = range(proba.shape[1])
    # scikit-learn cannot hold an unknown label: each costs the clip, by our definition.
    expected = 15.942385 * (~known).sum()
    if known.any():
        expected += oracle.log_loss(y[known], proba[known], labels=labels, normalize=False)
    assert metrics.log_loss(y, proba) == pytest.approx(expected / len(y), abs=1e-5)


@given(samples)
def test_tables_agree_with_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    y, proba = drawn
    k = proba.shape[1]
    pred = proba.argmax(axis=1).astype(np.int32)
    precision, recall, f1, n_rows = oracle.precision_recall_fscore_support(
        y, pred, labels=range(k), zero_division=0
    )
    table = metrics.per_class(y, pred, [f"c{i}" for i in range(k)])
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
    got = metrics.evaluate(y, proba)
    assert sorted(got) == [
        "accuracy", "accuracy_ci95", "ece", "log_loss", "macro_f1", "majority", "n_rows",
    ]  # fmt: skip
    assert all(type(v) in (int, float, list) for v in got.values())  # JSON-able as it is


def test_unknown_labels_count_as_wrong_whatever_is_predicted() -> None:
    y = np.array([0, -1, 1, -1], np.int32)
    proba = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    got = metrics.evaluate(y, proba)
    assert got["accuracy"] == 0.5
    assert got["majority"] == 0.25  # unknown labels are no class that one could answer
    assert got["macro_f1"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert got["log_loss"] == pytest.approx(15.942385 / 2)


def test_only_unknown_labels() -> None:
    got = metrics.evaluate(np.full(3, -1, np.int32), np.full((3, 2), 0.5, np.float32))
    assert (got["accuracy"], got["macro_f1"], got["majority"]) == (0, 0, 0)
    assert got["log_loss"] == pytest.approx(15.942385)


def test_certain_and_wrong_is_finite_and_perfect_is_zero() -> None:
    y = np.array([0, 1], np.int32)
    right = np.eye(2, dtype=np.float32)
    assert metrics.log_loss(y, right[::-1]) == pytest.approx(15.942385)
    assert str(metrics.log_loss(y, right)) == "0.0"


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
        metrics.evaluate(np.zeros(0, np.int32), np.zeros((0, 2), np.float32))


def test_tables_serve_a_million_classes() -> None:
    # A dense matrix would take 8 TB.
    k = 1_000_000
    y = np.array([0, k - 1, k - 1, 5], np.int32)
    pred = np.array([0, 3, 3, 6], np.int32)
    assert metrics.most_confused(y, pred, range(k), top=1) == [
        {"true": k - 1, "predicted": 3, "n_rows": 2}
    ]
    assert metrics.macro_f1(y, pred, k) == pytest.approx(1 / 5)


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [True, False]])
def test_labels_come_back_as_given(labels: list[Any]) -> None:
    y = np.array([0, 1], np.int32)
    assert [r["label"] for r in metrics.per_class(y, y[::-1], labels)] == labels
    assert metrics.most_confused(y, y[::-1], labels)[0]["true"] is labels[0]


def test_importing_it_is_light() -> None:
    code = "import sys, udt.metrics; print(*{'scipy', 'numba', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
