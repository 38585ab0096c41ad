"""From a table to a model: the race, the training of its winner, the reason for every choice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.candidates import Facts, epochs, gather_facts
from udt.csr import CSR, Targets
from udt.engine.links import AS_IT_IS, fit_links, link
from udt.engine.members import train_members
from udt.engine.mix import Mix, mix_probas
from udt.engine.network import dense_work, pack, slim
from udt.engine.prior import fit_prior, link_prior
from udt.engine.selection import make_selector
from udt.engine.shifts import AS_PROBABLE
from udt.engine.sparsity import Level, find_level
from udt.engine.train import Holdout, Trained, logits
from udt.featurizers.rows import FeaturePool, RowEncoder
from udt.heads import NO_THRESHOLDS, DenseHead, find_factors, find_thresholds, summarise
from udt.many_race import has_many_classes, learn_many
from udt.plan import (
    affordable_epochs,
    affordable_rows,
    encode_s,
    fit_features,
    fits_model,
    prepare_s,
    race_rows,
    shrink,
)
from udt.race import Raced, Trial, race
from udt.recall import Recall, fitting, remember
from udt.settings import FeaturizerSettings
from udt.stacking import NO_ROOM_FOR_TREES, Stacked, stack_trees
from udt.task import (
    Choice,
    Learned,
    Rows,
    Task,
    decision_choice,
    final_holdout,
    grown,
    leaderboard,
    sample,
    work_predict,
)

F32 = npt.NDArray[np.float32]

_MEASURED_KINDS = ("word 1", "word 2", "word 3", "char 3")
"""As good a guess as any, before the race, of what the model will make of the rows to test on."""


def learn(task: Task) -> Learned:
    """Race, then train the winner.

    Parameters
    ----------
    task : Task
        What is to be learned, and within which limits.

    Raises
    ------
    SettingsError
        A limit leaves no room to learn anything.
    DivergedError
        Training lost its numbers and could not recover.
    """
    facts = gather_facts(task.table, task.schema, task.n_classes, task.is_multi_label)
    task.budget.reserve(encode_s(task, facts, task.n_test, _MEASURED_KINDS))
    return learn_many(task, facts) if has_many_classes(facts) else learn_few(task, facts)


def learn_few(task: Task, facts: Facts) -> Learned:
    """Race networks that score every class, then train the winner.

    A table that raced as a whole is trained on as a whole, mixed as the race found best; of a
    larger one, rows are held out to stop and mix by.
    """
    rng = np.random.default_rng(task.seed)
    sampled, splits = sample(task, race_rows(task, facts), rng)
    is_sample = len(sampled) < task.table.n_rows
    raced = race(task, sampled, splits, facts, is_sample=is_sample)
    best = raced.best
    if task.sparsity is None and not is_sample:  # what will have no share need not be trained
        truth = task.targets.take(sampled[best.rows])
        level = find_level(best.z_wide, best.z_deep, truth, best.mix)
        best = replace(best, mix=level.mix)
    smaller, rows, told = shrink(task, *affordable_rows(task, facts, best.cost_of_training))
    held = final_holdout(smaller, rng) if is_sample else None
    done = finish(smaller, facts, best, held)
    if raced.interrupted and done.trained.interrupted:  # asked for the second time
        raise KeyboardInterrupt
    if done.held is None or held is None:
        judged, z, mix = sampled[best.rows], (best.z_wide, best.z_deep), best.mix
    else:
        judged, mix = rows[held], done.trained.mix or best.mix
        z = logits(done.trained.network, done.held, task.n_threads, done.trained.selector)
    return _conclude(task, facts, raced, best, done, judged, z, mix, told)


def _conclude(
    task: Task,
    facts: Facts,
    raced: Raced,
    best: Trial,
    done: Finished,
    judged: Rows,
    z: tuple[Any, Any],
    mix: Mix,
    told: list[Choice],
) -> Learned:
    """Decide on held-out rows how the paths are used; return the model and what is told of it."""
    candidate = best.candidate
    truth = task.targets.take(judged)
    level = Level(mix, float(mix.deep_share > 0), "set by the user")
    if task.sparsity is None:
        level = find_level(*z, truth, mix)
    mix = level.mix
    network = slim(done.trained.network, mix)
    stacked = stack_trees(task, judged, mix_probas(*z, mix))
    if stacked.stack is not None:
        parts = done.encoder.state()[1], pack(network), stacked.stack.state()[1]
        if not fits_model(task, *parts):
            stacked = Stacked(None, mix_probas(*z, mix), choices=[NO_ROOM_FOR_TREES])
    probas = stacked.probas
    thresholds, factors, links = NO_THRESHOLDS, AS_PROBABLE, AS_IT_IS
    if task.is_multi_label:
        links = fit_links(probas, truth)
        probas = link(probas, links)
        thresholds = find_thresholds(probas, truth)
    else:
        if stacked.stack is None:
            links = fit_prior(probas, truth)
            probas = link_prior(probas, links)
        factors = find_factors(probas, truth, task.metric)
    head = DenseHead(network, mix, thresholds, done.trained.selector, factors, links)
    return Learned(
        encoder=done.encoder,
        head=head,
        kinds=candidate.features.kinds,
        history=done.trained.history,
        work_train=done.work,
        work_predict=work_predict(
            task, done.encoder, head, judged, candidate.shape.width * candidate.training.members
        ),
        deep_fraction=level.deep_fraction,
        held=judged,
        held_predicted=summarise(probas, truth, thresholds, factors),
        leaderboard=stacked.placed_among(leaderboard(raced.trials, task.metric), task.metric),
        choices=[
            *_choices(facts, raced, best, level, done.trained, task.width),
            *stacked.choices,
            *_about_prior(links, task),
            *decision_choice(factors, len(judged)),
            *told,
            *done.told,
        ],
        interrupted=raced.interrupted or done.trained.interrupted,
        recall=done.recall and fitting(done.recall, network, done.trained.network),
        stack=stacked.stack,
    )


def _about_prior(links: F32, task: Task) -> list[Choice]:
    """Say how far probabilities are drawn towards the classes' shares."""
    if task.is_multi_label or not len(links):
        return []
    value = f"probabilities to the power of {links[0]:.1f}, times shares of the classes"
    return [Choice("calibration", value, "least held-out loss; few rows teach little else")]


