"""Trees beside the network: grown on the dense columns, kept where they help on held-out rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import Targets
from udt.engine.mix import least_loss_temperature, softmax
from udt.engine.trees import Trees, grow, log_odds
from udt.featurizers.dense import DenseEncoder, fit_dense, has_dense
from udt.heads import race_costs
from udt.stack import Stack, pool
from udt.task import Choice, Rows, Task

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

_N_FOLDS = 5
_MIN_ROWS = 50
_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_PARTS = (0.125, 0.25, 0.5, 0.75, 1.0)  # of the rounds that were grown
_MOST_ROUNDS, _FEWEST_ROUNDS = 300, 40
_LEARNED = 15.0  # rounds times learning rate
_MIN_RATE, _MAX_RATE = 0.05, 0.1
_L2, _L2_SEVERAL = 1.0, 5.0  # of many classes one is rare: steps towards it are long
_MAX_WORK, _MAX_WORK_TEXT = 1.5e9, 6e8  # cells that all trainings visit; beside a text less pays
_PROBE_ROWS, _PROBE_ROUNDS = 8_000, 100
_TREE_ROWS = 6_000  # as many rows take as long as the parts of a tree that do not depend on rows
_CELLS_PER_S = 4e7
_REFIT_SHARE = 0.1  # fewer held-out rows are not worth growing the trees again
_LEAST_GAIN = 0.005  # of the loss: less is not worth the trees
_SMALLEST = 1e-7


class Plan(NamedTuple):
    """How trees are to be grown.

    Attributes
    ----------
    rounds : int
        Of boosting, at most.
    learning_rate, max_leaves, min_leaf_rows, l2
        See `udt.engine.trees.grow`.
    seconds : float
        That one training should take on one thread.
    """

    rounds: int
    learning_rate: float
    max_leaves: int
    min_leaf_rows: int
    l2: float
    seconds: float


NO_ROOM_FOR_TREES = Choice("trees", "left out", "limit of the model's size")


@dataclass(frozen=True)
class Stacked:
    """What came of it.

    Attributes
    ----------
    stack : Stack or None
        What the model keeps; None = the network answers alone.
    probas : ndarray of float32, shape (n_held, n_classes)
        Of the held-out rows, by network and trees that have not seen them.
    leaderboard : list of dict
        What was tried: name, metric, loss, seconds.
    choices : list of Choice
        What was decided and why.
    """

    stack: Stack | None
    probas: F32
    leaderboard: list[dict[str, Any]] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)

    def placed_among(
        self, others: Sequence[dict[str, Any]], metric: str | None
    ) -> list[dict[str, Any]]:
        """Return the leaderboard of the race with what was tried here, best first."""

        def cost(record: dict[str, Any]) -> float:
            by_loss = metric in (None, "log_loss")
            return float(record["loss"] if by_loss else -record["metric"])

        return sorted([*others, *self.leaderboard], key=cost)


def plan_trees(
    n_rows: int, n_numbers: int, n_classes: int, n_trainings: int = 1, *, has_text: bool = False
) -> Plan | None:
    """Return how to grow trees on so much; None where even a few would take too long.

    Parameters
    ----------
    n_rows, n_numbers, n_classes : int
        Of a training.
    n_trainings : int
        With all folds, and on all rows.
    has_text : bool
        Whether the table has texts, of which the network knows more than the trees.
    """
    n_trees = 1 if n_classes == 2 else n_classes  # a round
    work = (n_rows + _TREE_ROWS) * n_numbers * n_trees
    most = (_MAX_WORK_TEXT if has_text else _MAX_WORK) / n_trainings
    rounds = min(_MOST_ROUNDS, int(most / max(1, work)))
    if rounds < _FEWEST_ROUNDS:
        return None
    return Plan(
        rounds=rounds,
        learning_rate=float(np.clip(_LEARNED / rounds, _MIN_RATE, _MAX_RATE)),
        max_leaves=int(np.clip(n_rows // 100, 6, 31)),
        min_leaf_rows=20 if n_rows >= 2_000 else 10,
        l2=_L2 if n_trees == 1 else _L2_SEVERAL,
        seconds=rounds * work / _CELLS_PER_S,
    )


def stack_trees(task: Task, held: Rows, probas: F32) -> Stacked:
    """Grow trees, and keep them if they and the network beat the network by a standard error.

    Parameters
    ----------
    task : Task
        What is to be learned.
    held : ndarray of int64, shape (n_held,)
        Rows that the network was not trained on when it predicted them: some, or by
        cross-validation all.
    probas : ndarray of float32, shape (n_held, n_classes)
        What it said.

    Notes
    -----
    Trees of the rounds of least held-out loss are mixed with the network by `udt.stack.pool`. The
    gain is over the network at its own best temperature, and has to be beyond a standard error.
    Trainings run side by side, each on one thread, so that the seed alone decides.
    """
    alone = Stacked(None, probas)
    targets = task.targets
    if task.is_multi_label or not has_dense(task.schema) or (targets.counts != 1).any():
        return alone
    if len(held) < _MIN_ROWS:
        return alone
    try:
        grower = _Grower(task, held)
        plan = grower.plan()
        return alone if plan is None else grower.judge(probas, plan)
    except KeyboardInterrupt:  # the network is there
        return alone


class _Fold(NamedTuple):
    """Trees that have not seen some of the held-out rows.

    Attributes
    ----------
    places : ndarray of int64
        Of these rows among the held-out ones.
    trees : Trees
        Of the other rows.
    x : ndarray of float64
        These rows' numbers.
    encoder : DenseEncoder
        That made them.
    """

    places: Rows
    trees: Trees
    x: F64
    encoder: DenseEncoder


class _Grower:
    """Grows trees of one task."""

    def __init__(self, task: Task, held: Rows) -> None:
        self.task, self.held = task, held
        self.y: I32 = task.targets.ids
        n_rows, n_held = task.table.n_rows, len(held)
        # one block of numbers tells how wide they are
        some = np.arange(min(n_rows, 1_000))
        self.n_numbers = fit_dense(
            task.table.take(some), task.schema, self.y[some], task.n_classes, some
        )[1].shape[1]
        order = np.random.default_rng(task.seed).permutation(n_held)
        is_whole = 2 * n_held > n_rows
        self.folds = [order[i::_N_FOLDS] for i in range(_N_FOLDS)] if is_whole else [order]
        self.is_refit = is_whole or n_held > _REFIT_SHARE * n_rows
        self.n_trainings = len(self.folds) + self.is_refit
        self.has_text = any(column.kind == "text" for column in task.schema.used())

    def plan(self) -> Plan | None:
        """Return how to grow the trees; None if there is no time for it."""
        n_rows = self.task.table.n_rows
        plan = plan_trees(
            n_rows, self.n_numbers, self.task.n_classes, self.n_trainings, has_text=self.has_text
        )
        if plan is None or not self.task.budget.allows("trees", self._seconds(plan), 0.8):
            return None
        return plan

    def _seconds(self, plan: Plan) -> float:
        return plan.seconds * -(-self.n_trainings // self.task.n_threads)

    def grow_on(self, which: Rows, plan: Plan) -> tuple[DenseEncoder, F64, Trees | None]:
        """Return the encoder, all rows' numbers, and the trees learned from some rows."""
        task, weights = self.task, self.task.targets.weights
        encoder, x = fit_dense(task.table, task.schema, self.y, task.n_classes, which, task.seed)
        trees = grow(
            x[which], self.y[which], encoder.categorical,
            n_iterations=plan.rounds, learning_rate=plan.learning_rate,
            max_leaves=plan.max_leaves, min_leaf_rows=plan.min_leaf_rows, l2=plan.l2,
            weights=weights[which].astype(np.float64) if len(weights) else None,
            seed=task.seed,
        )  # fmt: skip
        return encoder, x, trees

    def _fold(self, places: Rows, plan: Plan, n_rows: int) -> _Fold | None:
        """Grow trees on at most so many of the rows that are not at these places."""
        own = self.held[places]
        others = np.setdiff1d(np.arange(self.task.table.n_rows), own)
        if len(others) > n_rows:
            rng = np.random.default_rng(self.task.seed)
            others = np.sort(rng.choice(others, n_rows, replace=False))
        encoder, x, trees = self.grow_on(others, plan)
        return None if trees is None else _Fold(places, trees, x[own], encoder)

    def judge(self, probas: F32, plan: Plan) -> Stacked:
        """Grow, mix and decide; of a large table some rows first, to see whether it is worth it."""
        task = self.task
        task.note("fit", None, "trees")
        n_rows = task.table.n_rows
        with ThreadPoolExecutor(task.n_threads) as threads:
            if n_rows > _PROBE_ROWS and len(self.folds) == 1:
                quick = plan_trees(_PROBE_ROWS, self.n_numbers, task.n_classes)
                assert quick is not None  # of fewer rows, so that there is one if there is `plan`
                quick = quick._replace(
                    rounds=min(quick.rounds, _PROBE_ROUNDS), learning_rate=_MAX_RATE
                )
                with task.budget.step("trees", quick.seconds):
                    fold = self._fold(self.folds[0], quick, _PROBE_ROWS)
                probe = None if fold is None else self._compare(probas, [fold], quick)
                if probe is None or not probe.is_better:
                    return Stacked(None, probas) if probe is None else probe.told(probas)
            with task.budget.step("trees", self._seconds(plan)):
                everything = np.arange(n_rows)
                final = threads.submit(self.grow_on, everything, plan) if self.is_refit else None
                grown = list(threads.map(lambda p: self._fold(p, plan, n_rows), self.folds))
                folds = [fold for fold in grown if fold is not None]
            if len(folds) < len(grown):
                return Stacked(None, probas)
            found = self._compare(probas, folds, plan)
            encoder, trees = folds[0].encoder, folds[0].trees
            if final is not None:
                encoder, _, refitted = final.result()
                trees = trees if refitted is None else refitted
        if not found.is_better:
            return found.told(probas)
        kept, best = trees.first(found.rounds), found.best
        stack = Stack(encoder, kept, task.n_classes, best.share, best.temperature)
        return replace(found.told(best.probas), stack=stack)

    def _compare(self, probas: F32, folds: Sequence[_Fold], plan: Plan) -> _Found:
        """Mix network and trees in every share; say which is best, and by how much."""
        task, started = self.task, time.perf_counter()
        truth = task.targets.take(self.held)
        rounds, z = self._best_rounds(folds, truth, plan)
        network, *shared = (fit_pool(probas, z, truth, share) for share in _SHARES)
        best = min(shared, key=lambda pooled: pooled.loss)
        reason, is_better = _verdict(network.probas, best.probas, truth, task.metric)
        told = f"{rounds} rounds, {best.share:.0%} of the say" if is_better else "none"
        seconds = plan.seconds * len(folds) + time.perf_counter() - started
        tried = [
            _record(name, p, truth, task.metric, seconds)
            for name, p in (
                ("trees", shared[-1].probas),
                (f"network and {best.share:.0%} trees", best.probas),
            )
        ]
        return _Found(rounds, best, is_better, tried, [Choice("trees", told, reason)])

    def _best_rounds(self, folds: Sequence[_Fold], truth: Targets, plan: Plan) -> tuple[int, F32]:
        """Return the rounds of least held-out loss, and the logits of their trees."""
        found: list[tuple[float, int, F32]] = []
        for rounds in sorted({max(1, int(plan.rounds * part)) for part in _PARTS}):
            z = np.empty((len(self.held), self.task.n_classes), np.float32)
            for fold in folds:
                z[fold.places] = log_odds(fold.trees.first(rounds), fold.x, self.task.n_classes)
            found.append((float(_losses(softmax(z.copy()), truth).mean()), rounds, z))
        _, rounds, z = min(found, key=lambda tried: tried[0])
        return rounds, z


