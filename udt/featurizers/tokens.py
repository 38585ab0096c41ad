"""Text to n-gram hashes: UTF-8 bytes straight from Arrow's buffers, no Python string touched.

A token is a run of letters, digits and marks (lower-cased; an apostrophe between two of them
belongs to it), a run of one punctuation mark or symbol, or a single character of a script that is
written without spaces (Han, kana). HTML tags are skipped. Word n-grams run over tokens, with one
token standing for the beginning of the text and one for its end; character n-grams run inside
words padded by one blank on either side (Bojanowski et al., 2017).

An n-gram's key is 64 bits: its hash with the n-gram's kind in the low three bits.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from udt._jit import jit

WORD_1, WORD_2, WORD_3, CHAR_2, CHAR_3, CHAR_4, CHAR_5, CHAR_6 = range(8)
"""Kinds of n-grams, as stored in a key's low three bits."""

KIND_NAMES = ("word 1", "word 2", "word 3", "char 2", "char 3", "char 4", "char 5", "char 6")

KIND_BITS = np.uint64(7)

_N_CODE_POINTS = 0x40000
_SPACE, _WORD, _SYMBOL, _SINGLE, _SKIP = range(5)
_APOSTROPHE = 0x27
_LESS_THAN, _GREATER_THAN, _SLASH = 0x3C, 0x3E, 0x2F
_BLANK = np.uint64(0x20)

_MUL = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
_BEGIN = np.uint64(0x5851F42D4C957F2D)
_END = np.uint64(0x14057B7EF767814F)
_WORD_SEED = np.uint64(0x2545F4914F6CDD1D)
_CHAR_SEED = np.uint64(0x27220A95FE1DBF6B)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_TWO = np.uint64(2)
_KIND_WORD_1, _KIND_WORD_2, _KIND_WORD_3 = np.uint64(0), np.uint64(1), np.uint64(2)
_KIND_CHAR_2 = np.uint64(3)
_MAX_TAG_BYTES = 200
_MAX_RUN = 3
_N_MARKS = 9

NO_SPANS = np.zeros((0, 2), np.int64)
"""Of `hash_rows`: where n-grams lie is not wanted."""


class UnicodeTables(NamedTuple):
    """What the tokenizer knows of every code point below 0x40000.

    Attributes
    ----------
    lower : ndarray of int32, shape (0x40000,)
        Simple lower-casing; full-width forms become ASCII.
    classes : ndarray of uint8, shape (0x40000,)
        Space, word character, symbol, a token of its own, or skipped.
    """

    lower: npt.NDArray[np.int32]
    classes: npt.NDArray[np.uint8]


@functools.cache
def unicode_tables() -> UnicodeTables:
    """Build the tables from `unicodedata`, once per process (some 30 ms)."""
    assigned = 0x20000  # planes 0 and 1; planes 2 and 3 hold Han only
    lower = np.arange(_N_CODE_POINTS, dtype=np.int32)
    for code in range(assigned):
        if 0xD800 <= code < 0xE000:
            continue
        low = chr(code).lower()
        if len(low) == 1:
            lower[code] = ord(low)
    wide = np.arange(0xFF01, 0xFF5F)
    lower[wide] = lower[wide - 0xFEE0]
    for quote in (0x2018, 0x2019, 0x02BC, 0xFF07):
        lower[quote] = _APOSTROPHE

    of_category = {"L": _WORD, "N": _WORD, "M": _WORD, "P": _SYMBOL, "S": _SYMBOL}
    of_category |= {"Z": _SPACE, "C": _SYMBOL}
    classes = np.full(_N_CODE_POINTS, _SYMBOL, np.uint8)
    for code in range(assigned):
        category = unicodedata.category(chr(code))
        classes[code] = _SKIP if category == "Cf" else of_category[category[0]]
    classes[:0x20] = _SPACE
    classes[0x7F:0xA0] = _SPACE
    classes[0xFE00:0xFE10] = _SKIP  # variation selectors
    for first, last in _SINGLE_RANGES:
        block = classes[first : last + 1]
        block[block == _WORD] = _SINGLE
    classes[0x20000:] = _SINGLE
    return UnicodeTables(lower, classes)


_SINGLE_RANGES = (
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
)


@jit()
def _mix(h):
    """Scramble 64 bits so that high and low bits alike depend on all of them."""
    h ^= h >> _SHIFT
    h *= _MIX
    h ^= h >> _SHIFT
    h *= _MIX
    h ^= h >> _SHIFT
    return h


