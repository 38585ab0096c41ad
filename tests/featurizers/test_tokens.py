"""The tokenizer against its oracle; keys stand for n-grams, one for one."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Hashable, Sequence
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import reference
from tests.conftest import WITHOUT_JIT
from tests.strategies import PIECES, texts
from udt.featurizers import tokens
from udt.featurizers.tokens import KIND_NAMES, keys_bound, unicode_tables

ALL_KINDS = (1 << len(KIND_NAMES)) - 1
GUARD = np.uint64(0xDEAD)


def hash_texts(
    rows: Sequence[str | bytes],
    kinds: int = ALL_KINDS,
    salt: int = 0,
    *,
    around: bytes = b"",
    module: ModuleType = tokens,
) -> list[np.ndarray]:
    """Return each row's keys; around is what lies before and behind the rows in memory."""
    data = [r.encode() if isinstance(r, str) else r for r in rows]
    offsets = np.cumsum([len(around), *map(len, data)]).astype(np.int64)
    buffer = np.frombuffer(around + b"".join(data) + around, np.uint8)
    bound = keys_bound(int(offsets[-1] - offsets[0]), len(rows))
    out = np.full(bound + 1, GUARD)
    indptr = np.empty(len(rows) + 1, np.int64)
    n = module.hash_rows(
        buffer, offsets, 0, len(rows), unicode_tables(), np.uint64(kinds), np.uint64(salt),
        out, indptr, tokens.NO_SPANS,
    )  # fmt: skip
    assert out[bound] == GUARD
    assert (out[n:] == GUARD).all()
    assert (indptr[0], indptr[-1]) == (0, n)
    return [out[a:b].copy() for a, b in itertools.pairwise(indptr)]


def of_kind(keys: np.ndarray, kind: int) -> list[int]:
    return keys[keys & np.uint64(7) == kind].tolist()


def check_against_oracle(rows: Sequence[str]) -> None:
    """Same n-gram, same key; other n-gram, other key; and all of them in order."""
    ngram_of: dict[int, Hashable] = {}
    key_of: dict[Hashable, int] = {}
    for text, keys in zip(rows, hash_texts(rows), strict=True):
        for kind, expected in enumerate(reference.ngrams(text)):
            found = of_kind(keys, kind)
            assert len(found) == len(expected), (KIND_NAMES[kind], text, expected)
            for key, ngram in zip(found, expected, strict=True):
                named = (kind, ngram)
                assert ngram_of.setdefault(key, named) == named, text
                assert key_of.setdefault(named, key) == key, text


@given(st.lists(texts, min_size=1, max_size=4))
def test_keys_stand_for_the_ngrams_of_the_oracle(rows):
    check_against_oracle(rows)


def test_every_pair_of_hard_pieces():
    check_against_oracle([a + b for a in PIECES for b in PIECES[:: 9 if WITHOUT_JIT else 1]])


