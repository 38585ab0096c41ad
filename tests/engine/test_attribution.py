"""What features add to logits: sums, signs, and an oracle that knows no calculus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.csr import CSR, one_class
from udt.engine.attribution import attribute, attribute_many
from udt.engine.logits import Trees
from udt.engine.many import ManyNetwork, make_many, ranking, slim_many
from udt.engine.many_train import spread
from udt.engine.mix import NEVER, Mix
from udt.engine.network import Network, make_network, slim
from udt.engine.train import predict
from udt.settings import ManySettings, NetworkSettings
from udt.stack import pool

N_FEATURES = 12
NEAR = 1e-4
"""How far sums may be from logits."""

seeds = st.integers(0, 2**32 - 1)


def one_row(rng: np.random.Generator, n: int, n_features: int = N_FEATURES) -> CSR:
    ids = rng.permutation(n_features)[:n].astype(np.int32)
    values = rng.uniform(0.1, 2, len(ids)).astype(np.float32)
    return CSR(np.array([0, len(ids)], np.int64), ids, values, n_features)


def empty_row(n_features: int = N_FEATURES) -> CSR:
    return one_row(np.random.default_rng(0), 0, n_features)


def random_network(rng: np.random.Generator, n_classes: int, width: int, mix: Mix) -> Network:
    network = make_network(N_FEATURES, n_classes, NetworkSettings(width=width), rng)
    for weights in network:
        weights[:] = rng.normal(scale=1.2, size=weights.shape)
    return slim(network, mix)


def logit(p: float | np.ndarray) -> np.ndarray:
    p = np.asarray(p, np.float64)
    return np.log(p) - np.log1p(-p)


def check_sums(found, probas: np.ndarray, of_empty: np.ndarray) -> None:
    sums = found.bias + found.features.sum(axis=1)
    assert np.abs(sums - found.logits).max() < NEAR
    assert 1 / (1 + np.exp(-found.logits)) == pytest.approx(probas, abs=1e-5)
    assert 1 / (1 + np.exp(-found.bias)) == pytest.approx(of_empty, abs=1e-5)


@given(
    seeds, st.integers(2, 5), st.sampled_from([4, 16, 40]), st.sampled_from([0.0, 0.3, 0.75, 1.0]),
    st.booleans(), st.integers(0, N_FEATURES),
)  # fmt: skip
def test_shares_and_bias_sum_to_the_logit(seed, n_classes, width, share, sigmoid, n):
    rng = np.random.default_rng(seed)
    t_wide, t_deep = rng.uniform(0.4, 4, 2).astype(np.float32)
    mix = Mix(np.float32(share), t_wide, t_deep, sigmoid)
    network, row = random_network(rng, n_classes, width, mix), one_row(rng, n)
    found = attribute(network, mix, row, np.arange(n_classes, dtype=np.int32))
    assert found.features.shape == (n_classes, n)
    check_sums(found, predict(network, row, mix)[0], predict(network, empty_row(), mix)[0])


def slow_shares(network: Network, mix: Mix, row: CSR, c: int, n_steps: int) -> np.ndarray:
    """Walk from the empty row to this one; sum what each feature's steps change, one by one."""
    shares, step = np.zeros(len(row.values)), 1 / n_steps
    w_wide, w_in = network.w_wide[row.indices], network.w_in[row.indices]
    n_classes, width = network.n_classes, network.width

    def proba(values: np.ndarray) -> np.ndarray:
        z_wide = (network.b_wide + values @ w_wide[:, :n_classes]) / mix.t_wide
        hidden = np.maximum(network.b_hidden + values @ w_in[:, :width], 0)
        z_deep = (network.b_out + hidden @ network.w_out[:, :n_classes]) / mix.t_deep
        wide, deep = (np.exp(z - z.max()) / np.exp(z - z.max()).sum() for z in (z_wide, z_deep))
        return (1 - mix.deep_share) * wide + mix.deep_share * deep

    for i in range(n_steps):
        at = (i + 0.5) * step * row.values.astype(np.float64)
        for k in range(len(at)):
            low, high = at.copy(), at.copy()
            low[k] -= 0.5 * step * row.values[k]
            high[k] += 0.5 * step * row.values[k]
            shares[k] += logit(proba(high)[c]) - logit(proba(low)[c])
    return shares


@pytest.mark.parametrize("seed", range(4))
def test_each_share_is_what_a_walk_in_small_steps_finds(seed):
    rng = np.random.default_rng(seed)
    mix = Mix(np.float32(0.5), np.float32(1.3), np.float32(0.8))
    network, row = random_network(rng, 3, 8, mix), one_row(rng, 4)
    found = attribute(network, mix, row, np.array([1], np.int32))
    assert found.features[0] == pytest.approx(slow_shares(network, mix, row, 1, 2_000), abs=2e-3)


def test_of_two_classes_one_gains_what_the_other_loses(rng):
    mix = Mix(np.float32(0.5), np.float32(1), np.float32(1))
    network, row = random_network(rng, 2, 16, mix), one_row(rng, 8)
    found = attribute(network, mix, row, np.arange(2, dtype=np.int32))
    assert found.features[0] == pytest.approx(-found.features[1], abs=1e-6)
    assert found.bias[0] == pytest.approx(-found.bias[1])