@jit()
def _decode(data, i, end):
    """Return (code point, number of bytes) of the UTF-8 character at ``data[i]``."""
    b = np.int32(data[i])
    if b < 0x80:
        return b, 1
    if b < 0xE0 and i + 1 < end:
        return ((b & 0x1F) << 6) | (np.int32(data[i + 1]) & 0x3F), 2
    if b < 0xF0 and i + 2 < end:
        second = (np.int32(data[i + 1]) & 0x3F) << 6
        return ((b & 0x0F) << 12) | second | (np.int32(data[i + 2]) & 0x3F), 3
    if i + 3 < end:
        second = (np.int32(data[i + 1]) & 0x3F) << 12
        third = (np.int32(data[i + 2]) & 0x3F) << 6
        return ((b & 0x07) << 18) | second | third | (np.int32(data[i + 3]) & 0x3F), 4
    return np.int32(0x20), 1


@jit()
def _tag_bytes(data, i, end):
    """Return the length of the HTML tag that starts at ``data[i] == '<'``, 0 if there is none."""
    j = i + 1
    if j < end and data[j] == _SLASH:
        j += 1
    name = j
    while j < end and (97 <= (data[j] | 32) <= 122 or (j > name and 48 <= data[j] <= 57)):
        j += 1
    if j == name or j >= end or not (data[j] <= 32 or data[j] == _SLASH or data[j] == 62):
        return 0
    last = min(end, i + _MAX_TAG_BYTES)
    while j < last and data[j] != _GREATER_THAN and data[j] != _LESS_THAN:
        j += 1
    return j + 1 - i if j < last and data[j] == _GREATER_THAN else 0


@jit()
def _starts_word(data, i, end, classes):
    """Whether a word character starts at byte i."""
    if i >= end:
        return False
    code, _ = _decode(data, i, end)
    return code < len(classes) and classes[code] == _WORD


@jit()
def _key(h, kind):
    return (_mix(h) & ~KIND_BITS) | kind


@jit()
def _emit_chars(window, length, kinds, salt, out, n):
    """Append the character n-grams that end at the window's newest character.

    window holds six code points, newest first; length says how many are of this word.
    """
    h = salt ^ _CHAR_SEED
    kind = _KIND_CHAR_2
    for i in range(min(length, 6)):
        h = (h ^ window[i]) * _MUL
        h ^= h >> _SHIFT
        if i > 0:
            if (kinds >> kind) & _ONE:
                out[n] = _key(h, kind)
                n += 1
            kind += _ONE
    return n


@jit()
def _emit_words(token, previous, before, kinds, salt, out, n):
    """Append the word n-grams that end with this token."""
    if kinds & _ONE and token != _END:
        out[n] = _key(token ^ salt, _KIND_WORD_1)
        n += 1
    pair = (previous * _MUL) ^ token
    if (kinds >> _KIND_WORD_2) & _ONE:
        out[n] = _key(pair ^ salt, _KIND_WORD_2)
        n += 1
    if before != _ZERO and (kinds >> _KIND_WORD_3) & _ONE:
        triple = (_mix((before * _MUL) ^ previous) * _MUL) ^ token
        out[n] = _key(triple ^ salt, _KIND_WORD_3)
        n += 1
    return n


@jit()
def _symbol_bytes(data, i, end):
    """Return the bytes of the symbol at byte i and its repetitions, and how many they are."""
    code, size = _decode(data, i, end)
    run = 1
    while i + size < end:
        following, n_bytes = _decode(data, i + size, end)
        if following != code:
            break
        size += n_bytes
        run += 1
    return size, run


@jit()
def _mark_char(marks, i, length):
    """Note that a word's newest character starts at byte i. Modified in place: marks.

    ``marks[kind]`` is where an n-gram of the kind that ends now starts; the last entry is where
    its newest character does.
    """
    if length == 2:  # its neighbour is the blank before the word
        marks[WORD_1] = marks[_N_MARKS - 1] = i
    for kind in range(_N_MARKS - 2, CHAR_2, -1):
        marks[kind] = marks[kind - 1]
    marks[CHAR_2] = marks[_N_MARKS - 1]
    marks[_N_MARKS - 1] = i


@jit()
def _locate(out, n, n_before, marks, end, spans):
    """Write where n-grams start that end at byte end. Modified in place: spans."""
    for k in range(n_before, n):
        spans[k, 0] = marks[np.int64(out[k] & KIND_BITS)]
        spans[k, 1] = end


