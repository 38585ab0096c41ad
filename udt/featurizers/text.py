"""Text columns: n-grams of words and characters as sparse features."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.csr import CSR
from udt.featurizers.tokens import NO_SPANS, hash_rows, keys_bound, unicode_tables
from udt.featurizers.vocabulary import RepeatedKeys, Slots, find_rows, make_lookup

_BLOCK_BYTES = 1 << 18
_BYTES_PER_KEY = 4
MAX_CELL_BYTES = 1 << 20
"""Text beyond this many bytes of one cell is not read."""


class Texts(NamedTuple):
    """A column's UTF-8 bytes as they lie in Arrow's buffers.

    Attributes
    ----------
    data : ndarray of uint8
        Bytes of all rows.
    offsets : ndarray of int64, shape (n_rows + 1,)
        Row r is ``data[offsets[r]:offsets[r + 1]]``; null is empty.
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.offsets) - 1


def as_texts(column: pa.Array) -> Texts:
    """View a column as UTF-8 bytes; whatever is not a string is written as one first.

    Raises
    ------
    pyarrow.ArrowInvalid
        If the column's type has no textual form.
    """
    if not pa.types.is_large_string(column.type):
        column = column.cast(pa.large_string())
    if column.null_count:
        column = column.fill_null("")
    _, offsets, data = column.buffers()
    shape = slice(column.offset, column.offset + len(column) + 1)
    texts = Texts(np.zeros(0, np.uint8), np.zeros(len(column) + 1, np.int64))
    if offsets is not None and len(column) > 0:
        data_array = texts.data if data is None else np.frombuffer(data, np.uint8)
        texts = _shorten(Texts(data_array, np.frombuffer(offsets, np.int64)[shape]))
    for array in texts:  # some of Arrow's buffers are; a kernel compiles again for the others
        array.flags.writeable = False
    return texts


def _shorten(texts: Texts) -> Texts:
    """Cut cells longer than `MAX_CELL_BYTES`."""
    lengths = np.diff(texts.offsets)
    if lengths.size == 0 or lengths.max() <= MAX_CELL_BYTES:
        return texts
    pieces = [
        texts.data[start : start + min(n, MAX_CELL_BYTES)]
        for start, n in zip(texts.offsets[:-1], lengths, strict=True)
    ]
    offsets = np.concatenate([[0], np.cumsum(np.minimum(lengths, MAX_CELL_BYTES))])
    return Texts(np.concatenate(pieces), offsets.astype(np.int64))


