"""What a race is given, and what it gives back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from udt.csr import Targets
from udt.engine.network import dense_work
from udt.featurizers.rows import RowEncoder
from udt.featurizers.schema import Schema
from udt.heads import Head
from udt.metrics import Predicted
from udt.table import Table

Rows = npt.NDArray[np.int64]

Note = Callable[[str, float | None, str], None]
"""Called with a stage, the share of it that is done (or None) and a note."""

_FEATURE_GROWTH = 0.5
_MAX_FEATURES = 500_000
_CV_ROWS = 8_000
_N_FOLDS = 5
_COUNTED_ROWS = 1_000
_MIN_HOLDOUT_ROWS, _MAX_HOLDOUT_ROWS = 1_000, 4_000
_RACE_SHARE, _FINAL_SHARE = 0.2, 0.05


def grown(max_features: int, growth: float) -> int:
    """Return how many features to keep of so many times the rows: more, but not as many times."""
    return min(_MAX_FEATURES, int(max_features * max(1.0, growth) ** _FEATURE_GROWTH))


class Budget:
    """How long the run may take.

    Parameters
    ----------
    limit_s : float or None
        Seconds from now on; None = as long as it takes.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._started = time.perf_counter()
        self.limit_s = limit_s

    def allows(self, seconds: float, share: float = 1.0) -> bool:
        """Whether so many seconds more end within a share of the limit."""
        if self.limit_s is None:
            return True
        spent = time.perf_counter() - self._started
        return spent + seconds <= share * self.limit_s


@dataclass(frozen=True)
class Task:
    """What is to be learned, and with what.

    Attributes
    ----------
    table, schema : Table, Schema
        All rows; the kinds of their columns.
    targets : Targets
        Classes of each row.
    n_classes : int
        Number of classes.
    is_multi_label : bool
        Whether a row may have several.
    n_train : int
        Rows from this one on are the user's own rows to make choices on; n_rows = there are none.
    width : int or None
        Hidden neurons, if the user has set them.
    n_threads, n_train_threads : int
        Threads for everything; for the final training (one = a function of the seed alone).
    seed : int
        Seed.
    budget : Budget
        Time to keep to.
    note : Note
        Told of what happens.
    sparsity : float or None
        Fraction of the hidden neurons to compute for a row, if the user has set it.
    selector : str or None
        How they are chosen, if the user has set it.
    """

    table: Table
    schema: Schema
    targets: Targets
    n_classes: int
    is_multi_label: bool
    n_train: int
    width: int | None
    n_threads: int
    n_train_threads: int
    seed: int
    budget: Budget
    note: Note
    sparsity: float | None = None
    selector: str | None = None


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows held out."""

    train: Rows
    holdout: Rows


@dataclass(frozen=True)
class Choice:
    """Something that was decided, and why."""

    what: str
    value: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return a JSON-able copy."""
        return {"what": self.what, "value": self.value, "reason": self.reason}


@dataclass(frozen=True)
class Learned:
    """The model that a race led to, and what is to be told of it.

    Attributes
    ----------
    encoder, head
        The model (see `udt.predictor.Predictor`).
    kinds : tuple of str
        Kinds of n-grams that it was trained on.
    history : list of dict
        One entry per epoch of the final training.
    work_train, work_predict : float
        Counted multiply-adds of the final training, and of predicting held-out rows, ÷ those of
        the same network dense.
    deep_fraction : float
        Share of held-out rows that take the deep path.
    held : ndarray of int64
        Held-out row numbers.
    held_predicted : Predicted
        What a network that did not train on them says of these.
    leaderboard : list of dict
        All trials, best first: name, metric, loss, seconds.
    choices : list of Choice
        What was decided and why.
    interrupted : bool
        Whether the user ended it early.
    """

    encoder: RowEncoder
    head: Head
    kinds: tuple[str, ...]
    history: list[dict[str, Any]]
    work_train: float
    work_predict: float
    deep_fraction: float
    held: Rows
    held_predicted: Predicted
    leaderboard: list[dict[str, Any]]
    choices: list[Choice]
    interrupted: bool


class Placed(Protocol):
    """What a leaderboard asks of a trial."""

    @property
    def name(self) -> str:
        """Of its pipeline."""

    @property
    def accuracy(self) -> float:
        """On held-out rows."""

    @property
    def loss(self) -> float:
        """On held-out rows, nats."""

    @property
    def seconds(self) -> float:
        """Of its trainings."""


def leaderboard(trials: Sequence[Placed]) -> list[dict[str, Any]]:
    """Return the trials as records, best first."""
    return [
        {"name": t.name, "metric": t.accuracy, "loss": t.loss, "seconds": t.seconds}
        for t in sorted(trials, key=lambda trial: trial.loss)
    ]


def work_predict(task: Task, encoder: RowEncoder, head: Head, held: Rows, width: int) -> float:
    """Return the multiply-adds of predicting held-out rows ÷ those of a dense network."""
    rows = encoder.transform(task.table.take(held[:_COUNTED_ROWS]))
    dense = dense_work(task.n_classes, width, len(rows.indices), rows.n_rows, is_training=False)
    return head.count(rows) / max(1, dense)


def sample(task: Task, n_rows: int, rng: np.random.Generator) -> tuple[Rows, list[Split]]:
    """Return the rows that race, at most n_rows of those to train on, and how these are split.

    The user's own rows to make choices on, if there are any, are held out; else rows are.
    """
    n_raced = min(n_rows, task.n_train)
    sampled = np.arange(task.n_train)
    if n_raced < task.n_train:
        sampled = np.sort(rng.choice(task.n_train, n_raced, replace=False))
    n_given = task.table.n_rows - task.n_train
    if n_given == 0:
        return sampled, make_splits(n_raced, rng)
    split = Split(np.arange(n_raced), np.arange(n_raced, n_raced + n_given))
    return np.concatenate([sampled, np.arange(task.n_train, task.table.n_rows)]), [split]


def final_holdout(task: Task, rng: np.random.Generator) -> Rows:
    """Return the rows that the final training is watched on."""
    n = task.table.n_rows
    if task.n_train < n:
        return np.arange(task.n_train, n)
    return np.sort(rng.choice(n, _holdout_rows(n, _FINAL_SHARE), replace=False))


def make_splits(n_rows: int, rng: np.random.Generator) -> list[Split]:
    """Return folds for small tables, one holdout for others."""
    order = rng.permutation(n_rows)
    if n_rows <= _CV_ROWS:
        n_folds = min(_N_FOLDS, n_rows)
        parts = [np.sort(order[i::n_folds]) for i in range(n_folds)]
    else:
        parts = [np.sort(order[: _holdout_rows(n_rows, _RACE_SHARE)])]
    everything = np.arange(n_rows)
    return [Split(np.setdiff1d(everything, p, assume_unique=True), p) for p in parts]


def _holdout_rows(n_rows: int, share: float) -> int:
    return int(np.clip(n_rows * share, _MIN_HOLDOUT_ROWS, _MAX_HOLDOUT_ROWS))
