"""Many classes: a training step and a ranking that look at a row's active classes only.

Everything a row needs is proportional to its features' shortlists and to its active classes,
never to the number of classes. A kernel uses only kernels, flags and constants of this file.
"""

from __future__ import annotations

import numpy as np

from udt._jit import jit
from udt._prefetch import prefetch

FLAGS = {"reassoc", "contract", "arcp", "nsz", "afn"}
ZERO = np.float32(0)
ONE = np.float32(1)
EPS = np.float32(1e-7)
_TO_UNIT = np.float32(1.0 / 16777216.0)
_SHIFT_11, _SHIFT_12, _SHIFT_25 = np.uint64(11), np.uint64(12), np.uint64(25)
_SHIFT_27, _SHIFT_40 = np.uint64(27), np.uint64(40)
_STAR = np.uint64(0x2545F4914F6CDD1D)
_SOON, _LATER = 3, 8  # features between asking for memory and using it
_LINE = 16  # float32 or int32 in a cache line
_PER_NAT = np.float32(8)  # bins
_FEW = np.float32(8)  # classes that a row's gradient is about, for the mean of its squares


@jit()
def _next(state):
    """Return xorshift64's next state (Marsaglia, 2003)."""
    state ^= state >> _SHIFT_12
    state ^= state << _SHIFT_25
    return state ^ (state >> _SHIFT_27)


@jit(fastmath=FLAGS)
def _keep_features(rows, row, keep, scratch):
    """Drop features at random. Returns how many were kept."""
    n = 0
    state = scratch.rng[0]
    for k in range(rows.indptr[row], rows.indptr[row + 1]):
        if keep < ONE:
            state = _next(state)
            if np.float32((state * _STAR) >> _SHIFT_40) * _TO_UNIT >= keep:
                continue
        scratch.ids[n] = rows.indices[k]
        scratch.values[n] = rows.values[k]
        n += 1
    scratch.rng[0] = state
    return n


@jit()
def _ask_for(network, ids, k, n):
    """Have what feature k + _SOON needs brought into the cache, and where k + _LATER has it."""
    lists, w_in = network.lists, network.w_in
    if k + _LATER < n:
        prefetch(lists.starts, np.int64(ids[k + _LATER]))
        prefetch(w_in, np.int64(ids[k + _LATER]) * w_in.shape[1])
        prefetch(w_in, np.int64(ids[k + _LATER] + 1) * w_in.shape[1] - 1)
    if k + _SOON < n:
        first = lists.starts[np.uint32(ids[k + _SOON])]
        for line in range(2):
            prefetch(lists.classes, first + line * _LINE)
            prefetch(lists.weights, first + line * _LINE)


@jit(fastmath=FLAGS)
def _score_listed(network, scratch, n):
    """Add up the wide path's logits of the classes on n features' shortlists.

    Between rows all of scratch.z is 0: what is new to the row is listed without a branch, which
    could not be foreseen. Modified in place: scratch. Returns (classes listed, entries read).
    """
    now, m, n_read = scratch.clock[0], 0, 0
    lists = network.lists
    for k in range(n):
        _ask_for(network, scratch.ids, k, n)
        f, v = np.uint32(scratch.ids[k]), scratch.values[k]
        first, last = lists.starts[f], lists.starts[f + 1]
        n_read += last - first
        for j in range(first, last):
            c = lists.classes[j]
            scratch.z[c] += v * lists.weights[j]
            is_new = scratch.listed_at[c] != now
            scratch.listed_at[c] = now
            scratch.listed[m] = c
            m += is_new
    for i in range(m):
        scratch.z[scratch.listed[i]] += network.b[scratch.listed[i]]
    return m, n_read


@jit(fastmath=FLAGS)
def _leave_out(network, scratch, n, c):
    """Take from the logit of the row's own class what the row itself has put into its weights.

    Else every training row would look learned before the first step. Modified in place: scratch.
    """
    lists, square = network.lists, ZERO
    for k in range(n):
        f, v = np.uint32(scratch.ids[k]), scratch.values[k]
        is_listed = False
        for j in range(lists.starts[f], lists.starts[f + 1]):
            is_listed |= lists.classes[j] == c
        square += v * v * is_listed
    scratch.z[c] -= square * network.own[c]


