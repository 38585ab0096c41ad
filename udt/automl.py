"""The race: which features and which network, decided on held-out rows, with the reasons.

Facts about the data seed a first guess; a few candidates are trained on a sample, judged by the
calibrated held-out loss (accuracy is noisier), and the best is trained on everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt.csr import CSR
from udt.engine.mix import Mix, fit_mix, mix_loss, mix_probas
from udt.engine.network import Network, slim
from udt.engine.train import Holdout, Trained, logits, predict, train
from udt.featurizers.rows import FeaturePool, RowEncoder
from udt.featurizers.schema import Schema
from udt.settings import FeaturizerSettings, NetworkSettings, TrainSettings
from udt.table import Table

RACE_ROWS = 20_000
"""Larger tables race on a random sample of so many rows."""

_CV_ROWS = 8_000
_N_FOLDS = 5
_MIN_HOLDOUT_ROWS, _MAX_HOLDOUT_ROWS = 1_000, 5_000
_SHORT_TEXT_BYTES = 400
_WORDS_12 = ("word 1", "word 2")
_WORDS_123 = (*_WORDS_12, "word 3")
_CHARS_35 = ("char 3", "char 4", "char 5")
_CHARS_25 = ("char 2", *_CHARS_35)


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
    """

    n_rows: int
    n_classes: int
    n_text_columns: int
    text_bytes_per_row: float
    ascii_share: float


@dataclass(frozen=True)
class Candidate:
    """A pipeline that may win."""

    name: str
    features: FeaturizerSettings
    shape: NetworkSettings
    training: TrainSettings


@dataclass(frozen=True)
class Trial:
    """A candidate and how it did on held-out rows."""

    candidate: Candidate
    loss: float
    accuracy: float
    seconds: float
    n_features: int
    mix: Mix
    rows: npt.NDArray[np.int64] = field(repr=False)
    z_wide: npt.NDArray[np.float32] = field(repr=False)
    z_deep: npt.NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True)
class Choice:
    """Something that was decided, and why."""

    what: str
    value: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return a JSON-able copy."""
        return {"what": self.what, "value": self.value, "reason": self.reason}


def gather_facts(table: Table, schema: Schema, n_classes: int) -> Facts:
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
        table.n_rows, n_classes, len(texts), n_bytes / table.n_rows, n_ascii / max(1, n_sampled)
    )


def _epochs(n_rows: int) -> int:
    """Fewer passes over more rows."""
    for rows, epochs in ((8_000, 30), (20_000, 20), (60_000, 12), (200_000, 8)):
        if n_rows <= rows:
            return epochs
    return 5


def first_candidates(facts: Facts, width: int | None) -> list[Candidate]:
    """Return candidates that differ in their kinds of n-grams; the first is the best guess."""
    chars = _CHARS_35 if facts.ascii_share > 0.8 else _CHARS_25
    if facts.n_text_columns == 0:
        kinds: dict[str, tuple[str, ...]] = {"columns": _WORDS_12}
    elif facts.text_bytes_per_row <= _SHORT_TEXT_BYTES:
        kinds = {
            "words 1–3 + characters": _WORDS_123 + chars,
            "words 1–2 + characters": _WORDS_12 + chars,
            "words 1–3": _WORDS_123,
        }
    else:
        kinds = {"words 1–3": _WORDS_123, "words 1–2": _WORDS_12}
    shape = NetworkSettings(width=64 if width is None else width)
    training = TrainSettings(epochs=_epochs(min(facts.n_rows, RACE_ROWS)))
    return [
        Candidate(name, FeaturizerSettings(kinds=k), shape, training) for name, k in kinds.items()
    ]


def variations(best: Trial, facts: Facts, width: int | None) -> list[Candidate]:
    """Return candidates that each change one thing of the best one."""
    base = best.candidate
    features, training = base.features, base.training
    changed: dict[str, dict[str, Any]] = {
        "dropout 0.3": {"training": replace(training, dropout=0.3)}
    }
    if facts.n_text_columns:
        for name, shares in _SHARES.items():
            changed[name] = {"features": replace(features, **shares)}
    if best.n_features >= features.max_features:
        more = replace(features, max_features=3 * features.max_features)
        changed[f"{more.max_features:,} features"] = {"features": more}
    if width is None and best.mix.deep_share > 0:
        wider = replace(base.shape, width=2 * base.shape.width)
        changed[f"width {wider.width}"] = {"shape": wider}
    return [replace(base, name=f"{base.name}, {name}", **c) for name, c in changed.items()]


_SHARES = {
    "phrases first": {"word_share": 0.2, "phrase_share": 0.5, "char_share": 0.3},
    "words first": {"word_share": 0.6, "phrase_share": 0.2, "char_share": 0.2},
}


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


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows held out."""

    train: npt.NDArray[np.int64]
    holdout: npt.NDArray[np.int64]


