"""Runs side by side: accuracy, time, size, energy and CO2e, all on the same grid."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from udt.carbon import ROBERTA, Baseline, Footprint, Place, estimate, find_machine, find_place
from udt.errors import ModelFileError
from udt.model_file import read_model
from udt.report import RunReport

_S_PER_H = 3600.0

Dict = dict[str, Any]


def compare_runs(
    paths: Sequence[str | os.PathLike[str]],
    *,
    added: Sequence[Baseline] = (),
    instance: str | None = None,
    region: str | None = None,
    country: str | None = None,
) -> Dict:
    """Return runs and published ones side by side.

    All rows get the same grid and PUE: those of `region` or `country`, else those of the first
    run. The energy stays what each run has measured, unless an instance is named.

    Parameters
    ----------
    paths : sequence of path-like
        Model files, or what ``udt train --json`` printed.
    added : sequence of Baseline
        Rows of the user's own, beside the published one.
    instance : str, optional
        EC2 type to charge the runs' CPU time as.
    region, country : str, optional
        Whose grid.

    Returns
    -------
    dict
        ``rows`` (list of ``name, kind, accuracy, split, n_rows, macro_f1, wall_s, model_bytes,
        kwh, operational_g, embodied_g, total_g, low_g, high_g, per_million_g, times,
        energy_source``; ``times`` = CO2e beside the first row; None where unknown), ``grid``
        (``region, grid_g_per_kwh, pue, grid_source``), ``notes`` (list of str).

    Raises
    ------
    ModelFileError
        A file is neither a model nor a report.
    SettingsError
        Unknown instance, region or country.
    """
    reports = [read_report(path) for path in paths]
    machine = None if instance is None else find_machine(instance)
    place = _place(reports, region, country, on_aws=machine is not None)
    rows = []
    for name, report in zip(_names(paths), reports, strict=True):
        if machine is not None and "cpu_s" in report.time:
            hours = report.time["wall_s"] / _S_PER_H
            charged = estimate(machine, place, hours=hours, cpu_s=report.time["cpu_s"])
            rows.append({**_measured(name, report), **_of_footprint(charged)})
        else:
            rows.append({**_measured(name, report), **_on_grid(report, place)})
    for kind, baseline in (("published", ROBERTA), *(("added", b) for b in added)):
        rows.append(_of_baseline(kind, baseline, place))
    first_g = rows[0]["total_g"]
    for row in rows:
        known = row["total_g"] is not None and first_g
        row["times"] = row["total_g"] / first_g if known else None
    grid = {
        "region": place.region,
        "grid_g_per_kwh": place.grid_g_per_kwh,
        "pue": place.pue,
        "grid_source": place.grid_source,
    }
    return {"rows": rows, "grid": grid, "notes": _notes(reports)}


def read_report(path: str | os.PathLike[str]) -> RunReport:
    """Return a run's report, from a model file or from what ``udt train --json`` printed.

    Raises
    ------
    ModelFileError
        The file is neither, or cannot be read.
    """
    path = Path(path)
    if path.suffix.casefold() != ".json":
        report = RunReport.from_dict(read_model(path).run.get("report", {}))
        report.size["model_bytes"] = path.stat().st_size
        return report
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error.strerror}. Expected a file written by 'udt train"
            " --json', or a model; check the path."
        ) from error
    except ValueError as error:
        raise ModelFileError(
            f"{path} is not JSON: {error}. Expected what 'udt train --json' prints, or a model."
        ) from error
    if not isinstance(found, dict):
        raise ModelFileError(
            f"{path} holds no report. Expected what 'udt train --json' prints, or a model."
        )
    return RunReport.from_dict(found)


def _names(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the files' names without folder and ending, or the paths where these are the same."""
    stems = [Path(path).stem for path in paths]
    return [
        os.fspath(path) if stems.count(stem) > 1 else stem
        for stem, path in zip(stems, paths, strict=True)
    ]