@jit(fastmath=FLAGS)
def _forget(scratch, m):
    """Make the logits of m listed classes 0 again. Modified in place: scratch."""
    for i in range(m):
        scratch.z[scratch.listed[i]] = ZERO


@jit(fastmath=FLAGS)
def _forward_hidden(network, scratch, n):
    """Fill hidden from n features. Modified in place: scratch."""
    hidden = scratch.hidden
    for h in range(len(hidden)):
        hidden[h] = network.b_hidden[h]
    for k in range(n):
        v, w = scratch.values[k], network.w_in[np.uint32(scratch.ids[k])]
        for h in range(len(hidden)):
            hidden[h] += v * w[h]
    for h in range(len(hidden)):
        hidden[h] = max(hidden[h], ZERO)


@jit(fastmath=FLAGS)
def _cut(scratch, m, n_best):
    """Find the best n_best of m listed classes, by how many bins they are behind the best one.

    What is farther than `_FAR` is left out in any case, its probability is next to nothing.
    Modified in place: scratch. Returns the logit of the best, the bin of the last, and how many
    of this bin there is room for.
    """
    top, bins = scratch.z[scratch.listed[0]], scratch.bins
    for i in range(m):
        z = scratch.z[scratch.listed[i]]
        scratch.packed[i] = z
        top = max(top, z)
    for b in range(len(bins)):
        bins[b] = 0
    for i in range(m):
        behind = (top - scratch.packed[i]) * _PER_NAT
        bins[np.uint32(behind) if behind < len(bins) else len(bins) - 1] += 1  # also NaN
    n, b = bins[0], 0
    while n < n_best and b < len(bins) - 2:
        b += 1
        n += bins[b]
    return top, np.float32(b), n_best - (n - bins[b])


@jit()
def _add_active(scratch, c, n_active):
    """Make a class active once. Modified in place: scratch. Returns how many are."""
    if scratch.active_at[c] == scratch.clock[0]:
        return n_active
    scratch.active_at[c] = scratch.clock[0]
    scratch.active[n_active] = c
    return n_active + 1


@jit()
def _activate_best(scratch, m, n_best):
    """Make the best n_best of m listed classes active, or just all. Modified in place: scratch."""
    n_active = np.int64(0)  # a literal would compile _add_active once more
    if n_best >= len(scratch.z):
        for c in range(len(scratch.z)):
            n_active = _add_active(scratch, np.uint32(c), n_active)
        return n_active
    if m <= n_best:
        for i in range(m):
            n_active = _add_active(scratch, scratch.listed[i], n_active)
        return n_active
    top, last, room = _cut(scratch, m, n_best)
    for i in range(m):
        behind = (top - scratch.packed[i]) * _PER_NAT
        is_last = last <= behind < last + ONE
        if behind < last or (is_last and room > 0):
            n_active = _add_active(scratch, scratch.listed[i], n_active)
            room -= is_last
    return n_active


@jit(fastmath=FLAGS)
def _activate_near(scratch, tables, n_best):
    """Make the classes of the hidden vector's buckets active. Modified in place: scratch."""
    n_active = np.int64(0)
    n_tables, n_bits = tables.planes.shape[0], tables.planes.shape[1]
    for t in range(n_tables):
        bucket = 0
        for b in range(n_bits):
            plane, side = tables.planes[t, b], ZERO
            for h in range(len(scratch.hidden)):
                side += plane[h] * scratch.hidden[h]
            bucket = 2 * bucket + (1 if side > ZERO else 0)
        for j in range(tables.starts[t, bucket], tables.starts[t, bucket + 1]):
            if n_active == n_best:
                return n_active
            n_active = _add_active(scratch, tables.classes[t, j], n_active)
    return n_active


@jit()
def _add_drawn(scratch, n_active, n_drawn, n_classes):
    """Make classes active that are drawn uniformly. Modified in place: scratch."""
    state = scratch.rng[0]
    for _ in range(n_drawn):
        state = _next(state)
        c = np.uint32((state * _STAR >> _SHIFT_11) % np.uint64(n_classes))
        n_active = _add_active(scratch, c, n_active)
    scratch.rng[0] = state
    return n_active


