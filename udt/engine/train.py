"""Training: shards of shuffled rows to threads, learning rate to zero, the best state kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets
from udt.engine.kernels import logit_rows, proba_rows, train_rows
from udt.engine.mix import Mix, fit_mix, mix_loss
from udt.engine.network import (
    Network,
    Scratch,
    Step,
    copy_network,
    dense_work,
    is_finite,
    make_network,
    make_scratch,
    select_blocks,
)
from udt.errors import DivergedError
from udt.settings import NetworkSettings, TrainSettings

if TYPE_CHECKING:
    from udt.engine.selection import Selector

F32 = npt.NDArray[np.float32]
T = TypeVar("T")

_RECOVERIES = 3
_ROWS_PER_THREAD = 64
_CHUNK_ROWS = 256  # rows whose blocks are selected at once
_LOOK_ROWS = 1 << 15  # rows between looking whether time is over

Totals = tuple[float, float, int, int]
"""What `train_rows` returns."""

OnEpoch = Callable[[dict[str, Any]], bool]
"""Called with an epoch's entry of the history; says whether to go on."""


def go_on(entry: dict[str, Any]) -> bool:
    """Go on, whatever an epoch says."""
    return True


def never() -> bool:
    """Say that time is not over."""
    return False


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
    n_epochs : int
        Passes over the rows.
    n_done : int
        Multiply-adds, counted by the kernels.
    work : float
        These ÷ those of the same network dense: with every feature kept, every neuron computed
        and every pass run.
    interrupted : bool
        Whether Ctrl-C ended it early.
    selector : Selector or None
        As it was in the best state.
    """

    network: Network
    mix: Mix | None
    history: list[dict[str, Any]]
    best_epoch: int
    n_epochs: int
    n_done: int
    work: float
    interrupted: bool
    selector: Selector | None = None


def longest_row(rows: CSR) -> int:
    """Return the number of features in the longest row, at least 1."""
    return max(1, int(np.diff(rows.indptr).max(initial=1)))


def _chunks(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of at most so many rows each."""
    for first in range(start, stop, size):
        yield first, min(first + size, stop)