def _choices(
    facts: Facts,
    raced: Raced,
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
        Choice(
            "pipeline", best.name, f"loss {best.loss:.3f} on {held}, {len(raced.trials)} trials"
        ),
        Choice("paths", paths, "least loss of the mix on held-out rows"),
        Choice("deep path", f"on {level.deep_fraction:.0%} of the rows", level.reason),
    ]
    if share > 0:
        why = "least loss in the race" if width is None else "set by the user"
        choices.append(Choice("width", str(c.shape.width), why))
    if c.training.members > 1:
        why = "trainings from different random numbers err less together"
        choices.append(Choice("network", f"mean of {c.training.members}", why))
    if c.shape.active_fraction < 1:
        neurons = f"{c.shape.active_fraction:.0%} of the hidden ones a row, by {c.shape.selector}"
        choices.append(Choice("neurons", neurons, "set by the user"))
    if raced.cause:
        choices.append(Choice("search", "ended before all was tried", raced.cause))
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
    recall : Recall or None
        What the model keeps to go on learning.
    told : list of Choice
        What limits have decided.
    """

    encoder: RowEncoder
    trained: Trained
    held: CSR | None
    work: float
    recall: Recall | None
    told: list[Choice]


def finish(task: Task, facts: Facts, best: Trial, held: Rows | None) -> Finished:
    """Train the winner on all rows but those held out; return the held-out ones encoded.

    More rows carry more features: their number grows with the rows, and a little less.
    """
    candidate, n = best.candidate, task.table.n_rows
    everything = np.arange(n)
    which = everything if held is None else np.setdiff1d(everything, held, assume_unique=True)
    seen = task.targets.only(which)
    shape, training, holdout = candidate.shape, candidate.training, None
    if held is None and best.mix.deep_share == 0 and task.sparsity is None:
        shape = replace(shape, width=0)
    features = replace(
        candidate.features, max_features=grown(candidate.features.max_features, n / best.n_rows)
    )
    task.note("featurize", None, "")
    with task.budget.step("encode", prepare_s(task, facts, n, features.kinds)):
        width = shape.width * training.members
        encoder, rows, features, told = _encode(task, seen, features, width)
    if held is not None:
        holdout = Holdout(rows.take(held), task.targets.take(held))
        training = replace(training, epochs=epochs(facts, len(which)))
    cost = best.cost_of_training._replace(n_values=len(rows.indices) / n, n_epochs=training.epochs)
    training = replace(training, epochs=affordable_epochs(task, cost, len(which)))
    task.note("fit", 0.0, "")

    def on_epoch(entry: dict[str, Any]) -> bool:
        task.tell_epoch(entry, training.epochs)
        return True

    trained = train_members(
        rows, task.targets, task.n_classes, shape, training,
        which=which, holdout=holdout,
        n_threads=task.n_threads, n_train_threads=task.n_train_threads,
        seed=task.seed, on_epoch=on_epoch, is_over=task.budget.is_over,
        selector=make_selector(shape, rows.n_features, task.seed),
    )  # fmt: skip
    n_values = int(np.diff(rows.indptr)[which].sum())
    dense = trained.n_epochs * dense_work(
        task.n_classes, candidate.shape.width, n_values, len(which), is_training=True
    )
    recall = None
    if task.budget.limits.model_bytes is None:  # it would take the place of features
        recall = remember(
            rows, seen, task.n_classes, trained.network,
            features=features, training=training, init_scale=shape.init_scale,
        )  # fmt: skip
    return Finished(
        encoder, trained, None if holdout is None else holdout.rows,
        trained.n_done / max(1, dense), recall, told,
    )  # fmt: skip


def _encode(
    task: Task, seen: Targets, features: FeaturizerSettings, width: int
) -> tuple[RowEncoder, CSR, FeaturizerSettings, list[Choice]]:
    """Encode all rows with as many features as are wanted, or as the model may have."""
    pool = FeaturePool(task.table, task.schema, features, task.n_threads)
    encoder, rows = pool.select(seen, task.n_classes, features, task.n_threads)
    told = []
    while (n_fitting := fit_features(task, encoder, width)) < encoder.n_features:
        features = replace(features, max_features=n_fitting)
        encoder, rows = pool.select(seen, task.n_classes, features, task.n_threads)
        told = [Choice("features", f"{encoder.n_features:,}", "limit of the model's size")]
    return encoder, rows, features, told
