"""One training run, from what the user has to a model and its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from udt import automl, inputs, inspection, labels, metrics
from udt.account import Note, Stages, Usage, predict_metered, write_report
from udt.automl import Learned
from udt.carbon import Meter
from udt.errors import DataError
from udt.featurizers.schema import Schema
from udt.inputs import Labelled
from udt.params import Params
from udt.predictor import Predictor
from udt.report import RunReport
from udt.table import Table

OnProgress = Callable[[str, float | None, str], None]
Classes = npt.NDArray[Any]
Codes = npt.NDArray[np.int32]

_METERED_ROWS = 2_000


@dataclass(frozen=True)
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
    codes : ndarray of int32, shape (table.n_rows,)
        Their class indices.
    test : Labelled or None
        What to measure on.
    """

    rows: Labelled
    classes: Classes
    table: Table
    codes: Codes
    test: Labelled | None


@dataclass(frozen=True)
class Run:
    """What a run leaves.

    Attributes
    ----------
    read : Read
        What was read.
    schema : Schema
        The columns' kinds.
    learned : Learned
        How the race went.
    predictor : Predictor
        The model.
    report : RunReport
        The account.
    """

    read: Read
    schema: Schema
    learned: Learned
    predictor: Predictor
    report: RunReport


def run(given: Params, X: Any, y: Any, *, valid: Any, test: Any, tell: OnProgress | None) -> Run:
    """Read, race, train, measure and account for it all.

    Parameters
    ----------
    given : Params
        What the user has set.
    X, y, valid, test
        As in `UDT.fit`.
    tell : callable or None
        Told of each stage.
    """
    budget = automl.Budget(given.time_limit_s)
    meter = Meter(given.machine, given.place, since_process_start=tell is not None)
    with Stages(meter, tell) as stages:
        stages("read")
        read = _read(given, X, y, valid, test)
        stages("featurize")
        schema = inputs.infer(read.rows, given.kinds)
        inputs.check_usable(read.rows.table, schema)
        if read.test is not None:
            inputs.check_columns(read.test.table, schema)
        warnings = inspection.warn(read.rows, schema)
        learned = _learn(given, read, schema, budget, stages)
        stages("test")
        predictor = Predictor(learned.encoder, learned.network, learned.mix)
        scores, usage = _measure(given, read, learned, predictor)
        stages.close()
        report = write_report(
            read.rows, schema, learned, n_classes=len(read.classes), scores=scores, usage=usage,
            stages=stages, warnings=warnings,
        )  # fmt: skip
    return Run(read, schema, learned, predictor, report)


def _read(given: Params, X: Any, y: Any, valid: Any, test: Any) -> Read:
    rows = inputs.read_training(X, y, given.target, given.bad_rows)
    labels.check_target(rows.labels, rows.target)
    classes = labels.find_classes(rows.labels, like=y)
    table, codes = rows.table, labels.encode(rows.labels, classes)
    if valid is not None:
        chosen = inputs.read_labelled(valid, rows.target, given.bad_rows)
        others = labels.encode(chosen.labels, classes)
        known = np.flatnonzero(others >= 0)
        if len(known) == 0:
            raise DataError(
                f"No row of {chosen.table.source} has a label that {table.source} has. "
                "Expected the same target column with the same labels."
            )
        table = inputs.append_rows(table, chosen.table.take(known))
        codes = np.concatenate([codes, others[known]])
    measured = None
    if test is not None:
        measured = inputs.read_labelled(test, rows.target, given.bad_rows)
        inputs.check_labelled(measured.labels, rows.target, measured.table.source)
    return Read(rows, classes, table, codes, measured)


def _learn(given: Params, read: Read, schema: Schema, budget: automl.Budget, note: Note) -> Learned:
    return automl.learn(
        automl.Task(
            table=read.table,
            schema=schema,
            y=read.codes,
            n_classes=len(read.classes),
            n_train=read.rows.table.n_rows,
            width=given.width,
            n_threads=given.n_threads,
            n_train_threads=1 if given.is_seeded else given.n_threads,
            seed=given.seed,
            budget=budget,
            note=note,
        )
    )


def _measure(
    given: Params, read: Read, learned: Learned, predictor: Predictor
) -> tuple[dict[str, Any], Usage]:
    """Return the metrics on the test rows, or else on the held-out ones; and what predicting took.

    Held-out rows are judged by a network that has not seen them, which may be another one than
    the model; so they are predicted once more to see how fast the model is.
    """
    if read.test is not None:
        table, truth = read.test.table, labels.encode(read.test.labels, read.classes)
    else:
        table, truth = read.table.take(learned.held[:_METERED_ROWS]), read.codes[learned.held]
    probas, usage = predict_metered(predictor, table, given.n_threads, given.machine, given.place)
    split = "holdout" if read.test is None else "test"
    if read.test is None:
        probas = learned.held_probas
    return {"split": split, **metrics.evaluate(truth, probas)}, usage
