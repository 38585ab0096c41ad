"""The race: which features and which network, decided on held-out rows, with the reasons.

Candidates are trained on a sample and judged by the calibrated held-out loss (accuracy is
noisier): first kinds of n-grams, then single changes of the best, then those that helped
together. The winner is trained on everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.candidates import (
    Candidate,
    Facts,
    combine,
    epochs,
    first_candidates,
    gather_facts,
    race_rows,
    variations,
)
from udt.csr import CSR, Targets
from udt.engine.mix import Mix, fit_mix, mix_probas, row_losses
from udt.engine.network import Network, slim
from udt.engine.train import Holdout, Trained, logits, predict, train
from udt.featurizers.rows import FeaturePool, RowEncoder
from udt.featurizers.schema import Schema
from udt.settings import FeaturizerSettings
from udt.table import Table

F32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

Note = Callable[[str, float | None, str], None]
"""Called with a stage, the share of it that is done (or None) and a note."""

_CV_ROWS = 8_000
_N_FOLDS = 5
_MIN_HOLDOUT_ROWS, _MAX_HOLDOUT_ROWS = 1_000, 4_000
_RACE_SHARE, _FINAL_SHARE = 0.2, 0.05
_FEATURE_GROWTH = 0.5
_MAX_FEATURES = 500_000
_N_STAGES = 3


class Budget:
    """How long the run may take.

    Parameters
    ----------
    limit_s : float or None
        Seconds from now on; None = as long as it takes.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._started = time.perf_counter()
        self.limit_s = limit_s

    def allows(self, seconds: float, share: float = 1.0) -> bool:
        """Whether so many seconds more end within a share of the limit."""
        if self.limit_s is None:
            return True
        spent = time.perf_counter() - self._started
        return spent + seconds <= share * self.limit_s


@dataclass(frozen=True)
class Task:
    """What is to be learned, and with what.

    Attributes
    ----------
    table, schema : Table, Schema
        All rows; the kinds of their columns.
    targets : Targets
        Classes of each row.
    n_classes : int
        Number of classes.
    is_multi_label : bool
        Whether a row may have several.
    n_train : int
        Rows from this one on are the user's own rows to make choices on; n_rows = there are none.
    width : int or None
        Hidden neurons, if the user has set them.
    n_threads, n_train_threads : int
        Threads for everything; for the final training (one = a function of the seed alone).
    seed : int
        Seed.
    budget : Budget
        Time to keep to.
    note : Note
        Told of what happens.
    """

    table: Table
    schema: Schema
    targets: Targets
    n_classes: int
    is_multi_label: bool
    n_train: int
    width: int | None
    n_threads: int
    n_train_threads: int
    seed: int
    budget: Budget
    note: Note


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows held out."""

    train: Rows
    holdout: Rows


@dataclass(frozen=True)
class Trial:
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
    mix : Mix
        How its paths are mixed.
    rows : ndarray of int64
        The held-out rows, in the order of the logits.
    z_wide, z_deep : ndarray of float32, shape (len(rows), n_classes)
        Their logits.
    row_losses : ndarray of float32, shape (len(rows),)
        Loss of each, nats.
    """

    candidate: Candidate
    loss: float
    accuracy: float
    seconds: float
    n_rows: int
    n_features: int
    mix: Mix
    rows: Rows = field(repr=False)
    z_wide: F32 = field(repr=False)
    z_deep: F32 = field(repr=False)
    row_losses: F32 = field(repr=False)

    def beats(self, other: Trial) -> bool:
        """Whether it is better on the same rows by more than a standard error."""
        gains = other.row_losses - self.row_losses
        return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