def _blocks(texts: Texts, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of runs of rows with about `_BLOCK_BYTES` each."""
    start = first
    while start < last:
        limit = texts.offsets[start] + _BLOCK_BYTES
        stop = int(np.searchsorted(texts.offsets, limit, side="right")) - 1
        stop = min(max(stop, start + 1), last, start + _BLOCK_BYTES // 16)
        yield start, stop
        start = stop


class _Hasher:
    """One thread's scratch for the keys of a block of rows."""

    def __init__(self, texts: Texts, kinds: int, salt: int) -> None:
        self.texts, self.kinds, self.salt = texts, np.uint64(kinds), np.uint64(salt)
        self.tables = unicode_tables()
        self.keys = np.empty(0, np.uint64)

    def keys_of(
        self, start: int, stop: int
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Return (keys, indptr) of rows start … stop − 1; valid until the next call."""
        offsets = self.texts.offsets
        bound = keys_bound(int(offsets[stop] - offsets[start]), stop - start)
        if bound > len(self.keys):
            self.keys = np.empty(bound, np.uint64)
        indptr = np.empty(stop - start + 1, np.int64)
        n = hash_rows(
            self.texts.data, offsets, start, stop, self.tables,
            self.kinds, self.salt, self.keys, indptr, NO_SPANS,
        )  # fmt: skip
        return self.keys[:n], indptr


def repeated_keys(
    texts: Texts, kinds: int, salt: int, n_threads: int, *, once: bool = False
) -> npt.NDArray[np.uint64]:
    """Return the sorted keys of the n-grams that occur at least twice, and of a few more.

    With ``once``, those of all n-grams.
    """
    n_parts = 2 if n_threads > 1 else 1
    n_bytes = int(texts.offsets[-1] - texts.offsets[0])
    n_expected = n_bytes // _BYTES_PER_KEY
    collectors = [RepeatedKeys(n_expected, part, n_parts, once=once) for part in range(n_parts)]
    hashers = [_Hasher(texts, kinds, salt) for _ in range(n_parts)]
    blocks = list(_blocks(texts, 0, texts.n_rows))

    def add_all(collector: RepeatedKeys, hashed: Sequence[npt.NDArray[np.uint64]]) -> None:
        for keys in hashed:
            collector.add(keys)

    with ThreadPoolExecutor(n_parts) as pool:
        for i in range(0, len(blocks), n_parts):
            group = blocks[i : i + n_parts]
            hashed = [keys for keys, _ in pool.map(lambda h, b: h.keys_of(*b), hashers, group)]
            list(pool.map(add_all, collectors, [hashed] * n_parts))
    return np.sort(np.concatenate([c.keys() for c in collectors]))


def salt_of(name: str) -> int:
    """Return 64 bits that stand for a column's name.

    Examples
    --------
    >>> salt_of("title") == salt_of("title") != salt_of("body")
    True
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """Turns a text column into sets of known n-grams.

    Attributes
    ----------
    keys : ndarray of uint64, shape (n_features,)
        The n-grams' keys; feature i is key i.
    kinds : int
        Bit k set = n-grams of kind k are made.
    salt : int
        The column's own, 64 bits.
    """

    keys: npt.NDArray[np.uint64]
    kinds: int
    salt: int
    _lookup: list[Slots] = field(default_factory=list, repr=False, compare=False)

    @property
    def n_features(self) -> int:
        """Number of known n-grams."""
        return len(self.keys)

    @classmethod
    def fit(
        cls, column: pa.Array, *, name: str, kinds: int, n_threads: int = 1, min_df: int = 2
    ) -> TextEncoder:
        """Learn the n-grams that may be in min_df rows; selection drops those that are not."""
        salt, texts = salt_of(name), as_texts(column)
        return cls(repeated_keys(texts, kinds, salt, n_threads, once=min_df < 2), kinds, salt)

    def keep(self, features: npt.NDArray[np.int64]) -> TextEncoder:
        """Return an encoder that knows only these features, in this order."""
        keys = self.keys[features]
        bits = np.bitwise_or.reduce(np.uint64(1) << (keys & np.uint64(7))) if len(keys) else 0
        return TextEncoder(keys, int(bits), self.salt)

    def transform(self, column: pa.Array, n_threads: int = 1) -> CSR:
        """Return the rows' known n-grams, each once, with value 1."""
        texts = as_texts(column)
        if not self._lookup:
            self._lookup.append(make_lookup(self.keys))
        n = texts.n_rows
        if n_threads < 2 or n < 256:
            parts = [self._transform_rows(texts, 0, n)]
        else:
            middle = int(
                np.searchsorted(texts.offsets, (texts.offsets[0] + texts.offsets[-1]) // 2)
            )
            middle = min(max(middle, 1), n - 1)
            with ThreadPoolExecutor(2) as pool:
                ranges = ((0, middle), (middle, n))
                parts = list(pool.map(lambda r: self._transform_rows(texts, *r), ranges))
        lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(p) for p, _ in parts)])
        indices = parts[0][1] if len(parts) == 1 else np.concatenate([i for _, i in parts])
        return CSR(np.cumsum(lengths), indices, np.ones(len(indices), np.float32), self.n_features)

    def _transform_rows(
        self, texts: Texts, first: int, last: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return (indptr, indices) of rows first … last − 1."""
        hasher = _Hasher(texts, self.kinds, self.salt)
        indptr = np.zeros(last - first + 1, np.int64)
        pieces, n = [np.zeros(0, np.int32)], 0
        for start, stop in _blocks(texts, first, last):
            keys, key_indptr = hasher.keys_of(start, stop)
            out = np.empty(len(keys), np.int32)
            ends = np.empty(stop - start + 1, np.int64)
            n_found = find_rows(keys, key_indptr, self._lookup[0], out, ends)
            pieces.append(out[:n_found].copy())
            indptr[start - first + 1 : stop - first + 1] = ends[1:] + n
            n += n_found
        return indptr, np.concatenate(pieces)

    def feature_kinds(self) -> npt.NDArray[np.uint8]:
        """Return each feature's kind of n-gram, an index into `KIND_NAMES`."""
        return (self.keys & np.uint64(7)).astype(np.uint8)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a model file keeps: JSON-able facts and arrays."""
        return {"kinds": self.kinds, "salt": str(self.salt)}, {"keys": self.keys}

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> TextEncoder:
        """Rebuild from `state`'s result."""
        return cls(arrays["keys"], int(meta["kinds"]), int(meta["salt"]))