def test_a_wide_path_of_two_classes_adds_its_weights(rng):
    """There a logit is linear, and what a feature adds needs no path."""
    mix = Mix(np.float32(0), np.float32(2), np.float32(1))
    network, row = random_network(rng, 2, 16, mix), one_row(rng, 8)
    found = attribute(network, mix, row, np.array([0], np.int32))
    weights = network.w_wide[row.indices]
    assert found.features[0] == pytest.approx(row.values * (weights[:, 0] - weights[:, 1]) / 2)


def test_a_row_that_leaves_after_the_wide_path_is_explained_by_it(rng):
    never = Mix(np.float32(0.5), np.float32(1), np.float32(1))
    network, row = random_network(rng, 3, 16, never), one_row(rng, 8)
    asked = np.arange(3, dtype=np.int32)
    wide = never._replace(deep_share=np.float32(0))
    sure = float(predict(network, row, wide)[0].max())
    for exit_above, same_as in ((sure - 0.01, wide), (min(sure + 0.01, 0.9999), never)):
        mix = never._replace(exit_above=np.float32(exit_above))
        found = attribute(network, mix, row, asked)
        assert found.features == pytest.approx(attribute(network, same_as, row, asked).features)
        probas = predict(network, row, mix)[0]
        assert 1 / (1 + np.exp(-found.logits)) == pytest.approx(probas, abs=1e-5)
    assert never.exit_above == NEVER


class First:
    """Computes the first blocks of every row."""

    n_active = 2

    def query(self, rows, order, start, stop, out):
        out[: stop - start] = np.arange(self.n_active)


def test_neurons_that_are_not_computed_add_nothing(rng):
    mix = Mix(np.float32(1), np.float32(1), np.float32(1))
    network, row = random_network(rng, 3, 64, mix), one_row(rng, 6)
    found = attribute(network, mix, row, np.arange(3, dtype=np.int32), First())
    probas = predict(network, row, mix, selector=First())[0]
    check_sums(found, probas, predict(network, empty_row(), mix, selector=First())[0])


def random_many(rng: np.random.Generator, n_classes: int, width: int) -> ManyNetwork:
    n_rows = 300
    ids = np.sort(rng.integers(0, N_FEATURES, (n_rows, 3)), axis=1)
    ids[:, 1:] += np.arange(1, 3) * N_FEATURES  # distinct in a row
    values = rng.uniform(0.1, 1, ids.size).astype(np.float32)
    starts = np.arange(n_rows + 1, dtype=np.int64) * 3
    rows = CSR(starts, ids.ravel().astype(np.int32), values, 3 * N_FEATURES)
    settings = ManySettings(width=width, shortlist=4)
    network = make_many(
        rows, one_class(rng.integers(0, n_classes, n_rows)), n_classes, settings, rng
    )
    network.lists.weights[:] = rng.normal(size=len(network.lists.weights))
    network.w_out[:] = rng.normal(size=network.w_out.shape)
    network.b_hidden[:] = rng.normal(size=width)
    return slim_many(network)


@given(seeds, st.sampled_from([0, 8]), st.sampled_from([1.0, 2.7]), st.integers(0, 9))
def test_shares_of_many_classes_sum_too(seed, width, n_labels, n):
    rng = np.random.default_rng(seed)
    network = random_many(rng, 40, width)
    row, empty = one_row(rng, n, network.n_features), empty_row(network.n_features)
    how = ranking(network, float(rng.uniform(0.5, 3)), 5)
    found = attribute_many(network, how, n_labels, row, np.arange(40, dtype=np.int32))
    probas = 1 - (1 - spread(network, row, how)[0].astype(np.float64)) ** n_labels
    sums = found.bias + found.features.sum(axis=1)
    assert np.abs(sums - found.logits).max() < NEAR
    assert 1 / (1 + np.exp(-found.logits)) == pytest.approx(probas, abs=1e-5)
    if width == 0:  # else the row has chosen classes for the deep path that an empty one has not
        bare = 1 - (1 - spread(network, empty, how)[0].astype(np.float64)) ** n_labels
        assert 1 / (1 + np.exp(-found.bias)) == pytest.approx(bare, abs=1e-5)


@given(
    seeds, st.integers(2, 4), st.sampled_from([0.0, 0.4, 1.0]), st.sampled_from([0.25, 0.75, 1.0])
)
def test_shares_of_a_network_beside_trees_sum_too(seed, n_classes, deep_share, share):
    rng = np.random.default_rng(seed)
    mix = Mix(np.float32(deep_share), np.float32(1.4), np.float32(0.9))
    network, row = random_network(rng, n_classes, 16, mix), one_row(rng, 6)
    before, after = rng.normal(scale=2, size=(2, n_classes))
    trees = Trees(share, float(rng.uniform(0.7, 2)), before, after)
    found = attribute(network, mix, row, np.arange(n_classes, dtype=np.int32), None, trees)
    sums = found.bias + found.features.sum(axis=1) + found.trees @ (after - before)
    assert np.abs(sums - found.logits).max() < NEAR
    for at, z, logits in ((row, after, found.logits), (empty_row(), before, found.bias)):
        probas = predict(network, at, mix)
        pooled = pool(probas, z[None].astype(np.float32), share, trees.temperature)[0]
        assert 1 / (1 + np.exp(-logits)) == pytest.approx(pooled, abs=1e-4)
