"""Where rows of a table are in their file."""

from __future__ import annotations

import codecs
import os
import re

import numpy as np
import numpy.typing as npt

from udt._csv import csv_rows, sniff_separator
from udt._source import decode, open_source

_CSV = re.compile(r"\.(csv|tsv)(\.(gz|zst|zstd))?$", re.IGNORECASE)
_JSON_LINES = re.compile(r"\.(jsonl|ndjson)(\.(gz|zst|zstd))?$", re.IGNORECASE)


def find_lines(path: str, rows: npt.NDArray[np.integer], n_rows: int) -> list[int | None]:
    """Return the line (from 1) on which each row starts; None where that is not known.

    Known of rows of one CSV or JSON-lines file from which none was left out.

    Parameters
    ----------
    path : str
        The file.
    rows : ndarray of int
        Rows, from 0.
    n_rows : int
        Rows of the whole table, to tell a header and rows that were left out.
    """
    unknown: list[int | None] = [None] * len(rows)
    is_csv = bool(_CSV.search(path))
    if not os.path.isfile(path) or not (is_csv or _JSON_LINES.search(path)):
        return unknown
    source = open_source(path)
    data = bytes(source.read()).removeprefix(codecs.BOM_UTF8)
    if is_csv:
        separator = sniff_separator(decode(source.head), source.cut)[0]
        starts = [line for line, _ in csv_rows(data, separator.encode())]
    else:
        starts = [i for i, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    n_header = len(starts) - n_rows
    if n_header not in ((0, 1) if is_csv else (0,)):
        return unknown
    return [starts[int(row) + n_header] for row in rows]
