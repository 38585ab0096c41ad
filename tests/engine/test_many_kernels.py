"""A training step over active classes against dense NumPy and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from tests.conftest import WITHOUT_JIT
from udt.csr import CSR, Targets, one_class
from udt.engine import many_kernels as kernels
from udt.engine import many_train as module
from udt.engine.lsh import NO_TABLES, Tables, draw_planes, hash_classes
from udt.engine.many import (
    ManyNetwork,
    ManyScratch,
    make_many,
    make_many_scratch,
    pack_many,
    ranking,
    unpack_many,
)
from udt.engine.many_kernels import train_many_rows
from udt.engine.many_train import ManyStep
from udt.engine.train import longest_row
from udt.settings import ManySettings

N_FEATURES, N_CLASSES, WIDTH = 8, 9, 5
STEP = ManyStep(*map(np.float32, (0.1, 0, 0.5, 0.25, 0.3, 1, 0)), n_best=3, n_drawn=4)
"""Rate 0.1 without a fall, every feature kept, no row skipped."""
RATES = {"lr": 0.1, "deep": 0.5, "out": 0.25, "bias": 0.3}
DENSE = STEP._replace(n_best=N_CLASSES, n_drawn=0)
STILL = np.float32(1e9)  # a loss that no row has
FAR, A_LITTLE = 15.8, 0.126  # nats


def random_rows(rng: np.random.Generator, n_rows: int = 1) -> CSR:
    held = rng.random((n_rows, N_FEATURES)) < 0.5
    held[:, 0] = True
    return reference.sparse(held * rng.uniform(0.2, 1.2, held.shape))


def scratch_for(
    network: ManyNetwork, rows: CSR, targets: Targets, step: ManyStep, seed: int = 1
) -> ManyScratch:
    n_active = step.n_best + step.n_drawn + int(targets.counts.max(initial=1))
    n_active = min(n_active, network.n_classes)
    return make_many_scratch(network, longest_row(rows), n_active, seed)


def take_steps(
    network: ManyNetwork,
    rows: CSR,
    targets: Targets,
    step: ManyStep,
    tables: Tables = NO_TABLES,
    scratch: ManyScratch | None = None,
) -> tuple[float, int, ManyScratch]:
    scratch = scratch_for(network, rows, targets, step) if scratch is None else scratch
    order = np.arange(rows.n_rows)
    done = train_many_rows(
        network, scratch, tables, rows, targets, order, 0, rows.n_rows, step
    )  # fmt: skip
    return *done, scratch


def active_of(scratch: ManyScratch) -> np.ndarray:
    """Return the last row's active classes."""
    is_active = scratch.active_at == scratch.clock[0]
    active = scratch.active[: is_active.sum()]
    assert {*active.tolist()} == {*np.flatnonzero(is_active).tolist()}  # no class twice
    return active


def chosen_of(network: ManyNetwork, rows: CSR, targets: Targets, step: ManyStep) -> set[int]:
    """Return which classes a row chooses, without those that are drawn."""
    still = step._replace(n_drawn=0, skip_below=STILL)
    return {*active_of(take_steps(network, rows, targets, still)[2]).tolist()}


def assert_close(network: ManyNetwork, expected: dict[str, np.ndarray]) -> None:
    for name, found in reference.many_arrays(network).items():
        np.testing.assert_allclose(found, expected[name], rtol=2e-5, atol=2e-6, err_msg=name)


# -- A training step -------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [[2], [0, 3], [*range(N_CLASSES)]], ids=str)
@pytest.mark.parametrize("width", [0, 1, WIDTH, 20])
def test_with_all_classes_active_it_is_the_step_of_one_softmax(rng, classes, width):
    network, rows = reference.many_network(rng, width=width), random_rows(rng)
    before, x = reference.many_arrays(network), reference.dense(rows)[0]
    loss, work, _ = take_steps(network, rows, reference.targets([classes]), DENSE)
    everything = np.arange(N_CLASSES), np.ones(N_CLASSES)
    assert loss == pytest.approx(reference.many_loss(before, x, classes, *everything), rel=1e-5)
    assert_close(network, reference.many_step(before, x, classes, *everything, RATES))
    n = len(rows.indices)
    assert work == 2 * n * (N_CLASSES + width) + 3 * width * N_CLASSES


