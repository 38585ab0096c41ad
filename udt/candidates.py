"""What may win the race: facts about the table, and the candidates that they suggest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udt.engine.network import BLOCK
from udt.featurizers.schema import Schema
from udt.settings import FeaturizerSettings, NetworkSettings, TrainSettings
from udt.table import Table

RACE_ROWS = 25_000
"""Larger tables race on a random sample."""

_RACE_BYTES = 8_000_000
_MIN_SAMPLE_ROWS, _MAX_SAMPLE_ROWS = 12_000, 20_000
_MANY_CLASSES = 20
_MANY_ROWS = 200_000
_SEVERAL_LR, _SEVERAL_FEATURES = 0.1, 30_000  # where a row may have several classes
_SELECTOR = "votes"
_MUCH_TEXT_BYTES = 40_000_000
_SHORT_TEXT_BYTES = 400
_FEW_ROWS, _FEW_IDF_POWER = 2_000, 0.5
_CHARS_BELOW_BYTES = 25_000_000
_MEMBERS = ((25_000_000, 4), (400_000_000, 2))
"""Up to so many bytes of text, so many trainings are averaged."""
WORDS_12 = ("word 1", "word 2")
WORDS_123 = (*WORDS_12, "word 3")
CHARS_35 = ("char 3", "char 4", "char 5")
_CHARS_25 = ("char 2", *CHARS_35)
_SHARES = {"phrases first": (0.2, 0.5, 0.3), "words first": (0.6, 0.2, 0.2)}
"""Shares of words, phrases and characters in a row's squared norm, other than the default."""


@dataclass(frozen=True)
class Facts:
    """What is known before the first trial.

    Attributes
    ----------
    n_rows, n_classes, n_text_columns : int
        Sizes.
    text_bytes_per_row : float
        Mean UTF-8 bytes of all text columns together.
    ascii_share : float
        Share of ASCII bytes in a sample of the text.
    is_multi_label : bool
        Whether a row may have several classes.
    """

    n_rows: int
    n_classes: int
    n_text_columns: int
    text_bytes_per_row: float
    ascii_share: float
    is_multi_label: bool = False


@dataclass(frozen=True)
class Candidate:
    """A pipeline that may win."""

    name: str
    features: FeaturizerSettings
    shape: NetworkSettings
    training: TrainSettings

    def of(self, n_members: int) -> Candidate:
        """Return it as the mean of so many trainings."""
        return replace(self, training=replace(self.training, members=n_members))


def gather_facts(
    table: Table, schema: Schema, n_classes: int, is_multi_label: bool = False
) -> Facts:
    """Look at the table once."""
    texts = [table.column(c.name) for c in schema.used() if c.kind == "text"]
    n_bytes = n_ascii = n_sampled = 0
    for column in texts:
        column = column.cast(pa.large_string())
        n_bytes += int(pc.sum(pc.binary_length(column)).as_py() or 0)
        sample = "".join(v for v in column.slice(0, 500).to_pylist() if v).encode()[:100_000]
        n_sampled += len(sample)
        n_ascii += sum(b < 128 for b in sample)
    return Facts(
        table.n_rows, n_classes, len(texts), n_bytes / table.n_rows, n_ascii / max(1, n_sampled),
        is_multi_label,
    )  # fmt: skip


def race_rows(facts: Facts) -> int:
    """Return how many rows race: all of a small table; of a larger one fewer, if texts are long."""
    if facts.n_rows <= RACE_ROWS:
        return facts.n_rows
    fitting = _RACE_BYTES / max(1.0, facts.text_bytes_per_row)
    return int(np.clip(fitting, _MIN_SAMPLE_ROWS, _MAX_SAMPLE_ROWS))


def epochs(facts: Facts, n_rows: int) -> int:
    """Return the passes over n_rows of the table: fewer over much text, more for many classes."""
    if n_rows > _MANY_ROWS or n_rows * facts.text_bytes_per_row > _MUCH_TEXT_BYTES:
        return 4
    return 20 if facts.n_classes > _MANY_CLASSES and n_rows <= RACE_ROWS else 10


def members(facts: Facts, preset: str) -> int:
    """Return how many trainings are worth their time: the more rows teach, the fewer."""
    n_bytes = facts.n_rows * facts.text_bytes_per_row
    n = next((n for most, n in _MEMBERS if n_bytes <= most), 1)
    return {"fast": 1, "balanced": n, "best": 2 * n}[preset]


def base_network(
    facts: Facts, width: int | None, sparsity: float | None, selector: str | None
) -> tuple[NetworkSettings, TrainSettings]:
    """Return the network to start from, as far as the user has set it.

    A fixed sparsity (the fraction of the hidden neurons that is computed for a row) is kept to the
    letter: no row takes fewer or more. Then the hidden layer is as wide as makes the computed part
    as large as it is without.
    """
    # Small embeddings overfit less; many classes need to be told apart from the start.
    scale = 0.3 if facts.n_classes > _MANY_CLASSES else 0.1
    shape = NetworkSettings(init_scale=scale)
    training = TrainSettings(epochs=epochs(facts, race_rows(facts)), sigmoid=facts.is_multi_label)
    if facts.is_multi_label:
        training = replace(training, lr=_SEVERAL_LR)
    if sparsity is not None:
        training = replace(training, skip_below=0.0, rest_below=0.0, skip_wide_below=0.0)
    if sparsity is not None and sparsity < 1:
        wide = BLOCK * round(shape.width / (sparsity * BLOCK))
        shape = replace(shape, width=wide, active_fraction=sparsity, selector=selector or _SELECTOR)
    return (shape if width is None else replace(shape, width=width)), training


