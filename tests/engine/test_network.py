"""The network's arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from udt.engine.mix import Mix
from udt.engine.network import (
    aligned_zeros,
    copy_network,
    dense_work,
    is_finite,
    make_network,
    make_scratch,
    pack,
    padded,
    select_blocks,
    slim,
    stride,
    unpack,
)
from udt.engine.train import logits, predict
from udt.settings import NetworkSettings


@given(st.integers(1, 5_000))
def test_a_row_has_room_for_its_accumulator_and_is_whole_vectors(n):
    length = stride(n)
    assert n < length <= n + 16
    assert length in (4, 8) or length % 16 == 0
    assert n <= padded(n) <= length
    assert padded(n) in (4, 8) or padded(n) % 16 == 0


def test_nothing_takes_no_room():
    assert stride(0) == 0
    assert aligned_zeros((3, 0)).shape == (3, 0)


@pytest.mark.parametrize("width", [0, 1, 7, 16])
def test_a_new_network_knows_nothing(rng, width):
    network = make_network(50, 3, NetworkSettings(width=width, init_scale=0.3), rng)
    assert (network.n_features, network.n_classes, network.width) == (50, 3, width)
    assert all(a.dtype == np.float32 and a.flags.c_contiguous for a in network)
    assert not any(a.any() for a in network if a is not network.w_in)
    embeddings = network.w_in[:, :width]
    assert not network.w_in[:, width:].any()
    assert (np.abs(embeddings) <= 0.3).all()
    if width:
        assert embeddings.min() < -0.25
        assert embeddings.max() > 0.25
        assert abs(embeddings.mean()) < 5 * 0.3 / np.sqrt(3 * embeddings.size)


def test_a_network_is_a_function_of_the_generator():
    shape = NetworkSettings(width=4)
    one, same, other = (make_network(9, 2, shape, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.w_in, same.w_in)
    assert not np.array_equal(one.w_in, other.w_in)


def test_a_copy_shares_nothing(rng):
    network = make_network(9, 2, NetworkSettings(width=4), rng)
    copy = copy_network(network)
    for a, b in zip(network, copy, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_lost_are_seen(rng, value):
    network = make_network(9, 2, NetworkSettings(width=4), rng)
    assert is_finite(network)
    for array in network:
        spoiled = array.flat[-1]
        array.flat[-1] = value
        assert not is_finite(network)
        array.flat[-1] = spoiled


@given(st.integers(0, 2**62))
def test_scratch_of_any_seed_draws_numbers(seed):
    """A xorshift generator must not start at 0; neighbours must not start alike."""
    network = make_network(1, 2, NetworkSettings(width=1), np.random.default_rng(0))
    one, other = (make_scratch(network, 3, s).rng for s in (seed, seed + 1))
    assert one.dtype == np.uint64
    assert one[0] != 0
    assert one[0] != other[0]


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_a_slim_network_predicts_the_same(rng, share):
    network = make_network(20, 5, NetworkSettings(width=6), rng)
    for array in network:
        array[...] = rng.normal(size=array.shape)
    rows = reference.sparse(rng.random((30, 20)) * (rng.random((30, 20)) < 0.3))
    mix = Mix(np.float32(share), np.float32(0.7), np.float32(1.3))
    small = slim(network, mix)
    whole = predict(network, rows, mix)
    np.testing.assert_allclose(predict(small, rows, mix), whole, atol=5e-3)  # float16 weights
    again = unpack(pack(small))
    np.testing.assert_array_equal(predict(again, rows, mix), predict(small, rows, mix))
    assert all(a.dtype == np.float16 for a in pack(small).values())
    packed = pack(small)
    assert packed["w_wide"].shape == ((20, 5) if share < 1 else (0, 5))
    assert packed["w_in"].shape == ((20, 6) if share > 0 else (0, 0))
    assert (small.width, small.n_classes, small.n_features) == (6 if share > 0 else 0, 5, 20)
    assert all(a.flags.c_contiguous for a in small)
    assert is_finite(small)


def test_slim_leaves_the_network_as_it_is(rng):
    network = make_network(8, 3, NetworkSettings(width=4), rng)
    before = logits(network, reference.sparse(np.eye(8)))
    slim(network, Mix(np.float32(0), np.float32(1), np.float32(1)))
    for a, b in zip(before, logits(network, reference.sparse(np.eye(8))), strict=True):
        np.testing.assert_array_equal(a, b)


def test_scratch_for_some_blocks_shares_all_else(rng):
    network = make_network(9, 2, NetworkSettings(width=64), rng)
    whole = make_scratch(network, 5, 1)
    assert whole.active.tolist() == [[0, 1, 2, 3]]
    some = select_blocks(whole, 10, 3)
    assert (some.active.shape, some.gain.shape) == ((10, 3), (10, 3))
    assert some.active.dtype == np.uint16
    assert some.hidden is whole.hidden
    assert np.shares_memory(some.words, some.draws)


def test_dense_work_is_that_of_the_layers():
    features, rows = 70, 3
    inner, outer = features * (5 + 16), rows * 16 * 5
    assert dense_work(5, 16, features, rows, is_training=False) == inner + outer
    assert dense_work(5, 16, features, rows, is_training=True) == 2 * inner + 3 * outer
    assert dense_work(5, 0, features, rows, is_training=True) == 2 * 5 * features


def test_a_zero_seed_and_its_neighbours_draw_numbers_of_their_own():
    network = make_network(1, 2, NetworkSettings(width=1), np.random.default_rng(0))
    states = {int(make_scratch(network, 3, seed).rng[0]) for seed in range(1000)}
    assert len(states) == 1000
    golden = 0x9E3779B97F4A7C15
    assert not {(state + golden) % 2**64 for state in states} & states
