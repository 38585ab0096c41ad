"""One training run, from what the user has to a model and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from udt import automl, details, increment, inputs, inspection, labels, metrics, weights
from udt.account import Note, Stages, Usage, predict_metered, write_report
from udt.budget import Budget
from udt.carbon import Meter, estimate
from udt.csr import EQUAL, Targets
from udt.errors import DataError, SettingsError
from udt.featurizers.schema import Schema
from udt.inputs import Labelled
from udt.model import Model
from udt.params import Params, check_params, to_json
from udt.predictor import Predictor
from udt.report import RunReport
from udt.resume import TrialStore
from udt.second_opinion import SecondOpinion
from udt.table import Table
from udt.task import Learned, Task

OnProgress = Note
"""What a user passes to follow a run."""

Classes = npt.NDArray[Any]

_METERED_ROWS = 2_000


@dataclass(frozen=True, eq=False)
class Read:
    """All that a run reads.

    Attributes
    ----------
    rows : Labelled
        What to learn from.
    classes : ndarray, shape (n_classes,)
        Sorted labels.
    table : Table
        Those rows, and below them the user's rows to make choices on.
    targets : Targets
        Their classes.
    test : Labelled or None
        What to measure on.
    """

    rows: Labelled
    classes: Classes
    table: Table
    targets: Targets
    test: Labelled | None


def train(
    given: Mapping[str, Any],
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    valid: Any = None,
    test: Any = None,
    on_progress: OnProgress | None = None,
    second_opinion: bool = False,
    state: Path | None = None,
    resume: bool = False,
) -> Model:
    """Read, race, train, measure and account for it all.

    Parameters
    ----------
    given : mapping
        All parameters of `UDT` by name.
    X, y, sample_weight, valid, test, on_progress
        As in `UDT.fit`.
    second_opinion : bool
        Have codecarbon follow the run too, and show its figures beside ours.
    state : Path, optional
        Where the race keeps what it finds, until the caller has saved the model.
    resume : bool
        Go on with what a killed run has left there.

    Raises
    ------
    DataError, SettingsError, DivergedError
        As in `UDT.fit`.
    """
    checked = check_params(given)
    store = None if state is None else TrialStore(state, checked.seed)
    if state is not None and resume:
        store = TrialStore.resume(state)
        if checked.is_seeded and checked.seed != store.seed:
            raise SettingsError(
                f"The search in {state} has seed {store.seed}, not {checked.seed}. Resume it "
                "with its own seed or none, or train without --resume."
            )
        checked = replace(checked, seed=store.seed)
    opinion = SecondOpinion(checked.place) if second_opinion else None
    meter = Meter(checked.machine, checked.place, since_process_start=on_progress is not None)
    budget = _budget(checked, meter)
    with Stages(meter, on_progress) as stages:
        stages("read")
        read = _read(checked, X, y, sample_weight, valid, test)
        stages("featurize")
        schema, warnings = _look(checked, read)
        task = replace(_task(checked, read, schema, budget, stages), store=store)
        learned = automl.learn(task)
        stages("test")
        predictor = Predictor(learned.encoder, learned.head, learned.stack)
        scores, usage, kept = _measure(checked, read, learned, predictor)
        stages.close()
        report = write_report(
            checked, read.rows, schema, learned, n_classes=len(read.classes), scores=scores,
            usage=usage, stages=stages, warnings=warnings, details=kept,
        )  # fmt: skip
        if opinion is not None:
            report.carbon["second_opinion"] = opinion.stop()
    return Model(
        given=to_json(given, checked.seed),
        seed=checked.seed,
        target=read.rows.target,
        classes=read.classes,
        label_form=read.rows.label_form,
        schema=schema,
        has_names=not read.rows.is_array,
        predictor=predictor,
        report=report,
        interrupted=learned.interrupted,
        recall=learned.recall,
    )


def update(
    model: Model,
    X: Any,
    y: Any = None,
    *,
    given: Mapping[str, Any] | None = None,
    sample_weight: Any = None,
    test: Any = None,
    on_progress: OnProgress | None = None,
) -> Model:
    """Return a model that has learned more rows; the one that is passed stays as it is.

    Parameters
    ----------
    model : Model
        What there is.
    X, y, sample_weight, test, on_progress
        As in `UDT.fit`; labels and values may be new.
    given : mapping, optional
        Parameters of `UDT` that replace the model's: where the run is charged, seed, threads.

    Raises
    ------
    DataError, SettingsError, DivergedError
        As in `UDT.partial_fit`.
    """
    known = {**model.given, **(given or {})}
    checked = check_params(known)
    before = lineage(model.report)
    meter = Meter(checked.machine, checked.place, since_process_start=on_progress is not None)
    budget = _budget(checked, meter)
    with Stages(meter, on_progress) as stages:
        stages("read")
        increment.check_can_learn(model.predictor, model.recall)
        read, class_ids = _read_more(checked, model, X, y, sample_weight, test)
        stages("featurize")
        warnings = [*inspection.warn(read.rows, model.schema), *_about_columns(read, model)]
        task = _task(checked, read, model.schema, budget, stages)
        task = replace(task, seed=checked.seed + before["n_trainings"])
        learned = increment.learn_more(task, model.predictor, model.recall, class_ids)
        stages("test")
        is_new = len(read.classes) > len(model.classes)  # of which the trees know nothing
        stack = None if is_new else model.predictor.stack
        predictor = Predictor(learned.encoder, learned.head, stack)
        scores, usage, kept = _measure(checked, read, learned, predictor)
        stages.close()
        report = write_report(
            checked, read.rows, model.schema, learned, n_classes=len(read.classes), scores=scores,
            usage=usage, stages=stages, warnings=warnings, details=kept,
        )  # fmt: skip
    now = lineage(report)
    report.carbon["lineage"] = {key: before[key] + now[key] for key in before}
    return replace(
        model,
        given=to_json(known, checked.seed),
        seed=checked.seed,
        classes=read.classes,
        predictor=predictor,
        report=report,
        interrupted=learned.interrupted,
        recall=learned.recall,
    )


def _budget(given: Params, meter: Meter) -> Budget:
    """Return the budget of a run that the meter has begun to measure."""
    second = estimate(given.machine, given.place, hours=1 / 3600, cpu_s=given.n_threads)
    return Budget(
        given.limits, spent_s=meter.time_dict()["wall_s"], g_per_s=second.total_g,
        is_seeded=given.is_seeded,
    )  # fmt: skip


def lineage(report: RunReport) -> dict[str, Any]:
    """Return what a model's trainings took so far: its own, or with the updates before it."""
    told = report.carbon.get("lineage")
    if told is not None:
        return dict(told)
    return {
        "n_trainings": 1,
        "n_rows": report.n_rows,
        "wall_s": report.time["wall_s"],
        "kwh": report.energy["kwh"],
        "total_g": report.carbon["total_g"],
    }