@dataclass(frozen=True)
class Choice:
    """Something that was decided, and why."""

    what: str
    value: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return a JSON-able copy."""
        return {"what": self.what, "value": self.value, "reason": self.reason}


@dataclass(frozen=True)
class Learned:
    """The model that the race led to, and what is to be told of it.

    Attributes
    ----------
    encoder, network, mix
        The model.
    trained : Trained
        The final training's history.
    held, held_probas : ndarray
        Held-out row numbers, and their probabilities by a network that did not train on them.
    trials : list of Trial
        In the order of running.
    best : Trial
        The winner.
    choices : list of Choice
        What was decided and why.
    interrupted : bool
        Whether the user ended it early.
    """

    encoder: RowEncoder
    network: Network
    mix: Mix
    trained: Trained
    held: Rows
    held_probas: F32
    trials: list[Trial]
    best: Trial
    choices: list[Choice]
    interrupted: bool

    def leaderboard(self) -> list[dict[str, Any]]:
        """Return the trials, best first."""
        return [
            {"name": t.candidate.name, "metric": t.accuracy, "loss": t.loss, "seconds": t.seconds}
            for t in sorted(self.trials, key=_loss)
        ]


def learn(task: Task) -> Learned:
    """Race, then train the winner.

    A table that raced as a whole is trained on as a whole, mixed as the race found best; of a
    larger one, rows are held out to stop and mix by.
    """
    rng = np.random.default_rng(task.seed)
    n = task.table.n_rows
    facts = gather_facts(task.table, task.schema, task.n_classes, task.is_multi_label)
    n_raced = min(race_rows(facts), task.n_train)
    is_sample = n_raced < task.n_train
    sampled = np.arange(task.n_train)
    if is_sample:
        sampled = np.sort(rng.choice(task.n_train, n_raced, replace=False))
    if task.n_train < n:
        splits = [Split(np.arange(n_raced), np.arange(n_raced, n_raced + n - task.n_train))]
        sampled = np.concatenate([sampled, np.arange(task.n_train, n)])
    else:
        splits = make_splits(n_raced, rng)
    trials, best, interrupted = race(task, sampled, splits, facts, is_sample=is_sample)
    held = None
    if is_sample:
        held = np.arange(task.n_train, n)
        if len(held) == 0:
            held = np.sort(rng.choice(n, _holdout_rows(n, _FINAL_SHARE), replace=False))
    encoder, trained, rows = finish(task, facts, best, held)
    mix = trained.mix or best.mix
    network = slim(trained.network, mix)
    if held is None or rows is None:
        held, probas = sampled[best.rows], mix_probas(best.z_wide, best.z_deep, best.mix)
    else:
        probas = predict(network, rows, mix, task.n_threads)
    return Learned(
        encoder, network, mix, trained, held, probas, trials, best,
        _choices(facts, trials, best, mix, trained, task.width),
        interrupted or trained.interrupted,
    )  # fmt: skip


# -- the race ----------------------------------------------------------------------------------


def make_splits(n_rows: int, rng: np.random.Generator) -> list[Split]:
    """Return folds for small tables, one holdout for others."""
    order = rng.permutation(n_rows)
    if n_rows <= _CV_ROWS:
        n_folds = min(_N_FOLDS, n_rows)
        parts = [np.sort(order[i::n_folds]) for i in range(n_folds)]
    else:
        parts = [np.sort(order[: _holdout_rows(n_rows, _RACE_SHARE)])]
    everything = np.arange(n_rows)
    return [Split(np.setdiff1d(everything, p, assume_unique=True), p) for p in parts]


def _holdout_rows(n_rows: int, share: float) -> int:
    return int(np.clip(n_rows * share, _MIN_HOLDOUT_ROWS, _MAX_HOLDOUT_ROWS))


def take_rows(rows: CSR, which: Rows) -> CSR:
    """Return some rows of a CSR."""
    lengths = np.diff(rows.indptr)[which]
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    at = np.repeat(rows.indptr[which] - indptr[:-1], lengths) + np.arange(indptr[-1])
    return CSR(indptr, rows.indices[at], rows.values[at], rows.n_features)


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

    def run(self, candidates: Sequence[Candidate], map_: Callable[..., Any]) -> list[Trial]:
        """Train each candidate on each split; judge it on all held-out rows together."""
        jobs = [(c, i) for c in candidates for i in range(len(self.splits))]
        results = list(map_(lambda job: self._train(*job), jobs))
        n = len(self.splits)
        return [self._judge(c, results[k * n : (k + 1) * n]) for k, c in enumerate(candidates)]

    def _train(self, candidate: Candidate, i: int) -> tuple[F32, F32, int, float]:
        """Return the held-out logits, the number of features and the seconds of one training."""
        started = time.perf_counter()
        split = self.splits[i]
        seen = self.targets.only(split.train)
        _, rows = self.pool.select(seen, self.n_classes, candidate.features)
        trained = train(
            rows, self.targets, self.n_classes, candidate.shape, candidate.training,
            which=split.train, seed=self.seed + i,
        )  # fmt: skip
        z_wide, z_deep = logits(trained.network, take_rows(rows, split.holdout))
        return z_wide, z_deep, rows.n_features, time.perf_counter() - started

    def _judge(self, candidate: Candidate, results: Sequence[Any]) -> Trial:
        held = np.concatenate([s.holdout for s in self.splits])
        z_wide, z_deep = (np.concatenate([r[k] for r in results]) for k in (0, 1))
        targets = self.targets.take(held)
        mix = fit_mix(z_wide, z_deep, targets, sigmoid=candidate.training.sigmoid)
        probas = mix_probas(z_wide, z_deep, mix)
        losses = row_losses(probas, targets, mix)
        accuracy = float(targets.contain(probas.argmax(axis=1)).mean())
        return Trial(
            candidate, float(losses.mean()), accuracy, sum(r[3] for r in results),
            self.targets.n_rows, results[0][2], mix, held, z_wide, z_deep, losses,
        )  # fmt: skip


def race(
    task: Task, sampled: Rows, splits: Sequence[Split], facts: Facts, *, is_sample: bool
) -> tuple[list[Trial], Trial, bool]:
    """Try candidates on a sample; return all trials, the winner, and whether the user ended it.

    No stage is started that would take the race past half of the budget.
    """
    table = task.table if len(sampled) == task.table.n_rows else task.table.take(sampled)
    first = first_candidates(facts, task.width)
    kinds = tuple(sorted({kind for c in first for kind in c.features.kinds}))
    task.note("featurize", None, "")
    pool = FeaturePool(table, task.schema, FeaturizerSettings(kinds=kinds), task.n_threads)
    task.note("search", 0.0, "")
    arena = Arena(pool, task.targets.take(sampled), task.n_classes, splits, task.seed)
    trials: list[Trial] = []

    def run_stage(stage: int, candidates: Sequence[Candidate]) -> bool:
        typical = max((t.seconds for t in trials), default=0.0) / task.n_threads
        if trials and not task.budget.allows(typical * len(candidates), share=0.5):
            return False
        trials.extend(arena.run(candidates, threads.map))
        best = min(trials, key=_loss)
        text = f"{len(trials)} trials, best accuracy {best.accuracy:.3f}"
        task.note("search", stage / _N_STAGES, text)
        return True

    with ThreadPoolExecutor(task.n_threads) as threads:
        try:
            run_stage(1, first)
            leader = min(trials, key=_loss)
            changes = variations(
                leader.candidate,
                facts,
                is_capped=leader.n_features >= leader.candidate.features.max_features,
                is_deep=task.width is None and bool(leader.mix.deep_share > 0),
                is_sample=is_sample,
            )
            if run_stage(2, changes):
                better = sorted((t for t in trials[len(first) :] if t.beats(leader)), key=_loss)
                best = (better or [leader])[0]
                if len(better) > 1 and run_stage(
                    3, [combine(leader.candidate, [t.candidate for t in better])]
                ):
                    best = min(best, trials[-1], key=_loss)
                return trials, best, False
        except KeyboardInterrupt:
            if not trials:
                raise
            return trials, min(trials, key=_loss), True
    return trials, leader, False


def _loss(trial: Trial) -> float:
    return trial.loss


def _choices(
    facts: Facts,
    trials: Sequence[Trial],
    best: Trial,
    mix: Mix,
    trained: Trained,
    width: int | None,
) -> list[Choice]:
    """Say what was decided and why."""
    c = best.candidate
    held = f"{len(best.rows):,} held-out rows"
    share = float(mix.deep_share)
    paths = {0.0: "wide only", 1.0: "deep only"}.get(share, f"wide and {share:.0%} deep")
    choices = [
        Choice("pipeline", c.name, f"loss {best.loss:.3f} on {held}, {len(trials)} trials"),
        Choice("paths", paths, "least loss of the mix on held-out rows"),
    ]
    if share > 0:
        why = "least loss in the race" if width is None else "set by the user"
        choices.append(Choice("width", str(c.shape.width), why))
    choices.append(Choice("epochs", str(len(trained.history)), f"{facts.n_rows:,} rows"))
    return choices


# -- the winner --------------------------------------------------------------------------------


def finish(
    task: Task, facts: Facts, best: Trial, held: Rows | None
) -> tuple[RowEncoder, Trained, CSR | None]:
    """Train the winner on all rows but those held out; return the held-out ones encoded.

    More rows carry more features: their number grows with the rows, and a little less.
    """
    candidate = best.candidate
    growth = max(1.0, task.table.n_rows / best.n_rows) ** _FEATURE_GROWTH
    max_features = min(_MAX_FEATURES, int(candidate.features.max_features * growth))
    features = replace(candidate.features, max_features=max_features)
    task.note("featurize", None, "")
    everything = np.arange(task.table.n_rows)
    which = everything if held is None else np.setdiff1d(everything, held, assume_unique=True)
    seen = task.targets.only(which)
    encoder, rows = FeaturePool(task.table, task.schema, features, task.n_threads).select(
        seen, task.n_classes, features, task.n_threads
    )
    task.note("fit", 0.0, "")
    shape, training, holdout = candidate.shape, candidate.training, None
    if held is not None:
        holdout = Holdout(take_rows(rows, held), task.targets.take(held))
        training = replace(training, epochs=epochs(facts, task.table.n_rows - len(held)))
    elif best.mix.deep_share == 0:
        shape = replace(shape, width=0)

    def on_epoch(entry: dict[str, Any]) -> bool:
        accuracy = entry.get("holdout_accuracy")
        text = "" if accuracy is None else f", accuracy {accuracy:.3f}"
        task.note("fit", entry["epoch"] / training.epochs, f"epoch {entry['epoch']}{text}")
        return task.budget.allows(1.5 * entry["seconds"] / entry["epoch"])

    trained = train(
        rows, task.targets, task.n_classes, shape, training,
        which=which, holdout=holdout, n_threads=task.n_train_threads,
        seed=task.seed, on_epoch=on_epoch,
    )  # fmt: skip
    return encoder, trained, None if holdout is None else holdout.rows
