"""Tables to rows: every column's features side by side, selected, weighed and scaled."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests import reference
from udt.csr import CSR, one_class
from udt.featurizers import rows as module
from udt.featurizers.rows import FeaturePool, RowEncoder, kind_bits
from udt.featurizers.schema import ColumnSchema, Schema
from udt.featurizers.tokens import KIND_NAMES
from udt.settings import FeaturizerSettings
from udt.table import Table, as_table

KINDS = {
    "title": "text",
    "body": "text",
    "shop": "categorical",
    "open": "boolean",
    "price": "numeric",
    "day": "date",
    "tags": "multi",
}
PARAMS: dict[str, dict[str, Any]] = {"tags": {"separator": "|"}, "open": {"boolean": True}}
SCHEMA = Schema(
    tuple(ColumnSchema(name, kind, "", PARAMS.get(name, {})) for name, kind in KINDS.items())
)
SETTINGS = FeaturizerSettings(kinds=("word 1", "word 2", "char 3"))


def make_table(rng: np.random.Generator, n_rows: int = 300) -> tuple[Table, np.ndarray]:
    """Every kind of column, each saying something of the class; one cell in ten is missing."""
    y = rng.integers(0, 3, n_rows).astype(np.int32)

    def words(n: int) -> list[str]:
        return [
            " ".join(f"w{c * k}" for k in rng.integers(0, 40, rng.integers(1, n))) for c in y + 1
        ]

    columns = {
        "title": words(4),
        "body": words(30),
        "shop": [("north", "south", "east")[c] if rng.random() < 0.7 else "west" for c in y],
        "open": rng.choice(["yes", "no"], n_rows).tolist(),
        "price": (rng.normal(size=n_rows) + y).tolist(),
        "day": [f"2023-{rng.integers(1, 13):02}-{rng.integers(1, 28):02}" for _ in y],
        "tags": ["|".join(rng.choice(["a", "b", "c", f"t{c}"], 2, replace=False)) for c in y],
    }
    holes = {n: [v if rng.random() > 0.1 else None for v in c] for n, c in columns.items()}
    return as_table({n: pa.array(c) for n, c in holes.items()}), y


def pool_of(table: Table, schema: Schema = SCHEMA, n_threads: int = 1) -> FeaturePool:
    return FeaturePool(table, schema, SETTINGS, n_threads)


def assert_same(a: CSR, b: CSR) -> None:
    assert a.n_features == b.n_features
    for x, y in zip(a[:3], b[:3], strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def text_keys(encoder: RowEncoder) -> list[list[int]]:
    return [e.keys.tolist() for column, e in encoder.columns if column.kind == "text"]


def test_training_rows_are_encoded_as_later_ones(rng):
    table, y = make_table(rng)
    encoder, rows = pool_of(table).select(one_class(y), 3, SETTINGS)
    assert (rows.indptr.dtype, rows.indices.dtype, rows.values.dtype) == ("i8", "i4", "f4")
    assert rows.n_features == encoder.n_features == len(encoder.weights) == len(encoder.groups)
    later = encoder.transform(table)
    np.testing.assert_allclose(reference.dense(later), reference.dense(rows), rtol=1e-5)
    assert_same(encoder.transform(table, n_threads=2), later)


def test_threads_change_nothing(rng, monkeypatch):
    table, y = make_table(rng)
    monkeypatch.setattr(module, "_ROWS_PER_THREAD", 50)
    one = pool_of(table).select(one_class(y), 3, SETTINGS)
    two = pool_of(table, n_threads=2).select(one_class(y), 3, SETTINGS, n_threads=2)
    assert text_keys(one[0]) == text_keys(two[0])
    assert_same(one[1], two[1])


def test_a_row_is_encoded_on_its_own(rng):
    """Whatever rows stand around it."""
    table, y = make_table(rng)
    encoder, _ = pool_of(table).select(one_class(y), 3, SETTINGS)
    X = reference.dense(encoder.transform(table))
    order = rng.permutation(table.n_rows)
    np.testing.assert_array_equal(reference.dense(encoder.transform(table.take(order))), X[order])
    part = reference.dense(encoder.transform(table.slice(7, 9)))
    np.testing.assert_array_equal(part, X[7:9])
    assert encoder.transform(table.slice(0, 0)).indptr.tolist() == [0]


def test_a_row_has_the_norm_of_its_shares(rng):
    table, y = make_table(rng)
    encoder, rows = pool_of(table).select(one_class(y), 3, SETTINGS)
    expected = 2 * (0.4 + 0.3 + 0.3) + 5 * 0.3
    assert encoder.shares.sum() == pytest.approx(expected)
    norms = (reference.dense(rows) ** 2).sum(axis=1)
    np.testing.assert_allclose(norms, expected, rtol=1e-4)
    groups = np.unique(encoder.groups)
    assert groups.tolist() == [*range(len(encoder.shares))]


def test_groups_are_words_phrases_characters_and_columns(rng):
    table, y = make_table(rng)
    encoder, _ = pool_of(table).select(one_class(y), 3, SETTINGS)
    first, group = 0, 0
    for column, own in encoder.columns:
        groups = encoder.groups[first : first + own.n_features]
        if column.kind == "text":
            names = [KIND_NAMES[k] for k in own.feature_kinds()]
            expected = {"word 1": group, "word 2": group + 1, "char 3": group + 2}
            assert groups.tolist() == [expected[n] for n in names]
            group += 3
        else:
            assert (groups == group).all()
            group += 1
        first += own.n_features
    assert (first, group) == (encoder.n_features, len(encoder.shares))


def test_weights_are_supervised_for_text_and_lists_only(rng):
    table, y = make_table(rng)
    pool = pool_of(table)
    encoder, _ = pool.select(one_class(y), 3, SETTINGS)
    prior = np.bincount(y) / len(y)
    first = 0
    for column, own in encoder.columns:
        found = encoder.weights[first : first + own.n_features]
        first += own.n_features
        if column.kind not in ("text", "multi"):
            assert (found == 1).all()
            continue
        held = reference.dense(own.transform(table.column(column.name))) > 0
        df, kl = reference.class_information(held, y, prior)
        np.testing.assert_allclose(found, np.maximum(np.sqrt(2 * kl), 1e-6), rtol=1e-4)
        if column.kind == "text":
            assert (df >= 2).all()
            assert (np.diff(df) <= 0).all()  # frequent first


def test_held_out_rows_teach_nothing(rng):
    table, y = make_table(rng)
    seen = y.copy()
    seen[200:] = -1
    pool = pool_of(table)
    encoder, rows = pool.select(one_class(seen), 3, SETTINGS)
    assert rows.n_rows == 300
    scrambled = table.slice(0, 200)
    other, _ = pool_of(scrambled).select(one_class(y[:200]), 3, SETTINGS)
    assert text_keys(encoder) == text_keys(other)
    text = np.isin(encoder.groups, range(6))
    text_other = np.isin(other.groups, range(6))
    np.testing.assert_array_equal(encoder.weights[text], other.weights[text_other])


def test_the_most_useful_ngrams_are_kept(rng):
    table, y = make_table(rng)
    schema = Schema(SCHEMA.columns[:2])
    pool = pool_of(table, schema)
    everything, _ = pool.select(one_class(y), 3, SETTINGS)
    few = FeaturizerSettings(kinds=SETTINGS.kinds, max_features=50)
    best, rows = pool.select(one_class(y), 3, few)
    assert best.n_features == rows.n_features == 50

    def usefulness(encoder: RowEncoder) -> np.ndarray:
        df = np.bincount(encoder.transform(table).indices, minlength=encoder.n_features)
        return np.sort(df * encoder.weights**2)[::-1]

    np.testing.assert_allclose(usefulness(best), usefulness(everything)[:50], rtol=1e-5)


@pytest.mark.parametrize("max_features", [100_000, 700])
def test_the_choice_does_not_depend_on_row_order_or_threads(rng, max_features):
    """Also among n-grams that are equally useful, of which there are many."""
    settings = FeaturizerSettings(kinds=SETTINGS.kinds, max_features=max_features)
    texts = [" ".join(f"x{w}" for w in rng.integers(0, 900, 25)) for _ in range(600)]
    y = rng.integers(0, 2, 600).astype(np.int32)
    order = rng.permutation(600)
    schema = Schema((ColumnSchema("text", "text", ""),))
    table = as_table({"text": texts})
    chosen = [
        text_keys(pool_of(t, schema, n).select(one_class(labels), 2, settings)[0])
        for t, labels, n in ((table, y, 1), (table, y, 2), (table.take(order), y[order], 1))
    ]
    assert chosen[0] == chosen[1]
    assert chosen[0] == chosen[2]
    assert 0 < len(chosen[0][0]) <= max_features


def test_a_candidate_may_want_fewer_kinds(rng):
    table, y = make_table(rng)
    encoder, _ = pool_of(table).select(one_class(y), 3, FeaturizerSettings(kinds=("word 1",)))
    for column, own in encoder.columns:
        if column.kind == "text":
            assert own.n_features > 0
            assert set(own.feature_kinds().tolist()) == {0}


def test_missing_columns_count_as_missing_cells(rng):
    table, y = make_table(rng)
    encoder, _ = pool_of(table).select(one_class(y), 3, SETTINGS)
    nothing = as_table({n: pa.nulls(5, pa.large_string()) for n in KINDS})
    expected = reference.dense(encoder.transform(nothing))
    found = encoder.transform(as_table({"unknown": ["x"] * 5}))
    np.testing.assert_array_equal(reference.dense(found), expected)
    assert (expected != 0).any(axis=1).all()


@pytest.mark.parametrize("kind", ["numeric", "text"])
@pytest.mark.parametrize("n_columns", [100, 300])
def test_tables_of_many_columns(rng, kind, n_columns):
    """More groups than a byte can number."""
    cells = {"numeric": [1.0, 2.0, 3.0, 4.0], "text": ["a b", "b c", "a b", "c b"]}[kind] * 5
    table = as_table({f"c{i}": rng.permutation(cells) for i in range(n_columns)})
    schema = Schema(tuple(ColumnSchema(name, kind, "") for name in table.names))
    y = np.arange(20, dtype=np.int32) % 2
    encoder, rows = FeaturePool(table, schema, SETTINGS, 1).select(one_class(y), 2, SETTINGS)
    assert len(encoder.shares) == n_columns * (3 if kind == "text" else 1)
    assert encoder.groups.max() >= len(encoder.shares) - 3
    norms = (reference.dense(rows) ** 2).sum(axis=1)
    np.testing.assert_allclose(norms, encoder.shares.sum(), rtol=1e-3)


def test_state_round_trip(rng):
    table, y = make_table(rng)
    encoder, _ = pool_of(table).select(one_class(y), 3, SETTINGS)
    metas, arrays = encoder.state()
    again = RowEncoder.from_state(json.loads(json.dumps(metas)), arrays)
    assert [c for c, _ in again.columns] == [c for c, _ in encoder.columns]
    assert_same(again.transform(table), encoder.transform(table))


def test_kind_bits_follow_the_names():
    assert kind_bits(()) == 0
    assert kind_bits(KIND_NAMES) == 255
    assert [kind_bits((name,)) for name in KIND_NAMES] == [1 << i for i in range(8)]