@jit(fastmath=FLAGS)
def _deepen(network, scratch, n_active):
    """Write the logits of both paths together of all active classes. Modified in place: scratch."""
    now = scratch.clock[0]
    for a in range(n_active):
        c = scratch.active[a]
        w, z = network.w_out[c], ZERO
        for h in range(len(scratch.hidden)):
            z += scratch.hidden[h] * w[h]
        scratch.z_active[a] = z + (scratch.z[c] if scratch.listed_at[c] == now else network.b[c])


@jit(fastmath=FLAGS)
def _loss_gradient(scratch, targets, row, n_chosen, n_active):
    """Turn active logits into the gradient of the row's loss. Returns the loss.

    The classes from n_chosen on were drawn from all others and stand for them: each counts as
    often as there are others to one that was drawn (Bengio & Senécal, 2003; Jean et al., 2015).
    Modified in place: scratch.
    """
    z, top = scratch.z_active, scratch.z_active[0]
    for a in range(1, n_active):
        top = max(top, z[a])
    n_others = np.float32(len(scratch.z) - n_chosen)
    weight = n_others / np.float32(max(1, n_active - n_chosen))
    total = ZERO
    for a in range(n_active):
        scratch.gradient[a] = np.exp(z[a] - top) * (ONE if a < n_chosen else weight)
        total += scratch.gradient[a]
    share = ONE / np.float32(targets.indptr[row + 1] - targets.indptr[row])
    log_total, loss = top + np.log(total), ZERO
    for a in range(n_active):
        scratch.gradient[a] /= total
        if scratch.is_own[scratch.active[a]]:
            scratch.gradient[a] -= share
            loss += share * (log_total - z[a])
    return loss


@jit(fastmath=FLAGS)
def _backward(network, scratch, n, m, n_active, lr, step):
    """Update both paths from the gradient of the active classes. Modified in place: network.

    Rows of the output layer take plain gradient steps; row-wise Adagrad there cripples training.
    """
    now, hidden, g_hidden = scratch.clock[0], scratch.hidden, scratch.g_hidden
    _forget(scratch, m)
    for h in range(len(hidden)):
        g_hidden[h] = ZERO
    square = ZERO
    for a in range(n_active):
        c, g = scratch.active[a], scratch.gradient[a]
        w, out_step = network.w_out[c], lr * step.out_rate * g
        for h in range(len(hidden)):
            g_hidden[h] += g * w[h]
            w[h] -= out_step * hidden[h]
        network.b[c] -= lr * step.bias_rate * g
        if scratch.listed_at[c] == now:
            scratch.z[c] = g
            square += g * g
    hidden_square = ZERO
    for h in range(len(hidden)):
        if hidden[h] <= ZERO:
            g_hidden[h] = ZERO
        hidden_square += g_hidden[h] * g_hidden[h]
        network.b_hidden[h] -= lr * step.deep_rate * g_hidden[h]
    _update_features(network, scratch, n, square, hidden_square, lr, step)


@jit(fastmath=FLAGS)
def _update_features(network, scratch, n, square, hidden_square, lr, step):
    """Row-wise Adagrad on the features' shortlists and embeddings. Modified in place: network."""
    lists, width = network.lists, len(scratch.hidden)
    last = network.w_in.shape[1] - 1
    square /= _FEW
    hidden_square /= np.float32(max(1, width))
    for k in range(n):
        f, v = np.uint32(scratch.ids[k]), scratch.values[k]
        w = network.w_in[f]
        w[last - 1] += v * v * square
        list_step = lr * v / np.sqrt(w[last - 1] + EPS)
        for j in range(lists.starts[f], lists.starts[f + 1]):
            lists.weights[j] -= list_step * scratch.z[lists.classes[j]]
        if hidden_square > ZERO:
            w[last] += v * v * hidden_square
            deep_step = lr * step.deep_rate * v / np.sqrt(w[last] + EPS)
            for h in range(width):
                w[h] -= deep_step * scratch.g_hidden[h]


