"""One training run, from what the user has to a model and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from udt import automl, inputs, inspection, labels, metrics
from udt.account import Note, Stages, Usage, predict_metered, write_report
from udt.carbon import Meter
from udt.csr import Targets
from udt.errors import DataError
from udt.featurizers.schema import Schema
from udt.inputs import Labelled
from udt.model import Model
from udt.params import Params, check_params, to_json
from udt.predictor import Predictor
from udt.table import Table
from udt.task import Budget, Learned, Task

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
    valid: Any = None,
    test: Any = None,
    on_progress: OnProgress | None = None,
) -> Model:
    """Read, race, train, measure and account for it all.

    Parameters
    ----------
    given : mapping
        All parameters of `UDT` by name.
    X, y, valid, test, on_progress
        As in `UDT.fit`.

    Raises
    ------
    DataError, SettingsError, DivergedError
        As in `UDT.fit`.
    """
    checked = check_params(given)
    budget = Budget(checked.time_limit_s)
    meter = Meter(checked.machine, checked.place, since_process_start=on_progress is not None)
    with Stages(meter, on_progress) as stages:
        stages("read")
        read = _read(checked, X, y, valid, test)
        stages("featurize")
        schema, warnings = _look(checked, read)
        learned = _learn(checked, read, schema, budget, stages)
        stages("test")
        predictor = Predictor(learned.encoder, learned.head)
        scores, usage = _measure(checked, read, learned, predictor)
        stages.close()
        report = write_report(
            checked, read.rows, schema, learned, n_classes=len(read.classes), scores=scores,
            usage=usage, stages=stages, warnings=warnings,
        )  # fmt: skip
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
    )


def _read(given: Params, X: Any, y: Any, valid: Any, test: Any) -> Read:
    rows = inputs.read_training(X, y, given.target, given.bad_rows, given.multi_label)
    labels.check_target(rows.labels, rows.target)
    classes = labels.find_classes(rows.labels, like=y)
    table, targets = rows.table, labels.to_targets(rows.labels, classes)
    if valid is not None:
        chosen = inputs.read_labelled(valid, rows.target, given.bad_rows, rows.label_form)
        others = _known(labels.to_targets(chosen.labels, classes))
        kept = np.flatnonzero(others.counts)
        if len(kept) == 0:
            raise DataError(
                f"No row of {chosen.table.source} has a label that {table.source} has. "
                "Expected the same target column with the same labels."
            )
        table = inputs.append_rows(table, chosen.table.take(kept))
        targets = _append(targets, others.take(kept))
    measured = None
    if test is not None:
        measured = inputs.read_labelled(test, rows.target, given.bad_rows, rows.label_form)
        labels.check_labelled(measured.labels, rows.target, measured.table.source)
    return Read(rows, classes, table, targets, measured)


def _known(targets: Targets) -> Targets:
    """Return targets without the labels that the model has never seen."""
    known = targets.ids >= 0
    counts = np.bincount(targets.rows[known], minlength=targets.n_rows)
    return Targets(np.append(0, np.cumsum(counts)), targets.ids[known])


def _append(targets: Targets, others: Targets) -> Targets:
    """Return the classes of some rows and of others below them."""
    indptr = np.concatenate([targets.indptr, targets.indptr[-1] + others.indptr[1:]])
    return Targets(indptr, np.concatenate([targets.ids, others.ids]))


def _look(given: Params, read: Read) -> tuple[Schema, list[str]]:
    """Return the columns' kinds, and what the user should know of the data."""
    schema = inputs.infer(read.rows, given.kinds)
    inputs.check_usable(read.rows.table, schema)
    warnings = inspection.warn(read.rows, schema)
    if read.test is not None:
        inputs.check_columns(read.test.table, schema)
        warnings += inspection.warn_of_unknown(read.test, read.classes)
    return schema, warnings


def _learn(given: Params, read: Read, schema: Schema, budget: Budget, note: Note) -> Learned:
    return automl.learn(
        Task(
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
        )
    )


def _measure(
    given: Params, read: Read, learned: Learned, predictor: Predictor
) -> tuple[dict[str, Any], Usage]:
    """Return the metrics on the test rows, or else on the held-out ones; and what predicting took.

    Held-out rows are judged by a network that has not seen them, which may be another one than
    the model; so they are predicted once more to see how fast the model is.
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
    return {"split": "test" if is_test else "holdout", **scores}, usage
