"""Several trainings, and their mean as one network.

Trainings that differ in nothing but their random numbers (initial embeddings, order of the rows,
dropout) err differently, and the mean of their logits errs less (deep ensembles: Lakshminarayanan
et al., 2017; bagging: Breiman, 1996). Here the mean is a network again: the wide paths' weights are
averaged, the hidden layers lie side by side. So the wide path of many trainings takes no more time
and room than that of one; the deep path takes what all their neurons take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets
from udt.engine.mix import fit_mix
from udt.engine.network import Network, aligned_zeros, stride
from udt.engine.selection import Selector
from udt.engine.train import Holdout, OnEpoch, Trained, go_on, logits, never, train
from udt.settings import NetworkSettings, TrainSettings

F32 = npt.NDArray[np.float32]

_SEED_STEP = 1_000
_LOOK_S = 0.1  # between looking whether Ctrl-C was pressed


def member_seed(seed: int, member: int) -> int:
    """Return the seed of a member's training; the first one's is that of the whole."""
    return seed + _SEED_STEP * member


def mean_network(networks: Sequence[Network]) -> Network:
    """Return the network whose logits are the means of these networks' logits.

    Accumulators are scaled such that it goes on learning at the pace of its members: of the mean,
    a member's embeddings have 1 / n of their gradient, and its output rows are 1 / n as long.

    Parameters
    ----------
    networks : sequence of Network
        n networks over the same features and classes; as trained, with accumulators.

    Examples
    --------
    >>> from udt.engine.network import make_network
    >>> shape = NetworkSettings(width=16)
    >>> pair = [make_network(5, 2, shape, np.random.default_rng(i)) for i in range(2)]
    >>> mean_network(pair).width
    32
    """
    first, n = networks[0], len(networks)
    if n == 1:
        return first
    width = sum(network.width for network in networks)
    w_in = aligned_zeros((len(first.w_in), stride(width)))
    w_out = aligned_zeros((width, first.w_out.shape[1]))
    start = 0
    for network in networks:
        stop = start + network.width
        w_in[:, start:stop] = network.w_in[:, : network.width]
        w_out[start:stop] = network.w_out / np.float32(n)
        w_out[start:stop, -1] = network.w_out[:, -1] * np.float32(n**2)
        start = stop
    if width:
        w_in[:, -1] = mean_of([network.w_in[:, -1] for network in networks]) / np.float32(n**2)
    w_wide = aligned_zeros(first.w_wide.shape)
    w_wide[:] = mean_of([network.w_wide for network in networks])
    return Network(
        w_wide=w_wide,
        b_wide=mean_of([network.b_wide for network in networks]),
        w_in=w_in,
        b_hidden=np.concatenate([network.b_hidden for network in networks]),
        w_out=w_out,
        b_out=mean_of([network.b_out for network in networks]),
    )


def mean_of(arrays: Sequence[F32]) -> F32:
    """Return the mean of arrays of one shape."""
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    total /= np.float32(len(arrays))
    return total


def train_members(
    rows: CSR,
    targets: Targets,
    n_classes: int,
    shape: NetworkSettings,
    settings: TrainSettings,
    *,
    which: npt.NDArray[np.int64] | None = None,
    holdout: Holdout | None = None,
    n_threads: int = 1,
    n_train_threads: int = 1,
    seed: int = 0,
    on_epoch: OnEpoch = go_on,
    selector: Selector | None = None,
    is_over: Callable[[], bool] = never,
) -> Trained:
    """Train `TrainSettings.members` networks side by side; return their mean.

    Parameters are those of `udt.engine.train.train`, but for these.

    Parameters
    ----------
    n_threads : int
        As many members are trained at a time.
    n_train_threads : int
        Threads that share in the training of one member, if members leave them free.
    on_epoch : callable
        Hears of the first member.
    selector : Selector, optional
        For a single member only: it learns with its network.

    Returns
    -------
    Trained
        Its history is that of the first member.

    Raises
    ------
    DivergedError
        As `udt.engine.train.train`.
    """
    n, stop = settings.members, threading.Event()
    at_once = min(n, n_threads)

    def member(i: int) -> Trained:
        return train(
            rows, targets, n_classes, shape, settings,
            which=which, holdout=holdout, n_threads=max(1, n_train_threads // at_once),
            seed=member_seed(seed, i), on_epoch=on_epoch if i == 0 else go_on,
            selector=selector, is_over=lambda: stop.is_set() or is_over(),
        )  # fmt: skip

    if n == 1:
        return member(0)
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(member, i) for i in range(n)]
        try:
            while wait(futures, _LOOK_S).not_done:  # a signal may not end a wait without an end
                pass
        except KeyboardInterrupt:
            stop.set()
        trained = [future.result() for future in futures if not (stop.is_set() and future.cancel())]
    network, mix = mean_network([each.network for each in trained]), None
    if holdout is not None:
        z = logits(network, holdout.rows, n_threads)
        mix = fit_mix(*z, holdout.targets, sigmoid=settings.sigmoid)
    return replace(
        trained[0],
        network=network,
        mix=mix,
        n_epochs=sum(each.n_epochs for each in trained),
        n_done=sum(each.n_done for each in trained),
        work=float(np.mean([each.work for each in trained])),
        interrupted=stop.is_set(),
    )
