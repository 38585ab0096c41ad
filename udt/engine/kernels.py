"""Forward, backward and updates of the whole network on one screen; predictions beside them.

Each layer is a sum of weight rows: the wide path's and the embeddings' by the row's features, the
output's by the neurons that are above 0. So three operations on rows do almost all the work; they
are vectors by intrinsics, because a loop over a block of 16 would check for overlaps longer than
it computes.

A kernel uses only kernels, flags and constants of this file, because numba's disk cache looks
at no other. The flags leave isnan intact, so that divergence shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from udt._jit import jit
from udt._prefetch import prefetch

FLAGS = {"reassoc", "contract", "arcp", "nsz", "afn"}
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
EPS = np.float32(1e-7)
LANES = 16  # float32 in a vector and in a cache line; rows of fewer columns are taken in fours
_EIGHT = 8
_AHEAD = 16  # weight rows between asking for one and summing it
_ROWS_AHEAD = 4  # rows between asking where one is and what it holds
_CONTRACT = ("contract",)
_LOWEST, _LOG2_E, _LN_2 = np.float32(-87), np.float32(1 / np.log(2)), np.float32(np.log(2))
_E2, _E3, _E4, _E5, _E6 = (np.float32(1 / n) for n in (2, 6, 24, 120, 720))
_DRAWS = np.float32(65536)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_27, _SHIFT_30, _SHIFT_31 = np.uint64(27), np.uint64(30), np.uint64(31)
_WAIT_BITS, _WAIT_MASK = 4, 15
_LONGEST_WAIT = 3  # 2³ epochs

# -- Vectors ---------------------------------------------------------------------------------------


def _add_eight(weights: Any, ids: Any, values: Any, k: Any, out: Any, at: Any, lanes: Any) -> None:
    """Add Σ values[j] · weights[ids[j]] of j = k … k + 7 to out, of columns at … at + lanes − 1.

    Modified in place: out.
    """
    for c in range(at, at + lanes):
        for j in range(k, k + _EIGHT):
            out[c] += values[j] * weights[ids[j], c]


def _move(weights: Any, ids: Any, steps: Any, k: Any, gradient: Any, at: Any, lanes: Any) -> None:
    """Take row ids[k] steps[k] against the gradient, in columns at … at + lanes − 1.

    Modified in place: weights.
    """
    for c in range(at, at + lanes):
        weights[ids[k], c] -= steps[k] * gradient[c]


def _generate_row(context: Any, builder: Any, kinds: Any, args: Any, j: int) -> tuple[Any, ...]:
    """Return the code for the addresses of row ids[k + j] and of the vector; values[k + j]."""
    lanes = kinds[6].literal_value
    weights, ids, values, vector = (
        context.make_array(kinds[i])(context, builder, args[i]) for i in (0, 1, 2, 4)
    )
    k, at = builder.add(args[3], ir.Constant(args[3].type, j)), args[5]
    row = builder.zext(builder.load(builder.gep(ids.data, [k])), k.type)
    start = builder.add(builder.mul(row, builder.extract_value(weights.shape, 1)), at)
    pointer = ir.PointerType(ir.VectorType(ir.FloatType(), lanes))
    undefined = ir.Constant(pointer.pointee, ir.Undefined)
    value = builder.load(builder.gep(values.data, [k]))
    value = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return (
        builder.bitcast(builder.gep(weights.data, [start]), pointer),
        builder.bitcast(builder.gep(vector.data, [at]), pointer),
        builder.shuffle_vector(value, undefined, zeros),
    )


def _generate_add_eight(
    context: Any, weights: Any, ids: Any, values: Any, k: Any, out: Any, at: Any, lanes: Any
) -> Any:
    """Return the signature and the LLVM code of `_add_eight`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = []
        for j in range(_EIGHT):
            row, total, value = _generate_row(context, builder, signature.args, args, j)
            parts.append(builder.fmul(builder.load(row, align=4), value, _CONTRACT))
        while len(parts) > 1:  # by pairs, so that few additions wait for each other
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [builder.fadd(a, b, _CONTRACT) for a, b in pairs]
        builder.store(builder.fadd(builder.load(total, align=4), *parts), total, align=4)
        return context.get_dummy_value()

    return types.void(weights, ids, values, k, out, at, lanes), generate


