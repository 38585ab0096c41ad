"""Weights against the formula, groups against their shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference
from tests.strategies import csr_rows
from udt.csr import CSR, one_class
from udt.featurizers import weighting
from udt.featurizers.weighting import class_information, place_block, weigh_rows


def random_rows(rng: np.random.Generator, n_rows: int, n_features: int) -> CSR:
    held = rng.random((n_rows, n_features)) < rng.random(n_features)
    return reference.sparse(held * rng.uniform(0.5, 2, held.shape))


def prior_of(y: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(y[y >= 0], minlength=n_classes) / max(1, (y >= 0).sum())


@pytest.mark.parametrize("n_classes", [2, 3, 40])
def test_class_information_is_the_formula(rng, n_classes):
    rows = random_rows(rng, 120, 30)
    y = rng.integers(-1, n_classes, 120).astype(np.int32)
    prior = rng.dirichlet(np.ones(n_classes))
    df, kl = class_information(rows, one_class(y), 30, prior)
    expected = reference.class_information(reference.dense(rows) > 0, y, prior)
    assert (df.dtype, kl.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(df, expected[0])
    np.testing.assert_allclose(kl, expected[1], rtol=1e-5, atol=1e-7)


@given(csr_rows(max_rows=12), st.data())
def test_class_information_of_any_rows(rows, data):
    labels = st.lists(st.integers(-1, 3), min_size=rows.n_rows, max_size=rows.n_rows)
    y = np.array(data.draw(labels), np.int32)
    prior = np.maximum(prior_of(y, 4), 1e-12)
    df, kl = class_information(rows, one_class(y), rows.n_features, prior)
    expected = reference.class_information(reference.dense(rows) > 0, y, prior)
    np.testing.assert_array_equal(df, expected[0])
    np.testing.assert_allclose(kl, expected[1], rtol=1e-4, atol=1e-5)
    assert (kl >= 0).all()


def test_held_out_rows_do_not_count(rng):
    rows = random_rows(rng, 60, 20)
    y = rng.integers(0, 3, 60).astype(np.int32)
    y[::3] = -1
    kept = reference.sparse(reference.dense(rows)[y >= 0])
    some = class_information(rows, one_class(y), 20, prior_of(y, 3))
    fewer = class_information(kept, one_class(y[y >= 0]), 20, prior_of(y, 3))
    for a, b in zip(some, fewer, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_feature_that_says_nothing_weighs_nothing_and_a_sure_one_most():
    X = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 0]])
    rows, y = reference.sparse(X), np.array([0, 0, 1, 1], np.int32)
    df, kl = class_information(rows, one_class(y), 3, np.array([0.5, 0.5]))
    assert df.tolist() == [4, 2, 1]
    assert kl[0] == 0
    assert kl[1] > kl[2] > 0


@st.composite
def groupings(draw: st.DrawFn) -> tuple[CSR, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, a selection with its weights and groups, and the groups' shares."""
    rows = draw(csr_rows())
    chosen = draw(st.permutations(range(rows.n_features)))
    chosen = chosen[: draw(st.integers(0, rows.n_features))]
    shares = draw(st.lists(st.floats(0.125, 1, width=32), min_size=1, max_size=4))
    positive = st.floats(0.0625, 4, width=32)
    weights = [draw(positive) for _ in chosen]
    groups = [draw(st.integers(0, len(shares) - 1)) for _ in chosen]
    new_ids = np.full(rows.n_features, -1, np.int32)
    new_ids[chosen] = np.arange(len(chosen))
    return (
        rows,
        new_ids,
        np.array(weights, np.float32),
        np.array(groups, np.uint8),
        np.array(shares, np.float32),
    )


@given(groupings())
def test_rows_are_selected_weighed_and_scaled(drawn):
    rows, new_ids, weights, groups, shares = drawn
    found = CSR(*weigh_rows(rows, new_ids, weights, groups, shares), len(weights))
    assert (found.indptr.dtype, found.indices.dtype, found.values.dtype) == ("i8", "i4", "f4")
    selected = np.zeros((rows.n_rows, len(weights)))
    kept = new_ids >= 0
    selected[:, new_ids[kept]] = reference.dense(rows)[:, kept]
    expected = reference.weigh(selected, weights, groups, shares)
    np.testing.assert_allclose(reference.dense(found), expected, rtol=1e-4)
    norms = (reference.dense(found) ** 2).sum(axis=1)
    np.testing.assert_allclose(norms[np.diff(found.indptr) > 0], shares.sum(), rtol=1e-4)
    assert len(found.indices) == (selected != 0).sum()


def test_each_group_has_its_share_and_an_absent_one_gives_it_away():
    rows = reference.sparse(np.array([[1.0, 1, 1, 1, 0], [0, 0, 3, 4, 0], [0, 0, 0, 0, 0]]))
    new_ids = np.array([0, 1, 2, 3, -1], np.int32)
    groups = np.array([0, 0, 1, 1], np.uint8)
    shares = np.array([0.7, 0.3], np.float32)
    weights = np.ones(4, np.float32)
    squares = reference.dense(CSR(*weigh_rows(rows, new_ids, weights, groups, shares), 4)) ** 2
    np.testing.assert_allclose(
        squares, [[0.35, 0.35, 0.15, 0.15], [0, 0, 0.36, 0.64], [0, 0, 0, 0]], rtol=1e-5
    )


@given(st.lists(csr_rows(), min_size=1, max_size=3))
def test_blocks_are_placed_side_by_side(blocks):
    n_rows = min(block.n_rows for block in blocks)
    blocks = [reference.sparse(reference.dense(block)[:n_rows]) for block in blocks]
    lengths = sum(np.diff(block.indptr) for block in blocks)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    indices = np.full(indptr[-1], -1, np.int32)
    values = np.zeros(indptr[-1], np.float32)
    at, first = indptr[:-1].copy(), 0
    for block in blocks:
        place_block(block, first, at, indices, values)
        first += block.n_features
    np.testing.assert_array_equal(at, indptr[1:])
    expected = np.concatenate([reference.dense(block) for block in blocks], axis=1)
    np.testing.assert_array_equal(reference.dense(CSR(indptr, indices, values, first)), expected)


@pytest.fixture(scope="module")
def uncompiled():
    return reference.uncompiled("udt.featurizers.weighting")


@given(groupings(), st.data())
@settings(max_examples=30)
def test_compiled_and_python_agree(uncompiled, drawn, data):
    rows, *others = drawn
    labels = st.lists(st.integers(-1, 2), min_size=rows.n_rows, max_size=rows.n_rows)
    y = np.array(data.draw(labels), np.int32)
    prior = np.maximum(prior_of(y, 3), 1e-12)
    arguments = (rows, one_class(y), rows.n_features, prior)
    for name, given_ in (("class_information", arguments), ("weigh_rows", (rows, *others))):
        compiled = getattr(weighting, name)(*given_)
        for a, b in zip(compiled, getattr(uncompiled, name)(*given_), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
