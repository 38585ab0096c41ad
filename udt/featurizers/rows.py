"""Tables to rows of sparse features: every used column's encoder, selection and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt.csr import CSR, Targets
from udt.featurizers.categorical import CategoricalEncoder
from udt.featurizers.dates import DateEncoder
from udt.featurizers.multivalue import MultiValueEncoder
from udt.featurizers.numeric import NumericEncoder
from udt.featurizers.schema import ColumnSchema, Schema
from udt.featurizers.text import TextEncoder
from udt.featurizers.tokens import KIND_NAMES
from udt.featurizers.weighting import class_information, place_block, weigh_rows
from udt.settings import FeaturizerSettings
from udt.table import Table

Arrays = dict[str, npt.NDArray[Any]]

_ROWS_PER_THREAD = 1_000
_TINY = 1e-12
MIN_WEIGHT = 1e-6  # a feature that says nothing still marks its group as present
SUPERVISED_KINDS = ("text", "multi")
GROUP_OF_KIND = np.array([0, 1, 1, 2, 2, 2, 2, 2], np.int32)  # words, phrases, characters


class Encoder(Protocol):
    """One column's cells to features with ids of their own."""

    @property
    def n_features(self) -> int:
        """Number of features."""

    def transform(self, column: pa.Array) -> CSR:
        """Return one row of features per cell."""

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON-able facts and arrays."""

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`'s result."""


_ENCODERS: dict[str, Any] = {
    "text": TextEncoder,
    "categorical": CategoricalEncoder,
    "boolean": CategoricalEncoder,
    "numeric": NumericEncoder,
    "date": DateEncoder,
    "multi": MultiValueEncoder,
}


def kind_bits(names: Sequence[str]) -> int:
    """Return the bit set of kinds of n-grams.

    Examples
    --------
    >>> kind_bits(("word 1", "char 3"))
    17
    """
    return sum(1 << KIND_NAMES.index(name) for name in names)


def cells_of(table: Table, name: str) -> pa.Array:
    """Return the column, or as many nulls where the table has none of that name."""
    return table.column(name) if name in table else pa.nulls(table.n_rows, pa.large_string())


def _stack(blocks: Sequence[CSR], n_rows: int) -> CSR:
    """Put blocks side by side."""
    if len(blocks) == 1:
        return blocks[0]
    lengths = sum((np.diff(b.indptr) for b in blocks), np.zeros(n_rows, np.int64))
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    indices = np.empty(indptr[-1], np.int32)
    values = np.empty(indptr[-1], np.float32)
    at, first = indptr[:-1].copy(), 0
    for block in blocks:
        place_block(block, first, at, indices, values)
        first += block.n_features
    return CSR(indptr, indices, values, first)


def encode_columns(
    table: Table, columns: Sequence[tuple[ColumnSchema, Any]], n_threads: int
) -> CSR:
    """Return all columns' features side by side."""
    blocks = [
        encoder.transform(cells_of(table, column.name), n_threads)
        if isinstance(encoder, TextEncoder)
        else encoder.transform(cells_of(table, column.name))
        for column, encoder in columns
    ]
    return _stack(blocks, table.n_rows)


