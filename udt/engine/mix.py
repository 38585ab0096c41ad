"""Mixing the two paths: temperatures and shares found on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import Targets

F32 = npt.NDArray[np.float32]

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_MIN_T, _MAX_T = 0.25, 20.0
_GOLDEN = (5**0.5 - 1) / 2
_TINY = 1e-9


NEVER = np.float32(2)
"""More than any confidence: every row takes the deep path."""


class Mix(NamedTuple):
    """``p = (1 − deep_share) · f(z_wide / t_wide) + deep_share · f(z_deep / t_deep)``.

    f is the softmax over the classes, or the sigmoid of each where a row may have several.
    Temperatures: Guo et al. (2017). Where the wide path alone is at least as sure as exit_above,
    its word is final and the deep path is not computed.
    """

    deep_share: np.float32
    t_wide: np.float32
    t_deep: np.float32
    sigmoid: bool = False
    exit_above: np.float32 = NEVER

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        numbers = {k: float(v) for k, v in self._asdict().items() if k != "sigmoid"}
        return numbers | {"sigmoid": self.sigmoid}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Mix:
        """Rebuild from `to_dict`'s result."""
        share, t_wide, t_deep = (np.float32(d[k]) for k in ("deep_share", "t_wide", "t_deep"))
        return cls(share, t_wide, t_deep, bool(d["sigmoid"]), np.float32(d["exit_above"]))


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


def sigmoid(z: F32, temperature: float = 1.0) -> F32:
    """Return independent probabilities, shape (n_rows, n_classes).

    Examples
    --------
    >>> sigmoid(np.zeros((1, 2), np.float32)).tolist()
    [[0.5, 0.5]]
    """
    scaled = z * np.float32(0.5 / temperature)
    np.tanh(scaled, out=scaled)  # does not overflow
    scaled += 1
    scaled *= np.float32(0.5)
    return scaled


def _right(p: F32, targets: Targets, *, is_sigmoid: bool) -> F32:
    """Return the probabilities given to what is true; mixing probabilities mixes these.

    Of a softmax those of the row's classes, shape (len(targets.ids),); of sigmoids those of each
    class being there or not, shape (n_rows, n_classes).
    """
    at = targets.rows, targets.ids
    if not is_sigmoid:
        return p[at]
    right = 1 - p
    right[at] = p[at]
    return right


def _losses(right: F32, targets: Targets) -> F32:
    """Return each row's NLL (nats): the mean of its classes, or with sigmoids the sum of all.

    Times the row's weight, if rows have weights.
    """
    losses = -np.log(np.maximum(right, np.float32(_TINY)))
    if losses.ndim == 2:
        return targets.weighted(np.asarray(losses.sum(axis=1)))
    totals = np.bincount(targets.rows, losses, targets.n_rows)
    return targets.weighted((totals / np.maximum(targets.counts, 1)).astype(np.float32))


def least_loss_temperature(loss: Callable[[float], float]) -> float:
    """Return the temperature of least loss, by golden-section search on its logarithm."""

    def at(log_t: float) -> float:
        return loss(float(np.exp(log_t)))

    low, high = np.log(_MIN_T), np.log(_MAX_T)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    f_left, f_right = at(left), at(right)
    while high - low > 0.02:
        if f_left < f_right:
            high, right, f_right = right, left, f_left
            left = high - _GOLDEN * (high - low)
            f_left = at(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + _GOLDEN * (high - low)
            f_right = at(right)
    return float(np.exp((low + high) / 2))


def _best_temperature(z: F32, targets: Targets, *, is_sigmoid: bool) -> float:
    link = sigmoid if is_sigmoid else softmax

    def loss(temperature: float) -> float:
        right = _right(link(z, temperature), targets, is_sigmoid=is_sigmoid)
        return float(_losses(right, targets).mean())

    return least_loss_temperature(loss)


def fit_mix(z_wide: F32, z_deep: F32, targets: Targets, *, sigmoid: bool = False) -> Mix:
    """Find both temperatures, then the deep path's share, each by held-out NLL.

    Parameters
    ----------
    z_wide, z_deep : ndarray of float32, shape (n_rows, n_classes)
        Logits; all zeros in z_deep = there is no deep path.
    targets : Targets
        True classes.
    sigmoid : bool
        Whether each class is a question of its own.
    """
    t_wide = _best_temperature(z_wide, targets, is_sigmoid=sigmoid)
    if not z_deep.any():
        return Mix(np.float32(0), np.float32(t_wide), np.float32(1), sigmoid)
    t_deep = _best_temperature(z_deep, targets, is_sigmoid=sigmoid)
    ends = [Mix(np.float32(a), np.float32(t_wide), np.float32(t_deep), sigmoid) for a in (0, 1)]
    wide, deep = (
        _right(mix_probas(z_wide, z_deep, end), targets, is_sigmoid=sigmoid) for end in ends
    )
    losses = [_losses((1 - a) * wide + a * deep, targets).mean() for a in _SHARES]
    return ends[0]._replace(deep_share=np.float32(_SHARES[int(np.argmin(losses))]))


def mix_probas(z_wide: F32, z_deep: F32, mix: Mix) -> F32:
    """Return the mixed probabilities, shape (n_rows, n_classes).

    The logits of a path without a share are not looked at.
    """
    link = sigmoid if mix.sigmoid else softmax
    if mix.deep_share <= 0:
        return link(z_wide, float(mix.t_wide))
    mixed = link(z_deep, float(mix.t_deep))
    if mix.deep_share < 1 or mix.exit_above <= 1:
        wide = link(z_wide, float(mix.t_wide))
        mixed *= mix.deep_share
        mixed += (1 - mix.deep_share) * wide
        sure = confidence(wide, is_sigmoid=mix.sigmoid) >= mix.exit_above
        mixed[sure] = wide[sure]
    return mixed


def confidence(p: F32, *, is_sigmoid: bool) -> F32:
    """Return how sure each row's answer is: its top probability, or that of its least sure class.

    Examples
    --------
    >>> p = np.array([[0.25, 0.75]], np.float32)
    >>> confidence(p, is_sigmoid=False).tolist(), confidence(1 - p, is_sigmoid=True).tolist()
    ([0.75], [0.75])
    """
    return np.asarray(np.maximum(p, 1 - p).min(axis=1) if is_sigmoid else p.max(axis=1))


def row_losses(probas: F32, targets: Targets, mix: Mix) -> F32:
    """Return each row's NLL (nats) under mixed probabilities, times its weight, shape (n_rows,)."""
    return _losses(_right(probas, targets, is_sigmoid=mix.sigmoid), targets)


def mix_loss(z_wide: F32, z_deep: F32, targets: Targets, mix: Mix) -> tuple[float, float]:
    """Return (NLL in nats, accuracy) of the mixed probabilities.

    A row counts as right if its most probable class is one of its classes.
    """
    probas = mix_probas(z_wide, z_deep, mix)
    accuracy = float(targets.contain(probas.argmax(axis=1)).mean())
    return float(row_losses(probas, targets, mix).mean()), accuracy
