"""What a run did and cost, in words: the only place that words results.

Nothing is computed here but the rounding. Whatever is estimated is said to be so and has two
significant digits; no cost is printed as 0. Keys that a run did not measure leave their words out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from udt import _words as say
from udt._page import LABEL, Page, cells_of, fit, printable
from udt.errors import ModelFileError
from udt.featurizers.schema import USED_KINDS

WIDTH = 100  # characters, where the reader's terminal is not known
_OPTIONAL = ("choices", "warnings", "source", "details")
_MANY_COLUMNS, _MANY_CLASSES, _WORST = 8, 30, 20

Dict = dict[str, Any]


@dataclass(frozen=True)
class RunReport:
    """The account of one training run; its fields are the keys that ``--json`` prints.

    Attributes
    ----------
    model, target : str
        The model's file, the target column.
    n_rows, n_classes : int
        Size of the training table, and of the answer.
    multi_label : bool
        Whether a row may have several labels.
    schema : list of dict
        ``column, kind, reason`` for every column.
    metrics, network, search, time, size, energy, carbon : dict
        Numbers with their unit in the key. Optional in ``network``: ``ngrams`` (str),
        ``deep_fraction`` (of rows); in ``carbon``: ``car_m``, ``per_million_g``,
        ``per_million_kwh``, ``repaid_predictions``, ``roberta_g``; ``phases`` (stage to ``wall_s,
        kwh, total_g``), ``cheaper`` (of `udt.lifecycle.cheaper`), ``sci``, ``basis`` (all that the
        figures rest on), ``second_opinion`` (``source, kwh, total_g``).
    history : list of dict
        One record per epoch.
    choices : list of dict, optional
        ``what, value, reason`` for everything that was decided.
    warnings : list of str, optional
        Sentences about the data.
    source : str, optional
        What was trained on, as the user named it.
    details : dict, optional
        What the page shows of the rows that were measured on (see `udt.details`); not printed by
        ``--json``.
    """

    model: str
    target: str
    n_rows: int
    n_classes: int
    multi_label: bool
    schema: list[Dict]
    metrics: Dict
    network: Dict
    history: list[Dict]
    search: Dict
    time: Dict
    size: Dict
    energy: Dict
    carbon: Dict
    choices: list[Dict] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    source: str = ""
    details: Dict = field(default_factory=dict)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> RunReport:
        """Rebuild from `to_dict`'s result; keys of a newer udt are left out.

        Raises
        ------
        ModelFileError
            A key is missing.
        """
        names = [f.name for f in fields(cls)]
        missing = [name for name in names if name not in d and name not in _OPTIONAL]
        if missing:
            raise ModelFileError(
                f"The report of this run lacks: {', '.join(missing)}. A whole report was "
                "expected; train the model again to have one."
            )
        return cls(**copy.deepcopy({name: d[name] for name in names if name in d}))

    def to_dict(self) -> Dict:
        """Return a JSON-able copy in the order of ``--json``; empty optional keys are left out."""
        return {k: v for k, v in self.to_state().items() if k != "details"}

    def to_state(self) -> Dict:
        """Return a JSON-able copy of all that a model file keeps."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {k: copy.deepcopy(v) for k, v in pairs if v or k not in _OPTIONAL}

    def to_text(self, width: int = WIDTH) -> str:
        """Return the report that a person reads, in lines of at most ``width`` characters."""
        page = Page(width)
        page.title(f"{self.source or self.model} → {self.target}", f"{self.n_classes:,} classes")
        _add_metrics(page, self.metrics)
        _add_columns(page, self.schema)
        page.entries("warning", self.warnings)
        self._add_network(page)
        page.entries(
            "choices", [f"{c['what']}: {c['value']} – {c['reason']}" for c in self.choices]
        )
        _add_time(page, self.time, self.search, self.size)
        _add_energy(page, self.energy, self.carbon)
        return page.text()

    def __str__(self) -> str:
        return self.to_text()

    def to_html(self, given: Mapping[str, Any] | None = None) -> str:
        """Return the report as one page, with plots, that needs nothing else; see `udt.details`.

        Parameters
        ----------
        given : mapping, optional
            The run's parameters, to say how it is done again.

        Raises
        ------
        SettingsError
            matplotlib (extra ``plots``) is not installed.
        """
        from udt.report_page import page

        return page(self, given)

    def _repr_html_(self) -> str:
        from udt.report_page import summary

        return summary(self)

    def _add_network(self, page: Page) -> None:
        net = self.network
        if "n_features" not in net:
            return
        paths = ["wide"] if net.get("wide") else []
        if net.get("width"):
            share = net.get("deep_fraction")
            only = "" if share is None else f" (deep path on {100 * share:.0f} % of rows)"
            paths.append(f"{net['width']} hidden{only}")
        ngrams = f"{net['ngrams']}, " if "ngrams" in net else ""
        steps = [
            f"{ngrams}{net['n_features']:,} features",
            " + ".join(paths),
            f"{self.n_classes:,}",
        ]
        size = self.size.get("model_bytes")
        page.entry("network", " → ".join(filter(None, steps)), say.size(size) if size else "")


