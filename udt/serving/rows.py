"""JSON rows to a table: every cell is checked on its own, whatever the rows beside it hold.

A column's type follows from its kind alone, so that the answer to a row does not depend on the
other rows of its batch.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from udt.errors import DataError, did_you_mean
from udt.featurizers.cells import spell
from udt.featurizers.dates import LAYOUTS, NO_DATE, parse_moments
from udt.featurizers.numeric import split_number
from udt.featurizers.schema import ColumnSchema, Schema
from udt.table import Table

Row = Mapping[str, Any]
Cells = list[list[Any]]
"""One list of cells for each column that the model uses."""

MAX_ERRORS = 20
_SHOWN_CHARS = 40
_LARGEST = sys.float_info.max
_MAX_CHARS = 64  # of a number or a date; to look at more would take the time of many requests
_SHOWN_COLUMNS = 10
_KNOWN_DATES = 8_192
_MULTI_SEPARATOR = "|"


class InvalidRows(DataError):
    """Some cells cannot be read.

    Parameters
    ----------
    errors : list of dict
        ``loc`` (where in the body), ``msg`` (a sentence), ``type`` (a word) for each.
    """

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(error["msg"] for error in errors))
        self.errors = errors


class _Bad(Exception):
    """A cell cannot be read; holds what was expected."""


class _Reader(NamedTuple):
    name: str
    read: Callable[[Any], Any]
    kind: Any


class RowReader:
    """Reads JSON rows as the columns of a model.

    Parameters
    ----------
    schema : Schema
        The model's columns.

    Examples
    --------
    >>> schema = Schema((ColumnSchema("price", "numeric", ""),))
    >>> RowReader(schema).cells([{"price": "12.5"}, {"price": None}])
    [[12.5, None]]
    """

    def __init__(self, schema: Schema) -> None:
        self._readers = [_reader(column) for column in schema.used()]
        self._names = [reader.name for reader in self._readers]

    def cells(self, rows: Sequence[Row]) -> Cells:
        """Return the rows' cells, column by column; missing ones are None, extra ones left out.

        Raises
        ------
        InvalidRows
            A cell cannot be read as its column's kind, or a row has no column of the model.
        """
        errors: list[dict[str, Any]] = []
        for i, row in enumerate(rows):
            if not any(name in row for name in self._names) and len(errors) < MAX_ERRORS:
                errors.append(_error(i, None, self._nothing_known(i, row), "columns_unknown"))
        columns = [_read_column(reader, rows, errors) for reader in self._readers]
        if errors:
            raise InvalidRows(errors)
        return columns

    def table(self, cells: Cells) -> Table:
        """Return the cells of any number of rows as a table."""
        columns = {
            reader.name: pa.array(column, reader.kind)
            for reader, column in zip(self._readers, cells, strict=True)
        }
        return Table(columns, len(cells[0]), "the request")

    def _nothing_known(self, i: int, row: Row) -> str:
        expected = ", ".join(self._names[:_SHOWN_COLUMNS])
        more = ", …" if len(self._names) > _SHOWN_COLUMNS else ""
        near = (name[:_MAX_CHARS] for name in list(row)[:_SHOWN_COLUMNS])
        hints = (did_you_mean(name, self._names) for name in near)
        hint = next(filter(None, hints), "")
        has = f"has no column of the model: {_shown(list(row))}" if row else "is empty"
        return f"rows[{i}] {has}. Expected at least one of: {expected}{more}.{hint}"


def _read_column(reader: _Reader, rows: Sequence[Row], errors: list[dict[str, Any]]) -> list[Any]:
    """Return a column's cells; what cannot be read is added to errors."""
    name, read = reader.name, reader.read
    cells: list[Any] = []
    for i, row in enumerate(rows):
        cell = row.get(name)
        try:
            cells.append(None if cell is None else read(cell))
        except _Bad as bad:
            if len(errors) < MAX_ERRORS:
                what = f"rows[{i}], column {name!r}: {_shown(cell)} is {bad}."
                errors.append(_error(i, name, what, "cell_unreadable"))
    return cells


def _error(row: int, column: str | None, message: str, what: str) -> dict[str, Any]:
    loc = ["body", "rows", row] + ([] if column is None else [column])
    return {"loc": loc, "msg": message, "type": what}


def _shown(value: Any) -> str:
    """Return a value as it is shown in a message: short."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        return "a list"
    text = repr(value[:_SHOWN_COLUMNS] if isinstance(value, list) else value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


# -- one cell ----------------------------------------------------------------------------------


def _reader(column: ColumnSchema) -> _Reader:
    """Return what reads the cells of a column, by its kind."""
    params = column.params
    if column.kind == "numeric":
        read = functools.partial(
            _read_number, decimal=params.get("decimal", "."), unit=params.get("unit", "")
        )
        return _Reader(column.name, read, pa.float64())
    if column.kind == "date":
        date = functools.partial(_read_date, layout=params.get("layout", LAYOUTS[0]))
        return _Reader(column.name, date, pa.large_string())
    if column.kind == "multi":
        items = functools.partial(_read_items, separator=params.get("separator", _MULTI_SEPARATOR))
        return _Reader(column.name, items, pa.large_string())
    return _Reader(column.name, _read_text, pa.large_string())


def _read_text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return f"{cell:.0f}"
    if isinstance(cell, int | float):
        return str(cell)
    raise _Bad("no value. Expected a text, a number, true, false or null")


def _read_number(cell: Any, *, decimal: str, unit: str) -> float | None:
    if isinstance(cell, str):
        if spell(cell) is None:
            return None
        number = split_number(cell, decimal) if len(cell) <= _MAX_CHARS else None
        if number is not None and number[1] in ("", unit) and math.isfinite(number[0]):
            return number[0]
    elif isinstance(cell, int | float) and abs(cell) <= _LARGEST:  # JSON's 1e999 is infinite
        return float(cell)
    like = f", which may be written with {unit!r}" if unit else ""
    raise _Bad(f"not a number. Expected a number{like}, or null where it is missing")


def _read_date(cell: Any, *, layout: str) -> str | None:
    if isinstance(cell, str):
        if spell(cell) is None:
            return None
        if len(cell) <= _MAX_CHARS and _is_date(cell, layout):
            return cell
    raise _Bad(
        f"not a date. Expected a text such as {DATE_EXAMPLES[layout.split('|')[0]]!r}, or null "
        "where it is missing"
    )


DATE_EXAMPLES = {
    "ymd": "2024-05-31",
    "dmy": "31.05.2024",
    "mdy": "05/31/2024",
    "ym": "2024-05",
    "my": "05/2024",
}
"""A date in each layout."""


@functools.lru_cache(_KNOWN_DATES)
def _is_date(cell: str, layout: str) -> bool:
    column = pa.array([cell], pa.large_string())
    return bool(parse_moments(column, layout).days[0] != NO_DATE)


def _read_items(cell: Any, *, separator: str) -> str:
    if not isinstance(cell, list):
        return _read_text(cell)
    try:
        return separator.join(_read_text(item) for item in cell if item is not None)
    except _Bad:
        raise _Bad("no list of values. Expected a text, or a list of texts") from None
