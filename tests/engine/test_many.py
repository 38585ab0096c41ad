"""Many classes: what is ranked, and what a file keeps."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from tests.conftest import WITHOUT_JIT
from udt.csr import CSR, one_class
from udt.engine.many import ManyNetwork, pack_many, ranking, slim_many, stride, unpack_many
from udt.engine.many_train import (
    fit_temperature,
    rank,
    row_losses,
    spread,
)
from udt.engine.shortlists import Shortlists
from udt.engine.train import Holdout

N_FEATURES, N_CLASSES = 8, 9
A_LITTLE = 0.126  # nats by which the deep path's classes need not be the best ones
NOTHING = CSR(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), N_FEATURES)

# -- Ranking ---------------------------------------------------------------------------------------


def random_rows(rng: np.random.Generator, n_rows: int = 30) -> CSR:
    """Rows of a few features; the first one has none."""
    held = rng.random((n_rows, N_FEATURES)) < 0.3
    held[0] = False
    return reference.sparse(held * rng.uniform(0.2, 1.2, held.shape))


@pytest.mark.parametrize("listed", [0, 0.3, 1])
@pytest.mark.parametrize("n_best", [0, 2, N_CLASSES, 1_000])
@pytest.mark.parametrize(("width", "temperature"), [(0, 1.0), (5, 0.4), (5, 3.0)])
def test_probabilities_are_the_formula(rng, listed, n_best, width, temperature):
    network, rows = reference.many_network(rng, listed, width), random_rows(rng)
    probas = spread(network, rows, ranking(network, temperature, n_best))
    np.testing.assert_allclose(probas.sum(axis=1), 1, rtol=1e-5)
    w, n_compared = reference.many_arrays(network), 0
    for p, x in zip(probas, reference.dense(rows), strict=True):
        wide, _ = reference.many_logits(w, x)
        behind = np.diff(-np.sort(-wide[w["is_on"][x != 0].any(axis=0)]))[n_best - 1 : n_best]
        if width == 0 or n_best == 0 or (abs(behind) > A_LITTLE).all():  # else it may choose
            expected = reference.many_probas(w, x, n_best, temperature)
            np.testing.assert_allclose(p, expected, rtol=1e-4, atol=1e-6)
            n_compared += 1
    assert n_compared > 15


@pytest.mark.parametrize("listed", [0, 0.1, 0.3, 1])
@pytest.mark.parametrize("k", [1, 4, 40])
def test_a_ranking_is_the_top_of_all_probabilities(rng, listed, k):
    """Also where a frequent class that is on no list is likelier than those that are."""
    network, rows = reference.many_network(rng, listed, n_classes=40), random_rows(rng)
    for temperature in (0.5, 2):
        how = ranking(network, temperature, 4)
        everything = spread(network, rows, how)
        ranked, _ = rank(network, rows, how, k)
        assert ranked.ids.shape == ranked.probas.shape == (rows.n_rows, k)
        for ids in ranked.ids:
            assert len({*ids.tolist()}) == k
        expected = -np.sort(-everything, axis=1)[:, :k]
        np.testing.assert_allclose(ranked.probas, expected, rtol=1e-5)
        np.testing.assert_allclose(
            np.take_along_axis(everything, ranked.ids, axis=1), expected, rtol=1e-5
        )


def test_true_classes_are_looked_up(rng):
    network, rows = reference.many_network(rng, 0.3), random_rows(rng, 6)
    targets = reference.targets([[0], [-1], [3, 1], [], [*range(N_CLASSES)], [-1, 8]])
    how = ranking(network, 0.7, 3)
    everything = spread(network, rows, how)
    ranked, _ = rank(network, rows, how, 2, targets)
    expected = np.where(targets.ids < 0, 0, everything[targets.rows, targets.ids])
    np.testing.assert_allclose(ranked.true_p, expected, rtol=1e-6)
    losses = row_losses(ranked.true_p, targets)
    expected = -np.log(np.maximum(expected, 1e-9))
    means = [np.mean(expected[targets.rows == r]) if r != 3 else 0 for r in range(6)]
    np.testing.assert_allclose(losses, means, rtol=1e-5)


def test_a_row_of_no_features_has_the_frequent_classes(rng):
    network = reference.many_network(rng, 0.3)
    ranked, work = rank(network, random_rows(rng, 1), ranking(network, 1, 3), N_CLASSES)
    np.testing.assert_array_equal(ranked.ids[0], network.by_bias)
    np.testing.assert_allclose(ranked.probas[0], np.exp(network.b[network.by_bias]), rtol=1e-5)
    assert work == 0


def test_work_of_a_ranking_is_counted(rng):
    network, rows = reference.many_network(rng, 0.4), random_rows(rng)
    is_on, X = reference.many_arrays(network)["is_on"], reference.dense(rows)
    n_read = sum(is_on[x != 0].sum() for x in X)
    n_listed = [is_on[x != 0].any(axis=0).sum() for x in X]
    _, work = rank(network, rows, ranking(network, 1, 3), 1)
    assert work == n_read + 5 * (len(rows.indices) + sum(min(3, n) for n in n_listed))
    shallow = reference.many_network(rng, 1, width=0)
    _, work = rank(shallow, rows, ranking(shallow, 1, 3), 1)
    assert work == N_CLASSES * len(rows.indices)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_a_ranking_does_not_depend_on_threads(rng, n_threads):
    network, rows = reference.many_network(rng, 0.4, n_classes=30), random_rows(rng, 400)
    targets, how = one_class(rng.integers(0, 30, 400)), ranking(network, 1.3, 4)
    one, work = rank(network, rows, how, 5, targets)
    many, work_of_many = rank(network, rows, how, 5, targets, n_threads)
    for a, b in zip(one, many, strict=True):
        assert a.tobytes() == b.tobytes()
    assert work == work_of_many
    whole = spread(network, rows, how)
    assert whole.tobytes() == spread(network, rows, how, n_threads).tobytes()
    part, _ = rank(network, NOTHING, how, 5, None, n_threads)
    assert part.ids.shape == (0, 5)


@pytest.mark.parametrize("logit", [-1e4, -120, 200, 1e4])
def test_extreme_logits_stay_probabilities(rng, logit):
    """Also where all classes are listed and next to impossible."""
    network, rows = reference.many_network(rng, 1), random_rows(rng)
    network.lists.weights[:] = logit
    network.lists.weights[::7] *= np.float32(0.99)
    how = ranking(network, 0.25, 3)
    everything = spread(network, rows, how)
    ranked, _ = rank(network, rows, how, 3)
    np.testing.assert_allclose(everything.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(ranked.probas, -np.sort(-everything, axis=1)[:, :3], rtol=1e-5)


def test_the_temperature_of_the_truth_is_found(rng):
    network = reference.many_network(rng, 0.6)
    rows = random_rows(rng, 400 if WITHOUT_JIT else 6_000)
    above = rng.random((rows.n_rows, 1)) < np.cumsum(
        spread(network, rows, ranking(network, 2, 3)), axis=1
    )
    drawn = np.where(above.any(axis=1), above.argmax(axis=1), N_CLASSES - 1)
    found = fit_temperature(network, Holdout(rows, one_class(drawn)), 3)
    assert found == pytest.approx(2, rel=0.25 if WITHOUT_JIT else 0.1)


# -- What a file keeps -----------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0, 5])
def test_a_slim_network_comes_back_bit_for_bit(rng, width):
    network, rows = reference.many_network(rng, 0.5, width), random_rows(rng)
    network.b[3] = network.b.max() + 1  # training has changed who is frequent
    slim = slim_many(network)
    packed = pack_many(slim)
    again = unpack_many(packed)
    for a, b in zip([*slim.lists, *slim[1:]], [*again.lists, *again[1:]], strict=True):
        assert (a.dtype, a.tobytes()) == (b.dtype, b.tobytes())
        assert a.flags.c_contiguous
    for name, array in pack_many(again).items():
        assert array.tobytes() == packed[name].tobytes()
    assert slim.w_in.shape == (N_FEATURES, width)
    assert slim.by_bias[0] == 3
    assert (np.diff(slim.b[slim.by_bias]) <= 0).all()
    assert [a.dtype for a in slim.lists] == [a.dtype for a in network.lists]
    how = ranking(network, 1, 3)
    whole, small = spread(network, rows, how), spread(slim, rows, ranking(slim, 1, 3))
    np.testing.assert_allclose(small, whole, atol=0.02)  # float16 weights


def test_weights_beyond_half_precision_are_at_its_ends(rng):
    network = reference.many_network(rng, 0.5)
    network.lists.weights[:2] = 1e9, -1e9
    slim = slim_many(network)
    assert slim.lists.weights[:2].tolist() == [65504, -65504]


@pytest.mark.parametrize("n_classes", [65_536, 70_000])
def test_more_classes_than_two_bytes_count(n_classes):
    """On one list of all of them, too."""
    everything, width = np.arange(n_classes, dtype=np.uint32)[::-1].copy(), 0
    network = ManyNetwork(
        lists=Shortlists(
            np.array([0, n_classes, n_classes + 1]),
            np.append(everything, everything[:1]),
            np.ones(n_classes + 1, np.float32),
        ),
        b=np.linspace(-9, -8, n_classes, dtype=np.float32),
        own=np.ones(n_classes, np.float32),
        w_in=np.zeros((2, stride(width)), np.float32),
        b_hidden=np.zeros(width, np.float32),
        w_out=np.zeros((n_classes, width), np.float32),
        by_bias=everything,
    )
    slim = slim_many(network)
    np.testing.assert_array_equal(slim.lists.starts, network.lists.starts)
    np.testing.assert_array_equal(slim.lists.classes, network.lists.classes)
    rows = reference.sparse(np.eye(2))
    ranked, _ = rank(slim, rows, ranking(slim, 1, 1), 3)
    assert ranked.ids[1, 0] == n_classes - 1
