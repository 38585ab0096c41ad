"""Dense columns: numbers for trees out of cells as people write them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from udt.featurizers.dense import MAX_CODES, DenseEncoder, class_statistics, fit_dense, has_dense
from udt.featurizers.infer import infer_schema
from udt.featurizers.schema import ColumnSchema, Schema
from udt.table import as_table

N = 240


def make():
    """Return a table with a column of each kind, half of each cell kind spelled oddly."""
    rng = np.random.default_rng(0)
    price = rng.integers(1, 9000, N)
    share = rng.integers(0, 100, N)
    size = rng.choice(["S", "M", "L", None], N)
    return {
        "price": [f"${p:,}" if i % 9 else None for i, p in enumerate(price)],
        "share": [f"{s}%" for s in share],
        "weight": [f"{w:.1f} kg" for w in rng.random(N) * 90],
        "when": [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(N)],
        "size": list(size),
        "gift": [("yes", "N", "TRUE", "0")[i % 4] for i in range(N)],
        "tags": ["|".join(rng.choice(list("abcdef"), 1 + i % 3, replace=False)) for i in range(N)],
        "note": [f"ordered by customer {i} and sent to street {i * 7}" for i in range(N)],
    }, price


def fitted(columns=None, which=None):
    data, price = make()
    data = data if columns is None else columns
    table = as_table(data)
    schema = infer_schema({name: table.column(name) for name in table.names})
    y = (price > 4500).astype(np.int32)
    which = np.arange(N) if which is None else which
    return table, schema, *fit_dense(table, schema, y, 2, which)


def test_each_kind_becomes_the_numbers_it_says():
    _, schema, encoder, x = fitted()
    kinds = {c.name: c.kind for c in schema.columns}
    assert kinds == {
        "price": "numeric", "share": "numeric", "weight": "numeric", "when": "date",
        "size": "categorical", "gift": "boolean", "tags": "multi", "note": "text",
    }  # fmt: skip
    price = make()[1]
    assert x.shape == (N, 3 + 4 + 1 + 1 + 1 + 1)
    np.testing.assert_array_equal(np.isnan(x[:, 0]), np.arange(N) % 9 == 0)
    known = ~np.isnan(x[:, 0])
    np.testing.assert_array_equal(x[known, 0], price[known])
    assert x[0, 3] == np.datetime64("2024-01-01").astype(int)
    assert x[1, 4] == (np.datetime64("2024-02-02") - np.datetime64("2024-01-01")).astype(int)
    assert x[0, 5] == 0  # a Monday
    assert np.isnan(x[:, 6]).all()  # no hour
    assert len(np.unique(x[:, 8])) == 2
    np.testing.assert_array_equal(x[:, 9], 1 + np.arange(N) % 3)
    np.testing.assert_array_equal(x[:, 10], [len(note) for note in make()[0]["note"]])
    assert np.flatnonzero(encoder.categorical).tolist() == [7, 8]


def test_missing_and_unknown_categories_differ():
    _, _, encoder, x = fitted()
    sizes = make()[0]["size"]
    np.testing.assert_array_equal(np.isnan(x[:, 7]), [s is None for s in sizes])
    other = encoder.transform(as_table({"size": ["XXL", None]}))
    assert not np.isnan(other[0, 7])
    assert other[0, 7] > np.nanmax(x[:, 7])
    assert np.isnan(other[1, 7])


def test_a_table_that_lacks_columns_is_missing_everywhere():
    _, _, encoder, x = fitted()
    bare = encoder.transform(as_table({"else": [1, 2, 3]}))
    assert bare.shape == (3, x.shape[1])
    assert np.isnan(bare).all()


def test_state_gives_the_same_encoder_back():
    table, _, encoder, _ = fitted()
    meta, arrays = encoder.state()
    again = DenseEncoder.from_state(json.loads(json.dumps(meta)), arrays)
    np.testing.assert_array_equal(again.transform(table), encoder.transform(table))


def many_values(n_values=400):
    """Return a category of many values of three rows each, and classes unrelated to it."""
    rng = np.random.default_rng(3)
    values = np.repeat([f"v{i:03d}" for i in range(n_values)], 3)
    return values, rng.integers(0, 2, len(values)).astype(np.int32)


def test_statistics_of_many_values_never_tell_a_row_its_own_class():
    values, y = many_values()
    assert len(set(values)) > MAX_CODES
    table = as_table({"shop": values.tolist(), "n": list(range(len(values)))})
    schema = Schema((ColumnSchema("shop", "categorical", ""),))
    which = np.arange(len(y))
    encoder, x = fit_dense(table, schema, y, 2, which)
    shares = x[:, 1]
    assert abs(np.corrcoef(shares, y)[0, 1]) < 0.35  # leave-out means run a little against it
    leaking = encoder.transform(table)[:, 1]
    assert np.corrcoef(leaking, y)[0, 1] > 0.5
    assert np.corrcoef(shares, y)[0, 1] < 0.1


def test_statistics_are_made_of_the_rows_to_learn_from_alone():
    values, y = many_values()
    table = as_table({"shop": values.tolist(), "n": list(range(len(values)))})
    schema = Schema((ColumnSchema("shop", "categorical", ""),))
    which = np.arange(0, len(y), 2)
    flipped = y.copy()
    flipped[1::2] = 1 - flipped[1::2]
    np.testing.assert_array_equal(
        fit_dense(table, schema, y, 2, which)[1], fit_dense(table, schema, flipped, 2, which)[1]
    )


@pytest.mark.parametrize(("n_classes", "n_numbers"), [(2, 2), (5, 6), (11, 1)])
def test_class_statistics_are_smoothed_towards_all_rows(n_classes, n_numbers):
    codes = np.array([0] * 30 + [1] * 10, np.int32)
    y = np.array([1] * 30 + [0] * 10, np.int32)
    table = class_statistics(codes, y, 3, n_classes)
    assert table.shape == (3, n_numbers)
    np.testing.assert_array_equal(table[:, 0], [30, 10, 0])
    if n_classes <= 10:
        share_of_one = table[:, 1 if n_classes == 2 else 2]
        np.testing.assert_allclose(share_of_one, [37.5 / 40, 7.5 / 20, 0.75], rtol=1e-6)


@pytest.mark.parametrize(
    "cells",
    [
        [None] * N,
        [7] * N,
        [10**15 + i for i in range(N)],
        [float("inf"), float("-inf"), float("nan")] * (N // 3),
        [1e308, -1e308, 0.0] * (N // 3),
        ["1", "two", None, "3.5"] * (N // 4),
    ],
)
@pytest.mark.parametrize("kind", ["numeric", "categorical", "date", "multi", "text"])
def test_no_cell_makes_a_number_that_is_not_finite_or_missing(cells, kind):
    table = as_table({"odd": pa.array(cells)})
    schema = Schema((ColumnSchema("odd", kind, "", {"separator": "|"} if kind == "multi" else {}),))
    y = (np.arange(N) % 2).astype(np.int32)
    encoder, x = fit_dense(table, schema, y, 2, np.arange(N))
    assert not np.isinf(x).any()
    np.testing.assert_array_equal(encoder.transform(table), x)


def test_trees_are_for_tables_with_more_than_text():
    assert not has_dense(Schema((ColumnSchema("t", "text", ""), ColumnSchema("i", "constant", ""))))
    assert has_dense(Schema((ColumnSchema("t", "text", ""), ColumnSchema("n", "numeric", ""))))
