"""Training with many classes as a whole: what is learned, when it stops, what is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import reference
from tests.conftest import WITHOUT_JIT
from udt.csr import CSR, Targets, one_class
from udt.engine import many_train as module
from udt.engine.many import ManyNetwork, ranking
from udt.engine.many_train import (
    ManyTrained,
    fit_temperature,
    no_targets,
    rank,
    row_losses,
    train_many,
)
from udt.engine.train import Holdout
from udt.errors import DivergedError
from udt.settings import ManySettings

N_MANY = 20 if WITHOUT_JIT else 300
N_EACH = 10
SETTINGS = ManySettings(shortlist=16, centroid_scale=3, width=8, n_best=8, n_drawn=8, epochs=3)


def make_task(
    rng: np.random.Generator, n_classes: int = N_MANY, n_each: int = N_EACH
) -> tuple[CSR, Targets, Holdout]:
    """Rows with most of their class's four features and two others; held-out rows."""
    sets = np.stack([rng.permutation(n_classes)[:4] for _ in range(n_classes)])
    y = rng.permutation(np.arange(n_classes).repeat(n_each + 1))
    X = np.zeros((len(y), n_classes))
    for x, c in zip(X, y, strict=True):
        x[rng.permutation(sets[c])[:3]] = 1
        x[rng.integers(0, n_classes, 2)] = 1
    X /= np.sqrt(X.sum(axis=1, keepdims=True))
    n = n_classes * n_each
    holdout = Holdout(reference.sparse(X[n:]), one_class(y[n:]))
    return reference.sparse(X[:n]), one_class(y[:n]), holdout


def accuracy(trained: ManyTrained, holdout: Holdout, n_best: int = 8) -> float:
    how = ranking(trained.network, trained.temperature, n_best)
    ranked, _ = rank(trained.network, holdout.rows, how, 1)
    return float(holdout.targets.contain(ranked.ids[:, 0]).mean())


def all_arrays(trained: ManyTrained) -> list[np.ndarray]:
    return [*trained.network.lists, *trained.network[1:]]


@pytest.mark.parametrize("selector", ["votes", "lsh", "random", "dense"])
def test_what_can_be_told_apart_is_learned(rng, monkeypatch, selector):
    monkeypatch.setattr(module, "_FIRST_REBUILD_ROWS", 100)
    rows, targets, holdout = make_task(rng)
    settings = replace(SETTINGS, selector=selector)
    trained = train_many(rows, targets, N_MANY, settings, holdout=holdout, seed=1)
    untrained = train_many(rows, targets, N_MANY, replace(settings, epochs=0), holdout=holdout)
    assert accuracy(trained, holdout) > 0.6
    losses = [e["loss"] for e in trained.history]
    assert losses[-1] < 0.7 * losses[0]
    assert trained.history[-1]["holdout_loss"] < 0.5 * np.log(N_MANY)
    assert untrained.history == []
    assert untrained.work == 0
    # What is said of held-out rows is what will be predicted.
    how = ranking(trained.network, 1, N_MANY if selector == "dense" else 8)
    ranked, _ = rank(trained.network, holdout.rows, how, 1, holdout.targets)
    loss = row_losses(ranked.true_p, holdout.targets).mean()
    assert trained.history[-1]["holdout_loss"] == pytest.approx(loss, rel=1e-5)
    temperature = fit_temperature(trained.network, holdout, how.n_best)
    assert trained.temperature == pytest.approx(temperature, rel=1e-5)


@pytest.mark.skipif(WITHOUT_JIT, reason="thousands of steps")
@pytest.mark.parametrize("selector", ["votes", "lsh", "random", "dense"])
def test_the_deep_path_learns_what_no_linear_one_can(rng, monkeypatch, selector):
    """The class is the sum of two numbers modulo their range."""
    monkeypatch.setattr(module, "_FIRST_REBUILD_ROWS", 100)
    n = 8
    a, b = rng.integers(0, n, (2, 3_000))
    X = np.concatenate([np.eye(n)[a], np.eye(n)[b]], axis=1) / np.sqrt(2)
    rows, targets = reference.sparse(X), one_class((a + b) % n)
    settings = replace(
        SETTINGS, selector=selector, width=32, init_scale=1, dropout=0, epochs=20, n_best=4,
        n_drawn=3, deep_lr_ratio=0.1, out_lr_ratio=0.1,
    )  # fmt: skip
    deep = train_many(rows, targets, n, settings, seed=1)
    assert accuracy(deep, Holdout(rows, targets), n_best=8) > 0.95
    shallow = train_many(rows, targets, n, replace(settings, width=0), seed=1)
    assert accuracy(shallow, Holdout(rows, targets)) < 0.5


