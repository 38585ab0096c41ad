"""How far few rows may move a prediction away from the classes' shares.

Of a hundred rows with twenty classes a network learns little, and yet is sure now and then. No
temperature helps: flattened probabilities lead to equal ones, not to the shares of the classes,
which are all that such rows do tell. So the mixed probabilities of a small table are linked:

``p'_c ∝ p_c^β · prior_c^γ``

β and γ are those of least cross-validated loss, with a penalty on how far they are from 1 and 0, of
two rows' worth. β = 0, γ = 1 is the majority class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udt.csr import Targets
from udt.engine.links import AS_IT_IS

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_MOST_ROWS = 2_000  # above, the rows speak for themselves
_ROWS_PER_CLASS = 5  # with fewer, cross-validation sees classes of a single row
_SHARPNESS = np.arange(0, 1.51, 0.1)
_PULL = np.arange(0, 1.01, 0.1)
_PENALTY = 2.0
_TINY = 1e-9


def _log(p: F32) -> F64:
    return np.asarray(np.log(np.maximum(p.astype(np.float64), _TINY)))


def _normed(z: F64) -> F64:
    z = z - z.max(axis=1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))


def link_prior(p: F32, links: F32) -> F32:
    """Return the probabilities drawn towards the classes' shares.

    Parameters
    ----------
    p : ndarray of float32, shape (n_rows, n_classes)
        Probabilities; a row sums to 1.
    links : ndarray of float32, shape (n_classes + 1,) or (0,)
        Of `fit_prior`.
    """
    if not len(links):
        return p
    return np.exp(_normed(links[0] * _log(p) + links[1:])).astype(np.float32)


def fit_prior(p: F32, targets: Targets) -> F32:
    """Return β, and γ · log of each class's share; nothing where that is no help.

    Parameters
    ----------
    p : ndarray of float32, shape (n_rows, n_classes)
        Probabilities of held-out rows.
    targets : Targets
        The class of each; the shares are theirs.

    Returns
    -------
    ndarray of float32, shape (n_classes + 1,) or (0,)

    Examples
    --------
    >>> from udt.csr import one_class
    >>> y = np.array([0, 0, 0, 0, 1] * 4)
    >>> sure_and_wrong = np.tile(np.array([0.05, 0.95], np.float32), (20, 1))
    >>> links = fit_prior(sure_and_wrong, one_class(y))
    >>> link_prior(sure_and_wrong, links)[0].round(1).astype(float).round(1).tolist()
    [0.7, 0.3]
    """
    n_rows, n_classes = p.shape
    if not _ROWS_PER_CLASS * n_classes <= n_rows <= _MOST_ROWS:
        return AS_IT_IS
    counts = np.bincount(targets.ids, minlength=n_classes) + 0.5
    log_p, log_prior = _log(p), np.log(counts / counts.sum())
    truth = np.arange(n_rows), targets.ids

    def loss(beta: float, gamma: float) -> float:
        nll = -_normed(beta * log_p + gamma * log_prior)[truth].mean()
        return float(nll + _PENALTY * ((beta - 1) ** 2 + gamma**2) / n_rows)

    beta, gamma = min(((b, g) for b in _SHARPNESS for g in _PULL), key=lambda pair: loss(*pair))
    if loss(beta, gamma) >= loss(1.0, 0.0) - _TINY:
        return AS_IT_IS
    return np.append(beta, gamma * log_prior).astype(np.float32)
