"""From features to classes: the two kinds of network behind one face.

`DenseHead` scores every class; `ManyHead` a row's likely classes only, and never holds more than a
few numbers of each row unless all probabilities are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from udt.criterion import row_costs
from udt.csr import CSR, EQUAL, Targets
from udt.engine.attribution import Attribution, attribute, attribute_many
from udt.engine.links import AS_IT_IS, link
from udt.engine.logits import Trees
from udt.engine.many import ManyNetwork, Ranked, Ranking, pack_many, ranking, unpack_many
from udt.engine.many_train import rank, row_losses, spread
from udt.engine.mix import Mix
from udt.engine.network import Network, pack, unpack
from udt.engine.prior import link_prior
from udt.engine.selection import BlockSelector, Selector
from udt.engine.shifts import AS_PROBABLE, choose, fit_factors
from udt.engine.thresholds import fit_thresholds
from udt.engine.train import predict, predict_counted
from udt.metrics import N_TOP, SMALLEST, Predicted

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
Arrays = dict[str, npt.NDArray[Any]]

MOST_LABELS = 64
"""Likely classes of a row that a prediction looks at."""

_LOW_BITS, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
NO_THRESHOLDS = np.zeros(0, np.float32)
"""One class a row."""


class Head(Protocol):
    """What a predictor asks of a network."""

    @property
    def n_classes(self) -> int:
        """Number of classes."""

    @property
    def row_cells(self) -> int:
        """Numbers that a row takes while it is predicted; blocks of rows are cut by it."""

    @property
    def thresholds(self) -> F32:
        """From probabilities to classes, where a row may have several; else empty."""

    @property
    def factors(self) -> F32:
        """Of the probabilities, where not always the most probable class is predicted."""

    def paths(self) -> dict[str, Any]:
        """Return what the report tells of the network: width, wide."""

    def probas(self, rows: CSR) -> F32:
        """Return all probabilities, shape (n_rows, n_classes)."""

    def top_k(self, rows: CSR, k: int) -> tuple[I32, F32]:
        """Return the k most probable classes of each row and their probabilities, descending."""

    def label_sets(self, rows: CSR) -> Targets:
        """Return the predicted classes of each row, most probable first; at least one."""

    def predicted(self, rows: CSR, targets: Targets) -> Predicted:
        """Return what evaluation needs; targets may hold −1 = unknown to the model."""

    def count(self, rows: CSR) -> int:
        """Return the multiply-adds of predicting rows, counted."""

    def attribute(self, row: CSR, classes: I32, trees: Trees | None = None) -> Attribution:
        """Return what each feature of one row adds to the logits of some classes."""

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return JSON-able facts and arrays."""

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuild from `state`'s result."""