def evaluation_text(result: Mapping[str, Any], width: int = WIDTH) -> str:
    """Return the words for ``udt evaluate``.

    Parameters
    ----------
    result : mapping
        ``model``, ``source``, ``metrics`` (as in a run); optional ``per_class`` (of
        `udt.metrics.per_class`), ``confusion`` (rows = truth, in the order of ``per_class``),
        ``confused`` (of `udt.metrics.most_confused`), ``n_unknown`` (rows whose label the model
        has never seen).
    width : int
        Characters a line.
    """
    page = Page(width)
    classes = result.get("per_class", [])
    page.title(f"{result['model']} on {result['source']}", f"{len(classes):,} classes")
    _add_metrics(page, result["metrics"])
    if result.get("n_unknown"):
        page.entry(
            "warning",
            f"{say.rows(result['n_unknown'])} with a label that the model has never seen: "
            "counted as wrong",
        )
    if classes:
        _add_classes(page, classes)
    matrix = result.get("confusion")
    if matrix is None or not _add_matrix(page, [c["label"] for c in classes], matrix):
        _add_confused(page, result.get("confused", []))
    return page.text()


def schema_text(
    schema: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], width: int = WIDTH
) -> str:
    """Return the words for ``udt inspect``.

    Parameters
    ----------
    schema : sequence of mapping
        ``column, kind, reason`` for every column.
    facts : mapping
        ``source``, ``n_rows``; optional ``columns`` (name to ``n_missing``, ``n_distinct``),
        ``n_duplicates`` (rows that repeat an earlier one), ``target``, ``classes`` (list of
        ``label, n_rows``, most frequent first), ``label_form`` (``value, reason``), ``warnings``
        (sentences), ``suspects`` (of `udt.suspects.find_suspects`).
    width : int
        Characters a line.
    """
    page = Page(width)
    n_rows = facts["n_rows"]
    page.title(str(facts["source"]), say.rows(n_rows), f"{len(schema):,} columns")
    if schema:
        counts = facts.get("columns", {})
        rows = [["column", "kind", "missing", "distinct"]]
        for c in schema:
            count = counts.get(c["column"], {})
            numbers = (count.get("n_missing"), count.get("n_distinct"))
            rows.append([c["column"], c["kind"], *("" if n is None else f"{n:,}" for n in numbers)])
        page.table(rows, left=2, notes=["why", *(str(c["reason"]) for c in schema)])
        page.gap()
    if "n_duplicates" in facts:
        n = facts["n_duplicates"]
        share = say.percent(n / max(n_rows, 1))
        page.entry("duplicates", f"{say.rows(n)} ({share}) repeat an earlier one")
    if "target" in facts:
        _add_class_counts(page, str(facts["target"]), facts.get("classes", []), n_rows)
    if "label_form" in facts:
        page.entry("labels", f"{facts['label_form']['value']} – {facts['label_form']['reason']}")
    page.entries("warning", facts.get("warnings", []))
    if "suspects" in facts:
        _add_suspects(page, facts["suspects"])
    return page.text()


def footprint_text(
    title: str, energy: Mapping[str, Any], carbon: Mapping[str, Any], width: int = WIDTH
) -> str:
    """Return the words for ``udt carbon``.

    Parameters
    ----------
    title : str
        What is charged.
    energy, carbon : mapping
        As in a run.
    width : int
        Characters a line.
    """
    page = Page(width)
    page.title(title)
    _add_energy(page, energy, carbon)
    return page.text()


# --- sections ---------------------------------------------------------------------------------