def _read_more(
    given: Params, model: Model, X: Any, y: Any, sample_weight: Any, test: Any
) -> tuple[Read, npt.NDArray[np.int64]]:
    """Return what an update reads, and the new numbers of the model's classes."""
    form, bad_rows = model.label_form, given.bad_rows
    rows = inputs.read_more(
        X, y, model.target, model.schema, bad_rows, form, model.has_names, given.weight,
        sample_weight,
    )  # fmt: skip
    classes, class_ids = labels.add_classes(rows.labels, model.classes)
    targets = labels.to_targets(rows.labels, classes)._replace(weights=rows.weights)
    targets = targets._replace(weights=weights.of_classes(targets, classes, given.class_weight))
    measured = None
    if test is not None:
        measured = inputs.read_labelled(test, model.target, bad_rows, form)
        labels.check_labelled(measured.labels, model.target, measured.table.source)
    return Read(rows, classes, rows.table, targets, measured), class_ids


def _about_columns(read: Read, model: Model) -> list[str]:
    """Say which columns are not learned from, because the model does not know them."""
    new = [name for name in read.table.names if name not in model.names]
    if not new:
        return []
    return [f"The model does not know these columns; they are left out: {', '.join(new)}."]


def _read(given: Params, X: Any, y: Any, sample_weight: Any, valid: Any, test: Any) -> Read:
    rows = inputs.read_training(
        X, y, given.target, given.bad_rows, given.multi_label, given.weight, sample_weight
    )
    labels.check_target(rows.labels, rows.target)
    classes = labels.find_classes(rows.labels, like=y)
    table = rows.table
    targets = labels.to_targets(rows.labels, classes)._replace(weights=rows.weights)
    if valid is not None:
        chosen = inputs.read_labelled(
            valid, rows.target, given.bad_rows, rows.label_form, given.weight
        )
        others = _known(labels.to_targets(chosen.labels, classes)._replace(weights=chosen.weights))
        kept = np.flatnonzero(others.counts)
        if len(kept) == 0:
            raise DataError(
                f"No row of {chosen.table.source} has a label that {table.source} has. "
                "Expected the same target column with the same labels."
            )
        table = inputs.append_rows(table, chosen.table.take(kept))
        targets = _append(targets, others.take(kept))
    targets = targets._replace(weights=weights.of_classes(targets, classes, given.class_weight))
    measured = None
    if test is not None:
        measured = inputs.read_labelled(test, rows.target, given.bad_rows, rows.label_form)
        labels.check_labelled(measured.labels, rows.target, measured.table.source)
    return Read(rows, classes, table, targets, measured)