# -- every class -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DenseHead:
    """A network that scores every class.

    Attributes
    ----------
    network : Network
        From features to the logits of both paths.
    mix : Mix
        From logits to probabilities.
    thresholds : ndarray of float32, shape (n_classes,) or (0,)
        From probabilities to classes, where a row may have several; else empty.
    selector : Selector or None
        Finds the hidden neurons that a row computes; None = all.
    factors : ndarray of float32, shape (n_classes,) or (0,)
        The class of highest factor · probability is predicted; empty = the most probable one.
    links : ndarray of float32
        Calibration where a row may have several classes (`udt.engine.links`), and where few rows
        taught (`udt.engine.prior`); else empty.
    """

    network: Network
    mix: Mix
    thresholds: F32
    selector: Selector | None = None
    factors: F32 = field(default_factory=lambda: AS_PROBABLE)
    links: F32 = field(default_factory=lambda: AS_IT_IS)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.network.n_classes

    @property
    def row_cells(self) -> int:
        """Numbers that a row takes while it is predicted: its probabilities."""
        return self.network.n_classes

    def paths(self) -> dict[str, Any]:
        """Return what the report tells of the network."""
        return {"width": self.network.width, "wide": len(self.network.w_wide) > 0}

    def probas(self, rows: CSR) -> F32:
        """Return all probabilities, shape (n_rows, n_classes)."""
        return self.linked(predict(self.network, rows, self.mix, selector=self.selector))

    def linked(self, probas: F32) -> F32:
        """Return the mixed probabilities calibrated."""
        return (link if self.mix.sigmoid else link_prior)(probas, self.links)

    def top_k(self, rows: CSR, k: int) -> tuple[I32, F32]:
        """Return the k most probable classes of each row and their probabilities, descending."""
        return top_k(self.probas(rows), k)

    def label_sets(self, rows: CSR) -> Targets:
        """Return the predicted classes of each row, most probable first; at least one."""
        return label_sets(self.probas(rows), self.thresholds, self.factors)

    def predicted(self, rows: CSR, targets: Targets) -> Predicted:
        """Return what evaluation needs; targets may hold −1 = unknown to the model."""
        return summarise(self.probas(rows), targets, self.thresholds, self.factors)

    def count(self, rows: CSR) -> int:
        """Return the multiply-adds of predicting rows, counted."""
        return predict_counted(self.network, rows, self.mix, selector=self.selector)[1]

    def attribute(self, row: CSR, classes: I32, trees: Trees | None = None) -> Attribution:
        """Return what each feature of one row adds to the logits of some classes."""
        return attribute(self.network, self.mix, row, classes, self.selector, trees)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file keeps: JSON-able facts and arrays."""
        meta: dict[str, Any] = {"mix": self.mix.to_dict(), "selector": None}
        arrays: Arrays = {**pack(self.network), "thresholds": self.thresholds}
        if len(self.factors):
            arrays["factors"] = self.factors
        if len(self.links):
            arrays["links"] = self.links
        if self.selector is not None:
            meta["selector"], stored = self.selector.state()
            arrays |= {f"selector.{name}": array for name, array in stored.items()}
        return meta, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Arrays) -> DenseHead:
        """Rebuild from `state`'s result."""
        weights, chosen = dict(arrays), dict[str, npt.NDArray[Any]]()
        thresholds, selector = weights.pop("thresholds"), None
        factors = weights.pop("factors", AS_PROBABLE)
        links = weights.pop("links", AS_IT_IS)
        for name in [name for name in weights if name.startswith("selector.")]:
            chosen[name.removeprefix("selector.")] = weights.pop(name)
        if meta["selector"] is not None:
            selector = BlockSelector.from_state(meta["selector"], chosen)
        mix = Mix.from_dict(meta["mix"])
        return cls(unpack(weights), mix, thresholds, selector, factors, links)


def top_k(probas: F32, k: int) -> tuple[I32, F32]:
    """Return the k most probable classes of each row, and their probabilities, descending.

    Of equally probable classes the first goes first.

    Examples
    --------
    >>> top_k(np.array([[0.2, 0.5, 0.2]], np.float32), 2)[0].tolist()
    [[1, 0]]
    """
    n_classes = probas.shape[1]
    # The bits of a float32 from 0 up sort as it does; class numbers below them break ties.
    keys = probas.view(np.uint32).astype(np.uint64) << _HALF
    keys |= _LOW_BITS - np.arange(n_classes, dtype=np.uint64)
    if k < n_classes:
        keys = np.partition(keys, n_classes - k, axis=1)[:, n_classes - k :]
    keys = np.sort(keys, axis=1)[:, ::-1]
    ids = (_LOW_BITS - (keys & _LOW_BITS)).astype(np.int32)
    return ids, (keys >> _HALF).astype(np.uint32).view(np.float32)


def label_sets(probas: F32, thresholds: F32, factors: F32 = AS_PROBABLE) -> Targets:
    """Return the predicted classes of each row, most probable first.

    Parameters
    ----------
    probas : ndarray of float32, shape (n_rows, n_classes)
        Probabilities.
    thresholds : ndarray of float32, shape (n_classes,) or (0,)
        From which probability on a class is predicted; the most probable one is, where none is
        reached. Empty = one class a row.
    factors : ndarray of float32, shape (n_classes,) or (0,)
        Of one class a row that of highest factor · probability is predicted; empty = the most
        probable one.
    """
    n_rows = len(probas)
    if not len(thresholds):
        return Targets(np.arange(n_rows + 1), choose(probas, factors))
    rows, ids = np.nonzero(probas >= thresholds)
    bare = np.flatnonzero(np.bincount(rows, minlength=n_rows) == 0)
    rows = np.concatenate([rows, bare])
    ids = np.concatenate([ids, probas[bare].argmax(axis=1)])
    order = np.lexsort((ids, -probas[rows, ids], rows))
    indptr = np.searchsorted(rows[order], np.arange(n_rows + 1))
    return Targets(indptr, ids[order].astype(np.int32))


