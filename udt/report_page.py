"""The report of a run as one page: no script, no request, light or dark, wide or narrow."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from udt import _words as say
from udt import plots
from udt.carbon.grid import regions
from udt.featurizers.schema import USED_KINDS

if TYPE_CHECKING:
    from udt.report import RunReport

Dict = Mapping[str, Any]

_SHOWN_CLASSES, _N_GRIDS = 30, 6
_FLAGS = {"random_state": "seed", "n_threads": "threads"}


def page(report: RunReport, given: Dict | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    report : RunReport
        Of the run.
    given : mapping, optional
        The run's parameters under the names of `UDT`'s, to say how it is done again.

    Raises
    ------
    SettingsError
        matplotlib is not installed.
    """
    parts: list[str] = [_head(report)]
    sections: list[tuple[str, Callable[[], str]]] = [
        ("Right and wrong", lambda: _confusion(report.details)),
        ("How sure, and how it learned", lambda: _curves(report)),
        ("The race", lambda: _race(report)),
        ("Columns", lambda: _columns(report)),
        ("What tells the classes apart", lambda: _telling(report.details)),
        ("Worst mistakes", lambda: _mistakes(report)),
        ("Energy and CO2", lambda: _costs(report)),
        ("Choices", lambda: _choices(report)),
        ("Do it again", lambda: _again(report, given or {})),
    ]
    for title, section in sections:
        if body := section():
            parts.append(f"<section><h2>{title}</h2>{body}</section>")
    title = _title(report)
    style = files("udt").joinpath("data/report.css").read_text("utf-8")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        "<link rel='icon' href='data:,'>"
        f"<title>{title}</title><style>{style}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def summary(report: RunReport) -> str:
    """Return the headline figures as a piece of HTML, for a notebook."""
    cells = "".join(
        f"<td style='text-align:left;padding:.2em 1.4em .2em 0;vertical-align:top'>"
        f"<small>{name}</small><br><b>{value}</b><br><small>{note}</small></td>"
        for name, value, note in _headline(report)
    )
    title = _title(report)
    return f"<div><b>{title}</b><table><tr>{cells}</tr></table></div>"


def _title(report: RunReport) -> str:
    """Return what was trained on, without its folder, and the target."""
    source = report.source or report.model
    return escape(f"{source.rstrip('/').rpartition('/')[2]} → {report.target}")


# -- pieces ------------------------------------------------------------------------------------


def _table(rows: Iterable[Sequence[Any]], head: Sequence[str], *, words: int = 1) -> str:
    """Return a table; the first columns are words, the others numbers, all of them HTML."""

    def line(cells: Sequence[Any], tag: str) -> str:
        kinds = [""] * words + [" class='n'"] * (len(cells) - words)
        pairs = zip(cells, kinds, strict=True)
        return "<tr>" + "".join(f"<{tag}{kind}>{cell}</{tag}>" for cell, kind in pairs) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<div class='scroll'><table>{line(head, 'th')}{body}</table></div>"


def _bars(rows: Sequence[tuple[str, float, str]], head: Sequence[str]) -> str:
    """Return names (HTML), bars as long as values are large, and words."""
    largest = max((value for _, value, _ in rows), default=0.0) or 1.0
    lines = "".join(
        f"<tr><td>{name}</td><td><span class='bar' style='width:{100 * value / largest:.1f}%'>"
        f"</span></td><td class='n'>{words}</td></tr>"
        for name, value, words in rows
    )
    first, last = head
    return (
        "<div class='scroll'><table class='wide bars'>"
        f"<tr><th>{first}</th><th></th><th class='n'>{last}</th></tr>{lines}</table></div>"
    )


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _split_name(report: RunReport) -> str:
    return "held-out" if report.metrics.get("split") == "holdout" else "test"


# -- sections ----------------------------------------------------------------------------------