@dataclass(frozen=True)
class RowEncoder:
    """Turns a table's rows into weighted features; what a model keeps of its featurizing.

    Attributes
    ----------
    columns : tuple of (ColumnSchema, encoder)
        The used columns in order; feature ids run through them.
    weights : ndarray of float32, shape (n_features,)
        Weight of each feature.
    groups : ndarray of int32, shape (n_features,)
        Group of each feature.
    shares : ndarray of float32, shape (n_groups,)
        Share of each group in a row's squared norm.
    """

    columns: tuple[tuple[ColumnSchema, Any], ...]
    weights: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int32]
    shares: npt.NDArray[np.float32]

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.weights)

    def transform(self, table: Table, n_threads: int = 1) -> CSR:
        """Return the rows' weighted features; columns that the table lacks count as missing."""
        raw = encode_columns(table, self.columns, n_threads)
        everything = np.arange(self.n_features, dtype=np.int32)
        return self.weigh(raw, everything, n_threads)

    def weigh(self, raw: CSR, new_ids: npt.NDArray[np.int32], n_threads: int) -> CSR:
        """Return raw rows with the selected features renumbered, weighed and scaled.

        Parameters
        ----------
        raw : CSR
            Features as encoders give them, not necessarily only those of this one.
        new_ids : ndarray of int32, shape (raw.n_features,)
            This encoder's ids of raw features, −1 = left out.
        n_threads : int
            Threads.
        """
        n_threads = max(1, min(n_threads, raw.n_rows // _ROWS_PER_THREAD))
        if n_threads == 1:
            indptr, indices, values = weigh_rows(
                raw, new_ids, self.weights, self.groups, self.shares
            )
            return CSR(indptr, indices, values, self.n_features)
        cuts = np.linspace(0, raw.n_rows, n_threads + 1).astype(int)

        def part(i: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
            rows = raw._replace(indptr=raw.indptr[cuts[i] : cuts[i + 1] + 1])
            parts: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]] = weigh_rows(
                rows, new_ids, self.weights, self.groups, self.shares
            )
            return parts

        with ThreadPoolExecutor(n_threads) as pool:
            parts = list(pool.map(part, range(n_threads)))
        ends = np.cumsum([0, *(p[0][-1] for p in parts)])
        starts = [p[0][1:] + end for p, end in zip(parts, ends[:-1], strict=True)]
        return CSR(
            np.concatenate([np.zeros(1, np.int64), *starts]),
            np.concatenate([p[1] for p in parts]),
            np.concatenate([p[2] for p in parts]),
            self.n_features,
        )

    def state(self) -> tuple[list[dict[str, Any]], Arrays]:
        """Return what a model file keeps: JSON-able facts per column and named arrays."""
        arrays: Arrays = {"weights": self.weights, "groups": self.groups, "shares": self.shares}
        metas = []
        for i, (column, encoder) in enumerate(self.columns):
            meta, own = encoder.state()
            arrays |= {f"column_{i}.{name}": array for name, array in own.items()}
            metas.append({"schema": column.to_dict(), "encoder": meta})
        return metas, arrays

    @classmethod
    def from_state(cls, metas: Sequence[Mapping[str, Any]], arrays: Arrays) -> RowEncoder:
        """Rebuild from `state`'s result."""
        columns = []
        for i, meta in enumerate(metas):
            column = ColumnSchema.from_dict(meta["schema"])
            prefix = f"column_{i}."
            own = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
            columns.append((column, _ENCODERS[column.kind].from_state(meta["encoder"], own)))
        return cls(tuple(columns), arrays["weights"], arrays["groups"], arrays["shares"])


class _Picked(NamedTuple):
    """What is taken over of a column: its features in their new order, weights, groups, shares."""

    encoder: Any
    features: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int32]
    shares: tuple[float, ...]


def feature_weights(
    df: npt.NDArray[np.int32], kl: npt.NDArray[np.float32], n_rows: int, idf_power: float
) -> npt.NDArray[np.float32]:
    """Return how much features count: by what they say of the classes, and by how rare they are.

    ``sqrt(2 · KL) · idf^power`` with ``idf = 1 + log((1 + n) / (1 + df))``.

    Parameters
    ----------
    df : ndarray of int32, shape (n_features,)
        Rows that hold each feature.
    kl : ndarray of float32, shape (n_features,)
        Of `udt.featurizers.weighting.class_information`, nats.
    n_rows : int
        All rows.
    idf_power : float
        0 = rarity does not count.
    """
    idf = 1 + np.log((1 + n_rows) / (1 + df))
    weights = np.sqrt(2 * kl) * idf**idf_power
    return np.maximum(weights, MIN_WEIGHT).astype(np.float32)


def _pick(
    column: ColumnSchema,
    encoder: Any,
    kept: npt.NDArray[np.bool_],
    df: npt.NDArray[np.int32],
    kl: npt.NDArray[np.float32],
    n_rows: int,
    share: float,
    settings: FeaturizerSettings,
) -> _Picked:
    """Return a column's kept features with their weights; of a text, the frequent ones first."""
    features = np.flatnonzero(kept)
    weights = np.ones(len(features), np.float32)
    if column.kind in SUPERVISED_KINDS:
        weights = feature_weights(df[features], kl[features], n_rows, settings.idf_power)
    if column.kind != "text":
        groups = np.zeros(len(features), np.int32)
        return _Picked(encoder, features, weights, groups, (settings.column_share,))
    frequent_first = np.argsort(-df[features], kind="stable")
    features, weights = features[frequent_first], weights[frequent_first]
    encoder = encoder.keep(features)
    groups = GROUP_OF_KIND[encoder.feature_kinds()]
    shares = (
        share * settings.word_share,
        share * settings.phrase_share,
        share * settings.char_share,
    )
    return _Picked(encoder, features, weights, groups, shares)


