"""What a race is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from udt.budget import Budget
from udt.csr import Targets
from udt.engine.network import dense_work
from udt.featurizers.duplicates import duplicate_groups
from udt.featurizers.rows import RowEncoder
from udt.featurizers.schema import Schema
from udt.heads import Head
from udt.metrics import Predicted
from udt.recall import Recall
from udt.resume import TrialStore
from udt.stack import Stack
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
_RACE_SHARE, _FINAL_SHARE, _MOST_HELD = 0.2, 0.05, 0.3


def grown(max_features: int, growth: float) -> int:
    """Return how many features to keep of so many times the rows: more, but not as many times."""
    return min(_MAX_FEATURES, int(max_features * max(1.0, growth) ** _FEATURE_GROWTH))


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
        Time, memory and size to keep to.
    note : Note
        Told of what happens.
    sparsity : float or None
        Fraction of the hidden neurons to compute for a row, if the user has set it.
    selector : str or None
        How they are chosen, if the user has set it.
    metric : str or None
        What the race chooses by (see `udt.criterion`); None = the calibrated loss.
    preset : {"fast", "balanced", "best"}
        How much the race tries.
    n_test : int
        Rows that the model will be measured on.
    store : TrialStore or None
        Where the race keeps what it has found, to go on from if it is killed.
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
    metric: str | None = None
    preset: str = "balanced"
    n_test: int = 0
    store: TrialStore | None = None

    def tell_epoch(self, entry: dict[str, Any], n_epochs: int) -> None:
        """Tell of a pass of the final training, by its entry of the history."""
        accuracy = entry.get("holdout_accuracy")
        text = "" if accuracy is None else f", accuracy {accuracy:.3f}"
        self.note("fit", entry["epoch"] / n_epochs, f"epoch {entry['epoch']}{text}")


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
    recall : Recall or None
        What the model keeps to go on learning; None = it cannot.
    stack : Stack or None
        Trees that answer beside the network.
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
    recall: Recall | None = None
    stack: Stack | None = None


def decision_choice(factors: npt.NDArray[np.float32], n_held: int) -> list[Choice]:
    """Say how labels follow from probabilities, where not always the most probable one is given."""
    if not len(factors):
        return []
    why = f"highest macro-F1 on {n_held:,} held-out rows"
    if len(factors) == 2:
        return [Choice("threshold", f"{factors[0]:.2f} for the second label", why)]
    least, most = factors.min() / factors.mean(), factors.max() / factors.mean()
    return [Choice("labels", f"probabilities × {least:.2f} to {most:.2f} by class", why)]


class Judged:
    """A trial by what its held-out rows cost under the metric of the race: by default nats."""

    row_costs: npt.NDArray[np.float32]

    @property
    def cost(self) -> float:
        """What the race chooses by."""
        return float(self.row_costs.mean())

    def beats(self, other: Judged) -> bool:
        """Whether it is better on the same rows by more than a standard error."""
        gains = other.row_costs - self.row_costs
        return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


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
    def cost(self) -> float:
        """On held-out rows, under the metric of the race."""

    @property
    def seconds(self) -> float:
        """Of its trainings."""


def leaderboard(trials: Sequence[Placed], metric: str | None = None) -> list[dict[str, Any]]:
    """Return the trials as records, best first; ``metric`` is what was chosen by, or accuracy."""

    def value(trial: Placed) -> float:
        if metric is None:
            return trial.accuracy
        return trial.cost if metric == "log_loss" else 1 - trial.cost

    return [
        {"name": t.name, "metric": value(t), "loss": t.loss, "seconds": t.seconds}
        for t in sorted(trials, key=lambda trial: trial.cost)
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
        raced = task.table if n_raced == task.n_train else task.table.take(sampled)
        return sampled, make_splits(duplicate_groups(raced, task.schema), rng)
    split = Split(np.arange(n_raced), np.arange(n_raced, n_raced + n_given))
    return np.concatenate([sampled, np.arange(task.n_train, task.table.n_rows)]), [split]


def final_holdout(task: Task, rng: np.random.Generator) -> Rows:
    """Return the rows that the final training is watched on."""
    n = task.table.n_rows
    if task.n_train < n:
        return np.arange(task.n_train, n)
    return _draw_holdout(duplicate_groups(task.table, task.schema), _FINAL_SHARE, rng)


def make_splits(
    groups: Rows, rng: np.random.Generator, *, n_folds: int | None = None
) -> list[Split]:
    """Return folds for small tables, one holdout for others.

    Parameters
    ----------
    groups : ndarray of int64, shape (n_rows,)
        Rows of the same group stay together: a held-out row that was also trained on tells nothing.
    rng : Generator
        Decides which rows are held out.
    n_folds : int, optional
        So many folds, whatever the size of the table.
    """
    n_rows = len(groups)
    if n_folds is not None or n_rows <= _CV_ROWS:
        n_folds = min(n_folds or _N_FOLDS, n_rows)
        fold = rng.permutation(groups.max() + 1)[groups] % n_folds
        parts = [held for i in range(n_folds) if len(held := np.flatnonzero(fold == i))]
    else:
        parts = [_draw_holdout(groups, _RACE_SHARE, rng)]
    everything = np.arange(n_rows)
    return [Split(np.setdiff1d(everything, p, assume_unique=True), p) for p in parts]


def _draw_holdout(groups: Rows, share: float, rng: np.random.Generator) -> Rows:
    """Return the rows of groups drawn at random, about a share of all."""
    rank = rng.permutation(groups.max() + 1)[groups]
    n_held = _holdout_rows(len(groups), share)
    last = np.partition(rank, n_held - 1)[n_held - 1]
    return np.flatnonzero(rank <= last)


def _holdout_rows(n_rows: int, share: float) -> int:
    wanted = np.clip(n_rows * share, _MIN_HOLDOUT_ROWS, _MAX_HOLDOUT_ROWS)
    return int(min(wanted, n_rows * _MOST_HELD))
