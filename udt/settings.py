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
    idf_power : float
        How much rare n-grams count more than frequent ones; 0 = not at all.
    length_power : float
        How much longer texts count more, where there are several text columns: shares are
        multiplied by (mean length ÷ the longest column's)^power; 0 = all columns count the same.
    column_share : float
        Squared norm of a column that is no text, where a text column has 1.
    """

    kinds: tuple[str, ...] = ("word 1", "word 2")
    max_features: int = 100_000
    min_df: int = 2
    word_share: float = 0.4
    phrase_share: float = 0.3
    char_share: float = 0.3
    idf_power: float = 0.0
    length_power: float = 0.0
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
    active_fraction : float
        Fraction of the hidden neurons computed for a row; 1 = all of them, dense.
    selector : str
        How a row's neurons are chosen: dense, votes, lsh, router or random.
    """

    width: int = 64
    init_scale: float = 0.3
    active_fraction: float = 1.0
    selector: str = "dense"


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
    rest_below : float
        Rows whose deep loss (nats) is below this do not take the deep path at all for the next 1,
        2, 4 and then 8 epochs, for as long as they stay so.
    skip_wide_below : float
        Rows whose wide loss (nats) is below this take no wide backward pass.
    sigmoid : bool
        Whether a row may have several classes: each is then a question of its own, with a sigmoid
        instead of one softmax over all.
    patience_epochs : int
        Stop when the held-out loss has not fallen for so many epochs; 0 = never.
    members : int
        Trainings from different random numbers whose mean is the network.
    """

    epochs: int = 10
    lr: float = 0.2
    deep_lr_ratio: float = 0.25
    bias_lr_ratio: float = 0.05
    dropout: float = 0.5
    skip_below: float = 0.1
    rest_below: float = 0.025
    skip_wide_below: float = 0.03
    sigmoid: bool = False
    patience_epochs: int = 3
    members: int = 1


@dataclass(frozen=True)
class ManySettings:
    """Shape and training of the network for many classes.

    Attributes
    ----------
    shortlist : int
        Classes on a feature's shortlist at most.
    centroid_scale : float
        What the cosine with a class's centroid counts at the start, as a logit.
    width : int
        Hidden neurons of the deep path; 0 = no deep path.
    init_scale : float
        Embeddings start uniform in ± this.
    selector : str
        What finds a row's active classes in training: ``"votes"`` of its features' shortlists,
        ``"lsh"`` tables over the output rows, ``"random"``, or ``"dense"`` = all are active.
    n_best : int
        Active classes found so.
    n_drawn : int
        Active classes drawn uniformly from all.
    epochs : int
        Full passes.
    lr : float
        Learning rate of the shortlists' row-wise Adagrad; falls linearly to 0.
    deep_lr_ratio, out_lr_ratio, bias_lr_ratio : float
        Learning rates of embeddings, output rows and biases ÷ lr.
    dropout : float
        Fraction of a row's features left out of each step.
    skip_below : float
        Rows whose loss (nats) is below this take no backward pass: they are learned.
    """

    shortlist: int = 32
    centroid_scale: float = 20.0
    width: int = 64
    init_scale: float = 0.1
    selector: str = "votes"
    n_best: int = 32
    n_drawn: int = 64
    epochs: int = 3
    lr: float = 2.0
    deep_lr_ratio: float = 0.025
    out_lr_ratio: float = 0.075
    bias_lr_ratio: float = 0.01
    dropout: float = 0.3
    skip_below: float = 0.05
