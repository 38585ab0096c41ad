"""The race: which features and which network, decided on held-out rows of a sample.

Candidates are judged by the calibrated held-out loss (accuracy is noisier): first kinds of n-grams,
then single changes of the best, then those that helped together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.budget import train_seconds
from udt.candidates import (
    Candidate,
    Facts,
    base_network,
    combine,
    first_candidates,
    members,
    variations,
)
from udt.csr import Targets
from udt.engine.members import mean_of, member_seed
from udt.engine.mix import Mix, fit_mix, mix_probas, row_losses
from udt.engine.selection import make_selector
from udt.engine.train import logits, train
from udt.featurizers.rows import FeaturePool
from udt.heads import race_costs
from udt.plan import Cost, affordable_members, encode_s, expected_values, final_s
from udt.resume import TrialStore, fingerprint
from udt.task import Judged, Rows, Split, Task

F32 = npt.NDArray[np.float32]

N_STAGES = {"fast": 1, "balanced": 3, "best": 3}
"""Stages of the race, by preset."""


@dataclass(frozen=True)
class Trial(Judged):
    """A candidate and how it did on held-out rows.

    Attributes
    ----------
    candidate : Candidate
        The pipeline.
    loss, accuracy : float
        Of the calibrated mix on all held-out rows; nats, share.
    seconds : float
        Of all its trainings together.
    n_rows, n_features : int
        Rows of the race, features of its first training.
    n_values : float
        Features of a row, on average.
    mix : Mix
        How its paths are mixed.
    rows : ndarray of int64
        The held-out rows, in the order of the logits.
    z_wide, z_deep : ndarray of float32, shape (len(rows), n_classes)
        Their logits.
    row_costs : ndarray of float32, shape (len(rows),)
        What each costs under the metric of the race: by default its loss, nats.
    """

    candidate: Candidate
    loss: float
    accuracy: float
    seconds: float
    n_rows: int
    n_features: int
    n_values: float
    mix: Mix
    rows: Rows = field(repr=False)
    z_wide: F32 = field(repr=False)
    z_deep: F32 = field(repr=False)
    row_costs: F32 = field(repr=False)

    @property
    def name(self) -> str:
        """Of the pipeline, and how many trainings are averaged."""
        n = self.candidate.training.members
        return self.candidate.name if n == 1 else f"{self.candidate.name}, mean of {n}"

    @property
    def cost_of_training(self) -> Cost:
        """What training it again depends on."""
        return cost_of(self.candidate, self.z_wide.shape[1], self.n_values, self.n_features)


def cost_of(candidate: Candidate, n_classes: int, n_values: float, n_features: int) -> Cost:
    """Return what a candidate's training time and memory depend on."""
    shape = candidate.shape
    n_columns = n_classes + round(shape.width * shape.active_fraction)
    kinds, n_epochs = candidate.features.kinds, candidate.training.epochs
    return Cost(kinds, n_values, n_columns, n_features, n_epochs, candidate.training.members)


class _Result(NamedTuple):
    """What one training says of its held-out rows."""

    z_wide: F32
    z_deep: F32
    n_features: int
    n_values: float
    seconds: float


def _mean(results: Sequence[_Result]) -> _Result:
    """Return what the mean of several trainings says (see `udt.engine.members`)."""
    return results[0]._replace(
        z_wide=mean_of([r.z_wide for r in results]),
        z_deep=mean_of([r.z_deep for r in results]),
        seconds=sum(r.seconds for r in results),
    )


