"""Few rows: how far predictions are drawn towards the classes' shares."""

import numpy as np
import pytest

from udt.csr import one_class
from udt.engine.prior import fit_prior, link_prior


def sharp(rng, y, n_classes, right):
    """Return probabilities that are very sure, and right in a share of the rows."""
    guess = np.where(rng.random(len(y)) < right, y, rng.integers(0, n_classes, len(y)))
    p = np.full((len(y), n_classes), 0.05 / (n_classes - 1), np.float32)
    p[np.arange(len(y)), guess] = 0.95
    return p


def loss(p, y):
    return -np.log(p[np.arange(len(y)), y]).mean()


def test_noise_is_drawn_to_the_shares(rng):
    y = rng.choice(3, 300, p=[0.7, 0.2, 0.1])
    p = sharp(rng, y, 3, 0.0)
    linked = link_prior(p, fit_prior(p, one_class(y)))
    np.testing.assert_allclose(linked.sum(axis=1), 1, atol=1e-5)
    assert loss(linked, y) < 0.9 < loss(p, y)
    assert (linked.argmax(axis=1) == 0).all()


def test_what_is_right_stays(rng):
    y = rng.integers(0, 3, 300)
    p = sharp(rng, y, 3, 0.93)
    links = fit_prior(p, one_class(y))
    assert (link_prior(p, links).argmax(axis=1) == p.argmax(axis=1)).all()
    assert loss(link_prior(p, links), y) <= loss(p, y) + 1e-6


@pytest.mark.parametrize(("n_rows", "n_classes"), [(9, 2), (99, 20), (2001, 2)])
def test_only_small_tables_with_rows_of_each_class_are_linked(rng, n_rows, n_classes):
    y = rng.integers(0, n_classes, n_rows)
    p = sharp(rng, y, n_classes, 0.0)
    assert len(fit_prior(p, one_class(y))) == 0
    assert link_prior(p, np.zeros(0, np.float32)) is p
