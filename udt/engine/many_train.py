"""Training with many classes: as `udt.engine.train`, over active classes only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets
from udt.engine.lsh import NO_TABLES, draw_planes, hash_classes
from udt.engine.many import (
    ManyNetwork,
    ManyScratch,
    Ranked,
    Ranking,
    is_finite_many,
    make_many,
    make_many_scratch,
    ranking,
)
from udt.engine.many_kernels import rank_rows, spread_rows, train_many_rows
from udt.engine.mix import least_loss_temperature
from udt.engine.network import dense_work
from udt.engine.train import Holdout, OnEpoch, go_on, in_threads, longest_row
from udt.errors import DivergedError
from udt.settings import ManySettings

F32 = npt.NDArray[np.float32]

_RECOVERIES = 3
_ROWS_PER_THREAD = 256
_FIRST_REBUILD_ROWS, _REBUILD_GROWTH = 20_000, 1.5
_TINY = 1e-9
_TOP_K = 10


class ManyStep(NamedTuple):
    """What a shard's training steps need.

    Attributes
    ----------
    lr, lr_fall : float32
        Learning rate at the shard's first row; what it loses per row.
    deep_rate, out_rate, bias_rate : float32
        Ratios to lr.
    keep : float32
        Share of features that dropout keeps.
    skip_below : float32
        Loss under which a row takes no backward pass.
    n_best, n_drawn : int
        Active classes that the selector finds; those drawn uniformly.
    """

    lr: np.float32
    lr_fall: np.float32
    deep_rate: np.float32
    out_rate: np.float32
    bias_rate: np.float32
    keep: np.float32
    skip_below: np.float32
    n_best: int
    n_drawn: int


@dataclass(frozen=True)
class ManyTrained:
    """What training yields.

    Attributes
    ----------
    network : ManyNetwork
        The last state.
    temperature : float
        Of least held-out loss; 1 without held-out rows.
    history : list of dict
        One entry per epoch: epoch, rows_seen, seconds, loss (training, nats), and with a holdout
        holdout_loss, holdout_accuracy.
    work : float
        Multiply-adds done ÷ those of the same network dense (all classes, every feature kept,
        every pass run), counted.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    network: ManyNetwork
    temperature: float
    history: list[dict[str, Any]]
    work: float
    interrupted: bool


def train_many(
    rows: CSR,
    targets: Targets,
    n_classes: int,
    settings: ManySettings,
    *,
    which: npt.NDArray[np.int64] | None = None,
    holdout: Holdout | None = None,
    n_threads: int = 1,
    seed: int = 0,
    on_epoch: OnEpoch = go_on,
) -> ManyTrained:
    """Train a network for many classes.

    With one thread the result is a function of the arguments alone; with more, threads share the
    weights without locks (Hogwild; Niu et al., 2011) and runs differ slightly.

    Parameters
    ----------
    rows, targets, n_classes
        Features, classes of each row, number of classes.
    settings : ManySettings
        Shape and rates.
    which : ndarray of int64, optional
        The rows to train on; all by default.
    holdout : Holdout, optional
        Rows to watch, and to fit the temperature on.
    n_threads, seed : int
        Threads and seed.
    on_epoch : callable
        Called with each entry of the history; training ends when it returns False.

    Raises
    ------
    DivergedError
        If the loss is not finite even at a rate divided by 4 three times.
    """
    which = np.arange(rows.n_rows) if which is None else which
    for attempt in range(_RECOVERIES + 1):
        slower = replace(settings, lr=settings.lr / 4**attempt)
        run = _Run(rows, targets, which, n_classes, slower, n_threads, seed)
        trained = run.train(holdout, on_epoch)
        if trained is not None:
            return trained
    raise DivergedError(
        f"The training loss is not finite, even at a learning rate of {slower.lr:.2g}. "
        "Expected finite feature values; look for extreme numbers in the table."
    )


