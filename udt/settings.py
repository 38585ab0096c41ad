"""Everything that can be set, as frozen dataclasses: data only, units in the names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeaturizerSettings:
    """Which features a candidate uses.

    Attributes
    ----------
    kinds : tuple of str
        Kinds of n-grams, e.g. ``("word 1", "word 2")``.
    max_features : int
        The most useful so many text features are kept.
    min_df : int
        An n-gram in fewer rows than this is no feature.
    """

    kinds: tuple[str, ...] = ("word 1", "word 2")
    max_features: int = 100_000
    min_df: int = 2


@dataclass(frozen=True)
class NetworkSettings:
    """Shape of the network.

    Attributes
    ----------
    width : int
        Hidden neurons of the deep path; 0 = no deep path.
    init_scale : float
        Embeddings start uniform in ± this.
    """

    width: int = 64
    init_scale: float = 0.1


@dataclass(frozen=True)
class TrainSettings:
    """How the network is trained.

    Attributes
    ----------
    epochs : int
        Full passes at most.
    lr : float
        Learning rate of row-wise Adagrad; falls linearly to 0.
    dropout : float
        Fraction of a row's features left out of each step.
    patience_epochs : int
        Stop when the held-out loss has not fallen for so many epochs; 0 = never.
    """

    epochs: int = 10
    lr: float = 0.1
    dropout: float = 0.5
    patience_epochs: int = 0
