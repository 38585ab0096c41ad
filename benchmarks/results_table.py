"""Regenerate benchmarks/RESULTS.md from benchmarks/results/*.json.

::

    python benchmarks/results_table.py
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from typing import Any

import _data
import adaptive
import automl_table
import carbon
import explain
import increments
import many_classes
import multilabel
import serving
import sparsity

METHODS = {"udt": "udt", "fasttext": "fastText", "svm": "TF-IDF + SVM"}

Record = dict[str, Any]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lay out a Markdown table; every column but the first is aligned to the right."""
    head = list(head)
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _runs(records: list[Record], name: str, method: str) -> list[Record]:
    return [r for r in records if r["set"] == name and r["method"] == method]


def _mean_percent(runs: list[Record]) -> float | None:
    return 100 * statistics.fmean(r["accuracy"] for r in runs) if runs else None


def _winner(percents: dict[str, float | None]) -> str:
    """Name the best method, or the best ones; nobody wins while one of them is missing."""
    known = {method: value for method, value in percents.items() if value is not None}
    if len(known) < len(METHODS):
        return "–"
    best = max(known.values())
    return " = ".join(METHODS[m] for m, value in known.items() if math.isclose(value, best))


def accuracy_table(records: list[Record]) -> str:
    """Lay out test accuracy for each set and method, and count where udt is not beaten."""
    rows, n_whole, n_level = [], 0, 0
    for name in [name for name in _data.TEXT_COLUMNS if any(r["set"] == name for r in records)]:
        percents = {m: _mean_percent(_runs(records, name, m)) for m in METHODS}
        n_test = next(r["n_test"] for r in records if r["set"] == name)
        best = max(value for value in percents.values() if value is not None) / 100
        half_width = 196 * math.sqrt(best * (1 - best) / n_test)
        winner = _winner(percents)
        n_whole += winner != "–"
        n_level += METHODS["udt"] in winner.split(" = ")
        shown = ["–" if value is None else f"{value:.2f}" for value in percents.values()]
        rows.append([name, f"{n_test:,}", *shown, f"{half_width:.1f}", winner])
    table = _table(["set", "test rows", *METHODS.values(), "±", "best"], rows)
    return f"{table}\n\nudt is at or above both peers on {n_level} of {n_whole} sets.\n"


def _details(records: list[Record]) -> str:
    rows = []
    for r in records:
        seconds, is_udt = r["seconds"], r["method"] == "udt"
        whole = seconds["wall_s"] if is_udt else sum(seconds.values())
        last = seconds["fit_s" if is_udt else "refit"]
        load = "–" if r["load"] is None else f"{r['load']:.1f}"
        name = f"{r['set']}, {METHODS[r['method']]}"
        threads = str(r["n_threads"] or "all")
        rows.append([name, r["chosen"] or "–", f"{whole:.1f}", f"{last:.1f}", threads, load])
    return _table(["", "chosen", "all, s", "last fit, s", "threads", "load before"], rows)


def _speed_rows(speed: dict[str, Record]) -> Iterable[list[str]]:
    if train := speed.get("train"):
        n = len(train["pairs"])
        yield [f"`udt train`, {train['set']}, whole process", f"{train['udt_s']:.2f} s"]
        yield ["fastText on the same, training alone", f"{train['fasttext_s']:.2f} s"]
        yield [f"ratio, median of {n} pairs", f"{train['ratio_median']:.2f}"]
        yield ["first run ever, over a later one", f"+{train['cold_extra_s']:.2f} s"]
        yield ["peak memory, udt", f"{train['udt_peak_bytes'] / 1e9:.2f} GB"]
        yield ["peak memory, fastText", f"{train['fasttext_peak_bytes'] / 1e9:.2f} GB"]
        yield ["model file", f"{train['model_bytes'] / 1e6:.1f} MB"]
    if start := speed.get("start"):
        yield ["`udt --help`", f"{start['help_s']:.3f} s"]
        yield ["`import udt`, whole process", f"{start['import_s']:.3f} s"]
        yield ["Python alone", f"{start['python_s']:.3f} s"]
        yield ["`import udt` loads", ", ".join(start["import_loads"]) or "nothing heavy"]
    if predict := speed.get("predict"):
        one = predict["one_row"]
        yield ["predict one row, warm, median", f"{one['median_ms']:.3f} ms"]
        yield ["predict one row, warm, 99th percentile", f"{one['p99_ms']:.3f} ms"]
        for form, rows_per_s in predict["rows_per_s"].items():
            yield [f"predict {predict['set']} texts from a {form}", f"{rows_per_s:,} rows/s"]


def _roofline_rows(measured: Record) -> Iterable[list[str]]:
    for path, told in (
        ("wide", "wide path alone, 2 classes"),
        ("wide_and_64", "with 64 hidden neurons"),
    ):
        parts = measured[f"training_{path}"]
        for threads in ("1 threads", "2 threads"):
            part = parts[threads]
            ns = part["ns_per_kept_feature"]
            yield [
                f"{told}, {threads[0]} thread{'s' * (threads[0] != '1')}",
                f"{ns['kernel']:.1f}",
                f"{ns['weights']:.1f}",
                f"{part['share_of_weights']:.0%}",
                f"{ns['features']:.1f}",
                f"{part['share_of_features']:.0%}",
                *(
                    f"{part[key]:.0%}" if key in part else "–"
                    for key in ("share_of_random_16", "share_of_random_64")
                ),
                f"{part['texts_per_s']:,}",
            ]


