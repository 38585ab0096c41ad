"""Forward, backward and updates of the whole network on one screen; predictions beside them.

A kernel uses only kernels, flags and constants of this file, because numba's disk cache looks
at no other. The flags leave isnan intact, so that divergence shows.
"""

from __future__ import annotations

import numpy as np

from udt._jit import jit

FLAGS = {"reassoc", "contract", "arcp", "nsz", "afn"}
ZERO = np.float32(0)
ONE = np.float32(1)
EPS = np.float32(1e-7)
_TO_UNIT = np.float32(1.0 / 16777216.0)
_SHIFT_12, _SHIFT_25, _SHIFT_27 = np.uint64(12), np.uint64(25), np.uint64(27)
_SHIFT_40 = np.uint64(40)
_STAR = np.uint64(0x2545F4914F6CDD1D)


@jit(fastmath=FLAGS)
def _keep_features(rows, row, keep, scratch):
    """Drop features at random and give what is kept the row's norm. Returns how many were kept."""
    n = 0
    norm, kept_norm = ZERO, ZERO
    state = scratch.rng[0]
    for k in range(rows.indptr[row], rows.indptr[row + 1]):
        v = rows.values[k]
        norm += v * v
        if keep < ONE:
            state ^= state >> _SHIFT_12
            state ^= state << _SHIFT_25
            state ^= state >> _SHIFT_27
            if np.float32((state * _STAR) >> _SHIFT_40) * _TO_UNIT >= keep:
                continue
        scratch.ids[n] = rows.indices[k]
        scratch.values[n] = v
        kept_norm += v * v
        n += 1
    scratch.rng[0] = state
    if ZERO < kept_norm < norm:  # tiny values may square to 0
        scale = np.sqrt(norm / kept_norm)
        for k in range(n):
            scratch.values[k] *= scale
    return n


@jit(fastmath=FLAGS)
def _sum_rows(weights, bias, ids, values, n, out):
    """Write bias + Σ values[k] · weights[ids[k]] to out. Modified in place: out."""
    m = len(bias)
    for c in range(m):
        out[c] = bias[c]
    k = 0
    while k + 4 <= n:  # four rows at a time: out is read and written a quarter as often
        a, b, c, d = values[k], values[k + 1], values[k + 2], values[k + 3]
        w, x = weights[np.uint32(ids[k])], weights[np.uint32(ids[k + 1])]
        y, z = weights[np.uint32(ids[k + 2])], weights[np.uint32(ids[k + 3])]
        for i in range(m):
            out[i] += a * w[i] + b * x[i] + c * y[i] + d * z[i]
        k += 4
    while k < n:
        a, w = values[k], weights[np.uint32(ids[k])]
        for i in range(m):
            out[i] += a * w[i]
        k += 1


@jit(fastmath=FLAGS)
def _update_rows(weights, gradient, ids, values, n, lr):
    """Row-wise Adagrad on the features' rows. Modified in place: weights.

    Duchi et al. (2011) with one accumulator per row: the mean square of its gradient.
    """
    m = len(gradient)
    square = ZERO
    for c in range(m):
        square += gradient[c] * gradient[c]
    if square == ZERO:
        return
    square /= np.float32(m)
    last = weights.shape[1] - 1
    for k in range(n):
        v = values[k]
        w = weights[np.uint32(ids[k])]
        w[last] += v * v * square
        step = lr * v / np.sqrt(w[last] + EPS)
        for c in range(m):
            w[c] -= step * gradient[c]


@jit(fastmath=FLAGS)
def _softmax(z):
    """Turn logits into probabilities. Modified in place: z. Returns log Σ exp(z)."""
    top = z[0]
    for c in range(1, len(z)):
        top = max(top, z[c])
    total = ZERO
    for c in range(len(z)):
        z[c] = np.exp(z[c] - top)
        total += z[c]
    for c in range(len(z)):
        z[c] /= total
    return top + np.log(total)


@jit(fastmath=FLAGS)
def _sigmoid(z):
    """Turn logits into independent probabilities. Modified in place: z. Returns Σ log(1 + exp(z)).

    exp of negative numbers only, so that nothing overflows.
    """
    total = ZERO
    for c in range(len(z)):
        small = np.exp(-abs(z[c]))
        total += max(z[c], ZERO) + np.log(ONE + small)
        z[c] = (ONE if z[c] >= ZERO else small) / (ONE + small)
    return total


