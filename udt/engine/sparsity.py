"""Adaptive sparsity: how much of the network a row needs, found on held-out rows.

The wide path answers most rows as well as both paths do. Two questions follow, and both are
answered by what a row loses on held-out data: is the deep path worth its work at all, and how sure
must the wide path be for its word to be final?
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from udt.csr import Targets
from udt.engine.mix import NEVER, Mix, confidence, mix_probas, row_losses

F32 = npt.NDArray[np.float32]

TOLERANCE = 0.001
"""Accuracy that a cheaper level may lose on held-out rows: a tenth of a point."""

_LOSS_TOLERANCE = 0.01  # of the loss


class Outcome(NamedTuple):
    """What a mix makes of held-out rows.

    Attributes
    ----------
    hits : ndarray of bool, shape (n_rows,)
        Whether the most probable class is one of the row's.
    losses : ndarray of float32, shape (n_rows,)
        NLL, nats.
    """

    hits: npt.NDArray[np.bool_]
    losses: F32


def outcome(probas: F32, targets: Targets, mix: Mix) -> Outcome:
    """Return what probabilities make of rows."""
    return Outcome(targets.contain(probas.argmax(axis=1)), row_losses(probas, targets, mix))


def wide_suffices(z_wide: F32, z_deep: F32, targets: Targets, mix: Mix) -> bool:
    """Whether the wide path alone is as good as the mix, within a standard error.

    Parameters
    ----------
    z_wide, z_deep : ndarray of float32, shape (n_rows, n_classes)
        Logits of held-out rows.
    targets : Targets
        Their classes.
    mix : Mix
        As fitted on them.
    """
    alone = mix._replace(deep_share=np.float32(0))
    with_deep = outcome(mix_probas(z_wide, z_deep, mix), targets, mix)
    wide = outcome(mix_probas(z_wide, z_deep, alone), targets, mix)
    gains = wide.losses - with_deep.losses
    is_clear = gains.mean() > gains.std() / np.sqrt(len(gains))
    return not is_clear and wide.hits.mean() >= with_deep.hits.mean() - TOLERANCE


def find_exit(z_wide: F32, z_deep: F32, targets: Targets, mix: Mix) -> tuple[Mix, float]:
    """Return the mix with the lowest safe exit, and the share of rows that go on to the deep path.

    Rows leave in the order of the wide path's confidence, for as long as accuracy and loss over
    all rows stay within 0.1 points and 1 % of those of the mix for every row.

    Parameters
    ----------
    z_wide, z_deep, targets, mix
        As in `wide_suffices`.
    """
    if not 0 < mix.deep_share < 1:
        return mix, float(mix.deep_share > 0)
    p_wide = mix_probas(z_wide, z_deep, mix._replace(deep_share=np.float32(0)))
    wide = outcome(p_wide, targets, mix)
    both = outcome(mix_probas(z_wide, z_deep, mix._replace(exit_above=NEVER)), targets, mix)
    sure = confidence(p_wide, is_sigmoid=mix.sigmoid)
    order = np.argsort(-sure, kind="stable")
    n = len(order)
    lost_hits = np.cumsum((both.hits.astype(np.int64) - wide.hits)[order]) / n
    lost = np.cumsum((wide.losses - both.losses)[order].astype(np.float64)) / n
    is_safe = (lost_hits <= TOLERANCE) & (lost <= _LOSS_TOLERANCE * both.losses.mean())
    is_last = np.append(np.diff(sure[order]) < 0, True)  # rows of equal confidence go together
    ends = np.flatnonzero(is_safe & is_last)
    if len(ends) == 0:
        return mix, 1.0
    exit_above = sure[order[ends[-1]]]
    return mix._replace(exit_above=exit_above), float((sure < exit_above).mean())


class Level(NamedTuple):
    """How much of the network a prediction needs.

    Attributes
    ----------
    mix : Mix
        With the share of the deep path, and the confidence that makes it unnecessary.
    deep_fraction : float
        Share of rows that take the deep path.
    reason : str
        Why.
    """

    mix: Mix
    deep_fraction: float
    reason: str


def find_level(z_wide: F32, z_deep: F32, targets: Targets, mix: Mix) -> Level:
    """Return the cheapest level that loses next to nothing on held-out rows.

    Parameters
    ----------
    z_wide, z_deep, targets, mix
        As in `wide_suffices`.
    """
    if mix.deep_share <= 0:
        return Level(mix, 0.0, "it has no share in the mix of least held-out loss")
    if wide_suffices(z_wide, z_deep, targets, mix):
        alone = mix._replace(deep_share=np.float32(0))
        return Level(alone, 0.0, "the wide path alone is as good on held-out rows")
    mix, fraction = find_exit(z_wide, z_deep, targets, mix)
    if fraction == 1:
        return Level(mix, 1.0, "held-out rows lose without it")
    why = f"the others are surer than {mix.exit_above:.2f} without it and lose next to nothing"
    return Level(mix, fraction, why)