def _generate_move(
    context: Any, weights: Any, ids: Any, steps: Any, k: Any, gradient: Any, at: Any, lanes: Any
) -> Any:
    """Return the signature and the LLVM code of `_move`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row, slope, step = _generate_row(context, builder, signature.args, args, 0)
        change = builder.fmul(builder.load(slope, align=4), step, _CONTRACT)
        moved = builder.fsub(builder.load(row, align=4), change, _CONTRACT)
        builder.store(moved, row, align=4)
        return context.get_dummy_value()

    return types.void(weights, ids, steps, k, gradient, at, lanes), generate


if not config.DISABLE_JIT:
    _add_eight = intrinsic(prefer_literal=True)(_generate_add_eight)
    _move = intrinsic(prefer_literal=True)(_generate_move)


@jit()
def _ask_for_weights(weights, ids, n, blocks):
    """Ask for some blocks of the first rows, as `_sum_rows` does for the others.

    There it is written out: in a loop, a call that is handed a scratch's arrays would count them.
    """
    for k in range(min(n, _AHEAD)):
        start = np.int64(ids[k]) * weights.shape[1]
        for b in blocks:
            prefetch(weights, start + np.int64(b) * LANES)
        prefetch(weights, start + weights.shape[1] - 1)


@jit(fastmath=FLAGS)
def _sum_rows(weights, bias, ids, values, n, blocks, out):
    """Write bias + Σ values[k] · weights[ids[k]] to some blocks of out. Modified in place: out.

    ids and values are padded to whole eights.
    """
    length, are_first = weights.shape[1], blocks[len(blocks) - 1] + 1 == len(blocks)
    for b in blocks:
        first, last = b * LANES, min((b + 1) * LANES, length)
        for c in range(first, min(last, len(bias))):
            out[c] = bias[c]
        for c in range(max(first, len(bias)), last):
            out[c] = ZERO
    for k in range(0, n, _EIGHT):
        if length < LANES:
            for c in range(0, length, 4):
                _add_eight(weights, ids, values, k, out, c, 4)
        else:
            for j in range(k + _AHEAD, min(k + _AHEAD + _EIGHT, n)):
                start = np.int64(ids[j]) * length
                for b in blocks:
                    prefetch(weights, start + np.int64(b) * LANES)
                prefetch(weights, start + length - 1)  # its accumulator
            if are_first:
                for c in range(0, len(blocks) * LANES, LANES):
                    _add_eight(weights, ids, values, k, out, c, 16)
            else:
                for b in blocks:
                    _add_eight(weights, ids, values, k, out, np.int64(b) * LANES, 16)


@jit()
def _read_squares(weights, ids, n, squares):
    """Write the rows' accumulators to squares; well before they are used, so that nothing waits.

    Modified in place: squares.
    """
    last = weights.shape[1] - 1
    for k in range(n):
        squares[k] = weights[np.uint32(ids[k]), last]


@jit(fastmath=FLAGS)
def _find_steps(square, values, n, lr, squares, steps):
    """Row-wise Adagrad: write how far each row moves. Modified in place: squares, steps.

    Duchi et al. (2011) with one accumulator per row: the mean square of its gradient, which is
    values[k]² · square.
    """
    for k in range(_padded(n)):
        v = values[k]
        squares[k] += v * v * square
        steps[k] = np.divide(lr * v, np.sqrt(squares[k] + EPS))


@jit(fastmath=FLAGS)
def _move_rows(weights, ids, n, gradient, blocks, squares, steps):
    """Take the steps in some blocks of columns. Modified in place: weights."""
    length, are_first = weights.shape[1], blocks[len(blocks) - 1] + 1 == len(blocks)
    for k in range(n):
        if length < LANES:
            for c in range(0, length, 4):
                _move(weights, ids, steps, k, gradient, c, 4)
        else:
            if are_first:
                for c in range(0, len(blocks) * LANES, LANES):
                    _move(weights, ids, steps, k, gradient, c, 16)
            else:
                for b in blocks:
                    _move(weights, ids, steps, k, gradient, np.int64(b) * LANES, 16)
        weights[np.uint32(ids[k]), length - 1] = squares[k]


@jit(fastmath=FLAGS)
def _move_bias(bias, gradient, lr):
    """Take a plain gradient step; return the gradient's mean square. Modified in place: bias."""
    m, square = len(bias), ZERO
    for c in range(m):
        bias[c] -= lr * gradient[c]
        square += gradient[c] * gradient[c]
    return np.divide(square, np.float32(m))


# -- A row's features ------------------------------------------------------------------------------


@jit()
def _padded(n):
    """Return n rounded up to whole vectors: loops of that length are all vectors."""
    return (n + LANES - 1) // LANES * LANES