@jit()
def _hash_text(data, i, end, tables, kinds, salt, window, marks, out, spans, n):
    """Append the keys of one text, ``data[i:end]``; return the new length of out."""
    lower, classes = tables.lower, tables.classes
    located = len(spans) > 0
    marks[WORD_2] = i
    any_chars = located or (kinds >> _KIND_CHAR_2) != _ZERO
    previous, before = _BEGIN, _ZERO
    length = np.int64(0)  # characters of the word so far, its leading blank included
    h = _ZERO
    while i < end or length > 0 or previous != _END:
        code, size, kind = np.int32(0x20), np.int64(1), np.int64(_SPACE)
        if i < end:
            code, size = _decode(data, i, end)
            kind = np.int64(classes[code]) if code < len(classes) else np.int64(_SYMBOL)
            code = lower[code] if code < len(lower) else code
            if kind == _SKIP:
                i += size
                continue
            if code == _APOSTROPHE and length > 0 and _starts_word(data, i + size, end, classes):
                kind = np.int64(_WORD)
        token, newest = _ZERO, _ZERO
        if kind == _WORD:
            if length == 0:
                h, length = _WORD_SEED, np.int64(1)
                window[0] = _BLANK
            newest = np.uint64(code)
            h = (h ^ newest) * _MUL
            h ^= h >> _SHIFT
            length += 1
        elif length > 0:  # a word ends here; this character is looked at again
            token, newest, size = _mix(h), _BLANK, np.int64(0)
            length += 1
        elif i >= end:
            if previous == _BEGIN:
                break
            token = _END
        elif kind == _SINGLE:
            token = _mix(_WORD_SEED ^ (np.uint64(code) << _TWO))
        elif kind == _SYMBOL:
            tag = _tag_bytes(data, i, end) if code == _LESS_THAN else np.int64(0)
            if tag > 0:
                size = tag
            else:
                size, run = _symbol_bytes(data, i, end)
                run = np.uint64(min(run, _MAX_RUN))
                token = _mix(_WORD_SEED ^ (np.uint64(code) << _TWO) ^ run)
        if newest != _ZERO and any_chars:
            for k in range(5, 0, -1):
                window[k] = window[k - 1]
            window[0] = newest
            n_before, n = n, _emit_chars(window, length, kinds, salt, out, n)
            if located:
                _mark_char(marks, i, length)
                _locate(out, n, n_before, marks, i + size, spans)
        if token != _ZERO:
            n_before, n = n, _emit_words(token, previous, before, kinds, salt, out, n)
            if located:
                if newest == _ZERO:
                    marks[WORD_1] = i
                _locate(out, n, n_before, marks, min(i + size, end), spans)
                marks[WORD_3], marks[WORD_2] = marks[WORD_2], marks[WORD_1]
            before, previous, length = previous, token, np.int64(0)
        i += size
    return n


@jit()
def hash_rows(data, offsets, start, stop, tables, kinds, salt, out, out_indptr, spans):
    """Write the keys of rows start … stop − 1 to out. Modified in place: out, out_indptr, spans.

    Parameters
    ----------
    data : ndarray of uint8
        UTF-8 bytes of the whole column.
    offsets : ndarray of int64, shape (n_rows + 1,)
        Row r's text is ``data[offsets[r]:offsets[r + 1]]``.
    start, stop : int
        Rows to hash.
    tables : UnicodeTables
        `unicode_tables`'.
    kinds : uint64
        Bit k set = n-grams of kind k are wanted.
    salt : uint64
        Mixed into each key, so that columns have features of their own.
    out : ndarray of uint64
        At least `keys_bound` long.
    out_indptr : ndarray of int64, shape (stop − start + 1,)
        Where each row's keys start in out.
    spans : ndarray of int64, shape (len(out), 2) or (0, 2)
        Where in data each n-gram starts and ends; of neighbours some are blank. Empty = not wanted.

    Returns
    -------
    int
        Number of keys written.
    """
    window = np.zeros(6, np.uint64)
    marks = np.zeros(_N_MARKS, np.int64)
    n = np.int64(0)
    out_indptr[0] = 0
    for row in range(start, stop):
        n = _hash_text(
            data, offsets[row], offsets[row + 1], tables, kinds, salt, window, marks, out, spans, n
        )
        out_indptr[row - start + 1] = n
    return n


def keys_bound(n_bytes: int, n_rows: int) -> int:
    """Return how many keys n_bytes of text in n_rows rows can yield at most.

    A byte starts at most one n-gram of each of the 8 kinds; a row's begin and end add a few.
    """
    return 8 * n_bytes + 16 * n_rows