def find_thresholds(probas: F32, targets: Targets) -> F32:
    """Return from which probability on each class is predicted, found on held-out rows."""
    n_classes = probas.shape[1]
    k = min(n_classes, max(N_TOP, 2 * int(targets.counts.max(initial=1))))
    return fit_thresholds(*top_k(probas, k), targets, n_classes)


def find_factors(probas: F32, targets: Targets, metric: str | None) -> F32:
    """Return what makes macro-F1 highest on held-out rows, if that is the metric; else nothing."""
    return fit_factors(probas, targets) if metric == "macro_f1" else AS_PROBABLE


def race_costs(
    probas: F32, targets: Targets, losses: F32, metric: str | None, *, is_multi_label: bool
) -> F32:
    """Return what each held-out row costs under the metric that the race chooses by.

    Parameters
    ----------
    probas : ndarray of float32, shape (n_rows, n_classes)
        Probabilities.
    targets : Targets
        True classes.
    losses : ndarray of float32, shape (n_rows,)
        Under these probabilities.
    metric : str or None
        Of `udt.criterion.row_costs`.
    is_multi_label : bool
        Whether a row may have several classes.
    """
    if metric not in ("accuracy", "macro_f1"):
        return losses
    thresholds = find_thresholds(probas, targets) if is_multi_label else NO_THRESHOLDS
    factors = AS_PROBABLE
    if probas.shape[1] == 2 and not is_multi_label:  # of more classes they take too long to find
        factors = find_factors(probas, targets, metric)
    chosen = label_sets(probas, thresholds, factors)
    return row_costs(metric, losses, chosen, targets, probas.shape[1])


def summarise(
    probas: F32, targets: Targets, thresholds: F32, factors: F32 = AS_PROBABLE
) -> Predicted:
    """Return what evaluation needs of probabilities.

    Parameters
    ----------
    probas, thresholds, factors
        As in `label_sets`.
    targets : Targets
        True classes of the same rows; −1 = unknown to the model.
    """
    known = targets.ids >= 0
    true_p = np.where(known, probas[targets.rows, targets.ids], np.float32(0))
    ids, p = top_k(probas, min(N_TOP, probas.shape[1]))
    nll = -np.log(true_p.clip(SMALLEST, 1))
    row_loss = np.bincount(targets.rows, nll, targets.n_rows)
    if len(thresholds):  # every class is a question: that a true one is absent is not among them
        absent = -np.log1p(-probas.clip(0, 1 - SMALLEST))
        right = np.where(known, absent[targets.rows, targets.ids], np.float32(0))
        row_loss += absent.sum(axis=1) - np.bincount(targets.rows, right, targets.n_rows)
    chosen = label_sets(probas, thresholds, factors)
    return Predicted(ids, p, true_p, row_loss.astype(np.float32), chosen)