@jit()
def _draw(words, rng):
    """Fill words with random bits: SplitMix64 (Steele, Lea & Flood, 2014).

    Modified in place: words, rng.
    """
    state = rng[0]
    for j in range(len(words)):
        x = state + np.uint64(j + 1) * _GOLDEN
        x = (x ^ (x >> _SHIFT_30)) * _MIX_1
        x = (x ^ (x >> _SHIFT_27)) * _MIX_2
        words[j] = x ^ (x >> _SHIFT_31)
    rng[0] = state + np.uint64(len(words)) * _GOLDEN


@jit()
def _keep_features(rows, row, keep, draws, at, weights, ids, values):
    """Drop features at random, and ask for the weights of the others. Returns how many they are.

    Modified in place: ids, values. The k-th feature is kept if draws[at + k] says so.
    """
    first, last = np.uint64(rows.indptr[row]), np.uint64(rows.indptr[row + 1])
    offset, length = np.uint64(at) - first, np.uint64(weights.shape[1])
    below = np.int64(keep * _DRAWS)
    n = np.uint64(0)  # unsigned numbers are never counted from the end
    for k in range(first, last):  # a branch that nobody can foretell costs more than a write
        feature = rows.indices[k]
        ids[n] = feature
        values[n] = rows.values[k]
        prefetch(weights, np.uint64(np.uint32(feature)) * length)
        n += np.uint64(np.int64(draws[k + offset]) < below)
    n_kept = np.int64(n)
    for k in range(n_kept, n_kept + LANES):
        ids[k], values[k] = ids[0], ZERO
    return n_kept


@jit(fastmath=FLAGS)
def _find_norm(rows, row):
    """Return a row's squared norm."""
    norm = ZERO
    for k in range(rows.indptr[row], rows.indptr[row + 1]):
        norm += rows.values[k] * rows.values[k]
    return norm


@jit(fastmath=FLAGS)
def _scale(values, n, norm):
    """Give what is kept the row's norm. Modified in place: values."""
    kept_norm, scale = ZERO, ONE
    for k in range(_padded(n)):
        kept_norm += values[k] * values[k]
    if ZERO < kept_norm < norm:  # tiny values may square to 0
        scale = np.sqrt(np.divide(norm, kept_norm))
    for k in range(_padded(n)):
        values[k] *= scale


@jit()
def _ask_for_row(rows, targets, norms, row, later):
    """Ask for a row, and where a later one is: their order is random, so nothing foretells them."""
    prefetch(rows.indptr, later)
    prefetch(targets.indptr, row)
    prefetch(targets.ids, row)  # where its class is, if every row has one
    prefetch(norms, row)
    for k in range(rows.indptr[row], rows.indptr[row + 1], LANES):
        prefetch(rows.indices, k)
        prefetch(rows.values, k)


# -- From logits to probabilities, losses and gradients ------------------------------------------


@jit(fastmath=FLAGS)
def _exp(x):
    """Return exp(x) of a number up to 0, to 4e-7 of it; loops of it are vectors.

    2ⁿ · exp(r), |r| ≤ ln 2 / 2; below −87 it stays at what float32 can hold, NaN stays NaN.
    """
    bounded = x if x > _LOWEST else _LOWEST  # what is not a number has no whole part
    n = np.floor((ZERO if bounded > ZERO else bounded) * _LOG2_E + HALF)
    r = (_LOWEST if x < _LOWEST else x) - n * _LN_2
    series = ((((_E6 * r + _E5) * r + _E4) * r + _E3) * r + _E2) * r * r + r + ONE
    return series * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@jit(fastmath=FLAGS)
def _softmax(z, m, sharpness):
    """Turn m logits into probabilities. Modified in place: z. Returns log Σ exp(z).

    The sum is right at sharpness 1 only; else the logits are multiplied by it.
    """
    top = z[0]
    for c in range(1, m):
        top = max(top, z[c])
    total = ZERO
    for c in range(m):
        e = _exp((z[c] - top) * sharpness)
        z[c] = e
        total += e
    share = np.divide(ONE, total)
    for c in range(m):
        z[c] *= share
    return top + np.log(total)


@jit(fastmath=FLAGS)
def _sigmoid(z, m, sharpness):
    """Turn m logits into independent probabilities. Modified in place: z.

    Returns Σ log(1 + exp(z)), right at sharpness 1 only.
    """
    total = ZERO
    for c in range(m):
        x = z[c] * sharpness
        small = _exp(-abs(x))
        total += max(x, ZERO) + np.log(ONE + small)
        z[c] = np.divide(ONE if x >= ZERO else small, ONE + small)
    return total


