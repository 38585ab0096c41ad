"""Forward, backward and updates against dense NumPy and finite differences."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from tests.conftest import WITHOUT_JIT
from tests.strategies import csr_rows
from udt import _jit
from udt.csr import CSR, Targets, one_class
from udt.engine import kernels
from udt.engine.kernels import logit_rows, proba_rows, train_rows
from udt.engine.mix import Mix, confidence, mix_probas
from udt.engine.network import (
    BLOCK,
    Network,
    Scratch,
    Step,
    make_network,
    make_scratch,
    select_blocks,
    slim,
)
from udt.engine.train import longest_row
from udt.settings import NetworkSettings

N_FEATURES, N_CLASSES, WIDTH = 9, 4, 5


class Done(NamedTuple):
    loss_wide: float
    loss_deep: float
    n_deep: int
    work: int


class Expected(NamedTuple):
    """What the oracle makes of one row."""

    weights: dict[str, np.ndarray]
    losses: tuple[float, float]
    n_on: int


def plain_step(n_rows: int = 1, **changes: Any) -> Step:
    """Return a rate of 0.1 without a fall; every feature kept, no row skipped."""
    rates = map(np.float32, (0.1, 0, 0.5, 0.25, 1, 0, 0, 0))
    step = Step(*rates, sigmoid=False, waits=np.zeros(n_rows, np.uint8),
                norms=np.zeros(n_rows, np.float32))  # fmt: skip
    return step._replace(**{k: type(getattr(step, k))(v) for k, v in changes.items()})


def random_network(
    rng: np.random.Generator, n_classes: int = N_CLASSES, width: int = WIDTH
) -> Network:
    """Return a network in the midst of training: weights of any sign, accumulators above 0."""
    shape = NetworkSettings(width=width)
    network = make_network(N_FEATURES, n_classes, shape, rng)
    for array in network:
        array[...] = rng.normal(size=array.shape)
    for array in (network.w_wide, network.w_in, network.w_out):
        if array.size:
            array[:, -1] = rng.uniform(0.5, 2, len(array))
    return network


def copied(network: Network) -> Network:
    return Network(*(a.copy() for a in network))


def random_rows(rng: np.random.Generator, n_rows: int = 1) -> CSR:
    held = rng.random((n_rows, N_FEATURES)) < 0.5
    held[:, 0] = True
    return reference.sparse(held * rng.uniform(0.2, 1.5, held.shape))


def select(scratch: Scratch, blocks: list[list[int]]) -> Scratch:
    """Return a scratch for a chunk of rows with these active blocks."""
    scratch = select_blocks(scratch, len(blocks), len(blocks[0]))
    scratch.active[:] = blocks
    return scratch


def train(
    network: Network,
    rows: CSR,
    targets: Targets,
    step: Step | None = None,
    blocks: list[list[int]] | None = None,
) -> tuple[Done, Scratch]:
    scratch = make_scratch(network, longest_row(rows), 1)
    if blocks:
        scratch = select(scratch, blocks)
    step = step or plain_step(rows.n_rows)
    order = np.arange(rows.n_rows)
    done = train_rows(network, scratch, rows, targets, order, 0, rows.n_rows, step)
    return Done(*done), scratch


def arrays64(network: Network) -> dict[str, np.ndarray]:
    """Return the weights in float64, accumulators apart and padding left out."""
    n_classes, width = network.n_classes, network.width
    arrays = {name: a.astype(np.float64) for name, a in network._asdict().items()}
    for name, n in (("w_wide", n_classes), ("w_in", width), ("w_out", n_classes)):
        arrays[f"{name} squares"] = arrays[name][:, -1].copy() if arrays[name].size else np.zeros(0)
        arrays[name] = arrays[name][:, :n].copy()
    return arrays


def deep_logits(w: dict[str, np.ndarray], x: np.ndarray, active: np.ndarray) -> np.ndarray:
    return reference.logits_sparse(x, w["w_in"], w["b_hidden"], w["w_out"], w["b_out"], active)


def losses(
    w: dict[str, np.ndarray],
    x: np.ndarray,
    classes: list[int],
    active: np.ndarray | None = None,
    *,
    sigmoid: bool = False,
) -> tuple[float, float]:
    """Return both paths' losses of one dense row; active: its neurons, all by default."""
    active = np.arange(len(w["b_hidden"])) if active is None else active
    loss = reference.sigmoid_loss if sigmoid else reference.loss
    wide = reference.logits_wide(x, w["w_wide"], w["b_wide"])
    return loss(wide, classes), loss(deep_logits(w, x, active), classes)