def _circumstances(records: list[Record]) -> str:
    """List every distinct machine with its versions, and every command with its last date."""
    machines = {
        f"- {r['machine']}; Python {r['python']}, "
        + ", ".join(f"{name} {version}" for name, version in r["versions"].items())
        for r in records
    }
    dates: dict[str, str] = {}
    for r in records:
        dates[r["command"]] = max(r["date"], dates.get(r["command"], ""))
    commands = [f"- {date} `{command}`" for command, date in sorted(dates.items())]
    return "\n".join([*sorted(machines), "", *commands])


def _read(name: str) -> Any:
    path = _data.RESULTS / name
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def main() -> None:
    accuracy: list[Record] = _read("accuracy.json") or []
    speed: dict[str, Record] = _read("speed.json") or {}
    several: list[Record] = _read("multilabel.json") or []
    many: list[Record] = _read("many_classes.json") or []
    footprints: list[Record] = _read("carbon.json") or []
    automl: list[Record] = _read("automl.json") or []
    updates: list[Record] = _read("increments.json") or []
    fractions: list[Record] = _read("sparsity.json") or []
    levels: list[Record] = _read("adaptive.json") or []
    roofline: Record | None = _read("roofline.json")
    sections = [
        "# Results\n",
        "Regenerated by `python benchmarks/results_table.py` from `benchmarks/results/`; "
        "[README.md](README.md) says what is measured and how.\n",
    ]
    if accuracy:
        sections += [
            "## Test accuracy, %\n",
            "±: half the 95 % interval of the best one, from the number of test rows; "
            "smaller differences say little.\n",
            accuracy_table(accuracy),
            "## What each chose on its holdout, and the time it took\n",
            _details(accuracy) + "\n",
        ]
    if several:
        sections += [
            "## Several labels a row, test scores in %\n",
            multilabel.table(several) + "\n",
        ]
    if many:
        sections += ["## Many classes\n", many_classes.many_classes_table(many)]
        sections += ["### What finds the active classes\n", many_classes.selectors_table(many)]
    if levels:
        sections += [
            "## The sparsity that is found, and those that could be set\n",
            "Test accuracy in %, work as a share of that of the same network dense.\n",
            adaptive.table(levels) + "\n",
            adaptive.statement(levels) + "\n",
        ]
    if fractions:
        sections += [
            "## A part of a wide hidden layer\n",
            "The engine alone: 1,024 neurons, of which a row computes some; beside it a small "
            "dense layer of as many. *Epoch* is relative to all neurons computed.\n",
            "![Accuracy by time of an epoch](results/sparsity.svg)\n",
            sparsity.sparsity_table(fractions) + "\n",
            sparsity.statement(fractions) + "\n",
        ]
    if roofline:
        head = [
            "", "kernel, ns", "weights, ns", "share", "and texts, ns", "share",
            "of random rows, 16 bytes", "of 64 bytes", "texts/s",
        ]  # fmt: skip
        sections += [
            "## The training kernel beside the machine's memory\n",
            "Time for a kept feature on yelp_polarity_balanced: of the kernel, and of a replay "
            "that only reads and writes the same rows of weights, or also reads the texts, in the "
            "same order. Above 100 %: the kernel asks for rows ahead, the replay does not. "
            "*Random rows*: one read, then read and written, anywhere in a table of as many.\n",
            _table(head, _roofline_rows(roofline)) + "\n",
        ]
    if updates:
        sections += ["## Updates\n", increments.table(updates) + "\n"]
    if automl:
        sections.append(automl_table.tables(automl_table.beside_stored(automl, accuracy)))
    if footprints:
        sections += [
            "## Energy and CO2e of training to 93 %\n",
            "Yelp reviews, whole processes, charged as an r6g.xlarge in us-west-1; the last column "
            "as this machine with the world's grid. Estimates, ×/÷ 2, and upper bounds where the "
            "machine was busy; the ratio's band is that of two independent ones. "
            "[What it means](../docs/guide/carbon-published.md).\n",
            "![CO2e of one training](results/carbon.svg)\n",
            carbon.carbon_table(footprints) + "\n",
            carbon.reading_table(footprints) + "\n",
        ]
    if speed:
        sections += ["## Speed\n", _table(["", "measured"], _speed_rows(speed)) + "\n"]
    served: Record | None = _read("serving.json")
    if served:
        sections += [
            "## Serving\n",
            f"`udt serve` and its client on one machine, loopback; {serving.sentence(served)}\n",
            _table(serving.TABLE_HEAD, serving.table_rows(served)) + "\n",
        ]
    explained: dict[str, list[Record]] = _read("explain.json") or {"records": []}
    if records := explained["records"]:
        sections += [
            "## Explanations\n",
            "What a row's words and columns add to the log-odds of its predicted class; then the "
            "strongest word is deleted, or one at random, and the model asked again. *Error*: the "
            "largest difference between the logit and the sum of all parts.\n",
            _table(explain.TABLE_HEAD, explain.table_rows(records)) + "\n",
        ]
    everything = [
        *explained["records"],
        *accuracy,
        *several,
        *many,
        *automl,
        *footprints,
        *speed.values(),
    ]
    everything += [*levels, *fractions, *filter(None, [served, roofline])]
    sections += ["## Measured on\n", _circumstances(everything) + "\n"]
    (_data.REPOSITORY / "benchmarks" / "RESULTS.md").write_text("\n".join(sections), "utf-8")


if __name__ == "__main__":
    main()