def _add_metrics(page: Page, metrics: Mapping[str, Any]) -> None:
    if "accuracy" not in metrics:
        page.entry("accuracy", "not measured: no row was held out")
        return
    on = {"holdout": "held-out", "valid": "validation"}.get(metrics.get("split", ""), "test")
    notes = []
    if "accuracy_ci95" in metrics:
        low, high = metrics["accuracy_ci95"]
        notes.append(f"95 % interval {100 * low:.1f}–{100 * high:.1f}")
    if "majority" in metrics:
        notes.append(f"majority {say.percent(metrics['majority'])}")
    accuracy = f"{say.percent(metrics['accuracy'])}  on {say.rows(metrics['n_rows'], on)}"
    if "micro_f1" in metrics:
        notes.insert(0, "all labels of a row right")
    page.entry("accuracy", accuracy, f"({'; '.join(notes)})" if notes else "")
    worded = {
        "micro_f1": "micro-F1",
        "macro_f1": "macro-F1",
        "log_loss": "log-loss",
        "precision_at_1": "precision at 1",
        "precision_at_3": "at 3",
        "recall_at_10": "recall at 10",
    }
    head, *rest = [key for key in worded if key in metrics] or [""]
    scores = [f"{worded[key]} {metrics[key]:.3f}" for key in rest]
    if "ece" in metrics:
        scores.append(f"calibration error {say.percent(metrics['ece'])}")
    if head:
        page.entry(worded[head], f"{metrics[head]:.3f}", *scores)


def _add_columns(page: Page, schema: Sequence[Mapping[str, Any]]) -> None:
    def kind(c: Mapping[str, Any]) -> str:
        return str(c["kind"]) if c["kind"] in USED_KINDS else f"{c['kind']}, not used"

    if len(schema) <= _MANY_COLUMNS:
        page.entries("columns", [f"{c['column']}: {kind(c)} ({c['reason']})" for c in schema])
        return
    groups: dict[str, list[str]] = {}
    for c in schema:
        groups.setdefault(kind(c), []).append(str(c["column"]))
    page.entries(
        "columns",
        [
            fit(f"{len(names)} {of_kind}: {', '.join(names)}", 2 * (page.width - LABEL) - 20)
            for of_kind, names in groups.items()
        ],
    )


def _add_time(
    page: Page, time: Mapping[str, float], search: Mapping[str, Any], size: Mapping[str, int]
) -> None:
    if "wall_s" not in time:
        return
    wall = time["wall_s"]
    phases = []
    for key, seconds in time.items():
        if key in ("wall_s", "cpu_s", "epoch_s"):
            continue
        words = say.duration(seconds) if wall >= 120 else f"{seconds:.{1 if wall >= 1 else 2}f}"
        if words.strip("0.") == "":
            continue  # too short to matter
        trials = f" ({search['n_trials']} trials)" if key == "search_s" and search else ""
        phases.append(f"{key.removesuffix('_s')} {words}{trials}")
    peak = size.get("peak_memory_bytes")
    memory = f"peak memory {say.size(peak)}" if peak else ""
    page.entry("time", say.duration(wall), " · ".join(phases), memory)


def _add_energy(page: Page, energy: Mapping[str, Any], carbon: Mapping[str, Any]) -> None:
    if "kwh" not in energy or "total_g" not in carbon:
        return
    total = carbon["total_g"]
    page.entry(
        "energy",
        f"{say.energy(energy['kwh'])} ({say.band(carbon)})",
        f"CO2e {say.grams(total)}",
        say.parts(carbon),
    )
    uses = []
    if "car_m" in carbon:
        uses.append(f"like {say.metres(carbon['car_m'])} in a new car")
    if "per_million_g" in carbon:
        uses.append(f"1 million predictions: {say.grams(carbon['per_million_g'])}")
    if "repaid_predictions" in carbon:
        uses.append(f"training repaid after {say.count(carbon['repaid_predictions'])}")
    page.entry("", *uses, between=" · ")
    page.entries("cheaper", say.cheaper(carbon.get("cheaper", [])))
    if "lineage" in carbon:
        before = carbon["lineage"]
        page.entry(
            "lineage",
            f"{before['n_trainings']:,} trainings, this one included, on "
            f"{say.rows(before['n_rows'])}",
            f"{say.energy(before['kwh'])}   CO2e {say.grams(before['total_g'])} in all",
        )
    page.entry("basis", *_basis(energy, carbon), between=" · ")
    if other := carbon.get("second_opinion"):
        _add_second_opinion(page, other)
    if "roberta_g" in carbon and total > 0:
        ratio = carbon["roberta_g"] / total
        more = f"{say.estimate(max(ratio, 1 / ratio))} × more"
        if ratio < 1:
            more = f"this run took {more}"
        page.entry(
            "compared",
            "fine-tuned RoBERTa, 40 min on one A100, same formula and grid: "
            f"{say.grams(carbon['roberta_g'])} ({more})",
        )


