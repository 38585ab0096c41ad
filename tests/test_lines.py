"""Lines of rows: headers, quoted line ends and empty lines between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from udt._lines import find_lines
from udt.table import read_table


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", 'text,label\n"two\nlines",x\n\nb,y\nc,x\n', [2, 5, 6]),
        ("a.tsv", "text\tlabel\na\tx\nb\ty\n", [2, 3]),
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}\n', [1, 3]),
    ],
)
def test_each_row_has_its_line(tmp_path: Path, name: str, text: str, expected: list[int]) -> None:
    path = tmp_path / name
    path.write_text(text)
    n = read_table(path).n_rows
    assert n == len(expected)
    assert find_lines(str(path), np.arange(n), n) == expected


def test_unknown_where_rows_were_left_out_or_the_file_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,x\nb,y\nc,y\n")
    assert find_lines(str(path), np.array([0]), 1) == [None]
    assert find_lines(str(tmp_path / "a.parquet"), np.array([0]), 3) == [None]
