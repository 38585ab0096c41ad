"""A network for many classes: work and memory follow a row's likely classes, not all of them.

Two paths under one softmax, where with few classes each has its own:

- *wide*: ``z_c = b_c + Σ_f v_f · w_fc`` over the features whose shortlist holds class c (see
  `udt.engine.shortlists`), started from the nearest-centroid classifier;
- *deep*: ``z_c += relu(b_hidden + Σ_f v_f · w_in[f]) · w_out[c]``, for active classes only.

A row's active classes are its own, the best of its features' shortlists, and some drawn uniformly
that stand for the rest. Nothing else is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets
from udt.engine.shortlists import Shortlists, fit_shortlists
from udt.settings import ManySettings

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]

_LINE = 16  # float32 in a cache line
_HALF_MAX = np.float32(np.finfo(np.float16).max)
_TINY_SHARE = 1e-9
_N_BINS = 128


class ManyNetwork(NamedTuple):
    """Weights, shared by all threads.

    Attributes
    ----------
    lists : Shortlists
        Weights of the wide path.
    b : ndarray of float32, shape (n_classes,)
        Class biases.
    own : ndarray of float32, shape (n_classes,)
        What a training row of norm 1 has put into its own class's weights, as a logit.
    w_in : ndarray of float32, shape (n_features, stride)
        Embedding per feature: ``[:, :width]``; ``[:, -1]`` and ``[:, -2]`` accumulate the squared
        gradients of embedding and shortlist while training.
    b_hidden : ndarray of float32, shape (width,)
        Hidden biases.
    w_out : ndarray of float32, shape (n_classes, width)
        From hidden neurons to each class.
    by_bias : ndarray of uint32, shape (n_classes,)
        Classes, the most frequent first.
    """

    lists: Shortlists
    b: F32
    own: F32
    w_in: F32
    b_hidden: F32
    w_out: F32
    by_bias: U32

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.b)

    @property
    def width(self) -> int:
        """Number of hidden neurons; 0 = no deep path."""
        return len(self.b_hidden)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.lists.starts) - 1


class ManyScratch(NamedTuple):
    """What one thread writes on while it works on a row.

    Attributes
    ----------
    ids, values : ndarray, shape (longest_row,)
        The features that dropout kept.
    clock : ndarray of int32, shape (1,)
        Number of the row; an entry of listed_at or active_at that equals it is of this row.
    z : ndarray of float32, shape (n_classes,)
        Logits of listed classes; 0 of all others.
    is_own : ndarray of bool, shape (n_classes,)
        Whether a class is the row's own.
    listed_at, active_at : ndarray of int32, shape (n_classes,)
        When a class was last listed, and active.
    listed : ndarray of uint32, shape (n_classes + 1,)
        Classes on the row's shortlists; one place to spare.
    packed : ndarray of float32, shape (n_classes,)
        Their logits.
    bins : ndarray of int32, shape (n_bins,)
        How many of these lie in each range.
    active, z_active, gradient : ndarray, shape (n_active,)
        Active classes, their logits and gradients.
    hidden, g_hidden : ndarray of float32, shape (width,)
        Activations and their gradients.
    rng : ndarray of uint64, shape (1,)
        State of the xorshift generator.
    """

    ids: I32
    values: F32
    clock: I32
    z: F32
    is_own: npt.NDArray[np.bool_]
    listed_at: I32
    active_at: I32
    listed: U32
    packed: F32
    bins: I32
    active: U32
    z_active: F32
    gradient: F32
    hidden: F32
    g_hidden: F32
    rng: npt.NDArray[np.uint64]


class Ranking(NamedTuple):
    """How logits become probabilities.

    Attributes
    ----------
    n_best : int
        So many of a row's listed classes take the deep path.
    cooling : float32
        1 ÷ temperature.
    rest : float
        ``Σ_c exp(b_c · cooling)``.
    """

    n_best: int
    cooling: np.float32
    rest: float


class Ranked(NamedTuple):
    """The most probable classes of some rows.

    Attributes
    ----------
    ids, probas : ndarray, shape (n_rows, k)
        They, the most probable first, and their probabilities.
    true_p : ndarray of float32
        Probability of each true class that was asked for.
    """

    ids: I32
    probas: F32
    true_p: F32


def stride(width: int) -> int:
    """Return the length of an embedding's row: weights, two accumulators, whole cache lines."""
    return -(-(width + 2) // _LINE) * _LINE


def make_many(
    rows: CSR,
    targets: Targets,
    n_classes: int,
    settings: ManySettings,
    rng: np.random.Generator,
    n_threads: int = 1,
) -> ManyNetwork:
    """Return a network that knows the classes' centroids; its deep path has learned nothing.

    Parameters
    ----------
    rows : CSR
        Features.
    targets : Targets
        Classes of each row; one without does not count.
    n_classes : int
        Number of classes.
    settings : ManySettings
        Lengths and widths.
    rng : numpy.random.Generator
        For the embeddings.
    n_threads : int
        Threads; the result does not depend on it.
    """
    lists, norms = fit_shortlists(rows, targets, n_classes, settings.shortlist, n_threads)
    lists.weights[:] *= np.float32(settings.centroid_scale)
    width = settings.width
    w_in = np.zeros((rows.n_features, stride(width)), np.float32)
    scale = np.float32(settings.init_scale)
    for first in range(0, rows.n_features, 1 << 16):  # no second copy of all embeddings
        part = w_in[first : first + (1 << 16), :width]
        part[:] = (2 * rng.random(part.shape, dtype=np.float32) - 1) * scale
    counts = np.bincount(targets.ids, minlength=n_classes)
    share = np.maximum(counts / max(1, len(targets.ids)), _TINY_SHARE)
    return ManyNetwork(
        lists=lists,
        b=np.log(share).astype(np.float32),
        own=(np.float32(settings.centroid_scale) / norms).astype(np.float32),
        w_in=w_in,
        b_hidden=np.zeros(width, np.float32),
        w_out=np.zeros((n_classes, width), np.float32),
        by_bias=np.argsort(-counts, kind="stable").astype(np.uint32),
    )


def make_many_scratch(
    network: ManyNetwork, longest_row: int, longest_active: int, seed: int
) -> ManyScratch:
    """Return a thread's scratch for rows of at most so many features and active classes."""
    n, width = network.n_classes, network.width
    return ManyScratch(
        ids=np.zeros(longest_row, np.int32),
        values=np.zeros(longest_row, np.float32),
        clock=np.zeros(1, np.int32),
        z=np.zeros(n, np.float32),
        is_own=np.zeros(n, np.bool_),
        listed_at=np.zeros(n, np.int32),
        active_at=np.zeros(n, np.int32),
        listed=np.zeros(n + 1, np.uint32),
        packed=np.zeros(n, np.float32),
        bins=np.zeros(_N_BINS, np.int32),
        active=np.zeros(longest_active, np.uint32),
        z_active=np.zeros(longest_active, np.float32),
        gradient=np.zeros(longest_active, np.float32),
        hidden=np.zeros(width, np.float32),
        g_hidden=np.zeros(width, np.float32),
        rng=np.array([(seed * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64 | 1], np.uint64),
    )


def ranking(network: ManyNetwork, temperature: float, n_best: int) -> Ranking:
    """Return how to rank at a temperature."""
    cooling = np.float32(1 / temperature)
    return Ranking(n_best, cooling, float(np.exp(network.b.astype(np.float64) * cooling).sum()))


def slim_many(network: ManyNetwork) -> ManyNetwork:
    """Return a network for prediction: without accumulators, its weights rounded to float16."""
    width = network.width
    kept = network._replace(
        w_in=network.w_in[:, :width],
        by_bias=np.argsort(-network.b, kind="stable").astype(np.uint32),
    )
    return unpack_many(pack_many(kept))


def pack_many(network: ManyNetwork) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays by name: weights as float16, classes as small as they fit."""
    small = np.uint16 if network.n_classes <= 1 << 16 else np.uint32
    weights = {
        "weights": network.lists.weights,
        "b": network.b,
        "w_in": network.w_in,
        "b_hidden": network.b_hidden,
        "w_out": network.w_out,
    }
    packed: dict[str, npt.NDArray[Any]] = {
        name: np.clip(w, -_HALF_MAX, _HALF_MAX).astype(np.float16) for name, w in weights.items()
    }
    lengths = np.diff(network.lists.starts)
    packed["lengths"] = lengths.astype(np.min_scalar_type(int(lengths.max(initial=0))))
    packed["classes"] = network.lists.classes.astype(small)
    packed["by_bias"] = network.by_bias.astype(small)
    return packed


def unpack_many(packed: Mapping[str, npt.NDArray[Any]]) -> ManyNetwork:
    """Return the network of `pack_many`'s result; packing it again gives the same."""
    starts = np.concatenate([[0], np.cumsum(packed["lengths"], dtype=np.int64)]).astype(np.int64)
    b = packed["b"].astype(np.float32)
    return ManyNetwork(
        lists=Shortlists(
            starts, packed["classes"].astype(np.uint32), packed["weights"].astype(np.float32)
        ),
        b=b,
        own=np.zeros_like(b),
        w_in=packed["w_in"].astype(np.float32),
        b_hidden=packed["b_hidden"].astype(np.float32),
        w_out=packed["w_out"].astype(np.float32),
        by_bias=packed["by_bias"].astype(np.uint32),
    )


def is_finite_many(network: ManyNetwork) -> bool:
    """Whether every weight is a finite number."""
    arrays = network.lists.weights, network.b, network.w_in, network.b_hidden, network.w_out
    return all(bool(np.isfinite(a).all()) for a in arrays)
