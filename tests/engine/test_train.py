"""Training as a whole: what is learned, when it stops, which state is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import reference
from tests.conftest import WITHOUT_JIT
from udt.csr import CSR, one_class
from udt.engine import train as module
from udt.engine.kernels import train_rows
from udt.engine.mix import Mix, mix_loss, mix_probas
from udt.engine.network import Network, dense_work
from udt.engine.train import (
    Holdout,
    Trained,
    logits,
    longest_row,
    predict,
    predict_counted,
    train,
)
from udt.errors import DivergedError
from udt.settings import NetworkSettings, TrainSettings

N_ROWS = 160 if WITHOUT_JIT else 600
SHAPE = NetworkSettings(width=8)
SETTINGS = TrainSettings(epochs=4, dropout=0.3)


def make_task(
    rng: np.random.Generator, n_rows: int = N_ROWS, n_classes: int = 3, n_features: int = 40
) -> tuple[CSR, np.ndarray]:
    """Rows whose class has features of its own, among others that say nothing."""
    y = rng.integers(0, n_classes, n_rows).astype(np.int32)
    p = np.full((n_classes, n_features), 0.15)
    for c in range(n_classes):
        p[c, c :: 2 * n_classes] = 0.6
    held = rng.random((n_rows, n_features)) < p[y]
    held[:, -1] = True
    return reference.sparse(held / np.sqrt(held.sum(axis=1, keepdims=True))), y


def held_out(rng: np.random.Generator, n_rows: int) -> Holdout:
    rows, y = make_task(rng, n_rows)
    return Holdout(rows, one_class(y))


def make_xor(rng: np.random.Generator, n_rows: int) -> tuple[CSR, np.ndarray]:
    """Rows that no linear model can tell apart: one of two features, or both and neither."""
    bits = rng.integers(0, 2, (n_rows, 2))
    X = np.concatenate([bits, 1 - bits], axis=1) / np.sqrt(2)
    return reference.sparse(X), (bits[:, 0] ^ bits[:, 1]).astype(np.int32)


def random_labels(rng: np.random.Generator) -> tuple[CSR, np.ndarray, Holdout]:
    """Rows that can only be learned by heart, and held-out rows where that is of no use."""
    held = rng.random((N_ROWS, 60)) < 0.2
    held[:, 0] = True
    y = rng.integers(0, 2, N_ROWS).astype(np.int32)
    half = N_ROWS // 2
    return (
        reference.sparse(held[:half] * 1.0),
        y[:half],
        Holdout(reference.sparse(held[half:] * 1.0), one_class(y[half:])),
    )


def accuracy(trained: Trained, rows: CSR, y: np.ndarray, deep: bool) -> float:
    return float((logits(trained.network, rows)[deep].argmax(axis=1) == y).mean())


def assert_same_network(a: Trained, b: Trained) -> None:
    for x, y in zip(a.network, b.network, strict=True):
        assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_both_paths_learn_what_can_be_told_apart(rng, n_threads):
    rows, y = make_task(rng)
    test_rows, test_y = make_task(rng)
    settings = replace(SETTINGS, epochs=15)
    trained = train(rows, one_class(y), 3, SHAPE, settings, n_threads=n_threads, seed=1)
    assert accuracy(trained, test_rows, test_y, deep=False) > 0.9
    assert accuracy(trained, test_rows, test_y, deep=True) > 0.9
    losses = [(e["loss_wide"], e["loss_deep"]) for e in trained.history]
    assert losses[-1][0] < 0.7 * losses[0][0]
    assert losses[-1][1] < 0.7 * losses[0][1]


def test_the_deep_path_learns_what_no_linear_one_can(rng):
    rows, y = make_xor(rng, 400)
    settings = TrainSettings(epochs=40 if not WITHOUT_JIT else 15, lr=0.5, dropout=0.0)
    trained = train(
        rows, one_class(y), 2, NetworkSettings(width=16, init_scale=1), settings, seed=1
    )
    assert accuracy(trained, rows, y, deep=True) > 0.99
    assert accuracy(trained, rows, y, deep=False) < 0.8


@pytest.mark.parametrize("width", [0, 8])
def test_one_thread_and_a_seed_decide_everything(rng, width):
    rows, y = make_task(rng)
    shape = NetworkSettings(width=width)
    one, same, other = (train(rows, one_class(y), 3, shape, SETTINGS, seed=s) for s in (5, 5, 6))
    assert_same_network(one, same)
    assert [e["loss_wide"] for e in one.history] == [e["loss_wide"] for e in same.history]
    assert one.network.w_wide.tobytes() != other.network.w_wide.tobytes()


def test_watching_does_not_change_what_is_learned(rng):
    rows, y = make_task(rng)
    holdout = held_out(rng, 100)
    plain, watched = (
        train(rows, one_class(y), 3, SHAPE, SETTINGS, holdout=h, seed=2) for h in (None, holdout)
    )
    assert [e["loss_deep"] for e in plain.history] == [e["loss_deep"] for e in watched.history]


def test_only_the_chosen_rows_are_learned_from(rng):
    rows, y = make_task(rng)
    which = np.sort(rng.choice(N_ROWS, N_ROWS // 2, replace=False))
    spoiled = y.copy()
    spoiled[np.setdiff1d(np.arange(N_ROWS), which)] = -1
    one = train(rows, one_class(y), 3, SHAPE, SETTINGS, which=which)
    other = train(rows, one_class(spoiled), 3, SHAPE, SETTINGS, which=which)
    assert_same_network(one, other)
    assert one.history[-1]["rows_seen"] == 4 * len(which)
    assert 0 < one.work <= 1


def test_the_best_state_on_held_out_rows_is_kept(rng):
    rows, y, holdout = random_labels(rng)
    settings = TrainSettings(epochs=12, lr=0.5, dropout=0.0, patience_epochs=0)
    trained = train(rows, one_class(y), 2, SHAPE, settings, holdout=holdout)
    held = [entry["holdout_loss"] for entry in trained.history]
    assert trained.best_epoch == int(np.argmin(held)) + 1 < len(held) == 12
    assert trained.mix is not None
    loss, accuracy_ = mix_loss(*logits(trained.network, holdout.rows), holdout.targets, trained.mix)
    best = trained.history[trained.best_epoch - 1]
    assert (loss, accuracy_) == (best["holdout_loss"], best["holdout_accuracy"])


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_ends_it(rng, patience):
    rows, y, holdout = random_labels(rng)
    settings = TrainSettings(epochs=30, lr=0.5, dropout=0.0, patience_epochs=patience)
    trained = train(rows, one_class(y), 2, SHAPE, settings, holdout=holdout)
    assert len(trained.history) == trained.best_epoch + patience < 30
    endless = train(rows, one_class(y), 2, SHAPE, replace(settings, epochs=6, patience_epochs=1))
    assert len(endless.history) == 6  # nothing is watched


@pytest.mark.parametrize("with_holdout", [False, True])
def test_the_caller_can_end_it(rng, with_holdout):
    rows, y = make_task(rng)
    holdout = Holdout(rows, one_class(y)) if with_holdout else None
    entries: list[dict[str, Any]] = []

    def on_epoch(entry: dict[str, Any]) -> bool:
        entries.append(entry)
        return len(entries) < 2

    trained = train(rows, one_class(y), 3, SHAPE, SETTINGS, holdout=holdout, on_epoch=on_epoch)
    assert trained.history == entries
    assert [(e["epoch"], e["rows_seen"]) for e in entries] == [(1, N_ROWS), (2, 2 * N_ROWS)]
    assert entries[0].keys() >= {"seconds", "loss_wide", "loss_deep"}
    assert ("holdout_loss" in entries[0]) == with_holdout
    assert not trained.interrupted
    assert (trained.mix is not None) == with_holdout


def interrupt_in(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in the midst of an epoch."""
    original = module._Run.epoch

    def pressed(self: Any, now: int, pool: Any) -> Any:
        losses = original(self, now, pool)
        if now == epoch:
            raise KeyboardInterrupt
        return losses

    monkeypatch.setattr(module._Run, "epoch", pressed)


