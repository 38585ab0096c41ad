"""Training: shards of shuffled rows to threads, learning rate to zero, the best state kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets
from udt.engine.kernels import logit_rows, train_rows
from udt.engine.mix import Mix, fit_mix, mix_loss, mix_probas
from udt.engine.network import (
    Network,
    Scratch,
    copy_network,
    is_finite,
    make_network,
    make_scratch,
)
from udt.errors import DivergedError
from udt.settings import NetworkSettings, TrainSettings

_RECOVERIES = 3
_ROWS_PER_THREAD = 64


OnEpoch = Callable[[dict[str, Any]], bool]
"""Called with an epoch's entry of the history; says whether to go on."""


def _go_on(entry: dict[str, Any]) -> bool:
    return True


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
    skip_below : float32
        Deep loss under which a row takes no deep backward pass.
    sigmoid : bool
        Whether classes are independent of each other.
    """

    lr: np.float32
    lr_fall: np.float32
    deep_rate: np.float32
    bias_rate: np.float32
    keep: np.float32
    skip_below: np.float32
    sigmoid: bool


class Holdout(NamedTuple):
    """Rows to watch while training."""

    rows: CSR
    targets: Targets


@dataclass(frozen=True)
class Trained:
    """What training yields.

    Attributes
    ----------
    network : Network
        The best state.
    mix : Mix or None
        Fitted on the holdout, if there was one.
    history : list of dict
        One entry per epoch: epoch, rows_seen, seconds, loss_wide, loss_deep (training, nats), and
        with a holdout holdout_loss, holdout_accuracy.
    best_epoch : int
        The epoch of the state that was kept, from 1.
    work : float
        Multiply-adds done ÷ those of the same network with every feature kept and both passes
        run, counted.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    network: Network
    mix: Mix | None
    history: list[dict[str, Any]]
    best_epoch: int
    work: float
    interrupted: bool


def longest_row(rows: CSR) -> int:
    """Return the number of features in the longest row, at least 1."""
    return max(1, int(np.diff(rows.indptr).max(initial=1)))