def reference_step(
    w: dict[str, np.ndarray],
    x: np.ndarray,
    classes: list[int],
    step: Step,
    active: np.ndarray | None = None,
) -> Expected:
    """Return what one row does: slopes by finite differences, then Adagrad's formula."""
    active = np.arange(len(w["b_hidden"])) if active is None else active
    after = dict(w)
    rates = {"wide": float(step.lr), "deep": float(step.lr * step.deep_rate)}
    before = losses(w, x, classes, active, sigmoid=step.sigmoid)
    for path, names in (
        ("wide", ("w_wide", "b_wide")),
        ("deep", (*w.keys() - {"w_wide", "b_wide"},)),
    ):
        for name in names:
            if name.endswith("squares") or not w[name].size:
                continue
            slope = reference.slope(
                lambda p=path: losses(w, x, classes, active, sigmoid=step.sigmoid)[p == "deep"],
                w[name],
            )
            if w[name].ndim == 2:
                squares = f"{name} squares"
                after[name], after[squares] = reference.adagrad(
                    w[name], w[squares], slope, rates[path]
                )
            else:
                bias_rate = float(step.bias_rate) if name == "b_wide" else 1.0
                after[name] = w[name] - rates[path] * bias_rate * slope
    hidden = w["b_hidden"] + x @ w["w_in"]
    return Expected(after, before, int((hidden[active] > 0).sum()))


def assert_weights(network: Network, expected: dict[str, np.ndarray], tol: float = 2e-5) -> None:
    for name, found in arrays64(network).items():
        np.testing.assert_allclose(found, expected[name], rtol=tol, atol=tol / 10, err_msg=name)


# -- One step --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("classes", [[2], [0], [3, 1], [0, 1, 2, 3]], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_one_step_is_adagrad_on_the_slope_of_both_losses(classes, seed, sigmoid):
    rng = np.random.default_rng(seed)
    network, rows = random_network(rng), random_rows(rng)
    before, x = arrays64(network), reference.dense(rows)[0]
    padding = network.w_wide[:, N_CLASSES:-1].copy(), network.w_in[:, WIDTH:-1].copy()
    step = plain_step(sigmoid=sigmoid)
    done, _ = train(network, rows, reference.targets([classes]), step)
    expected = reference_step(before, x, classes, step)
    np.testing.assert_allclose(done[:2], expected.losses, rtol=1e-5)
    assert done.n_deep == 1
    assert done.work == reference.row_work(len(rows.indices), N_CLASSES, WIDTH, expected.n_on)
    assert_weights(network, expected.weights)
    np.testing.assert_array_equal(network.w_wide[:, N_CLASSES:-1], padding[0])
    np.testing.assert_array_equal(network.w_in[:, WIDTH:-1], padding[1])


@pytest.mark.parametrize(
    ("n_classes", "width"), [(1, 1), (2, 1), (3, 8), (7, 7), (16, 16), (3, 0), (20, 33)]
)
def test_a_step_at_other_shapes(rng, n_classes, width):
    network, rows = random_network(rng, n_classes, width), random_rows(rng)
    before, x = arrays64(network), reference.dense(rows)[0]
    done, _ = train(network, rows, reference.targets([[n_classes - 1]]))
    expected = reference_step(before, x, [n_classes - 1], plain_step())
    n_features = len(rows.indices)
    if width:
        assert_weights(network, expected.weights)
        work = reference.row_work(n_features, n_classes, width, expected.n_on)
    else:
        only_wide = before | {k: v for k, v in expected.weights.items() if "wide" in k}
        assert_weights(network, only_wide)
        work = reference.row_work(n_features, n_classes)
    assert done.work == work