@pytest.mark.parametrize("classes", [[4], [8, 1, 5]], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_a_step_over_active_classes(classes, seed):
    """The drawn ones stand for all others; the slope is that of the loss over the same classes."""
    rng = np.random.default_rng(seed)
    network, rows = reference.many_network(rng, 0.4), random_rows(rng)
    before, x, targets = (
        reference.many_arrays(network),
        reference.dense(rows)[0],
        reference.targets([classes]),
    )
    chosen = chosen_of(network, rows, targets, STEP)
    loss, work, scratch = take_steps(network, rows, targets, STEP)
    active = active_of(scratch)
    assert {*classes} <= chosen <= {*active.tolist()}
    assert len(active) <= len(chosen) + STEP.n_drawn
    each = (N_CLASSES - len(chosen)) / max(1, len(active) - len(chosen))
    stands_for = np.array([1 if c in chosen else each for c in active.tolist()])
    given_ = before, x, classes, active, stands_for
    assert loss == pytest.approx(reference.many_loss(*given_), rel=1e-5)
    assert_close(network, reference.many_step(*given_, RATES))
    n, n_read = len(rows.indices), before["is_on"][x != 0].sum()
    assert work == 2 * (n_read + WIDTH * n) + 3 * WIDTH * len(active)
    assert not scratch.is_own.any()
    assert not scratch.z.any()


def test_rows_are_taken_in_their_order_and_the_rate_falls(rng):
    network, rows = reference.many_network(rng), random_rows(rng, 4)
    w, X = reference.many_arrays(network), reference.dense(rows)
    classes = [[0], [3], [1, 2], [2]]
    step = DENSE._replace(lr_fall=np.float32(0.02))
    targets = reference.targets(classes)
    scratch, order = scratch_for(network, rows, targets, step), np.array([9, 2, 0, 3, 9])
    loss, _ = train_many_rows(network, scratch, NO_TABLES, rows, targets, order, 1, 4, step)
    total, everything = 0.0, (np.arange(N_CLASSES), np.ones(N_CLASSES))
    for i, row in enumerate((2, 0, 3)):
        total += reference.many_loss(w, X[row], classes[row], *everything)
        rates = RATES | {"lr": 0.1 - 0.02 * i}
        w = reference.many_step(w, X[row], classes[row], *everything, rates)
    assert loss == pytest.approx(total, rel=1e-4)
    for name, found in reference.many_arrays(network).items():
        np.testing.assert_allclose(found, w[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_row_does_not_see_itself_in_the_lists(rng):
    """Its own class has the logit that it would have without the row, but for the norm."""
    X = np.where(rng.random((20, N_FEATURES)) < 0.5, rng.uniform(0.2, 1, (20, N_FEATURES)), 0)
    classes = [[*map(int, rng.permutation(4)[: rng.integers(1, 3)])] for _ in X]
    rows, targets = reference.sparse(X), reference.targets(classes)
    settings = ManySettings(width=0, shortlist=9, centroid_scale=3)
    network = make_many(rows, targets, 4, settings, rng)
    has = np.array([[c in row for c in range(4)] for row in classes], float)
    norms = np.sqrt(((X.T @ has) ** 2).sum(axis=0))
    step = STEP._replace(n_best=4, skip_below=STILL)
    for i, x in enumerate(X):
        others = np.arange(len(X)) != i
        z = network.b + 3 * x @ (X[others].T @ has[others] / norms)
        order = np.array([i])
        scratch = scratch_for(network, rows, targets, step)
        loss, _ = train_many_rows(network, scratch, NO_TABLES, rows, targets, order, 0, 1, step)
        assert loss == pytest.approx(reference.loss(z, classes[i]), rel=1e-4)


def test_learned_rows_change_nothing(rng):
    network, rows = reference.many_network(rng, 0.5), random_rows(rng, 12)
    targets = one_class(rng.integers(0, N_CLASSES, 12))
    before = reference.many_arrays(network)
    loss, forward, _ = take_steps(network, rows, targets, STEP._replace(skip_below=STILL))
    for name, array in reference.many_arrays(network).items():
        np.testing.assert_array_equal(array, before[name])
    rates = dict.fromkeys(("lr", "deep_rate", "out_rate", "bias_rate"), np.float32(0))
    still = STEP._replace(**rates, skip_below=np.float32(loss / 12))
    _, some, _ = take_steps(network, rows, targets, still)
    _, everything, _ = take_steps(network, rows, targets, still._replace(skip_below=np.float32(0)))
    assert forward < some < everything


def test_a_row_without_features_moves_no_feature(rng):
    network, empty = reference.many_network(rng), np.zeros(0, np.int32)
    rows = CSR(np.zeros(2, np.int64), empty, empty.astype(np.float32), N_FEATURES)
    before = reference.many_arrays(network)
    loss, _, scratch = take_steps(network, rows, reference.targets([[1]]), STEP)
    assert np.isfinite(loss)
    assert active_of(scratch)[0] == 1
    after = reference.many_arrays(network)
    for name in ("lists", "list squares", "w_in", "w_in squares"):
        np.testing.assert_array_equal(after[name], before[name])
    assert after["b"][1] > before["b"][1]


def test_a_row_without_classes_is_left_out(rng):
    network, rows = reference.many_network(rng), random_rows(rng, 3)
    before, x = reference.many_arrays(network), reference.dense(rows)[1]
    take_steps(network, rows, reference.targets([[], [2], []]), DENSE)
    everything = np.arange(N_CLASSES), np.ones(N_CLASSES)
    assert_close(network, reference.many_step(before, x, [2], *everything, RATES))


def test_true_classes_are_known_where_the_lists_start_at_nothing(rng):
    """Without a weight of its own from the start, a class is none the less the row's."""
    X = np.eye(3).repeat(20, axis=0)
    y = one_class(np.arange(3).repeat(20))
    settings = ManySettings(width=4, centroid_scale=0, dropout=0)
    network = make_many(reference.sparse(X), y, 3, settings, rng)
    loss, _, _ = take_steps(network, reference.sparse(X), y, STEP._replace(n_drawn=0))
    assert 0.3 * 60 * np.log(3) < loss < 60 * np.log(3)


@pytest.mark.parametrize(("n_best", "n_drawn"), [(0, 5), (3, 0), (2, 9), (40, 3), (3, 200)])
def test_true_classes_are_always_active(rng, n_best, n_drawn):
    n_classes = 40
    network = reference.many_network(rng, 0.2, n_classes=n_classes)
    rows = random_rows(rng, 30)
    classes = [[*map(int, rng.permutation(40)[: rng.integers(1, 40)])] for _ in range(30)]
    step = STEP._replace(n_best=n_best, n_drawn=min(n_drawn, n_classes))
    targets = reference.targets(classes)
    scratch = scratch_for(network, rows, targets, step)
    for i in range(30):
        train_many_rows(
            network, scratch, NO_TABLES, rows, targets, np.array([i]), 0, 1, step
        )  # fmt: skip
        active = {*active_of(scratch).tolist()}
        assert {*classes[i]} <= active <= {*range(n_classes)}
        assert len(active) <= len({*classes[i]}) + n_best + n_drawn


@pytest.mark.parametrize("n_drawn", [2, 6, 30])
def test_the_drawn_classes_stand_for_all_others(rng, n_drawn):
    """On average the estimated Σ exp(z) is the true one."""
    network, rows = reference.many_network(rng, 0.4, n_classes=30), random_rows(rng)
    targets, x = reference.targets([[7, 3]]), reference.dense(rows)[0]
    step = STEP._replace(n_drawn=n_drawn, skip_below=STILL)
    scratch = scratch_for(network, rows, targets, step)
    z = sum(reference.many_logits(reference.many_arrays(network), x, [7, 3]))
    totals = []
    for _ in range(300 if WITHOUT_JIT else 5_000):
        loss, *_ = take_steps(network, rows, targets, step, scratch=scratch)
        totals.append(np.exp(loss + z[[7, 3]].mean()))
    error = np.std(totals) / np.sqrt(len(totals))
    truth = np.exp(z).sum()
    assert error < 0.1 * truth
    assert np.mean(totals) == pytest.approx(truth, abs=4.5 * error)


def test_near_classes_come_from_the_buckets_of_the_hidden_vector(rng):
    network, rows = reference.many_network(rng, n_classes=60), random_rows(rng, 20)
    tables = hash_classes(network.w_out, draw_planes(60, WIDTH, rng), rng)
    w, X = reference.many_arrays(network), reference.dense(rows)
    targets = one_class(rng.integers(0, 60, 20))
    few, many = (STEP._replace(n_best=n, n_drawn=0, skip_below=STILL) for n in (4, 60))
    for i, x in enumerate(X):
        hidden = np.maximum(w["b_hidden"] + x @ w["w_in"], 0)
        near = set()
        for planes in tables.planes:
            sides = network.w_out @ planes.T > 0
            near |= {*np.flatnonzero((sides == (planes @ hidden > 0)).all(axis=1)).tolist()}
        for step in (few, many):
            scratch, order = scratch_for(network, rows, targets, step), np.array([i])
            train_many_rows(network, scratch, tables, rows, targets, order, 0, 1, step)
            active = {*active_of(scratch).tolist()}
            assert active <= near | {targets.ids[i]}
            assert len(active | {targets.ids[i]}) >= min(step.n_best, len(near))
            assert len(active) <= step.n_best + 1
        assert active == near | {targets.ids[i]}


@pytest.mark.parametrize("keep", [0.1, 0.7, 1])
def test_dropout_keeps_each_feature_as_often_as_it_should(rng, keep):
    n, n_rows = 50, 400
    rows = reference.sparse(np.ones((n_rows, n)))
    network = reference.many_network(rng, width=0)
    scratch = make_many_scratch(network, n, 1, 3)
    counts = np.zeros(n)
    for row in range(n_rows):
        kept = scratch.ids[: kernels._keep_features(rows, row, np.float32(keep), scratch)]
        counts += np.bincount(kept, minlength=n)
    sigma = np.sqrt(keep * (1 - keep) / n_rows)
    assert np.abs(counts / n_rows - keep).max() <= 4.5 * sigma
    assert abs(counts.mean() / n_rows - keep) <= 4.5 * sigma / np.sqrt(n)


@given(
    st.lists(st.integers(-3, 3) | st.floats(-20, 20, width=32), min_size=1, max_size=60),
    st.integers(0, 70),
)
def test_the_best_listed_classes_are_active(logits, n_best):
    """Where there are too many: all that are better than the last ones by more than a little."""
    m, n_classes = len(logits), 64
    network = reference.many_network(np.random.default_rng(0), n_classes=n_classes)
    scratch = make_many_scratch(network, 1, n_classes, 0)
    scratch.clock[0], scratch.listed[:m] = 1, np.arange(m)[::-1]
    scratch.z[:m] = logits
    n = kernels._activate_best(scratch, m, n_best)
    active = {*scratch.active[:n].tolist()}
    assert len(active) == n
    if n_best >= n_classes:
        assert active == {*range(n_classes)}
        return
    near = [c for c in range(m) if scratch.z[c] > max(logits) - FAR]
    assert n >= min(n_best, len(near))
    assert n <= min(n_best, m)
    worst = min((scratch.z[c] for c in active), default=np.inf)
    assert all(scratch.z[c] < worst + A_LITTLE for c in {*range(m)} - active)


@pytest.mark.parametrize("n_best", range(1, 6))
def test_the_best_class_of_all_is_active_though_the_others_come_first(rng, n_best):
    scratch = make_many_scratch(reference.many_network(rng), 1, N_CLASSES, 0)
    scratch.clock[0] = 1
    scratch.listed[:6], scratch.z[[8, 6, 4, 2, 0, 1]] = [8, 6, 4, 2, 0, 1], [5, 5, 5, 5, 5, 5.3]
    n = kernels._activate_best(scratch, 6, n_best)
    assert n == n_best
    assert 1 in scratch.active[:n]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["values", "weights", "b", "w_out"])
@pytest.mark.parametrize("step", [DENSE, STEP], ids=["dense", "active"])
def test_lost_numbers_show_in_the_loss(rng, value, where, step):
    network, rows = reference.many_network(rng), random_rows(rng, 3)
    arrays = {"values": rows.values, "weights": network.lists.weights}
    arrays |= {"b": network.b, "w_out": network.w_out}
    arrays[where][: 1 if where == "values" else None] = value
    network.b_hidden[:] = 50
    with np.errstate(invalid="ignore", over="ignore"):
        loss, *_ = take_steps(network, rows, one_class(np.array([0, 1, 2])), step)
    assert not np.isfinite(loss)


def test_flags_say_nothing_of_nan():
    assert not kernels.FLAGS & {"fast", "nnan", "ninf"}


def test_compiled_and_python_agree(rng, monkeypatch):
    uncompiled = reference.uncompiled("udt.engine.many_kernels")
    network, rows = reference.many_network(rng, 0.5, n_classes=30), random_rows(rng, 8)
    tables = hash_classes(network.w_out, draw_planes(30, WIDTH, rng), rng)
    targets = reference.targets([[0], [1], [2, 3], [3], [0, 1], [2], [21], [0]])
    step = STEP._replace(keep=np.float32(0.6), lr_fall=np.float32(0.01))
    how = ranking(network, 1.5, 5)
    results = []
    monkeypatch.setattr(uncompiled, "prefetch", lambda array, index: None)
    for each in (kernels, uncompiled):
        own = unpack_many({n: a.astype(np.float32) for n, a in pack_many(network).items()})
        own = own._replace(own=network.own)
        scratch = make_many_scratch(own, longest_row(rows), 30, 5)
        done = []
        with np.errstate(over="ignore"):
            for found in (NO_TABLES, tables):
                args = own, scratch, found, rows, targets, np.arange(8), 0, 8, step
                done += each.train_many_rows(*args)
            out = module.Ranked(
                np.zeros((8, 6), np.int32), np.zeros((8, 6), np.float32), np.zeros(10, np.float32)
            )
            done.append(each.rank_rows(own, scratch, rows, targets, 0, 8, how, out))
            everything = np.zeros((8, 30), np.float32)
            each.spread_rows(own, scratch, rows, 0, 8, how, everything)
        results.append((*own.lists, *own[1:], *out, everything, np.array(done), scratch.rng))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
