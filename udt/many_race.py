"""The race where there are many classes: which features and which network for shortlists.

As in `udt.automl`, on a sample and by calibrated held-out loss; trials are few, because every one
of them has to see many rows of each class.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.budget import values_per_row
from udt.candidates import CHARS_35, WORDS_12, Facts
from udt.criterion import row_costs
from udt.csr import Targets, one_class
from udt.engine.many import Ranked, ranking, slim_many
from udt.engine.many_train import (
    ManyTrained,
    fit_temperature,
    n_ranked,
    rank,
    row_losses,
    train_many,
)
from udt.engine.thresholds import fit_thresholds
from udt.engine.train import Holdout
from udt.featurizers.rows import FeaturePool, RowEncoder
from udt.heads import MOST_LABELS, NO_THRESHOLDS, ManyHead, as_predicted
from udt.settings import FeaturizerSettings, ManySettings
from udt.task import (
    Choice,
    Judged,
    Learned,
    Rows,
    Split,
    Task,
    final_holdout,
    grown,
    leaderboard,
    sample,
    work_predict,
)

_RACE_ROWS = 80_000
_MANY_CLASSES = 200
_MOST_DENSE_STEPS = 2e9  # multiply-adds of one pass; a race makes some hundred passes
_HIDDEN_STEPS = 192  # multiply-adds a row and class of a hidden layer of 64, there and back

_SHORT_TEXT_BYTES = 150
_CHARS_BELOW_BYTES = 10_000_000
_MAX_FEATURES = 500_000
_TOLERANCE = 0.001
_N_BEST = (4, 8, 16)


def has_many_classes(facts: Facts) -> bool:
    """Whether scoring every class for every row costs too much.

    From about 200 classes on, if a dense pass over the rows has many multiply-adds.
    """
    words = values_per_row(facts.text_bytes_per_row, ("word 1",))
    steps = facts.n_rows * facts.n_classes * (words + _HIDDEN_STEPS)
    return facts.n_classes >= _MANY_CLASSES and steps > _MOST_DENSE_STEPS


@dataclass(frozen=True)
class ManyCandidate:
    """A pipeline that may win."""

    name: str
    features: FeaturizerSettings
    network: ManySettings


@dataclass(frozen=True)
class ManyTrial(Judged):
    """A candidate and how it did on held-out rows.

    Attributes
    ----------
    candidate : ManyCandidate
        The pipeline.
    loss, accuracy : float
        Calibrated; nats, share.
    seconds : float
        Of its training.
    n_rows : int
        Rows of the race.
    temperature : float
        Of least loss.
    row_costs : ndarray of float32
        What each held-out row costs under the metric of the race: by default its loss, nats.
    ranked : Ranked
        What it says of the held-out rows.
    """

    candidate: ManyCandidate
    loss: float
    accuracy: float
    seconds: float
    n_rows: int
    temperature: float
    row_costs: npt.NDArray[np.float32] = field(repr=False)
    ranked: Ranked = field(repr=False)

    @property
    def name(self) -> str:
        """Of the pipeline."""
        return self.candidate.name


def _first_candidates(task: Task, facts: Facts) -> list[ManyCandidate]:
    """Return candidates that differ in their kinds of n-grams; the first is the best guess.

    Characters make rows many times longer, so that only little text is worth them.
    """
    kinds: dict[str, tuple[str, ...]] = {"words 1–2": WORDS_12}
    n_bytes = facts.n_rows * facts.text_bytes_per_row
    if facts.text_bytes_per_row <= _SHORT_TEXT_BYTES and n_bytes <= _CHARS_BELOW_BYTES:
        kinds["words 1–2 + characters"] = (*WORDS_12, *CHARS_35)
    network = _network(task)
    return [
        ManyCandidate(name, FeaturizerSettings(kinds=k, max_features=_MAX_FEATURES // 2), network)
        for name, k in kinds.items()
    ]


def _network(task: Task) -> ManySettings:
    """Return the settings to start from, as the user wants them."""
    network = ManySettings()
    if task.width is not None:
        network = replace(network, width=task.width)
    if task.selector is not None:
        network = replace(network, selector=task.selector)
    if task.sparsity is not None and task.sparsity >= 1:
        network = replace(network, selector="dense", skip_below=0.0)
    elif task.sparsity is not None:
        n_active = max(2, round(task.sparsity * task.n_classes))
        network = replace(network, n_best=n_active // 3, n_drawn=n_active - n_active // 3)
    return network


def _variations(base: ManyCandidate, task: Task) -> list[ManyCandidate]:
    """Return candidates that each change one thing of the best one."""
    changes: dict[str, dict[str, Any]] = {
        "dropout 0.3": {"dropout": 0.3},
        "longer shortlists, faster": {
            "shortlist": 2 * base.network.shortlist,
            "lr": 2 * base.network.lr,
        },
    }
    if task.width is None:
        changes["wide only"] = {"width": 0}
    return [
        replace(base, name=f"{base.name}, {name}", network=replace(base.network, **c))
        for name, c in changes.items()
    ]


@dataclass(frozen=True)
class _Arena:
    """What all trials share; each trains on one thread, so that the seed alone decides."""

    pool: FeaturePool
    targets: Targets
    n_classes: int
    split: Split
    seed: int
    metric: str | None = None

    def run(self, candidate: ManyCandidate) -> ManyTrial:
        """Train a candidate and judge it on the held-out rows."""
        started = time.perf_counter()
        seen = self.targets.only(self.split.train)
        _, rows = self.pool.select(seen, self.n_classes, candidate.features)
        held = self.split.holdout
        holdout = Holdout(rows.take(held), self.targets.take(held))
        trained = train_many(
            rows, self.targets, self.n_classes, candidate.network,
            which=self.split.train, seed=self.seed,
        )  # fmt: skip
        n_best = n_ranked(candidate.network, self.n_classes)
        temperature = fit_temperature(trained.network, holdout, n_best)
        how = ranking(trained.network, temperature, n_best)
        k = min(MOST_LABELS, self.n_classes)
        ranked, _ = rank(trained.network, holdout.rows, how, k, holdout.targets)
        losses = row_losses(ranked.true_p, holdout.targets)
        first = one_class(ranked.ids[:, 0])
        costs = row_costs(self.metric, losses, first, holdout.targets, self.n_classes)
        return ManyTrial(
            candidate,
            float(losses.mean()),
            float(holdout.targets.contain(ranked.ids[:, 0]).mean()),
            time.perf_counter() - started,
            self.targets.n_rows,
            temperature,
            costs,
            ranked,
        )


def race_many(task: Task, facts: Facts, sampled: Rows, split: Split) -> list[ManyTrial]:
    """Try candidates on a sample; return all trials, the winner first.

    Parameters
    ----------
    task, facts
        What is to be learned.
    sampled : ndarray of int64
        Rows of the table that take part.
    split : Split
        Of these.
    """
    first = _first_candidates(task, facts)
    kinds = tuple(sorted({kind for c in first for kind in c.features.kinds}))
    task.note("featurize", None, "")
    pool = FeaturePool(
        task.table.take(sampled), task.schema, FeaturizerSettings(kinds=kinds), task.n_threads
    )
    arena = _Arena(pool, task.targets.take(sampled), task.n_classes, split, task.seed, task.metric)
    trials: list[ManyTrial] = []

    def stage(done: float, candidates: Sequence[ManyCandidate], run: Callable[..., Any]) -> None:
        task.note("search", done, "")
        typical = max((t.seconds for t in trials), default=0.0) / task.n_threads
        if not trials or task.budget.allows("train", typical * len(candidates), share=0.5):
            trials.extend(run(arena.run, candidates))

    with ThreadPoolExecutor(task.n_threads) as threads:
        stage(0.0, first, threads.map)
        leader = min(trials, key=_loss)
        stage(0.4, _variations(leader.candidate, task), threads.map)
    better = [t for t in trials if t.beats(leader)]
    best = min(better, key=_loss, default=leader)
    return [best, *(t for t in trials if t is not best)]


def _loss(trial: ManyTrial) -> float:
    return trial.cost


def learn_many(task: Task, facts: Facts) -> Learned:
    """Race networks that score likely classes only, then train the winner.

    Of a table that raced as a whole all rows are trained on in the end, and the race's held-out
    rows are what is told of; of a larger one, rows are held out anew.
    """
    rng = np.random.default_rng(task.seed)
    sampled, splits = sample(task, _RACE_ROWS, rng)
    trials = race_many(task, facts, sampled, splits[0])
    best = trials[0]
    held = final_holdout(task, rng) if len(sampled) < task.table.n_rows else None
    encoder, trained, holdout = _finish(task, best, held)
    settings, network = best.candidate.network, slim_many(trained.network)
    n_labels = float(task.targets.counts.mean()) if task.is_multi_label else 1.0
    n_best = n_ranked(settings, task.n_classes)
    head = ManyHead(network, trained.temperature, n_best, n_labels, NO_THRESHOLDS)
    choices = _choices(trials, facts)
    if held is None or holdout is None:
        held, ranked = sampled[splits[0].holdout], head.lift(best.ranked)
        head = replace(head, temperature=best.temperature)
    else:
        n_best, choice = fewest_best(task, head, holdout)
        head, choices = replace(head, n_best=n_best), [*choices, choice]
        ranked = head.ranked(holdout.rows, holdout.targets)
    truth = task.targets.take(held)
    if task.is_multi_label:
        found = fit_thresholds(ranked.ids, ranked.probas, truth, task.n_classes)
        head = replace(head, thresholds=found)
    return Learned(
        encoder=encoder,
        head=head,
        kinds=best.candidate.features.kinds,
        history=trained.history,
        work_train=trained.work,
        work_predict=work_predict(task, encoder, head, held, network.width),
        deep_fraction=float(network.width > 0),
        held=held,
        held_predicted=as_predicted(ranked, truth, head.thresholds),
        leaderboard=leaderboard(trials, task.metric),
        choices=choices,
        interrupted=trained.interrupted,
    )


def _finish(
    task: Task, best: ManyTrial, held: Rows | None
) -> tuple[RowEncoder, ManyTrained, Holdout | None]:
    """Train the winner on all rows but those held out."""
    n = task.table.n_rows
    which = np.arange(n)
    if held is not None:
        which = np.setdiff1d(which, held, assume_unique=True)
    wanted = best.candidate.features
    features = replace(wanted, max_features=grown(wanted.max_features, n / best.n_rows))
    task.note("featurize", None, "")
    pool = FeaturePool(task.table, task.schema, features, task.n_threads)
    seen = task.targets.only(which)
    encoder, rows = pool.select(seen, task.n_classes, features, task.n_threads)
    del pool  # as large as the rows
    settings, holdout = best.candidate.network, None
    if held is not None:
        holdout = Holdout(rows.take(held), task.targets.take(held))
    task.note("fit", 0.0, "")

    def on_epoch(entry: dict[str, Any]) -> bool:
        task.tell_epoch(entry, settings.epochs)
        return task.budget.allows("train", entry["seconds"] / entry["epoch"])

    trained = train_many(
        rows, task.targets, task.n_classes, settings, which=which, holdout=holdout,
        n_threads=task.n_train_threads, seed=task.seed, on_epoch=on_epoch,
    )  # fmt: skip
    return encoder, trained, holdout


def _choices(trials: Sequence[ManyTrial], facts: Facts) -> list[Choice]:
    """Say what was decided in the race, and why."""
    best = trials[0]
    network = best.candidate.network
    held = f"{len(best.row_costs):,} held-out rows"
    active = f"{network.n_best} found by {network.selector} + {network.n_drawn} drawn"
    shortlists = f"up to {network.shortlist} of {facts.n_classes:,} classes a feature"
    return [
        Choice("pipeline", best.name, f"loss {best.loss:.3f} on {held}, {len(trials)} trials"),
        Choice("shortlists", shortlists, "scoring all classes for each row costs too much"),
        Choice("active classes", active, "a row's own besides; the drawn ones stand for the rest"),
    ]


def fewest_best(task: Task, head: ManyHead, holdout: Holdout) -> tuple[int, Choice]:
    """Return how many classes have to take the deep path at prediction, and why.

    The fewest with which the held-out accuracy is within 0.1 points of that with all that were
    active in training.
    """
    n_all = head.n_best
    told = Choice("classes on the deep path", f"{n_all:,} a row", "set by the user")
    if task.sparsity is not None or n_all == head.n_classes:
        return n_all, told
    if head.network.width == 0:
        return n_all, replace(told, value="none", reason="the wide path alone won the race")

    def accuracy(n_best: int) -> float:
        ids, _ = replace(head, n_best=n_best).top_k(holdout.rows, 1)
        return float(holdout.targets.contain(ids[:, 0]).mean())

    held, whole = f"{holdout.rows.n_rows:,} held-out rows", accuracy(n_all)
    for n_best in _N_BEST:
        reached = accuracy(n_best)
        if reached >= whole - _TOLERANCE:
            why = f"accuracy {reached:.3f} on {held}, {whole:.3f} with {n_all}"
            return n_best, replace(told, value=f"{n_best} a row", reason=why)
    return n_all, replace(told, reason=f"fewer lose accuracy on {held}")