@jit(fastmath=FLAGS)
def _right_logit(z, targets, row, sigmoid):
    """Return the mean logit of the row's classes, or with sigmoids the sum."""
    first, last = targets.indptr[row], targets.indptr[row + 1]
    total = ZERO
    for k in range(first, last):
        total += z[targets.ids[k]]
    return total if sigmoid else np.divide(total, np.float32(last - first))


@jit(fastmath=FLAGS)
def _find_gradient(z, m, targets, row, sigmoid):
    """Turn probabilities into the loss's gradient, and padding to 0. Modified in place: z."""
    first, last = targets.indptr[row], targets.indptr[row + 1]
    share = ONE if sigmoid else np.divide(ONE, np.float32(last - first))
    for k in range(first, last):
        z[targets.ids[k]] -= share
    for c in range(m, len(z)):
        z[c] = ZERO


@jit(fastmath=FLAGS)
def _weigh(z, m, weight):
    """Let a row's gradient count as much as its weight says. Modified in place: z."""
    for c in range(m):
        z[c] *= weight


@jit(fastmath=FLAGS)
def _confidence(p, m, sigmoid):
    """Return the top probability, or with sigmoids that of the least certain class."""
    least, top = ONE, ZERO
    for c in range(m):
        least = min(least, max(p[c], ONE - p[c]))
        top = max(top, p[c])
    return least if sigmoid else top


# -- Hidden neurons --------------------------------------------------------------------------------


@jit(fastmath=FLAGS)
def _rectify(hidden, width, blocks, on, above):
    """List the neurons above 0. Modified in place: on, above. Returns how many they are."""
    n_on = np.int64(0)
    for b in blocks:
        for h in range(b * LANES, min((b + 1) * LANES, width)):
            on[n_on] = h
            above[n_on] = hidden[h]
            n_on += np.int64(not hidden[h] <= ZERO)  # what is not a number must show
    for k in range(n_on, n_on + LANES):
        on[k], above[k] = on[0], ZERO
    return n_on


@jit(fastmath=FLAGS)
def _backward_hidden(w_out, z, on, above, n_on, blocks, b_hidden, g_hidden, gain, lr):
    """Find the gradients of the neurons above 0, and move their biases; others have none.

    Modified in place: b_hidden, g_hidden; gain, 0 so far: of each block |Σ activation · gradient|.
    Returns the mean square of the gradients.
    """
    for b in blocks:
        for h in range(b * LANES, min((b + 1) * LANES, len(g_hidden))):
            g_hidden[h] = ZERO
    square, j = ZERO, 0
    for k in range(n_on):
        h = on[k]
        back = ZERO
        for c in range(len(z)):
            back += w_out[np.uint32(h), c] * z[c]
        g_hidden[h] = back
        b_hidden[h] -= lr * back
        square += back * back
        while h >= (blocks[j] + 1) * LANES:
            j += 1
        gain[j] += above[k] * back
    for j in range(len(blocks)):
        gain[j] = abs(gain[j])
    return np.divide(square, np.float32(len(b_hidden)))


@jit()
def _n_computed(blocks, width):
    """Return how many neurons the blocks hold."""
    n = 0
    for b in blocks:
        n += min((b + 1) * LANES, width) - b * LANES
    return n


# -- Rows ------------------------------------------------------------------------------------------


@jit()
def _rests(waits, row):
    """Whether a learned row is left alone this time. Modified in place: waits."""
    if waits[row] & _WAIT_MASK:
        waits[row] -= 1
        return True
    return False


@jit()
def _note_learned(waits, row, is_learned):
    """Let a row that stays learned wait twice as long each time. Modified in place: waits.

    The low bits count the visits to come that are left out, the high ones how often it was so.
    """
    level = np.int64(waits[row] >> _WAIT_BITS)
    next_level = level + np.int64(level < _LONGEST_WAIT)
    waits[row] = np.uint8((next_level << _WAIT_BITS) + (1 << level)) if is_learned else np.uint8(0)


