"""The model card: what a model is, how good it is, what it cost; in the Hugging Face hub's form."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from udt import __version__
from udt import _words as say
from udt.featurizers.schema import USED_KINDS
from udt.model_file import content_sha256, read_model
from udt.report import RunReport

_MANY_CLASSES, _MANY_COLUMNS = 20, 30
_LEAST_G = 1e-4  # the hub reads 5e-05 as 5 g, and 0 as no data
_SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "log_loss": "log-loss",
    "ece": "calibration error",
}

Dict = dict[str, Any]


def card_text(model: str | os.PathLike[str]) -> str:
    """Return the model card of a model file: Markdown under a front matter of YAML.

    Parameters
    ----------
    model : path-like
        A file that ``udt train`` wrote. Of the training table, only the name of the file is told,
        not where it lies.

    Raises
    ------
    ModelFileError
        The file cannot be read, or is no model.
    """
    path = Path(model)
    content = read_model(path)
    report = RunReport.from_dict(content.run.get("report", {}))
    facts = {
        "name": path.stem,
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": content_sha256(content),
        "classes": content.header.get("classes", []),
        "data": _file_name(report.source),
    }
    sections = (
        f"---\n{_yaml(_front_matter(report, facts))}\n---",
        f"# {_plain(facts['name'])}",
        _what(report, facts),
        _use(report, facts),
        _scores(report),
        _columns(report),
        _costs(report),
        _making(report),
        _limits(report),
        f"SHA-256 of the model's content: `{facts['sha256']}`. Made by udt {__version__}.",
    )
    return "\n\n".join(filter(None, sections)) + "\n"


# --- front matter -----------------------------------------------------------------------------


def _front_matter(report: RunReport, facts: Mapping[str, Any]) -> Dict:
    """Return the metadata that the hub reads."""
    has_text = any(c["kind"] == "text" for c in report.schema)
    task = "text-classification" if has_text else "tabular-classification"
    matter: Dict = {
        "library_name": "udt",
        "pipeline_tag": task,
        "tags": [task, "udt", "cpu"],
        "metrics": ["accuracy", "f1"],
    }
    carbon = report.carbon
    if "total_g" in carbon:
        basis = carbon.get("basis", {})
        matter["co2_eq_emissions"] = {
            "emissions": fixed_grams(carbon.get("lineage", carbon)["total_g"]),
            "source": f"udt {__version__}: {report.energy.get('source', '')}; grid:"
            f" {carbon.get('grid_source', '')}; manufacturing included; {say.band(carbon)}",
            "training_type": "from scratch",
            "geographical_location": carbon.get("region", "unknown"),
            "hardware_used": _hardware(basis),
        }
    if "accuracy" in report.metrics:
        split = str(report.metrics.get("split", "holdout"))
        dataset = {"name": facts["data"], "type": facts["data"], "split": split}
        values = [
            {"type": kind, "value": round(float(report.metrics[key]), 4), "name": _SCORES[key]}
            for key, kind in (("accuracy", "accuracy"), ("macro_f1", "f1"), ("micro_f1", "f1"))
            if key in report.metrics
        ]
        result = {"task": {"type": task}, "dataset": dataset, "metrics": values}
        matter["model-index"] = [{"name": facts["name"], "results": [result]}]
    return matter


class _Number(str):
    """A number as it is to be written, for YAML."""

    __slots__ = ()


def fixed_grams(grams: float) -> _Number:
    """Return grams in fixed-point notation, at least a ten thousandth.

    Examples
    --------
    >>> print(fixed_grams(8.503), fixed_grams(4e-6))
    8.5030 0.0001
    """
    return _Number(f"{max(grams, _LEAST_G):.4f}")


def _hardware(basis: Mapping[str, Any]) -> str:
    """Name what the run is charged as."""
    if "machine" not in basis:
        return "CPU"
    return f"{basis['machine']}, {basis['vcpus']:g} vCPUs, {basis['memory_gb']:.3g} GB, no GPU used"


def _yaml(value: Any, indent: int = 0) -> str:
    """Return YAML of mappings, lists, texts and numbers; texts are quoted as in JSON."""
    space = "  " * indent
    if isinstance(value, Mapping):
        return "\n".join(f"{space}{key}:{_value(item, indent)}" for key, item in value.items())
    lines = []
    for item in value:
        text = _yaml(item, indent + 1) if isinstance(item, Mapping) else _scalar(item)
        lines.append(f"{space}- {text.lstrip()}")
    return "\n".join(lines)


def _value(item: Any, indent: int) -> str:
    """Return what stands after a key and its colon."""
    if isinstance(item, Mapping | list):
        return "\n" + _yaml(item, indent + 1)
    return f" {_scalar(item)}"


def _scalar(item: Any) -> str:
    return str(item) if isinstance(item, _Number) else json.dumps(item, ensure_ascii=False)


# --- sections ---------------------------------------------------------------------------------


def _what(report: RunReport, facts: Mapping[str, Any]) -> str:
    labels = [_plain(label) for label in facts["classes"][:_MANY_CLASSES]]
    more = len(facts["classes"]) - len(labels)
    shown = ", ".join(labels) + (f", and {more:,} more" if more > 0 else "")
    kind = "several labels a row" if report.multi_label else "one label a row"
    return (
        f"Predicts **{_plain(report.target)}**, {report.n_classes:,} classes, {kind}: {shown}.\n"
        f"Trained on {say.rows(report.n_rows)} of {_plain(facts['data'])} by udt, on a CPU; "
        f"{say.size(facts['bytes'])}."
    )


def _use(report: RunReport, facts: Mapping[str, Any]) -> str:
    file = facts["file"]
    return (
        "## Use\n\n"
        "```bash\n"
        "pip install openudt\n"
        f"udt predict {shlex.quote(file)} new.csv --proba\n"
        "```\n\n"
        "```python\n"
        "import udt\n\n"
        f"model = udt.load({json.dumps(file, ensure_ascii=False)})\n"
        'labels = model.predict("new.csv")\n'
        "```"
    )


def _scores(report: RunReport) -> str:
    metrics = report.metrics
    if "accuracy" not in metrics:
        return "## How good it is\n\nNot measured: no row was held out."
    rows = [
        [words, say.percent(metrics[key]) if key in ("accuracy", "ece") else f"{metrics[key]:.3f}"]
        for key, words in _SCORES.items()
        if key in metrics
    ]
    on = {"holdout": "held-out", "valid": "validation"}.get(metrics.get("split", ""), "test")
    notes = [f"On {say.rows(metrics['n_rows'], on)}."]
    if "accuracy_ci95" in metrics:
        low, high = metrics["accuracy_ci95"]
        notes.append(f"95 % interval of the accuracy: {100 * low:.1f} to {100 * high:.1f} %.")
    if "majority" in metrics:
        notes.append(f"Always the most frequent class: {say.percent(metrics['majority'])}.")
    return f"## How good it is\n\n{' '.join(notes)}\n\n{_table(['', ''], rows)}"


def _columns(report: RunReport) -> str:
    rows = [
        [
            _plain(c["column"]),
            c["kind"] if c["kind"] in USED_KINDS else f"{c['kind']}, not used",
            _plain(c["reason"]),
        ]
        for c in report.schema[:_MANY_COLUMNS]
    ]
    more = len(report.schema) - len(rows)
    tail = f"\n\nAnd {more:,} more columns." if more > 0 else ""
    return f"## What it reads\n\n{_table(['column', 'kind', 'why'], rows)}{tail}"


def _costs(report: RunReport) -> str:
    energy, carbon = report.energy, report.carbon
    if "kwh" not in energy or "total_g" not in carbon:
        return ""
    rows = [
        ["energy", say.energy(energy["kwh"])],
        ["CO2e", f"{say.grams(carbon['total_g'])} {say.parts(carbon)}".strip()],
        ["how sure", f"between {say.grams(carbon['low_g'])} and {say.grams(carbon['high_g'])}"],
        ["watts", _plain(energy.get("source", ""))],
        ["grid", f"{carbon['grid_g_per_kwh']:g} g/kWh, {_plain(carbon.get('grid_source', ''))}"],
        ["data centre", f"PUE {carbon.get('pue', 1.0):g}"],
    ]
    if "wall_s" in report.time:
        rows.insert(0, ["time", say.duration(report.time["wall_s"])])
    if "lineage" in carbon:
        whole_g = say.grams(carbon["lineage"]["total_g"])
        rows.append(["CO2e with the trainings that it was updated from", whole_g])
    if "per_million_g" in carbon:
        rows.append(["a million predictions", say.grams(carbon["per_million_g"])])
    text = (
        "## What training cost\n\n"
        f"An estimate. All of the search is in it.\n\n{_table(['', ''], rows)}"
    )
    if "sci" in carbon:
        sci = json.dumps(carbon["sci"], indent=2, ensure_ascii=False)
        text += f"\n\nSoftware Carbon Intensity, (E · I + M) / R:\n\n```json\n{sci}\n```"
    return text


def _making(report: RunReport) -> str:
    rows = [
        [_plain(c["what"]), _plain(c["value"]), _plain(c["reason"])]
        for c in report.choices
        if {"what", "value", "reason"} <= c.keys()
    ]
    table = _table(["choice", "value", "why"], rows)
    return f"## How it was made\n\n{table}" if rows else ""


def _limits(report: RunReport) -> str:
    lines = [
        "It knows what is in its training table and nothing else: texts of another kind, time or"
        " language will be classified worse than the figures above say.",
        "Whatever the training labels have of error or bias, it has learned.",
        *(_plain(warning) for warning in report.warnings),
    ]
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


# --- Markdown ---------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(value: Any) -> str:
    """Return a value as one line that Markdown and HTML leave as it is."""
    text = re.sub(r"\s+", " ", str(value))
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)


def _file_name(source: str) -> str:
    """Return the last part of a path; names of hub data sets stay whole."""
    if source.startswith("hf:"):
        return source
    return re.split(r"[/\\]", source.rstrip("/\\"))[-1] or "a table"
