"""The sparse wide network: its arrays, and one thread's scratch.

Two paths over the same sparse features, each with its own softmax loss:

- *wide*: ``z_wide = b_wide + Σ_f v_f · w_wide[f]`` — a linear model, started at zero;
- *deep*: ``hidden = relu(b_hidden + Σ_f v_f · w_in[f])``, ``z_deep = b_out + hidden · w_out``.

The prediction mixes their probabilities (see `udt.engine.mix`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.engine.mix import Mix
from udt.settings import NetworkSettings

F32 = npt.NDArray[np.float32]

_BLOCK = 16  # float32 in a cache line
_HALF_MAX = np.float32(np.finfo(np.float16).max)


class Network(NamedTuple):
    """Weights, shared by all threads.

    A feature's row in ``w_wide`` and ``w_in`` ends with its Adagrad accumulator, so that the
    update touches no other cache line; what lies between weights and accumulator is padding.

    Attributes
    ----------
    w_wide : ndarray of float32, shape (n_features, stride_wide)
        Class weights per feature: ``[:, :n_classes]``; ``[:, -1]`` accumulates squared gradients.
    b_wide : ndarray of float32, shape (n_classes,)
        Class biases of the wide path.
    w_in : ndarray of float32, shape (n_features, stride_in)
        Embedding per feature: ``[:, :width]``; ``[:, -1]`` accumulates squared gradients.
    b_hidden : ndarray of float32, shape (width,)
        Hidden biases.
    w_out : ndarray of float32, shape (width, n_classes + 1)
        From hidden neurons to classes; ``[:, -1]`` accumulates squared gradients.
    b_out : ndarray of float32, shape (n_classes,)
        Class biases of the deep path.
    """

    w_wide: F32
    b_wide: F32
    w_in: F32
    b_hidden: F32
    w_out: F32
    b_out: F32

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.b_wide)

    @property
    def width(self) -> int:
        """Number of hidden neurons; 0 = no deep path."""
        return len(self.b_hidden)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return max(len(self.w_wide), len(self.w_in))


class Scratch(NamedTuple):
    """What one thread writes on while it works on a row.

    Attributes
    ----------
    ids, values : ndarray, shape (longest_row,)
        The features that dropout kept.
    z_wide, z_deep : ndarray of float32, shape (n_classes,)
        Logits, then probabilities, then gradients.
    hidden, g_hidden : ndarray of float32, shape (width,)
        Activations and their gradients.
    rng : ndarray of uint64, shape (1,)
        State of the xorshift generator.
    """

    ids: npt.NDArray[np.int32]
    values: F32
    z_wide: F32
    z_deep: F32
    hidden: F32
    g_hidden: F32
    rng: npt.NDArray[np.uint64]


def stride(n: int) -> int:
    """Return the row length for n weights and an accumulator: whole cache lines once past one."""
    if n + 1 <= _BLOCK:
        return 1 << int(n).bit_length()
    return -(-(n + 1) // _BLOCK) * _BLOCK


def make_network(
    n_features: int, n_classes: int, settings: NetworkSettings, rng: np.random.Generator
) -> Network:
    """Return a network that has learned nothing.

    Only the embeddings start at random, uniform in ± `NetworkSettings.init_scale`; random
    initial values in the wide path cost accuracy.
    """
    width = settings.width
    scale = np.float32(settings.init_scale)
    w_in = np.zeros((n_features, stride(width) if width else 0), np.float32)
    if width:
        uniform = rng.random((n_features, width), dtype=np.float32)
        np.subtract(uniform * (2 * scale), scale, out=w_in[:, :width])
    return Network(
        w_wide=np.zeros((n_features, stride(n_classes)), np.float32),
        b_wide=np.zeros(n_classes, np.float32),
        w_in=w_in,
        b_hidden=np.zeros(width, np.float32),
        w_out=np.zeros((width, n_classes + 1), np.float32),
        b_out=np.zeros(n_classes, np.float32),
    )


def make_scratch(network: Network, longest_row: int, seed: int) -> Scratch:
    """Return a thread's scratch for rows of at most longest_row features."""
    n_classes, width = network.n_classes, network.width
    return Scratch(
        ids=np.zeros(longest_row, np.int32),
        values=np.zeros(longest_row, np.float32),
        z_wide=np.zeros(n_classes, np.float32),
        z_deep=np.zeros(n_classes, np.float32),
        hidden=np.zeros(width, np.float32),
        g_hidden=np.zeros(width, np.float32),
        rng=np.array([(seed * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64 | 1], np.uint64),
    )


def copy_network(network: Network) -> Network:
    """Return a network with its own arrays."""
    return Network(*(a.copy() for a in network))


def slim(network: Network, mix: Mix) -> Network:
    """Return a network for prediction: without accumulators, and without a path of no share.

    Weights are rounded to float16, so that a file can hold them in half the bytes and give them
    back bit for bit; it changes probabilities by less than training noise does.
    """
    n_classes, width = network.n_classes, network.width
    no_wide, no_deep = mix.deep_share >= 1, mix.deep_share <= 0
    kept = network._replace(
        w_wide=network.w_wide[: 0 if no_wide else None, :n_classes],
        w_in=network.w_in[: 0 if no_deep else None, :width],
        b_hidden=network.b_hidden[: 0 if no_deep else None],
        w_out=network.w_out[: 0 if no_deep else None, :n_classes],
    )
    return unpack(pack(kept))


def pack(network: Network) -> dict[str, npt.NDArray[np.float16]]:
    """Return the weights by name as float16, those beyond its range at its ends."""
    return {
        name: np.clip(weights, -_HALF_MAX, _HALF_MAX).astype(np.float16)
        for name, weights in network._asdict().items()
    }


def unpack(packed: Mapping[str, npt.NDArray[np.float16]]) -> Network:
    """Return the network of `pack`'s result; packing it again gives the same."""
    return Network(**{name: weights.astype(np.float32) for name, weights in packed.items()})


def is_finite(network: Network) -> bool:
    """Whether every weight is a finite number."""
    arrays: tuple[Any, ...] = network
    return all(bool(np.isfinite(a).all()) for a in arrays)
