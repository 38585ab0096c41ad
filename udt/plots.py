"""Plots of a run as inline SVG, in the colours of the page around them, light or dark.

Drawn by matplotlib (extra ``plots``): text stays text, so that a plot takes some 10 kB.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from udt.errors import SettingsError

Records = Sequence[Mapping[str, Any]]

_INK = "#010203"  # replaced by the page's own colour
_BLUE, _ORANGE, _GREEN = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito: for everybody's eyes
_VARIABLES = {_BLUE: "--blue", _ORANGE: "--orange", _GREEN: "--green"}  # of `data/report.css`
_SIZE = (5.6, 3.6)  # inches at 72 dots
_FONT = "font-family:system-ui,sans-serif"


def reliability(bins: Records) -> str:
    """Return how often labels are right against how probable they were said to be.

    Parameters
    ----------
    bins : sequence of mapping
        ``confidence, accuracy, n_rows`` of each.
    """
    figure, axes = _figure()
    largest = max(b["n_rows"] for b in bins)
    low = min(min(b["confidence"], b["accuracy"]) for b in bins)
    axes.plot([low, 1], [low, 1], color=_INK, alpha=0.5, linestyle="--", linewidth=1)
    axes.plot(*_pairs(bins, "confidence", "accuracy"), color=_BLUE, linewidth=1.2, alpha=0.6)
    sizes = [12 + 240 * b["n_rows"] / largest for b in bins]
    axes.scatter(*_pairs(bins, "confidence", "accuracy"), s=sizes, color=_BLUE, alpha=0.75)
    axes.set_xlabel("probability of the predicted label")
    axes.set_ylabel("share that is right")
    return _svg(figure, "reliability")


def learning_curve(history: Records) -> str:
    """Return loss and accuracy on held-out rows by epoch, or the loss in training without any.

    Parameters
    ----------
    history : sequence of mapping
        ``epoch``; of held-out rows ``holdout_loss, holdout_accuracy``; else ``loss_wide`` or
        ``loss_deep`` of those that are learned.
    """
    figure, axes = _figure()
    seen = [h for h in history if h.get("holdout_loss") is not None]
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if not seen:
        for path, color in (("loss_wide", _ORANGE), ("loss_deep", _BLUE)):
            of = [h for h in history if h.get(path)]
            name = path.removeprefix("loss_")
            axes.plot(*_pairs(of, "epoch", path), color=color, marker="o", ms=4, label=name)
        axes.set_ylabel("loss in training (nats)")
        axes.legend(frameon=False, labelcolor=_INK)
        return _svg(figure, "learning")
    axes.plot(*_pairs(seen, "epoch", "holdout_loss"), color=_ORANGE, marker="o", markersize=4)
    axes.set_ylabel("held-out loss (nats)", color=_ORANGE)
    other = axes.twinx()
    shown = [100 * h["holdout_accuracy"] for h in seen]
    other.plot([h["epoch"] for h in seen], shown, color=_BLUE, marker="s", markersize=4)
    other.set_ylabel("held-out accuracy (%)", color=_BLUE)
    _clean(other, right=True)
    return _svg(figure, "learning")


def race(trials: Records) -> str:
    """Return accuracy against seconds; the larger a trial's disc, the more CO2e it took.

    Parameters
    ----------
    trials : sequence of mapping
        ``metric`` (accuracy), ``seconds`` and ``total_g`` of each, best first.
    """
    figure, axes = _figure()
    most = max(t["total_g"] for t in trials) or 1.0
    for i, t in enumerate(trials, 1):
        color = _GREEN if i == 1 else _BLUE
        size = 30 + 400 * t["total_g"] / most
        axes.scatter([t["seconds"]], [100 * t["metric"]], s=size, color=color, alpha=0.6)
        at = (t["seconds"], 100 * t["metric"])
        axes.annotate(str(i), at, ha="center", va="center", fontsize=8, color=_INK)
    axes.margins(0.15)
    axes.set_xlabel("seconds")
    axes.set_ylabel("held-out accuracy (%)")
    return _svg(figure, "race")


def _pairs(records: Records, x: str, y: str) -> tuple[list[Any], list[Any]]:
    return [r[x] for r in records], [r[y] for r in records]


def _figure() -> tuple[Any, Any]:
    """Return an empty figure and its axes.

    Raises
    ------
    SettingsError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError(
            "The report's page needs matplotlib, which is not installed. Expected the extra "
            "'plots': pip install 'openudt[plots]'"
        ) from error
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=_INK, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)
    _clean(axes)
    return figure, axes


def _clean(axes: Any, *, right: bool = False) -> None:
    """Colour a plot's frame like the page's text, and leave out what only takes ink."""
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom") or (right and side == "right"))
        spine.set_edgecolor(_INK)
        spine.set_alpha(0.4)
    axes.tick_params(colors=_INK, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        if label.get_color() == "black":
            label.set_color(_INK)


def _numbers(color: str) -> str:
    """Return the parts of a colour as CSS has them.

    Examples
    --------
    >>> _numbers("#0072b2")
    '0,114,178'
    """
    return ",".join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))


def _svg(figure: Any, name: str) -> str:
    """Return a figure as SVG for a page: no address in it, and no identifier but its own."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)  # those that nothing refers to
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 role="img">', svg, count=1)
    svg = svg.replace('xlink:href="#', 'href="#').replace(_INK, "currentColor")
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"rgb(var({variable}, {_numbers(color)}))")
    svg = re.sub(r"font-family: [^;\"]*", _FONT, svg)
    return re.sub(r">\s+<", "><", svg).strip()