class Pooled(NamedTuple):
    """Network and trees together.

    Attributes
    ----------
    share, temperature : float
        See `udt.stack.pool`.
    probas : ndarray of float32, shape (n_rows, n_classes)
        What they give.
    loss : float
        Of these, nats.
    """

    share: float
    temperature: float
    probas: F32
    loss: float


class _Found(NamedTuple):
    """What a comparison of network and trees found."""

    rounds: int
    best: Pooled
    is_better: bool
    tried: list[dict[str, Any]]
    choices: list[Choice]

    def told(self, probas: F32) -> Stacked:
        """Return what is to be told of it, with the answers that it led to."""
        return Stacked(None, probas, self.tried, self.choices)


def fit_pool(probas: F32, z_trees: F32, truth: Targets, share: float) -> Pooled:
    """Find the temperature of least loss for the trees' share of the say.

    Parameters
    ----------
    probas, z_trees, share
        As in `udt.stack.pool`.
    truth : Targets
        One class of each row.
    """

    def at(temperature: float) -> Pooled:
        pooled = pool(probas, z_trees, share, temperature)
        return Pooled(share, temperature, pooled, float(_losses(pooled, truth).mean()))

    return at(least_loss_temperature(lambda temperature: at(temperature).loss))


def _losses(probas: F32, truth: Targets) -> F32:
    """Return each row's weighted NLL (nats)."""
    p = probas[np.arange(truth.n_rows), truth.ids]
    return truth.weighted(-np.log(np.maximum(p, np.float32(_SMALLEST))))


