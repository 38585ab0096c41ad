"""Everything that can be set, as frozen dataclasses: data only, units in the names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeaturizerSettings:
    """Which features are used, and how they share a row.

    Attributes
    ----------
    kinds : tuple of str
        Kinds of n-grams, e.g. ``("word 1", "word 2")``.
    max_features : int
        The most useful so many n-grams are kept.
    min_df : int
        An n-gram in fewer rows than this is no feature.
    word_share, phrase_share, char_share : float
        Squared norm of a text column's words, of its n-grams of several words, and of its
        character n-grams; what a row lacks goes to the others.
    column_share : float
        Squared norm of a column that is no text, where a text column has 1.
    """

    kinds: tuple[str, ...] = ("word 1", "word 2")
    max_features: int = 100_000
    min_df: int = 2
    word_share: float = 0.4
    phrase_share: float = 0.3
    char_share: float = 0.3
    column_share: float = 0.3


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
    init_scale: float = 0.3


@dataclass(frozen=True)
class TrainSettings:
    """How the network is trained.

    Attributes
    ----------
    epochs : int
        Full passes at most.
    lr : float
        Learning rate of row-wise Adagrad; falls linearly to 0.
    deep_lr_ratio : float
        Learning rate of the deep path ÷ lr.
    bias_lr_ratio : float
        Learning rate of the wide path's biases (plain gradient steps) ÷ lr.
    dropout : float
        Fraction of a row's features left out of each step.
    skip_below : float
        Rows whose deep loss (nats) is below this take no deep backward pass: they are learned.
    sigmoid : bool
        Whether a row may have several classes: each is then a question of its own, with a sigmoid
        instead of one softmax over all.
    patience_epochs : int
        Stop when the held-out loss has not fallen for so many epochs; 0 = never.
    """

    epochs: int = 10
    lr: float = 0.2
    deep_lr_ratio: float = 0.25
    bias_lr_ratio: float = 0.05
    dropout: float = 0.5
    skip_below: float = 0.1
    sigmoid: bool = False
    patience_epochs: int = 3
