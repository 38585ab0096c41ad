"""Forward, backward and updates against dense NumPy and finite differences."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from tests.strategies import csr_rows
from udt.csr import CSR, Targets, one_class
from udt.engine import kernels
from udt.engine.kernels import logit_rows, train_rows
from udt.engine.network import Network, Scratch, make_network, make_scratch
from udt.engine.train import Step, longest_row
from udt.settings import NetworkSettings

N_FEATURES, N_CLASSES, WIDTH = 9, 4, 5
STEP = Step(*map(np.float32, (0.1, 0, 0.5, 0.25, 1, 0)), sigmoid=False)
"""Rate 0.1 without a fall, every feature kept, no row skipped."""


class Done(NamedTuple):
    loss_wide: float
    loss_deep: float
    n_kept: int
    n_backward: int
    n_rows_backward: int


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


def random_rows(rng: np.random.Generator, n_rows: int = 1) -> CSR:
    held = rng.random((n_rows, N_FEATURES)) < 0.5
    held[:, 0] = True
    return reference.sparse(held * rng.uniform(0.2, 1.5, held.shape))


def targets_of(classes: list[list[int]]) -> Targets:
    indptr = np.cumsum([0, *map(len, classes)]).astype(np.int64)
    return Targets(indptr, np.array([c for row in classes for c in row], np.int32))


def train(
    network: Network, rows: CSR, targets: Targets, step: Step = STEP, seed: int = 1
) -> tuple[Done, Scratch]:
    scratch = make_scratch(network, longest_row(rows), seed)
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


def losses(w: dict[str, np.ndarray], x: np.ndarray, classes: list[int]) -> tuple[float, float]:
    wide = reference.logits_wide(x, w["w_wide"], w["b_wide"])
    deep = reference.logits_deep(x, w["w_in"], w["b_hidden"], w["w_out"], w["b_out"])
    return reference.loss(wide, classes), reference.loss(deep, classes)


def reference_step(
    w: dict[str, np.ndarray], x: np.ndarray, classes: list[int], step: Step
) -> dict[str, np.ndarray]:
    """Return the arrays after one row: slopes by finite differences, then Adagrad's formula."""
    after = dict(w)
    rates = {"wide": float(step.lr), "deep": float(step.lr * step.deep_rate)}
    for path, names in (
        ("wide", ("w_wide", "b_wide")),
        ("deep", (*w.keys() - {"w_wide", "b_wide"},)),
    ):
        for name in names:
            if name.endswith("squares") or not w[name].size:
                continue
            slope = reference.slope(lambda p=path: losses(w, x, classes)[p == "deep"], w[name])
            if w[name].ndim == 2:
                squares = f"{name} squares"
                after[name], after[squares] = reference.adagrad(
                    w[name], w[squares], slope, rates[path]
                )
            else:
                bias_rate = float(step.bias_rate) if name == "b_wide" else 1.0
                after[name] = w[name] - rates[path] * bias_rate * slope
    return after