def test_an_interrupt_keeps_the_best_so_far(rng, monkeypatch):
    rows, y = make_task(rng)
    interrupt_in(2, monkeypatch)
    trained = train(rows, one_class(y), 3, SHAPE, SETTINGS, holdout=Holdout(rows, one_class(y)))
    assert trained.interrupted
    assert len(trained.history) == 2
    assert trained.best_epoch in (1, 2)
    assert trained.work > 0


def test_an_interrupt_before_anything_is_learned_is_passed_on(rng, monkeypatch):
    rows, y = make_task(rng)
    interrupt_in(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(rows, one_class(y), 3, SHAPE, SETTINGS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("with_holdout", [False, True])
def test_lost_numbers_are_an_error(rng, value, with_holdout):
    rows, y = make_task(rng)
    holdout = held_out(rng, 80) if with_holdout else None
    rows.values[len(rows.values) // 2] = value
    with (
        np.errstate(invalid="ignore", over="ignore"),
        pytest.raises(DivergedError, match="extreme numbers in the table"),
    ):
        train(rows, one_class(y), 3, SHAPE, SETTINGS, holdout=holdout)


@pytest.mark.parametrize("value", [1e15, 1e30])
def test_huge_features_are_learned_from_or_refused(rng, value):
    """Never a network with lost numbers."""
    rows, y = make_task(rng)
    rows.values[::7] = value
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            trained = train(rows, one_class(y), 3, SHAPE, SETTINGS)
    except DivergedError:
        return
    assert all(np.isfinite(a).all() for a in trained.network)


def test_a_rate_that_loses_the_numbers_is_lowered(rng, monkeypatch):
    """At 1e38 the logits overflow, at a quarter of it they do not."""
    rows, y = make_task(rng)
    rates = []

    def recording(*args):
        rates.append(float(args[-1].lr))
        return train_rows(*args)

    monkeypatch.setattr(module, "train_rows", recording)
    with np.errstate(invalid="ignore", over="ignore"):
        trained = train(rows, one_class(y), 3, NetworkSettings(width=0), replace(SETTINGS, lr=1e38))
    np.testing.assert_allclose(rates[:2], [1e38, 0.25e38], rtol=1e-5)
    assert all(np.isfinite(a).all() for a in trained.network)
    assert [e["epoch"] for e in trained.history] == [1, 2, 3, 4]
    assert 0 < trained.work <= 1


def test_a_loss_that_is_finite_does_not_hide_lost_weights(rng, monkeypatch):
    """The last row's step is not in any loss."""
    rows, y = make_task(rng)

    def losing(network, *others):
        network.w_wide[-1, 0] = np.inf
        return 0.0, 0.0, 0, 0

    monkeypatch.setattr(module, "train_rows", losing)
    with pytest.raises(DivergedError):
        train(rows, one_class(y), 3, SHAPE, SETTINGS)


def test_a_lower_rate_is_tried_three_times(rng, monkeypatch):
    rows, y = make_task(rng)
    rates = []

    def losing(network, scratch, rows, targets, order, start, stop, step):
        rates.append(float(step.lr))
        return np.nan, 0.0, 0, 0

    monkeypatch.setattr(module, "train_rows", losing)
    with pytest.raises(DivergedError, match=r"learning rate of 0\.0031"):
        train(rows, one_class(y), 3, SHAPE, replace(SETTINGS, lr=0.2))
    np.testing.assert_allclose(rates, [0.2, 0.05, 0.0125, 0.003125], rtol=1e-5)


def test_the_rate_falls_to_nothing_and_each_row_is_seen_once_an_epoch(rng, monkeypatch):
    rows, y = make_task(rng)
    calls = []

    def recording(network, scratch, rows, targets, order, start, stop, step):
        calls.append((order[start:stop], step, len(order)))
        return 0.0, 0.0, 0, 0

    monkeypatch.setattr(module, "train_rows", recording)
    train(rows, one_class(y), 3, SHAPE, SETTINGS, n_threads=2)
    for epoch in range(4):
        seen = np.concatenate([order for order, *_ in calls[2 * epoch : 2 * epoch + 2]])
        assert sorted(seen.tolist()) == [*range(N_ROWS)]
        assert not np.array_equal(seen, np.arange(N_ROWS))
    assert calls[0][1].lr == np.float32(SETTINGS.lr)
    order, step, _ = calls[-1]
    assert float(step.lr - len(order) * step.lr_fall) == pytest.approx(0, abs=1e-6)
    assert all(isinstance(value, np.float32) for value in step[:8])


def test_work_is_counted(rng):
    rows, y = make_task(rng)
    everything = TrainSettings(epochs=3, dropout=0, skip_below=0, skip_wide_below=0, rest_below=0)
    work = train(rows, one_class(y), 3, NetworkSettings(width=0), everything).work
    assert work == 1
    inner, outer = 2 * (3 + 8) * len(rows.indices), 3 * 8 * 3 * rows.n_rows
    dense = train(rows, one_class(y), 3, SHAPE, everything)
    assert inner / (inner + outer) < dense.work < 1  # neurons at 0 meet no class
    assert dense.n_done == round(dense.work * 3 * (inner + outer))
    half = train(rows, one_class(y), 3, SHAPE, replace(everything, dropout=0.5)).work
    assert half - dense.work == pytest.approx(-inner / 2 / (inner + outer), rel=0.1)
    no_deep_backward = train(rows, one_class(y), 3, SHAPE, replace(everything, skip_below=1e9)).work
    most = 2 * 3 + 8
    assert no_deep_backward < (most * len(rows.indices) + outer / 3) / (inner + outer)
    for less in ({"skip_wide_below": 1e9}, {"rest_below": 1e9}):
        assert train(rows, one_class(y), 3, SHAPE, replace(everything, **less)).work < dense.work
    nothing = CSR(np.zeros(4, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 5)
    assert 0 <= train(nothing, one_class(np.array([0, 1, 0])), 2, SHAPE, everything).work <= 1


def test_learned_rows_rest_and_the_loss_is_that_of_the_others(rng):
    rows, y = make_task(rng)
    settings = TrainSettings(epochs=7, dropout=0, rest_below=1e9)
    history = train(rows, one_class(y), 3, SHAPE, settings).history
    rested = [e["loss_deep"] == 0 for e in history]
    assert rested == [False, True, False, True, True, False, True]


# -- Some neurons only -----------------------------------------------------------------------------


class Blocks:
    """Selects as many blocks as its epoch says, from the row's number on; notes all calls."""

    def __init__(self, n_blocks: int, *, wants_feedback: bool = False) -> None:
        self.n_blocks, self.wants_feedback = n_blocks, wants_feedback
        self.n_active = n_blocks
        self.n_active_of: list[int] = []
        self.drawn: list[int] = []
        self.asked: list[int] = []
        self.learned: list[int] = []

    def on_epoch(self, network: Network, epoch: int) -> None:
        self.n_active_of.append(self.n_active)

    def _fill(self, order: np.ndarray, out: np.ndarray) -> None:
        assert len(out) >= len(order)
        assert out.dtype == np.uint16
        for i, row in enumerate(order):
            own = (row + np.arange(self.n_active)) % self.n_blocks
            out[i] = np.sort(own)

    def query(self, rows: CSR, order: np.ndarray, start: int, stop: int, out: np.ndarray) -> None:
        self.asked += order[start:stop].tolist()
        self._fill(order[start:stop], out)

    def draw(self, rows: CSR, order: np.ndarray, start: int, stop: int, out: np.ndarray) -> None:
        self.drawn += order[start:stop].tolist()
        self._fill(order[start:stop], out)

    def learn(self, rows, order, start, stop, active, gain) -> None:
        assert active.shape == gain.shape == (stop - start, self.n_active)
        own = np.empty_like(active)
        self._fill(order[start:stop], own)
        np.testing.assert_array_equal(active, own)
        assert (gain >= 0).all()
        assert gain.any()
        self.learned += order[start:stop].tolist()

    def state(self) -> Any:
        raise AssertionError("a training does not ask for the state of its selector")


WIDE = NetworkSettings(width=64)


@pytest.fixture
def small_chunks(monkeypatch):
    """Make chunks that the few rows of a test fill several of."""
    monkeypatch.setattr(module, "_CHUNK_ROWS", 50)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_blocks_are_chosen_for_each_row_of_each_epoch(rng, n_threads):
    rows, y = make_task(rng)
    selector = Blocks(4, wants_feedback=True)
    settings = replace(SETTINGS, rest_below=0, skip_below=0)
    trained = train(rows, one_class(y), 3, WIDE, settings, n_threads=n_threads, selector=selector)
    for calls in (selector.drawn, selector.learned):
        assert sorted(calls) == sorted([*range(N_ROWS)] * 4)
    assert trained.selector is selector
    assert selector.asked == []
    logits(trained.network, rows, n_threads, selector)
    assert sorted(selector.asked) == [*range(N_ROWS)]


@pytest.mark.usefixtures("small_chunks")
def test_all_blocks_are_the_dense_network(rng):
    rows, y = make_task(rng)
    dense, sparse = (
        train(rows, one_class(y), 3, WIDE, SETTINGS, selector=selector, seed=3)
        for selector in (None, Blocks(4))
    )
    np.testing.assert_allclose(
        [e["loss_deep"] for e in sparse.history], [e["loss_deep"] for e in dense.history], rtol=0.02
    )
    z_sparse = logits(sparse.network, rows, 1, Blocks(4))[1]
    np.testing.assert_allclose(z_sparse, logits(sparse.network, rows)[1], rtol=1e-4, atol=1e-5)
    mix = Mix(np.float32(0.5), np.float32(1), np.float32(1))
    sparse_probas, dense_probas = (
        predict(sparse.network, rows, mix, selector=each) for each in (Blocks(4), None)
    )
    np.testing.assert_allclose(sparse_probas, dense_probas, atol=1e-6)


@pytest.mark.usefixtures("small_chunks")
def test_fewer_blocks_are_less_work(rng):
    rows, y = make_task(rng)
    selector = Blocks(4)
    selector.n_active = 1
    settings = TrainSettings(epochs=3, dropout=0, skip_below=0, skip_wide_below=0, rest_below=0)
    sparse = train(rows, one_class(y), 3, WIDE, settings, selector=selector, seed=3)
    inner, outer = 2 * len(rows.indices), 3 * 3 * rows.n_rows
    assert sparse.work < ((3 + 16) * inner + 16 * outer) / ((3 + 64) * inner + 64 * outer)
    same = train(rows, one_class(y), 3, WIDE, settings, selector=copy_of(selector, 1), seed=3)
    assert_same_network(sparse, same)


def copy_of(selector: Blocks, n_active: int) -> Blocks:
    copy = Blocks(selector.n_blocks)
    copy.n_active = n_active
    return copy


@pytest.mark.usefixtures("small_chunks")
def test_the_number_of_blocks_may_change_between_epochs(rng):
    rows, y = make_task(rng)

    class Falling(Blocks):
        def on_epoch(self, network: Network, epoch: int) -> None:
            self.n_active = 4 - epoch
            super().on_epoch(network, epoch)

    selector = Falling(4, wants_feedback=True)
    train(rows, one_class(y), 3, WIDE, replace(SETTINGS, rest_below=0), selector=selector)
    assert selector.n_active_of == [4, 3, 2, 1]


def test_the_selector_of_the_best_state_is_kept(rng):
    rows, y, holdout = random_labels(rng)

    class Counting(Blocks):
        def on_epoch(self, network: Network, epoch: int) -> None:
            self.epoch = epoch

    selector = Counting(4)
    settings = TrainSettings(epochs=12, lr=0.5, dropout=0.0, patience_epochs=0)
    trained = train(rows, one_class(y), 2, WIDE, settings, holdout=holdout, selector=selector)
    assert 1 <= trained.best_epoch < 12
    assert trained.selector.epoch == trained.best_epoch - 1
    assert selector.epoch == 11


# -- Predicting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_predictions_do_not_depend_on_threads(rng, n_threads):
    rows, y = make_task(rng)
    network = train(rows, one_class(y), 3, SHAPE, SETTINGS).network
    mix = Mix(np.float32(0.25), np.float32(0.8), np.float32(1.5))
    one, many = logits(network, rows), logits(network, rows, n_threads)
    for a, b in zip(one, many, strict=True):
        assert a.tobytes() == b.tobytes()
    probas, work = predict_counted(network, rows, mix, n_threads)
    np.testing.assert_allclose(probas, mix_probas(*one, mix), atol=1e-6)
    assert probas.tobytes() == predict(network, rows, mix).tobytes()
    dense = dense_work(3, 8, len(rows.indices), rows.n_rows, is_training=False)
    assert 11 * len(rows.indices) < work < dense
    sure = predict_counted(network, rows, mix._replace(exit_above=np.float32(0)), n_threads)
    assert sure[1] == 3 * len(rows.indices)


def test_no_rows_no_predictions(rng):
    rows, y = make_task(rng)
    network = train(rows, one_class(y), 3, SHAPE, SETTINGS).network
    nothing = CSR(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 40)
    mix = Mix(np.float32(0.5), np.float32(1), np.float32(1))
    assert predict(network, nothing, mix, 2).shape == (0, 3)


def test_helpers():
    assert one_class(np.array([2, 0], np.int64)).ids.dtype == np.int32
    assert one_class(np.array([2, 0])).indptr.tolist() == [0, 1, 2]
    assert longest_row(reference.sparse(np.array([[1, 1, 0], [0, 0, 0]]))) == 2
    assert longest_row(reference.sparse(np.zeros((2, 3)))) == 1
