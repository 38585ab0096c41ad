"""What can be afforded: how many rows to race on, how many to train on, and how often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udt.budget import encode_seconds, network_bytes, row_bytes, train_seconds, values_per_row
from udt.candidates import Facts, base_network, first_candidates
from udt.candidates import race_rows as rows_to_race
from udt.errors import SettingsError
from udt.featurizers.rows import RowEncoder
from udt.process import memory_bytes
from udt.task import Choice, Rows, Task

Arrays = dict[str, npt.NDArray[Any]]

LEAST_ROWS = 1_000
"""Fewer rows are not worth saving time or memory on."""

_RACE_SHARE = 0.4  # of the time that is left
_KEPT = 0.5  # of a text's n-grams are kept as features
_RACE_SIZE = {"fast": 0.4, "balanced": 1.0, "best": 3.0}
_FILE_BYTES = 60_000  # of a model file without features: schema, report, history
_WEIGHT_BYTES = 2  # float16
_MODEL_SHARE = 0.5  # of a model's size: for the weights, were there no more features than now
_LEAST_FEATURES = 200
_MARGIN = 0.98
_WITH_CHOICE = 1.7  # of the time of encoding, with choosing and weighing features


class Cost(NamedTuple):
    """What decides how long training takes.

    Attributes
    ----------
    kinds : sequence of str
        Kinds of n-grams that are made.
    n_values : float
        Features of a row that are trained on.
    n_columns : int
        Weights of a feature.
    n_features : int
        Features.
    n_epochs : int
        Passes over the rows, if there is time for them.
    n_members : int
        Trainings.
    """

    kinds: Sequence[str]
    n_values: float
    n_columns: int
    n_features: int
    n_epochs: int
    n_members: int = 1


def expected_values(facts: Facts, kinds: Sequence[str]) -> float:
    """Return how many features a row has, about, before any row is encoded."""
    return 1 + _KEPT * values_per_row(facts.text_bytes_per_row, kinds)


def race_rows(task: Task, facts: Facts) -> int:
    """Return how many rows race: fewer where texts are long, or where time is short."""
    wanted = min(task.table.n_rows, int(rows_to_race(facts) * _RACE_SIZE[task.preset]))
    first = first_candidates(facts, *base_network(facts, task.width, task.sparsity, None))
    shape, kinds = first[0].shape, first[0].features.kinds
    n_columns = task.n_classes + round(shape.width * shape.active_fraction)
    cost = Cost(kinds, expected_values(facts, kinds), n_columns, 0, first[0].training.epochs)
    return race_sample(task, facts, wanted, cost, len(first))


def fit_features(task: Task, encoder: RowEncoder, width: int) -> int:
    """Return how many features the model may have.

    Raises
    ------
    SettingsError
        Not even a few of them fit into the size that the user allows.
    """
    limit, n = task.budget.limits.model_bytes, encoder.n_features
    if limit is None:
        return n
    weights = _WEIGHT_BYTES * (task.n_classes + width)
    size = sum(array.nbytes for array in encoder.state()[1].values()) + n * weights
    if _FILE_BYTES + size <= limit:
        return n
    fitting = int(n * (limit - _FILE_BYTES) / size * _MARGIN)
    if fitting < min(n, _LEAST_FEATURES):
        least = _FILE_BYTES + min(n, _LEAST_FEATURES) * size / n / _MARGIN
        raise SettingsError(
            f"The max_model_size of {limit / 1e3:,.0f} kB is too small for this table. Expected "
            f"at least {least / 1e3:,.0f} kB, which hold {_LEAST_FEATURES} features. Raise the "
            "limit, or leave it out."
        )
    return fitting


def fits_model(task: Task, *parts: Arrays) -> bool:
    """Whether a model of these arrays is no larger than the user allows."""
    limit = task.budget.limits.model_bytes
    size = sum(array.nbytes for arrays in parts for array in arrays.values())
    return limit is None or _FILE_BYTES + size <= limit


def encode_s(task: Task, facts: Facts, n_rows: int, kinds: Sequence[str]) -> float:
    """Return what encoding so many rows should take, seconds."""
    return encode_seconds(n_rows, n_rows * facts.text_bytes_per_row, kinds, task.n_threads)


def prepare_s(task: Task, facts: Facts, n_rows: int, kinds: Sequence[str]) -> float:
    """Return what encoding rows, and choosing and weighing features, should take, seconds."""
    return _WITH_CHOICE * encode_s(task, facts, n_rows, kinds)


def train_s(task: Task, cost: Cost, n_rows: int, n_epochs: int) -> float:
    """Return what the final training on so many rows should take, seconds."""
    n_values = cost.n_members * n_rows * cost.n_values
    n_threads = max(task.n_train_threads, min(cost.n_members, task.n_threads))
    return train_seconds(n_values, cost.n_columns, n_epochs, n_threads)


def final_s(task: Task, facts: Facts, cost: Cost) -> float:
    """Return what encoding all rows and training on them should take, seconds."""
    n = task.table.n_rows
    return prepare_s(task, facts, n, cost.kinds) + train_s(task, cost, n, cost.n_epochs)


def race_sample(task: Task, facts: Facts, wanted: int, cost: Cost, n_trials: int) -> int:
    """Return how many rows race: as many as wanted, if there is time for them.

    Parameters
    ----------
    task, facts
        What is to be learned.
    wanted : int
        Rows.
    cost : Cost
        Of a trial.
    n_trials : int
        Trials of the first stage.
    """
    if not task.budget.is_limited:
        return wanted
    n_values = LEAST_ROWS * cost.n_values
    thousand_s = encode_s(task, facts, LEAST_ROWS, cost.kinds)
    thousand_s += n_trials * train_seconds(n_values, cost.n_columns, cost.n_epochs, task.n_threads)
    task.budget.check(2 * thousand_s / max(1, n_trials))
    paced_s = thousand_s * task.budget.pace("train")
    affordable = _RACE_SHARE * task.budget.left_s() / paced_s * LEAST_ROWS
    return min(wanted, max(LEAST_ROWS, int(affordable)))


def affordable_epochs(task: Task, cost: Cost, n_rows: int) -> int:
    """Return how many passes over encoded rows there is time for: one at least."""
    if not task.budget.is_limited:
        return cost.n_epochs
    epoch_s = train_s(task, cost, n_rows, 1) * task.budget.pace("train")
    return int(np.clip(task.budget.left_s() / epoch_s, 1, cost.n_epochs))


def affordable_members(task: Task, facts: Facts, cost: Cost) -> int:
    """Return how many trainings there is time, memory and room in the model for: one at least."""
    n, limits = cost.n_members, task.budget.limits
    raw = values_per_row(facts.text_bytes_per_row, cost.kinds) + 1
    encoded = task.table.n_rows * row_bytes(raw)
    while n > 1:
        in_time = task.budget.allows("train", final_s(task, facts, cost._replace(n_members=n)))
        networks = n * network_bytes(cost.n_features, cost.n_columns)
        in_memory = memory_bytes() + encoded + networks <= (limits.memory_bytes or math.inf)
        model = n * _WEIGHT_BYTES * cost.n_features * cost.n_columns
        if in_time and in_memory and model <= _MODEL_SHARE * (limits.model_bytes or math.inf):
            break
        n //= 2
    return n


def affordable_rows(task: Task, facts: Facts, cost: Cost) -> tuple[int, str]:
    """Return how many rows there is time and memory for, and what limits them.

    Raises
    ------
    SettingsError
        The memory does not suffice for the fewest rows.
    """
    n = task.table.n_rows
    found = [(n, "")]
    if task.budget.is_limited:
        seconds = prepare_s(task, facts, n, cost.kinds) * task.budget.pace("encode")
        seconds += train_s(task, cost, n, 1) * task.budget.pace("train")
        found.append((int(n * task.budget.left_s() / seconds), task.budget.cause))
    if (most := task.budget.limits.memory_bytes) is not None:
        fixed = memory_bytes() + cost.n_members * network_bytes(cost.n_features, cost.n_columns)
        raw = values_per_row(facts.text_bytes_per_row, cost.kinds) + 1
        rows = int((most - fixed) / row_bytes(raw))
        if rows < min(n, LEAST_ROWS):
            least = fixed + min(n, LEAST_ROWS) * row_bytes(raw)
            raise SettingsError(
                f"The max_memory of {most / 1e6:,.0f} MB is too small for this table. Expected "
                f"at least {1.1 * least / 1e6:,.0f} MB: reading it and training on its first rows "
                "takes that. Raise the limit, or leave it out."
            )
        found.append((rows, "memory limit"))
    rows, cause = min(found)
    return max(rows, min(n, LEAST_ROWS)), cause


def shrink(task: Task, n_rows: int, cause: str) -> tuple[Task, Rows, list[Choice]]:
    """Return the task on a sample of its rows, their numbers, and what to tell of it.

    The user's own rows to make choices on all stay.
    """
    if n_rows >= task.table.n_rows:
        return task, np.arange(task.table.n_rows), []
    given = np.arange(task.n_train, task.table.n_rows)
    n_train = max(1, n_rows - len(given))
    rng = np.random.default_rng(task.seed)
    rows = np.append(np.sort(rng.choice(task.n_train, n_train, replace=False)), given)
    smaller = replace(
        task, table=task.table.take(rows), targets=task.targets.take(rows), n_train=n_train
    )
    told = Choice("rows", f"{n_train:,} of {task.n_train:,}, drawn at random", cause)
    return smaller, rows, [told]
