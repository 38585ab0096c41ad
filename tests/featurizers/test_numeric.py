from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.featurizers.numeric import (
    MAX_KNOTS,
    NumericEncoder,
    choose_knots,
    guess_style,
    parse_numbers,
    split_number,
)


def dense(csr):
    out = np.zeros((csr.n_rows, csr.n_features))
    for row in range(csr.n_rows):
        span = slice(csr.indptr[row], csr.indptr[row + 1])
        np.add.at(out[row], csr.indices[span], csr.values[span])
    return out


@pytest.mark.parametrize(
    ("cell", "decimal", "expected"),
    [
        ("3.5", ".", (3.5, "")),
        ("1e5", ".", (1e5, "")),
        (" -2 ", ".", (-2.0, "")),
        ("$1,200.50", ".", (1200.5, "$")),
        ("-$3", ".", (-3.0, "$")),
        ("$-3", ".", (-3.0, "$")),
        ("12 %", ".", (12.0, "%")),
        ("3.5 kg", ".", (3.5, "kg")),
        ("EUR 7", ".", (7.0, "EUR")),
        ("1 200", ".", (1200.0, "")),
        ("1.234,5 €", ",", (1234.5, "€")),
        ("12,5", ".", None),
        ("--3", ".", None),
        ("v2", ".", None),
        ("TX-123", ".", None),
        ("007 kg", ".", None),
        ("$3 kg", ".", None),
        ("1.2.3", ".", None),
        ("", ".", None),
        ("red", ".", None),
    ],
)
def test_written_numbers_are_split_into_value_and_unit(cell, decimal, expected):
    assert split_number(cell, decimal) == expected


@pytest.mark.parametrize(
    ("cells", "style", "share"),
    [
        (["1", "2.5", "-3"], {"decimal": ".", "unit": ""}, 1.0),
        (["1,200", "2,300,000"], {"decimal": ".", "unit": ""}, 1.0),
        (["12,5", "1.200,75"], {"decimal": ",", "unit": ""}, 1.0),
        (["3 kg", "4 kg", "5", "6 lb"], {"decimal": ".", "unit": "kg"}, 0.75),
        (["a", "b"], {"decimal": ".", "unit": ""}, 0.0),
        ([], {"decimal": ".", "unit": ""}, 0.0),
    ],
)
def test_style_is_the_one_that_reads_most_cells(cells, style, share):
    assert guess_style(cells) == (style, share)


def test_another_unit_is_missing_rather_than_wrong():
    numbers = parse_numbers(pa.array(["3 kg", "4", "5 lb", None]), unit="kg")
    np.testing.assert_array_equal(numbers, [3, 4, math.nan, math.nan])


@given(st.lists(st.text(max_size=6) | st.floats().map(str) | st.integers().map(str), min_size=1))
def test_a_cell_is_read_alike_alone_and_among_others(cells):
    together = parse_numbers(pa.array(cells, pa.large_string()))
    alone = [parse_numbers(pa.array([c], pa.large_string()))[0] for c in cells]
    np.testing.assert_array_equal(together, alone)


def test_weights_of_neighbouring_knots_interpolate_and_sum_to_one():
    encoder = NumericEncoder(np.array([0.0, 10.0, 30.0]), exact=True)
    rows = dense(encoder.transform(pa.array([0.0, 5.0, 15.0, 30.0, -7.0, 99.0])))
    np.testing.assert_allclose(
        rows,
        [
            [1, 0, 0, 0],
            [0.5, 0.5, 0, 0],
            [0, 0.75, 0.25, 0],
            [0, 0, 1, 0],
            [1, 0, 0, 0],
            [0, 0, 1, 0],
        ],
    )


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=80), st.floats())
def test_any_number_has_weights_in_0_1_that_sum_to_1(training, number):
    encoder = NumericEncoder.fit(pa.array(training), {})
    csr = encoder.transform(pa.array([number]))
    assert csr.values.sum() == pytest.approx(1)
    assert (csr.values > 0).all()
    assert (csr.indices < encoder.n_features).all()
    if math.isnan(number):
        assert csr.indices.tolist() == [encoder.n_features - 1]
    assert len(encoder.feature_names()) == encoder.n_features


def test_missing_bad_and_infinite_cells():
    encoder = NumericEncoder.fit(pa.array([1.0, 2.0, 3.0]), {})
    csr = encoder.transform(pa.array(["x", None, "nan", "inf", "-inf", "2"]))
    assert csr.indices.tolist() == [3, 3, 3, 2, 0, 1]


@pytest.mark.parametrize(
    "column",
    [
        pa.nulls(2),
        pa.array([1, 2], pa.timestamp("s")),
        pa.array([[1], [2]]),
        pa.array([b"\xff", b"1"]),
        pa.array([{"a": 1}, None]),
    ],
)
def test_a_column_of_another_type_never_raises(column):
    encoder = NumericEncoder.fit(pa.array([1.0, 2.0]), {})
    assert encoder.transform(column).n_rows == 2


def test_types_agree_between_fit_and_transform():
    encoder = NumericEncoder.fit(pa.array(["1", "2", "3"]), {})
    expected = encoder.transform(pa.array([1, 3]))
    for column in (pa.array(["1", "3"]), pa.array([1.0, 3.0]), pa.array(["1.0", " 3"])):
        np.testing.assert_array_equal(encoder.transform(column).indices, expected.indices)


def test_few_values_have_a_knot_each_and_are_named():
    encoder = NumericEncoder.fit(pa.array([3, 1, 2, 2, None]), {})
    assert encoder.feature_names() == ["= 1", "= 2", "= 3", "missing"]


def test_many_values_are_named_by_ranges():
    encoder = NumericEncoder.fit(pa.array(np.arange(1000.0)), {})
    names = encoder.feature_names()
    assert len(names) == encoder.n_features
    assert names[0].startswith("≤")
    assert names[-2].startswith("≥")
    assert "…" in names[1]


def test_the_tail_of_a_column_that_is_mostly_zero_is_resolved():
    numbers = np.concatenate([np.zeros(9500), np.arange(1.0, 501.0)])
    knots = choose_knots(numbers, MAX_KNOTS)
    assert knots[0] == 0
    assert (knots > 0).sum() == MAX_KNOTS - 1


def test_a_column_without_a_number_still_encodes():
    encoder = NumericEncoder.fit(pa.nulls(3), {})
    assert encoder.transform(pa.array([None, 5.0])).indices.tolist() == [1, 0]


@given(st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=50))
def test_state_round_trip(training):
    column = pa.array(training, pa.float64())
    encoder = NumericEncoder.fit(column, {"unit": "kg"})
    meta, arrays = encoder.state()
    again = NumericEncoder.from_state(json.loads(json.dumps(meta)), arrays)
    for old, new in zip(encoder.transform(column), again.transform(column), strict=True):
        np.testing.assert_array_equal(old, new)
    assert again.feature_names() == encoder.feature_names()
    assert again.unit == "kg"


def test_a_linear_model_over_soft_bins_solves_a_curved_problem():
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.linear_model import LogisticRegression

    X, y = datasets.make_moons(600, noise=0.2, random_state=0)
    encoders = [NumericEncoder.fit(pa.array(X[:400, j]), {}) for j in range(2)]
    rows = np.hstack([dense(e.transform(pa.array(X[:, j]))) for j, e in enumerate(encoders)])
    model = LogisticRegression().fit(rows[:400], y[:400])
    assert model.score(rows[400:], y[400:]) > 0.93
