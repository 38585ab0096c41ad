"""Calibration of several labels a row: rivals count, and few rows change nothing."""

from __future__ import annotations

import numpy as np

from udt.csr import Targets
from udt.engine.links import AS_IT_IS, fit_links, link
from udt.metrics import calibration_error

N_CLASSES = 6


def rivals(rng: np.random.Generator, n: int) -> tuple[np.ndarray, Targets]:
    """Rows that have one label each, and sigmoids that do not know it: too sure of several."""
    z = rng.normal(-1.5, 2, (n, N_CLASSES))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, N_CLASSES - 1)
    sigmoids = (1 / (1 + np.exp(-z))).astype(np.float32)
    return sigmoids, Targets(np.arange(n + 1), y.astype(np.int32))


def top_error(p: np.ndarray, targets: Targets) -> float:
    top = p.argmax(axis=1)
    return calibration_error(targets.contain(top), p[np.arange(len(p)), top])


def loss(p: np.ndarray, targets: Targets) -> float:
    there = np.zeros(p.shape, bool)
    there[targets.rows, targets.ids] = True
    return float(-np.log(np.where(there, p, 1 - p).clip(1e-7)).sum(axis=1).mean())


def test_rival_labels_are_taken_into_account(rng):
    links = fit_links(*rivals(rng, 3_000))
    assert len(links) == N_CLASSES + 2
    assert links[1] > 0  # the more the others are probable, the less is each
    p, targets = rivals(rng, 3_000)  # others than it was fitted on
    linked = link(p, links)
    assert linked.dtype == np.float32
    assert ((linked >= 0) & (linked <= 1)).all()
    assert top_error(linked, targets) < 0.65 * top_error(p, targets)
    assert loss(linked, targets) < 0.95 * loss(p, targets)


def test_calibrated_probabilities_stay_about_as_they_are(rng):
    p = rng.uniform(0.02, 0.6, (4_000, 3)).astype(np.float32)
    there = rng.random(p.shape) < p
    targets = Targets(np.append(0, there.sum(axis=1).cumsum()), there.nonzero()[1].astype(np.int32))
    linked = link(p, fit_links(p, targets))
    assert np.abs(linked - p).max() < 0.08
    assert np.abs(linked - p).mean() < 0.02


def test_weights_count_as_repeated_rows(rng):
    p, targets = rivals(rng, 400)
    times = rng.integers(1, 4, 400)
    weighted = fit_links(p, targets._replace(weights=times.astype(np.float32)))
    again = np.repeat(np.arange(400), times)
    repeated = fit_links(p[again], targets.take(again))
    assert np.allclose(weighted[:2], repeated[:2], atol=0.1)


def test_few_rows_and_no_links(rng):
    p, targets = rivals(rng, 50)
    assert fit_links(p, targets) is AS_IT_IS
    assert link(p, AS_IT_IS) is p
