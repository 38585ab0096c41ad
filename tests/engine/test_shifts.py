"""Factors of the probabilities: highest macro-F1, and only where they pay."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import f1_score

from udt.csr import one_class
from udt.engine.shifts import AS_PROBABLE, choose, fit_factors


def calibrated(
    rng: np.random.Generator, n: int, prior: np.ndarray, noise: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities from which they are drawn."""
    z = np.log(prior) + rng.normal(0, noise, (n, len(prior)))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1)
    return p.astype(np.float32), y


def macro(y: np.ndarray, guess: np.ndarray) -> float:
    return float(f1_score(y, guess, average="macro"))


def test_a_rare_class_gets_a_lower_threshold(rng):
    prior = np.array([0.9, 0.1])
    p, y = calibrated(rng, 4_000, prior)
    factors = fit_factors(p, one_class(y))
    assert len(factors) == 2
    assert 0.1 < factors[0] < 0.5  # the threshold on the second one's probability
    assert factors.sum() == np.float32(1)
    p, y = calibrated(rng, 4_000, prior)  # others than it was fitted on
    assert macro(y, choose(p, factors)) > macro(y, p.argmax(axis=1)) + 0.02


def test_the_threshold_is_the_best_one_of_all(rng):
    p, y = calibrated(rng, 1_000, np.array([0.85, 0.15]))
    from udt.engine import shifts

    log_factor = shifts._best_log_factor(p.astype(np.float64), y, np.ones(len(y)), np.zeros(2), 1)
    found = macro(y, choose(p, np.exp([0, log_factor]).astype(np.float32)))
    cuts = np.sort(p[:, 1])
    tried = [macro(y, (p[:, 1] >= cut).astype(int)) for cut in cuts[::5]]
    assert found >= max(tried) - 1e-9


def test_several_classes(rng):
    prior = np.array([0.7, 0.2, 0.07, 0.03])
    p, y = calibrated(rng, 6_000, prior)
    factors = fit_factors(p, one_class(y))
    assert len(factors) == 4
    assert factors[3] > factors[0]
    p, y = calibrated(rng, 6_000, prior)
    assert macro(y, choose(p, factors)) > macro(y, p.argmax(axis=1)) + 0.02


def test_none_where_they_do_not_pay(rng):
    p, y = calibrated(rng, 2_000, np.array([0.5, 0.5]), noise=6.0)
    sure = np.eye(2, dtype=np.float32)[y]
    assert fit_factors(sure, one_class(y)) is AS_PROBABLE
    assert fit_factors(p[:12], one_class(y[:12])) is AS_PROBABLE  # too few rows
    many = np.full((100, 100), 0.01, np.float32)
    assert fit_factors(many, one_class(np.arange(100))) is AS_PROBABLE


def test_weights_count_as_repeated_rows(rng):
    p, y = calibrated(rng, 1_000, np.array([0.8, 0.2]))
    from udt.engine import shifts

    times = rng.integers(1, 4, len(y))
    weighted = shifts._best_log_factor(
        p.astype(np.float64), y, times.astype(np.float64), np.zeros(2), 1
    )
    repeated = shifts._best_log_factor(
        np.repeat(p, times, axis=0).astype(np.float64), np.repeat(y, times),
        np.ones(times.sum()), np.zeros(2), 1,
    )  # fmt: skip
    assert weighted == repeated
