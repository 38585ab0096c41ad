"""Where a text's n-grams lie: features back to the characters that they come from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.featurizers.text import TextEncoder, as_texts
from udt.featurizers.tokens import KIND_BITS, WORD_1, WORD_3, hash_rows, keys_bound, unicode_tables

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_CONTINUES, _TOP_BITS = np.uint8(0x80), np.uint8(0xC0)  # of a UTF-8 character's bytes but the first


class Spans(NamedTuple):
    """The known n-grams of a text, one entry per occurrence; offsets count code points.

    Attributes
    ----------
    features : ndarray of int32, shape (n,)
        Which n-gram, an id of the encoder.
    kinds : ndarray of uint8, shape (n,)
        Its kind, an index into `KIND_NAMES`.
    starts, ends : ndarray of int64, shape (n,)
        Of its characters.
    first, last : ndarray of int64, shape (n,)
        The words that it covers or is a part of: ``first … last − 1``.
    words : ndarray of int64, shape (n_words, 2)
        Where each word (or run of a symbol) of the text starts and ends.
    """

    features: I32
    kinds: npt.NDArray[np.uint8]
    starts: I64
    ends: I64
    first: I64
    last: I64
    words: I64


def locate(encoder: TextEncoder, column: pa.Array) -> Spans:
    """Return where the n-grams of one text lie.

    Parameters
    ----------
    encoder : TextEncoder
        Which n-grams are known.
    column : pyarrow.Array, shape (1,)
        The text.
    """
    texts = as_texts(column)
    begin, end = texts.offsets.tolist()
    keys = np.empty(keys_bound(end - begin, 1), np.uint64)
    spans = np.empty((len(keys), 2), np.int64)
    kinds = np.uint64(encoder.kinds | 1 << WORD_1)  # words are wanted in any case
    n = hash_rows(
        texts.data, texts.offsets, 0, 1, unicode_tables(), kinds, np.uint64(encoder.salt),
        keys, np.empty(2, np.int64), spans,
    )  # fmt: skip
    keys, spans = keys[:n], spans[:n] - begin
    is_first = (texts.data[begin:end] & _TOP_BITS) != _CONTINUES
    spans = np.append(0, np.cumsum(is_first))[spans]
    words = spans[(keys & KIND_BITS) == WORD_1]
    features, known = _known(encoder, column, keys)
    kept, of_kind = spans[known], (keys[known] & KIND_BITS).astype(np.uint8)
    is_word = of_kind <= WORD_3
    first = np.searchsorted(words[:, 1], kept[:, 0], side="right")
    last = np.searchsorted(words[:, 0], kept[:, 1], side="left")
    starts = np.where(is_word, words[:, 0][first], kept[:, 0])  # not the blanks around words
    ends = np.where(is_word, words[:, 1][last - 1], kept[:, 1])
    return Spans(features, of_kind, starts, ends, first, last, words)


def _known(
    encoder: TextEncoder, column: pa.Array, keys: npt.NDArray[np.uint64]
) -> tuple[I32, npt.NDArray[np.bool_]]:
    """Return the features that the known ones of some keys stand for, and which those are."""
    features = encoder.transform(column).indices
    features = features[np.argsort(encoder.keys[features])]
    if not len(features):
        return features, np.zeros(len(keys), bool)
    there = encoder.keys[features]
    at = np.searchsorted(there, keys).clip(max=len(there) - 1)
    known = there[at] == keys
    return features[at[known]], known
