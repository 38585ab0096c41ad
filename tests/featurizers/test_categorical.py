from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.featurizers import categorical
from udt.featurizers.categorical import CategoricalEncoder


def test_each_cell_has_one_feature_of_value_1():
    encoder = CategoricalEncoder.fit(pa.array(["red", "blue", "red"]), {})
    csr = encoder.transform(pa.array(["blue", " red ", "green", None, "N/A", "Red"]))
    assert encoder.feature_names() == ["= red", "= blue", "rare or unknown", "missing"]
    assert csr.indptr.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert csr.indices.tolist() == [1, 0, 2, 3, 3, 2]
    assert csr.values.tolist() == [1.0] * 6
    assert (csr.indptr.dtype, csr.indices.dtype, csr.values.dtype) == ("i8", "i4", "f4")


def test_values_seen_once_are_pooled_in_larger_tables_only():
    cells = ["a"] * 150 + ["b"]
    assert CategoricalEncoder.fit(pa.array(cells), {}).values == ("a", "b")
    assert CategoricalEncoder.fit(pa.array(cells + ["a"] * 100), {}).values == ("a",)


def test_the_most_frequent_values_are_kept(monkeypatch):
    monkeypatch.setattr(categorical, "MAX_VALUES", 2)
    encoder = CategoricalEncoder.fit(pa.array(["x"] + ["y"] * 3 + ["z"] * 2), {})
    assert encoder.values == ("y", "z")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([3, 4, None]),
        pa.array([3.0, 4.0, None]),
        pa.array(["3", "4.0", None]),
        pa.array([3, 4, None], pa.int8()),
        pa.array(["3", "4", None]).dictionary_encode(),
    ],
)
def test_whole_numbers_agree_whatever_their_type(column):
    for training in (pa.array([3, 4]), pa.array(["3", "4"]), pa.array([3.0, 4.0])):
        encoder = CategoricalEncoder.fit(training, {})
        assert encoder.transform(column).indices.tolist() == [0, 1, 3]


def test_leading_zeros_are_kept():
    encoder = CategoricalEncoder.fit(pa.array(["007", "7"]), {})
    assert set(encoder.values) == {"007", "7"}


def test_booleans_agree_in_all_spellings():
    encoder = CategoricalEncoder.fit(pa.array(["Yes", "no", "yes"]), {"boolean": True})
    assert encoder.values == ("yes", "no")
    for column in (pa.array([True, False]), pa.array([1, 0]), pa.array(["T", "OFF"])):
        assert encoder.transform(column).indices.tolist() == [0, 1]
    assert encoder.transform(pa.array([1.0, None])).indices.tolist() == [0, 3]


@pytest.mark.parametrize(
    "column",
    [pa.nulls(1), pa.array([[1]]), pa.array([b"\xff"]), pa.array([1], pa.timestamp("ns"))],
)
def test_a_column_of_another_type_never_raises(column):
    assert CategoricalEncoder.fit(pa.array(["a"]), {}).transform(column).n_rows == 1


def test_an_empty_column():
    encoder = CategoricalEncoder.fit(pa.nulls(2, pa.large_string()), {})
    assert encoder.n_features == 2
    assert encoder.transform(pa.array([], pa.large_string())).n_rows == 0


@given(st.lists(st.text(max_size=4) | st.none(), max_size=40), st.booleans(), st.randoms())
def test_state_round_trip_and_order_of_rows(cells, boolean, random):
    column = pa.array(cells, pa.large_string())
    encoder = CategoricalEncoder.fit(column, {"boolean": boolean})
    meta, arrays = encoder.state()
    again = CategoricalEncoder.from_state(json.loads(json.dumps(meta)), arrays)
    for old, new in zip(encoder.transform(column), again.transform(column), strict=True):
        np.testing.assert_array_equal(old, new)
    random.shuffle(cells)
    assert CategoricalEncoder.fit(pa.array(cells, pa.large_string()), {"boolean": boolean}) == again
