"""The mean of several trainings is one network."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.engine.test_train import SETTINGS, held_out, make_task
from udt.csr import one_class
from udt.engine.members import mean_network, member_seed, train_members
from udt.engine.train import Trained, logits, train
from udt.settings import NetworkSettings

SHAPE = NetworkSettings(width=24)
SEVERAL = replace(SETTINGS, members=3)


@pytest.fixture
def task(rng):
    rows, y = make_task(rng)
    return rows, one_class(y), 3


def one_by_one(task: Any, seed: int = 5, **kwargs: Any) -> list[Trained]:
    return [
        train(*task, SHAPE, SETTINGS, seed=member_seed(seed, i), **kwargs)
        for i in range(SEVERAL.members)
    ]


def test_its_logits_are_the_means_of_its_members(task):
    members = one_by_one(task)
    mean = mean_network([member.network for member in members])
    assert mean.width == 3 * SHAPE.width
    assert mean.w_in.shape[1] > mean.width  # an accumulator's place is left
    expected = np.mean([logits(member.network, task[0]) for member in members], axis=0)
    np.testing.assert_allclose(logits(mean, task[0]), expected, atol=1e-5)


def test_the_mean_of_one_is_that_one(task):
    (network,) = [member.network for member in one_by_one(task)[:1]]
    assert mean_network([network]) is network


def test_networks_without_a_deep_path_have_a_mean(task):
    networks = [train(*task, replace(SHAPE, width=0), SETTINGS, seed=i).network for i in range(2)]
    mean = mean_network(networks)
    assert mean.width == 0
    np.testing.assert_allclose(mean.w_wide, (networks[0].w_wide + networks[1].w_wide) / 2)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_trained_side_by_side_they_are_what_they_are_alone(task, n_threads):
    trained = train_members(*task, SHAPE, SEVERAL, seed=5, n_threads=n_threads)
    members = one_by_one(task)
    mean = mean_network([member.network for member in members])
    for got, expected in zip(trained.network, mean, strict=True):
        assert got.tobytes() == expected.tobytes()
    assert trained.n_done == sum(member.n_done for member in members)
    assert trained.n_epochs == 3 * SETTINGS.epochs
    assert [e["epoch"] for e in trained.history] == [e["epoch"] for e in members[0].history]


def test_held_out_rows_mix_the_mean(task, rng):
    holdout = held_out(rng, 100)
    trained = train_members(*task, SHAPE, SEVERAL, seed=5, holdout=holdout, n_threads=2)
    assert trained.mix is not None
    assert trained.mix != one_by_one(task, holdout=holdout)[0].mix


def test_ctrl_c_ends_every_training_and_keeps_what_is_learned(task):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press(entry: dict[str, Any]) -> bool:
        if entry["epoch"] == 1:
            signal.raise_signal(signal.SIGINT)
        return True

    endless = replace(SEVERAL, epochs=100_000)
    try:
        trained = train_members(*task, SHAPE, endless, on_epoch=press, n_threads=2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert trained.interrupted
    assert 1 <= len(trained.history) < endless.epochs
    rows, targets, _ = task
    assert (logits(trained.network, rows)[0].argmax(axis=1) == targets.ids).mean() > 0.5


def test_it_goes_on_learning_at_the_pace_of_its_members(task):
    """One more row moves the mean's deep logits as far as it moves its members' on average."""
    rows, targets, n_classes = task
    members = [member.network for member in one_by_one(task)]
    once = replace(SETTINGS, epochs=1, dropout=0.0, skip_below=0, skip_wide_below=0, lr=0.02)

    def moved(network: Any) -> Any:
        further = train(
            rows, targets, n_classes, SHAPE, once, which=np.arange(20), start=network
        ).network
        return logits(further, rows)[1] - logits(network, rows)[1]

    expected = np.mean([moved(network) for network in members], axis=0)
    got = moved(mean_network(members))
    assert 0.5 < np.linalg.norm(got) / np.linalg.norm(expected) < 2
