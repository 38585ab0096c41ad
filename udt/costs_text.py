"""Words for what runs, models and predictions cost.

Nothing is computed here but the rounding; whatever is estimated has two significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from udt import _words as say
from udt._page import Page

WIDTH = 100  # characters, where the reader's terminal is not known
_MANY_CHOICES = 20
_LEAST_LIKENESS = 0.01  # a smaller part of a flight or a life says nothing


def comparison_text(found: Mapping[str, Any], width: int = WIDTH) -> str:
    """Return the words for ``udt compare``.

    Parameters
    ----------
    found : mapping
        Of `udt.compare.compare_runs`.
    width : int
        Characters a line.
    """
    page, rows = Page(width), found["rows"]
    page.title(f"{len(rows)} runs on the same grid")
    table = [["", "accuracy", "time", "size", "energy", "CO2e", "beside the first"]]
    for row in rows:
        table.append(
            [
                row["name"],
                "–" if row["accuracy"] is None else say.percent(row["accuracy"]),
                "–" if row["wall_s"] is None else say.duration(row["wall_s"]),
                "–" if row["model_bytes"] is None else say.size(row["model_bytes"]),
                "–" if row["kwh"] is None else say.energy(row["kwh"]),
                "–" if row["total_g"] is None else say.grams(row["total_g"]),
                "–" if row["times"] is None else f"{say.estimate(row['times'])} ×",
            ]
        )
    page.table(table)
    page.gap()
    for note in found["notes"]:
        page.entry("note", note)
    factors = [row["high_g"] / row["total_g"] for row in rows if row["total_g"]]
    band = f"×/÷ {say.estimate(max(factors))}".rstrip("0").rstrip(".") if factors else ""
    page.entry("basis", "energy and CO2e are estimates", band, between=", ")
    _add_grid(page, found["grid"])
    for row in rows:
        if row["kind"] == "published":
            page.entry("", f"{row['name']}: {row['source']}")
    return page.text()


def choices_text(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], width: int = WIDTH
) -> str:
    """Return the words for ``udt carbon --regions`` and ``--instances``.

    Parameters
    ----------
    title : str
        What is compared.
    rows : sequence of mapping
        The same work in several places, the least CO2e first: ``total_g``, ``operational_g``,
        ``embodied_g``, and what `columns` names.
    columns : mapping
        Key in a row to the heading of its column.
    width : int
        Characters a line.
    """
    page = Page(width)
    page.title(title, f"{len(rows):,} in all")
    table = [[*columns.values(), "CO2e", "electricity", "manufacturing"]]
    for row in rows[:_MANY_CHOICES]:
        grams = (say.grams(row[key]) for key in ("total_g", "operational_g", "embodied_g"))
        table.append([*(_cell(row[key]) for key in columns), *grams])
    n_words = sum(isinstance(rows[0][key], str) for key in columns) if rows else 1
    page.table(table, left=n_words)
    if len(rows) > _MANY_CHOICES:
        last = say.grams(rows[-1]["total_g"])
        page.gap(f"And {len(rows) - _MANY_CHOICES:,} more, up to {last}; --json has all")
    return page.text()


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def bench_text(found: Mapping[str, Any], width: int = WIDTH) -> str:
    """Return the words for ``udt bench``.

    Parameters
    ----------
    found : mapping
        Of `udt.bench.bench`.
    width : int
        Characters a line.
    """
    page = Page(width)
    page.title(f"{found['model']} on {found['source']}", say.rows(found["n_rows"]))
    if "accuracy" in found:
        page.entry("accuracy", say.percent(found["accuracy"]))
    threads = f"{found['n_threads']} thread{'s' if found['n_threads'] > 1 else ''}"
    page.entry("throughput", f"{found['throughput']['rows_per_s']:,.0f} rows/s", f"({threads})")
    latency = found["latency"]
    page.entry(
        "latency",
        f"one row {latency['p50_ms']:.2f} ms (median), {latency['p99_ms']:.2f} ms (99th percentile"
        f" of {latency['n_calls']:,} calls)",
    )
    page.entry("model", say.size(found["size"]["model_bytes"]))
    energy, carbon = found["energy"], found["carbon"]
    page.entry(
        "a million",
        f"{say.energy(energy['kwh'])} ({say.band(carbon)})",
        f"CO2e {say.grams(carbon['total_g'])}",
        say.parts(carbon),
    )
    _add_use(page, found["life_cycle"])
    if "against" in found:
        _add_against(page, found, found["against"])
    page.entry("basis", f"watts: {energy['source']}")
    _add_grid(page, carbon)
    return page.text()


def life_cycle_text(title: str, told: Mapping[str, Any], width: int = WIDTH) -> str:
    """Return the words for ``udt report --life-cycle``: one page.

    Parameters
    ----------
    title : str
        Name of the model.
    told : mapping
        Of `udt.lifecycle.life_cycle`.
    width : int
        Characters a line.
    """
    page = Page(width)
    page.title(title, "life cycle")
    if not told:
        page.entry("", "This run kept no account of its energy.")
        return page.text()
    training = told["training"]
    table = [["training", "time", "energy", "CO2e", "share"]]
    for part in told["stages"]:
        cost = (say.energy(part["kwh"]), say.grams(part["total_g"]), say.percent(part["share"]))
        table.append([part["stage"], say.duration(part["wall_s"]), *cost])
    whole = (say.energy(training["kwh"]), say.grams(training["total_g"]))
    table.append(["whole", "", *whole, ""])
    page.table(table)
    page.gap()
    page.entry("", f"({say.band(training)})", say.parts(training))
    if training["lineage_g"] > training["total_g"]:
        before = (say.energy(training["lineage_kwh"]), say.grams(training["lineage_g"]))
        page.entry("lineage", f"with the trainings that it was updated from: {', '.join(before)}")
    if training["shared_by"] > 1:
        each = say.grams(training["each_g"])
        page.entry("shared", f"by {training['shared_by']:,} teams: {each} of the training each")
    if "totals" in told:
        _add_totals(page, told["totals"])
    _add_use(page, told)
    page.entries("cheaper", say.cheaper(told["cheaper"]))
    page.entries("like", _likenesses(told["equivalences"]))
    page.entry("basis", f"watts: {told['basis']['energy_source']}")
    _add_grid(page, told["basis"])
    return page.text()


# --- parts ------------------------------------------------------------------------------------


def _add_totals(page: Page, totals: Sequence[Mapping[str, Any]]) -> None:
    page.gap()
    table = [["predictions", "training", "predicting", "together", "of it predicting"]]
    for t in totals:
        grams = (say.grams(t[key]) for key in ("training_g", "use_g", "total_g"))
        table.append([f"{t['n_predictions']:,}", *grams, say.percent(t["use_share"])])
    page.table(table)
    page.gap()


def _add_use(page: Page, told: Mapping[str, Any]) -> None:
    """Add when predictions have cost as much as the training, and what others say."""
    if "use" not in told:
        return
    use = told["use"]
    said = [f"predicting has cost as much as training after {_count(use['repaid_predictions'])}"]
    if use["search_repaid_predictions"] > 0:
        said.append(f"as the search alone after {_count(use['search_repaid_predictions'])}")
    page.entry("break-even", "; ".join(said))
    shares = [f"{share['name']}: {100 * share['share']:.0f} %" for share in told["use_shares"]]
    page.entry("", f"published shares of predictions in all its cost: {', '.join(shares)}")
    if told.get("elsewhere"):
        first = told["elsewhere"][0]
        more, less = max(first["times"], 1 / first["times"]), first["times"] < 1
        page.entry(
            "elsewhere",
            f"a million short texts by {first['name']}: {say.energy(first['kwh'])}, "
            f"{say.estimate(more)} × {'less' if less else 'more'} ({first['source']}, "
            f"{first['year']})",
        )


def _add_against(page: Page, found: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Add what the other model costs, and when this one has repaid its training."""
    page.entry("against", f"{other['model']}: {say.grams(other['per_million_g'])} a million")
    extra_g, saved_g = other.get("extra_training_g"), other["saved_g_per_million"]
    if extra_g is not None and extra_g <= 0:
        page.entry("", f"this one's training cost {_grams_or_none(-extra_g)} less")
    elif extra_g is not None and math.isfinite(other["repaid_predictions"]):
        after = _count(other["repaid_predictions"])
        page.entry("", f"{say.grams(extra_g)} more of training, repaid after {after} predictions")
    elif extra_g is not None:
        more = _grams_or_none(-saved_g)
        page.entry(
            "",
            f"{say.grams(extra_g)} more of training, not repaid: a million predictions take"
            f" {more} more",
        )
    if "more_right_per_million" in other:
        n = other["more_right_per_million"]
        page.entry("", f"{abs(n):,.0f} of a million rows more {'right' if n >= 0 else 'wrong'}")


def _add_grid(page: Page, carbon: Mapping[str, Any]) -> None:
    pue = carbon.get("pue") or 1.0
    grid = f"grid: {carbon['region']} {carbon['grid_g_per_kwh']:.0f} g/kWh"
    page.entry("", f"{grid} ({carbon['grid_source']}); PUE {pue:g}")


def _likenesses(equivalences: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what emits as much: a way by car, and of the others those that can be imagined."""
    car, *others = equivalences
    said = [f"{say.metres(1000 * car['count'])} in a new car ({car['source']}, {car['year']})"]
    return said + [
        f"{say.count(other['count'])} {other['name']} ({other['source']}, {other['year']})"
        for other in others
        if other["count"] >= _LEAST_LIKENESS
    ]


def _grams_or_none(grams: float) -> str:
    return say.grams(grams) if grams > 0 else "nothing"


def _count(n: float) -> str:
    return say.count(n) if math.isfinite(n) else "never"
