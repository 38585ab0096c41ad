"""Which blocks a row computes: against dense oracles, and what every selector keeps to."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from tests.conftest import WITHOUT_JIT
from tests.strategies import csr_rows
from udt.csr import CSR, one_class
from udt.engine import hashing, router, selection
from udt.engine.hashing import DWTA, SimHash
from udt.engine.network import BLOCK, Network, make_network
from udt.engine.router import Router, move_gates, sum_gates
from udt.engine.selection import (
    SHARED,
    BlockSelector,
    choose_blocks,
    make_selector,
    thin_rows,
)
from udt.engine.train import logits, train
from udt.errors import SettingsError
from udt.settings import NetworkSettings, TrainSettings

KINDS = ("votes", "lsh", "dwta", "router", "random")
N_FEATURES, N_BLOCKS, N_ACTIVE, N_SHARED = 30, 12, 5, 2
N_CHOICES = N_BLOCKS - N_SHARED
SALT = np.uint64(7)


def some_rows(rng: np.random.Generator, n_rows: int = 40, share: float = 0.4) -> CSR:
    held = rng.random((n_rows, N_FEATURES)) < share
    return reference.sparse(held * rng.uniform(0.1, 1, held.shape))


def some_network(rng: np.random.Generator, width: int = N_BLOCKS * BLOCK) -> Network:
    return make_network(N_FEATURES, 3, NetworkSettings(width=width), rng)


def selector_of(kind: str, rng: np.random.Generator, n_shared: int = N_SHARED) -> BlockSelector:
    """Return a selector that is ready, one epoch into training."""
    selector = BlockSelector(
        kind, N_FEATURES, n_blocks=N_BLOCKS, n_active=N_ACTIVE, n_shared=n_shared, seed=3
    )
    selector.on_epoch(some_network(rng), 0)
    return selector


def blocks_of(
    selector: BlockSelector, rows: CSR, order: np.ndarray | None = None, draw: bool = False
) -> np.ndarray:
    order = np.arange(rows.n_rows) if order is None else order
    out = np.full((len(order) + 3, selector.n_active), 999, np.uint16)
    choose = selector.draw if draw else selector.query
    choose(rows, order, 0, len(order), out)
    assert (out[len(order) :] == 999).all()
    return out[: len(order)]


def table_scores(module: object, rows: CSR, n_choices: int = N_CHOICES) -> np.ndarray:
    scores = np.full((rows.n_rows, n_choices), np.nan, np.float32)
    module(rows, np.arange(rows.n_rows), 0, rows.n_rows, SALT, scores)
    return scores


# -- What every selector keeps to ------------------------------------------------------------------


@pytest.mark.parametrize("n_shared", [0, N_SHARED, N_ACTIVE])
@pytest.mark.parametrize("draw", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_distinct_ascending_and_begin_with_the_shared_ones(rng, kind, draw, n_shared):
    rows = some_rows(rng)
    active = blocks_of(selector_of(kind, rng, n_shared), rows, draw=draw)
    assert (np.diff(active.astype(int), axis=1) > 0).all()
    assert (active < N_BLOCKS).all()
    assert (active[:, :n_shared] == np.arange(n_shared)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_blocks_wherever_it_stands(rng, kind):
    selector, rows = selector_of(kind, rng), some_rows(rng)
    whole = blocks_of(selector, rows)
    order = rng.permutation(rows.n_rows)
    np.testing.assert_array_equal(blocks_of(selector, rows, order), whole[order])
    out = np.zeros((5, N_ACTIVE), np.uint16)
    selector.query(rows, order, 11, 16, out)
    np.testing.assert_array_equal(out, whole[order[11:16]])
    turned = CSR(  # features the other way round
        rows.indptr[-1] - rows.indptr[::-1], rows.indices[::-1].copy(),
        rows.values[::-1].copy(), rows.n_features,
    )  # fmt: skip
    np.testing.assert_array_equal(blocks_of(selector, turned)[::-1], whole)


@pytest.mark.parametrize("kind", KINDS)
def test_training_draws_anew_each_epoch(rng, kind):
    selector, rows = selector_of(kind, rng), some_rows(rng, share=0.9)
    first = blocks_of(selector, rows, draw=True)
    order = rng.permutation(rows.n_rows)
    np.testing.assert_array_equal(blocks_of(selector, rows, order, draw=True), first[order])
    assert not np.array_equal(first, blocks_of(selector, rows))
    selector.on_epoch(some_network(rng), 3)  # no epoch in which tables are built
    assert not np.array_equal(first, blocks_of(selector, rows, draw=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_selector_chooses_the_same(rng, kind):
    selector, rows = selector_of(kind, rng), some_rows(rng)
    feed(selector, rows, rng)
    meta, arrays = selector.state()
    stored = {name: a.copy() for name, a in arrays.items()}
    again = BlockSelector.from_state(json.loads(json.dumps(meta)), stored)
    np.testing.assert_array_equal(blocks_of(again, rows), blocks_of(selector, rows))


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_goes_its_own_way(rng, kind):
    selector, rows = selector_of(kind, rng), some_rows(rng)
    copy = deepcopy(selector)
    before = blocks_of(copy, rows)
    feed(selector, rows, rng)
    selector.on_epoch(some_network(rng), 1)
    np.testing.assert_array_equal(blocks_of(copy, rows), before)


@pytest.mark.parametrize("kind", KINDS)
def test_epoch_0_forgets(rng, kind):
    """Training may start again at a lower rate."""
    selector, rows, network = selector_of(kind, rng), some_rows(rng), some_network(rng)
    selector.on_epoch(network, 0)
    before = blocks_of(selector, rows)
    selector.on_epoch(some_network(rng), 1)
    for _ in range(50):
        feed(selector, rows, rng)
    selector.on_epoch(network, 0)
    np.testing.assert_array_equal(blocks_of(selector, rows), before)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_features_have_blocks_too(rng, kind):
    nothing = CSR(np.zeros(4, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), N_FEATURES)
    selector = selector_of(kind, rng)
    for draw in (False, True):
        active = blocks_of(selector, nothing, draw=draw)
        assert (np.diff(active.astype(int), axis=1) > 0).all()
        assert (active == active[0]).all()
    no_rows = CSR(np.zeros(1, np.int64), *nothing[1:])
    assert len(blocks_of(selector, no_rows)) == 0


def feed(selector: BlockSelector, rows: CSR, rng: np.random.Generator) -> None:
    """Say that some blocks are useful, if it wants to know."""
    order, n = np.arange(rows.n_rows), rows.n_rows
    active = blocks_of(selector, rows, draw=True)
    if selector.wants_feedback:
        gain = rng.random(active.shape).astype(np.float32)
        selector.learn(rows, order, 0, n, active, gain)


# -- The network with a part of its neurons --------------------------------------------------------


def make_task(rng: np.random.Generator, n_rows: int) -> tuple[CSR, np.ndarray]:
    """Rows whose class has features of its own, among others that say nothing."""
    y = rng.integers(0, 3, n_rows).astype(np.int32)
    p = np.full((3, N_FEATURES), 0.15)
    for c in range(3):
        p[c, c::6] = 0.6
    held = rng.random((n_rows, N_FEATURES)) < p[y]
    held[:, -1] = True
    return reference.sparse(held / np.sqrt(held.sum(axis=1, keepdims=True))), y


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_the_neurons_learns(rng, kind):
    (rows, y), (test_rows, test_y) = (make_task(rng, 120 if WITHOUT_JIT else 600) for _ in "ab")
    shape = NetworkSettings(width=150, active_fraction=0.3, selector=kind)  # a short last block
    settings = TrainSettings(epochs=8, dropout=0.3)
    found = []
    for _ in range(2):
        selector = make_selector(shape, N_FEATURES, seed=1)
        assert selector is not None
        trained = train(rows, one_class(y), 3, shape, settings, seed=1, selector=selector)
        found.append(logits(trained.network, test_rows, 1, selector)[1])
    assert found[0].tobytes() == found[1].tobytes()
    assert (found[0].argmax(axis=1) == test_y).mean() > (0.7 if WITHOUT_JIT else 0.85)
    assert not np.array_equal(found[0], logits(trained.network, test_rows)[1])


@pytest.mark.parametrize(
    ("width", "fraction", "shared", "n_blocks", "n_active", "n_shared"),
    [
        (1024, 0.05, SHARED, 64, 3, 2),
        (1024, 0.1, SHARED, 64, 6, 4),
        (1024, 0.2, SHARED, 64, 13, 9),
        (1024, 0.2, 0.0, 64, 13, 0),
        (1024, 0.2, 1.0, 64, 13, 13),
        (150, 0.3, 0.5, 10, 3, 1),
        (32, 0.05, SHARED, 2, 1, 1),
        (32, 0.05, 0.0, 2, 1, 0),
    ],
)
def test_a_fraction_is_rounded_to_blocks(width, fraction, shared, n_blocks, n_active, n_shared):
    shape = NetworkSettings(width=width, active_fraction=fraction, selector="votes")
    selector = make_selector(shape, 10, 0, shared=shared)
    assert selector is not None
    meta, _ = selector.state()
    assert (meta["n_blocks"], meta["n_active"], meta["n_shared"]) == (n_blocks, n_active, n_shared)


def test_no_selector_where_all_is_computed():
    shape = NetworkSettings(width=64, active_fraction=0.5, selector="votes")
    assert make_selector(shape, 10, 0) is not None
    for change in ({"selector": "dense"}, {"active_fraction": 1.0}, {"width": 0}, {"width": 16}):
        assert make_selector(replace(shape, **change), 10, 0) is None


def test_an_unknown_selector_is_refused():
    with pytest.raises(SettingsError, match=r"'magic'.*dense, votes, lsh, dwta, router, random"):
        make_selector(NetworkSettings(selector="magic", active_fraction=0.5), 10, 0)


# -- Choosing and thinning -------------------------------------------------------------------------


@given(st.data(), st.integers(1, 12), st.integers(0, 3))
def test_the_best_are_chosen(data, n_choices, n_shared):
    n_active = n_shared + data.draw(st.integers(0, n_choices))
    score = st.sampled_from([-np.inf, -1.0, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, np.inf])
    scores = np.array(
        [data.draw(st.lists(score, min_size=n_choices, max_size=n_choices)) for _ in range(3)],
        np.float32,
    )
    out = np.zeros((3, n_active), np.uint16)
    choose_blocks(scores, n_shared, out)
    assert out.tolist() == [reference.best_blocks(s, n_shared, n_active) for s in scores]


@given(st.lists(st.sampled_from([np.nan, -np.inf, 0.0, 1.0, np.inf]), min_size=1, max_size=9))
def test_lost_scores_leave_no_gap(scores):
    for n_active in range(1, len(scores) + 1):
        out = np.zeros((1, n_active), np.uint16)
        choose_blocks(np.array([scores], np.float32), 0, out)
        assert (np.diff(out[0].astype(int)) > 0).all()
        assert out[0, -1] < len(scores)


@given(csr_rows(), st.integers(0, 2**64 - 1))
def test_thin_rows_hold_some_of_the_features_in_their_order(rows, salt):
    order = np.arange(rows.n_rows)[::-1].copy()
    indptr, indices, values = thin_rows(rows, order, 0, rows.n_rows, np.uint64(salt))
    assert indptr[0] == 0
    assert indptr[-1] == len(indices) == len(values)
    for i, row in enumerate(order):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        kept = indices[indptr[i] : indptr[i + 1]].tolist()
        all_of_it = rows.indices[part].tolist()
        assert [f for f in all_of_it if f in kept] == kept
        assert bool(kept) == bool(all_of_it)
        value = dict(zip(all_of_it, rows.values[part].tolist(), strict=True))
        assert [value[f] for f in kept] == values[indptr[i] : indptr[i + 1]].tolist()


def test_each_feature_stays_as_often():
    """A gap of 0 to 7 after each: one of 4.5."""
    n_rows, n = (100, 30) if WITHOUT_JIT else (2_000, 50)
    indices = np.tile(np.arange(n, dtype=np.int32), n_rows)
    rows = CSR(np.arange(n_rows + 1) * n, indices, np.ones(len(indices), np.float32), n)
    counts = np.zeros(n)
    for epoch in range(10):
        _, kept, _ = thin_rows(rows, np.arange(n_rows), 0, n_rows, np.uint64(epoch))
        counts += np.bincount(kept, minlength=n)
    rates = counts[20:] / (10 * n_rows)  # once the start is forgotten
    sigma = math.sqrt(2 / 9 * 7 / 9 / (10 * n_rows))
    assert np.abs(rates - 2 / 9).max() < 4.5 * sigma


# -- Votes and chance ------------------------------------------------------------------------------


def test_votes_are_those_of_each_feature(rng):
    rows = some_rows(rng)
    expected = reference.dense(rows) @ reference.vote_table(N_FEATURES, N_CHOICES, int(SALT))
    np.testing.assert_allclose(table_scores(hashing.count_votes, rows), expected, rtol=1e-5)


def test_votes_go_to_all_blocks_alike():
    table = reference.vote_table(500, 8, 1).sum(axis=0)
    assert np.abs(table - 250).max() < 4.5 * math.sqrt(2000 * 7 / 64)


def test_like_rows_share_blocks_by_votes_and_not_by_chance(rng):
    X = (rng.random((60, N_FEATURES)) < 0.5) * 1.0
    X[:, :2] = 1
    other = X.copy()
    other[:, 0] = 0  # each row without one of its features
    shared = {}
    for kind in ("votes", "random"):
        selector = selector_of(kind, rng, n_shared=0)
        a, b = (blocks_of(selector, reference.sparse(x)) for x in (X, other))
        shared[kind] = np.mean([len({*x} & {*y}) for x, y in zip(a, b, strict=True)]) / N_ACTIVE
    by_chance = N_ACTIVE / N_BLOCKS
    assert shared["votes"] > 0.75
    assert abs(shared["random"] - by_chance) < 0.12


def test_chance_is_fair_and_looks_at_all_features(rng):
    rows = some_rows(rng, 100 if WITHOUT_JIT else 2_000, share=0.5)
    scores = table_scores(hashing.draw_scores, rows)
    assert ((scores >= 0) & (scores < 1)).all()
    sigma = math.sqrt(1 / 12 / len(scores))
    assert np.abs(scores.mean(axis=0) - 0.5).max() < 4.5 * sigma
    worth = np.corrcoef(reference.dense(rows).T != 0, scores.T)[:N_FEATURES, N_FEATURES:]
    assert np.abs(worth).max() < 5 / math.sqrt(len(scores))


# -- Tables of neurons -----------------------------------------------------------------------------


def hash_rows(kernel: object, rows: CSR, n_hashes: int) -> np.ndarray:
    digits = np.full((rows.n_rows, n_hashes), 99, np.uint8)
    kernel(rows, np.arange(rows.n_rows), 0, rows.n_rows, SALT, digits)
    return digits


def test_rows_and_neurons_are_on_their_sides_of_planes(rng):
    rows, n_planes = some_rows(rng), 20
    normals = reference.planes(N_FEATURES, n_planes, int(SALT))
    sums = reference.dense(rows) @ normals
    sure = np.abs(sums) > 1e-6
    digits = hash_rows(hashing.project_rows, rows, n_planes)
    np.testing.assert_array_equal(digits[sure], (sums > 0)[sure])

    w_in = rng.normal(size=(N_FEATURES, 40)).astype(np.float32)
    digits = np.full((32, n_planes), 99, np.uint8)
    hashing.project_neurons(w_in, 5, SALT, digits)
    np.testing.assert_array_equal(digits, w_in[:, 5:37].T.astype(float) @ normals > 0)


def test_planes_part_vectors_by_their_angle(rng):
    """A plane separates an angle θ with θ / π; sparse ones nearly so."""
    n_planes, n_features = 20 if WITHOUT_JIT else 200, 400
    x, y = rng.normal(size=(2, n_features))
    w_in = np.stack([x, x + 0.5 * y, x + 2 * y, -x], axis=1).astype(np.float32)
    apart = np.zeros(4)
    for salt in range(10):
        digits = np.zeros((4, n_planes), np.uint8)
        hashing.project_neurons(w_in, 0, np.uint64(salt), digits)
        apart += (digits != digits[0]).mean(axis=1) / 10
    cosine = w_in.T @ x / np.linalg.norm(w_in, axis=0) / np.linalg.norm(x)
    tolerance = 4.5 * math.sqrt(0.25 / (10 * n_planes)) + 0.02
    np.testing.assert_allclose(apart, np.arccos(np.clip(cosine, -1, 1)) / np.pi, atol=tolerance)


def test_winners_take_all(rng):
    rows, n_bins = some_rows(rng, share=0.15), 16
    X = reference.dense(rows).astype(np.float32)
    found = [reference.winners(x, x != 0, n_bins, int(SALT)) for x in X]
    assert any(None in slots for slots in found)
    expected = [reference.borrow(slots, int(SALT), hashing._MAX_PROBES) for slots in found]
    assert hash_rows(hashing.rank_rows, rows, n_bins).tolist() == expected

    w_in = rng.normal(size=(N_FEATURES, 40)).astype(np.float32)
    digits = np.full((32, n_bins), 99, np.uint8)
    hashing.rank_neurons(w_in, 5, SALT, digits)
    everything = np.ones(N_FEATURES, bool)
    expected = [reference.winners(w, everything, n_bins, int(SALT)) for w in w_in[:, 5:37].T]
    assert digits.tolist() == [[slot or 0 for slot in slots] for slots in expected]


@pytest.mark.parametrize(("base", "n_digits"), [(2, 4), (8, 1), (8, 2)])
def test_tables_count_neurons_and_rows_look_them_up(rng, base, n_digits):
    n_tables, n_neurons = 3, 3 * BLOCK + 5
    neurons = rng.integers(0, base, (n_neurons, n_tables * n_digits)).astype(np.uint8)
    counts = np.zeros((n_tables, base**n_digits, 4), np.uint8)
    hashing.fill_tables(neurons, base, BLOCK, counts)
    expected = reference.bucket_counts(neurons, base, n_tables, BLOCK)
    for t, table in enumerate(expected):
        found = {(b, k): counts[t, b, k] for b, k in zip(*np.nonzero(counts[t]), strict=True)}
        assert found == table
    scores = np.zeros((n_neurons, 4), np.float32)
    hashing.look_up(neurons, base, counts, scores)
    for i, row in enumerate(neurons):
        same = [
            sum(np.array_equal(a, b) for a, b in zip(
                np.split(row, n_tables), np.split(other, n_tables), strict=True))
            for other in neurons
        ]  # fmt: skip
        blocks = np.arange(n_neurons) // BLOCK
        np.testing.assert_array_equal(scores[i], np.bincount(blocks, same, 4))


@pytest.mark.parametrize("kind", ["lsh", "dwta"])
def test_tables_find_the_neurons_that_are_like_the_row(rng, kind):
    network = some_network(rng)
    rows = some_rows(rng, share=0.9)
    planted = rng.integers(N_SHARED, N_BLOCKS, rows.n_rows)
    hits = 0
    selector = selector_of(kind, rng)
    for row, b in enumerate(planted[:10]):
        w_in = network.w_in.copy()
        x = reference.dense(rows)[row]
        w_in[:, b * BLOCK : (b + 1) * BLOCK] = x[:, None] - x.mean()
        selector.on_epoch(network._replace(w_in=w_in), 0)
        one = rows.take(np.array([row]))
        hits += b in blocks_of(selector, one)[0]
    assert hits >= 9


@pytest.mark.parametrize("make", [SimHash, DWTA])
def test_tables_are_built_ever_less_often(rng, make):
    tables, built = make(N_FEATURES, N_CHOICES, 0), []
    for epoch in range(20):
        before = tables.counts.copy()
        tables.on_epoch(some_network(rng), N_SHARED * BLOCK, epoch)
        if not np.array_equal(tables.counts, before):
            built.append(epoch)
    assert built == [0, 1, 2, 4, 8, 16]
    assert tables.counts.sum(axis=(1, 2)).tolist() == [N_CHOICES * BLOCK] * len(tables.counts)


# -- The router ------------------------------------------------------------------------------------


def test_the_gate_is_linear(rng):
    rows = some_rows(rng)
    gate = rng.normal(size=(N_FEATURES, N_CHOICES)).astype(np.float32)
    balance = rng.normal(size=N_CHOICES).astype(np.float32)
    scores = np.zeros((rows.n_rows, N_CHOICES), np.float32)
    sum_gates(rows, np.arange(rows.n_rows), 0, rows.n_rows, gate, balance, scores)
    expected = reference.dense(rows) @ gate + balance
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_the_gate_moves_towards_the_gain(rng):
    """Half of the way, by normalised least mean squares; a row of zeros teaches nothing."""
    gate = rng.normal(size=(N_FEATURES, N_CHOICES)).astype(np.float32)
    X = reference.dense(some_rows(rng, 3))
    X[1] = 0
    active = np.array([[0, 1, 4, 7], [0, 1, 2, 3], [0, 1, 3, 5]], np.uint16)
    gain = rng.uniform(0.1, 1, active.shape).astype(np.float32)
    gain[2] = 0
    expected = gate.astype(float)
    x, target = X[0], gain[0] / gain[0].mean() - 1
    for b, t in ((2, target[2]), (5, target[3])):
        expected[:, b] += 0.5 * (t - x @ gate[:, b]) * x / (x @ x)
    move_gates(reference.sparse(X), active, gain, 2, gate)
    np.testing.assert_allclose(gate, expected, rtol=1e-4, atol=1e-5)


def test_the_router_finds_the_blocks_that_are_of_use(rng):
    """Each half of the features has two blocks that alone are of use to it."""
    X = rng.random((80, N_FEATURES)) < 0.5
    side = rng.integers(0, 2, 80)
    X[side == 0, : N_FEATURES // 2] = False
    X[side == 1, N_FEATURES // 2 :] = False
    X[:, [0, -1]] = np.stack([side == 1, side == 0], axis=1)
    rows, order = reference.sparse(X * 1.0), np.arange(80)
    useful = np.array([[2, 3], [4, 5]])[side]
    selector = BlockSelector(
        "router", N_FEATURES, n_blocks=N_BLOCKS, n_active=5, n_shared=1, seed=0
    )

    def share_found() -> float:
        active = blocks_of(selector, rows)
        return float(np.mean([np.isin(u, a).mean() for u, a in zip(useful, active, strict=True)]))

    for epoch in range(15):
        selector.on_epoch(some_network(rng), epoch)
        if epoch == 0:
            assert share_found() < 0.7
        active = blocks_of(selector, rows, draw=True)
        gain = (active[:, :, None] == useful[:, None]).any(axis=2).astype(np.float32) + 0.01
        selector.learn(rows, order, 0, 80, active, gain)
    assert share_found() > 0.9


def test_no_block_starves(rng):
    gates = Router(N_FEATURES, N_CHOICES, 0)
    rows, order = some_rows(rng), np.arange(40)
    gates.on_epoch(some_network(rng), 0, 0)
    gates.balance[3] = -9  # nobody chooses it
    silent = np.zeros((40, 4), np.float32)
    loads = []
    for _ in range(600):
        scores = np.zeros((40, N_CHOICES), np.float32)
        gates.score(rows, order, 0, 40, scores)
        active = np.zeros((40, 4), np.uint16)
        choose_blocks(scores, 0, active)
        gates.learn(rows, active, silent, 0)
        loads.append(np.bincount(active.ravel(), minlength=N_CHOICES) / 40)
    assert loads[0][3] == 0
    late = np.mean(loads[-50:], axis=0)
    assert late.min() > 0.2
    assert late.max() < 0.7


def test_a_router_that_chooses_nothing_learns_nothing(rng):
    assert selector_of("router", rng).wants_feedback
    assert not selector_of("router", rng, n_shared=N_ACTIVE).wants_feedback


# -- Compiled and not ------------------------------------------------------------------------------


def test_compiled_and_python_agree(rng):
    rows, order = some_rows(rng), np.arange(40)
    w_in = rng.normal(size=(N_FEATURES, 48)).astype(np.float32)
    gate = rng.normal(size=(N_FEATURES, N_CHOICES)).astype(np.float32)
    active = np.sort(rng.permuted(np.tile(np.arange(8), (40, 1)), axis=1)[:, :4], axis=1)
    gain = rng.random((40, 4)).astype(np.float32)
    results = []
    for module in ("hashing", "selection", "router"):
        compiled = {"hashing": hashing, "selection": selection, "router": router}[module]
        pair = compiled, reference.uncompiled(f"udt.engine.{module}")
        results.append([run(m, rows, order, w_in, gate.copy(), active, gain) for m in pair])
    for both in results:
        for a, b in zip(*both, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def run(module, rows, order, w_in, gate, active, gain) -> list[np.ndarray]:
    """Return what each of a module's kernels makes of the same input."""
    part = rows, order, 3, 33
    scores = np.zeros((30, N_CHOICES), np.float32)
    digits = np.zeros((48, 12), np.uint8)
    with np.errstate(over="ignore"):
        if module.__name__.endswith("selection"):
            out = np.zeros((40, 4), np.uint16)
            module.choose_blocks(gate[np.arange(40) % N_FEATURES], 1, out)
            return [out, *module.thin_rows(*part, SALT)]
        if module.__name__.endswith("router"):
            module.sum_gates(*part, gate, gate[0].copy(), scores)
            module.move_gates(rows, active.astype(np.uint16), gain, 1, gate)
            return [scores, gate]
        found = []
        for kernel in (module.count_votes, module.draw_scores):
            kernel(*part, SALT, scores)
            found.append(scores.copy())
        for kernel in (module.project_neurons, module.rank_neurons):
            kernel(w_in, 0, SALT, digits)
            found.append(digits.copy())
        for kernel in (module.project_rows, module.rank_rows):
            kernel(*part, SALT, digits[:30])
            found.append(digits[:30].copy())
        return found
