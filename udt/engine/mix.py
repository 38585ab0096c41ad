"""Mixing the two paths: temperatures and shares found on held-out rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_MIN_T, _MAX_T = 0.25, 20.0
_GOLDEN = (5**0.5 - 1) / 2
_TINY = 1e-9


class Mix(NamedTuple):
    """``p = (1 − deep_share) · softmax(z_wide / t_wide) + deep_share · softmax(z_deep / t_deep)``.

    Temperatures: Guo et al. (2017).
    """

    deep_share: np.float32
    t_wide: np.float32
    t_deep: np.float32


WIDE_ONLY = Mix(np.float32(0), np.float32(1), np.float32(1))
"""The wide path as it is."""


def softmax(z: F32, temperature: float = 1.0) -> F32:
    """Return probabilities, shape (n_rows, n_classes).

    Examples
    --------
    >>> softmax(np.zeros((1, 2), np.float32)).tolist()
    [[0.5, 0.5]]
    """
    scaled = z / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def _nll(probability: npt.NDArray[np.floating]) -> float:
    """Return the mean NLL (nats) of the true classes' probabilities."""
    return float(-np.log(np.maximum(probability, _TINY)).mean())


def _true(z: F32, y: npt.NDArray[np.int32], temperature: float) -> F32:
    """Return the true classes' probabilities."""
    return softmax(z, temperature)[np.arange(len(y)), y]


def _best_temperature(z: F32, y: npt.NDArray[np.int32]) -> float:
    """Return the temperature of least NLL, by golden-section search on its logarithm."""
    low, high = np.log(_MIN_T), np.log(_MAX_T)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    f_left, f_right = (_nll(_true(z, y, np.exp(t))) for t in (left, right))
    while high - low > 0.02:
        if f_left < f_right:
            high, right, f_right = right, left, f_left
            left = high - _GOLDEN * (high - low)
            f_left = _nll(_true(z, y, np.exp(left)))
        else:
            low, left, f_left = left, right, f_right
            right = low + _GOLDEN * (high - low)
            f_right = _nll(_true(z, y, np.exp(right)))
    return float(np.exp((low + high) / 2))


def fit_mix(z_wide: F32, z_deep: F32, y: npt.NDArray[np.int32]) -> Mix:
    """Find both temperatures, then the deep path's share, each by held-out NLL.

    Parameters
    ----------
    z_wide, z_deep : ndarray of float32, shape (n_rows, n_classes)
        Logits; all zeros in z_deep = there is no deep path.
    y : ndarray of int32, shape (n_rows,)
        True classes.
    """
    t_wide = _best_temperature(z_wide, y)
    if not z_deep.any():
        return Mix(np.float32(0), np.float32(t_wide), np.float32(1))
    t_deep = _best_temperature(z_deep, y)
    p_wide, p_deep = _true(z_wide, y, t_wide), _true(z_deep, y, t_deep)
    losses = [_nll((1 - a) * p_wide + a * p_deep) for a in _SHARES]
    share = _SHARES[int(np.argmin(losses))]
    return Mix(np.float32(share), np.float32(t_wide), np.float32(t_deep))


def mix_probas(z_wide: F32, z_deep: F32, mix: Mix) -> F32:
    """Return the mixed probabilities, shape (n_rows, n_classes).

    The logits of a path without a share are not looked at.
    """
    if mix.deep_share <= 0:
        return softmax(z_wide, float(mix.t_wide))
    deep = softmax(z_deep, float(mix.t_deep))
    if mix.deep_share < 1:
        deep *= mix.deep_share
        deep += (1 - mix.deep_share) * softmax(z_wide, float(mix.t_wide))
    return deep


def row_losses(z_wide: F32, z_deep: F32, y: npt.NDArray[np.int32], mix: Mix) -> F32:
    """Return each row's NLL (nats) under the mixed probabilities."""
    probability = mix_probas(z_wide, z_deep, mix)[np.arange(len(y)), y]
    return np.asarray(-np.log(np.maximum(probability, np.float32(_TINY))), np.float32)


def mix_loss(z_wide: F32, z_deep: F32, y: npt.NDArray[np.int32], mix: Mix) -> tuple[float, float]:
    """Return (NLL in nats, accuracy) of the mixed probabilities."""
    probas = mix_probas(z_wide, z_deep, mix)
    accuracy = float((probas.argmax(axis=1) == y).mean())
    return _nll(probas[np.arange(len(y)), y]), accuracy