# -- likely classes ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ManyHead:
    """A network that scores a row's likely classes.

    Attributes
    ----------
    network : ManyNetwork
        From features to logits.
    temperature : float
        From logits to probabilities.
    n_best : int
        So many of a row's likely classes take the deep path.
    labels_per_row : float
        Labels that a training row has, in the mean.
    thresholds : ndarray of float32, shape (n_classes,) or (0,)
        From probabilities to classes, where a row may have several; else empty.
    """

    network: ManyNetwork
    temperature: float
    n_best: int
    labels_per_row: float
    thresholds: F32

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.network.n_classes

    @property
    def row_cells(self) -> int:
        """Numbers that a row takes while it is predicted."""
        return MOST_LABELS

    @property
    def factors(self) -> F32:
        """None: of many classes the most probable one is predicted."""
        return AS_PROBABLE

    @property
    def _how(self) -> Ranking:
        return ranking(self.network, self.temperature, self.n_best)

    def paths(self) -> dict[str, Any]:
        """Return what the report tells of the network."""
        return {"width": self.network.width, "wide": True}

    def probas(self, rows: CSR) -> F32:
        """Return all probabilities, shape (n_rows, n_classes)."""
        return self._of_labels(spread(self.network, rows, self._how))

    def top_k(self, rows: CSR, k: int) -> tuple[I32, F32]:
        """Return the k most probable classes of each row and their probabilities, descending."""
        ranked, _ = rank(self.network, rows, self._how, k)
        return ranked.ids, self._of_labels(ranked.probas)

    def label_sets(self, rows: CSR) -> Targets:
        """Return the predicted classes of each row, most probable first; at least one."""
        k = min(MOST_LABELS, self.n_classes) if len(self.thresholds) else 1
        return _reach(*self.top_k(rows, k), self.thresholds)

    def ranked(self, rows: CSR, targets: Targets) -> Ranked:
        """Return each row's likely classes, and the probabilities of its true ones."""
        k = min(MOST_LABELS, self.n_classes)
        return self.lift(rank(self.network, rows, self._how, k, targets)[0])

    def lift(self, ranked: Ranked) -> Ranked:
        """Return ranked classes with the probabilities that a row has each of them.

        The network says how likely each is to be *the* label; of n labels one or more is it with
        ``1 − (1 − p)^n``.
        """
        p, true_p = self._of_labels(ranked.probas), self._of_labels(ranked.true_p)
        return Ranked(ranked.ids, p, true_p)

    def _of_labels(self, p: F32) -> F32:
        if self.labels_per_row == 1:
            return p
        return np.asarray(1 - (1 - np.minimum(p, 1)) ** np.float32(self.labels_per_row))

    def predicted(self, rows: CSR, targets: Targets) -> Predicted:
        """Return what evaluation needs; targets may hold −1 = unknown to the model."""
        return as_predicted(self.ranked(rows, targets), targets, self.thresholds)

    def count(self, rows: CSR) -> int:
        """Return the multiply-adds of predicting rows, counted."""
        return rank(self.network, rows, self._how, 1)[1]

    def attribute(self, row: CSR, classes: I32, trees: Trees | None = None) -> Attribution:
        """Return what each feature of one row adds to the logits of some classes; no trees here."""
        return attribute_many(self.network, self._how, self.labels_per_row, row, classes)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file keeps: JSON-able facts and arrays."""
        arrays: Arrays = {**pack_many(self.network), "thresholds": self.thresholds}
        numbers = ("temperature", "n_best", "labels_per_row")
        return {name: getattr(self, name) for name in numbers}, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Arrays) -> ManyHead:
        """Rebuild from `state`'s result."""
        network = unpack_many(arrays)
        numbers = meta["temperature"], meta["n_best"], meta["labels_per_row"]
        return cls(network, *numbers, arrays["thresholds"])


def as_predicted(ranked: Ranked, targets: Targets, thresholds: F32) -> Predicted:
    """Return what evaluation needs of ranked classes."""
    return Predicted(
        ranked.ids[:, :N_TOP],
        ranked.probas[:, :N_TOP],
        ranked.true_p,
        row_losses(
            np.maximum(ranked.true_p, np.float32(SMALLEST)), targets._replace(weights=EQUAL)
        ),
        _reach(ranked.ids, ranked.probas, thresholds),
    )


def _reach(ids: I32, probas: F32, thresholds: F32) -> Targets:
    """Return those of each row's ranked classes that reach their threshold; always the first."""
    if not len(thresholds):
        return Targets(np.arange(len(ids) + 1), ids[:, 0].copy())
    reached = probas >= thresholds[ids]
    reached[:, 0] = True
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(reached.sum(axis=1))])
    return Targets(indptr, ids[reached])
