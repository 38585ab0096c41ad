"""What a model keeps of its training to go on learning: no row, only sums over rows.

- how far each feature's weights have moved (Adagrad's accumulators), so that new rows take small
  steps where many rows have taught already;
- in how many rows of each class each feature was. Where new rows lack a class, rows are drawn
  from these counts in its place, or the network would forget it (pseudo-rehearsal: Robins,
  "Catastrophic Forgetting, Rehearsal and Pseudorehearsal", 1995);
- the settings of the training, and how many rows of each class there were.

The counts say as much of a single row as a table of word frequencies by class does: of a feature
that only one row of a class has, that the class has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from udt.csr import CSR, Targets, one_class
from udt.engine.network import Network, pack, unpack
from udt.engine.warm import accumulators
from udt.featurizers.rows import RowEncoder
from udt.settings import FeaturizerSettings, TrainSettings

I64 = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[Any]]
S = TypeVar("S", FeaturizerSettings, TrainSettings)

_MOST_DRAWN = 5_000
_CHUNK = 1_024  # labels whose features are counted at once
_MOST_KEYS = 20_000_000  # 160 MB of counts at most
_FEW_ROWS = 30  # of a class teach it, but make a network forget what else they could be
_FEW = 0.3  # of the rows that a class should have among new ones: below, it needs to be recalled


@dataclass(frozen=True, eq=False)
class Recall:
    """What a model keeps of its training.

    Attributes
    ----------
    features, training : FeaturizerSettings, TrainSettings
        How it was trained.
    init_scale : float
        Where embeddings start.
    n_first : int
        Rows of the first training.
    class_rows : ndarray of int64, shape (n_classes,)
        Rows of each class so far.
    starts : ndarray of int64, shape (n_classes + 1,)
        The entries of class c are starts[c] … starts[c + 1] − 1.
    ids : ndarray of int32
        Features of the classes' entries.
    counts : ndarray of int32
        Rows of the class that have the feature.
    accumulated : dict
        Of `udt.engine.warm.accumulators`.
    spare : dict
        The wide path's weights where predictions leave it out: with more rows it may count again.
    """

    features: FeaturizerSettings
    training: TrainSettings
    init_scale: float
    n_first: int
    class_rows: I64
    starts: I64
    ids: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    accumulated: Arrays
    spare: Arrays = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Labels so far: rows, where each has one."""
        return int(self.class_rows.sum())

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file keeps: JSON-able facts and arrays."""
        meta = {
            "features": asdict(self.features),
            "training": asdict(self.training),
            "init_scale": self.init_scale,
            "n_first": self.n_first,
        }
        small = np.uint16 if self.counts.max(initial=0) < 1 << 16 else np.int32
        arrays: Arrays = {
            "class_rows": self.class_rows,
            "starts": self.starts,
            "ids": self.ids,
            "counts": self.counts.astype(small),
        }
        arrays |= {f"acc.{name}": a for name, a in self.accumulated.items()}
        return meta, arrays | {f"spare.{name}": a for name, a in self.spare.items()}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Arrays) -> Recall:
        """Rebuild from `state`'s result."""
        return cls(
            features=_settings(FeaturizerSettings, meta["features"]),
            training=_settings(TrainSettings, meta["training"]),
            init_scale=meta["init_scale"],
            n_first=meta["n_first"],
            class_rows=arrays["class_rows"],
            starts=arrays["starts"],
            ids=arrays["ids"],
            counts=arrays["counts"].astype(np.int32),
            accumulated=_named(arrays, "acc."),
            spare=_named(arrays, "spare."),
        )


