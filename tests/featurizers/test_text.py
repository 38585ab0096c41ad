"""Text columns: from Arrow's buffers to known n-grams."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference
from tests.strategies import texts
from udt.csr import CSR
from udt.featurizers import text
from udt.featurizers.text import TextEncoder, as_texts

WORDS = 0b111
ALL = 0b11111111
cells = st.lists(texts | st.none(), max_size=12)


def column(rows: Sequence[str | None]) -> pa.Array:
    return pa.array(rows, pa.large_string())


def fit(rows: pa.Array | Sequence[str | None], kinds: int = ALL, n_threads: int = 1) -> TextEncoder:
    array = rows if isinstance(rows, pa.Array) else column(rows)
    return TextEncoder.fit(array, name="text", kinds=kinds, n_threads=n_threads)


def row_sets(csr: CSR) -> list[set[int]]:
    return [set(csr.indices[a:b].tolist()) for a, b in itertools.pairwise(csr.indptr)]


def assert_same(a: CSR, b: CSR) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def shared(rows: Sequence[set[Hashable]]) -> list[set[Hashable]]:
    """Return each row's features that other rows have as well."""
    df = Counter(itertools.chain(*rows))
    return [{f for f in row if df[f] > 1} for row in rows]


def shared_keys(rows: Sequence[str | None], n_threads: int = 1) -> list[int]:
    """Return the sorted keys of several rows; of those of one row a few may be known by chance."""
    encoder = fit(rows, n_threads=n_threads)
    csr = encoder.transform(column(rows))
    return encoder.keys[np.bincount(csr.indices, minlength=csr.n_features) > 1].tolist()


def make_rows(rng: np.random.Generator, n: int, words: int = 300) -> list[str]:
    return [
        " ".join(f"w{w}" for w in rng.integers(0, words, rng.integers(0, 30))) for _ in range(n)
    ]


@given(cells)
@settings(max_examples=50)
def test_rows_are_the_sets_of_their_ngrams(rows):
    encoder = fit(rows)
    csr = encoder.transform(column(rows))
    assert (csr.indptr.dtype, csr.indices.dtype, csr.values.dtype) == ("i8", "i4", "f4")
    assert (csr.n_rows, csr.n_features) == (len(rows), len(encoder.keys))
    assert (csr.values == 1).all()
    found = row_sets(csr)
    assert len(csr.indices) == sum(map(len, found))
    ngrams = [
        {(kind, n) for kind, ns in enumerate(reference.ngrams(row or "")) for n in ns}
        for row in rows
    ]
    kinds = encoder.feature_kinds()
    for some, expected in zip(shared(found), shared(ngrams), strict=True):
        assert Counter(kinds[list(some)].tolist()) == Counter(kind for kind, _ in expected)


def test_what_repeats_within_one_row_is_known():
    encoder = fit(["a b a", "c"], 0b1)
    assert encoder.n_features == 1
    assert np.diff(encoder.transform(column(["a a", "b", "c"])).indptr).tolist() == [1, 0, 0]


@given(cells, st.randoms())
@settings(max_examples=50)
def test_features_do_not_depend_on_the_order_of_rows(rows, random):
    shuffled = [*rows]
    random.shuffle(shuffled)
    assert shared_keys(rows) == shared_keys(shuffled)


def test_features_do_not_depend_on_blocks_or_threads(rng, monkeypatch):
    rows = make_rows(rng, 600)
    whole = shared_keys(rows)
    assert shared_keys(rows, n_threads=2) == whole
    monkeypatch.setattr(text, "_BLOCK_BYTES", 512)
    assert shared_keys(rows) == shared_keys(rows, n_threads=2) == whole


def test_two_threads_give_what_one_gives(rng, monkeypatch):
    rows = column(make_rows(rng, 700))
    encoder = fit(rows, WORDS)
    one = encoder.transform(rows)
    assert_same(encoder.transform(rows, n_threads=2), one)
    monkeypatch.setattr(text, "_BLOCK_BYTES", 300)
    assert_same(encoder.transform(rows, n_threads=2), one)
    assert_same(encoder.transform(rows), one)


@pytest.mark.parametrize("rows", [["x y"] * 999 + ["x y" * 9_999], ["x"] + [""] * 600, [""] * 600])
def test_two_threads_and_rows_of_very_unequal_length(rows):
    encoder = fit(["x y", "x y"], WORDS)
    assert_same(encoder.transform(column(rows), n_threads=2), encoder.transform(column(rows)))


