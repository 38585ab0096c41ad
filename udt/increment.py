"""Going on learning: new rows, labels and features for a model, without its old rows.

The network starts as it was, its Adagrad accumulators included; n-grams, categories and items
that the new rows repeat become features, new labels become classes; rows of classes that the new
rows lack are drawn from counts (see `udt.recall`). What was measured:
`docs/design/0008-increments.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, EQUAL, Targets
from udt.engine.links import AS_IT_IS, fit_links, link
from udt.engine.mix import fit_mix, mix_probas
from udt.engine.network import slim
from udt.engine.sparsity import Level, find_level
from udt.engine.train import OnEpoch, Trained, go_on, logits, train
from udt.engine.warm import resume
from udt.errors import SettingsError
from udt.featurizers.duplicates import duplicate_groups
from udt.featurizers.growth import Grown, grow
from udt.heads import DenseHead, find_factors, find_thresholds, summarise
from udt.predictor import Predictor
from udt.recall import Recall, add, complete, draw_rows, fitting, missing_rows, renumber
from udt.settings import NetworkSettings
from udt.stack import pool
from udt.task import (
    Choice,
    Learned,
    Rows,
    Split,
    Task,
    grown,
    make_splits,
    work_predict,
)

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_MIN_FOLD_ROWS = 10  # fewer are measured before they are learned
_MIN_DF = 2  # n-grams of one row help where rows are few, and these are more than the first
_MIN_FIT_ROWS = 100  # fewer held-out rows do not change how the paths are mixed


@dataclass(frozen=True, eq=False)
class _Step:
    """A model after some of the new rows.

    Attributes
    ----------
    grown : Grown
        Its features.
    recall : Recall
        Of the old rows, under the new numbers.
    trained : Trained
        Its network.
    n_drawn : ndarray of int64, shape (n_classes,)
        Rows of each class that were drawn.
    """

    grown: Grown
    recall: Recall
    trained: Trained
    n_drawn: I64


@dataclass(frozen=True, eq=False)
class _Learner:
    """What is to go on learning, and with what."""

    task: Task
    encoder: Any
    head: DenseHead
    recall: Recall
    class_ids: I64

    def start(self, which: Rows, seed: int) -> tuple[Grown, Recall, Any]:
        """Return features, recall and network as they are before these rows are learned."""
        task, recall = self.task, self.recall
        growth = (recall.n_rows + len(which)) / max(1, recall.n_first)
        features = replace(
            recall.features,
            max_features=grown(recall.features.max_features, growth),
            min_df=max(_MIN_DF, recall.features.min_df),
        )
        seen = task.targets.only(which)
        more = grow(self.encoder, task.table, seen, task.n_classes, features, task.n_threads)
        network = resume(
            complete(recall, self.head.network),
            recall.accumulated,
            n_features=more.encoder.n_features,
            n_classes=task.n_classes,
            feature_ids=more.old_ids,
            class_ids=self.class_ids,
            init_scale=recall.init_scale,
            rng=np.random.default_rng(seed),
        )
        return more, renumber(recall, more.old_ids, self.class_ids, task.n_classes), network

    def learn(self, which: Rows, seed: int, n_threads: int = 1, on_epoch: OnEpoch = go_on) -> _Step:
        """Learn these rows, and recall what they lack."""
        task = self.task
        more, recall, network = self.start(which, seed)
        rows, targets = more.rows, task.targets
        wanted = np.zeros(task.n_classes, np.int64)
        if not task.is_multi_label:  # which labels a row had together is not kept
            wanted = missing_rows(recall, targets.take(which))
        if wanted.any():
            drawn = draw_rows(recall, wanted, more.encoder, np.random.default_rng(seed))
            n = rows.n_rows
            rows, targets = _below(rows, drawn[0]), _targets_below(targets, drawn[1])
            which = np.concatenate([which, np.arange(n, rows.n_rows)])
        shape = NetworkSettings(width=network.width, init_scale=recall.init_scale)
        trained = train(
            rows, targets, task.n_classes, shape, recall.training,
            which=which, n_threads=n_threads, seed=seed, on_epoch=on_epoch, start=network,
        )  # fmt: skip
        return _Step(more, recall, trained, wanted)


def _below(rows: CSR, others: CSR) -> CSR:
    return CSR(
        np.concatenate([rows.indptr, rows.indptr[-1] + others.indptr[1:]]),
        np.concatenate([rows.indices, others.indices]),
        np.concatenate([rows.values, others.values]),
        rows.n_features,
    )


def _targets_below(targets: Targets, others: Targets) -> Targets:
    weights = EQUAL
    if len(targets.weights):
        weights = np.concatenate([targets.weights, np.ones(others.n_rows, np.float32)])
    return Targets(
        np.concatenate([targets.indptr, targets.indptr[-1] + others.indptr[1:]]),
        np.concatenate([targets.ids, others.ids]),
        weights,
    )


def check_can_learn(known: Predictor, recall: Recall | None) -> tuple[DenseHead, Recall]:
    """Return what a model goes on learning with.

    Raises
    ------
    SettingsError
        It cannot.
    """
    head, why = known.head, ""
    if not isinstance(head, DenseHead):
        why = "it has many classes, of which it scores likely ones only"
    elif head.selector is not None:
        why = "it computes a fixed share of its hidden neurons"
    elif recall is None:
        why = "it keeps nothing of its training (an older udt wrote it, or it was compressed)"
    else:
        return head, recall
    raise SettingsError(
        f"This model cannot be updated: {why}. Expected a model of udt train that scores all "
        "classes; train a new one on all rows together."
    )


def learn_more(task: Task, known: Predictor, recall: Recall | None, class_ids: I64) -> Learned:
    """Teach a model new rows.

    Parameters
    ----------
    task : Task
        The new rows, under the new numbers of classes.
    known : Predictor
        The model.
    recall : Recall or None
        What it keeps of its training.
    class_ids : ndarray of int64
        The new numbers of its classes.

    Raises
    ------
    SettingsError
        The model cannot go on learning.
    """
    head, recall = check_can_learn(known, recall)
    learner = _Learner(task, known.encoder, head, recall, class_ids)
    n = task.table.n_rows
    task.note("search", 0.0, "held-out rows")
    held, z = _hold_out(
        learner,
        make_splits(duplicate_groups(task.table, task.schema), np.random.default_rng(task.seed)),
    )
    task.note("fit", 0.0, "")
    epochs = recall.training.epochs

    def on_epoch(entry: dict[str, Any]) -> bool:
        task.tell_epoch(entry, epochs)
        return not task.budget.is_over()

    step = learner.learn(np.arange(n), task.seed, task.n_train_threads, on_epoch)
    truth = task.targets.take(held)
    level, decided = _decide(task, head, class_ids, z, truth)
    new_head = replace(decided, network=slim(step.trained.network, level.mix))
    probas = new_head.linked(mix_probas(*z, level.mix))
    choices = _choices(learner, step)
    if known.stack is not None and task.n_classes == head.n_classes:
        stacked = known.stack.beside(new_head, task.table.take(held))
        probas = pool(probas, stacked.z, known.stack.share, known.stack.temperature)
        choices.append(Choice("trees", "as before the update", "they learn all rows or none"))
    elif known.stack is not None:
        choices.append(Choice("trees", "left out", "they do not know the new labels"))
    encoder = step.grown.encoder
    return Learned(
        encoder=encoder,
        head=new_head,
        kinds=recall.features.kinds,
        history=step.trained.history,
        work_train=step.trained.work,
        work_predict=work_predict(task, encoder, new_head, held, new_head.network.width),
        deep_fraction=level.deep_fraction,
        held=held,
        held_predicted=summarise(probas, truth, new_head.thresholds, new_head.factors),
        leaderboard=[],
        choices=choices,
        interrupted=step.trained.interrupted,
        recall=fitting(
            add(step.recall, step.grown.rows, task.targets, step.trained.network),
            new_head.network,
            step.trained.network,
        ),
    )


def _hold_out(learner: _Learner, splits: Sequence[Split]) -> tuple[Rows, tuple[F32, F32]]:
    """Return held-out rows, and their logits of networks that have not learned them."""
    task = learner.task
    n = task.table.n_rows
    if n < _MIN_FOLD_ROWS:
        more, _, network = learner.start(np.zeros(0, np.int64), task.seed)
        return np.arange(n), logits(network, more.rows)
    parts = []
    for i, split in enumerate(splits):
        step = learner.learn(split.train, task.seed + i, task.n_train_threads)
        parts.append(logits(step.trained.network, step.grown.rows.take(split.holdout)))
        task.note("search", (i + 1) / len(splits), "held-out rows")
    held = np.concatenate([s.holdout for s in splits])
    wide, deep = (np.concatenate(part) for part in zip(*parts, strict=True))
    return held, (wide, deep)


def _decide(
    task: Task, head: DenseHead, class_ids: I64, z: tuple[F32, F32], truth: Targets
) -> tuple[Level, DenseHead]:
    """Return how much of the network predictions need, and the head with what follows from it.

    Mix, calibration, thresholds and factors are those of the held-out rows, or of few rows the
    old ones.
    """
    if truth.n_rows < _MIN_FIT_ROWS:
        level = Level(head.mix, float(head.mix.deep_share > 0), "as before the update")
        links = head.links if task.is_multi_label else AS_IT_IS
        if len(links):
            links = np.concatenate([links[:2], _spread(links[2:], class_ids, task.n_classes)])
        return level, replace(
            head,
            thresholds=_spread(head.thresholds, class_ids, task.n_classes),
            factors=_spread(head.factors, class_ids, task.n_classes),
            links=links,
        )
    mix = fit_mix(*z, truth, sigmoid=task.is_multi_label)
    level = Level(mix, float(mix.deep_share > 0), "set by the user")
    if task.sparsity is None:
        level = find_level(*z, truth, mix)
    head, probas = replace(head, mix=level.mix), mix_probas(*z, level.mix)
    if not task.is_multi_label:
        factors = find_factors(probas, truth, task.metric)
        return level, replace(head, factors=factors, links=AS_IT_IS)
    links = fit_links(probas, truth)
    thresholds = find_thresholds(link(probas, links), truth)
    return level, replace(head, thresholds=thresholds, links=links)


def _spread(values: F32, class_ids: I64, n_classes: int) -> F32:
    """Return the classes' values under their new numbers; those of new ones are as the mean."""
    if not len(values):
        return values
    spread = np.full(n_classes, values.mean(), np.float32)
    spread[class_ids] = values
    return spread


def _choices(learner: _Learner, step: _Step) -> list[Choice]:
    """Say what was added."""
    task, recall = learner.task, learner.recall
    n_labels = task.n_classes - len(learner.class_ids)
    n_features = step.grown.encoder.n_features - len(step.grown.old_ids)
    added = [
        f"{task.table.n_rows:,} row{'' if task.table.n_rows == 1 else 's'}",
        f"{n_labels:,} new label{'' if n_labels == 1 else 's'}",
        f"{n_features:,} new feature{'' if n_features == 1 else 's'}",
    ]
    kept = f"to what {recall.n_rows:,} labelled rows had taught; none of these is kept"
    choices = [Choice("added", ", ".join(added), kept)]
    if step.n_drawn.any():
        n_classes = int((step.n_drawn > 0).sum())
        drawn = f"{int(step.n_drawn.sum()):,} rows of {n_classes:,} labels"
        choices.append(
            Choice("recalled", drawn, "drawn from counts, because the new rows lack these labels")
        )
    return choices