@dataclass(frozen=True)
class Arena:
    """What all trials of a race share.

    Trainings run side by side, each on one thread, so that the seed alone decides the outcome.
    """

    pool: FeaturePool
    targets: Targets
    n_classes: int
    splits: Sequence[Split]
    seed: int
    metric: str | None
    is_over: Callable[[], bool]
    store: TrialStore | None
    data: str
    known: dict[str, _Result] = field(default_factory=dict)

    def run(self, candidates: Sequence[Candidate], map_: Callable[..., Any]) -> list[Trial]:
        """Train each candidate on each split; judge it on all held-out rows together."""
        jobs = [
            (c, i, member)
            for c in candidates
            for i in range(len(self.splits))
            for member in range(c.training.members)
        ]
        results = iter(list(map_(lambda job: self._train(*job), jobs)))
        trials = []
        for c in candidates:
            parts = [_mean(list(islice(results, c.training.members))) for _ in self.splits]
            trials.append(self._judge(c, parts))
        return trials

    def _train(self, candidate: Candidate, i: int, member: int) -> _Result:
        """Return what one training leads to; what was trained before is not trained again."""
        training = replace(candidate.training, members=1)
        tried = f"{candidate.features!r} {candidate.shape!r} {training!r}"
        key = f"{self.data} {tried} {self.seed} {i} {member}"
        if key not in self.known:
            self.known[key] = self._stored(key, candidate, i, member)
        return self.known[key]

    def _stored(self, key: str, candidate: Candidate, i: int, member: int) -> _Result:
        """Return what one training leads to, or led to in a run that this one goes on with."""
        known = None if self.store is None else self.store.get(key)
        if known is not None:
            n_features, n_values, seconds = known["numbers"].tolist()
            return _Result(known["z_wide"], known["z_deep"], int(n_features), n_values, seconds)
        result = self._train_anew(candidate, i, member)
        if self.store is not None:
            numbers = np.array([result.n_features, result.n_values, result.seconds])
            arrays = {"z_wide": result.z_wide, "z_deep": result.z_deep, "numbers": numbers}
            self.store.put(key, arrays)
        return result

    def _train_anew(self, candidate: Candidate, i: int, member: int) -> _Result:
        started = time.perf_counter()
        split, seed = self.splits[i], member_seed(self.seed + i, member)
        seen = self.targets.only(split.train)
        _, rows = self.pool.select(seen, self.n_classes, candidate.features)
        trained = train(
            rows, self.targets, self.n_classes, candidate.shape, candidate.training,
            which=split.train, seed=seed, is_over=self.is_over,
            selector=make_selector(candidate.shape, rows.n_features, seed),
        )  # fmt: skip
        held = rows.take(split.holdout)
        z_wide, z_deep = logits(trained.network, held, selector=trained.selector)
        n_values, seconds = len(rows.indices) / rows.n_rows, time.perf_counter() - started
        return _Result(z_wide, z_deep, rows.n_features, n_values, seconds)

    def _judge(self, candidate: Candidate, results: Sequence[_Result]) -> Trial:
        held = np.concatenate([s.holdout for s in self.splits])
        z_wide, z_deep = (np.concatenate([r[k] for r in results]) for k in (0, 1))
        targets = self.targets.take(held)
        mix = fit_mix(z_wide, z_deep, targets, sigmoid=candidate.training.sigmoid)
        probas = mix_probas(z_wide, z_deep, mix)
        losses = row_losses(probas, targets, mix)
        costs = race_costs(
            probas, targets, losses, self.metric, is_multi_label=candidate.training.sigmoid
        )
        accuracy = float(targets.contain(probas.argmax(axis=1)).mean())
        return Trial(
            candidate, float(losses.mean()), accuracy, sum(r.seconds for r in results),
            self.targets.n_rows, results[0].n_features, results[0].n_values, mix, held, z_wide,
            z_deep, costs,
        )  # fmt: skip


class Raced(NamedTuple):
    """What a race led to.

    Attributes
    ----------
    trials : list of Trial
        All of them.
    best : Trial
        The winner.
    interrupted : bool
        Whether the user ended it.
    cause : str
        What ended it early; empty if nothing did.
    """

    trials: list[Trial]
    best: Trial
    interrupted: bool
    cause: str


