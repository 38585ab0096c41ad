"""Trees beside the network: kept where columns interact, left out where they do not help."""

from __future__ import annotations

import numpy as np
import pytest

import udt
from udt import UDT
from udt.budget import Budget, Limits
from udt.csr import one_class
from udt.engine.mix import softmax
from udt.featurizers.infer import infer_schema
from udt.stacking import fit_pool, plan_trees, stack_trees
from udt.table import as_table
from udt.task import Task


def crossed(n_rows: int = 900, seed: int = 0):
    """Return columns of which no single one says anything, and what pairs of them decide."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n_rows), rng.normal(size=n_rows)
    kind = rng.choice(["x", "y", "z"], n_rows)
    yes = (a * b > 0) ^ (kind == "z")
    return {"a": a, "b": b, "kind": kind.tolist()}, yes


def make_task(columns, y, n_classes, budget=None, seed=0):
    table = as_table(columns)
    return Task(
        table=table,
        schema=infer_schema({name: table.column(name) for name in table.names}),
        targets=one_class(np.asarray(y, np.int32)),
        n_classes=n_classes,
        is_multi_label=False,
        n_train=table.n_rows,
        width=None,
        n_threads=2,
        n_train_threads=1,
        seed=seed,
        budget=budget or Budget(),
        note=lambda stage, done, text: None,
    )


def even(n_rows: int, n_classes: int):
    """Return the probabilities of a network that knows nothing."""
    return np.full((n_rows, n_classes), 1 / n_classes, np.float32)


@pytest.fixture(scope="module")
def model():
    columns, yes = crossed()
    return UDT(target="yes", random_state=0).fit({**columns, "yes": yes})


def test_what_two_columns_decide_together_is_learned(model):
    columns, yes = crossed(600, seed=1)
    assert model.score(columns, yes) > 0.85
    names = [line["name"] for line in model.leaderboard_]
    assert "trees" in names
    losses = [line["loss"] for line in model.leaderboard_]
    assert losses == sorted(losses)
    assert any(c["what"] == "trees" and "rounds" in c["value"] for c in model.report_.choices)


def test_a_saved_model_says_the_same_bit_for_bit(model, tmp_path):
    columns, _ = crossed(300, seed=2)
    model.save(tmp_path / "m.udt")
    again = udt.load(tmp_path / "m.udt")
    np.testing.assert_array_equal(again.predict_proba(columns), model.predict_proba(columns))
    np.testing.assert_array_equal(again.predict(columns), model.predict(columns))
    assert again.predict_top_k(columns, 2)[0].shape == (300, 2)


def test_a_block_of_rows_or_one_row_makes_no_difference(model):
    columns, _ = crossed(300, seed=3)
    whole = model.predict_proba(columns)
    one = model.predict_proba({name: cells[17:18] for name, cells in columns.items()})
    np.testing.assert_allclose(one[0], whole[17], atol=1e-6)


def test_the_seed_alone_decides():
    columns, yes = crossed(400)
    given = {**columns, "yes": yes}
    one, two = (UDT(target="yes", random_state=3).fit(given) for _ in range(2))
    np.testing.assert_array_equal(one.predict_proba(columns), two.predict_proba(columns))


def test_held_out_rows_are_answered_by_trees_that_have_not_seen_them():
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, 500)  # chance: trees that had seen the rows would know them
    task = make_task({"a": rng.normal(size=500), "b": rng.normal(size=500)}, y, 2)
    stacked = stack_trees(task, np.arange(500), even(500, 2))
    assert stacked.stack is None
    assert stacked.leaderboard[0]["name"] == "trees"
    assert stacked.leaderboard[0]["metric"] < 0.6


@pytest.mark.parametrize("held", [np.arange(900), np.arange(200, 300), np.arange(0, 900, 3)])
def test_any_part_of_the_rows_may_be_held_out(held):
    columns, yes = crossed()
    stacked = stack_trees(make_task(columns, yes, 2), held, even(len(held), 2))
    assert stacked.stack is not None
    assert stacked.probas.shape == (len(held), 2)
    assert (stacked.probas.argmax(axis=1) == yes[held]).mean() > 0.8


def test_trees_that_do_not_help_are_left_out():
    rng = np.random.default_rng(0)
    columns, _ = crossed()  # of which the classes know nothing
    z = rng.normal(size=(900, 2)).astype(np.float32)
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    sure = softmax(z.copy())
    stacked = stack_trees(make_task(columns, y, 2), np.arange(900), sure)
    assert stacked.stack is None
    assert stacked.probas is sure
    assert stacked.choices[0].value == "none"


def test_without_time_the_network_answers_alone():
    columns, yes = crossed()
    task = make_task(columns, yes, 2, Budget(Limits(seconds=0.5), is_seeded=True))
    stacked = stack_trees(task, np.arange(900), even(900, 2))
    assert stacked.stack is None
    assert stacked.leaderboard == []


def test_text_alone_is_left_to_the_network():
    texts = [f"the {i % 17} words of letter number {i} to you" for i in range(300)]
    task = make_task({"text": texts}, np.arange(300) % 2, 2)
    assert stack_trees(task, np.arange(300), even(300, 2)).leaderboard == []


def test_classes_of_one_row_are_no_obstacle():
    columns, yes = crossed(300)
    y = yes.astype(int)
    y[7], y[8] = 2, 3
    stacked = stack_trees(make_task(columns, y, 4), np.arange(300), even(300, 4))
    assert stacked.probas.shape == (300, 4)
    assert np.isfinite(stacked.probas).all()


def test_more_work_means_fewer_rounds_and_then_none():
    small, large = plan_trees(1_000, 10, 2), plan_trees(100_000, 10, 5)
    assert small is not None
    assert large is not None
    assert small.rounds > large.rounds
    assert small.learning_rate < large.learning_rate
    assert plan_trees(10_000_000, 50, 100) is None


def test_the_pool_follows_the_one_that_knows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 2_000)
    knows = (np.eye(3)[y] * 2 + rng.normal(size=(2_000, 3))).astype(np.float32)
    chance = rng.normal(size=(2_000, 3)).astype(np.float32)
    truth = one_class(y)

    def losses(network, trees):
        return [fit_pool(network, trees, truth, share).loss for share in (0.0, 0.5, 1.0)]

    nothing, half, all_of_it = losses(even(2_000, 3), knows)
    assert nothing == pytest.approx(np.log(3), abs=1e-4)
    assert half == pytest.approx(all_of_it, abs=1e-3)  # the temperature makes up for the half
    assert all_of_it < 0.7
    nothing, half, all_of_it = losses(softmax(knows), chance)
    assert nothing < half < all_of_it
    assert all_of_it == pytest.approx(np.log(3), abs=0.01)


def test_the_temperature_of_least_loss_is_found():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(5_000, 3)).astype(np.float32)
    y = (z / 3 + rng.gumbel(size=z.shape)).argmax(axis=1)  # drawn at temperature 3
    pooled = fit_pool(even(5_000, 3), z, one_class(y), 1.0)
    assert pooled.temperature == pytest.approx(3, rel=0.15)
