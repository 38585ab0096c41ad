"""Rows whose label a model strongly disputes: mislabelled, or the hardest ones to tell.

After confident learning (Northcutt, Jiang & Chuang, "Confident Learning: Estimating Uncertainty in
Dataset Labels", JAIR 2021): a row is suspected to be of another class if that class is at least as
probable as it is, in the mean, for rows that are labelled so. To be listed, it must also be nine
times as probable as the row's label.

A network that has learned a wrong label no longer disputes it. So the rows of a model's own
training table, or as many, are judged by networks that have not learned them, one for each fifth;
fewer rows, by the model itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from udt import inputs, labels
from udt._lines import find_lines
from udt.csr import Targets
from udt.engine.mix import mix_probas
from udt.engine.train import logits, train
from udt.featurizers.duplicates import duplicate_groups
from udt.heads import DenseHead
from udt.model import Model
from udt.params import check_bad_rows
from udt.settings import NetworkSettings, TrainSettings
from udt.task import make_splits

F32 = npt.NDArray[np.float32]

_MIN_ODDS = 9.0
_MIN_ROWS = 50
_SHARE_OF_TRAINING = 0.5  # so many rows are enough to train a judge on
_TINY = 1e-9

HELD_OUT = "networks that had not learned the rows (the choice of their features had seen them)"
SEEN = "the model itself, which may have learned some of the rows"


def find_suspects(
    model: Model, X: Any, *, path: str | None = None, bad_rows: str = "refuse"
) -> dict[str, Any]:
    """Return the rows whose label the model disputes, the most doubtful first.

    Parameters
    ----------
    model : Model
        What judges.
    X : table
        Rows with the model's target column.
    path : str, optional
        The file that they were read from, for line numbers.
    bad_rows : {"refuse", "skip"}
        What to do with malformed rows of a file.

    Returns
    -------
    dict
        ``judge``, who says so; ``n_rows``, rows with a known label; ``suspects``: ``row`` (from
        1), ``line`` in the file (None where it is not known), ``label``, ``suggested``, and the
        probabilities ``p_label`` and ``p_suggested``. Where a row may have several labels, the
        suspect is one of them: ``label`` should not be there, or ``suggested`` is missing, and
        the other one is None.

    Raises
    ------
    TargetNotFound
        The table has no target column.
    DataError
        It cannot be read, or has no label.
    """
    table, column = inputs.read_measured(
        X, None, model.target, model.schema, check_bad_rows(bad_rows), model.label_form,
        model.has_names,
    )  # fmt: skip
    targets = labels.to_targets(column, model.classes)
    known = np.bincount(targets.rows[targets.ids >= 0], minlength=targets.n_rows)
    where = np.flatnonzero((known == targets.counts) & (known > 0))
    table, targets = table.take(where), targets.take(where)
    crossed = _crossed_probas(model, table, targets)
    p = model.predictor.probas(table, model.n_threads) if crossed is None else crossed
    find = _disputed_labels if model.label_form.is_multi_label else _disputed
    rows, given, suggested, p_given, p_suggested = find(p, targets)
    names: list[Any] = [*model.classes.tolist(), None]
    numbers = where[rows]
    lines = find_lines(path, numbers, len(known)) if path else [None] * len(rows)
    return {
        "judge": SEEN if crossed is None else HELD_OUT,
        "n_rows": len(where),
        "suspects": [
            {
                "row": int(number) + 1,
                "line": line,
                "label": names[g],
                "suggested": names[s],
                "p_label": float(pg),
                "p_suggested": float(ps),
            }
            for number, line, g, s, pg, ps in zip(
                numbers, lines, given, suggested, p_given, p_suggested, strict=True
            )
        ],
    }


def _crossed_probas(model: Model, table: Any, targets: Targets) -> F32 | None:
    """Return probabilities by networks that have not learned the rows; None if there are too few.

    They are trained as the model was, on its features.
    """
    head, n = model.predictor.head, table.n_rows
    lineage = model.report.carbon.get("lineage", {})
    n_learned = lineage.get("n_rows", model.report.n_rows)
    few = n < max(_MIN_ROWS, _SHARE_OF_TRAINING * n_learned)
    if few or not isinstance(head, DenseHead) or head.selector is not None:
        return None
    rows = model.predictor.encoder.transform(table, model.n_threads)
    recall = model.recall
    settings = TrainSettings(sigmoid=head.mix.sigmoid) if recall is None else recall.training
    shape = NetworkSettings(width=head.network.width)
    if recall is not None:
        shape = NetworkSettings(width=head.network.width, init_scale=recall.init_scale)
    p = np.zeros((n, head.n_classes), np.float32)
    groups = duplicate_groups(table, model.schema)
    for i, split in enumerate(make_splits(groups, np.random.default_rng(model.seed), n_folds=5)):
        trained = train(
            rows, targets, head.n_classes, shape, settings, which=split.train,
            n_threads=1, seed=model.seed + i,
        )  # fmt: skip
        z = logits(trained.network, rows.take(split.holdout), model.n_threads)
        p[split.holdout] = mix_probas(*z, head.mix)
    return p


Found = tuple[Any, Any, Any, Any, Any]
"""Rows, labels given and suggested as class indices (−1 = none), and their probabilities."""


def _disputed(p: F32, targets: Targets) -> Found:
    """Return the rows that another class suits far better than their own."""
    n, given = len(p), targets.ids
    every = np.arange(n)
    p_given = p[every, given]
    sums, counts = (np.bincount(given, w, p.shape[1]) for w in (p_given, np.ones(n)))
    usual = sums / np.maximum(counts, 1)  # of a class that no row has: nothing is known
    others = p.copy()
    others[every, given] = -1
    others[others < usual] = -1  # only what is as probable as for rows that are labelled so
    suggested = others.argmax(axis=1)
    p_suggested = others[every, suggested]
    odds = p_suggested / np.maximum(p_given, _TINY)
    found = np.flatnonzero(odds >= _MIN_ODDS)
    found = found[np.argsort(-odds[found], kind="stable")]
    return found, given[found], suggested[found], p_given[found], p_suggested[found]


def _disputed_labels(p: F32, targets: Targets) -> Found:
    """Return the pairs of row and label that should not be there, or that are missing."""
    there = np.zeros(p.shape, bool)
    there[targets.rows, targets.ids] = True
    wrong = np.where(there, 1 - p, p)  # how probable it is that the pair is wrong
    odds = wrong / np.maximum(1 - wrong, _TINY)
    rows, ids = np.nonzero(odds >= _MIN_ODDS)
    order = np.argsort(-odds[rows, ids], kind="stable")
    rows, ids = rows[order], ids[order]
    is_there = there[rows, ids]
    p_pair = p[rows, ids]
    return (
        rows,
        np.where(is_there, ids, -1),
        np.where(is_there, -1, ids),
        np.where(is_there, p_pair, 1 - p_pair),
        np.where(is_there, 1 - p_pair, p_pair),
    )
