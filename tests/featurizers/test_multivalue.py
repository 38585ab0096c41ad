from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.featurizers.multivalue import MultiValueEncoder

GENRES = pa.array(["war|drama", "drama", "war", "opera"])


def rows_of(csr):
    spans = zip(csr.indptr[:-1], csr.indptr[1:], strict=True)
    return [sorted(csr.indices[lo:hi].tolist()) for lo, hi in spans]


def test_known_items_are_features_and_unknown_ones_are_dropped():
    encoder = MultiValueEncoder.fit(GENRES, {"separator": "|"})
    assert encoder.feature_names() == ["has drama", "has war", "missing"]
    csr = encoder.transform(pa.array(["drama|war", " war | opera", "opera", None, "", "|", "NA"]))
    assert rows_of(csr) == [[0, 1], [1], [], [2], [2], [2], [2]]


def test_rows_have_length_one():
    encoder = MultiValueEncoder.fit(pa.array(["a,b,c", "a,b,c"]), {"separator": ","})
    csr = encoder.transform(pa.array(["a", "a,b", "c,b,a,unknown"]))
    lengths = np.add.reduceat(csr.values**2, csr.indptr[:-1])
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_quotes_and_brackets_do_not_belong_to_items():
    encoder = MultiValueEncoder.fit(pa.array(["['a', 'b']", "a,b"]), {"separator": ","})
    assert encoder.items == ("a", "b")


def test_a_slice_of_a_column_is_encoded_like_its_copy():
    encoder = MultiValueEncoder.fit(GENRES, {"separator": "|"})
    assert rows_of(encoder.transform(GENRES.slice(1, 2))) == [[0], [1]]


@pytest.mark.parametrize(
    "column", [pa.nulls(1), pa.array([[1]]), pa.array([b"\xff"]), pa.array([3]), pa.array([True])]
)
def test_a_column_of_another_type_never_raises(column):
    assert MultiValueEncoder.fit(GENRES, {"separator": "|"}).transform(column).n_rows == 1


def test_numbers_as_items_agree_with_strings():
    encoder = MultiValueEncoder.fit(pa.array(["1|2", "1|2"]), {"separator": "|"})
    assert rows_of(encoder.transform(pa.array([2, 1]))) == [[1], [0]]


cells = st.lists(st.sampled_from(["a", "b", "c", "", " a", "né"]), max_size=4).map(";".join)


@given(st.lists(cells | st.none(), max_size=30))
def test_state_round_trip(values):
    column = pa.array(values, pa.large_string())
    encoder = MultiValueEncoder.fit(column, {"separator": ";"})
    meta, arrays = encoder.state()
    again = MultiValueEncoder.from_state(json.loads(json.dumps(meta)), arrays)
    assert again == encoder
    for old, new in zip(encoder.transform(column), again.transform(column), strict=True):
        np.testing.assert_array_equal(old, new)


@given(st.lists(cells | st.none(), max_size=30))
def test_rows_do_not_depend_on_each_other(values):
    encoder = MultiValueEncoder(("a", "b"), ";")
    together = rows_of(encoder.transform(pa.array(values, pa.large_string())))
    alone = [rows_of(encoder.transform(pa.array([v], pa.large_string())))[0] for v in values]
    assert together == alone
