"""How the cells of a target hold labels: one each, several with a separator, or lists.

Where a row may have several labels, the column becomes one of lists, whatever it was before; a
row without a label is null in either form.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt.errors import DataError, SettingsError

SEPARATORS = (";", "|", ",")
"""Looked for in this order between the labels of a cell."""

_MIN_SEVERAL_ROWS, _MIN_SEVERAL = 10, 0.05
_MAX_LABELS_PER_CELL = 0.6
_MIN_REPEATED, _MIN_MINGLED = 0.9, 0.6
_MAX_LABEL_CHARS = 60
_NUMBER = r"^[+-]?\d+(\.\d+)?$"


class LabelForm(NamedTuple):
    """How a cell of the target holds labels.

    Attributes
    ----------
    separator : str
        What stands between the labels of a row where they are written as text; "" = a row has
        one label.
    is_list : bool
        Whether cells are lists of labels.
    reason : str
        How that is known, as a short phrase for people.
    """

    separator: str = ""
    is_list: bool = False
    reason: str = ""

    @property
    def is_multi_label(self) -> bool:
        """Whether a row may have several labels."""
        return bool(self.separator)

    def write(self, cell: Any) -> str:
        """Return a row's label, or its labels, as text."""
        return self.separator.join(map(str, cell)) if isinstance(cell, list) else str(cell)

    def told(self) -> dict[str, str]:
        """Return what is told of the choice between one label and several."""
        several = "lists" if self.is_list else f"several a row, separated by {self.separator!r}"
        return {
            "what": "labels",
            "value": several if self.is_multi_label else "one a row",
            "reason": self.reason,
        }


ONE_LABEL = LabelForm()
LISTS = LabelForm("|", True, "the labels of each row are a list")


def is_list(column: pa.Array) -> bool:
    """Whether the column's cells are lists."""
    kind, types = column.type, pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def flat(column: pa.Array) -> pa.Array:
    """Return all labels of the column one after the other, none of them null."""
    return column.flatten() if is_list(column) else column.drop_null()


def counts(column: pa.Array) -> npt.NDArray[np.int64]:
    """Return the number of labels of each row."""
    n = pc.list_value_length(column) if is_list(column) else column.is_valid()
    return np.asarray(pc.fill_null(n.cast(pa.int64()), 0))


def make_lists(labels: pa.Array, counts: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """Return labels in lists of so many, each label once a list; null where there is none."""
    rows = np.repeat(np.arange(len(counts)), counts)
    encoded = labels.dictionary_encode()
    pairs = rows * len(encoded.dictionary) + np.asarray(encoded.indices)
    first = np.sort(np.unique(pairs, return_index=True)[1])
    kept = np.bincount(rows[first], minlength=len(counts))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
    return pa.LargeListArray.from_arrays(
        pa.array(offsets), labels.take(pa.array(first)), mask=pa.array(kept == 0)
    )


def as_text(labels: pa.Array) -> pa.Array:
    """Return labels in one spelling for each value: whole numbers without a decimal point."""
    return pc.replace_substring_regex(labels.cast(pa.large_string()), r"^(-?\d+)\.0+$", r"\1")


def split(column: pa.Array, form: LabelForm) -> pa.Array:
    """Return the column in the form: as lists of labels where a row may have several.

    Blanks around a label do not belong to it; a cell without any label is null.

    Raises
    ------
    DataError
        It holds lists, and a row may not have several.

    Examples
    --------
    >>> split(pa.array(["a; b", "", "b;b"]), LabelForm(";")).to_pylist()
    [['a', 'b'], None, ['b']]
    """
    if is_list(column) and not form.is_multi_label:
        raise DataError(
            "The labels are lists, but there is one label for each row to learn or to compare "
            "with. Expected labels of the same form."
        )
    if is_list(column) or not form.is_multi_label:
        return column
    texts = column if pa.types.is_large_string(column.type) else as_text(column)
    parts = pc.split_pattern(pc.fill_null(texts, ""), form.separator)
    labels = pc.utf8_trim_whitespace(parts.flatten())
    kept = pc.not_equal(labels, "")
    rows = np.repeat(np.arange(len(column)), np.asarray(pc.list_value_length(parts)))
    n_kept = np.bincount(rows[np.asarray(kept)], minlength=len(column))
    return make_lists(labels.filter(kept), n_kept)


def join(column: pa.Array, separator: str) -> pa.Array:
    """Return each row's labels as one text."""
    texts = column.cast(pa.large_list(pa.large_string()))
    return pc.binary_join(texts, pa.scalar(separator, pa.large_string()))


def find_form(column: pa.Array, multi_label: str | bool | None = None) -> LabelForm:
    """Decide whether a row may have several labels.

    Parameters
    ----------
    column : pyarrow.Array, shape (n_rows,)
        Labels, or lists of them.
    multi_label : str, False or None
        What the user has set: what separates the labels of a cell; that there is but one; nothing.

    Raises
    ------
    SettingsError
        The labels are lists, and the user says that there is but one.
    """
    if is_list(column):
        if multi_label is False:
            raise SettingsError(
                "The 'multi_label' parameter of UDT is False, but the labels are lists. Expected "
                "one label for each row; leave the setting out to learn several."
            )
        return LISTS
    if isinstance(multi_label, str):
        return LabelForm(multi_label, reason="set by the user")
    if multi_label is False:
        return LabelForm(reason="set by the user")
    if not pa.types.is_large_string(column.type):
        return ONE_LABEL
    cells = column.drop_null()
    for separator in SEPARATORS:
        several = pc.sum(pc.match_substring(cells, separator)).as_py() or 0
        if several < max(_MIN_SEVERAL_ROWS, _MIN_SEVERAL * len(cells)):
            continue
        n_labels = _count_labels(cells, separator)
        if n_labels:
            share = f"{100 * several / len(cells):.0f} % of the rows"
            return LabelForm(separator, reason=f"{share} have several of {n_labels:,} labels")
    return ONE_LABEL


def _count_labels(cells: pa.Array, separator: str) -> int:
    """Return how many labels stand between separators; 0 if the separator is part of labels.

    Sets of labels are made of few labels that recur in many combinations, in any number and any
    place; the parts of a name or of a path have places of their own, and those of a sentence do
    not recur.
    """
    lists = split(cells, LabelForm(separator))
    n_of_row = counts(lists.drop_null())
    encoded = lists.flatten().dictionary_encode()
    labels, codes = encoded.dictionary, np.asarray(encoded.indices)
    if len(labels) > _MAX_LABELS_PER_CELL * len(cells.unique()) or len(np.unique(n_of_row)) == 1:
        return 0
    first = np.cumsum(n_of_row) - n_of_row
    leads = np.zeros(len(labels), bool)
    leads[codes[first]] = True
    recurs = np.bincount(codes) > 1
    if recurs[codes].mean() < _MIN_REPEATED or leads[np.delete(codes, first)].mean() < _MIN_MINGLED:
        return 0
    if separator == "," and pc.all(pc.match_substring_regex(labels, _NUMBER)).as_py():
        return 0  # a decimal comma
    return len(labels) if pc.mean(pc.utf8_length(labels)).as_py() <= _MAX_LABEL_CHARS else 0
