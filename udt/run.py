"""One training run, from what the user has to a model and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from udt import automl, inputs, inspection, labels, metrics
from udt.account import Note, Stages, Usage, predict_metered, write_report
from udt.automl import Learned
from udt.carbon import Meter
from udt.csr import one_class
from udt.errors import DataError
from udt.featurizers.schema import Schema
from udt.inputs import Labelled
from udt.model import Model
from udt.params import Params, check_params, to_json
from udt.predictor import Predictor
from udt.table import Table

OnProgress = Note
"""What a user passes to follow a run."""

Classes = npt.NDArray[Any]
Codes = npt.NDArray[np.int32]

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
    budget = automl.Budget(checked.time_limit_s)
    meter = Meter(checked.machine, checked.place, since_process_start=on_progress is not None)
    with Stages(meter, on_progress) as stages:
        stages("read")
        read = _read(checked, X, y, valid, test)
        stages("featurize")
        schema, warnings = _look(checked, read)
        learned = _learn(checked, read, schema, budget, stages)
        stages("test")
        predictor = Predictor(learned.encoder, learned.network, learned.mix)
        scores, usage = _measure(checked, read, learned, predictor)
        stages.close()
        report = write_report(
            read.rows, schema, learned, n_classes=len(read.classes), scores=scores, usage=usage,
            stages=stages, warnings=warnings,
        )  # fmt: skip
    return Model(
        given=to_json(given, checked.seed),
        seed=checked.seed,
        target=read.rows.target,
        classes=read.classes,
        schema=schema,
        has_names=not read.rows.is_array,
        predictor=predictor,
        report=report,
        interrupted=learned.interrupted,
    )


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


def _look(given: Params, read: Read) -> tuple[Schema, list[str]]:
    """Return the columns' kinds, and what the user should know of the data."""
    schema = inputs.infer(read.rows, given.kinds)
    inputs.check_usable(read.rows.table, schema)
    warnings = inspection.warn(read.rows, schema)
    if read.test is not None:
        inputs.check_columns(read.test.table, schema)
        warnings += inspection.warn_of_unknown(read.test, read.classes)
    return schema, warnings


def _learn(given: Params, read: Read, schema: Schema, budget: automl.Budget, note: Note) -> Learned:
    return automl.learn(
        automl.Task(
            table=read.table,
            schema=schema,
            targets=one_class(read.codes),
            n_classes=len(read.classes),
            is_multi_label=False,
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