def test_rows_are_taken_in_their_order_and_the_rate_falls(rng):
    network, rows = random_network(rng), random_rows(rng, 4)
    w, X = arrays64(network), reference.dense(rows)
    classes = [[0], [3], [1, 2], [2]]
    order = np.array([9, 2, 0, 3, 9], np.int64)
    step = plain_step(4, lr_fall=0.02)
    scratch = make_scratch(network, longest_row(rows), 1)
    done = train_rows(network, scratch, rows, reference.targets(classes), order, 1, 4, step)
    total = np.zeros(2)
    for i, row in enumerate((2, 0, 3)):
        total += losses(w, X[row], classes[row])
        w = reference_step(w, X[row], classes[row], plain_step(lr=0.1 - 0.02 * i)).weights
    np.testing.assert_allclose(done[:2], total, rtol=1e-4)
    assert_weights(network, w, 1e-4)


def test_a_row_without_features_moves_the_biases_only(rng):
    network = random_network(rng)
    before = arrays64(network)
    rows = CSR(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), N_FEATURES)
    done, _ = train(network, rows, reference.targets([[1]]))
    n_on = int((before["b_hidden"] > 0).sum())
    assert done.work == reference.row_work(0, N_CLASSES, WIDTH, n_on)
    after = arrays64(network)
    assert not np.array_equal(after["b_wide"], before["b_wide"])
    for name in ("w_wide", "w_in", "w_wide squares", "w_in squares"):
        np.testing.assert_array_equal(after[name], before[name])


# -- A part of the hidden layer --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "blocks"), [(64, [1, 3]), (64, [0]), (40, [0, 2]), (40, [2]), (16, [0])], ids=str
)
def test_a_step_in_some_blocks_is_that_of_a_network_with_no_others(rng, width, blocks):
    network, rows = random_network(rng, width=width), random_rows(rng)
    before, x = arrays64(network), reference.dense(rows)[0]
    active = reference.neurons_of(blocks, BLOCK, width)
    done, _ = train(network, rows, reference.targets([[2]]), blocks=[blocks])
    expected = reference_step(before, x, [2], plain_step(), active)
    np.testing.assert_allclose(done[:2], expected.losses, rtol=1e-5)
    n_features = len(rows.indices)
    assert done.work == reference.row_work(n_features, N_CLASSES, len(active), expected.n_on)
    assert_weights(network, expected.weights)
    others = np.setdiff1d(np.arange(width), active)
    after = arrays64(network)
    for name, part in (("w_in", np.s_[:, others]), ("w_out", others), ("b_hidden", others)):
        np.testing.assert_array_equal(after[name][part], before[name][part])


def test_each_row_of_a_chunk_has_its_blocks(rng):
    network, rows = random_network(rng, width=64), random_rows(rng, 4)
    w, X = arrays64(network), reference.dense(rows)
    blocks = [[0, 1], [2, 3], [1, 3], [0, 2]]
    done, _ = train(network, rows, one_class(np.array([0, 1, 2, 3])), blocks=blocks)
    total = 0.0
    for row, own in enumerate(blocks):
        active = reference.neurons_of(own, BLOCK, 64)
        step = reference_step(w, X[row], [row], plain_step(), active)
        w, total = step.weights, total + step.losses[1]
    assert done.loss_deep == pytest.approx(total, rel=1e-4)
    assert_weights(network, w, 1e-4)


