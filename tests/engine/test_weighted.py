"""Weights of rows in training: a gradient is as many times longer, and a mean counts them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import WITHOUT_JIT
from tests.engine.test_train import SETTINGS, SHAPE, make_task
from udt.csr import one_class
from udt.engine.many_train import train_many
from udt.engine.mix import fit_mix, mix_probas, row_losses, softmax
from udt.engine.train import logits, train
from udt.settings import ManySettings

N_ROWS = 160 if WITHOUT_JIT else 600


def test_weights_that_are_all_1_change_nothing(rng):
    rows, y = make_task(rng, N_ROWS)
    plain = train(rows, one_class(y), 3, SHAPE, SETTINGS)
    ones = one_class(y)._replace(weights=np.ones(N_ROWS, np.float32))
    weighted = train(rows, ones, 3, SHAPE, SETTINGS)
    for a, b in zip(plain.network, weighted.network, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("path", [0, 1])
def test_a_heavy_class_is_predicted_more_by_either_path(rng, path):
    rows, y = make_task(rng, N_ROWS)
    noisy = np.where(rng.random(N_ROWS) < 0.4, rng.integers(0, 3, N_ROWS), y)
    targets = one_class(noisy)
    heavy = np.where(noisy == 2, 8, 1).astype(np.float32)

    def share(weights: np.ndarray) -> float:
        trained = train(rows, targets._replace(weights=weights), 3, SHAPE, SETTINGS)
        z = logits(trained.network, rows)[path]
        return float((z.argmax(axis=1) == 2).mean())

    assert share(heavy) > share(np.ones(N_ROWS, np.float32)) + 0.1


def test_the_many_class_network_too(rng):
    n_classes = 12
    rows, y = make_task(rng, N_ROWS, n_classes=n_classes, n_features=60)
    noisy = np.where(rng.random(N_ROWS) < 0.5, rng.integers(0, n_classes, N_ROWS), y)
    targets = one_class(noisy)

    def bias(weight: float) -> float:
        weights = np.where(noisy == 2, weight, 1).astype(np.float32)
        settings = ManySettings(n_best=6, n_drawn=3, width=8, epochs=3)
        network = train_many(rows, targets._replace(weights=weights), n_classes, settings).network
        return float(network.b[2] - network.b.mean())

    assert bias(8.0) > bias(1.0)


def test_mixing_counts_rows_by_their_weights(rng):
    z = rng.normal(0, 2, (300, 3)).astype(np.float32)
    y = np.where(rng.random(300) < 0.5, z.argmax(axis=1), rng.integers(0, 3, 300))
    times = rng.integers(1, 4, 300)
    weighted = one_class(y)._replace(weights=times.astype(np.float32))
    repeated = one_class(np.repeat(y, times))
    none = np.zeros_like(z)
    mix = fit_mix(z, none, weighted)
    again = fit_mix(np.repeat(z, times, axis=0), np.repeat(none, times, axis=0), repeated)
    assert mix.t_wide == pytest.approx(again.t_wide, rel=0.02)
    losses = row_losses(mix_probas(z, none, mix), weighted, mix)
    expected = -np.log(softmax(z, float(mix.t_wide))[np.arange(300), y])
    assert losses.mean() == pytest.approx(np.average(expected, weights=times), rel=1e-4)
