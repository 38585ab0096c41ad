"""Network and trees as one answer."""

from __future__ import annotations

import numpy as np
import pytest

from udt.engine.mix import softmax
from udt.stack import pool

RNG = np.random.default_rng(0)
PROBAS = softmax(RNG.normal(size=(20, 4)).astype(np.float32))
Z = RNG.normal(size=(20, 4)).astype(np.float32)


def test_a_share_of_nothing_leaves_the_network_as_it_is():
    np.testing.assert_allclose(pool(PROBAS, Z, 0.0, 1.0), PROBAS, atol=1e-6)


def test_a_share_of_all_is_what_the_trees_say():
    np.testing.assert_allclose(pool(PROBAS, Z, 1.0, 1.0), softmax(Z), atol=1e-6)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_two_that_agree_are_not_more_sure(share):
    together = pool(PROBAS, np.log(PROBAS), share, 1.0)
    np.testing.assert_allclose(together, PROBAS, atol=1e-6)


def test_probabilities_sum_to_one_and_heat_makes_them_even():
    warm, hot = (pool(PROBAS, Z, 0.5, t) for t in (1.0, 10.0))
    np.testing.assert_allclose(warm.sum(axis=1), 1, atol=1e-6)
    assert (hot.max(axis=1) < warm.max(axis=1)).all()


def test_a_class_that_one_of_them_excludes_is_not_lost():
    sure = np.array([[1.0, 0.0]], np.float32)
    p = pool(sure, np.array([[-50.0, 50.0]], np.float32), 0.5, 1.0)
    assert np.isfinite(p).all()
    assert p[0] == pytest.approx([0.5, 0.5], abs=0.01)
