"""The tables of automl.py's results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Record = dict[str, Any]

NAMES = {
    "udt": "udt",
    "word_svm": "words + SVM",
    "svm": "words, characters + SVM",
    "linear_svm": "all columns + SVM",
    "linear_logistic": "all columns + logistic",
    "lightgbm": "LightGBM",
    "logistic_default": "words, C = 1",
    "logistic_words": "words, C chosen",
    "logistic_pairs": "words 1–2, C chosen",
}
TITLES = {
    "text": "Text, default preset",
    "mixed": "Mixed tables, and tables without text",
    "small": "Small samples, beside TF-IDF + logistic regression",
    "limits": "Time limits",
    "unseen": "Tables that no choice was made on",
}


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percents(runs: Sequence[Record]) -> list[float]:
    return [100 * r["accuracy"] for r in sorted(runs, key=lambda r: r["seed"])]


def _error(values: Sequence[float]) -> float:
    """Return the standard error of the mean; 0 of a single value."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def _settings(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return the distinct (set, setting), settings by their first number."""

    def order(key: tuple[str, str]) -> tuple[str, float]:
        first = key[1].split()[:1]
        return key[0], float(first[0]) if first and first[0].isdigit() else 0.0

    return sorted({(r["set"], r["setting"]) for r in records}, key=order)


def _beside_peers(records: Sequence[Record]) -> str:
    """Lay out udt beside each peer, and by how much it is above the best of them."""
    methods = [m for m in NAMES if any(r["method"] == m for r in records)]
    peers = [m for m in methods if m != "udt"]
    rows, gains, n_level = [], [], 0
    for name, setting in _settings(records):
        here = [r for r in records if (r["set"], r["setting"]) == (name, setting)]
        runs = {m: _percents([r for r in here if r["method"] == m]) for m in methods}
        shown = [f"{statistics.fmean(runs[m]):.2f}" if runs[m] else "–" for m in methods]
        known = [statistics.fmean(runs[m]) for m in peers if runs[m]]
        ours, above = runs.get("udt", []), "–"
        if known and ours:
            gains.append(statistics.fmean(ours) - max(known))
            n_level += gains[-1] >= 0
            above = f"{gains[-1]:+.2f}"
        of = f"{name}, {setting}" if setting else name
        rows.append([of, *shown, f"{_error(ours):.2f}" if ours else "–", above])
    head = ["", *(NAMES[m] for m in methods), "± (udt)", "above the best"]
    table = _markdown(head, rows)
    if not gains:
        return table + "\n"
    count = f"udt is at or above the best of the peers on {n_level} of {len(gains)}"
    return f"{table}\n\n{count}, {statistics.fmean(gains):+.2f} points on average.\n"


def _small(records: Sequence[Record]) -> str:
    """Lay out one table for each number of rows."""
    sizes = sorted({r["setting"] for r in records}, key=lambda s: int(s.split()[0]))
    parts = [
        f"### {size}\n\n"
        + _beside_peers([{**r, "setting": ""} for r in records if r["setting"] == size])
        for size in sizes
    ]
    return "\n".join(parts)


def _limits(records: Sequence[Record]) -> str:
    """Lay out the longest process and the mean accuracy under each limit."""
    rows = []
    for name, setting in _settings(records):
        runs = [r for r in records if (r["set"], r["setting"]) == (name, setting)]
        walls = [r["seconds"]["process_s"] for r in runs]
        values = _percents(runs)
        of = f"{name}, {setting}"
        longest, mean = f"{max(walls):.1f}", f"{statistics.fmean(values):.2f}"
        rows.append([of, f"{len(runs)}", longest, mean, f"{_error(values):.2f}"])
    return _markdown(["", "runs", "longest process, s", "accuracy, %", "±"], rows) + "\n"


_LAYOUTS: dict[str, Callable[[Sequence[Record]], str]] = {
    "small": _small,
    "limits": _limits,
}


def beside_stored(records: Sequence[Record], accuracy: Iterable[Record]) -> list[Record]:
    """Return the records and, for their texts, the peer that accuracy.py has measured already."""
    sets = {r["set"] for r in records if r["part"] == "text"}
    peers = [r for r in accuracy if r["method"] == "svm" and r["set"] in sets]
    return [*records, *({**r, "part": "text", "setting": ""} for r in peers)]


def tables(records: Sequence[Record], parts: Iterable[str] = tuple(TITLES)) -> str:
    """Lay out the parts' tables as Markdown, test accuracy in %."""
    sections = []
    for part in parts:
        here = [r for r in records if r["part"] == part]
        if here:
            sections.append(f"## {TITLES[part]}\n\n{_LAYOUTS.get(part, _beside_peers)(here)}")
    return "\n".join(sections)