def _named(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names begin so, without it."""
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def _settings(kind: Callable[..., S], stored: Mapping[str, Any]) -> S:
    """Return settings as stored; lists were tuples, and what is not stored is as by default."""
    known = inspect.signature(kind).parameters
    values: dict[str, Any] = {k: v for k, v in stored.items() if k in known}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def remember(
    rows: CSR,
    targets: Targets,
    n_classes: int,
    network: Network,
    *,
    features: FeaturizerSettings,
    training: TrainSettings,
    init_scale: float,
) -> Recall:
    """Return what to keep of a training.

    Parameters
    ----------
    rows : CSR
        Rows as the model encodes them.
    targets : Targets
        Their classes; one without was held out and does not count.
    n_classes : int
        Number of classes.
    network : Network
        As trained, with its accumulators.
    features, training, init_scale
        Settings.
    """
    class_rows, starts, ids, counts = _count(rows, targets, n_classes)
    return Recall(
        features, training, init_scale, int((targets.counts > 0).sum()), class_rows, starts, ids,
        counts, dict(accumulators(network)),
    )  # fmt: skip


def _count(rows: CSR, targets: Targets, n_classes: int) -> tuple[I64, I64, Any, Any]:
    """Return class_rows, starts, ids, counts of `Recall`."""
    found, counts = _tally(rows, targets, n_classes)
    classes = found // max(1, rows.n_features)
    starts = np.searchsorted(classes, np.arange(n_classes + 1)).astype(np.int64)
    ids = (found - classes * rows.n_features).astype(np.int32)
    class_rows = np.bincount(targets.ids, minlength=n_classes).astype(np.int64)
    return class_rows, starts, ids, counts.astype(np.int32)


def _tally(rows: CSR, targets: Targets, n_classes: int) -> tuple[I64, I64]:
    """Return the distinct keys of all rows, ascending, and how often each occurs.

    A feature's key is class · n_features + feature; a row with two classes counts for both.
    """
    of, ids = targets.rows, targets.ids.astype(np.int64)
    n_keys = n_classes * rows.n_features
    if n_keys > _MOST_KEYS:
        return np.unique(_keys(rows, of, ids), return_counts=True)
    counts = np.zeros(n_keys, np.int64)  # a tenth of the time of sorting them
    for start in range(0, len(ids), _CHUNK):
        part = slice(start, start + _CHUNK)
        counts += np.bincount(_keys(rows, of[part], ids[part]), minlength=n_keys)
    found = np.flatnonzero(counts)
    return found, counts[found]


def _keys(rows: CSR, of: I64, ids: I64) -> I64:
    """Return the keys of the features of these rows, each with its class."""
    n_each = rows.indptr[of + 1] - rows.indptr[of]
    at = np.repeat(rows.indptr[of] - np.cumsum(n_each) + n_each, n_each)
    at += np.arange(len(at))
    keys = np.repeat(ids * rows.n_features, n_each)
    keys += rows.indices[at]
    return keys


def renumber(recall: Recall, feature_ids: I64, class_ids: I64, n_classes: int) -> Recall:
    """Return the same counts under new numbers of features and classes."""
    class_rows = np.zeros(n_classes, np.int64)
    class_rows[class_ids] = recall.class_rows
    lengths = np.zeros(n_classes, np.int64)
    lengths[class_ids] = np.diff(recall.starts)
    old_of_new = np.full(n_classes, -1)
    old_of_new[class_ids] = np.arange(len(class_ids))
    parts = [
        np.arange(recall.starts[c], recall.starts[c + 1]) if c >= 0 else np.zeros(0, np.int64)
        for c in old_of_new
    ]
    order = np.concatenate([np.zeros(0, np.int64), *parts])
    return Recall(
        recall.features, recall.training, recall.init_scale, recall.n_first, class_rows,
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        feature_ids[recall.ids[order]].astype(np.int32), recall.counts[order], recall.accumulated,
    )  # fmt: skip


def add(recall: Recall, rows: CSR, targets: Targets, network: Network) -> Recall:
    """Return the recall of two trainings: a renumbered one's, and that of new rows."""
    n_classes, n = len(recall.class_rows), max(1, rows.n_features)
    class_rows, starts, ids, counts = _count(rows, targets, n_classes)
    keys = np.concatenate(
        [
            np.repeat(np.arange(n_classes), np.diff(s)) * n + i
            for s, i in ((recall.starts, recall.ids), (starts, ids))
        ]
    )
    found, where = np.unique(keys, return_inverse=True)
    sums = np.bincount(where, np.concatenate([recall.counts, counts]), len(found))
    return Recall(
        recall.features, recall.training, recall.init_scale, recall.n_first,
        recall.class_rows + class_rows,
        np.searchsorted(found // n, np.arange(n_classes + 1)).astype(np.int64),
        (found % n).astype(np.int32), sums.astype(np.int32), dict(accumulators(network)),
    )  # fmt: skip


def fitting(recall: Recall, finished: Network, trained: Network) -> Recall:
    """Return the recall with what a finished network has left out and may need again.

    Parameters
    ----------
    recall : Recall
        Of the training.
    finished, trained : Network
        As predictions need it; as it was trained.
    """
    spare: Arrays = {}
    if not len(finished.w_wide):
        spare = {"w_wide": pack(trained)["w_wide"]}
    kept = {
        name: a
        for name, a in recall.accumulated.items()
        if getattr(finished, name).size or name in spare
    }
    return replace(recall, accumulated=kept, spare=spare)


def complete(recall: Recall, finished: Network) -> Network:
    """Return a finished network with what it has left out."""
    if not recall.spare:
        return finished
    return unpack({**pack(finished), **recall.spare})


def missing_rows(recall: Recall, targets: Targets) -> I64:
    """Return how many rows of each class have to be recalled beside new ones.

    Those of classes of which the new rows have less than three tenths of what their share so far
    would be, or of all classes if most that come have fewer than 30 new rows; as many as there
    were, but at most 5,000 in all. If all classes come as before and in numbers, none: then new
    rows alone do as well (`docs/design/0008-increments.md`).
    """
    new = np.bincount(targets.ids, minlength=len(recall.class_rows))
    expected = recall.class_rows * (new.sum() / max(1, recall.n_rows))
    is_missing = new < _FEW * expected
    if not is_missing.all() and np.median(new[~is_missing]) < _FEW_ROWS:
        is_missing[:] = True
    wanted = np.where(is_missing, recall.class_rows, 0)
    scale = min(1.0, _MOST_DRAWN / max(1, recall.n_rows))
    return np.ceil(wanted * scale).astype(np.int64)


def draw_rows(
    recall: Recall, wanted: I64, encoder: RowEncoder, rng: np.random.Generator
) -> tuple[CSR, Targets]:
    """Return rows drawn from the counts, as the encoder weighs them, and their classes.

    A row has as many features of each group (words, phrases, characters, another column) as rows
    of its class have in the mean, each drawn by its share in the group.

    Parameters
    ----------
    recall : Recall
        Under the encoder's numbers of features.
    wanted : ndarray of int64, shape (n_classes,)
        Rows of each class.
    encoder : RowEncoder
        Of the model.
    rng : numpy.random.Generator
        Draws.
    """
    row_parts, id_parts, first = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for c in np.flatnonzero(wanted):
        part = slice(recall.starts[c], recall.starts[c + 1])
        ids, counts = recall.ids[part], recall.counts[part]
        groups = encoder.groups[ids]
        for g in np.unique(groups):
            own_ids, own_counts = ids[groups == g], counts[groups == g]
            mean = own_counts.sum() / max(1, recall.class_rows[c])
            n_each = np.floor(mean + rng.random(wanted[c])).astype(np.int64)
            ends = np.cumsum(own_counts)
            drawn = np.searchsorted(ends, rng.integers(ends[-1], size=n_each.sum()), side="right")
            row_parts.append(np.repeat(np.arange(first, first + wanted[c]), n_each))
            id_parts.append(own_ids[drawn].astype(np.int64))
        first += int(wanted[c])
    n = max(1, encoder.n_features)
    keys = np.unique(np.concatenate(row_parts) * n + np.concatenate(id_parts))  # once a row
    indptr = np.searchsorted(keys // n, np.arange(first + 1)).astype(np.int64)
    ones = np.ones(len(keys), np.float32)
    raw = CSR(indptr, (keys % n).astype(np.int32), ones, encoder.n_features)
    everything = np.arange(encoder.n_features, dtype=np.int32)
    y = np.repeat(np.arange(len(wanted)), wanted)
    return encoder.weigh(raw, everything, 1), one_class(y)