def _add_second_opinion(page: Page, other: Mapping[str, Any]) -> None:
    figures = ""
    if "total_g" in other:
        figures = (
            f"{say.energy(other['kwh'])}, CO2e {say.grams(other['total_g'])} of electricity on "
            "the same grid; it knows no manufacturing"
        )
    page.entry("2nd opinion", f"{other['source']}:" if figures else other["source"], figures)


def _basis(energy: Mapping[str, Any], carbon: Mapping[str, Any]) -> list[str]:
    """Return where the watts and the grid come from."""
    said = [f"watts: {energy['source']}"] if energy.get("source") else []
    if "grid_g_per_kwh" in carbon:
        world = carbon.get("region", "world") == "world"
        where = "world average" if world else carbon["region"]
        note = "set --region" if world else carbon.get("grid_source", "source unknown")
        said.append(f"grid: {where} {carbon['grid_g_per_kwh']:.0f} g/kWh ({note})")
    if carbon.get("pue", 1.0) != 1.0:
        said.append(f"PUE {carbon['pue']:g}")
    return said


def _add_classes(page: Page, classes: Sequence[Mapping[str, Any]]) -> None:
    many = len(classes) > _MANY_CLASSES
    shown = sorted(classes, key=lambda c: c["f1"])[:_WORST] if many else classes
    page.gap(
        f"The {_WORST} classes of lowest F1, of {len(classes):,} (--json has all)" if many else ""
    )
    rows = [["class", "rows", "predicted", "precision", "recall", "F1"]]
    for c in shown:
        scores = (f"{c[key]:.3f}" for key in ("precision", "recall", "f1"))
        rows.append([c["label"], f"{c['n_rows']:,}", f"{c['n_predicted']:,}", *scores])
    page.table(rows)


def _add_matrix(page: Page, labels: Sequence[Any], matrix: Sequence[Sequence[int]]) -> bool:
    """Add the confusion matrix if it fits the page, and say whether it did."""
    names = [fit(printable(label), 12) for label in labels]
    cells = max(map(cells_of, (*names, f"{max(map(max, matrix), default=0):,}")), default=0)
    if len(names) * (cells + 2) > page.width - 20:
        return False
    rows = [["true \\ predicted", *names]]
    rows += [
        [label, *(f"{n:,}" for n in counts)] for label, counts in zip(labels, matrix, strict=True)
    ]
    page.gap()
    page.table(rows)
    return True


def _add_confused(page: Page, mistakes: Sequence[Mapping[str, Any]]) -> None:
    if mistakes:
        page.gap("Most frequent mistakes")
        rows = [["true", "predicted", "rows"]]
        rows += [[m["true"], m["predicted"], f"{m['n_rows']:,}"] for m in mistakes]
        page.table(rows, left=2)


def _add_suspects(page: Page, found: Mapping[str, Any]) -> None:
    """Add the rows whose label a model disputes, the most doubtful first."""
    suspects = found["suspects"]
    n = len(suspects)
    page.entry("disputed", f"{n:,} of {say.rows(found['n_rows'])}, by {found['judge']}")
    if not n:
        return
    page.gap(f"The {_WORST} most doubtful (--json has all)" if n > _WORST else "")
    has_lines = all(s["line"] is not None for s in suspects)
    rows = [["line" if has_lines else "row", "label", "probability", "more likely", "probability"]]
    for s in suspects[:_WORST]:
        cells = [s["line"] if has_lines else s["row"], s["label"], s["suggested"]]
        where, label, other = ("–" if cell is None else str(cell) for cell in cells)
        rows.append([where, label, f"{s['p_label']:.3f}", other, f"{s['p_suggested']:.3f}"])
    page.table(rows, left=2)


def _add_class_counts(
    page: Page, target: str, classes: Sequence[Mapping[str, Any]], n_rows: int
) -> None:
    shown = []
    for c in classes[:_WORST]:
        share = say.percent(c["n_rows"] / max(n_rows, 1))
        shown.append(f"{fit(printable(c['label']), 30)} {c['n_rows']:,} ({share})")
    if len(classes) > _WORST:
        shown.append(f"and {len(classes) - _WORST:,} more")
    page.entry("target", f"{target}: {len(classes):,} classes", *shown)
