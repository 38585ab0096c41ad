"""More features for a model that goes on learning: what new rows repeat and it does not know.

Features that it has keep their weights and their meaning; only their numbers change, because
those of a column lie together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets
from udt.featurizers.categorical import CategoricalEncoder
from udt.featurizers.multivalue import MultiValueEncoder
from udt.featurizers.rows import (
    GROUP_OF_KIND,
    MIN_WEIGHT,
    SUPERVISED_KINDS,
    RowEncoder,
    cells_of,
    encode_columns,
    kind_bits,
)
from udt.featurizers.schema import ColumnSchema
from udt.featurizers.text import TextEncoder, as_texts, repeated_keys
from udt.featurizers.weighting import class_information
from udt.settings import FeaturizerSettings
from udt.table import Table

I64 = npt.NDArray[np.int64]

_TINY = 1e-12
_N_TEXT_GROUPS = 3


class Grown(NamedTuple):
    """An encoder that knows more than another.

    Attributes
    ----------
    encoder : RowEncoder
        Of old and new features.
    old_ids : ndarray of int64, shape (n_old,)
        The old features' new numbers.
    rows : CSR
        The new rows as it encodes them.
    """

    encoder: RowEncoder
    old_ids: I64
    rows: CSR


def grow(
    encoder: RowEncoder,
    table: Table,
    targets: Targets,
    n_classes: int,
    settings: FeaturizerSettings,
    n_threads: int = 1,
) -> Grown:
    """Return an encoder with the features that at least `min_df` of the new rows have, too.

    N-grams, categories and items of lists can be new; the scales of numbers and dates stay.

    Parameters
    ----------
    encoder : RowEncoder
        A model's.
    table : Table
        New rows.
    targets : Targets
        Their classes; one without does not count.
    n_classes : int
        Number of classes.
    settings : FeaturizerSettings
        Kinds of n-grams, and how many may be kept of them in all.
    n_threads : int
        Threads for text.
    """
    columns = tuple(
        (column, _more(column, old, table, settings, n_threads)) for column, old in encoder.columns
    )
    raw = encode_columns(table, columns, n_threads)
    prior = np.bincount(targets.ids, minlength=n_classes) / max(1, len(targets.ids))
    df, kl = class_information(raw, targets, raw.n_features, np.maximum(prior, _TINY))
    positions = _positions(encoder, columns)
    is_old = np.zeros(raw.n_features, bool)
    is_old[positions] = True
    kept = _keep(columns, is_old, df, kl, settings)

    weights = np.ones(raw.n_features, np.float32)
    groups = np.zeros(raw.n_features, np.int32)
    first, group, narrowed = 0, 0, []
    for column, more in columns:
        part = slice(first, first + more.n_features)
        if column.kind in SUPERVISED_KINDS:
            weights[part] = np.maximum(np.sqrt(2 * kl[part]), np.float32(MIN_WEIGHT))
        groups[part] = group
        if column.kind == "text":
            groups[part] += GROUP_OF_KIND[more.feature_kinds()]
            more = more.keep(np.flatnonzero(kept[part]))
        narrowed.append((column, more))
        group += _N_TEXT_GROUPS if column.kind == "text" else 1
        first = part.stop
    weights[positions], groups[positions] = encoder.weights, encoder.groups
    new_ids = np.full(raw.n_features, -1, np.int32)
    new_ids[kept] = np.arange(kept.sum(), dtype=np.int32)
    grown = RowEncoder(tuple(narrowed), weights[kept], groups[kept], encoder.shares)
    rows = grown.weigh(raw, new_ids, n_threads)
    return Grown(grown, new_ids[positions].astype(np.int64), rows)


def _more(
    column: ColumnSchema, old: Any, table: Table, settings: FeaturizerSettings, n_threads: int
) -> Any:
    """Return a column's encoder that knows what its new cells repeat, too; the old ones first."""
    cells = cells_of(table, column.name)
    if isinstance(old, TextEncoder):
        kinds = kind_bits(settings.kinds)
        once = settings.min_df < 2
        keys = repeated_keys(as_texts(cells), kinds, old.salt, n_threads, once=once)
        new = np.setdiff1d(keys, old.keys)
        return TextEncoder(np.concatenate([old.keys, new]), old.kinds | kinds, old.salt)
    if isinstance(old, CategoricalEncoder) and not old.boolean:
        found = CategoricalEncoder.fit(cells, column.params).values
        return replace(old, values=(*old.values, *(v for v in found if v not in set(old.values))))
    if isinstance(old, MultiValueEncoder):
        found = MultiValueEncoder.fit(cells, column.params).items
        return replace(old, items=(*old.items, *(v for v in found if v not in set(old.items))))
    return old


def _positions(encoder: RowEncoder, columns: tuple[tuple[ColumnSchema, Any], ...]) -> I64:
    """Return where the old features are among all; a column's special ones follow its values."""
    positions, first = [np.zeros(0, np.int64)], 0
    for (_, old), (_, new) in zip(encoder.columns, columns, strict=True):
        own = np.arange(old.n_features)
        if not isinstance(old, TextEncoder) and new.n_features > old.n_features:
            n_values = len(old.values if isinstance(old, CategoricalEncoder) else old.items)
            own[n_values:] += new.n_features - old.n_features
        positions.append(first + own)
        first += new.n_features
    return np.concatenate(positions)


def _keep(
    columns: tuple[tuple[ColumnSchema, Any], ...],
    is_old: npt.NDArray[np.bool_],
    df: npt.NDArray[np.int32],
    kl: npt.NDArray[np.float32],
    settings: FeaturizerSettings,
) -> npt.NDArray[np.bool_]:
    """Mark the old features, all that are no n-grams, and the most useful new n-grams."""
    is_text = np.concatenate(
        [np.full(encoder.n_features, column.kind == "text") for column, encoder in columns]
    )
    useful = np.where(is_text & ~is_old & (df >= settings.min_df), df * kl, np.float32(0))
    room = max(0, settings.max_features - int((is_text & is_old).sum()))
    best = np.argsort(-useful, kind="stable")[:room]
    kept: npt.NDArray[np.bool_] = is_old | ~is_text
    kept[best[useful[best] > 0]] = True
    return kept
