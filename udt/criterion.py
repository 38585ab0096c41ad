"""What a race chooses by: the cost of each held-out row, whose mean is to be small.

Costs by row, so that the difference between two pipelines has a standard error. Accuracy and the
loss are means over rows anyway. Macro-F1 is not; but to the first order it is, by each row's
influence on it (the delta method; e.g. Hampel et al., *Robust Statistics*, 1986):

``F1_c = 2 TP_c / (T_c + P_c)`` moves by ``(2 · tp_ic − F1_c · (t_ic + p_ic)) / (T_c + P_c)`` with
row i. These sum to 0 over all rows, so that the mean cost is exactly ``1 − macro-F1``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udt.csr import Targets
from udt.metrics import exact_matches

F32 = npt.NDArray[np.float32]


def row_costs(
    metric: str | None, losses: F32, chosen: Targets, targets: Targets, n_classes: int
) -> F32:
    """Return what each row costs under a metric, shape (n_rows,).

    Parameters
    ----------
    metric : {"accuracy", "macro_f1", "log_loss"} or None
        None = the loss.
    losses : ndarray of float32, shape (n_rows,)
        The rows' losses, times what each counts.
    chosen : Targets
        Predicted classes.
    targets : Targets
        True ones; rows count as their weights say.
    n_classes : int
        Number of classes.

    Examples
    --------
    >>> from udt.csr import one_class
    >>> truth, guess = one_class(np.array([0, 0, 1])), one_class(np.array([0, 1, 1]))
    >>> costs = row_costs("macro_f1", np.zeros(3, np.float32), guess, truth, 2)
    >>> round(float(1 - costs.mean()), 4)  # both classes: 2 · 1 / (1 + 2)
    0.6667
    """
    if metric == "accuracy":
        return targets.weighted((~exact_matches(targets, chosen)).astype(np.float32))
    if metric == "macro_f1":
        return _f1_costs(chosen, targets, n_classes)
    return losses


def _f1_costs(chosen: Targets, targets: Targets, n_classes: int) -> F32:
    n = targets.n_rows
    weights = targets.weighted(np.ones(n, np.float32)).astype(np.float64)
    hit = np.isin(_pairs(chosen, n_classes), _pairs(targets, n_classes))
    sizes = np.bincount(targets.ids, weights[targets.rows], n_classes)
    sizes += np.bincount(chosen.ids, weights[chosen.rows], n_classes)
    hits = np.bincount(chosen.ids[hit], weights[chosen.rows[hit]], n_classes)
    present = sizes > 0  # a class that is neither there nor predicted says nothing
    size = np.where(present, sizes, 1.0)
    f1 = 2 * hits / size
    influence = -np.bincount(targets.rows, (f1 / size)[targets.ids], n).astype(np.float64)
    influence += np.bincount(chosen.rows, (2 * hit - f1[chosen.ids]) / size[chosen.ids], n)
    share = weights * n / max(1, int(present.sum()))
    return np.asarray(1 - f1[present].mean() - influence * share, np.float32)


def _pairs(targets: Targets, n_classes: int) -> npt.NDArray[np.int64]:
    """Number the pairs (row, class)."""
    return targets.rows * n_classes + targets.ids