def _start_at_odds(network: Network, targets: Targets) -> None:
    """Set biases to the classes' log-odds. Modified in place: network.

    A class that is a question of its own is rare: started at even odds, the first rows would move
    every weight to say so, and leave large accumulators behind.
    """
    n = np.bincount(targets.ids, minlength=network.n_classes)
    odds = np.log((n + 0.5) / (targets.n_rows - n + 0.5))
    network.b_wide[:] = odds
    network.b_out[:] = odds


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
        selector: Selector | None,
        start: Network | None = None,
        is_over: Callable[[], bool] = never,
    ) -> None:
        self.rows, self.targets, self.which = rows, targets, which
        self.settings, self.selector, self.is_over = settings, selector, is_over
        self.rng = np.random.default_rng(seed)
        if start is not None:
            self.network = copy_network(start)
        else:
            self.network = make_network(rows.n_features, n_classes, shape, self.rng)
        if settings.sigmoid and start is None:
            _start_at_odds(self.network, targets.take(which))
        n_threads = max(1, min(n_threads, len(which) // _ROWS_PER_THREAD))
        longest = longest_row(rows)
        self.scratch: list[Scratch] = [
            make_scratch(self.network, longest, seed * 64 + i + 1) for i in range(n_threads)
        ]
        self.waits = np.zeros(rows.n_rows, np.uint8)
        self.norms = np.zeros(rows.n_rows, np.float32)
        self.n_done = 0

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
            skip_wide_below=np.float32(s.skip_wide_below),
            rest_below=np.float32(s.rest_below),
            sigmoid=s.sigmoid,
            waits=self.waits,
            norms=self.norms,
        )
        if self.selector is not None:
            self.selector.on_epoch(self.network, epoch)
            n_active = self.selector.n_active
            self.scratch = [select_blocks(each, _CHUNK_ROWS, n_active) for each in self.scratch]

        def shard(i: int) -> Totals:
            return self._shard(self.scratch[i], order, cuts[i], cuts[i + 1], step)

        wide, deep, n_deep, done = map(sum, zip(*pool.map(shard, range(n_shards)), strict=True))
        self.n_done += int(done)
        return wide / n, deep / max(1, n_deep)

    def _shard(
        self, scratch: Scratch, order: npt.NDArray[np.int64], start: int, stop: int, step: Step
    ) -> Totals:
        """Train on rows order[start] … order[stop − 1]; return what `train_rows` does."""
        shared = self.network, scratch, self.rows, self.targets, order
        selector, parts = self.selector, []
        for first, last in _chunks(start, stop, _CHUNK_ROWS if selector else _LOOK_ROWS):
            if selector is not None:
                selector.draw(self.rows, order, first, last, scratch.active)
            lr = step.lr - np.float32(first - start) * step.lr_fall
            parts.append(train_rows(*shared, first, last, step._replace(lr=lr)))
            if self.is_over():
                break
            if selector is not None and selector.wants_feedback:
                n_rows = last - first
                active, gain = scratch.active[:n_rows], scratch.gain[:n_rows]
                selector.learn(self.rows, order, first, last, active, gain)
        loss_wide, loss_deep, n_deep, done = (sum(each) for each in zip(*parts, strict=True))
        return loss_wide, loss_deep, n_deep, done

    def work(self, n_epochs: int) -> float:
        """Return multiply-adds done ÷ those of the network dense."""
        n_features = int(np.diff(self.rows.indptr)[self.which].sum())
        n_classes, width = self.network.n_classes, self.network.width
        passes = dense_work(n_classes, width, n_features, len(self.which), is_training=True)
        return self.n_done / max(1, n_epochs * passes)


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
    on_epoch: OnEpoch = go_on,
    selector: Selector | None = None,
    start: Network | None = None,
    is_over: Callable[[], bool] = never,
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
    selector : Selector, optional
        Chooses the hidden neurons that a row computes; all by default.
    start : Network, optional
        With its accumulators, to go on from (see `udt.engine.warm`); it is not modified.
    is_over : callable
        Asked every now and then, also within an epoch, whether to come to an end.

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
        run = _Run(
            rows, targets, which, n_classes, shape, slower, n_threads, seed, selector, start,
            is_over,
        )  # fmt: skip
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
        self.selector = run.selector
        self.mix: Mix | None = None

    def look(self, entry: dict[str, Any]) -> None:
        """Judge the state after an epoch; write what the holdout says into the entry."""
        epoch = entry["epoch"]
        if self.holdout is None:
            self.epoch = epoch
            return
        run = self.run
        z = logits(run.network, self.holdout.rows, len(run.scratch), run.selector)
        mix = fit_mix(*z, self.holdout.targets, sigmoid=run.settings.sigmoid)
        loss, accuracy = mix_loss(*z, self.holdout.targets, mix)
        entry |= {"holdout_loss": loss, "holdout_accuracy": accuracy}
        if loss < self.loss:
            self.network, self.selector = run.network, run.selector
            if epoch < run.settings.epochs:  # they go on learning
                self.network, self.selector = copy_network(run.network), deepcopy(run.selector)
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
                if not on_epoch(entry) or best.is_old(epoch) or run.is_over():
                    break
        except KeyboardInterrupt:
            if best.epoch == 0:
                raise
            interrupted = True
    if best.epoch == 0 or not is_finite(best.network):
        return None
    return Trained(
        best.network, best.mix, history, best.epoch, len(history), run.n_done,
        run.work(len(history)), interrupted, best.selector,
    )  # fmt: skip


def in_threads(call: Callable[[int, int], T], n_rows: int, n_threads: int) -> list[T]:
    """Call with (start, stop) of each thread's rows; return what the calls do."""
    n_threads = max(1, min(n_threads, n_rows // _ROWS_PER_THREAD))
    if n_threads == 1:
        return [call(0, n_rows)]
    cuts = np.linspace(0, n_rows, n_threads + 1).astype(int)
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(call, cuts[:-1].tolist(), cuts[1:].tolist()))


def logits(
    network: Network, rows: CSR, n_threads: int = 1, selector: Selector | None = None
) -> tuple[F32, F32]:
    """Return both paths' logits, each of shape (n_rows, n_classes); zeros for an absent path."""
    z_wide = np.zeros((rows.n_rows, network.n_classes), np.float32)
    z_deep = np.zeros_like(z_wide)

    def part(start: int, stop: int) -> None:
        for scratch, first, last in _selected(network, rows, start, stop, selector):
            logit_rows(network, scratch, rows, first, last, z_wide, z_deep)

    in_threads(part, rows.n_rows, n_threads)
    return z_wide, z_deep


def _selected(
    network: Network, rows: CSR, start: int, stop: int, selector: Selector | None
) -> Iterator[tuple[Scratch, int, int]]:
    """Yield scratch, start and stop of chunks of rows whose active blocks are in the scratch."""
    scratch = make_scratch(network, longest_row(rows))
    if selector is None or network.width == 0:
        yield scratch, start, stop
        return
    scratch = select_blocks(scratch, _CHUNK_ROWS, selector.n_active)
    order = np.arange(rows.n_rows)
    for first, last in _chunks(start, stop, _CHUNK_ROWS):
        selector.query(rows, order, first, last, scratch.active)
        yield scratch, first, last


def predict_counted(
    network: Network,
    rows: CSR,
    mix: Mix,
    n_threads: int = 1,
    selector: Selector | None = None,
) -> tuple[F32, int]:
    """Return the mixed probabilities, shape (n_rows, n_classes), and the multiply-adds they took.

    Rows that the wide path is sure of (`Mix.exit_above`) do not take the deep one.
    """
    probas = np.zeros((rows.n_rows, network.n_classes), np.float32)

    def part(start: int, stop: int) -> int:
        chunks = _selected(network, rows, start, stop, selector)
        return sum(
            proba_rows(network, scratch, rows, first, last, mix, probas)
            for scratch, first, last in chunks
        )

    return probas, sum(in_threads(part, rows.n_rows, n_threads))


def predict(
    network: Network,
    rows: CSR,
    mix: Mix,
    n_threads: int = 1,
    selector: Selector | None = None,
) -> F32:
    """Return the mixed probabilities, shape (n_rows, n_classes)."""
    return predict_counted(network, rows, mix, n_threads, selector)[0]