def _costs(probas: F32, truth: Targets, metric: str | None) -> F32:
    """Return what each row costs under the metric of the race."""
    return race_costs(probas, truth, _losses(probas, truth), metric, is_multi_label=False)


def _verdict(probas: F32, pooled: F32, truth: Targets, metric: str | None) -> tuple[str, bool]:
    """Say whether the pooled answers are better by more than a standard error, in words too."""
    before, after = _costs(probas, truth, metric), _costs(pooled, truth, metric)
    gains = before - after
    error = max(float(gains.std() / np.sqrt(len(gains))), _LEAST_GAIN * float(before.mean()))
    is_better = bool(gains.mean() > error)
    what = "loss" if metric in (None, "log_loss") else "error"
    reason = (
        f"{what} {after.mean():.3f} in place of {before.mean():.3f} on {len(gains):,} held-out rows"
        + ("" if is_better else f": a gain of {error:.4f} is asked for")
    )
    return reason, is_better


def _record(
    name: str, probas: F32, truth: Targets, metric: str | None, seconds: float
) -> dict[str, Any]:
    """Return a line of the leaderboard."""
    loss = float(_losses(probas, truth).mean())
    value = float(truth.contain(probas.argmax(axis=1)).mean())
    if metric is not None:
        cost = float(_costs(probas, truth, metric).mean())
        value = cost if metric == "log_loss" else 1 - cost
    return {"name": name, "metric": value, "loss": loss, "seconds": seconds}
