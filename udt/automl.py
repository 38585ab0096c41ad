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
    base_network,
    combine,
    epochs,
    first_candidates,
    gather_facts,
    race_rows,
    variations,
)
from udt.csr import CSR, Targets
from udt.engine.mix import Mix, fit_mix, mix_probas, row_losses
from udt.engine.network import dense_work, slim
from udt.engine.selection import make_selector
from udt.engine.sparsity import Level, find_level
from udt.engine.train import Holdout, Trained, logits, train
from udt.featurizers.rows import FeaturePool, RowEncoder
from udt.heads import NO_THRESHOLDS, DenseHead, find_thresholds, summarise
from udt.many_race import has_many_classes, learn_many
from udt.settings import FeaturizerSettings
from udt.task import (
    Choice,
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

F32 = npt.NDArray[np.float32]

_N_STAGES = 3


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

    @property
    def name(self) -> str:
        """Of the pipeline."""
        return self.candidate.name

    def beats(self, other: Trial) -> bool:
        """Whether it is better on the same rows by more than a standard error."""
        gains = other.row_losses - self.row_losses
        return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


def learn(task: Task) -> Learned:
    """Race, then train the winner."""
    facts = gather_facts(task.table, task.schema, task.n_classes, task.is_multi_label)
    return learn_many(task, facts) if has_many_classes(facts) else learn_few(task, facts)


def learn_few(task: Task, facts: Facts) -> Learned:
    """Race networks that score every class, then train the winner.

    A table that raced as a whole is trained on as a whole, mixed as the race found best; of a
    larger one, rows are held out to stop and mix by.
    """
    rng = np.random.default_rng(task.seed)
    sampled, splits = sample(task, race_rows(facts), rng)
    is_sample = len(sampled) < task.table.n_rows
    trials, best, interrupted = race(task, sampled, splits, facts, is_sample=is_sample)
    held = final_holdout(task, rng) if is_sample else None
    if task.sparsity is None and held is None:  # what will have no share need not be trained
        truth = task.targets.take(sampled[best.rows])
        level = find_level(best.z_wide, best.z_deep, truth, best.mix)
        best = replace(best, mix=level.mix)
    done = finish(task, facts, best, held)
    mix = done.trained.mix or best.mix
    if held is None or done.held is None:
        held, z = sampled[best.rows], (best.z_wide, best.z_deep)
    else:
        z = logits(done.trained.network, done.held, task.n_threads, done.trained.selector)
    truth = task.targets.take(held)
    level = Level(mix, float(mix.deep_share > 0), "set by the user")
    if task.sparsity is None:
        level = find_level(*z, truth, mix)
    mix, probas = level.mix, mix_probas(*z, level.mix)
    thresholds = find_thresholds(probas, truth) if task.is_multi_label else NO_THRESHOLDS
    head = DenseHead(slim(done.trained.network, mix), mix, thresholds, done.trained.selector)
    return Learned(
        encoder=done.encoder,
        head=head,
        kinds=best.candidate.features.kinds,
        history=done.trained.history,
        work_train=done.work,
        work_predict=work_predict(task, done.encoder, head, held, best.candidate.shape.width),
        deep_fraction=level.deep_fraction,
        held=held,
        held_predicted=summarise(probas, truth, thresholds),
        leaderboard=leaderboard(trials),
        choices=_choices(facts, trials, best, level, done.trained, task.width),
        interrupted=interrupted or done.trained.interrupted,
    )


# -- the race ----------------------------------------------------------------------------------


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
            selector=make_selector(candidate.shape, rows.n_features, self.seed + i),
        )  # fmt: skip
        held = rows.take(split.holdout)
        z_wide, z_deep = logits(trained.network, held, selector=trained.selector)
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
    network = base_network(facts, task.width, task.sparsity, task.selector)
    first = first_candidates(facts, *network)
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
                is_deep=_is_free(task) and bool(leader.mix.deep_share > 0),
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


def _is_free(task: Task) -> bool:
    """Whether the user leaves width and sparsity to the race."""
    return task.width is None and task.sparsity is None


def _loss(trial: Trial) -> float:
    return trial.loss


def _choices(
    facts: Facts,
    trials: Sequence[Trial],
    best: Trial,
    level: Level,
    trained: Trained,
    width: int | None,
) -> list[Choice]:
    """Say what was decided and why."""
    c = best.candidate
    held = f"{len(best.rows):,} held-out rows"
    share = float(level.mix.deep_share)
    paths = {0.0: "wide only", 1.0: "deep only"}.get(share, f"wide and {share:.0%} deep")
    choices = [
        Choice("pipeline", c.name, f"loss {best.loss:.3f} on {held}, {len(trials)} trials"),
        Choice("paths", paths, "least loss of the mix on held-out rows"),
        Choice("deep path", f"on {level.deep_fraction:.0%} of the rows", level.reason),
    ]
    if share > 0:
        why = "least loss in the race" if width is None else "set by the user"
        choices.append(Choice("width", str(c.shape.width), why))
    if c.shape.active_fraction < 1:
        neurons = f"{c.shape.active_fraction:.0%} of the hidden ones a row, by {c.shape.selector}"
        choices.append(Choice("neurons", neurons, "set by the user"))
    choices.append(Choice("epochs", str(len(trained.history)), f"{facts.n_rows:,} rows"))
    return choices


# -- the winner --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """The winner, trained on everything.

    Attributes
    ----------
    encoder : RowEncoder
        Of its features.
    trained : Trained
        Its training.
    held : CSR or None
        The held-out rows.
    work : float
        Multiply-adds of the training ÷ those of the network that raced, dense: a path that was
        dropped since is work that is not done.
    """

    encoder: RowEncoder
    trained: Trained
    held: CSR | None
    work: float


def finish(task: Task, facts: Facts, best: Trial, held: Rows | None) -> Finished:
    """Train the winner on all rows but those held out; return the held-out ones encoded.

    More rows carry more features: their number grows with the rows, and a little less.
    """
    candidate = best.candidate
    max_features = grown(candidate.features.max_features, task.table.n_rows / best.n_rows)
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
        holdout = Holdout(rows.take(held), task.targets.take(held))
        training = replace(training, epochs=epochs(facts, task.table.n_rows - len(held)))
    elif best.mix.deep_share == 0 and task.sparsity is None:
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
        selector=make_selector(shape, rows.n_features, task.seed),
    )  # fmt: skip
    n_values = int(np.diff(rows.indptr)[which].sum())
    dense = len(trained.history) * dense_work(
        task.n_classes, candidate.shape.width, n_values, len(which), is_training=True
    )
    held_rows = None if holdout is None else holdout.rows
    return Finished(encoder, trained, held_rows, trained.n_done / max(1, dense))
