"""What rows count: a column of the table, weights beside it, or weights of their classes.

Weights are relative. They reach the loss, the choices of the race, mixing and calibration through
`Targets.weights`; features are counted by rows, and reported metrics count every row as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt import labels
from udt.csr import EQUAL, Targets
from udt.errors import DataError, SettingsError, did_you_mean
from udt.table import Table

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


def of_column(table: Table, name: str) -> F64:
    """Return the weights in a column.

    Raises
    ------
    SettingsError
        The table has no such column.
    DataError
        Not numbers from 0 up.
    """
    if name not in table:
        raise SettingsError(
            f"Weight column '{name}' is not in {table.source}. Its columns are: "
            f"{', '.join(table.names)}.{did_you_mean(name, table.names)}"
        )
    what = f"weight column '{name}' of {table.source}"
    try:
        column = table.column(name).cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"The {what} does not hold numbers: {error}. Expected numbers from 0 up."
        ) from error
    return _checked(column.to_numpy(zero_copy_only=False), what)


def of_values(sample_weight: Any, n_rows: int) -> F64:
    """Return the weights that were passed beside the rows; a single number counts for all.

    Raises
    ------
    DataError
        Not a number from 0 up for each row.
    """
    try:
        values = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight does not hold numbers: {error}. {_EXPECTED}") from error
    if values.ndim == 0:
        values = np.full(n_rows, float(values))
    if values.ndim != 1:
        raise DataError(f"Sample weights must be 1D array or scalar. Got {values.ndim}D array.")
    if len(values) != n_rows:
        raise DataError(f"sample_weight.shape == {values.shape}, expected ({n_rows},)! {_EXPECTED}")
    return _checked(values, "sample_weight")


_EXPECTED = "Expected a number from 0 up for each row."


def _checked(values: F64, what: str) -> F64:
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        raise DataError(
            f"The {what} has {values[wrong[0]]} in row {wrong[0] + 1:,}. Expected a number from "
            "0 up in each row; 0 leaves a row out."
        )
    if len(values) and not values.any():
        raise DataError(f"The {what} is zero in all rows. Expected a number above 0 in most rows.")
    return values


def of_classes(
    targets: Targets, classes: npt.NDArray[Any], class_weight: str | Mapping[Any, float] | None
) -> F32:
    """Return what each row counts for its class; of several classes in the mean.

    ``"balanced"`` gives class c the weight ``n_rows / (n_classes · n_c)``, as scikit-learn does.

    Parameters
    ----------
    targets : Targets
        Classes of each row; with weights, n_c is their sum.
    classes : ndarray, shape (n_classes,)
        The labels.
    class_weight : "balanced", mapping of label to weight, or None
        A label that is not named weighs 1.

    Returns
    -------
    ndarray of float32, shape (n_rows,) or (0,)
        Times the rows' own weights, if they have any; 1 in the mean. Empty = all the same.

    Raises
    ------
    SettingsError
        A label does not occur.

    Examples
    --------
    >>> from udt.csr import one_class
    >>> targets = one_class(np.array([0, 0, 0, 1]))
    >>> of_classes(targets, np.array(["no", "yes"]), {"yes": 3}).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    own = targets.weights if len(targets.weights) else np.ones(targets.n_rows, np.float32)
    if class_weight is None:
        return EQUAL if not len(targets.weights) else _to_mean_1(own)
    if isinstance(class_weight, Mapping):
        of_class = _by_label(class_weight, classes)
    else:
        counts = np.bincount(targets.ids, own[targets.rows], len(classes))
        of_class = counts.sum() / (len(classes) * np.maximum(counts, np.finfo(np.float32).tiny))
    sums = np.bincount(targets.rows, of_class[targets.ids], targets.n_rows)
    return _to_mean_1(own * sums / np.maximum(targets.counts, 1))


def _by_label(weights: Mapping[Any, float], classes: npt.NDArray[Any]) -> F64:
    named = pa.array([str(label) for label in weights], pa.large_string())
    ids = labels.encode(named, classes)
    if (ids < 0).any():
        label = list(weights)[int(np.flatnonzero(ids < 0)[0])]
        known = [str(c) for c in classes.tolist()]
        raise SettingsError(
            f"The 'class_weight' parameter of UDT names the label {label!r}, which no row has. "
            f"Expected labels of the target: {', '.join(known[:10])}."
            f"{did_you_mean(str(label), known)}"
        )
    of_class = np.ones(len(classes))
    of_class[ids] = list(weights.values())
    return of_class


def _to_mean_1(weights: npt.NDArray[Any]) -> F32:
    return np.asarray(weights / weights.mean(), np.float32)