@jit(fastmath=FLAGS)
def train_rows(network, scratch, rows, targets, order, start, stop, step):
    """Take one gradient step per row. Modified in place: network, scratch, step.waits, step.norms.

    Parameters
    ----------
    network : Network
        Shared between threads (Hogwild: Niu et al., 2011).
    scratch : Scratch
        This thread's own, with the active blocks of its rows.
    rows : CSR
        Features.
    targets : Targets
        Class indices of each row, one or many; weights scale a row's loss and gradients.
    order : ndarray of int64, shape (n,)
        Row numbers in the order of training.
    start, stop : int
        Rows order[start] … order[stop − 1].
    step : Step
        Learning rates at the first of them and per row, what dropout keeps, who rests.

    Returns
    -------
    loss_wide, loss_deep : float
        Sums of the rows' weighted NLL (nats).
    n_deep : int
        Rows that took the deep path; the others rest, and are not in loss_deep.
    done : int
        Multiply-adds.
    """
    loss_wide, loss_deep, n_deep, done = 0.0, 0.0, 0, 0
    w_wide, b_wide, w_in, b_hidden, w_out, b_out = network
    ids, values, squares, steps = scratch.ids, scratch.values, scratch.squares, scratch.steps
    z_wide, z_deep, whole = scratch.z_wide, scratch.z_deep, scratch.whole
    hidden, g_hidden, on, above = scratch.hidden, scratch.g_hidden, scratch.on, scratch.above
    draws, norms, waits, sigmoid = scratch.draws, step.norms, step.waits, step.sigmoid
    is_weighted = len(targets.weights) > 0
    m, width = len(b_wide), len(b_hidden)
    n_drawn = np.int64(scratch.rng[1])
    for i in range(start, stop):
        row = order[i]
        n_features = rows.indptr[row + 1] - rows.indptr[row]
        lr = step.lr - np.float32(i - start) * step.lr_fall
        coming, later = order[min(i + 1, stop - 1)], order[min(i + _ROWS_AHEAD, stop - 1)]
        _ask_for_row(rows, targets, norms, coming, later)
        if n_drawn + n_features > len(draws):
            _draw(scratch.words, scratch.rng)
            n_drawn = np.int64(0)
        n = _keep_features(rows, row, step.keep, draws, n_drawn, w_wide, ids, values)
        n_drawn += n_features
        blocks = scratch.active[min(i - start, len(scratch.active) - 1)]
        if width > 0 and not waits[row] & _WAIT_MASK:
            _ask_for_weights(w_in, ids, n, blocks)
        if n < n_features:
            if norms[row] == ZERO:
                norms[row] = _find_norm(rows, row)
            _scale(values, n, norms[row])

        _sum_rows(w_wide, b_wide, ids, values, n, whole, z_wide)
        _read_squares(w_wide, ids, n, squares)
        loss = -_right_logit(z_wide, targets, row, sigmoid)
        loss += _sigmoid(z_wide, m, ONE) if sigmoid else _softmax(z_wide, m, ONE)
        if is_weighted:
            loss *= targets.weights[np.uint32(row)]
        loss_wide += loss
        done += n * m
        if not loss < step.skip_wide_below:
            _find_gradient(z_wide, m, targets, row, sigmoid)
            if is_weighted:
                _weigh(z_wide, m, targets.weights[np.uint32(row)])
            square = _move_bias(b_wide, z_wide, lr * step.bias_rate)
            _find_steps(square, values, n, lr, squares, steps)
            _move_rows(w_wide, ids, n, z_wide, whole, squares, steps)
            done += n * m
        if width == 0 or _rests(waits, row):
            continue

        gain = scratch.gain[min(i - start, len(scratch.gain) - 1)]
        n_computed = _n_computed(blocks, width)
        _sum_rows(w_in, b_hidden, ids, values, n, blocks, hidden)
        n_on = _rectify(hidden, width, blocks, on, above)
        _sum_rows(w_out, b_out, on, above, n_on, whole, z_deep)
        loss = -_right_logit(z_deep, targets, row, sigmoid)
        loss += _sigmoid(z_deep, m, ONE) if sigmoid else _softmax(z_deep, m, ONE)
        if is_weighted:
            loss *= targets.weights[np.uint32(row)]
        loss_deep += loss
        n_deep += 1
        done += n * n_computed + n_on * m
        _note_learned(waits, row, loss < step.rest_below)
        gain[:] = ZERO
        if not loss < step.skip_below:
            lr *= step.deep_rate
            _find_gradient(z_deep, m, targets, row, sigmoid)
            if is_weighted:
                _weigh(z_deep, m, targets.weights[np.uint32(row)])
            g_square = _backward_hidden(
                w_out, z_deep, on, above, n_on, blocks, b_hidden, g_hidden, gain, lr
            )
            _read_squares(w_out, on, n_on, squares)
            square = _move_bias(b_out, z_deep, lr)
            _find_steps(square, above, n_on, lr, squares, steps)
            _move_rows(w_out, on, n_on, z_deep, whole, squares, steps)
            _read_squares(w_in, ids, n, squares)
            _find_steps(g_square, values, n, lr, squares, steps)
            _move_rows(w_in, ids, n, g_hidden, blocks, squares, steps)
            done += 2 * m * n_on + n * n_computed
    scratch.rng[1] = np.uint64(n_drawn)
    return loss_wide, loss_deep, n_deep, done