def first_candidates(
    facts: Facts, shape: NetworkSettings, training: TrainSettings
) -> list[Candidate]:
    """Return candidates that differ in their kinds of n-grams; the first is the best guess."""
    chars = CHARS_35 if facts.ascii_share > 0.8 else _CHARS_25
    if facts.n_text_columns == 0:
        kinds: dict[str, tuple[str, ...]] = {"columns": WORDS_12}
    elif facts.text_bytes_per_row <= _SHORT_TEXT_BYTES or facts.n_rows <= _FEW_ROWS:
        kinds = {
            "words 1–3 + characters": WORDS_123 + chars,
            "words 1–2 + characters": WORDS_12 + chars,
            "words 1–3": WORDS_123,
        }
    else:
        kinds = {"words 1–3": WORDS_123, "words 1–2": WORDS_12}
        if facts.n_rows * facts.text_bytes_per_row <= _CHARS_BELOW_BYTES:
            kinds = {"words 1–2 + characters": WORDS_12 + chars, **kinds}
    features = FeaturizerSettings()
    if facts.n_rows <= _FEW_ROWS:  # too few to do without what occurs once
        features = replace(features, min_df=1, idf_power=_FEW_IDF_POWER)
    if facts.n_text_columns > 1 and facts.n_rows <= _FEW_ROWS:
        features = replace(features, length_power=0.5)
    if facts.is_multi_label:
        features = replace(features, max_features=_SEVERAL_FEATURES)
    return [
        Candidate(name, replace(features, kinds=k), shape, training) for name, k in kinds.items()
    ]


def variations(
    base: Candidate,
    facts: Facts,
    *,
    is_capped: bool,
    is_deep: bool,
    is_sample: bool,
    is_thorough: bool = False,
) -> list[Candidate]:
    """Return candidates that each change one thing of the best one.

    Parameters
    ----------
    base : Candidate
        The best so far.
    facts : Facts
        Of the table.
    is_capped : bool
        Whether more features are there than it keeps.
    is_deep : bool
        Whether the deep path had a share, and its width is not set by the user.
    is_sample : bool
        Whether there are more rows than these: a wider network, or how often to go over them,
        cannot be judged on fewer, and more features of long texts not soon enough.
    is_thorough : bool
        Whether to try what seldom helps, too.
    """
    features, training = base.features, base.training
    changed: dict[str, dict[str, Any]] = {
        "dropout 0.3": {"training": replace(training, dropout=0.3)},
        "half the rate": {"training": replace(training, lr=training.lr / 2)},
    }
    if facts.n_text_columns > 1:
        changed["long texts first"] = {"features": replace(features, length_power=1.0)}
    if is_thorough:
        for dropout in (0.2, 0.7):
            changed[f"dropout {dropout}"] = {"training": replace(training, dropout=dropout)}
        changed["a quarter of the rate"] = {"training": replace(training, lr=training.lr / 4)}
        changed["rare n-grams first"] = {"features": replace(features, idf_power=1.0)}
        changed["n-grams of 3 rows"] = {"features": replace(features, min_df=3)}
    if facts.n_text_columns:
        for name, shares in _SHARES.items():
            word, phrase, char = shares
            shared = replace(features, word_share=word, phrase_share=phrase, char_share=char)
            changed[name] = {"features": shared}
    if not is_sample:
        longer = replace(training, epochs=2 * training.epochs)
        changed[f"{longer.epochs} epochs"] = {"training": longer}
    if is_capped and (not is_sample or facts.text_bytes_per_row <= _SHORT_TEXT_BYTES):
        more = replace(features, max_features=3 * features.max_features)
        changed[f"{more.max_features:,} features"] = {"features": more}
    if is_deep and not is_sample:
        wider = replace(base.shape, width=2 * base.shape.width)
        changed[f"width {wider.width}"] = {"shape": wider}
    return [replace(base, name=f"{base.name}, {name}", **c) for name, c in changed.items()]


def combine(base: Candidate, better: Sequence[Candidate]) -> Candidate:
    """Return the base with every change that helped, best change first where two disagree."""
    parts: dict[str, dict[str, Any]] = {"features": {}, "shape": {}, "training": {}}
    names = []
    for candidate in better:
        names.append(candidate.name.removeprefix(f"{base.name}, "))
        for part, changes in parts.items():
            new, old = asdict(getattr(candidate, part)), asdict(getattr(base, part))
            changed = {k: v for k, v in new.items() if v != old[k]}
            if not changed.keys() & changes.keys():
                changes.update(changed)
    return Candidate(
        ", ".join([base.name, *names]),
        replace(base.features, **parts["features"]),
        replace(base.shape, **parts["shape"]),
        replace(base.training, **parts["training"]),
    )
