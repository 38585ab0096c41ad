"""Temperatures and shares found on held-out rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from tests.conftest import WITHOUT_JIT
from udt.csr import one_class
from udt.engine.mix import WIDE_ONLY, Mix, fit_mix, mix_loss, mix_probas, softmax

N_ROWS = 1_000 if WITHOUT_JIT else 6_000


def draw_classes(rng: np.random.Generator, z: np.ndarray) -> np.ndarray:
    """Draw each row's class from softmax(z)."""
    above = rng.random((len(z), 1)) < np.cumsum(reference.softmax(z), axis=1)
    return np.argmax(above, axis=1).astype(np.int32)


def noise(rng: np.random.Generator, n_classes: int = 4, scale: float = 1.5) -> np.ndarray:
    return rng.normal(scale=scale, size=(N_ROWS, n_classes)).astype(np.float32)


def nll(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(p[np.arange(len(y)), y]).mean())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_of_the_truth_is_found(rng, temperature):
    z = noise(rng)
    mix = fit_mix(z * np.float32(temperature), np.zeros_like(z), one_class(draw_classes(rng, z)))
    assert mix.deep_share == 0
    assert mix.t_wide == pytest.approx(temperature, rel=0.1)
    assert all(isinstance(value, np.float32) for value in mix[:3])


def test_the_path_that_knows_gets_the_share(rng):
    truth, other = noise(rng), noise(rng)
    y = draw_classes(rng, truth)
    assert fit_mix(truth, other, one_class(y)).deep_share == 0
    assert fit_mix(other, truth, one_class(y)).deep_share == 1
    assert 0 < fit_mix(truth + other, truth - other, one_class(y)).deep_share < 1


def test_the_mix_is_no_worse_than_either_path(rng):
    truth = noise(rng)
    z_wide, z_deep = 3 * truth + noise(rng), 0.4 * (truth + noise(rng))
    y = draw_classes(rng, truth)
    mix = fit_mix(z_wide, z_deep, one_class(y))
    loss, accuracy = mix_loss(z_wide, z_deep, one_class(y), mix)
    for z in (z_wide, z_deep):
        single = min(nll(reference.softmax(z / t), y) for t in np.geomspace(0.1, 20, 40))
        assert loss <= single + 1e-3
    probas = mix_probas(z_wide, z_deep, mix)
    assert loss == pytest.approx(nll(probas, y), rel=1e-5)
    assert accuracy == (probas.argmax(axis=1) == y).mean()


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_mixed_probabilities_are_the_formula(rng, share):
    z_wide, z_deep = noise(rng), noise(rng)
    mix = Mix(np.float32(share), np.float32(0.5), np.float32(2))
    probas = mix_probas(z_wide, z_deep, mix)
    wide, deep = reference.softmax(z_wide / 0.5), reference.softmax(z_deep / 2)
    np.testing.assert_allclose(probas, (1 - share) * wide + share * deep, atol=1e-6)
    assert probas.dtype == np.float32


def test_extreme_logits_stay_probabilities():
    z = np.array([[1e4, -1e4, 0], [-1e37, 1e37, 0]], np.float32)
    np.testing.assert_array_equal(softmax(z), [[1, 0, 0], [0, 1, 0]])
    mix = fit_mix(z, z, one_class(np.array([1, 0], np.int32)))
    loss, accuracy = mix_loss(z, z, one_class(np.array([1, 0])), mix)
    assert np.isfinite(loss)
    assert accuracy == 0


def test_softmax_leaves_its_argument_as_it_is(rng):
    z = noise(rng)
    before = z.copy()
    softmax(z)
    np.testing.assert_array_equal(z, before)


def test_one_row_and_one_certain_class():
    z = np.array([[4, 0]], np.float32)
    mix = fit_mix(z, np.zeros_like(z), one_class(np.zeros(1, np.int32)))
    assert mix.t_wide > 0
    assert mix_probas(z, np.zeros_like(z), mix)[0, 0] > 0.99
    assert WIDE_ONLY == (0, 1, 1, False, 2)