def test_every_character_alone():
    """Classes and lower case of all of planes 0 and 1, and of some code points beyond."""
    planes = [range(0x20000), range(0x20000, 0x40100, 61), range(0x50000, 0x110000, 9_973)]
    codes = [*itertools.chain(*planes)][:: 97 if WITHOUT_JIT else 1]
    chars = [chr(c) for c in codes if not 0xD800 <= c < 0xE000]
    check_against_oracle([" ".join(chars[i : i + 64]) for i in range(0, len(chars), 64)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP", ["don't", "stop"]),
        ("dogs' O’Neill 'tis", ["dogs", "'", "o'neill", "'", "tis"]),
        ("wait... what?!", ["wait", "...", "what", "?", "!"]),
        ("!!!!!!! !!! !!", ["!!!", "!!!", "!!"]),
        ("太棒了！！！，好", ["太", "棒", "了", "!!!", ",", "好"]),
        ("ＡＢＣ１", ["abc1"]),
        ("a<br/>b<br />c</p>", ["a", "b", "c"]),
        ("<3 a<b a < b", ["<", "3", "a", "<", "b", "a", "<", "b"]),
        ("so\u00adft zero\u200bwidth", ["soft", "zerowidth"]),
        ("nul\x00here", ["nul", "here"]),
        ("𝐁old 😂😂", ["𝐁old", "😂😂"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("", []),
        (" \t\n", []),
    ],
)
def test_tokens_of_the_oracle_and_of_the_kernel(text, expected):
    """The oracle itself, by hand; the kernel must agree with it."""
    assert [token for _, token in reference.tokens(text)] == expected
    check_against_oracle([text])


def test_a_long_tag_is_text():
    tag = "<a " + "x" * 196 + ">"
    assert len(hash_texts([tag])[0]) == 0
    assert len(hash_texts([tag[:5] + "x" + tag[5:]])[0]) > 0
    check_against_oracle([tag, tag[:5] + "x" + tag[5:], "é" * 150 + tag, "<a " + "é" * 98 + "x>"])


def test_begin_and_end_are_tokens_of_their_own():
    first, last = (set(of_kind(k, 1)) for k in hash_texts(["good day", "day good"]))
    assert len(first) == len(last) == 3
    assert not first & last


@given(st.binary(max_size=40), st.sampled_from([b"", b"\xbf" * 8, b"abc'>", b"\xff"]))
@example(b"\xe4\xbd", b"\xa0")
@example(b"<", b"a>a>a>a>")
@example(b"a'", b"bbbb")
@example(b"\xef\xbc\x81", b"\xef\xbc\x81")
def test_bytes_of_any_kind_stay_within_their_row(data, around):
    """What lies before and behind a row does not matter, even where it is cut within a letter."""
    alone, framed = hash_texts([data]), hash_texts([data], around=around)
    np.testing.assert_array_equal(alone[0], framed[0])
    doubled = hash_texts([data, data])
    np.testing.assert_array_equal(doubled[1], alone[0])


@pytest.mark.parametrize(
    "cell", ["a b c ", "a!", "!a", "中", "中a", "ab", "é", "\x00", "a'", "<a>"]
)
@pytest.mark.parametrize("repeats", [0, 1, 2, 3, 50])
def test_keys_bound_holds(cell, repeats):
    """`hash_texts` looks behind the bound; rows of nothing count as well."""
    hash_texts([cell * repeats] * 3)


@given(st.lists(st.text("a !中'", max_size=8), max_size=8))
def test_keys_bound_holds_for_any_mixture(rows):
    hash_texts(rows)


@given(st.lists(texts, max_size=4), st.integers(0, ALL_KINDS), st.integers(0, 2**64 - 1))
@settings(max_examples=30)
def test_compiled_and_python_agree(uncompiled_tokens, rows, kinds, salt):
    with np.errstate(over="ignore"):
        expected = hash_texts(rows, kinds, salt, module=uncompiled_tokens)
    for a, b in zip(expected, hash_texts(rows, kinds, salt), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def uncompiled_tokens() -> ModuleType:
    return reference.uncompiled("udt.featurizers.tokens")


@given(texts, st.integers(0, ALL_KINDS))
def test_only_the_wanted_kinds_are_made(text, kinds):
    (everything,), (wanted,) = hash_texts([text]), hash_texts([text], kinds)
    kept = (kinds >> (everything & np.uint64(7)).astype(np.int64)) & 1 == 1
    np.testing.assert_array_equal(wanted, everything[kept])


def test_a_salt_gives_other_keys_of_the_same_kinds():
    text = " ".join(PIECES)
    (one,), (two,) = hash_texts([text], salt=1 << 40), hash_texts([text], salt=1 << 63)
    np.testing.assert_array_equal(one & np.uint64(7), two & np.uint64(7))
    assert not set(one.tolist()) & set(two.tolist())
    assert len(set(one.tolist())) == len(set(two.tolist()))


def test_no_two_of_many_ngrams_share_a_key():
    """All one- and two-letter words in pairs: neighbours that a weak hash would confuse."""
    words = [a + b for a in "abcdefghijklmnopqrstuvwxyz" for b in ["", *"abcdefghij"]]
    rows = [f"{a} {b}" for a in words[::3] for b in words[::5]]
    if WITHOUT_JIT:
        rows = rows[:100]
    pairs = {key for keys in hash_texts(rows, kinds=0b100) for key in of_kind(keys, 2)}
    expected = {ngram for row in rows for ngram in reference.ngrams(row)[2]}
    assert len(pairs) == len(expected)


def test_low_and_high_bits_of_keys_are_spread():
    """Tables and parts take bits from all over the key."""
    keys = np.unique(np.concatenate(hash_texts([f"w{i} x" for i in range(2_000)], kinds=0b11)))
    for shift in range(3, 64):
        share = (keys >> np.uint64(shift) & np.uint64(1)).mean()
        assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(len(keys)), shift


def test_tables_agree_with_unicodedata():
    lower, classes = unicode_tables()
    assert (lower.dtype, classes.dtype) == (np.int32, np.uint8)
    assert len(lower) == len(classes) == 0x40000
    upper = [c for c in map(chr, range(0x250)) if unicodedata.category(c) == "Lu" and c != "İ"]
    assert [chr(lower[ord(c)]) for c in upper] == [c.lower() for c in upper]
