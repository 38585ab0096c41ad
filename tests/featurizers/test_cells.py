from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from udt.featurizers.cells import distinct_strings, per_distinct, rows_from_slots, spell


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "null", "None", "?", "-", "\\N"])
def test_spellings_of_missing(cell):
    assert spell(cell) is None


@pytest.mark.parametrize(
    ("cell", "spelled"),
    [(" red ", "red"), ("3.0", "3"), ("-3.0", "-3"), ("3.10", "3.10"), ("007", "007"),
     ("v1.0", "v1.0"), (".0", ".0"), ("nap", "nap")],
)  # fmt: skip
def test_cells_are_compared_trimmed_and_whole_numbers_without_a_point(cell, spelled):
    assert spell(cell) == spelled


@pytest.mark.parametrize(
    ("column", "strings"),
    [
        (pa.array(["b", None, "a", "b"]), ["b", "a"]),
        (pa.array([2, None, 1, 2]), ["2", "1"]),
        (pa.array([2.0, None, 1.5, 2.0]), ["2", "1.5"]),
        (pa.array([True, None, False, True]), ["True", "False"]),
        (pa.array(["b", None, "a", "b"]).dictionary_encode(), ["b", "a"]),
        (pa.array([[2], None, [1], [2]]), ["[2]", "[1]"]),
    ],
)
def test_distinct_cells_of_any_type(column, strings):
    codes, found = distinct_strings(column)
    assert codes.tolist() == [0, -1, 1, 0]
    assert found == strings


def test_a_function_is_called_once_per_distinct_cell():
    seen = []
    result = per_distinct(
        pa.array(["a", None, "bb", "a"]), lambda c: seen.append(c) or len(c), -1, "i4"
    )
    assert result.tolist() == [1, -1, 2, 1]
    assert seen == ["a", "bb"]


def test_empty_slots_are_left_out():
    ids = np.array([[0, -1], [-5, -1], [2, 1]], np.int32)
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    csr = rows_from_slots(ids, values, 3)
    assert csr.indptr.tolist() == [0, 1, 1, 3]
    assert csr.indices.tolist() == [0, 2, 1]
    assert csr.values.tolist() == [0, 4, 5]
    assert (csr.indptr.dtype, csr.indices.dtype, csr.values.dtype) == ("i8", "i4", "f4")