def test_one_thread_and_a_seed_decide_everything(rng, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_REBUILD_ROWS", 100)
    rows, targets, holdout = make_task(rng)
    for selector in ("votes", "lsh"):
        settings = replace(SETTINGS, selector=selector, epochs=2)
        one, same, other = (
            train_many(rows, targets, N_MANY, settings, holdout=h, seed=s)
            for h, s in ((None, 5), (holdout, 5), (None, 6))
        )
        for a, b in zip(all_arrays(one), all_arrays(same), strict=True):
            assert a.tobytes() == b.tobytes()
        assert [e["loss"] for e in one.history] == [e["loss"] for e in same.history]
        assert one.work == same.work
        assert one.network.w_in.tobytes() != other.network.w_in.tobytes()
        assert one.temperature == 1 != same.temperature


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_learn_as_well_as_one(rng, monkeypatch, n_threads):
    monkeypatch.setattr(module, "_ROWS_PER_THREAD", 16)
    rows, targets, holdout = make_task(rng)
    one, many = (
        train_many(rows, targets, N_MANY, SETTINGS, holdout=holdout, n_threads=n, seed=1)
        for n in (1, n_threads)
    )
    assert accuracy(many, holdout) > accuracy(one, holdout) - (0.2 if WITHOUT_JIT else 0.06)
    assert many.history[-1]["loss"] < 1.3 * one.history[-1]["loss"]
    assert many.work == pytest.approx(one.work, rel=0.2)


def test_only_the_chosen_rows_are_learned_from(rng):
    rows, targets, _ = make_task(rng)
    which = np.sort(rng.choice(rows.n_rows, rows.n_rows // 2, replace=False))
    one = train_many(rows, targets, N_MANY, SETTINGS, which=which)
    other = train_many(rows, targets.only(which), N_MANY, SETTINGS, which=which)
    for a, b in zip(all_arrays(one), all_arrays(other), strict=True):
        assert a.tobytes() == b.tobytes()
    assert one.history[-1]["rows_seen"] == 3 * len(which)
    assert 0 < one.work < 1


def test_rows_of_several_classes_and_of_none(rng):
    """Either class of a row is found; a row without one says nothing."""
    rows, targets, _ = make_task(rng)
    both = [[c, (c + 1) % N_MANY] for c in targets.ids.tolist()]
    both[5], both[7] = [], [*range(N_MANY)]
    several = reference.targets(both)
    trained = train_many(rows, several, N_MANY, SETTINGS, seed=1)
    ranked, _ = rank(trained.network, rows, ranking(trained.network, 1, 8), 2)
    hits = [{*ids} == {*row} for ids, row in zip(ranked.ids.tolist(), both, strict=True)]
    assert np.mean(hits) > 0.3


def test_the_caller_can_end_it(rng):
    rows, targets, holdout = make_task(rng)
    entries: list[dict[str, Any]] = []

    def on_epoch(entry: dict[str, Any]) -> bool:
        entries.append(entry)
        return len(entries) < 2

    trained = train_many(rows, targets, N_MANY, SETTINGS, holdout=holdout, on_epoch=on_epoch)
    assert trained.history == entries
    seen = [(e["epoch"], e["rows_seen"]) for e in entries]
    assert seen == [(1, rows.n_rows), (2, 2 * rows.n_rows)]
    assert entries[0].keys() >= {"seconds", "loss", "holdout_loss", "holdout_accuracy"}
    assert not trained.interrupted


def interrupt_in(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C at the end of an epoch."""
    original = module._Run.epoch

    def pressed(self: Any, now: int, pool: Any) -> float:
        loss = original(self, now, pool)
        if now == epoch:
            raise KeyboardInterrupt
        return loss

    monkeypatch.setattr(module._Run, "epoch", pressed)


def test_an_interrupt_keeps_what_is_there(rng, monkeypatch):
    rows, targets, holdout = make_task(rng)
    interrupt_in(1, monkeypatch)
    trained = train_many(rows, targets, N_MANY, SETTINGS, holdout=holdout)
    assert trained.interrupted
    assert len(trained.history) == 1
    assert trained.temperature != 1
    assert accuracy(trained, holdout) > 0.5


def test_an_interrupt_before_anything_is_learned_is_passed_on(rng, monkeypatch):
    rows, targets, _ = make_task(rng)
    interrupt_in(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train_many(rows, targets, N_MANY, SETTINGS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_lost_numbers_are_an_error(rng, value):
    rows, targets, _ = make_task(rng)
    rows.values[len(rows.values) // 2] = value
    with (
        np.errstate(invalid="ignore", over="ignore", divide="ignore"),
        pytest.raises(DivergedError, match="extreme numbers in the table"),
    ):
        train_many(rows, targets, N_MANY, replace(SETTINGS, dropout=0, epochs=1))


def test_a_lower_rate_is_tried_three_times(rng, monkeypatch):
    rows, targets, _ = make_task(rng)
    rates = []

    def losing(*args: Any) -> tuple[float, int]:
        rates.append(float(args[-1].lr))
        return np.nan, 0

    monkeypatch.setattr(module, "train_many_rows", losing)
    with pytest.raises(DivergedError, match=r"learning rate of 0\.031"):
        train_many(rows, targets, N_MANY, SETTINGS)
    np.testing.assert_allclose(rates, [2, 0.5, 0.125, 0.03125], rtol=1e-6)


def test_a_loss_that_is_finite_does_not_hide_lost_weights(rng, monkeypatch):
    """The last row's step is in no loss."""
    rows, targets, _ = make_task(rng)

    def losing(network: ManyNetwork, *args: Any) -> tuple[float, int]:
        network.lists.weights[-1] = np.inf
        return 0.0, 0

    monkeypatch.setattr(module, "train_many_rows", losing)
    with pytest.raises(DivergedError):
        train_many(rows, targets, N_MANY, SETTINGS)


@pytest.mark.parametrize("selector", ["votes", "lsh"])
def test_the_rate_falls_to_nothing_and_each_row_is_seen_once_an_epoch(rng, monkeypatch, selector):
    monkeypatch.setattr(module, "_FIRST_REBUILD_ROWS", 40)
    monkeypatch.setattr(module, "_ROWS_PER_THREAD", 16)
    rows, targets, _ = make_task(rng)
    calls, states = [], set()

    def recording(*args: Any) -> tuple[float, int]:
        order, start, stop, step = args[5:]
        calls.append((order[start:stop], step, args[2]))
        states.add(int(args[1].rng[0]))
        return 0.0, 0

    monkeypatch.setattr(module, "train_many_rows", recording)
    settings = replace(SETTINGS, selector=selector)
    train_many(rows, targets, N_MANY, settings, n_threads=2, seed=7)
    seen = np.concatenate([order for order, *_ in calls])
    for epoch in np.split(seen, 3):
        assert sorted(epoch.tolist()) == [*range(rows.n_rows)]
    assert len(states) == 2  # each thread has random numbers of its own
    assert calls[0][1].lr == np.float32(2)
    order, step, _ = calls[-1]
    assert float(step.lr - len(order) * step.lr_fall) == pytest.approx(0, abs=2 / rows.n_rows)
    assert all(isinstance(value, np.float32) for value in step[:-2])
    assert (len(calls) > 6) == (selector == "lsh")
    assert all((len(tables.planes) > 0) == (selector == "lsh") for *_, tables in calls)


def test_work_is_counted(rng):
    """Lists of all classes that a feature was seen with, every feature kept, nothing drawn."""
    X = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]], float)
    rows, targets = reference.sparse(X), one_class(np.array([0, 1, 2, 1]))
    # Features 0, 1, 2 list classes {0, 2}, {0, 1}, {1}: rows read 4, 3, 2, 1 entries of 3, 2, 2, 1
    # classes, all of which are active.
    settings = ManySettings(
        width=5, shortlist=9, n_best=3, n_drawn=0, epochs=2, dropout=0, skip_below=0
    )
    forward, backward = 10 + 5 * (6 + 8), 10 + 5 * (6 + 2 * 8)
    dense = 2 * 6 * (4 + 5) + 3 * 4 * 5 * 4
    work = train_many(rows, targets, 4, settings).work
    assert work == pytest.approx((forward + backward) / dense)
    work = train_many(rows, targets, 4, replace(settings, skip_below=1e9)).work
    assert work == pytest.approx(forward / dense)
    full = reference.sparse(np.array([[1.0], [1.0]])), one_class(np.array([0, 1]))
    assert train_many(*full, 2, replace(settings, selector="dense")).work == 1


def test_nothing_to_tell_classes_by(rng):
    """Without a feature in any row there are still the classes' frequencies."""
    empty = np.zeros(0, np.int32)
    rows = CSR(np.zeros(41, np.int64), empty, empty.astype(np.float32), 0)
    targets = one_class(np.array([2] * 25 + [0] * 15))
    for n_features in (5, 0):
        rows = rows._replace(n_features=n_features)
        trained = train_many(rows, targets, 3, SETTINGS, holdout=Holdout(rows, targets))
        ranked, _ = rank(trained.network, rows, ranking(trained.network, 1, 8), 3)
        assert ranked.ids[0].tolist() == [2, 0, 1]
        assert 0 <= trained.work <= 1


def test_no_targets():
    assert no_targets(3).counts.tolist() == [0, 0, 0]
