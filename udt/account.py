"""The account of a run: its stages while it runs, its report when it is done."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from udt import _words as say
from udt import metrics
from udt._jit import compile_seconds
from udt.carbon import ROBERTA, Footprint, Meter, break_even, car_metres, estimate
from udt.csr import Targets
from udt.featurizers.schema import Schema
from udt.inputs import Labelled
from udt.lifecycle import cheaper
from udt.metrics import Predicted
from udt.params import Params
from udt.predictor import Predictor
from udt.process import peak_memory_bytes
from udt.report import RunReport
from udt.table import Table
from udt.task import Learned

Note = Callable[[str, float | None, str], None]
"""Called with a stage, the share of it that is done (or None) and a note for people."""

STAGES = ("start", "read", "featurize", "search", "fit", "test")

_MILLION = 1_000_000
_MAX_CONFUSION_CLASSES = 200  # with more, the most confused pairs are listed instead
_S_PER_H = 3600.0


class Stages:
    """Passes on what is told of a run, and charges its time to the stage it is told of.

    What is compiled meanwhile is charged apart. To be entered before the first stage.

    Parameters
    ----------
    meter : Meter
        Where time is charged.
    tell : callable or None
        The user's ``on_progress``.
    """

    def __init__(self, meter: Meter, tell: Note | None) -> None:
        self.meter, self._tell = meter, tell
        self._stage, self._before_g = "", 0.0
        self._open = contextlib.ExitStack()
        self._compiled = dict.fromkeys(STAGES, 0.0)
        self._compiled_before = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, stage: str, done: float | None = None, note: str = "") -> None:
        """Say what is being done; a new stage ends the one before."""
        if stage != self._stage:
            self.close()
            self._stage, self._compiled_before = stage, compile_seconds()
            self._open.enter_context(self.meter.phase(stage))
            self._before_g = self.meter.so_far().total_g
        if self._tell is not None:
            self._tell(stage, done, " · ".join(filter(None, (note, self._cost(done)))))

    def _cost(self, done: float | None) -> str:
        """Word the cost so far, and from the final training's first epoch on that of its end."""
        if not done or self._stage not in ("search", "fit"):
            return ""
        spent, end_g = self.meter.so_far(), None
        if self._stage == "fit":
            rest = (1.0 - done) / done
            end_g = spent.total_g + rest * (spent.total_g - self._before_g)
        return say.so_far(spent.kwh, spent.total_g, end_g)

    def close(self) -> None:
        """End the current stage."""
        self._open.close()
        if self._stage:
            self._compiled[self._stage] += compile_seconds() - self._compiled_before
        self._stage = ""

    def time_dict(self, epoch_s: float) -> dict[str, float]:
        """Return the report's ``time`` block, seconds."""
        measured, compiled = self.meter.time_dict(), self._compiled
        spent = {s: max(0.0, measured.get(f"{s}_s", 0.0) - compiled[s]) for s in STAGES}
        return {
            "wall_s": measured["wall_s"],
            "start_s": spent["start"],
            "read_s": spent["read"],
            "featurize_s": spent["featurize"],
            "compile_s": sum(compiled.values()),
            "search_s": spent["search"],
            "fit_s": spent["fit"],
            "epoch_s": epoch_s,
            "test_s": spent["test"],
            "cpu_s": measured["cpu_s"],
        }

    def phases_dict(self) -> dict[str, dict[str, float]]:
        """Return time, energy and CO2e of each stage, and of compiling apart: together the run's.

        Compiling is charged for its part of the time of the stage that it was needed in.
        """
        measured = self.meter.time_dict()
        order = (*STAGES[:3], "compile", *STAGES[3:], "other")
        parts = {name: {"wall_s": 0.0, "kwh": 0.0, "total_g": 0.0} for name in order}
        for stage, footprint in self.meter.phases().items():
            wall_s = measured[f"{stage}_s"]
            compiled = min(1.0, self._compiled.get(stage, 0.0) / wall_s) if wall_s > 0 else 0.0
            for name, share in ((stage, 1.0 - compiled), ("compile", compiled)):
                parts[name]["wall_s"] += share * wall_s
                parts[name]["kwh"] += share * footprint.kwh
                parts[name]["total_g"] += share * footprint.total_g
        return {name: part for name, part in parts.items() if part["wall_s"] > 0}


class Usage(NamedTuple):
    """What predictions have cost.

    Attributes
    ----------
    footprint : Footprint
        Of all of them.
    n_rows : int
        How many they were.
    """

    footprint: Footprint
    n_rows: int


def predict_metered(
    predictor: Predictor, table: Table, targets: Targets, given: Params
) -> tuple[Predicted, Usage]:
    """Return what evaluation needs of the predictions, and what it took to make them."""
    predictor.probas(table.slice(0, 1))  # kernels and tables are loaded once, not per prediction
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    predicted = predictor.predicted(table, targets, given.n_threads)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    footprint = estimate(given.machine, given.place, hours=wall_s / _S_PER_H, cpu_s=cpu_s)
    return predicted, Usage(footprint, table.n_rows)


