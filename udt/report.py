"""What a run did and cost, in words: the only place that words results.

Nothing is computed here but the rounding. Whatever is estimated is said to be so and has two
significant digits; no cost is printed as 0. Keys that a run did not measure leave their words out.
"""

from __future__ import annotations

import copy
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from udt.errors import ModelFileError
from udt.featurizers.schema import USED_KINDS

WIDTH = 100  # characters, where the reader's terminal is not known
_MIN_WIDTH = 60
_LABEL = 15  # characters before an entry's words
_OPTIONAL = ("choices", "warnings", "source")
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
        ``repaid_predictions``, ``roberta_g``.
    history : list of dict
        One record per epoch.
    choices : list of dict, optional
        ``what, value, reason`` for everything that was decided.
    warnings : list of str, optional
        Sentences about the data.
    source : str, optional
        What was trained on, as the user named it.
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
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {k: copy.deepcopy(v) for k, v in pairs if v or k not in _OPTIONAL}

    def to_text(self, width: int = WIDTH) -> str:
        """Return the report that a person reads, in lines of at most ``width`` characters."""
        page = _Page(width)
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

    def _add_network(self, page: _Page) -> None:
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
        page.entry("network", " → ".join(filter(None, steps)), _size(size) if size else "")


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
    page = _Page(width)
    classes = result.get("per_class", [])
    page.title(f"{result['model']} on {result['source']}", f"{len(classes):,} classes")
    _add_metrics(page, result["metrics"])
    if result.get("n_unknown"):
        page.entry(
            "warning",
            f"{_rows(result['n_unknown'])} with a label that the model has never seen: "
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
        ``label, n_rows``, most frequent first), ``warnings`` (sentences).
    width : int
        Characters a line.
    """
    page = _Page(width)
    n_rows = facts["n_rows"]
    page.title(str(facts["source"]), _rows(n_rows), f"{len(schema):,} columns")
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
        share = _percent(facts["n_duplicates"] / max(n_rows, 1))
        page.entry("duplicates", f"{_rows(facts['n_duplicates'])} ({share}) repeat an earlier one")
    if "target" in facts:
        _add_class_counts(page, str(facts["target"]), facts.get("classes", []), n_rows)
    page.entries("warning", facts.get("warnings", []))
    return page.text()


# --- sections ---------------------------------------------------------------------------------


def _add_metrics(page: _Page, metrics: Mapping[str, Any]) -> None:
    if "accuracy" not in metrics:
        page.entry("accuracy", "not measured: no row was held out")
        return
    on = {"holdout": "held-out", "valid": "validation"}.get(metrics.get("split", ""), "test")
    notes = []
    if "accuracy_ci95" in metrics:
        low, high = metrics["accuracy_ci95"]
        notes.append(f"95 % interval {100 * low:.1f}–{100 * high:.1f}")
    if "majority" in metrics:
        notes.append(f"majority {_percent(metrics['majority'])}")
    accuracy = f"{_percent(metrics['accuracy'])}  on {_rows(metrics['n_rows'], on)}"
    page.entry("accuracy", accuracy, f"({'; '.join(notes)})" if notes else "")
    rest = [
        f"{words} {metrics[key]:.3f}"
        for key, words in (
            ("log_loss", "log-loss"),
            ("micro_f1", "micro-F1"),
            ("precision_at_1", "precision at 1"),
            ("precision_at_3", "at 3"),
            ("recall_at_10", "recall at 10"),
        )
        if key in metrics
    ]
    if "ece" in metrics:
        rest.append(f"calibration error {_percent(metrics['ece'])}")
    if "macro_f1" in metrics:
        page.entry("macro-F1", f"{metrics['macro_f1']:.3f}", *rest)


def _add_columns(page: _Page, schema: Sequence[Mapping[str, Any]]) -> None:
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
            _fit(f"{len(names)} {of_kind}: {', '.join(names)}", 2 * (page.width - _LABEL) - 20)
            for of_kind, names in groups.items()
        ],
    )


def _add_time(
    page: _Page, time: Mapping[str, float], search: Mapping[str, Any], size: Mapping[str, int]
) -> None:
    if "wall_s" not in time:
        return
    wall = time["wall_s"]
    phases = []
    for key, seconds in time.items():
        if key in ("wall_s", "cpu_s", "epoch_s"):
            continue
        words = _duration(seconds) if wall >= 120 else f"{seconds:.{1 if wall >= 1 else 2}f}"
        if words.strip("0.") == "":
            continue  # too short to matter
        trials = f" ({search['n_trials']} trials)" if key == "search_s" and search else ""
        phases.append(f"{key.removesuffix('_s')} {words}{trials}")
    peak = size.get("peak_memory_bytes")
    page.entry(
        "time", _duration(wall), " · ".join(phases), f"peak memory {_size(peak)}" if peak else ""
    )


def _add_energy(page: _Page, energy: Mapping[str, Any], carbon: Mapping[str, Any]) -> None:
    if "kwh" not in energy or "total_g" not in carbon:
        return
    total = carbon["total_g"]
    page.entry(
        "energy",
        f"{_energy(energy['kwh'])} ({_band(carbon)})",
        f"CO2e {_grams(total)}",
        _parts(carbon),
    )
    uses = []
    if "car_m" in carbon:
        uses.append(f"like {_metres(carbon['car_m'])} in a new car")
    if "per_million_g" in carbon:
        uses.append(f"1 million predictions: {_grams(carbon['per_million_g'])}")
    if "repaid_predictions" in carbon:
        uses.append(f"training repaid after {_count(carbon['repaid_predictions'])}")
    page.entry("", *uses, between=" · ")
    page.entry("basis", *_basis(energy, carbon), between=" · ")
    if "roberta_g" in carbon and total > 0:
        ratio = carbon["roberta_g"] / total
        more = f"{_two(ratio)} × more" if ratio >= 1 else f"this run took {_two(1 / ratio)} × more"
        page.entry(
            "compared",
            "fine-tuned RoBERTa, 40 min on one A100, same formula and grid: "
            f"{_grams(carbon['roberta_g'])} ({more})",
        )


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


def _add_classes(page: _Page, classes: Sequence[Mapping[str, Any]]) -> None:
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


def _add_matrix(page: _Page, labels: Sequence[Any], matrix: Sequence[Sequence[int]]) -> bool:
    """Add the confusion matrix if it fits the page, and say whether it did."""
    names = [_fit(_clean(label), 12) for label in labels]
    cells = max(map(_cells, (*names, f"{max(map(max, matrix), default=0):,}")), default=0)
    if len(names) * (cells + 2) > page.width - 20:
        return False
    rows = [["true \\ predicted", *names]]
    rows += [
        [label, *(f"{n:,}" for n in counts)] for label, counts in zip(labels, matrix, strict=True)
    ]
    page.gap()
    page.table(rows)
    return True


def _add_confused(page: _Page, mistakes: Sequence[Mapping[str, Any]]) -> None:
    if mistakes:
        page.gap("Most frequent mistakes")
        rows = [["true", "predicted", "rows"]]
        rows += [[m["true"], m["predicted"], f"{m['n_rows']:,}"] for m in mistakes]
        page.table(rows, left=2)


def _add_class_counts(
    page: _Page, target: str, classes: Sequence[Mapping[str, Any]], n_rows: int
) -> None:
    shown = [
        f"{_fit(_clean(c['label']), 30)} {c['n_rows']:,} ({_percent(c['n_rows'] / max(n_rows, 1))})"
        for c in classes[:_WORST]
    ]
    if len(classes) > _WORST:
        shown.append(f"and {len(classes) - _WORST:,} more")
    page.entry("target", f"{target}: {len(classes):,} classes", *shown)


# --- numbers ----------------------------------------------------------------------------------


def _exponent(x: float) -> int:
    """Return the decimal exponent of ``x`` once it has two significant digits: 0.0999 gives -1."""
    return int(f"{x:.1e}".partition("e")[2])


def _two(x: float) -> str:
    """Word an estimate: two significant digits, never in scientific notation."""
    return f"{float(f'{x:.1e}'):,.{max(0, 1 - _exponent(x))}f}"


def _scaled(x: float, units: Sequence[tuple[float, float, str]]) -> str:
    """Word an estimate in the first unit that it reaches: (from, size of the unit, its name)."""
    if not math.isfinite(x):
        return "unknown"
    x = float(f"{x:.1e}")
    for start, unit, name in units:
        if x >= start:
            return f"{_two(x / unit)} {name}"
    _, unit, name = units[-1]
    return f"under 0.001 {name}"


_GRAM_UNITS = ((1000.0, 1000.0, "kg"), (0.1, 1.0, "g"), (1e-6, 1e-3, "mg"))


def _grams(g: float) -> str:
    return _scaled(g, _GRAM_UNITS)


def _energy(kwh: float) -> str:
    return _scaled(kwh, ((1.0, 1.0, "kWh"), (1e-5, 1e-3, "Wh"), (1e-9, 1e-6, "mWh")))


def _metres(m: float) -> str:
    return _scaled(m, ((1000.0, 1000.0, "km"), (0.1, 1.0, "m"), (1e-6, 1e-3, "mm")))


def _count(n: float) -> str:
    return _scaled(n, ((1e9, 1e9, "G"), (1e5, 1e6, "M"), (10.0, 1.0, ""), (1e-3, 1.0, ""))).strip()


def _parts(carbon: Mapping[str, Any]) -> str:
    """Word the parts of the total in its unit, to its last digit, so that they add up."""
    total = carbon["total_g"]
    parts = [carbon.get(key, 0.0) for key in ("operational_g", "embodied_g")]
    if not (total > 0 and all(parts)):
        return ""
    rounded = float(f"{total:.1e}")
    unit = next((unit for start, unit, _ in _GRAM_UNITS if rounded >= start), 1e-3)
    digits = 1 - _exponent(total / unit)
    words = []
    for part in parts:
        x = round(part / unit, digits)
        words.append(f"{x:,.{max(0, digits)}f}" if x else _two(part / unit))
    return f"= {words[0]} electricity + {words[1]} manufacturing"


def _band(carbon: Mapping[str, Any]) -> str:
    low, high = carbon.get("low_g", 0.0), carbon.get("high_g", 0.0)
    if not 0 < low * 1.05 < high:
        return "estimate"
    factor = math.sqrt(high / low)
    if 0.95 < carbon["total_g"] * factor / high < 1.05:
        return f"estimate, ×/÷ {float(_two(factor).replace(',', '')):g}"
    return f"estimate; CO2e between {_grams(low)} and {_grams(high)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _rows(n: int, of: str = "") -> str:
    return f"{n:,}{' ' if of else ''}{of} {'row' if n == 1 else 'rows'}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.{1 if seconds >= 1 else 2}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _size(n: int) -> str:
    """Word bytes in decimal units; memory is read in GB from 0.1 GB on."""
    for start, unit, name in ((1e8, 1e9, "GB"), (1e5, 1e6, "MB"), (1e2, 1e3, "kB")):
        if n >= start:
            return f"{n / unit:.1f} {name}"
    return f"{n} B"


# --- the page ---------------------------------------------------------------------------------


def _cells(text: str) -> int:
    """Count the terminal's cells: East Asian wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def _clean(value: Any) -> str:
    """Return the value with escapes for what would break a line or command the terminal."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _fit(text: str, cells: int) -> str:
    """Cut the text to so many cells."""
    if _cells(text) <= cells:
        return text
    kept = ""
    for c in text:
        if _cells(kept + c) > cells - 3:
            break
        kept += c
    return f"{kept.rstrip()}..."


def _pad(text: str, cells: int, left: bool) -> str:
    space = " " * (cells - _cells(text))
    return text + space if left else space + text


def _wrap(text: str, cells: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if _cells(longer) <= cells:
            lines[-1] = longer
        else:
            lines.append(_fit(word, cells))
    return [line for line in lines if line] or [""]


class _Page:
    """Lines of at most ``width`` cells: a title, labelled entries, tables."""

    def __init__(self, width: int) -> None:
        self.width = max(width, _MIN_WIDTH)
        self._lines: list[str] = []

    def text(self) -> str:
        """Return all lines, without a last line end."""
        return "\n".join(line.rstrip() for line in self._lines)

    def title(self, what: str, *facts: str) -> None:
        room = self.width - sum(map(len, facts)) - 3 * len(facts) - 12
        head = " ─ ".join(("── udt", _fit(_clean(what), room), *facts))
        self._lines.append(f"{head} {'─' * (self.width - _cells(head) - 1)}")

    def gap(self, heading: str = "") -> None:
        """Add an empty line, and a heading if there is one."""
        self._lines += ["", f" {_fit(heading, self.width - 1)}"] if heading else [""]

    def entry(self, label: str, *pieces: str, between: str = "   ") -> None:
        """Add a labelled line; it breaks between pieces, and within those that are too long."""
        room, lines = self.width - _LABEL, [""]
        for piece in filter(None, map(_clean, pieces)):
            longer = f"{lines[-1]}{between}{piece}" if lines[-1] else piece
            if _cells(longer) <= room:
                lines[-1] = longer
            else:
                lines += _wrap(piece, room)
        lines = list(filter(None, lines))
        heads = [f" {label}", *[""] * len(lines)]
        self._lines += [f"{head:<{_LABEL}}{line}" for head, line in zip(heads, lines, strict=False)]

    def entries(self, label: str, items: Iterable[str]) -> None:
        """Add one entry per item, the first one labelled."""
        for item in items:
            self.entry(label, item)
            label = ""

    def table(
        self, rows: Sequence[Sequence[Any]], *, left: int = 1, notes: Sequence[str] = ()
    ) -> None:
        """Add rows, the first one a header; the first ``left`` columns are words, cut to fit.

        ``notes``, one a row, stand at the right and wrap.
        """
        cells = [[_clean(cell) for cell in row] for row in rows]
        widths = [max(_cells(cell) for cell in column) for column in zip(*cells, strict=True)]
        note_room = min(24, max(map(_cells, notes), default=-2)) + 2
        room = self.width - 1 - sum(w + 2 for w in widths[left:]) - note_room
        for i in range(left):
            widths[i] = min(widths[i], max(room // left, 8) - 2)
        note_room = self.width - 1 - sum(w + 2 for w in widths)
        for row, note in zip(cells, notes or [""] * len(rows), strict=True):
            words = "  ".join(
                _pad(_fit(cell, w), w, i < left)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            first, *more = _wrap(_clean(note), note_room) if note else [""]
            self._lines.append(f" {words}  {first}")
            self._lines += [" " * (self.width - note_room) + line for line in more]