class _Stages:
    """Runs stages of candidates as long as the budget has time for them and what comes after."""

    def __init__(self, task: Task, facts: Facts, arena: Arena, first: Sequence[Candidate]) -> None:
        self.task, self.facts, self.arena = task, facts, arena
        self.trials: list[Trial] = []
        self.n_stages, self.cause = N_STAGES[task.preset], ""
        n_values = expected_values(facts, first[0].features.kinds)
        self._cost = cost_of(first[0], task.n_classes, n_values, first[0].features.max_features)

    @property
    def best(self) -> Trial:
        """The trial of least cost so far."""
        return min(self.trials, key=_cost)

    def run(self, stage: int, candidates: Sequence[Candidate], map_: Callable[..., Any]) -> bool:
        """Train the candidates there is time for, at least one at first; whether any was."""
        if stage > self.n_stages:
            return False
        candidates = self._affordable(candidates)
        if not candidates:
            return False
        with self.task.budget.step("train", self._expected_s(candidates)):
            self.trials.extend(self.arena.run(candidates, map_))
        text = f"{len(self.trials)} trials, best accuracy {self.best.accuracy:.3f}"
        self.task.note("search", stage / self.n_stages, text)
        return True

    def _affordable(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Return the first candidates after which there is time to train the best of all."""
        least = int(not self.trials)
        after_s = final_s(self.task, self.facts, self._final_cost())
        for n in range(len(candidates), least, -1):
            if self.task.budget.allows("train", self._expected_s(candidates[:n]) + after_s):
                return candidates[:n]
            self.cause = self.task.budget.cause
        return candidates[:least]

    def _final_cost(self) -> Cost:
        return self.best.cost_of_training if self.trials else self._cost

    def _expected_s(self, candidates: Sequence[Candidate]) -> float:
        """Return what training them on every split should take, seconds."""
        n_rows = sum(len(split.train) for split in self.arena.splits)
        cost = self._final_cost()
        return sum(
            train_seconds(
                c.training.members * n_rows * cost.n_values,
                cost_of(c, self.task.n_classes, 0, 0).n_columns,
                c.training.epochs,
                self.task.n_threads,
            )
            for c in candidates
        )


def race(
    task: Task, sampled: Rows, splits: Sequence[Split], facts: Facts, *, is_sample: bool
) -> Raced:
    """Try candidates on a sample.

    Parameters
    ----------
    task, facts
        What is to be learned.
    sampled : ndarray of int64
        Rows of the table that take part.
    splits : sequence of Split
        Of these.
    is_sample : bool
        Whether there are more rows.
    """
    table = task.table if len(sampled) == task.table.n_rows else task.table.take(sampled)
    first = first_candidates(facts, *base_network(facts, task.width, task.sparsity, task.selector))
    kinds = tuple(sorted({kind for c in first for kind in c.features.kinds}))
    task.note("featurize", None, "")
    with task.budget.step("encode", encode_s(task, facts, table.n_rows, kinds)):
        pool = FeaturePool(
            table, task.schema, replace(first[0].features, kinds=kinds), task.n_threads
        )
    task.note("search", 0.0, "")
    targets = task.targets.take(sampled)
    data = ""
    if task.store is not None:
        data = fingerprint(pool.rows.indices, pool.rows.values, targets.ids, task.metric)
    arena = Arena(
        pool, targets, task.n_classes, splits, task.seed, task.metric, task.budget.is_over,
        task.store, data,
    )  # fmt: skip
    stages = _Stages(task, facts, arena, first)
    with ThreadPoolExecutor(task.n_threads) as threads:
        try:
            best = _run(stages, first, facts, threads.map, is_sample=is_sample)
        except KeyboardInterrupt:
            if not stages.trials:
                raise
            return Raced(stages.trials, stages.best, True, "Ctrl-C")
    return Raced(stages.trials, best, False, stages.cause)


def _run(
    stages: _Stages,
    first: Sequence[Candidate],
    facts: Facts,
    map_: Callable[..., Any],
    *,
    is_sample: bool,
) -> Trial:
    """Run all stages; return the winner: what changes the leader has to beat it clearly."""
    stages.run(1, first, map_)
    leader, n_first = stages.best, len(stages.trials)
    changes = variations(
        leader.candidate,
        facts,
        is_capped=leader.n_features >= leader.candidate.features.max_features,
        is_deep=_is_free(stages.task) and bool(leader.mix.deep_share > 0),
        is_sample=is_sample,
        is_thorough=stages.task.preset == "best",
    )
    if not stages.run(2, changes, map_):
        return leader
    better = sorted((t for t in stages.trials[n_first:] if t.beats(leader)), key=_cost)
    best = (better or [leader])[0]
    together = [combine(leader.candidate, [t.candidate for t in better])]
    if len(better) > 1 and stages.run(3, together, map_):
        best = min(best, stages.trials[-1], key=_cost)
    return _steadier(stages, best, facts, map_, is_sample=is_sample)


def _steadier(
    stages: _Stages, best: Trial, facts: Facts, map_: Callable[..., Any], *, is_sample: bool
) -> Trial:
    """Return the winner as the mean of several trainings, where that helps.

    On a sample it is not tried: what it is worth there, it is not worth on all rows.
    """
    task = stages.task
    if task.width is not None or task.sparsity not in (None, 1):  # the user has set the neurons
        return best
    cost = best.cost_of_training._replace(n_members=members(facts, task.preset))
    candidate = best.candidate.of(affordable_members(task, facts, cost))
    if candidate == best.candidate:
        return best
    if is_sample:
        return replace(best, candidate=candidate)
    if stages.run(N_STAGES[task.preset], [candidate], map_):
        best = min(best, stages.trials[-1], key=_cost)
    return best


def _is_free(task: Task) -> bool:
    """Whether the user leaves width and sparsity to the race."""
    return task.width is None and task.sparsity is None


def _cost(trial: Trial) -> float:
    return trial.cost
