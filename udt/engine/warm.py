"""Networks that go on learning: a finished one's weights, with room for more.

Row-wise Adagrad remembers in its accumulators how far each feature's row has moved. With them, a
feature that many rows have taught takes small steps, and a new one large steps: so what new rows
say is added, and what they say nothing of stays (Duchi et al., 2011).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.engine.network import Network, make_network
from udt.settings import NetworkSettings

I64 = npt.NDArray[np.int64]
F16 = npt.NDArray[np.float16]

ACCUMULATED = ("w_wide", "w_in", "w_out")
"""Arrays whose rows end with an accumulator while they are trained."""

_LARGEST = np.float32(np.finfo(np.float16).max)


def accumulators(network: Network) -> dict[str, F16]:
    """Return the square roots of a trained network's accumulators, by array that it has."""
    return {
        name: np.minimum(np.sqrt(getattr(network, name)[:, -1]), _LARGEST).astype(np.float16)
        for name in ACCUMULATED
        if getattr(network, name).size
    }


def resume(
    network: Network,
    accumulated: Mapping[str, npt.NDArray[Any]],
    *,
    n_features: int,
    n_classes: int,
    feature_ids: I64,
    class_ids: I64,
    init_scale: float,
    rng: np.random.Generator,
) -> Network:
    """Return a network to train that begins as a finished one, with new features and classes.

    A new class begins with the bias of the least frequent old one; a path that the finished
    network lacks, as one that has learned nothing.

    Parameters
    ----------
    network : Network
        As in a model: without accumulators.
    accumulated : mapping
        `accumulators` of its training.
    n_features, n_classes : int
        Numbers, the new ones included.
    feature_ids, class_ids : ndarray of int64
        The old features' and classes' new numbers.
    init_scale : float
        New embeddings start uniform in ± this.
    rng : numpy.random.Generator
        For these.
    """
    shape = NetworkSettings(width=network.width, init_scale=init_scale)
    new = make_network(n_features, n_classes, shape, rng)
    for old_bias, bias in ((network.b_wide, new.b_wide), (network.b_out, new.b_out)):
        bias[:] = old_bias.min(initial=0)
        bias[class_ids] = old_bias
    new.b_hidden[:] = network.b_hidden
    old_classes = np.arange(network.n_classes)
    if len(network.w_wide):
        new.w_wide[feature_ids[:, None], class_ids] = network.w_wide[:, old_classes]
        new.w_wide[feature_ids, -1] = _squared(accumulated, "w_wide")
    if network.width:
        new.w_in[feature_ids, : network.width] = network.w_in[:, : network.width]
        new.w_in[feature_ids, -1] = _squared(accumulated, "w_in")
        neurons = np.arange(network.width)
        new.w_out[neurons[:, None], class_ids] = network.w_out[:, old_classes]
        new.w_out[:, -1] = _squared(accumulated, "w_out")
    return new


def _squared(accumulated: Mapping[str, npt.NDArray[Any]], name: str) -> npt.NDArray[np.float32]:
    return np.asarray(accumulated[name].astype(np.float32) ** 2)