@jit(fastmath=FLAGS)
def _loss_gradient(z, targets, row, sigmoid):
    """Turn logits into the gradient of the row's loss. Returns the loss.

    It is the mean NLL of the row's classes under one softmax, or the sum of all classes' own.
    """
    first, last = targets.indptr[row], targets.indptr[row + 1]
    share = ONE if sigmoid else ONE / np.float32(last - first)
    loss = ZERO
    for k in range(first, last):
        loss -= share * z[targets.ids[k]]
    loss += _sigmoid(z) if sigmoid else _softmax(z)
    for k in range(first, last):
        z[targets.ids[k]] -= share
    return loss


@jit(fastmath=FLAGS)
def _forward_deep(network, scratch, ids, values, n):
    """Fill hidden and z_deep from n features. Modified in place: scratch."""
    _sum_rows(network.w_in, network.b_hidden, ids, values, n, scratch.hidden)
    z = scratch.z_deep
    for c in range(len(z)):
        z[c] = network.b_out[c]
    for h in range(len(scratch.hidden)):
        activation = scratch.hidden[h]
        if activation <= ZERO:
            scratch.hidden[h] = ZERO
            continue
        w = network.w_out[h]
        for c in range(len(z)):
            z[c] += activation * w[c]


@jit(fastmath=FLAGS)
def _backward_deep(network, scratch, n, lr):
    """Update the deep path from the gradient in z_deep. Modified in place: network, scratch."""
    g = scratch.z_deep
    m = len(g)
    square = ZERO
    for c in range(m):
        square += g[c] * g[c]
        network.b_out[c] -= lr * g[c]
    square /= np.float32(m)
    for h in range(len(scratch.hidden)):
        activation = scratch.hidden[h]
        scratch.g_hidden[h] = ZERO
        if activation <= ZERO:
            continue
        w = network.w_out[h]
        back = ZERO
        w[m] += activation * activation * square
        step = lr * activation / np.sqrt(w[m] + EPS)
        for c in range(m):
            back += w[c] * g[c]
            w[c] -= step * g[c]
        scratch.g_hidden[h] = back
        network.b_hidden[h] -= lr * back
    _update_rows(network.w_in, scratch.g_hidden, scratch.ids, scratch.values, n, lr)


@jit(fastmath=FLAGS)
def train_rows(network, scratch, rows, targets, order, start, stop, step):
    """Take one gradient step per row. Modified in place: network, scratch.

    Parameters
    ----------
    network : Network
        Shared between threads (Hogwild: Niu et al., 2011).
    scratch : Scratch
        This thread's own.
    rows : CSR
        Features.
    targets : Targets
        Class indices of each row, one or many.
    order : ndarray of int64, shape (n,)
        Row numbers in the order of training.
    start, stop : int
        The shard: rows order[start] … order[stop − 1].
    step : Step
        Learning rates at the shard's start and per row, and what dropout keeps.

    Returns
    -------
    loss_wide, loss_deep : float
        Sums of the rows' NLL (nats).
    n_kept, n_backward : int
        Features computed; those of rows that took the deep backward pass.
    n_rows_backward : int
        How many rows took it.
    """
    loss_wide, loss_deep = 0.0, 0.0
    n_kept, n_backward, n_rows_backward = 0, 0, 0
    deep = len(network.b_hidden) > 0
    for i in range(start, stop):
        row = order[i]
        lr = step.lr - np.float32(i - start) * step.lr_fall
        n = _keep_features(rows, row, step.keep, scratch)
        n_kept += n
        _sum_rows(network.w_wide, network.b_wide, scratch.ids, scratch.values, n, scratch.z_wide)
        loss_wide += _loss_gradient(scratch.z_wide, targets, row, step.sigmoid)
        for c in range(len(network.b_wide)):
            network.b_wide[c] -= lr * step.bias_rate * scratch.z_wide[c]
        _update_rows(network.w_wide, scratch.z_wide, scratch.ids, scratch.values, n, lr)
        if deep:
            _forward_deep(network, scratch, scratch.ids, scratch.values, n)
            loss = _loss_gradient(scratch.z_deep, targets, row, step.sigmoid)
            loss_deep += loss
            if loss >= step.skip_below:
                _backward_deep(network, scratch, n, lr * step.deep_rate)
                n_backward += n
                n_rows_backward += 1
    return loss_wide, loss_deep, n_kept, n_backward, n_rows_backward


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
    wide, deep = len(network.w_wide) > 0, len(network.b_hidden) > 0
    for row in range(start, stop):
        first, last = rows.indptr[row], rows.indptr[row + 1]
        n = last - first
        ids, values = rows.indices[first:last], rows.values[first:last]
        if wide:
            _sum_rows(network.w_wide, network.b_wide, ids, values, n, z_wide[row])
        if deep:
            _forward_deep(network, scratch, ids, values, n)
            for c in range(len(scratch.z_deep)):
                z_deep[row, c] = scratch.z_deep[c]
