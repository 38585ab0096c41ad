"""Supervised feature weights: how far a feature moves the class distribution."""

from __future__ import annotations

import numpy as np

from udt._jit import jit

_SMOOTHING = 1.0


@jit()
def class_information(indptr, indices, y, n_features, prior):
    """Return each feature's document frequency and KL(p(class | f) ‖ p(class)).

    Class counts are smoothed towards the prior with α = 1:
    ``p(c | f) = (n_fc + α · prior_c) / (n_f + α)``. Features are visited through the transpose,
    so memory does not grow as features × classes.

    Parameters
    ----------
    indptr, indices : ndarray
        CSR rows, each feature at most once a row.
    y : ndarray of int32, shape (n_rows,)
        Class of each row; −1 = a row that does not count.
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
    for row in range(len(y)):
        if y[row] >= 0:
            for k in range(indptr[row], indptr[row + 1]):
                df[indices[k]] += 1
    start = np.zeros(n_features + 1, np.int64)
    for f in range(n_features):
        start[f + 1] = start[f] + df[f]
    classes = np.empty(start[n_features], np.int32)
    at = start[:-1].copy()
    for row in range(len(y)):
        if y[row] >= 0:
            for k in range(indptr[row], indptr[row + 1]):
                f = indices[k]
                classes[at[f]] = y[row]
                at[f] += 1
    kl = np.zeros(n_features, np.float32)
    counts = np.zeros(len(prior), np.int64)
    for f in range(n_features):
        n = df[f]
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
