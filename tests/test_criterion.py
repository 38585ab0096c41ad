"""What a race chooses by: costs of rows whose mean is the metric."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from udt.criterion import row_costs
from udt.csr import Targets, one_class

N_CLASSES = 4


def guesses(rng: np.random.Generator, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    y = rng.choice(N_CLASSES, n, p=[0.6, 0.25, 0.1, 0.05])
    guess = np.where(rng.random(n) < 0.7, y, rng.integers(0, N_CLASSES, n))
    return y, guess


def test_the_mean_cost_is_one_less_the_metric(rng):
    y, guess = guesses(rng)
    losses = rng.random(len(y)).astype(np.float32)
    targets, chosen = one_class(y), one_class(guess)

    def mean(metric: str | None) -> float:
        return float(row_costs(metric, losses, chosen, targets, N_CLASSES).mean())

    assert mean("accuracy") == pytest.approx(1 - accuracy_score(y, guess), abs=1e-6)
    assert mean("macro_f1") == pytest.approx(1 - f1_score(y, guess, average="macro"), abs=1e-6)
    assert mean("log_loss") == mean(None) == pytest.approx(losses.mean())


def test_weights_count_as_repeated_rows(rng):
    y, guess = guesses(rng, 200)
    times = rng.integers(1, 4, len(y))
    losses = np.zeros(len(y), np.float32)
    weighted = one_class(y)._replace(weights=times.astype(np.float32))
    for metric in ("accuracy", "macro_f1"):
        costs = row_costs(metric, losses, one_class(guess), weighted, N_CLASSES)
        again = np.repeat(y, times), np.repeat(guess, times)
        repeated = row_costs(
            metric, np.zeros(len(again[0]), np.float32), one_class(again[1]), one_class(again[0]),
            N_CLASSES,
        )  # fmt: skip
        assert costs.mean() == pytest.approx(repeated.mean(), abs=1e-5)


def test_influences_foretell_what_one_row_changes(rng):
    y, guess = guesses(rng, 2_000)
    costs = row_costs("macro_f1", np.zeros(len(y), np.float32), one_class(guess), one_class(y), 4)
    whole = f1_score(y, guess, average="macro")
    for row in rng.integers(0, len(y), 20):
        without = f1_score(np.delete(y, row), np.delete(guess, row), average="macro")
        influence = (1 - costs[row]) - whole  # n × what the row adds
        assert whole - without == pytest.approx(influence / len(y), rel=0.02, abs=1e-6)


def test_several_labels_count_pair_by_pair():
    truth = Targets(np.array([0, 2, 3, 4]), np.array([0, 1, 1, 2], np.int32))
    chosen = Targets(np.array([0, 1, 3, 4]), np.array([0, 1, 2, 2], np.int32))
    there = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    guess = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    losses = np.zeros(3, np.float32)
    costs = row_costs("macro_f1", losses, chosen, truth, 3)
    assert 1 - costs.mean() == pytest.approx(f1_score(there, guess, average="macro"), abs=1e-6)
    exact = row_costs("accuracy", losses, chosen, truth, 3)
    assert exact.tolist() == [1, 1, 0]
