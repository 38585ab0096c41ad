"""The sparse wide network: its arrays, one thread's scratch, and what a training step needs.

Two paths over the same sparse features, each with its own softmax loss:

- *wide*: ``z_wide = b_wide + Σ_f v_f · w_wide[f]`` — a linear model, started at zero;
- *deep*: ``hidden = relu(b_hidden + Σ_f v_f · w_in[f])``, ``z_deep = b_out + hidden · w_out``.

The prediction mixes their probabilities (see `udt.engine.mix`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.engine.mix import Mix
from udt.settings import NetworkSettings

F32 = npt.NDArray[np.float32]

BLOCK = 16
"""Neurons of a block: as many float32 as a cache line holds."""

_N_WORDS = 1024  # random words made at once
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

    Lists of rows to sum (features, neurons above 0) are followed by 16 entries that count nothing.

    Attributes
    ----------
    words, draws : ndarray of uint64 and of uint16
        Random numbers; both are the same memory.
    ids, values : ndarray of int32 and of float32, shape (longest_row + 16,)
        The features that dropout kept.
    on, above : ndarray of int32 and of float32, shape (stride + 16,)
        The neurons above 0, and by how much.
    squares, steps : ndarray of float32
        Accumulators of the rows that move, and how far each moves, but for the gradient.
    z_wide, z_deep : ndarray of float32, shape (stride,)
        Logits, then probabilities, then gradients; 0 from n_classes on.
    hidden, g_hidden : ndarray of float32, shape (stride,)
        Sums of embeddings, and the gradients of the activations.
    rng : ndarray of uint64, shape (2,)
        State of the generator; how many of the draws are used up.
    active : ndarray of uint16, shape (n_chunk, n_active)
        The blocks of neurons that each row of a chunk computes, ascending; the i-th row of a
        call has ``active[i]``. Dense = one row for all: every block.
    gain : ndarray of float32, shape (n_chunk, n_active)
        ``|Σ hidden · gradient|`` of each of those blocks; 0 where a row took no backward pass.
    whole : ndarray of uint16
        All blocks of the classes; of the last one some may be padding.
    """

    words: npt.NDArray[np.uint64]
    draws: npt.NDArray[np.uint16]
    ids: npt.NDArray[np.int32]
    values: F32
    on: npt.NDArray[np.int32]
    above: F32
    squares: F32
    steps: F32
    z_wide: F32
    z_deep: F32
    hidden: F32
    g_hidden: F32
    rng: npt.NDArray[np.uint64]
    active: npt.NDArray[np.uint16]
    gain: F32
    whole: npt.NDArray[np.uint16]


class Step(NamedTuple):
    """What a shard's training steps need.

    Attributes
    ----------
    lr, lr_fall : float32
        Learning rate at the shard's first row; what it loses per row.
    deep_rate, bias_rate : float32
        Ratios to lr.
    keep : float32
        Share of features that dropout keeps.
    skip_below, skip_wide_below : float32
        Losses of the paths under which a row does not take the path's backward pass.
    rest_below : float32
        Deep loss under which a row does not take the deep path the next time.
    sigmoid : bool
        Whether classes are independent of each other.
    waits : ndarray of uint8, shape (n_rows,)
        How many epochs each row goes on to rest, and how often it was so before.
    norms : ndarray of float32, shape (n_rows,)
        Each row's squared norm; 0 = not known yet.
    """

    lr: np.float32
    lr_fall: np.float32
    deep_rate: np.float32
    bias_rate: np.float32
    keep: np.float32
    skip_below: np.float32
    skip_wide_below: np.float32
    rest_below: np.float32
    sigmoid: bool
    waits: npt.NDArray[np.uint8]
    norms: F32