@pytest.mark.parametrize("classes", [[2], [0], [3, 1], [0, 1, 2, 3]], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_one_step_is_adagrad_on_the_slope_of_both_losses(classes, seed):
    rng = np.random.default_rng(seed)
    network, rows = random_network(rng), random_rows(rng)
    before, x = arrays64(network), reference.dense(rows)[0]
    padding = network.w_wide[:, N_CLASSES:-1].copy(), network.w_in[:, WIDTH:-1].copy()
    done, _ = train(network, rows, targets_of([classes]))
    np.testing.assert_allclose(done[:2], losses(before, x, classes), rtol=1e-5)
    assert done[2:] == (len(rows.indices), len(rows.indices), 1)
    expected = reference_step(before, x, classes, STEP)
    for name, found in arrays64(network).items():
        np.testing.assert_allclose(found, expected[name], rtol=2e-5, atol=2e-6, err_msg=name)
    np.testing.assert_array_equal(network.w_wide[:, N_CLASSES:-1], padding[0])
    np.testing.assert_array_equal(network.w_in[:, WIDTH:-1], padding[1])


@pytest.mark.parametrize(("n_classes", "width"), [(2, 1), (16, 16), (3, 0), (20, 33)])
def test_a_step_at_other_shapes(rng, n_classes, width):
    network, rows = random_network(rng, n_classes, width), random_rows(rng)
    before, x = arrays64(network), reference.dense(rows)[0]
    train(network, rows, targets_of([[1]]))
    expected = reference_step(before, x, [1], STEP)
    for name, found in arrays64(network).items():
        if width or name.split()[0] in ("w_wide", "b_wide"):
            np.testing.assert_allclose(found, expected[name], rtol=2e-5, atol=2e-6, err_msg=name)
    if not width:
        np.testing.assert_array_equal(arrays64(network)["b_out"], before["b_out"])


def test_rows_are_taken_in_their_order_and_the_rate_falls(rng):
    network, rows = random_network(rng), random_rows(rng, 4)
    w, X = arrays64(network), reference.dense(rows)
    classes = [[0], [3], [1, 2], [2]]
    order = np.array([9, 2, 0, 3, 9], np.int64)
    step = STEP._replace(lr_fall=np.float32(0.02))
    scratch = make_scratch(network, longest_row(rows), 1)
    done = train_rows(network, scratch, rows, targets_of(classes), order, 1, 4, step)
    total = np.zeros(2)
    for i, row in enumerate((2, 0, 3)):
        total += losses(w, X[row], classes[row])
        w = reference_step(w, X[row], classes[row], step._replace(lr=np.float32(0.1 - 0.02 * i)))
    np.testing.assert_allclose(done[:2], total, rtol=1e-4)
    for name, found in arrays64(network).items():
        np.testing.assert_allclose(found, w[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_row_without_features_moves_the_biases_only(rng):
    network = random_network(rng)
    before = arrays64(network)
    rows = CSR(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), N_FEATURES)
    done, _ = train(network, rows, targets_of([[1]]))
    assert done.n_kept == done.n_backward == 0
    after = arrays64(network)
    assert not np.array_equal(after["b_wide"], before["b_wide"])
    for name in ("w_wide", "w_in", "w_wide squares", "w_in squares"):
        np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize("width", [0, WIDTH])
def test_logits_are_those_of_dense_numpy(rng, width):
    network, rows = random_network(rng, width=width), random_rows(rng, 20)
    w, X = arrays64(network), reference.dense(rows)
    z_wide, z_deep = (np.full((20, N_CLASSES), 7, np.float32) for _ in range(2))
    logit_rows(network, make_scratch(network, 1, 0), rows, 2, 19, z_wide, z_deep)
    expected = reference.logits_wide(X, w["w_wide"], w["b_wide"])
    np.testing.assert_allclose(z_wide[2:19], expected[2:19], rtol=1e-4, atol=1e-5)
    expected = reference.logits_deep(X, w["w_in"], w["b_hidden"], w["w_out"], w["b_out"])
    if width:
        np.testing.assert_allclose(z_deep[2:19], expected[2:19], rtol=1e-4, atol=1e-5)
    else:
        assert (z_deep == 7).all()
    assert (z_wide[[0, 1, 19]] == 7).all()


def test_learned_rows_take_no_deep_backward_pass(rng):
    network, rows = random_network(rng), random_rows(rng, 12)
    targets = one_class(rng.integers(0, N_CLASSES, 12).astype(np.int32))
    w = arrays64(network)
    deep = [losses(w, x, [c])[1] for x, c in zip(reference.dense(rows), targets.ids, strict=True)]
    threshold = float(np.median(deep))
    before = {name: w[name] for name in ("w_in", "b_hidden", "w_out", "b_out")}
    still = STEP._replace(deep_rate=np.float32(0), skip_below=np.float32(threshold))
    done, _ = train(network, rows, targets, still)
    busy = np.array(deep) >= threshold
    assert 0 < done.n_backward < done.n_kept == len(rows.indices)
    assert done.n_backward == np.diff(rows.indptr)[busy].sum()
    np.testing.assert_allclose(done.loss_deep, sum(deep), rtol=1e-4)

    done, _ = train(network, rows, targets, STEP._replace(skip_below=np.float32(1e9)))
    assert done.n_backward == 0
    after = arrays64(network)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    assert not np.array_equal(after["w_wide"], w["w_wide"])


# -- Dropout ---------------------------------------------------------------------------------------


def keep_features(rows: CSR, keep: float, scratch: Scratch, row: int = 0) -> tuple[Any, Any]:
    n = kernels._keep_features(rows, row, np.float32(keep), scratch)
    return scratch.ids[:n].copy(), scratch.values[:n].copy()


def scratch_for(rows: CSR, seed: int = 3) -> Scratch:
    network = make_network(rows.n_features, 2, NetworkSettings(width=0), np.random.default_rng(0))
    return make_scratch(network, longest_row(rows), seed)


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
    rows = CSR(np.array([0, n]), np.arange(n, dtype=np.int32), np.ones(n, np.float32), n)
    scratch = scratch_for(rows)
    counts = np.zeros(n)
    before = 0.0
    together = 0
    for _ in range(draws):
        held = np.zeros(n)
        held[keep_features(rows, keep, scratch)[0]] = 1
        counts += held
        together += int((held[1:] * held[:-1]).sum())
        before += held[0]
    sigma = np.sqrt(keep * (1 - keep) / draws)
    assert np.abs(counts / draws - keep).max() < 4.5 * sigma
    assert abs(counts.mean() / draws - keep) < 4.5 * sigma / np.sqrt(n)
    assert together / draws / (n - 1) == pytest.approx(
        keep * keep, abs=4.5 * sigma / np.sqrt(n - 1)
    )


def test_dropout_of_a_row_with_values_too_small_to_square():
    """A weight of 1e-30 squares to 0 in float32, and may be all that is kept."""
    rows = CSR(np.array([0, 2]), np.array([0, 1], np.int32), np.array([1, 1e-30], np.float32), 2)
    scratch = scratch_for(rows)
    for _ in range(50):
        _, values = keep_features(rows, 0.5, scratch)
        assert np.isfinite(values).all()


def test_dropout_draws_differ_between_threads():
    n = 64
    rows = CSR(np.array([0, n]), np.arange(n, dtype=np.int32), np.ones(n, np.float32), n)
    draws = [keep_features(rows, 0.5, scratch_for(rows, s))[0].tolist() for s in range(1, 9)]
    assert len({*map(tuple, draws)}) == len(draws)
    same = [keep_features(rows, 0.5, scratch_for(rows, 1))[0].tolist() for _ in range(2)]
    assert same[0] == same[1]


# -- Numbers that are lost -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["values", "w_wide", "b_wide", "w_out"])
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


def test_compiled_and_python_agree(rng):
    uncompiled = reference.uncompiled("udt.engine.kernels")
    network, rows = random_network(rng), random_rows(rng, 8)
    targets = targets_of([[0], [1], [2, 3], [3], [0, 1], [2], [1], [0]])
    step = STEP._replace(keep=np.float32(0.6), lr_fall=np.float32(0.01))
    results = []
    for module in (kernels, uncompiled):
        own = Network(*(a.copy() for a in network))
        scratch = make_scratch(own, longest_row(rows), 5)
        with np.errstate(over="ignore"):
            done = module.train_rows(own, scratch, rows, targets, np.arange(8), 0, 8, step)
        z_wide, z_deep = (np.zeros((8, N_CLASSES), np.float32) for _ in range(2))
        module.logit_rows(own, scratch, rows, 0, 8, z_wide, z_deep)
        results.append((*own, np.array(done), scratch.rng, z_wide, z_deep))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
