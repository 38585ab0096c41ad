"""Shortlists against sums over a dense matrix."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from tests.strategies import csr_rows
from udt.csr import CSR
from udt.engine import shortlists as module
from udt.engine.shortlists import Shortlists, fit_shortlists, keep_largest

N_CLASSES = 7


def make_rows(
    rng: np.random.Generator, n_rows: int = 60, n_features: int = 12
) -> tuple[np.ndarray, list[list[int]]]:
    """Return dense rows whose sums have no ties, and classes: none, one or several a row."""
    X = (rng.random((n_rows, n_features)) < 0.4) * rng.uniform(0.1, 1, (n_rows, n_features))
    X = X.astype(np.float32).astype(float)  # as the kernels see them
    # The last class has no rows; the third feature has none that count.
    classes = [
        [*map(int, rng.permutation(N_CLASSES - 1)[: rng.integers(0, 4)])] for _ in range(n_rows)
    ]
    X[[i for i, row in enumerate(classes) if row], 2] = 0
    return X, classes


def as_dicts(lists: Shortlists) -> list[dict[int, float]]:
    ends = itertools.pairwise(lists.starts.tolist())
    found = [(lists.classes[a:b].tolist(), lists.weights[a:b].tolist()) for a, b in ends]
    assert all(len(set(classes)) == len(classes) for classes, _ in found)
    return [dict(zip(*each, strict=True)) for each in found]


def assert_same_lists(found: list[dict[int, float]], expected: list[dict[int, float]]) -> None:
    assert [{*each} for each in found] == [{*each} for each in expected]
    for each, other in zip(found, expected, strict=True):
        assert each == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("longest", [1, 2, 3, 100])
@pytest.mark.parametrize("spare", [1, 4])
def test_lists_hold_the_classes_of_largest_weight(rng, monkeypatch, longest, spare):
    monkeypatch.setattr(module, "_SPARE", spare)
    X, classes = make_rows(rng)
    lists, norms = fit_shortlists(
        reference.sparse(X), reference.targets(classes), N_CLASSES, longest
    )
    expected, expected_norms = reference.shortlists(X, classes, N_CLASSES, longest, spare)
    assert_same_lists(as_dicts(lists), expected)
    np.testing.assert_allclose(norms, expected_norms, rtol=1e-5)
    assert not as_dicts(lists)[2]
    assert norms[-1] == 1
    assert [a.dtype for a in (*lists, norms)] == [np.int64, np.uint32, np.float32, np.float32]


def test_weight_decides_and_not_the_sum(rng):
    """Of two classes of the same feature, the smaller class is the likelier one."""
    X = np.array([[1, 0], [1, 1], [0, 1], [0, 1], [1, 0]], float)
    classes = [[0], [0], [0], [0], [1]]
    lists, _ = fit_shortlists(reference.sparse(X), reference.targets(classes), 2, 1)
    assert_same_lists(as_dicts(lists), [{1: 1.0}, {0: 3 / np.sqrt(13)}])


@pytest.mark.parametrize("entries", [1, 30, 100])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_parts_and_threads_change_nothing(rng, monkeypatch, entries, n_threads):
    X, classes = make_rows(rng)
    given_ = reference.sparse(X), reference.targets(classes), N_CLASSES, 3
    whole, norms = fit_shortlists(*given_)
    monkeypatch.setattr(module, "_ENTRIES_AT_ONCE", entries)
    ranges = [*module._feature_ranges(*given_[:2])]
    assert len(ranges) > 1
    assert [*itertools.chain(*(range(*each) for each in ranges))] == [*range(12)]
    parts, norms_of_parts = fit_shortlists(*given_, n_threads)
    for a, b in zip(whole, parts, strict=True):
        assert a.tobytes() == b.tobytes()
    np.testing.assert_allclose(norms_of_parts, norms, rtol=1e-6)


def test_a_part_holds_as_many_entries_as_it_may(rng, monkeypatch):
    X, classes = make_rows(rng)
    rows, targets = reference.sparse(X), reference.targets(classes)
    entries = np.array([sum(len(classes[i]) for i in np.flatnonzero(x)) for x in X.T])
    np.testing.assert_array_equal(module.count_entries(rows, targets), entries)
    monkeypatch.setattr(module, "_ENTRIES_AT_ONCE", 90)
    assert entries.max() <= 90
    for first, last in module._feature_ranges(rows, targets):
        assert entries[first:last].sum() <= 90
        assert last == len(entries) or entries[first : last + 1].sum() > 90


@given(csr_rows(), st.data())
def test_lists_of_any_rows(rows: CSR, data: Any):
    a_row = st.lists(st.integers(0, 3), unique=True)
    classes = data.draw(st.lists(a_row, min_size=rows.n_rows, max_size=rows.n_rows))
    longest = data.draw(st.integers(1, 5))
    lists, norms = fit_shortlists(rows, reference.targets(classes), 4, longest)
    X = reference.dense(rows)
    every, expected_norms = reference.shortlists(X, classes, 4, 99, 1)  # equal sums: any of them
    np.testing.assert_allclose(norms, expected_norms, rtol=1e-4)
    assert lists.starts[0] == 0
    assert lists.starts[-1] == len(lists.classes) == len(lists.weights)
    for found, expected in zip(as_dicts(lists), every, strict=True):
        assert len(found) == min(longest, len(expected))
        largest = sorted(expected.values(), reverse=True)[: len(found)]
        assert sorted(found.values(), reverse=True) == pytest.approx(largest, rel=1e-4)
        assert all(expected[c] == pytest.approx(weight, rel=1e-4) for c, weight in found.items())


def test_values_below_zero_are_summed_too(rng):
    X, classes = make_rows(rng)
    X[::3] *= -1
    lists, norms = fit_shortlists(reference.sparse(X), reference.targets(classes), N_CLASSES, 9)
    expected, expected_norms = reference.shortlists(X, classes, N_CLASSES, 9, 1)
    assert_same_lists(as_dicts(lists), expected)
    np.testing.assert_allclose(norms, expected_norms, rtol=1e-5)


@pytest.mark.parametrize("n_features", [0, 1])
def test_rows_without_features(n_features):
    empty = np.zeros(0, np.int32)
    rows = CSR(np.zeros(4, np.int64), empty, empty.astype(np.float32), n_features)
    lists, norms = fit_shortlists(rows, reference.targets([[0], [1], []]), 2, 3)
    assert lists.starts.tolist() == [0] * (n_features + 1)
    assert len(lists.classes) == 0
    assert norms.tolist() == [1, 1]


def test_one_feature_of_all_classes():
    n = 3_000
    rows = CSR(np.arange(n + 1), np.zeros(n, np.int32), np.linspace(1, 2, n).astype(np.float32), 1)
    lists, norms = fit_shortlists(rows, reference.targets([[c] for c in range(n)]), n, n)
    assert sorted(lists.classes.tolist()) == [*range(n)]
    np.testing.assert_allclose(lists.weights, 1, rtol=1e-6)
    np.testing.assert_allclose(norms, np.linspace(1, 2, n), rtol=1e-6)


@given(st.lists(st.lists(st.floats(-4, 4, width=16), max_size=9), max_size=6), st.integers(1, 5))
def test_the_largest_of_each_list_are_kept(values: list[list[float]], longest: int):
    starts = np.cumsum([0, *map(len, values)]).astype(np.int64)
    weights = np.array([*itertools.chain(*values)], np.float32)
    kept = np.zeros(len(weights), bool)
    new_starts = keep_largest(starts, weights, longest, kept)
    for i, each in enumerate(values):
        part = slice(starts[i], starts[i + 1])
        expected = sorted(each, reverse=True)[:longest]
        assert sorted(weights[part][kept[part]].tolist(), reverse=True) == expected
        assert new_starts[i + 1] - new_starts[i] == len(expected)