def _known(targets: Targets) -> Targets:
    """Return targets without the labels that the model has never seen."""
    known = targets.ids >= 0
    counts = np.bincount(targets.rows[known], minlength=targets.n_rows)
    return Targets(np.append(0, np.cumsum(counts)), targets.ids[known], targets.weights)


def _append(targets: Targets, others: Targets) -> Targets:
    """Return the classes of some rows and of others below them."""
    indptr = np.concatenate([targets.indptr, targets.indptr[-1] + others.indptr[1:]])
    of_rows = EQUAL
    if len(targets.weights) or len(others.weights):
        both = [
            t.weights if len(t.weights) else np.ones(t.n_rows, np.float32)
            for t in (targets, others)
        ]
        of_rows = np.concatenate(both)
    return Targets(indptr, np.concatenate([targets.ids, others.ids]), of_rows)


def _look(given: Params, read: Read) -> tuple[Schema, list[str]]:
    """Return the columns' kinds, and what the user should know of the data."""
    schema = inputs.infer(read.rows, given.kinds)
    inputs.check_usable(read.rows.table, schema)
    warnings = inspection.warn(read.rows, schema)
    if read.test is not None:
        inputs.check_columns(read.test.table, schema)
        warnings += inspection.warn_of_unknown(read.test, read.classes)
    return schema, warnings


def _task(given: Params, read: Read, schema: Schema, budget: Budget, note: Note) -> Task:
    return Task(
        table=read.table,
        schema=schema,
        targets=read.targets,
        n_classes=len(read.classes),
        is_multi_label=read.rows.label_form.is_multi_label,
        n_train=read.rows.table.n_rows,
        width=given.width,
        n_threads=given.n_threads,
        n_train_threads=1 if given.is_seeded else given.n_threads,
        seed=given.seed,
        budget=budget,
        note=note,
        sparsity=given.sparsity,
        selector=given.selector,
        metric=given.metric,
        preset=given.preset,
        n_test=0 if read.test is None else read.test.table.n_rows,
    )


def _measure(
    given: Params, read: Read, learned: Learned, predictor: Predictor
) -> tuple[dict[str, Any], Usage, dict[str, Any]]:
    """Return the metrics on the test rows, or else on the held-out ones, with usage and details.

    Usage is what predicting took, details are what the report's page tells of these rows.
    Held-out rows are judged by a network that has not seen them, which may be another one than the
    model; so they are predicted once more to see how fast the model is.
    """
    is_test = read.test is not None
    if read.test is not None:
        table, targets = read.test.table, labels.to_targets(read.test.labels, read.classes)
    else:
        some = learned.held[:_METERED_ROWS]
        table, targets = read.table.take(some), read.targets.take(some)
    predicted, usage = predict_metered(predictor, table, targets, given)
    if not is_test:
        predicted, targets = learned.held_predicted, read.targets.take(learned.held)
    scores = metrics.evaluate(
        targets,
        predicted,
        len(read.classes),
        is_multi_label=read.rows.label_form.is_multi_label,
    )
    kept = details.gather(
        predictor,
        table if is_test else read.table,
        np.arange(table.n_rows) if is_test else learned.held,
        targets,
        predicted,
        [str(label) for label in read.classes],
        is_multi_label=read.rows.label_form.is_multi_label,
    )
    return {"split": "test" if is_test else "holdout", **scores}, usage, kept
