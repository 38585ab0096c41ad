"""More features: the old ones keep their weights and meaning, the new ones are what repeats."""

from __future__ import annotations

import numpy as np

from udt.csr import one_class
from udt.featurizers.growth import grow
from udt.featurizers.infer import infer_schema
from udt.featurizers.rows import FeaturePool
from udt.settings import FeaturizerSettings
from udt.table import Table, as_table

SETTINGS = FeaturizerSettings(kinds=("word 1", "char 3"))


def tables() -> tuple[Table, Table]:
    old = {
        "text": ["red apple", "red pear", "green apple", "green pear"] * 3,
        "shop": ["north", "south"] * 6,
        "tags": ["a|b", "b|c", "a|c", "a|b|c"] * 3,
        "price": [1.5, 2.5, 3.5, 4.5] * 3,
    }
    new = {
        "text": ["red plum", "blue plum", "blue pear", "once only"],
        "shop": ["east", "east", "north", "west"],
        "tags": ["a|d", "d", "b", "c"],
        "price": [1.0, 2.0, 9.0, 4.0],
    }
    return as_table(old), as_table(new)


def fit() -> tuple[FeaturePool, object, Table]:
    old, new = tables()
    kinds = {
        "text": ("text", {}),
        "shop": ("categorical", {}),
        "tags": ("multi", {"separator": "|"}),
    }
    columns = {name: old.column(name) for name in old.names}
    schema = infer_schema(columns, overrides={**kinds, "price": ("numeric", {})})
    pool = FeaturePool(old, schema, SETTINGS, 1)
    encoder, _ = pool.select(one_class(np.array([0, 1] * 6)), 2, SETTINGS)
    return pool, encoder, new


def test_old_features_stay_what_they_are():
    _, encoder, new = fit()
    targets = one_class(np.array([0, 1, 1, 0]))
    more = grow(encoder, new, targets, 2, SETTINGS)
    assert more.encoder.n_features > encoder.n_features
    assert np.array_equal(more.encoder.weights[more.old_ids], encoder.weights)
    assert np.array_equal(more.encoder.groups[more.old_ids], encoder.groups)
    before, after = encoder.transform(new), more.encoder.transform(new)
    had = before.indices[before.indptr[2] : before.indptr[3]]  # a row of known values
    has = after.indices[after.indptr[2] : after.indptr[3]]
    assert set(more.old_ids[had].tolist()) <= set(has.tolist())


def test_new_values_get_features_of_their_own():
    _, encoder, new = fit()
    more = grow(encoder, new, one_class(np.array([0, 1, 1, 0])), 2, SETTINGS).encoder
    by_kind = {column.name: encoder for column, encoder in more.columns}
    assert by_kind["shop"].values == ("north", "south", "east", "west")  # a small table: all
    assert by_kind["tags"].items[-1] == "d"
    old_text = {c.name: e for c, e in encoder.columns}["text"]
    assert set(old_text.keys) < set(by_kind["text"].keys)


def test_rows_are_as_the_grown_encoder_has_them():
    _, encoder, new = fit()
    more = grow(encoder, new, one_class(np.array([0, 1, 1, 0])), 2, SETTINGS)
    again = more.encoder.transform(new)
    for a, b in zip(more.rows, again, strict=True):
        assert np.array_equal(a, b)


def test_only_what_enough_rows_have_and_there_is_room_for():
    _, encoder, new = fit()
    targets = one_class(np.array([0, 1, 1, 0]))
    n_text = sum(e.n_features for c, e in encoder.columns if c.kind == "text")
    full = FeaturizerSettings(kinds=SETTINGS.kinds, max_features=n_text)
    more = grow(encoder, new, targets, 2, full).encoder
    assert sum(e.n_features for c, e in more.columns if c.kind == "text") == n_text
    seen_once = one_class(np.array([0, -1, -1, -1]))  # rows that do not count
    more = grow(encoder, new, seen_once, 2, SETTINGS).encoder
    assert sum(e.n_features for c, e in more.columns if c.kind == "text") == n_text