def evaluation(
    targets: Targets, predicted: Predicted, names: Sequence[str], *, is_multi_label: bool
) -> dict[str, Any]:
    """Return all that is told of predictions for rows with labels.

    Parameters
    ----------
    targets : Targets
        Classes of each row; −1 = a label that the model has never seen.
    predicted : Predicted
        What the model says of the rows.
    names : sequence of str
        The classes.
    is_multi_label : bool
        Whether a row may have several.

    Returns
    -------
    dict
        ``metrics, labels, per_class, n_unknown``; and where a row has one label ``confusion`` or,
        of very many classes, ``confused``.
    """
    scores = metrics.evaluate(targets, predicted, len(names), is_multi_label=is_multi_label)
    told: dict[str, Any] = {
        "metrics": {"split": "test", **scores},
        "labels": list(names),
        "per_class": metrics.per_class(targets, predicted.chosen, names),
        "n_unknown": int(metrics.have_unknown(targets).sum()),
    }
    if is_multi_label:
        return told
    truth, guess = targets.ids, predicted.chosen.ids
    if len(names) <= _MAX_CONFUSION_CLASSES:
        told["confusion"] = metrics.confusion(truth, guess, len(names)).tolist()
    else:
        told["confused"] = metrics.most_confused(truth, guess, names)
    return told


def write_report(
    given: Params,
    rows: Labelled,
    schema: Schema,
    learned: Learned,
    *,
    n_classes: int,
    scores: dict[str, Any],
    usage: Usage,
    stages: Stages,
    warnings: Sequence[str],
    details: dict[str, Any],
) -> RunReport:
    """End the account and return the report.

    Parameters
    ----------
    given : Params
        What the user has set.
    rows : Labelled
        What was trained on.
    schema : Schema
        Its columns.
    learned : Learned
        What came out.
    n_classes : int
        Number of classes.
    scores : dict
        The report's ``metrics``.
    usage : Usage
        Some predictions.
    stages : Stages
        The account.
    warnings : sequence of str
        What the user should know about the data.
    details : dict
        What `udt.details.gather` keeps of the rows that were measured on.
    """
    footprint = stages.meter.stop()
    energy, phases = footprint.energy_dict(), stages.phases_dict()
    carbon = {**footprint.carbon_dict(), **_comparisons(footprint, usage), "phases": phases}
    last = learned.history[-1]
    return RunReport(
        model="",
        target=rows.target,
        n_rows=rows.table.n_rows,
        n_classes=n_classes,
        multi_label=rows.label_form.is_multi_label,
        schema=schema.to_list(),
        metrics=scores,
        network=_network(learned, schema, given.sparsity),
        history=learned.history,
        search={"n_trials": len(learned.leaderboard), "leaderboard": learned.leaderboard},
        time=stages.time_dict(last["seconds"] / last["epoch"]),
        size={"model_bytes": 0, "peak_memory_bytes": peak_memory_bytes()},
        energy=energy,
        carbon={
            **carbon,
            "cheaper": cheaper(energy, carbon),
            "sci": footprint.sci_dict("one training run, its search included"),
            "basis": footprint.basis_dict(),
        },
        choices=[
            *([rows.label_form.told()] if rows.label_form.reason else []),
            *(c.to_dict() for c in learned.choices),
        ],
        warnings=list(warnings),
        source=rows.table.source,
        details=details,
    )


def _network(learned: Learned, schema: Schema, sparsity: float | None) -> dict[str, Any]:
    """Return the report's ``network`` block."""
    block = {
        "n_features": learned.encoder.n_features,
        **learned.head.paths(),
        "deep_fraction": learned.deep_fraction,
        "sparsity": "auto" if sparsity is None else sparsity,
        "work_train": learned.work_train,
        "work_predict": learned.work_predict,
        "active_fraction_mean": learned.work_train,
    }
    if any(c.kind == "text" for c in schema.used()):
        block["ngrams"] = name_ngrams(learned.kinds)
    return block


def name_ngrams(kinds: Sequence[str]) -> str:
    """Return a short name for kinds of n-grams.

    Examples
    --------
    >>> name_ngrams(("word 1", "word 2", "char 3", "char 4"))
    '1–2-grams + characters'
    """
    sizes = sorted(int(k.removeprefix("word ")) for k in kinds if k.startswith("word "))
    names = []
    if sizes:
        names.append(f"{sizes[0]}–{sizes[-1]}-grams" if sizes[1:] else "words")
    if any(k.startswith("char ") for k in kinds):
        names.append("characters")
    return " + ".join(names)


def _comparisons(footprint: Footprint, usage: Usage) -> dict[str, float]:
    """Return what the report's ``carbon`` block says beyond the footprint itself."""
    roberta_g = ROBERTA.footprint(footprint.place).total_g
    said = {"car_m": car_metres(footprint.total_g), "roberta_g": roberta_g}
    per_million = usage.footprint.scaled(_MILLION / usage.n_rows)
    repaid = break_even(footprint, usage.footprint, usage.n_rows)
    if per_million.total_g > 0 and math.isfinite(repaid):
        said |= {
            "per_million_kwh": per_million.kwh,
            "per_million_g": per_million.total_g,
            "repaid_predictions": repaid,
        }
    return said
