"""What predicting costs: rows a second, latency of one row, energy and CO2e of a million."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from udt.carbon import Footprint, Meter, find_machine, find_place
from udt.errors import EmptyTable
from udt.lifecycle import MILLION, life_cycle, payback
from udt.model import Model, load_model
from udt.process import peak_memory_bytes
from udt.table import Table, read_table

_LEAST_S = 1.0  # long enough for the energy counters, and for a stable mean
_MAX_CALLS, _MAX_CALLS_S = 2_000, 3.0
_LATENCY_ROWS = 500

Dict = dict[str, Any]


def bench(
    path: str | os.PathLike[str],
    file: str,
    *,
    against: str | os.PathLike[str] | None = None,
    instance: str | None = None,
    region: str | None = None,
    country: str | None = None,
    n_threads: int | None = None,
    shared_by: int = 1,
) -> Dict:
    """Measure what predicting with a model costs.

    The table is read before the clock starts; its rows are predicted until a second has passed.

    Parameters
    ----------
    path : path-like
        The model.
    file : str
        Rows to predict, as in ``udt predict``.
    against : path-like, optional
        Another model, e.g. one of a shorter search, to see when this one has repaid what it cost
        more.
    instance, region, country : str, optional
        What the predictions are charged as, and where.
    n_threads : int, optional
        CPU threads; by default as the model was trained.
    shared_by : int
        How many teams share the model, and its training.

    Returns
    -------
    dict
        ``model, source, n_rows, n_threads``; ``accuracy`` where the table has the target;
        ``throughput`` (``rows_per_s, seconds, n_predictions``); ``latency`` (``p50_ms, p99_ms,
        n_calls``) of `Model.predict` for one row; ``size`` (``model_bytes, peak_memory_bytes``);
        ``energy``, ``carbon`` as in a run and ``sci``, all per million predictions;
        ``life_cycle`` (of `udt.lifecycle.life_cycle`); with `against`, ``against``.

    Raises
    ------
    DataError, ModelFileError, SettingsError
        A file, or a name, cannot be used.
    """
    machine = find_machine(instance)
    place = find_place(region, country, on_aws=machine.on_aws)
    table = read_table(file)
    if table.n_rows == 0:
        raise EmptyTable(f"{file} has no rows. Expected some to predict; give another table.")
    told = _bench_one(
        path, table, lambda: Meter(machine, place), n_threads=n_threads, shared_by=shared_by
    )
    told["source"] = file
    if against is not None:
        other = _bench_one(
            against, table, lambda: Meter(machine, place), n_threads=n_threads, shared_by=shared_by
        )
        told["against"] = _against(told, other)
    return told


def _bench_one(
    path: str | os.PathLike[str],
    table: Table,
    new_meter: Callable[[], Meter],
    *,
    n_threads: int | None,
    shared_by: int,
) -> Dict:
    model = load_model(path)
    if n_threads is not None:
        model = replace(model, given={**model.given, "n_threads": n_threads})
    labelled = model.target in table
    rows = table.drop(model.target)
    model.predict(rows)  # kernels are loaded, or compiled, once and not per prediction
    footprint, seconds, n_predictions = _predict_metered(model, rows, new_meter())
    million = footprint.scaled(MILLION / n_predictions)
    told: Dict = {
        "model": os.fspath(path),
        "source": table.source,
        "n_rows": table.n_rows,
        "n_threads": model.n_threads,
        "throughput": {
            "rows_per_s": n_predictions / seconds,
            "seconds": seconds,
            "n_predictions": n_predictions,
        },
        "latency": _latency(model, rows),
        "size": {
            "model_bytes": Path(path).stat().st_size,
            "peak_memory_bytes": peak_memory_bytes(),
        },
        "energy": million.energy_dict(),
        "carbon": million.carbon_dict(),
        "sci": footprint.sci_dict("one million predictions", n_predictions / MILLION),
        "life_cycle": life_cycle(
            model.report.to_dict(),
            per_million={"kwh": million.kwh, "total_g": million.total_g},
            shared_by=shared_by,
        ),
    }
    return told | ({"accuracy": model.score(table)} if labelled else {})


def _predict_metered(model: Model, rows: Table, meter: Meter) -> tuple[Footprint, float, int]:
    """Predict all rows again and again; return what that took: footprint, seconds, predictions."""
    began, n_predictions = time.perf_counter(), 0
    while True:
        model.predict(rows)
        n_predictions += rows.n_rows
        seconds = time.perf_counter() - began
        if seconds >= _LEAST_S:
            return meter.stop(), seconds, n_predictions


def _latency(model: Model, rows: Table) -> Dict:
    """Measure calls with one row each, given as a Python dict, as a program would have it."""
    some = rows.slice(0, _LATENCY_ROWS)
    columns = {name: some.column(name).to_pylist() for name in some.names}
    calls = [
        dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
    ]
    milliseconds: list[float] = []
    began = time.perf_counter()
    while len(milliseconds) < _MAX_CALLS and time.perf_counter() - began < _MAX_CALLS_S:
        row = calls[len(milliseconds) % len(calls)]
        start = time.perf_counter()
        model.predict([row])
        milliseconds.append(1000 * (time.perf_counter() - start))
    return {
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "n_calls": len(milliseconds),
    }


def _against(this: Mapping[str, Any], other: Mapping[str, Any]) -> Dict:
    """Return what this model cost more than the other, and when that is repaid.

    In CO2e by predictions that cost less; in right answers where the table has the target.
    """
    each_g, other_each_g = (told["carbon"]["total_g"] / MILLION for told in (this, other))
    training, other_training = (told["life_cycle"].get("training", {}) for told in (this, other))
    told: Dict = {
        "model": other["model"],
        "per_million_g": MILLION * other_each_g,
        "saved_g_per_million": MILLION * (other_each_g - each_g),
    }
    if training and other_training:
        extra_g = training["each_g"] - other_training["each_g"]
        told["extra_training_g"] = extra_g
        told["repaid_predictions"] = payback(extra_g, each_g, other_each_g)
    if "accuracy" in this and "accuracy" in other:
        told["accuracy"] = other["accuracy"]
        told["more_right_per_million"] = MILLION * (this["accuracy"] - other["accuracy"])
    return told
