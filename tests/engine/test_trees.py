"""Trees as arrays: they say what scikit-learn's booster says."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from udt.engine import trees
from udt.engine.mix import softmax

SETTINGS = {
    "n_iterations": 12, "learning_rate": 0.3, "max_leaves": 9, "min_leaf_rows": 3, "l2": 0.5,
}  # fmt: skip


def make(n_classes: int, n_rows: int = 400, seed: int = 0):
    """Return numbers, missing ones and codes among them, and classes that depend on pairs."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 5))
    x[:, 1] = rng.integers(0, 12, n_rows)
    x[:, 3] = rng.integers(0, 4, n_rows)
    score = x[:, 0] * np.where(x[:, 1] % 3 == 0, 1, -1) + (x[:, 3] == 2) + x[:, 4] ** 2
    y = np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))
    x[rng.random(n_rows) < 0.2, 0] = np.nan
    x[rng.random(n_rows) < 0.2, 1] = np.nan
    x[rng.random(n_rows) < 0.1, 4] = np.nan
    return x, y.astype(np.int32), np.array([False, True, False, True, False])


def booster(x, y, categorical):
    """Return scikit-learn's own, fitted with the same settings."""
    s = SETTINGS
    return HistGradientBoostingClassifier(
        learning_rate=s["learning_rate"], max_iter=s["n_iterations"],
        max_leaf_nodes=s["max_leaves"], min_samples_leaf=s["min_leaf_rows"],
        l2_regularization=s["l2"], categorical_features=categorical, early_stopping=False,
        random_state=0,
    ).fit(x, y)  # fmt: skip


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_probabilities_are_those_of_scikit_learn(n_classes):
    x, y, categorical = make(n_classes)
    grown = trees.grow(x, y, categorical, **SETTINGS)
    seen, _, _ = make(n_classes, 300, seed=1)
    seen[:5, 0] = [np.inf, -np.inf, 1e308, -1e308, 0]
    theirs = booster(x, y, categorical)
    expected = theirs.predict_proba(np.clip(seen, -8e307, 8e307))
    got = softmax(trees.log_odds(grown, seen, n_classes))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_scores_are_those_of_scikit_learn_to_seven_digits():
    x, y, categorical = make(4)
    grown = trees.grow(x, y, categorical, **SETTINGS)
    expected = booster(x, y, categorical)._raw_predict(x)
    np.testing.assert_allclose(trees.raw_scores(grown, x), expected, rtol=1e-6, atol=1e-6)


def test_an_unseen_code_goes_where_missing_ones_go():
    x, y, categorical = make(2)
    grown = trees.grow(x, y, categorical, **SETTINGS)
    unseen, missing = x.copy(), x.copy()
    unseen[:, 1], missing[:, 1] = 99, np.nan
    np.testing.assert_array_equal(trees.raw_scores(grown, unseen), trees.raw_scores(grown, missing))


def test_codes_with_gaps_are_kept_as_they_are():
    x, y, categorical = make(2)
    gaps = x.copy()
    gaps[:, 1] = x[:, 1] * 7 + 3
    plain = trees.raw_scores(trees.grow(x, y, categorical, **SETTINGS), x)
    spread = trees.raw_scores(trees.grow(gaps, y, categorical, **SETTINGS), gaps)
    np.testing.assert_array_equal(plain, spread)


def test_the_first_rounds_are_those_of_a_shorter_run():
    x, y, categorical = make(3)
    grown = trees.grow(x, y, categorical, **SETTINGS)
    short = trees.grow(x, y, categorical, **{**SETTINGS, "n_iterations": 5})
    np.testing.assert_array_equal(trees.raw_scores(grown.first(5), x), trees.raw_scores(short, x))
    assert grown.first(12) is grown
    assert len(grown.first(5).column) < len(grown.column)


def test_rows_of_one_class_grow_no_trees():
    x, _, categorical = make(2)
    assert trees.grow(x, np.zeros(len(x), np.int32), categorical, **SETTINGS) is None


def test_a_class_that_was_not_seen_is_least_likely():
    x, y, categorical = make(3)
    grown = trees.grow(x, np.where(y == 2, 3, y), categorical, **SETTINGS)
    p = softmax(trees.log_odds(grown, x, 5))
    assert p.shape == (len(x), 5)
    assert (p[:, [2, 4]].max(axis=1) < p[:, [0, 1, 3]].min(axis=1)).all()


@pytest.mark.parametrize("column", [np.nan, 1e300, -np.inf, 0.0])
def test_a_column_without_information_does_not_matter(column):
    x, y, categorical = make(2)
    x[:, 2] = column
    grown = trees.grow(x, y, categorical, **SETTINGS)
    assert np.isfinite(trees.raw_scores(grown, x)).all()
    other = x.copy()
    other[:, 2] = 17
    np.testing.assert_array_equal(trees.raw_scores(grown, x), trees.raw_scores(grown, other))


def test_row_weights_count_rows_twice():
    x, y, categorical = make(2)
    twice = trees.grow(
        np.concatenate([x, x[y == 1]]), np.concatenate([y, y[y == 1]]), categorical, **SETTINGS
    )
    weighted = trees.grow(x, y, categorical, weights=1.0 + (y == 1), **SETTINGS)
    assert weighted.baseline == pytest.approx(twice.baseline)
    plain = trees.grow(x, y, categorical, **SETTINGS)
    assert weighted.baseline > plain.baseline + 0.5