class FeaturePool:
    """Every feature of a table that any candidate may want, encoded once.

    Parameters
    ----------
    table : Table
        Rows to learn from.
    schema : Schema
        The columns' kinds.
    settings : FeaturizerSettings
        Kinds of n-grams to make; a candidate may choose among them.
    n_threads : int
        Threads for text.
    """

    def __init__(
        self, table: Table, schema: Schema, settings: FeaturizerSettings, n_threads: int
    ) -> None:
        bits = kind_bits(settings.kinds)
        self.columns = tuple(
            (column, self._fit_encoder(table, column, bits, n_threads, settings.min_df))
            for column in schema.used()
        )
        self.rows = encode_columns(table, self.columns, n_threads)

    @staticmethod
    def _fit_encoder(
        table: Table, column: ColumnSchema, bits: int, n_threads: int, min_df: int
    ) -> Any:
        cells = cells_of(table, column.name)
        if column.kind == "text":
            return TextEncoder.fit(
                cells, name=column.name, kinds=bits, n_threads=n_threads, min_df=min_df
            )
        return _ENCODERS[column.kind].fit(cells, column.params)

    def select(
        self,
        targets: Targets,
        n_classes: int,
        settings: FeaturizerSettings,
        n_threads: int = 1,
    ) -> tuple[RowEncoder, CSR]:
        """Return the encoder of the most useful features, and all rows as it encodes them.

        Parameters
        ----------
        targets : Targets
            Classes of each row; one without is held out: encoded, but nothing is learned from it.
        n_classes : int
            Number of classes.
        settings : FeaturizerSettings
            Which and how many text features, and how they share a row's norm.
        n_threads : int
            Threads.

        Notes
        -----
        Usefulness is document frequency × KL. Ids follow document frequency within a column, so
        that the weights of frequent features lie together.
        """
        rows = self.rows
        prior = np.bincount(targets.ids, minlength=n_classes) / max(1, len(targets.ids))
        df, kl = class_information(rows, targets, rows.n_features, np.maximum(prior, _TINY))
        kept, n_rows = self._kept(df, kl, settings), int((targets.counts > 0).sum())
        chosen, order, first, n_groups = [], [], 0, 0
        by_length = np.ones(len(self.columns))
        if settings.length_power:
            by_length = self._lengths() ** settings.length_power
        for (column, encoder), share in zip(self.columns, by_length.tolist(), strict=True):
            part = slice(first, first + encoder.n_features)
            picked = _pick(column, encoder, kept[part], df[part], kl[part], n_rows, share, settings)
            chosen.append(picked._replace(groups=picked.groups + n_groups))
            order.append(first + picked.features)
            first += encoder.n_features
            n_groups += len(picked.shares)
        selected = RowEncoder(
            tuple((column, c.encoder) for (column, _), c in zip(self.columns, chosen, strict=True)),
            np.concatenate([c.weights for c in chosen]).astype(np.float32),
            np.concatenate([c.groups for c in chosen]).astype(np.int32),
            np.concatenate([c.shares for c in chosen]).astype(np.float32),
        )
        new_ids = np.full(rows.n_features, -1, np.int32)
        new_ids[np.concatenate(order)] = np.arange(selected.n_features, dtype=np.int32)
        return selected, selected.weigh(rows, new_ids, n_threads)

    def _lengths(self) -> npt.NDArray[np.float64]:
        """Return each text column's mean number of n-grams ÷ that of the longest; others: 1."""
        ends = np.cumsum([0, *(encoder.n_features for _, encoder in self.columns)])
        n_grams = np.histogram(self.rows.indices, bins=ends)[0].astype(np.float64)
        is_text = np.array([column.kind == "text" for column, _ in self.columns], bool)
        longest = n_grams[is_text].max(initial=1.0)
        return np.where(is_text, np.maximum(n_grams, 1.0) / max(1.0, longest), 1.0)

    def _kept(
        self, df: npt.NDArray[np.int32], kl: npt.NDArray[np.float32], settings: FeaturizerSettings
    ) -> npt.NDArray[np.bool_]:
        """Mark the features to keep: all that are no n-grams, and the most useful n-grams."""
        bits = kind_bits(settings.kinds)
        is_text = np.zeros(len(df), bool)
        useful = np.zeros(len(df), np.float32)
        first = 0
        for column, encoder in self.columns:
            if column.kind == "text":
                part = slice(first, first + encoder.n_features)
                is_text[part] = True
                wanted = (np.uint64(bits) >> encoder.feature_kinds().astype(np.uint64)) & np.uint64(
                    1
                )
                enough = df[part] >= settings.min_df
                useful[part] = df[part] * kl[part] * (wanted.astype(bool) & enough)
            first += encoder.n_features
        kept = ~is_text | (useful > 0)
        excess = int((useful > 0).sum()) - settings.max_features
        if excess > 0:
            least = np.partition(useful, -settings.max_features)[-settings.max_features]
            kept[is_text & (useful < least)] = False
            # Of equally useful ones the first go, so that the choice is a function of the set.
            n_over = int((is_text & kept).sum()) - settings.max_features
            kept[np.flatnonzero(is_text & (useful == least))[:n_over]] = False
        return kept