@given(cells, st.integers(0, 12), st.integers(0, 12))
def test_a_slice_of_a_column_is_read_where_it_lies(rows, start, n):
    part = column(rows).slice(min(start, len(rows)), n)
    copied = column(part.to_pylist())
    np.testing.assert_array_equal(fit(part).keys, fit(copied).keys)
    encoder = fit(rows)
    assert_same(encoder.transform(part), encoder.transform(copied))


@pytest.mark.parametrize(
    "same",
    [
        pa.array(["a b", None, "", "a b"]),
        pa.array(["a b", None, "", "a b"], pa.string_view()),
        pa.array(["a b", None, "", "a b"]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_every_type_of_text_is_read_alike(same):
    rows = column(["a b", None, "", "a b"])
    np.testing.assert_array_equal(fit(same).keys, fit(rows).keys)
    assert_same(fit(rows).transform(same), fit(rows).transform(rows))


def test_numbers_are_read_as_they_are_written():
    encoder = fit(["12", "12"])
    assert len(encoder.transform(pa.array([12, None])).indices) == encoder.n_features


@pytest.mark.parametrize(
    "rows",
    [[], [None], [None, None], ["", ""], [" ", "\n"], pa.nulls(3), pa.nulls(2, pa.large_string())],
    ids=repr,
)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_column_of_nothing_has_no_features(rows, n_threads):
    encoder = fit(rows, n_threads=n_threads)
    assert encoder.n_features == 0
    csr = encoder.transform(rows if isinstance(rows, pa.Array) else column(rows), n_threads)
    assert csr.indptr.tolist() == [0] * (len(rows) + 1)
    assert csr.n_features == 0
    assert len(fit(["a", "a"]).transform(column([]), n_threads).indptr) == 1


def test_unknown_text_has_no_features():
    csr = fit(["known", "known"], WORDS).transform(column(["other", None, "known"]))
    assert csr.indptr.tolist() == [0, 0, 0, 4]


def test_a_cell_is_read_up_to_its_limit(monkeypatch):
    """Also where the limit cuts a character in two."""
    monkeypatch.setattr(text, "MAX_CELL_BYTES", 8)
    encoder = fit(["one two three", "one two four", "é", "é", "one t"], 0b1)
    texts = as_texts(column(["one twoo", "one two three", None, "ééééé"]))
    assert np.diff(texts.offsets).tolist() == [8, 8, 0, 8]
    lengths = np.diff(encoder.transform(column(["one two three", "three", "ééééé"])).indptr)
    assert lengths.tolist() == [2, 0, 0]
    cut = encoder.transform(column(["aaaaaaaéé", "é"]))
    assert np.diff(cut.indptr).tolist() == [0, 1]


def test_the_name_of_the_column_is_in_its_features():
    rows = column(["same words", "same words"])
    one, two = (TextEncoder.fit(rows, name=n, kinds=WORDS).keys for n in ("title", "body"))
    assert len(one) == len(two) > 0
    assert not set(one.tolist()) & set(two.tolist())


def test_keep_gives_these_features_in_this_order(rng):
    rows = column(make_rows(rng, 50))
    encoder = fit(rows)
    chosen = rng.permutation(encoder.n_features)[:40]
    kept = encoder.keep(chosen)
    np.testing.assert_array_equal(kept.keys, encoder.keys[chosen])
    new_id = {old: new for new, old in enumerate(chosen.tolist())}
    expected = [
        {new_id[f] for f in row & new_id.keys()} for row in row_sets(encoder.transform(rows))
    ]
    assert row_sets(kept.transform(rows)) == expected


def test_keep_makes_only_the_kinds_that_are_left():
    encoder = fit(["some words here", "some words here"])
    words = encoder.keep(np.flatnonzero(encoder.feature_kinds() == 0))
    assert words.kinds == 0b1
    nothing = encoder.keep(np.zeros(0, np.int64))
    assert (nothing.kinds, nothing.n_features) == (0, 0)
    assert nothing.transform(column(["some words"])).indptr.tolist() == [0, 0]


@given(cells)
@settings(max_examples=30)
def test_state_round_trip(rows):
    encoder = fit(rows)
    meta, arrays = encoder.state()
    again = TextEncoder.from_state(json.loads(json.dumps(meta)), arrays)
    assert (again.kinds, again.salt) == (encoder.kinds, encoder.salt)
    assert_same(again.transform(column(rows)), encoder.transform(column(rows)))