def _headline(report: RunReport) -> list[tuple[str, str, str]]:
    """Return (name, value, note) of what matters most."""
    m, found = report.metrics, []
    if "accuracy" in m:
        low, high = (100 * end for end in m["accuracy_ci95"])
        found = [
            ("accuracy", say.percent(m["accuracy"]), f"95 % interval {low:.1f}–{high:.1f}"),
            ("macro-F1", f"{m['macro_f1']:.3f}", f"majority {say.percent(m['majority'])}"),
            ("log-loss", f"{m['log_loss']:.3f}", f"calibration error {say.percent(m['ece'])}"),
        ]
        if "micro_f1" in m:
            found.insert(1, ("micro-F1", f"{m['micro_f1']:.3f}", "of all labels"))
    if "wall_s" in report.time:
        trials = f"{report.search.get('n_trials', 0)} trials"
        found.append(("time", say.duration(report.time["wall_s"]), trials))
    if "kwh" in report.energy:
        found.append(("energy", say.energy(report.energy["kwh"]), say.band(report.carbon)))
        each = report.carbon.get("per_million_g")
        note = f"a million predictions: {say.grams(each)}" if each else "training"
        found.append(("CO2e", say.grams(report.carbon["total_g"]), note))
    if size := report.size.get("model_bytes"):
        found.append(("model", say.size(size), f"{report.network.get('n_features', 0):,} features"))
    return found


def _head(report: RunReport) -> str:
    tiles = "".join(
        f"<div class='tile'><small>{name}</small><b>{value}</b><small>{note}</small></div>"
        for name, value, note in _headline(report)
    )
    title = _title(report)
    measured = ""
    if "n_rows" in report.metrics:
        measured = f", measured on {say.rows(report.metrics['n_rows'], _split_name(report))}"
    warned = "".join(f"<p class='mistake'>{escape(w)}</p>" for w in report.warnings)
    return (
        f"<p class='soft'>udt · report of a training run</p><h1>{title}</h1>"
        f"<p class='soft'>{say.rows(report.n_rows)}, {report.n_classes:,} classes{measured}</p>"
        f"<div class='tiles'>{tiles}</div>{warned}"
    )


def _confusion(details: Dict) -> str:
    parts = []
    if matrix := details.get("confusion"):
        parts.append(_matrix([escape(str(label)) for label in details["labels"]], matrix))
    if pairs := details.get("confused"):
        mistakes = [(escape(m["true"]), escape(m["predicted"]), f"{m['n_rows']:,}") for m in pairs]
        parts.append(_table(mistakes, ["true", "predicted", "rows"], words=2))
    if classes := details.get("per_class"):
        head = ["class", "rows", "predicted", "precision", "recall", "F1"]
        rows = [
            (escape(str(c["label"])), f"{c['n_rows']:,}", f"{c['n_predicted']:,}",
             *(f"{c[k]:.3f}" for k in ("precision", "recall", "f1")))
            for c in sorted(classes, key=lambda c: float(c["f1"]))
        ]  # fmt: skip
        parts.append("<h3>Each class, the hardest first</h3>" + _table(rows[:_SHOWN_CLASSES], head))
        if more := rows[_SHOWN_CLASSES:]:
            hidden = f"<summary>{len(more):,} more</summary>{_table(more, head)}"
            parts.append(f"<details>{hidden}</details>")
    return "".join(parts)