def _place(
    reports: Sequence[RunReport], region: str | None, country: str | None, *, on_aws: bool
) -> Place:
    """Return the place that the user names, or else that of the first run with an account."""
    charged = [r.carbon for r in reports if "grid_g_per_kwh" in r.carbon]
    if region is None and country is None and not on_aws and charged:
        carbon = charged[0]
        return Place(
            region=carbon["region"],
            country="",
            grid_g_per_kwh=carbon["grid_g_per_kwh"],
            pue=carbon["pue"],
            grid_source=carbon["grid_source"],
        )
    return find_place(region, country, on_aws=on_aws)


def _measured(name: str, report: RunReport) -> Dict:
    """Return what is known of a run beside its footprint."""
    metrics = report.metrics
    return {
        "name": name,
        "kind": "run",
        "accuracy": metrics.get("accuracy"),
        "split": metrics.get("split"),
        "n_rows": metrics.get("n_rows"),
        "macro_f1": metrics.get("macro_f1"),
        "wall_s": report.time.get("wall_s"),
        "model_bytes": report.size.get("model_bytes") or None,
    }


def _on_grid(report: RunReport, place: Place) -> Dict:
    """Return a run's footprint with its own energy and manufacturing, but this place's grid."""
    energy, carbon = report.energy, report.carbon
    if "kwh" not in energy or "total_g" not in carbon:
        keys = ("kwh", "operational_g", "embodied_g", "total_g", "low_g", "high_g")
        return dict.fromkeys((*keys, "per_million_g", "energy_source"))
    operational_g = energy["kwh"] * place.pue * place.grid_g_per_kwh
    total_g = operational_g + carbon["embodied_g"]
    band = carbon["high_g"] / carbon["total_g"] if carbon["total_g"] > 0 else 1.0
    per_million_g = None
    if "per_million_kwh" in carbon:
        own_g = carbon["per_million_kwh"] * carbon["pue"] * carbon["grid_g_per_kwh"]
        here_g = carbon["per_million_kwh"] * place.pue * place.grid_g_per_kwh
        per_million_g = carbon["per_million_g"] - own_g + here_g
    return {
        "kwh": energy["kwh"],
        "operational_g": operational_g,
        "embodied_g": carbon["embodied_g"],
        "total_g": total_g,
        "low_g": total_g / band,
        "high_g": total_g * band,
        "per_million_g": per_million_g,
        "energy_source": energy.get("source"),
    }


def _of_footprint(footprint: Footprint) -> Dict:
    return {
        "kwh": footprint.kwh,
        "operational_g": footprint.operational_g,
        "embodied_g": footprint.embodied_g,
        "total_g": footprint.total_g,
        "low_g": footprint.low_g,
        "high_g": footprint.high_g,
        "per_million_g": None,
        "energy_source": footprint.energy_source,
    }


def _of_baseline(kind: str, baseline: Baseline, place: Place) -> Dict:
    return {
        "name": baseline.name,
        "kind": kind,
        "accuracy": baseline.accuracy,
        "split": None,
        "n_rows": None,
        "macro_f1": None,
        "wall_s": baseline.hours * _S_PER_H,
        "model_bytes": None,
        **_of_footprint(baseline.footprint(place)),
        "source": baseline.source,
    }


def _notes(reports: Sequence[RunReport]) -> list[str]:
    """Say where the rows are not of a kind."""
    notes = []
    if len({(r.target, r.n_classes) for r in reports}) > 1:
        notes.append("The models predict different targets: their accuracies say nothing together.")
    if len({(r.metrics.get("split"), r.metrics.get("n_rows")) for r in reports}) > 1:
        notes.append(
            "The accuracies were measured on different rows: udt evaluate MODEL FILE gives both on"
            " the same."
        )
    if any("lineage" in r.carbon for r in reports):
        notes.append(
            "Of an updated model only the last training is shown: udt report MODEL --life-cycle has"
            " those before it."
        )
    machines = {r.carbon["basis"]["machine"] for r in reports if "basis" in r.carbon}
    if len(machines) > 1:
        notes.append("The runs were charged as different machines: --instance TYPE makes them one.")
    return notes
