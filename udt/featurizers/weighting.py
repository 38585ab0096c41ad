"""Supervised feature weights, and the scaling of a row's groups of features.

A feature's weight is how far it moves the class distribution,
``w_f = sqrt(2 · KL(p(class | f) ‖ p(class)))``: the Naive-Bayes-weighted bags of n-grams of
Wang & Manning (2012) and Li et al. (2017), made multi-class.

A row's features fall into groups (the words of a column, its characters, another column, …).
Each group is scaled to a fixed share of the row's squared norm; without that the many character
n-grams of a short text drown its few words.
"""

from __future__ import annotations

import numpy as np

from udt._jit import jit

_SMOOTHING = 1.0


@jit()
def class_information(rows, targets, n_features, prior):
    """Return each feature's document frequency and KL(p(class | f) ‖ p(class)).

    Class counts are smoothed towards the prior with α = 1:
    ``p(c | f) = (n_fc + α · prior_c) / (Σ_c n_fc + α)``. Features are visited through the
    transpose, so memory does not grow as features × classes.

    Parameters
    ----------
    rows : CSR
        Features, each at most once a row.
    targets : Targets
        Classes of each row; one without does not count.
    n_features : int
        Number of features.
    prior : ndarray of float64, shape (n_classes,)
        Class shares.

    Returns
    -------
    df : ndarray of int32, shape (n_features,)
        Rows that hold the feature and count.
    kl : ndarray of float32, shape (n_features,)
        Nats.
    """
    df = np.zeros(n_features, np.int32)
    start = np.zeros(n_features + 1, np.int64)
    for row in range(len(targets.indptr) - 1):
        n = targets.indptr[row + 1] - targets.indptr[row]
        if n > 0:
            for k in range(rows.indptr[row], rows.indptr[row + 1]):
                df[rows.indices[k]] += 1
                start[rows.indices[k] + 1] += n
    for f in range(n_features):
        start[f + 1] += start[f]
    classes = np.empty(start[n_features], np.int32)
    at = start[:-1].copy()
    for row in range(len(targets.indptr) - 1):
        first, last = targets.indptr[row], targets.indptr[row + 1]
        if last > first:
            for k in range(rows.indptr[row], rows.indptr[row + 1]):
                f = rows.indices[k]
                for j in range(first, last):
                    classes[at[f]] = targets.ids[j]
                    at[f] += 1
    kl = np.zeros(n_features, np.float32)
    counts = np.zeros(len(prior), np.int64)
    for f in range(n_features):
        n = start[f + 1] - start[f]
        for k in range(start[f], start[f + 1]):
            counts[classes[k]] += 1
        total, untouched = 0.0, 1.0
        for k in range(start[f], start[f + 1]):
            c = classes[k]
            if counts[c] > 0:
                p = (counts[c] + _SMOOTHING * prior[c]) / (n + _SMOOTHING)
                total += p * np.log(p / prior[c])
                untouched -= prior[c]
                counts[c] = 0
        if untouched > 1e-12:
            ratio = _SMOOTHING / (n + _SMOOTHING)
            total += untouched * ratio * np.log(ratio)
        kl[f] = max(total, 0.0)
    return df, kl


@jit()
def weigh_rows(rows, new_ids, weights, groups, shares):
    """Select, renumber, weigh and scale the features of some rows.

    Parameters
    ----------
    rows : CSR
        Features as the encoders give them.
    new_ids : ndarray of int32, shape (n_features,)
        The kept features' new ids, −1 = left out.
    weights : ndarray of float32, shape (n_new,)
        Weight of each kept feature.
    groups : ndarray of int32, shape (n_new,)
        Group of each kept feature.
    shares : ndarray of float32, shape (n_groups,)
        Squared norm of a group in a row that has all groups; a row that lacks some gives their
        share to the others, so that every row but an empty one has the same norm.

    Returns
    -------
    indptr, indices, values : ndarray
        The rows as CSR arrays.
    """
    n_rows = len(rows.indptr) - 1
    indptr = np.zeros(n_rows + 1, np.int64)
    for row in range(n_rows):
        n = 0
        for k in range(rows.indptr[row], rows.indptr[row + 1]):
            if new_ids[rows.indices[k]] >= 0:
                n += 1
        indptr[row + 1] = indptr[row] + n
    indices = np.empty(indptr[n_rows], np.int32)
    values = np.empty(indptr[n_rows], np.float32)
    squares = np.zeros(len(shares), np.float32)
    whole = np.float32(0)
    for g in range(len(shares)):
        whole += shares[g]
    for row in range(n_rows):
        for g in range(len(shares)):
            squares[g] = 0
        at = indptr[row]
        for k in range(rows.indptr[row], rows.indptr[row + 1]):
            f = new_ids[rows.indices[k]]
            if f >= 0:
                value = rows.values[k] * weights[f]
                indices[at] = f
                values[at] = value
                squares[groups[f]] += value * value
                at += 1
        present = np.float32(0)
        for g in range(len(shares)):
            if squares[g] > 0:
                present += shares[g]
        for g in range(len(shares)):
            if squares[g] > 0:
                squares[g] = np.sqrt(shares[g] / squares[g] * (whole / present))
        for k in range(indptr[row], indptr[row + 1]):
            values[k] *= squares[groups[indices[k]]]
    return indptr, indices, values


@jit()
def place_block(block, first_feature, at, indices, values):
    """Append a block's features to each row. Modified in place: at, indices, values.

    Parameters
    ----------
    block : CSR
        One column's features.
    first_feature : int
        Added to the block's ids.
    at : ndarray of int64, shape (n_rows,)
        Where each row goes on in indices and values.
    """
    for row in range(len(at)):
        i = at[row]
        for k in range(block.indptr[row], block.indptr[row + 1]):
            indices[i] = block.indices[k] + first_feature
            values[i] = block.values[k]
            i += 1
        at[row] = i