@jit(fastmath=FLAGS)
def _write(z, m, row, out):
    """Copy m numbers to a row of out. Modified in place: out."""
    for c in range(m):
        out[row, c] = z[c]


@jit(fastmath=FLAGS)
def logit_rows(network, scratch, rows, start, stop, z_wide, z_deep):
    """Write both paths' logits of rows start … stop − 1. Modified in place: z_wide, z_deep.

    Parameters
    ----------
    network, scratch, rows
        As in `train_rows`.
    start, stop : int
        Rows.
    z_wide, z_deep : ndarray of float32, shape (n_rows, n_classes)
        Logits; that of a path that the network lacks stays as it is.
    """
    w_wide, b_wide, w_in, b_hidden, w_out, b_out = network
    ids, values, on, above = scratch.ids, scratch.values, scratch.on, scratch.above
    hidden, z, whole = scratch.hidden, scratch.z_deep, scratch.whole
    m, width = len(b_wide), len(b_hidden)
    for row in range(start, stop):
        n = _keep_features(rows, row, ONE, scratch.draws, np.int64(0), w_wide, ids, values)
        if len(w_wide) > 0:
            _sum_rows(w_wide, b_wide, ids, values, n, whole, z)
            _write(z, m, row, z_wide)
        if width > 0:
            blocks = scratch.active[min(row - start, len(scratch.active) - 1)]
            _sum_rows(w_in, b_hidden, ids, values, n, blocks, hidden)
            n_on = _rectify(hidden, width, blocks, on, above)
            _sum_rows(w_out, b_out, on, above, n_on, whole, z)
            _write(z, m, row, z_deep)


@jit(fastmath=FLAGS)
def proba_rows(network, scratch, rows, start, stop, mix, out):
    """Write the mixed probabilities of rows start … stop − 1. Modified in place: out.

    Parameters
    ----------
    network, scratch, rows, start, stop
        As in `logit_rows`.
    mix : Mix
        How the paths are mixed, and how sure the wide one must be for the deep one to be left out.
    out : ndarray of float32, shape (n_rows, n_classes)
        Probabilities.

    Returns
    -------
    done : int
        Multiply-adds.
    """
    w_wide, b_wide, w_in, b_hidden, w_out, b_out = network
    ids, values, on, above = scratch.ids, scratch.values, scratch.on, scratch.above
    z_wide, z_deep, hidden = scratch.z_wide, scratch.z_deep, scratch.hidden
    whole, sigmoid = scratch.whole, mix.sigmoid
    m, width, done = len(b_wide), len(b_hidden), 0
    exits = mix.exit_above <= ONE
    wide = mix.deep_share < ONE or (exits and len(w_wide) > 0)
    for row in range(start, stop):
        n = _keep_features(rows, row, ONE, scratch.draws, np.int64(0), w_wide, ids, values)
        share = mix.deep_share
        if wide:
            _sum_rows(w_wide, b_wide, ids, values, n, whole, z_wide)
            if sigmoid:
                _sigmoid(z_wide, m, np.divide(ONE, mix.t_wide))
            else:
                _softmax(z_wide, m, np.divide(ONE, mix.t_wide))
            done += n * m
            if exits and _confidence(z_wide, m, sigmoid) >= mix.exit_above:
                share = ZERO
        if share > ZERO:
            blocks = scratch.active[min(row - start, len(scratch.active) - 1)]
            _sum_rows(w_in, b_hidden, ids, values, n, blocks, hidden)
            n_on = _rectify(hidden, width, blocks, on, above)
            _sum_rows(w_out, b_out, on, above, n_on, whole, z_deep)
            if sigmoid:
                _sigmoid(z_deep, m, np.divide(ONE, mix.t_deep))
            else:
                _softmax(z_deep, m, np.divide(ONE, mix.t_deep))
            done += n * _n_computed(blocks, width) + n_on * m
        for c in range(m):
            out[row, c] = z_wide[c] + share * (z_deep[c] - z_wide[c])
    return done