@pytest.mark.parametrize("width", [16, 40, 64])
def test_all_blocks_are_the_dense_network(rng, width):
    network, rows = random_network(rng, width=width), random_rows(rng, 30)
    targets = one_class(rng.integers(0, N_CLASSES, 30))
    step = plain_step(30, keep=0.7, skip_below=0.5)
    blocks = [[*range(-(-width // BLOCK))]] * 30
    results = []
    for own in (None, blocks):
        trained = copied(network)
        done, scratch = train(trained, rows, targets, step._replace(waits=step.waits.copy()), own)
        z_wide, z_deep = (np.zeros((30, N_CLASSES), np.float32) for _ in range(2))
        logit_rows(trained, scratch, rows, 0, 30, z_wide, z_deep)
        results.append((*trained, np.array(done), z_wide, z_deep))
    for dense, sparse in zip(*results, strict=True):
        np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-5)


def test_gain_is_what_a_block_contributes_to_the_loss(rng):
    """|Σ activation · gradient| is the slope of the loss if the block's output is scaled."""
    network, rows = random_network(rng, width=64), random_rows(rng, 2)
    w, x = arrays64(network), reference.dense(rows)[0]
    blocks = [[0, 2, 3], [0, 1, 2]]
    step = plain_step(2, lr=0)  # the second row meets the same network
    _, scratch = train(network, rows, one_class(np.array([1, 1])), step, blocks)
    active = reference.neurons_of(blocks[0], BLOCK, 64)
    for j, b in enumerate(blocks[0]):
        scale = np.ones(1)

        def scaled(b: int = b, scale: np.ndarray = scale) -> float:
            own = dict(w, w_out=w["w_out"].copy())
            own["w_out"][b * BLOCK : (b + 1) * BLOCK] *= scale
            return losses(own, x, [1], active)[1]

        slope = abs(reference.slope(scaled, scale)[0])
        assert scratch.gain[0, j] == pytest.approx(slope, rel=1e-4, abs=1e-6)
    never = plain_step(2, skip_below=1e9)
    _, scratch = train(network, rows, one_class(np.array([1, 1])), never, blocks)
    assert not scratch.gain.any()


# -- Prediction ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "blocks"), [(0, None), (WIDTH, None), (40, [0, 2])], ids=str)
def test_logits_are_those_of_dense_numpy(rng, width, blocks):
    network, rows = random_network(rng, width=width), random_rows(rng, 20)
    w, X = arrays64(network), reference.dense(rows)
    z_wide, z_deep = (np.full((20, N_CLASSES), 7, np.float32) for _ in range(2))
    scratch = make_scratch(network, longest_row(rows))
    active = np.arange(width)
    if blocks:
        scratch, active = select(scratch, [blocks] * 17), reference.neurons_of(blocks, BLOCK, width)
    logit_rows(network, scratch, rows, 2, 19, z_wide, z_deep)
    expected = reference.logits_wide(X, w["w_wide"], w["b_wide"])
    np.testing.assert_allclose(z_wide[2:19], expected[2:19], rtol=1e-4, atol=1e-5)
    if width:
        expected = deep_logits(w, X, active)
        np.testing.assert_allclose(z_deep[2:19], expected[2:19], rtol=1e-4, atol=1e-5)
    else:
        assert (z_deep == 7).all()
    assert (z_wide[[0, 1, 19]] == 7).all()


def predict(network: Network, rows: CSR, mix: Mix) -> tuple[np.ndarray, int]:
    out = np.full((rows.n_rows, network.n_classes), 7, np.float32)
    scratch = make_scratch(network, longest_row(rows))
    return out, proba_rows(network, scratch, rows, 0, rows.n_rows, mix, out)


def logits_of(network: Network, rows: CSR) -> tuple[np.ndarray, np.ndarray]:
    z_wide, z_deep = (np.zeros((rows.n_rows, network.n_classes), np.float32) for _ in range(2))
    scratch = make_scratch(network, longest_row(rows))
    logit_rows(network, scratch, rows, 0, rows.n_rows, z_wide, z_deep)
    return z_wide, z_deep


def mix_of(share: float, sigmoid: bool, exit_above: float = 2) -> Mix:
    numbers = map(np.float32, (share, 0.7, 1.6))
    return Mix(*numbers, sigmoid, np.float32(exit_above))


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 20])
@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_probabilities_are_those_of_the_mixed_logits(rng, share, n_classes, sigmoid):
    network, rows = random_network(rng, n_classes, 24), random_rows(rng, 40)
    mix = mix_of(share, sigmoid)
    for each in (network, slim(network, mix)):
        found, _ = predict(each, rows, mix)
        np.testing.assert_allclose(found, mix_probas(*logits_of(each, rows), mix), atol=1e-6)


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("share", [0.25, 1])
def test_sure_rows_leave_after_the_wide_path(rng, share, sigmoid):
    network, rows = random_network(rng, 3, 24), random_rows(rng, 60)
    z_wide, z_deep = logits_of(network, rows)
    wide = mix_probas(z_wide, z_deep, mix_of(0, sigmoid))
    sureness = confidence(wide, is_sigmoid=sigmoid)
    mix = mix_of(share, sigmoid, float(np.median(sureness)))
    sure = sureness >= mix.exit_above
    assert 0 < sure.sum() < 60
    found, work = predict(network, rows, mix)
    np.testing.assert_allclose(found[sure], wide[sure], atol=1e-6)
    both = mix_probas(z_wide, z_deep, mix_of(share, sigmoid))
    np.testing.assert_allclose(found[~sure], both[~sure], atol=1e-6)
    lengths, X = np.diff(rows.indptr), reference.dense(rows)
    on = (X @ network.w_in[:, :24] + network.b_hidden > 0).sum(axis=1)
    assert work == 3 * lengths.sum() + 24 * lengths[~sure].sum() + 3 * on[~sure].sum()
    everything = predict(network, rows, mix_of(share, sigmoid, 0))
    np.testing.assert_allclose(everything[0], wide, atol=1e-6)
    assert everything[1] == 3 * lengths.sum()


def test_the_wide_path_is_left_out_where_it_has_no_say(rng):
    network, rows = random_network(rng, 3, 24), random_rows(rng, 10)
    assert (
        predict(network, rows, mix_of(1, False))[1] < predict(network, rows, mix_of(0.5, False))[1]
    )


# -- Rows that need no more work -------------------------------------------------------------------


def test_learned_rows_take_no_deep_backward_pass(rng):
    network, rows = random_network(rng), random_rows(rng, 12)
    targets = one_class(rng.integers(0, N_CLASSES, 12).astype(np.int32))
    w = arrays64(network)
    X = reference.dense(rows)
    deep = [losses(w, x, [c])[1] for x, c in zip(X, targets.ids, strict=True)]
    threshold = float(np.median(deep))
    before = {name: w[name] for name in ("w_in", "b_hidden", "w_out", "b_out")}
    done, _ = train(network, rows, targets, plain_step(12, deep_rate=0, skip_below=threshold))
    on = (w["b_hidden"] + X @ w["w_in"] > 0).sum(axis=1)
    work = [
        reference.row_work(n, N_CLASSES, WIDTH, int(n_on), deep_backward=loss >= threshold)
        for n, n_on, loss in zip(np.diff(rows.indptr), on, deep, strict=True)
    ]
    assert done.work == sum(work)
    np.testing.assert_allclose(done.loss_deep, sum(deep), rtol=1e-4)

    train(network, rows, targets, plain_step(12, skip_below=1e9))
    after = arrays64(network)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    assert not np.array_equal(after["w_wide"], w["w_wide"])


def test_learned_rows_take_no_wide_backward_pass(rng):
    network, rows = random_network(rng), random_rows(rng, 12)
    targets = one_class(rng.integers(0, N_CLASSES, 12))
    w, X = arrays64(network), reference.dense(rows)
    wide = np.array([losses(w, x, [c])[0] for x, c in zip(X, targets.ids, strict=True)])
    row = int(np.argsort(wide)[5])
    alone = CSR(
        np.array([0, np.diff(rows.indptr)[row]]),
        rows.indices[rows.indptr[row] : rows.indptr[row + 1]],
        rows.values[rows.indptr[row] : rows.indptr[row + 1]],
        N_FEATURES,
    )
    target = one_class(targets.ids[[row]])
    for below, is_skipped in ((wide[row] * 1.01, True), (wide[row] * 0.99, False)):
        own = copied(network)
        done, _ = train(own, alone, target, plain_step(skip_wide_below=below, deep_rate=0))
        assert done.loss_wide == pytest.approx(wide[row], rel=1e-4)
        assert np.array_equal(own.w_wide, network.w_wide) == is_skipped
        assert np.array_equal(own.b_wide, network.b_wide) == is_skipped


def test_rows_that_stay_learned_rest_for_longer_and_longer(rng):
    network, rows = random_network(rng), random_rows(rng, 1)
    target, scratch = one_class(np.array([0])), make_scratch(network, longest_row(rows))
    rests = plain_step(lr=0, rest_below=1e9)

    def visits(step: Step, n: int) -> list[int]:
        args = network, scratch, rows, target, np.zeros(1, np.int64), 0, 1
        return [train_rows(*args, step)[2] for _ in range(n)]

    expected = [1, 0, 1, 0, 0, 1, *[0] * 4, 1, *[0] * 8, 1, *[0] * 8, 1]
    assert visits(rests, len(expected)) == expected
    awake = rests._replace(rest_below=np.float32(0))
    assert visits(awake, 11) == [0] * 8 + [1] * 3  # what it has begun it rests out
    again = rests._replace(waits=awake.waits)
    assert visits(again, 6) == [1, 0, 1, 0, 0, 1]  # once awake it begins anew


def test_resting_rows_do_not_touch_the_deep_path_and_others_do(rng):
    network, rows = random_network(rng), random_rows(rng, 2)
    targets = one_class(np.array([0, 1]))
    w, X = arrays64(network), reference.dense(rows)
    step = plain_step(2)
    step.waits[0] = 3
    done, _ = train(network, rows, targets, step)
    assert done.n_deep == 1
    assert done.loss_deep == pytest.approx(losses(w, X[1], [1])[1], rel=1e-4)
    deep = {k: v for k, v in reference_step(w, X[1], [1], step).weights.items() if "wide" not in k}
    after = arrays64(network)
    for name, array in deep.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    assert step.waits.tolist() == [2, 0]


# -- Dropout ---------------------------------------------------------------------------------------


def keep_features(rows: CSR, keep: float, scratch: Scratch, row: int = 0) -> tuple[Any, Any]:
    kernels._draw(scratch.words, scratch.rng)
    weights = np.zeros((rows.n_features, 4), np.float32)
    ids, values = scratch.ids, scratch.values
    n = kernels._keep_features(rows, row, np.float32(keep), scratch.draws, 0, weights, ids, values)
    assert not values[n : n + 16].any()
    if n:
        assert (ids[n : n + 16] == ids[0]).all()
    if n < rows.indptr[row + 1] - rows.indptr[row]:
        kernels._scale(values, n, kernels._find_norm(rows, row))
    return ids[:n].copy(), values[:n].copy()


def scratch_for(rows: CSR, seed: int = 3) -> Scratch:
    network = make_network(rows.n_features, 2, NetworkSettings(width=0), np.random.default_rng(0))
    return make_scratch(network, longest_row(rows), seed)


def some_ones(n: int) -> CSR:
    return CSR(np.array([0, n]), np.arange(n, dtype=np.int32), np.ones(n, np.float32), n)


@given(csr_rows(), st.floats(0.0625, 1, width=32))
def test_dropout_keeps_some_features_and_the_norm(rows, keep):
    scratch = scratch_for(rows)
    for row in range(rows.n_rows):
        ids, values = keep_features(rows, keep, scratch, row)
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        original = dict(zip(rows.indices[part].tolist(), rows.values[part].tolist(), strict=True))
        assert set(ids.tolist()) <= original.keys()
        assert len(set(ids.tolist())) == len(ids)
        if keep == 1:
            assert dict(zip(ids.tolist(), values.tolist(), strict=True)) == original
        if len(ids):
            norm = sum(v * v for v in original.values())
            np.testing.assert_allclose((values.astype(float) ** 2).sum(), norm, rtol=1e-4)
            ratio = values / [original[f] for f in ids.tolist()]
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_dropout_keeps_each_feature_as_often_as_it_should(keep):
    n, draws = 50, 400
    rows = some_ones(n)
    scratch = scratch_for(rows)
    counts = np.zeros(n)
    together = 0
    for _ in range(draws):
        held = np.zeros(n)
        held[keep_features(rows, keep, scratch)[0]] = 1
        counts += held
        together += int((held[1:] * held[:-1]).sum())
    sigma = np.sqrt(keep * (1 - keep) / draws)
    assert np.abs(counts / draws - keep).max() < 4.5 * sigma
    assert abs(counts.mean() / draws - keep) < 4.5 * sigma / np.sqrt(n)
    assert together / draws / (n - 1) == pytest.approx(
        keep * keep, abs=4.5 * sigma / np.sqrt(n - 1)
    )


def test_draws_are_splitmix64():
    scratch = scratch_for(some_ones(3))
    state = int(scratch.rng[0])
    numbers = reference.splitmix64(state, 2 * len(scratch.words))
    for half in (numbers[: len(scratch.words)], numbers[len(scratch.words) :]):
        kernels._draw(scratch.words, scratch.rng)
        assert scratch.words.tolist() == half


def test_no_draw_is_used_twice(rng):
    """Rows in one call take up where the last one stopped, until all draws are used up."""
    n = 700
    rows = some_ones(n)
    rows = CSR(
        np.arange(31, dtype=np.int64) * n, np.tile(rows.indices, 30), np.ones(30 * n, np.float32), n
    )
    scratch = scratch_for(rows)
    network = make_network(n, 2, NetworkSettings(width=0), rng)
    numbers = np.array(reference.splitmix64(int(scratch.rng[0]), 20_000), np.uint64).view(np.uint16)
    per_fill = len(scratch.draws) // n * n
    step = plain_step(30, keep=0.5)
    fills = numbers[: len(numbers) // len(scratch.draws) * len(scratch.draws)]
    used = fills.reshape(-1, len(scratch.draws))[:, :per_fill].reshape(-1, n)[:30]
    done = train_rows(
        network, scratch, rows, one_class(np.zeros(30, int)), np.arange(30), 0, 30, step
    )
    assert done[3] == 2 * 2 * int((used < 0x8000).sum())


def test_dropout_of_a_row_with_values_too_small_to_square():
    """A weight of 1e-30 squares to 0 in float32, and may be all that is kept."""
    rows = CSR(np.array([0, 2]), np.array([0, 1], np.int32), np.array([1, 1e-30], np.float32), 2)
    scratch = scratch_for(rows)
    for _ in range(50):
        _, values = keep_features(rows, 0.5, scratch)
        assert np.isfinite(values).all()


def test_dropout_draws_differ_between_threads():
    rows = some_ones(64)
    draws = [keep_features(rows, 0.5, scratch_for(rows, s))[0].tolist() for s in range(1, 9)]
    assert len({*map(tuple, draws)}) == len(draws)
    same = [keep_features(rows, 0.5, scratch_for(rows, 1))[0].tolist() for _ in range(2)]
    assert same[0] == same[1]


# -- Numbers ---------------------------------------------------------------------------------------


def test_exp_is_close_everywhere():
    x = np.linspace(-87, 0, 2001, dtype=np.float32)
    found = np.array([kernels._exp(each) for each in x], np.float64)
    rtol = 5e-6 if WITHOUT_JIT else 5e-7  # compiled, products are not rounded before the sum
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=rtol)
    assert kernels._exp(np.float32(0)) == 1
    assert 0 < kernels._exp(np.float32(-np.inf)) < 1e-37
    assert np.isnan(kernels._exp(np.float32(np.nan)))


@pytest.mark.parametrize("m", [1, 2, 5, 40])
@pytest.mark.parametrize("sharpness", [1, 0.3])
def test_softmax_and_sigmoid_at_any_size(rng, m, sharpness):
    z = (30 * rng.normal(size=m)).astype(np.float32)
    for kernel, expected, total in (
        (kernels._softmax, reference.softmax, lambda z: np.log(np.exp(z - 90).sum()) + 90),
        (kernels._sigmoid, lambda z: 1 / (1 + np.exp(-z)), lambda z: np.logaddexp(0, z).sum()),
    ):
        found = np.concatenate([z, [7]]).astype(np.float32)
        returned = kernel(found, m, np.float32(sharpness))
        np.testing.assert_allclose(
            found[:m], expected(sharpness * z.astype(np.float64)), rtol=2e-5, atol=1e-7
        )
        assert found[m] == 7
        if sharpness == 1:
            assert returned == pytest.approx(total(z.astype(np.float64)), rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["values", "w_wide", "b_wide", "w_in", "w_out"])
def test_lost_numbers_show_in_the_loss(rng, value, where):
    """The kernels' flags must leave NaN a NaN."""
    network, rows = random_network(rng), random_rows(rng, 3)
    if where == "values":
        rows.values[0] = value
    else:
        getattr(network, where)[:] = value
    if where == "w_out":
        network.b_hidden[:] = 50
    with np.errstate(invalid="ignore", over="ignore"):
        done, _ = train(network, rows, one_class(np.array([0, 1, 2], np.int32)))
    assert not np.isfinite(done.loss_wide + done.loss_deep)


def test_flags_say_nothing_of_nan():
    assert not kernels.FLAGS & {"fast", "nnan", "ninf"}


# -- Compiled and not ------------------------------------------------------------------------------


def everything(module: ModuleType, network: Network, rows: CSR) -> tuple[Any, ...]:
    """Return all that the kernels of a module make of a network and rows."""
    n, n_classes = rows.n_rows, network.n_classes
    own = copied(network)
    scratch = select(make_scratch(own, longest_row(rows), 5), [[0, 1], [1, 2]] * (n // 2))
    targets = reference.targets([[0], [1], [1, 0], [0], [0, 1], [1], [1], [0]])
    step = plain_step(n, keep=0.6, lr_fall=0.01, rest_below=0.5, skip_wide_below=0.1)
    mix = mix_of(0.5, False, 0.9)
    z_wide, z_deep, out = (np.zeros((n, n_classes), np.float32) for _ in range(3))
    with np.errstate(over="ignore"):
        done = module.train_rows(own, scratch, rows, targets, np.arange(n), 0, n, step)
        module.logit_rows(own, scratch, rows, 0, n, z_wide, z_deep)
        work = module.proba_rows(own, scratch, rows, 0, n, mix, out)
    return (*own, np.array(done), work, scratch.rng, scratch.gain, step.waits, z_wide, z_deep, out)


@pytest.mark.parametrize("n_classes", [3, 6, 20])
def test_compiled_and_python_agree(rng, n_classes, monkeypatch):
    network, rows = random_network(rng, n_classes, 40), random_rows(rng, 8)
    uncompiled = reference.uncompiled("udt.engine.kernels")
    monkeypatch.setattr(uncompiled, "prefetch", lambda array, index: None)
    results = [everything(module, network, rows) for module in (kernels, uncompiled)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(
    WITHOUT_JIT or bool(numba.config.BOUNDSCHECK), reason="not compiled as for users"
)
def test_no_kernel_inside_the_loop_over_rows_counts_references(rng):
    """Counting the references to a scratch's arrays at a call costs more than most calls do."""
    network, rows = random_network(rng, width=16), random_rows(rng, 8)
    uncached = compiled_anew()
    for sigmoid in (False, True):
        step = plain_step(8, sigmoid=sigmoid)
        scratch = make_scratch(network, longest_row(rows))
        uncached.train_rows(
            network, scratch, rows, one_class(np.zeros(8, int)), np.arange(8), 0, 8, step
        )
    inner = {
        name: kernel
        for name, kernel in vars(uncached).items()
        if name.startswith("_") and getattr(kernel, "signatures", None)
    }
    assert {"_sum_rows", "_move_rows", "_keep_features", "_backward_hidden"} <= inner.keys()
    for name, kernel in inner.items():
        assert len(kernel.signatures) == 1, name
        assert "NRT_incref" not in _machine_code(kernel), name


def compiled_anew() -> ModuleType:
    """Return a second copy of the kernels; what comes from a cache shows no machine code."""
    spec = importlib.util.find_spec(kernels.__name__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    with mock.patch.object(_jit, "CACHE", False):
        spec.loader.exec_module(copy)
    return copy


def _machine_code(kernel: Any) -> str:
    """Return a kernel's own assembly, without that of its wrapper for Python."""
    return next(iter(kernel.inspect_asm().values())).split("cfunc")[0]


def test_rows_begin_where_cache_lines_do(rng):
    for n_classes, width in ((2, 0), (20, 64), (77, 1024)):
        network = make_network(5, n_classes, NetworkSettings(width=width), rng)
        for rows in (network.w_wide, network.w_in, network.w_out):
            assert rows.size == 0 or rows.ctypes.data % 64 == 0
            assert rows.shape[1] in (0, 4, 8) or rows.shape[1] % 16 == 0