@jit(fastmath=FLAGS)
def train_many_rows(network, scratch, tables, rows, targets, order, start, stop, step):
    """Take one gradient step per row. Modified in place: network, scratch.

    Parameters
    ----------
    network : ManyNetwork
        Shared between threads (Hogwild: Niu et al., 2011).
    scratch : ManyScratch
        This thread's own.
    tables : Tables
        Of the output rows, to look active classes up in; without any, shortlists tell them.
    rows, targets : CSR, Targets
        Features and classes; weights scale a row's loss and gradient.
    order : ndarray of int64
        Row numbers in the order of training.
    start, stop : int
        The shard: rows order[start] … order[stop − 1].
    step : ManyStep
        Learning rates, dropout, and how many classes are active.

    Returns
    -------
    loss : float
        Sum of the rows' losses (nats), estimated from their active classes.
    work : int
        Multiply-adds done.
    """
    loss, work = 0.0, 0
    width, n_classes = len(network.b_hidden), len(network.b)
    for i in range(start, stop):
        row = order[i]
        first, last = targets.indptr[row], targets.indptr[row + 1]
        if first == last:
            continue
        lr = step.lr - np.float32(i - start) * step.lr_fall
        scratch.clock[0] += 1
        n = _keep_features(rows, row, step.keep, scratch)
        m, n_read = _score_listed(network, scratch, n)
        for j in range(first, last):
            c = np.uint32(targets.ids[j])
            scratch.is_own[c] = True
            if scratch.listed_at[c] == scratch.clock[0]:
                _leave_out(network, scratch, n, c)
        _forward_hidden(network, scratch, n)
        if len(tables.planes) > 0:
            n_chosen = _activate_near(scratch, tables, step.n_best)
        else:
            n_chosen = _activate_best(scratch, m, step.n_best)
        for j in range(first, last):
            n_chosen = _add_active(scratch, np.uint32(targets.ids[j]), n_chosen)
        n_active = _add_drawn(scratch, n_chosen, step.n_drawn, n_classes)
        _deepen(network, scratch, n_active)
        row_loss = _loss_gradient(scratch, targets, row, n_chosen, n_active)
        if len(targets.weights) > 0:
            row_loss *= targets.weights[row]
            for a in range(n_active):
                scratch.gradient[a] *= targets.weights[row]
        loss += row_loss
        work += n_read + width * (n + n_active) + tables.planes.size
        if row_loss >= step.skip_below:
            _backward(network, scratch, n, m, n_active, lr, step)
            work += n_read + width * (n + 2 * n_active)
        _forget(scratch, m)
        for j in range(first, last):
            scratch.is_own[targets.ids[j]] = False
    return loss, work


@jit(fastmath=FLAGS)
def _score_row(network, scratch, rows, row, n_best):
    """Write the logits of a row's listed classes; of the best n_best with the deep path.

    Modified in place: scratch. Returns (classes listed, multiply-adds done).
    """
    scratch.clock[0] += 1
    first = rows.indptr[row]
    n = rows.indptr[row + 1] - first
    for k in range(n):
        scratch.ids[k] = rows.indices[first + k]
        scratch.values[k] = rows.values[first + k]
    m, n_read = _score_listed(network, scratch, n)
    width = len(scratch.hidden)
    if width == 0:
        return m, n_read
    _forward_hidden(network, scratch, n)
    n_active = _activate_best(scratch, m, n_best)
    _deepen(network, scratch, n_active)
    for a in range(n_active):
        c = scratch.active[a]
        scratch.z[c] = scratch.z_active[a]
        if scratch.listed_at[c] != scratch.clock[0]:
            scratch.listed_at[c] = scratch.clock[0]
            scratch.listed[m] = c
            m += 1
    return m, n_read + width * (n + n_active)