def make_splits(n_rows: int, rng: np.random.Generator) -> list[Split]:
    """Return folds for small tables, one holdout for others."""
    order = rng.permutation(n_rows)
    if n_rows <= _CV_ROWS:
        n_folds = min(_N_FOLDS, n_rows)
        parts = [np.sort(order[i::n_folds]) for i in range(n_folds)]
    else:
        parts = [np.sort(order[: holdout_rows(n_rows)])]
    everything = np.arange(n_rows)
    return [Split(np.setdiff1d(everything, p, assume_unique=True), p) for p in parts]


def holdout_rows(n_rows: int) -> int:
    """Return how many rows of a larger table are held out."""
    return int(np.clip(n_rows // 5, _MIN_HOLDOUT_ROWS, _MAX_HOLDOUT_ROWS))


def take_rows(rows: CSR, which: npt.NDArray[np.int64]) -> CSR:
    """Return some rows of a CSR."""
    lengths = np.diff(rows.indptr)[which]
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    at = np.repeat(rows.indptr[which] - indptr[:-1], lengths) + np.arange(indptr[-1])
    return CSR(indptr, rows.indices[at], rows.values[at], rows.n_features)


@dataclass(frozen=True)
class Arena:
    """What all trials of a race share."""

    pool: FeaturePool
    y: npt.NDArray[np.int32]
    n_classes: int
    splits: Sequence[Split]
    seed: int

    def run(self, candidates: Sequence[Candidate], map_: Callable[..., Any]) -> list[Trial]:
        """Train each candidate on each split, side by side; judge it on all held-out rows."""
        jobs = [(c, i) for c in candidates for i in range(len(self.splits))]
        results = list(map_(lambda job: self._train(*job), jobs))
        n = len(self.splits)
        return [self._judge(c, results[k * n : (k + 1) * n]) for k, c in enumerate(candidates)]

    def _train(self, candidate: Candidate, i: int) -> tuple[Any, Any, int, float]:
        """Return the held-out logits, the number of features and the seconds of one training."""
        started = time.perf_counter()
        split = self.splits[i]
        seen = np.full(len(self.y), -1, np.int32)
        seen[split.train] = self.y[split.train]
        _, rows = self.pool.select(seen, self.n_classes, candidate.features)
        trained = train(
            take_rows(rows, split.train), self.y[split.train], self.n_classes,
            candidate.shape, candidate.training, seed=self.seed + i,
        )  # fmt: skip
        z_wide, z_deep = logits(trained.network, take_rows(rows, split.holdout))
        return z_wide, z_deep, rows.n_features, time.perf_counter() - started

    def _judge(self, candidate: Candidate, results: Sequence[Any]) -> Trial:
        held = np.concatenate([s.holdout for s in self.splits])
        z_wide, z_deep = (np.concatenate([r[k] for r in results]) for k in (0, 1))
        mix = fit_mix(z_wide, z_deep, self.y[held])
        loss, accuracy = mix_loss(z_wide, z_deep, self.y[held], mix)
        return Trial(
            candidate, loss, accuracy, sum(r[3] for r in results), results[0][2], mix, held,
            z_wide, z_deep,
        )  # fmt: skip


class Budget:
    """How long the run may take.

    Parameters
    ----------
    limit_s : float or None
        Seconds from now on; None = as long as it takes.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._started = time.perf_counter()
        self.limit_s = np.inf if limit_s is None else limit_s

    def left_s(self) -> float:
        """Return the seconds that are left."""
        return self.limit_s - (time.perf_counter() - self._started)

    def allows(self, seconds: float, share: float = 1.0) -> bool:
        """Whether so many seconds more stay within a share of the limit."""
        return (
            self.left_s() - seconds >= (1 - share) * self.limit_s if self.limit_s < np.inf else True
        )


@dataclass(frozen=True)
class Race:
    """How the trials went.

    Attributes
    ----------
    trials : list of Trial
        In the order of running.
    best : Trial
        Least held-out loss.
    probas : ndarray of float32, shape (n_held_out, n_classes)
        The best trial's probabilities of ``best.rows``.
    choices : list of Choice
        What was decided and why.
    interrupted : bool
        Whether the user ended the race.
    """

    trials: list[Trial]
    best: Trial
    choices: list[Choice]
    interrupted: bool

    @property
    def probas(self) -> npt.NDArray[np.float32]:
        """Held-out probabilities of the best trial, in the order of ``best.rows``."""
        return mix_probas(self.best.z_wide, self.best.z_deep, self.best.mix)

    def leaderboard(self) -> list[dict[str, Any]]:
        """Return the trials, best first."""
        return [
            {"name": t.candidate.name, "metric": t.accuracy, "loss": t.loss, "seconds": t.seconds}
            for t in sorted(self.trials, key=_loss)
        ]


Note = Callable[[str, float | None, str], None]
"""Called with a stage, the share of it that is done (or None) and a note."""


def race(
    table: Table,
    y: npt.NDArray[np.int32],
    n_classes: int,
    schema: Schema,
    *,
    splits: list[Split],
    width: int | None,
    n_threads: int,
    seed: int,
    budget: Budget,
    note: Note,
) -> Race:
    """Try candidates, first over features, then over the network; return all results.

    Parameters
    ----------
    table : Table
        The sample to race on.
    y : ndarray of int32, shape (n_rows,)
        Classes.
    n_classes : int
        Number of classes.
    schema : Schema
        Kinds of the table's columns.
    splits : list of Split
        What is trained on and what is held out.
    width : int or None
        Hidden neurons, if the user has set them.
    n_threads, seed : int
        Independent trainings run side by side, each on one thread, so that the seed alone
        decides the outcome.
    budget : Budget
        No trial is started that would take the race past half of it.
    note : Note
        Told of each trial.
    """
    facts = gather_facts(table, schema, n_classes)
    first = first_candidates(facts, width)
    wanted = {kind for c in first for kind in c.features.kinds}
    pool = FeaturePool(table, schema, FeaturizerSettings(kinds=tuple(sorted(wanted))), n_threads)
    arena = Arena(pool, y, n_classes, splits, seed)
    trials: list[Trial] = []

    def run_stage(stage: int, candidates: Sequence[Candidate]) -> bool:
        """Run a stage if there is time for it; say so."""
        typical = max((t.seconds for t in trials), default=0.0) / n_threads
        if trials and not budget.allows(typical * len(candidates), share=0.5):
            return False
        trials.extend(arena.run(candidates, threads.map))
        best = min(trials, key=_loss)
        note("search", stage / 3, f"{len(trials)} trials, best accuracy {best.accuracy:.3f}")
        return True

    interrupted = False
    with ThreadPoolExecutor(n_threads) as threads:
        try:
            run_stage(1, first)
            leader = min(trials, key=_loss)
            if run_stage(2, variations(leader, facts, width)):
                better = [t for t in sorted(trials, key=_loss) if t.loss < leader.loss]
                if len(better) > 1:
                    run_stage(3, [combine(leader.candidate, [t.candidate for t in better])])
        except KeyboardInterrupt:
            if not trials:
                raise
            interrupted = True
    best = min(trials, key=_loss)
    return Race(trials, best, _choices(facts, trials, best, width), interrupted)


def _loss(trial: Trial) -> float:
    return trial.loss


def _choices(facts: Facts, trials: list[Trial], best: Trial, width: int | None) -> list[Choice]:
    """Say what was decided and why."""
    c = best.candidate
    held = f"{len(best.rows):,} held-out rows"
    second = sorted(trials, key=_loss)[1:2]
    margin = f", next {second[0].candidate.name}: {second[0].loss:.3f}" if second else ""
    share = float(best.mix.deep_share)
    paths = {0.0: "wide only", 1.0: "deep only"}.get(share, f"wide and {share:.0%} deep")
    return [
        Choice("pipeline", c.name, f"least loss on {held}: {best.loss:.3f}{margin}"),
        Choice("paths", paths, f"least loss of the mix on {held}"),
        Choice(
            "width",
            str(c.shape.width),
            "set by the user" if width is not None else "least loss in the race",
        ),
        Choice("epochs", str(c.training.epochs), f"{facts.n_rows:,} rows"),
    ]


@dataclass(frozen=True)
class Finished:
    """The model that the race led to.

    Attributes
    ----------
    encoder : RowEncoder
        From tables to rows.
    trained : Trained
        The network and its history.
    mix : Mix
        How its paths are mixed.
    holdout : tuple of (rows, probas) or None
        Held-out row numbers and probabilities, where rows were held out of this training.
    """

    encoder: RowEncoder
    network: Network
    trained: Trained
    mix: Mix
    holdout: tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]] | None
    interrupted: bool


def finish(
    table: Table,
    y: npt.NDArray[np.int32],
    n_classes: int,
    schema: Schema,
    best: Trial,
    *,
    held: npt.NDArray[np.int64] | None,
    n_threads: int,
    n_train_threads: int,
    seed: int,
    budget: Budget,
    note: Note,
) -> Finished:
    """Train the winner: on all rows with the race's mix, or with rows held out to stop and mix by.

    Parameters
    ----------
    table, y, n_classes, schema
        All rows.
    best : Trial
        The race's winner.
    held : ndarray of int64 or None
        Rows to hold out.
    n_threads, n_train_threads : int
        Threads for featurizing; for training (one = a function of the seed alone).
    seed : int
        Seed.
    budget : Budget
        Training ends after the epoch that uses it up.
    note : Note
        Told of stages and epochs.
    """
    candidate = best.candidate
    note("featurize", None, "")
    pool = FeaturePool(table, schema, candidate.features, n_threads)
    seen = y.copy()
    if held is not None:
        seen[held] = -1
    encoder, rows = pool.select(seen, n_classes, candidate.features)
    del pool
    training = replace(candidate.training, epochs=_epochs(table.n_rows))
    holdout, train_rows = None, rows
    if held is not None:
        kept = np.flatnonzero(seen >= 0)
        holdout, train_rows = Holdout(take_rows(rows, held), y[held]), take_rows(rows, kept)
        seen = y[kept]
    del rows
    shape = (
        candidate.shape
        if held is not None or best.mix.deep_share > 0
        else replace(candidate.shape, width=0)
    )

    def on_epoch(entry: dict[str, Any]) -> bool:
        accuracy = entry.get("holdout_accuracy")
        text = "" if accuracy is None else f", accuracy {accuracy:.3f}"
        note("fit", entry["epoch"] / training.epochs, f"epoch {entry['epoch']}{text}")
        return budget.allows(1.5 * entry["seconds"] / entry["epoch"])

    note("fit", 0.0, "")
    trained = train(
        train_rows, seen, n_classes, shape, training, holdout=holdout,
        n_threads=n_train_threads, seed=seed, on_epoch=on_epoch,
    )  # fmt: skip
    mix = trained.mix or best.mix
    network = slim(trained.network, mix)
    held_probas = None
    if held is not None and holdout is not None:
        held_probas = (held, predict(network, holdout.rows, mix, n_threads))
    return Finished(encoder, network, trained, mix, held_probas, trained.interrupted)