def padded(n: int) -> int:
    """Return the length of a row for n numbers: whole vectors of 4, 8 or 16, then of 16.

    Examples
    --------
    >>> [padded(n) for n in (1, 4, 5, 9, 16, 17)]
    [4, 4, 8, 16, 16, 32]
    """
    if n <= BLOCK:
        return max(4, 1 << (n - 1).bit_length())
    return -(-n // BLOCK) * BLOCK


def stride(n: int) -> int:
    """Return the length of a row for n weights and an accumulator; 0 for no weights."""
    return padded(n + 1) if n else 0


def aligned_zeros(shape: tuple[int, int]) -> F32:
    """Return zeros whose rows of 16 begin where a cache line does."""
    size = shape[0] * shape[1]
    memory = np.zeros(size + BLOCK, np.float32)
    start = -(memory.ctypes.data // memory.itemsize) % BLOCK
    return memory[start : start + size].reshape(shape)


def make_network(
    n_features: int, n_classes: int, settings: NetworkSettings, rng: np.random.Generator
) -> Network:
    """Return a network that has learned nothing.

    Only the embeddings start at random, uniform in ± `NetworkSettings.init_scale`; random
    initial values in the wide path cost accuracy.
    """
    width = settings.width
    scale = np.float32(settings.init_scale)
    w_in = aligned_zeros((n_features, stride(width)))
    if width:
        uniform = rng.random((n_features, width), dtype=np.float32)
        np.subtract(uniform * (2 * scale), scale, out=w_in[:, :width])
    return Network(
        w_wide=aligned_zeros((n_features, stride(n_classes))),
        b_wide=np.zeros(n_classes, np.float32),
        w_in=w_in,
        b_hidden=np.zeros(width, np.float32),
        w_out=aligned_zeros((width, stride(n_classes))),
        b_out=np.zeros(n_classes, np.float32),
    )


def _all_blocks(n: int) -> npt.NDArray[np.uint16]:
    """Return the numbers of the blocks that n columns fill."""
    return np.arange(-(-n // BLOCK), dtype=np.uint16)


def make_scratch(network: Network, longest_row: int, seed: int = 0) -> Scratch:
    """Return a thread's scratch for rows of at most longest_row features, and all neurons."""
    n_classes, width = stride(network.n_classes), stride(network.width)
    longest, words = longest_row + BLOCK, np.zeros(max(_N_WORDS, longest_row // 4 + 1), np.uint64)
    draws = words.view(np.uint16)
    blocks = _all_blocks(network.width)[None]
    state = int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "little")
    (z_wide, z_deep), (hidden, g_hidden) = aligned_zeros((2, n_classes)), aligned_zeros((2, width))
    return Scratch(
        words=words,
        draws=draws,
        ids=np.zeros(longest, np.int32),
        values=np.zeros(longest, np.float32),
        on=np.zeros(width + BLOCK, np.int32),
        above=np.zeros(width + BLOCK, np.float32),
        squares=np.zeros(max(longest, width + BLOCK), np.float32),
        steps=np.zeros(max(longest, width + BLOCK), np.float32),
        z_wide=z_wide,
        z_deep=z_deep,
        hidden=hidden,
        g_hidden=g_hidden,
        rng=np.array([state, len(draws)], np.uint64),
        active=blocks,
        gain=np.zeros(blocks.shape, np.float32),
        whole=_all_blocks(network.w_wide.shape[1]),
    )


def select_blocks(scratch: Scratch, n_chunk: int, n_active: int) -> Scratch:
    """Return the scratch with room for the active blocks of n_chunk rows, n_active of each."""
    return scratch._replace(
        active=np.zeros((n_chunk, n_active), np.uint16),
        gain=np.zeros((n_chunk, n_active), np.float32),
    )


def dense_work(
    n_classes: int, width: int, n_features: int, n_rows: int, *, is_training: bool
) -> int:
    """Return the multiply-adds of rows with so many features together if nothing is left out.

    Forward, each path takes a feature once, and each hidden neuron meets each class. Training
    takes each feature once more for the update, and a hidden neuron's classes twice more: for its
    gradient and for theirs.
    """
    again = int(is_training)
    inner, outer = n_features * (n_classes + width), width * n_classes * n_rows
    return (1 + again) * inner + (1 + 2 * again) * outer


def copy_network(network: Network) -> Network:
    """Return a network with its own arrays."""
    return Network(*(a.copy() for a in network))


def slim(network: Network, mix: Mix) -> Network:
    """Return a network for prediction: without accumulators, and without a path of no share.

    Weights are rounded to float16, so that a file can hold them in half the bytes and give them
    back bit for bit; it changes probabilities by less than training noise does.
    """
    no_wide, no_deep = mix.deep_share >= 1, mix.deep_share <= 0
    kept = network._replace(
        w_wide=network.w_wide[: 0 if no_wide else None],
        w_in=network.w_in[: 0 if no_deep else None],
        b_hidden=network.b_hidden[: 0 if no_deep else None],
        w_out=network.w_out[: 0 if no_deep else None],
    )
    return unpack(pack(kept))


def pack(network: Network) -> dict[str, npt.NDArray[np.float16]]:
    """Return the weights by name as float16, those beyond its range at its ends; no padding."""
    n_classes, width = network.n_classes, network.width
    lengths = {"w_wide": n_classes, "w_in": width, "w_out": n_classes}
    return {
        name: np.clip(a[..., : lengths.get(name)], -_HALF_MAX, _HALF_MAX).astype(np.float16)
        for name, a in network._asdict().items()
    }


def unpack(packed: Mapping[str, npt.NDArray[np.float16]]) -> Network:
    """Return the network of `pack`'s result; packing it again gives the same."""
    return Network(**{name: _unpacked(weights) for name, weights in packed.items()})


def _unpacked(weights: npt.NDArray[np.float16]) -> F32:
    if weights.ndim == 1:
        return weights.astype(np.float32)
    n = weights.shape[1]
    rows = aligned_zeros((len(weights), padded(n) if n else 0))
    rows[:, :n] = weights
    return rows


def is_finite(network: Network) -> bool:
    """Whether every weight is a finite number."""
    arrays: tuple[Any, ...] = network
    return all(bool(np.isfinite(a).all()) for a in arrays)