@jit(fastmath=FLAGS)
def _to_probas(network, scratch, m, cooling, rest):
    """Turn listed logits into probabilities. Modified in place: scratch.

    Classes on no shortlist of the row have the probability of their bias: rest is Σ exp(b / T)
    of all classes. Returns the logarithm of what exp(b / T) is to be divided by.
    """
    total, top = np.float64(0), -np.float32(np.inf)
    for i in range(m):
        c = scratch.listed[i]
        rest -= np.exp(network.b[c] * cooling)
        top = max(top, scratch.z[c] * cooling)
    if m < len(scratch.z) and rest > 0:
        top = max(top, np.float32(np.log(rest)))
        total = rest * np.exp(-np.float64(top))
    for i in range(m):
        c = scratch.listed[i]
        scratch.z[c] = np.exp(scratch.z[c] * cooling - top)
        total += scratch.z[c]
    for i in range(m):
        scratch.z[scratch.listed[i]] /= np.float32(total)
    return np.float32(np.log(total)) + top


@jit()
def _place(ids, probas, n, c, p):
    """Put a class where it belongs among n, of which the last may have to go.

    Modified in place: ids, probas. Returns how many there are now.
    """
    n = min(n + 1, len(ids))
    at = n - 1
    while at > 0 and probas[at - 1] < p:
        probas[at] = probas[at - 1]
        ids[at] = ids[at - 1]
        at -= 1
    probas[at] = p
    ids[at] = c
    return n


@jit(fastmath=FLAGS)
def _rank(network, scratch, m, log_total, cooling, ids, probas):
    """Write the most probable classes of a row in order. Modified in place: ids, probas."""
    k, n = len(ids), np.int64(0)
    for i in range(m):
        c = scratch.listed[i]
        if n < k or scratch.z[c] > probas[k - 1]:
            n = _place(ids, probas, n, c, scratch.z[c])
    for c in network.by_bias:  # a frequent class that is on no list may be likelier
        p = np.exp(min(network.b[c] * cooling - log_total, ZERO))
        if n == k and p <= probas[k - 1]:
            break
        if scratch.listed_at[c] != scratch.clock[0]:
            n = _place(ids, probas, n, c, p)


@jit(fastmath=FLAGS)
def rank_rows(network, scratch, rows, targets, start, stop, how, out):
    """Rank the classes of rows start … stop − 1. Modified in place: scratch, out.

    Parameters
    ----------
    network, scratch, rows
        As in `train_many_rows`.
    targets : Targets
        True classes, to look their probabilities up; −1 = unknown; none is needed.
    start, stop : int
        Rows.
    how : Ranking
        Temperature, and how many classes take the deep path.
    out : Ranked
        Filled for these rows.

    Returns
    -------
    work : int
        Multiply-adds done.
    """
    work = 0
    for row in range(start, stop):
        m, done = _score_row(network, scratch, rows, row, how.n_best)
        work += done
        log_total = _to_probas(network, scratch, m, how.cooling, how.rest)
        for j in range(targets.indptr[row], targets.indptr[row + 1]):
            c = targets.ids[j]
            if c < 0:
                out.true_p[j] = ZERO
            elif scratch.listed_at[c] == scratch.clock[0]:
                out.true_p[j] = scratch.z[c]
            else:
                out.true_p[j] = np.exp(network.b[c] * how.cooling - log_total)
        _rank(network, scratch, m, log_total, how.cooling, out.ids[row], out.probas[row])
        _forget(scratch, m)
    return work


@jit(fastmath=FLAGS)
def spread_rows(network, scratch, rows, start, stop, how, out):
    """Write all classes' probabilities of rows start … stop − 1. Modified in place: scratch, out.

    Parameters
    ----------
    network, scratch, rows, start, stop, how
        As in `rank_rows`.
    out : ndarray of float32, shape (n_rows, n_classes)
        Probabilities.
    """
    for row in range(start, stop):
        m, _ = _score_row(network, scratch, rows, row, how.n_best)
        log_total = _to_probas(network, scratch, m, how.cooling, how.rest)
        for c in range(len(network.b)):
            out[row, c] = np.exp(min(network.b[c] * how.cooling - log_total, ZERO))
        for i in range(m):
            out[row, scratch.listed[i]] = scratch.z[scratch.listed[i]]
        _forget(scratch, m)