class _Run:
    """One training run, restarted with a lower rate if its numbers are lost."""

    def __init__(
        self,
        rows: CSR,
        targets: Targets,
        which: npt.NDArray[np.int64],
        n_classes: int,
        settings: ManySettings,
        n_threads: int,
        seed: int,
    ) -> None:
        self.rows, self.targets, self.which, self.settings = rows, targets, which, settings
        self.rng = np.random.default_rng(seed)
        self.network = make_many(
            rows, targets.only(which), n_classes, settings, self.rng, n_threads
        )
        self.n_best, self.n_drawn = _active_counts(settings, n_classes)
        self.n_ranked = n_ranked(settings, n_classes)
        longest_active = self.n_best + self.n_drawn + int(targets.counts.max(initial=1))
        n_threads = max(1, min(n_threads, len(which) // _ROWS_PER_THREAD))
        self.scratch: list[ManyScratch] = [
            make_many_scratch(
                self.network, longest_row(rows), min(longest_active, n_classes), seed * 64 + i + 1
            )
            for i in range(n_threads)
        ]
        self.tables = NO_TABLES
        if settings.selector == "lsh" and settings.width:
            self.planes = draw_planes(n_classes, settings.width, self.rng)
        self.n_done = 0

    def train(self, holdout: Holdout | None, on_epoch: OnEpoch) -> ManyTrained | None:
        """Train from start to end; None if the numbers were lost."""
        started = time.perf_counter()
        history: list[dict[str, Any]] = []
        interrupted = False
        with ThreadPoolExecutor(len(self.scratch)) as pool:
            try:
                for epoch in range(1, self.settings.epochs + 1):
                    loss = self.epoch(epoch - 1, pool)
                    if not (np.isfinite(loss) and is_finite_many(self.network)):
                        return None
                    self.network.by_bias[:] = np.argsort(-self.network.b, kind="stable")
                    entry: dict[str, Any] = {
                        "epoch": epoch,
                        "rows_seen": epoch * len(self.which),
                        "seconds": time.perf_counter() - started,
                        "loss": loss,
                    }
                    if holdout is not None:
                        entry |= self._look(holdout)
                    history.append(entry)
                    if not on_epoch(entry):
                        break
            except KeyboardInterrupt:
                if not history:
                    raise
                interrupted = True
        temperature = 1.0
        if holdout is not None:
            temperature = fit_temperature(self.network, holdout, self.n_ranked, len(self.scratch))
        return ManyTrained(self.network, temperature, history, self.work(len(history)), interrupted)

    def epoch(self, epoch: int, pool: ThreadPoolExecutor) -> float:
        """Train on all rows once; return the mean loss (nats)."""
        order = self.rng.permutation(self.which)
        n, loss = len(order), 0.0
        for start, stop in self._segments(epoch, n):
            loss += self._segment(order, start, stop, epoch * n + start, pool)
        return loss / n

    def _segments(self, epoch: int, n: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of an epoch; with hash tables these are built before each.

        The output rows move less and less, so each part is longer than the one before.
        """
        if self.settings.selector != "lsh" or not self.settings.width:
            yield 0, n
            return
        step, start = _FIRST_REBUILD_ROWS * _REBUILD_GROWTH**epoch, 0
        while start < n:
            self.tables = hash_classes(self.network.w_out, self.planes, self.rng)
            stop = min(n, start + int(step))
            yield start, stop
            start, step = stop, step * _REBUILD_GROWTH

    def _segment(
        self,
        order: npt.NDArray[np.int64],
        start: int,
        stop: int,
        n_seen: int,
        pool: ThreadPoolExecutor,
    ) -> float:
        """Train on rows order[start] … order[stop − 1]; return the sum of their losses."""
        s, n_shards = self.settings, len(self.scratch)
        cuts = np.linspace(start, stop, n_shards + 1).astype(np.int64)
        fall = s.lr / (s.epochs * len(order))
        step = ManyStep(
            lr=np.float32(s.lr - fall * n_seen),
            lr_fall=np.float32(fall * n_shards),
            deep_rate=np.float32(s.deep_lr_ratio),
            out_rate=np.float32(s.out_lr_ratio),
            bias_rate=np.float32(s.bias_lr_ratio),
            keep=np.float32(1 - s.dropout),
            skip_below=np.float32(s.skip_below),
            n_best=self.n_best,
            n_drawn=self.n_drawn,
        )

        def shard(i: int) -> tuple[float, int]:
            done: tuple[float, int] = train_many_rows(
                self.network, self.scratch[i], self.tables, self.rows, self.targets, order,
                cuts[i], cuts[i + 1], step,
            )  # fmt: skip
            return done

        losses, done = zip(*pool.map(shard, range(n_shards)), strict=True)
        self.n_done += sum(done)
        return float(sum(losses))

    def _look(self, holdout: Holdout) -> dict[str, float]:
        """Return what the held-out rows say of the state."""
        how = ranking(self.network, 1.0, self.n_ranked)
        ranked, _ = rank(self.network, holdout.rows, how, 1, holdout.targets, len(self.scratch))
        return {
            "holdout_loss": _mean_loss(ranked, holdout.targets),
            "holdout_accuracy": float(holdout.targets.contain(ranked.ids[:, 0]).mean()),
        }

    def work(self, n_epochs: int) -> float:
        """Return multiply-adds done ÷ those of the same network dense."""
        n_features = int(np.diff(self.rows.indptr)[self.which].sum())
        n_classes, width = self.network.n_classes, self.network.width
        dense = dense_work(n_classes, width, n_features, len(self.which), is_training=True)
        return self.n_done / max(1, dense * n_epochs)


def _active_counts(settings: ManySettings, n_classes: int) -> tuple[int, int]:
    """Return how many active classes are found, and how many drawn."""
    if settings.selector == "dense":
        return n_classes, 0
    if settings.selector == "random":
        return 0, min(settings.n_best + settings.n_drawn, n_classes)
    return min(settings.n_best, n_classes), min(settings.n_drawn, n_classes)


def n_ranked(settings: ManySettings, n_classes: int) -> int:
    """Return how many classes of a row take the deep path when it is ranked."""
    return n_classes if settings.selector == "dense" else min(settings.n_best, n_classes)


def no_targets(n_rows: int) -> Targets:
    """Return targets of rows of which nothing is known."""
    return Targets(np.zeros(n_rows + 1, np.int64), np.zeros(0, np.int32))


def rank(
    network: ManyNetwork,
    rows: CSR,
    how: Ranking,
    k: int,
    targets: Targets | None = None,
    n_threads: int = 1,
) -> tuple[Ranked, int]:
    """Return the k most probable classes of each row, and the multiply-adds that it took.

    Parameters
    ----------
    network, rows
        What ranks, and what is ranked.
    how : Ranking
        Temperature, and how many classes take the deep path.
    k : int
        At most n_classes.
    targets : Targets, optional
        Classes whose probabilities are asked for; −1 = unknown.
    n_threads : int
        Threads; the result does not depend on it.
    """
    targets = no_targets(rows.n_rows) if targets is None else targets
    out = Ranked(
        np.zeros((rows.n_rows, k), np.int32),
        np.zeros((rows.n_rows, k), np.float32),
        np.zeros(len(targets.ids), np.float32),
    )
    done: list[int] = []

    def part(start: int, stop: int) -> None:
        scratch = make_many_scratch(network, longest_row(rows), network.n_classes, 0)
        done.append(rank_rows(network, scratch, rows, targets, start, stop, how, out))

    in_threads(part, rows.n_rows, n_threads)
    return out, sum(done)


def spread(network: ManyNetwork, rows: CSR, how: Ranking, n_threads: int = 1) -> F32:
    """Return all classes' probabilities, shape (n_rows, n_classes)."""
    out = np.zeros((rows.n_rows, network.n_classes), np.float32)

    def part(start: int, stop: int) -> None:
        scratch = make_many_scratch(network, longest_row(rows), network.n_classes, 0)
        spread_rows(network, scratch, rows, start, stop, how, out)

    in_threads(part, rows.n_rows, n_threads)
    return out


def row_losses(true_p: F32, targets: Targets) -> F32:
    """Return each row's mean NLL of its classes (nats), times its weight, shape (n_rows,)."""
    losses = -np.log(np.maximum(true_p, np.float32(_TINY)))
    totals = np.bincount(targets.rows, losses, targets.n_rows)
    return targets.weighted((totals / np.maximum(targets.counts, 1)).astype(np.float32))


def _mean_loss(ranked: Ranked, targets: Targets) -> float:
    return float(row_losses(ranked.true_p, targets).mean())


def fit_temperature(
    network: ManyNetwork, holdout: Holdout, n_best: int, n_threads: int = 1
) -> float:
    """Return the temperature of least held-out loss."""

    def loss(temperature: float) -> float:
        how = ranking(network, temperature, n_best)
        ranked, _ = rank(network, holdout.rows, how, 1, holdout.targets, n_threads)
        return _mean_loss(ranked, holdout.targets)

    return least_loss_temperature(loss)
