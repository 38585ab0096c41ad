"""One Arrow type for each meaning, whatever the source called it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from udt.errors import DataError


def clean(table: Any, source: str) -> Any:
    """Flatten structs to ``a.b``, make names unique and cast every column to a type of ours.

    Raises
    ------
    DataError
        Bytes that are not UTF-8 text.
    """
    while any(pa.types.is_struct(t) for t in table.schema.types):
        table = table.flatten()
    names: dict[str, None] = {}
    for name in table.column_names:
        unique, i = name, 2
        while unique in names or (unique != name and unique in table.column_names):
            unique, i = f"{name}_{i}", i + 1
        names[unique] = None
    columns = [_clean_column(c, n, source) for c, n in zip(table.columns, names, strict=True)]
    return pa.table(columns, names=list(names)) if columns else table


def _clean_column(column: Any, name: str, source: str) -> Any:
    kind, types = column.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.chunked_array([c.storage for c in column.chunks], type=kind.storage_type)
        return _clean_column(storage, name, source)
    if types.is_dictionary(kind):
        return _clean_column(column.cast(kind.value_type), name, source)
    if types.is_run_end_encoded(kind):
        return _clean_column(pc.run_end_decode(column), name, source)
    if types.is_boolean(kind) or types.is_date(kind) or types.is_timestamp(kind):
        return column
    if kind in (pa.int64(), pa.large_string()):
        return column
    if types.is_floating(kind) or types.is_decimal(kind):
        column = column.cast(pa.float64())
        nan = pc.is_nan(column)
        return (
            pc.if_else(nan, pa.scalar(None, pa.float64()), column)
            if pc.any(nan).as_py()
            else column
        )
    try:
        return column.cast(pa.int64() if types.is_integer(kind) else pa.large_string())
    except pa.ArrowInvalid as error:
        if types.is_integer(kind):  # unsigned beyond 63 bits: an identifier, each digit counts
            return column.cast(pa.large_string())
        raise DataError(
            f"Column {name!r} of {source} holds bytes that are not UTF-8 text. Expected texts, "
            "numbers, booleans or dates; decode the column or leave it out."
        ) from error
    except pa.ArrowNotImplementedError:
        return _nested_to_text(column)


def _nested_to_text(column: Any) -> Any:
    """Join lists by ``|``; what is deeper, such as a list of objects, becomes its JSON."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        try:
            lists = column.cast(pa.list_(pa.string()))
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            pass  # lists of objects; of bytes that are no text
        else:
            return pa.chunked_array([_join(c) for c in lists.chunks], type=pa.large_string())
    texts = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _join(lists: Any) -> Any:
    """Join each list of strings by ``|``, an item that is null as an empty one."""
    values = pc.fill_null(lists.values, "")
    plain = pa.ListArray.from_arrays(lists.offsets, values)
    joined = pc.if_else(lists.is_valid(), pc.binary_join(plain, "|"), pa.scalar(None, pa.string()))
    return joined.cast(pa.large_string())