def _matrix(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Return how often rows of each class were given each; labels are HTML."""
    head = "".join(f"<th title='{label}'>{label}</th>" for label in labels)
    lines = []
    for i, counts in enumerate(matrix):
        n = sum(counts) or 1
        cells = "".join(
            f"<td style='background:rgba(var(--{'blue' if i == j else 'orange'}),"
            f"{0.75 * k / n:.3f})' title='{labels[i]} → {labels[j]}: {k:,}'>{k or ''}</td>"
            for j, k in enumerate(counts)
        )
        lines.append(f"<tr><th title='{labels[i]}'>{labels[i]}</th>{cells}</tr>")
    return (
        f"<div class='scroll'><table class='matrix'><tr><th>true \\ predicted</th>{head}</tr>"
        f"{''.join(lines)}</table></div>"
    )


def _curves(report: RunReport) -> str:
    figures = []
    if bins := report.details.get("reliability"):
        figures.append(_figure(
            plots.reliability(bins),
            "Reliability: on the dashed line, a probability says how often it is right. "
            "The larger a disc, the more rows.",
        ))  # fmt: skip
    if len(report.history) > 1:
        watched = any(h.get("holdout_loss") is not None for h in report.history)
        figures.append(_figure(
            plots.learning_curve(report.history),
            "Learning curve of the final training, "
            + ("on rows held out of it." if watched else "which learns from all rows."),
        ))  # fmt: skip
    return f"<div class='plots'>{''.join(figures)}</div>" if figures else ""


def _race(report: RunReport) -> str:
    trials = report.search.get("leaderboard", [])
    if not trials:
        return ""
    phases = report.carbon.get("phases", {})
    seconds = sum(t["seconds"] for t in trials) or 1.0
    search_g = phases.get("search", {}).get("total_g", report.carbon.get("total_g", 0.0))
    priced = [{**t, "total_g": search_g * t["seconds"] / seconds} for t in trials]
    rows = [
        (i, escape(t["name"]), say.percent(t["metric"]), f"{t['loss']:.4f}",
         f"{t['seconds']:.1f}", say.grams(t["total_g"]))
        for i, t in enumerate(priced, 1)
    ]  # fmt: skip
    head = ["", "pipeline", "accuracy", "loss", "seconds", "CO2e"]
    caption = "Each disc is a trial by its number; the larger, the more CO2e (shared out by time)."
    return _figure(plots.race(priced), caption) + _table(rows, head, words=2)


def _columns(report: RunReport) -> str:
    weights = {e["column"]: e["weight"] for e in report.details.get("importance", [])}
    rows = [
        (f"<b>{escape(c['column'])}</b>", escape(c["kind"]) + ("" if c["kind"] in USED_KINDS else
         ", not used"), escape(c["reason"]))
        for c in report.schema
    ]  # fmt: skip
    parts = [_table(rows, ["column", "kind", "why"], words=3)]
    if len(weights) > 1:
        largest = sorted(weights.items(), key=lambda item: -item[1])[:_SHOWN_CLASSES]
        parts.append("<h3>How much each moves a prediction</h3>")
        parts.append(
            _bars([(escape(name), w, f"{w:.2f}") for name, w in largest], ["column", "nats"])
        )
        parts.append(
            "<p class='soft'>Mean size of what it adds to the log-odds of the predicted class, "
            f"over {say.rows(report.details['n_explained'], _split_name(report))}.</p>"
        )
    return "".join(parts)


def _telling(details: Dict) -> str:
    parts = []
    for c in details.get("telling", []):
        chips = [
            "".join(
                f"<li style='background:rgba(var(--blue),{min(0.6, 0.1 + w['weight'] / 4):.2f})' "
                f"title='{w['weight']:+.2f} in the mean of {say.rows(w['n_rows'])}'>"
                f"{escape(w['text'])}</li>"
                for w in c[kind]
            )
            for kind in ("words", "phrases")
        ]
        lists = "".join(f"<ul class='chips'>{items}</ul>" for items in chips if items)
        if lists:
            parts.append(f"<h3>{escape(str(c['label']))}</h3>{lists}")
    if not parts:
        return ""
    return "".join(parts) + (
        "<p class='soft'>Words, then phrases, that added most to the log-odds of the predicted "
        f"class over {say.rows(details['n_explained'])}; the stronger the colour, the more each "
        "time.</p>"
    )


def _mistakes(report: RunReport) -> str:
    mistakes = report.details.get("mistakes", [])
    parts = []
    for m in mistakes:
        true, said = (escape(", ".join(map(str, m[k]))) for k in ("true", "predicted"))
        cells = "".join(
            f"<p><small>{escape(name)}</small> {escape(cell)}</p>"
            for name, cell in m["cells"].items()
        )
        parts.append(
            f"<div class='mistake'><p><small>row {m['row']:,}</small> <b>{said}</b> "
            f"({say.percent(m['confidence'])}), truly <b>{true}</b></p>{cells}</div>"
        )
    if not parts:
        return ""
    note = (
        f"<p class='soft'>The {_split_name(report)} rows to which the model was furthest from the "
        "truth: some are hard, some are mislabelled.</p>"
    )
    shown, more = parts[:8], parts[8:]
    rest = f"<details><summary>{len(more)} more</summary>{''.join(more)}</details>" if more else ""
    return note + "".join(shown) + rest


def _costs(report: RunReport) -> str:
    carbon, energy = report.carbon, report.energy
    if "kwh" not in energy or "total_g" not in carbon:
        return ""
    stages = [
        (escape(name), p["total_g"], f"{p['wall_s']:.1f} s · {say.grams(p['total_g'])}")
        for name, p in carbon.get("phases", {}).items()
    ]
    parts = [f"<p>{say.energy(energy['kwh'])}, {say.grams(carbon['total_g'])} CO2e "
             f"{escape(say.parts(carbon))} ({escape(say.band(carbon))})</p>"]  # fmt: skip
    if stages:
        parts += ["<h3>Where it went</h3>", _bars(stages, ["stage", "time and CO2e"])]
    if each := carbon.get("per_million_g"):
        both = [("training", carbon["total_g"]), ("a million predictions", each)]
        rows = [(name, g, say.grams(g)) for name, g in both]
        repaid = say.count(carbon["repaid_predictions"])
        parts += [
            "<h3>Training against use</h3>", _bars(rows, ["", "CO2e"]),
            f"<p class='soft'>Use has cost as much as training after {repaid} predictions.</p>",
        ]  # fmt: skip
    parts += ["<h3>The same run elsewhere</h3>", _grids(energy, carbon)]
    if ways := carbon.get("cheaper"):
        items = "".join(f"<li>{escape(way)}</li>" for way in say.cheaper(ways))
        parts.append(f"<h3>What would have made it cheaper</h3><ul>{items}</ul>")
    sources = [f"energy: {energy.get('source', 'unknown')}"]
    if "grid_source" in carbon:
        sources.append(f"grid: {carbon['grid_source']}")
    parts.append(f"<p class='soft'>{escape('; '.join(sources))}</p>")
    return "".join(parts)


def _grids(energy: Dict, carbon: Dict) -> str:
    """Return what the same energy would have cost on other grids, from the cleanest on."""
    made = carbon.get("embodied_g", 0.0)
    places = regions()
    some = [places[round(i * (len(places) - 1) / (_N_GRIDS - 1))] for i in range(_N_GRIDS)]
    rows = [
        (f"{escape(p.region)} <small>{escape(p.country)}</small>",
         energy["kwh"] * p.pue * p.grid_g_per_kwh + made) for p in some
    ]  # fmt: skip
    here = f"<b>here</b> <small>{escape(str(carbon.get('region', 'world')))}</small>"
    rows = sorted([*rows, (here, carbon["total_g"])], key=lambda row: row[1])
    return _bars([(name, g, say.grams(g)) for name, g in rows], ["region", "CO2e"])


def _choices(report: RunReport) -> str:
    rows = [tuple(escape(str(c[k])) for k in ("what", "value", "reason")) for c in report.choices]
    return _table(rows, ["what", "value", "why"], words=3) if rows else ""


def _again(report: RunReport, given: Dict) -> str:
    """Return the command that trains this model, and what it was made with."""
    made = report.details.get("made_with", {})
    lines = "".join(f"<p class='soft'>{escape(f'{k} {v}')}</p>" for k, v in made.items())
    seed = given.get("random_state")
    note = (
        "The same table, seed and version give the same model, bit for bit."
        if seed is not None
        else "Trained without a seed: threads share the weights, and another run differs a little."
    )
    return f"<pre>{escape(command(report, given))}</pre><p>{note}</p>{lines}"


def command(report: RunReport, given: Dict) -> str:
    """Return the command line that does a run again; of a table in memory, the line of Python.

    Parameters
    ----------
    report : RunReport
        Of the run.
    given : mapping
        The run's parameters.
    """
    given = {
        name: value
        for name, value in given.items()
        if value is not None and (name, value) != ("bad_rows", "refuse")
    }
    if report.source.startswith(("a ", "an ")):
        arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"UDT({arguments}).fit(TABLE)"
    words = ["udt", "train", report.source or "TABLE", "--target", report.target]
    for name, value in given.items():
        if name == "target":
            continue
        flag = "--" + _FLAGS.get(name, name).replace("_", "-")
        if isinstance(value, Mapping):
            pairs = [f"{k}:{v}" for k, v in value.items()]
        else:
            pairs = [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]
        for one in pairs:
            words += [flag, "none" if one == "False" else one]
    return shlex.join(words)