class _Run:
    """One training run, restarted with a lower rate if its numbers are lost."""

    def __init__(
        self,
        rows: CSR,
        targets: Targets,
        which: npt.NDArray[np.int64],
        n_classes: int,
        shape: NetworkSettings,
        settings: TrainSettings,
        n_threads: int,
        seed: int,
    ) -> None:
        self.rows, self.targets, self.which = rows, targets, which
        self.settings = settings
        self.rng = np.random.default_rng(seed)
        self.network = make_network(rows.n_features, n_classes, shape, self.rng)
        n_threads = max(1, min(n_threads, len(which) // _ROWS_PER_THREAD))
        longest = longest_row(rows)
        self.scratch: list[Scratch] = [
            make_scratch(self.network, longest, seed * 64 + i + 1) for i in range(n_threads)
        ]
        self.n_kept = self.n_backward = self.n_rows_backward = 0

    def epoch(self, epoch: int, pool: ThreadPoolExecutor) -> tuple[float, float]:
        """Train on all rows once; return the mean losses of both paths (nats)."""
        s, n, n_shards = self.settings, len(self.which), len(self.scratch)
        order = self.rng.permutation(self.which)
        cuts = np.linspace(0, n, n_shards + 1).astype(np.int64)
        step = Step(
            lr=np.float32(s.lr * (1 - epoch / s.epochs)),
            lr_fall=np.float32(s.lr / (s.epochs * n) * n_shards),
            deep_rate=np.float32(s.deep_lr_ratio),
            bias_rate=np.float32(s.bias_lr_ratio),
            keep=np.float32(1 - s.dropout),
            skip_below=np.float32(s.skip_below),
            sigmoid=s.sigmoid,
        )

        def shard(i: int) -> tuple[float, float, int, int, int]:
            done: tuple[float, float, int, int, int] = train_rows(
                self.network, self.scratch[i], self.rows, self.targets, order,
                cuts[i], cuts[i + 1], step,
            )  # fmt: skip
            return done

        totals = np.sum(list(pool.map(shard, range(n_shards))), axis=0)
        self.n_kept += int(totals[2])
        self.n_backward += int(totals[3])
        self.n_rows_backward += int(totals[4])
        return float(totals[0] / n), float(totals[1] / n)

    def work(self, n_epochs: int) -> float:
        """Return multiply-adds done ÷ those with every feature kept and both passes run."""
        n_classes, width = self.network.n_classes, self.network.width
        n_rows = len(self.which) * n_epochs
        n_features = int(np.diff(self.rows.indptr)[self.which].sum()) * n_epochs
        done = 2 * n_classes * self.n_kept + width * (self.n_kept + self.n_backward)
        done += width * n_classes * (n_rows + 2 * self.n_rows_backward)
        dense = 2 * (n_classes + width) * n_features + 3 * width * n_classes * n_rows
        return done / max(1, dense)


def train(
    rows: CSR,
    targets: Targets,
    n_classes: int,
    shape: NetworkSettings,
    settings: TrainSettings,
    *,
    which: npt.NDArray[np.int64] | None = None,
    holdout: Holdout | None = None,
    n_threads: int = 1,
    seed: int = 0,
    on_epoch: OnEpoch = _go_on,
) -> Trained:
    """Train a network.

    With one thread the result is a function of the arguments alone; with more, threads share the
    weights without locks (Hogwild; Niu et al., 2011) and runs differ slightly.

    Parameters
    ----------
    rows : CSR
        Rows.
    targets : Targets
        Classes of each row; a row that is trained on has at least one.
    n_classes : int
        Number of classes.
    shape, settings
        The network's shape and how it is trained.
    which : ndarray of int64, optional
        The rows to train on; all by default.
    holdout : Holdout, optional
        Rows to watch: the state with the lowest mixed loss on them is kept, and the mix is
        fitted on them.
    n_threads, seed : int
        Threads and seed.
    on_epoch : callable
        Called with each entry of the history; training ends when it returns False.

    Returns
    -------
    Trained

    Raises
    ------
    DivergedError
        If the loss is not finite even at a rate divided by 4 three times.
    """
    which = np.arange(rows.n_rows) if which is None else which
    for attempt in range(_RECOVERIES + 1):
        slower = replace(settings, lr=settings.lr / 4**attempt)
        run = _Run(rows, targets, which, n_classes, shape, slower, n_threads, seed)
        trained = _train_once(run, holdout, on_epoch)
        if trained is not None:
            return trained
    raise DivergedError(
        f"The training loss is not finite, even at a learning rate of {slower.lr:.2g}. "
        "Expected finite feature values; look for extreme numbers in the table."
    )


class _Best:
    """The best state so far: the last one, or with a holdout that of least held-out loss."""

    def __init__(self, run: _Run, holdout: Holdout | None) -> None:
        self.run, self.holdout = run, holdout
        self.network, self.loss, self.epoch = run.network, np.inf, 0
        self.mix: Mix | None = None

    def look(self, entry: dict[str, Any]) -> None:
        """Judge the state after an epoch; write what the holdout says into the entry."""
        epoch = entry["epoch"]
        if self.holdout is None:
            self.epoch = epoch
            return
        z = logits(self.run.network, self.holdout.rows, len(self.run.scratch))
        mix = fit_mix(*z, self.holdout.targets, sigmoid=self.run.settings.sigmoid)
        loss, accuracy = mix_loss(*z, self.holdout.targets, mix)
        entry |= {"holdout_loss": loss, "holdout_accuracy": accuracy}
        if loss < self.loss:
            is_last = epoch == self.run.settings.epochs
            self.network = self.run.network if is_last else copy_network(self.run.network)
            self.mix, self.loss, self.epoch = mix, loss, epoch

    def is_old(self, epoch: int) -> bool:
        """Whether patience is at its end."""
        patience = self.run.settings.patience_epochs
        return self.holdout is not None and 0 < patience <= epoch - self.epoch


def _train_once(run: _Run, holdout: Holdout | None, on_epoch: OnEpoch) -> Trained | None:
    """Train from start to end; None if the numbers were lost."""
    started = time.perf_counter()
    history: list[dict[str, Any]] = []
    best, interrupted = _Best(run, holdout), False
    with ThreadPoolExecutor(len(run.scratch)) as pool:
        try:
            for epoch in range(1, run.settings.epochs + 1):
                loss_wide, loss_deep = run.epoch(epoch - 1, pool)
                if not np.isfinite(loss_wide + loss_deep):
                    return None
                entry: dict[str, Any] = {
                    "epoch": epoch,
                    "rows_seen": epoch * len(run.which),
                    "seconds": time.perf_counter() - started,
                    "loss_wide": loss_wide,
                    "loss_deep": loss_deep,
                }
                best.look(entry)
                history.append(entry)
                if not on_epoch(entry) or best.is_old(epoch):
                    break
        except KeyboardInterrupt:
            if best.epoch == 0:
                raise
            interrupted = True
    if best.epoch == 0 or not is_finite(best.network):
        return None
    return Trained(best.network, best.mix, history, best.epoch, run.work(len(history)), interrupted)


def _in_threads(call: Callable[[int, int], None], n_rows: int, n_threads: int) -> None:
    """Call with (start, stop) of each thread's rows."""
    n_threads = max(1, min(n_threads, n_rows // _ROWS_PER_THREAD))
    if n_threads == 1:
        call(0, n_rows)
        return
    cuts = np.linspace(0, n_rows, n_threads + 1).astype(int)
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(call, cuts[:-1].tolist(), cuts[1:].tolist()))


def logits(
    network: Network, rows: CSR, n_threads: int = 1
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return both paths' logits, each of shape (n_rows, n_classes); zeros for an absent path."""
    z_wide = np.zeros((rows.n_rows, network.n_classes), np.float32)
    z_deep = np.zeros_like(z_wide)

    def part(start: int, stop: int) -> None:
        logit_rows(network, make_scratch(network, 1, 0), rows, start, stop, z_wide, z_deep)

    _in_threads(part, rows.n_rows, n_threads)
    return z_wide, z_deep


def predict(network: Network, rows: CSR, mix: Mix, n_threads: int = 1) -> npt.NDArray[np.float32]:
    """Return the mixed probabilities, shape (n_rows, n_classes)."""
    return mix_probas(*logits(network, rows, n_threads), mix)
