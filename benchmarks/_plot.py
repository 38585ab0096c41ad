"""A line plot as SVG: small, readable, in the colours of the page's light or dark mode."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

_PANEL_W, _PANEL_H, _GAP = 430, 300, 64
_LEFT, _TOP, _BOTTOM = 58, 78, 96
_LEGEND_W = 118
# Okabe & Ito's palette: told apart by the colour-blind too.
_COLOURS = ("#56606b", "#d55e00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#e69f00")
_STYLE = """
.plot { color-scheme: light dark; font: 13px system-ui, sans-serif; }
.plot text { fill: #24292f; fill: light-dark(#24292f, #d6dbe1); }
.plot .title { font-size: 16px; font-weight: 600; }
.plot .panel { font-weight: 600; }
.plot .tick { font-size: 11px; fill: #57606a; fill: light-dark(#57606a, #9aa4b0); }
.plot .grid { stroke: #e4e7eb; stroke: light-dark(#e4e7eb, #30363d); }
.plot .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.plot .dashed { stroke-dasharray: 5 4; stroke-width: 1.5; }
"""


class Series(NamedTuple):
    """A line: its name, its (x, accuracy) points, and whether it is dashed."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


class _Axes(NamedTuple):
    """From numbers to places in a panel; x and the error are logarithmic."""

    x_range: tuple[float, float]
    error_range: tuple[float, float]
    left: float

    def x(self, value: float) -> float:
        low, high = map(math.log, self.x_range)
        return self.left + _PANEL_W * (math.log(value) - low) / (high - low)

    def y(self, accuracy: float) -> float:
        low, high = map(math.log, self.error_range)
        return _TOP + _PANEL_H * (math.log(1 - accuracy) - low) / (high - low)


def _ticks(low: float, high: float) -> list[float]:
    """Return some round accuracies between two, few where errors are large."""
    steps = (0.99, 0.98, 0.97, 0.96, 0.955, 0.95, 0.945, 0.94, 0.935, 0.93, 0.92, 0.91, 0.9, 0.88)
    steps += (0.85, 0.8, 0.7, 0.6, 0.5, 0.4)
    inside = [a for a in steps if low <= a <= high]
    every = -(-len(inside) // 8)
    return inside[::every] if every else []


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    at = f'x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {at}>{escape(words)}</text>"


def _frame(name: str, axes: _Axes, x_ticks: Sequence[float]) -> Iterator[str]:
    """Yield a panel's name, grid and ticks."""
    right, bottom = axes.left + _PANEL_W, _TOP + _PANEL_H
    yield _text(axes.left, _TOP - 12, name, "panel")
    for value in x_ticks:
        x = axes.x(value)
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        yield _text(x, bottom + 18, f"{value:g}", "tick", "middle")
    for value in _ticks(1 - axes.error_range[1], 1 - axes.error_range[0]):
        y = axes.y(value)
        yield f'<path class="grid" d="M{axes.left} {y:.1f}H{right}"/>'
        yield _text(axes.left - 8, y + 4, f"{100 * value:g}", "tick", "end")


def _line(series: Series, colour: str, axes: _Axes) -> Iterator[str]:
    points = sorted(series.points)
    path = "L".join(f"{axes.x(x):.1f} {axes.y(y):.1f}" for x, y in points)
    kind = "line dashed" if series.dashed else "line"
    yield f'<path class="{kind}" stroke="{colour}" d="M{path}"/>'
    for x, y in points:
        at = f'cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}"'
        fill = "none" if series.dashed else colour
        tip = f"<title>{escape(series.name)}: {100 * y:.2f} % at {x:.2f}</title>"
        yield f'<circle {at} r="3.2" fill="{fill}" stroke="{colour}">{tip}</circle>'


def plot(
    title: str, panels: Mapping[str, Sequence[Series]], x_label: str, y_label: str, dashed: str
) -> str:
    """Return the SVG of panels side by side, with one legend.

    Parameters
    ----------
    title, x_label, y_label : str
        Words.
    panels : mapping of str to sequence of Series
        Lines of each panel; those of one name have one colour.
    dashed : str
        What a dashed line means.
    """
    names = list(dict.fromkeys(s.name for lines in panels.values() for s in lines))
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
    width = _LEFT + len(panels) * (_PANEL_W + _GAP)
    width = max(width, _LEFT + _LEGEND_W * (len(names) + 2))
    bottom = _TOP + _PANEL_H
    parts = [_text(_LEFT, 28, title, "title"), _text(_LEFT, 48, y_label, "tick")]
    for i, (name, lines) in enumerate(panels.items()):
        xs = [x for s in lines for x, _ in s.points]
        errors = [1 - y for s in lines for _, y in s.points]
        axes = _Axes(
            (min(xs) / 1.1, max(xs) * 1.1),
            (min(errors) / 1.05, max(errors) * 1.05),
            _LEFT + i * (_PANEL_W + _GAP),
        )
        ticks = [
            t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1) if axes.x_range[0] <= t <= axes.x_range[1]
        ]
        parts += _frame(name, axes, ticks)
        parts.append(_text(axes.left + _PANEL_W / 2, bottom + 38, x_label, "tick", "middle"))
        for series in lines:
            parts += _line(series, colours[series.name], axes)
    y = bottom + 70
    for i, name in enumerate(names):
        x = _LEFT + i * _LEGEND_W
        parts.append(f'<path class="line" stroke="{colours[name]}" d="M{x} {y - 4}h22"/>')
        parts.append(_text(x + 28, y, name))
    x = _LEFT + len(names) * _LEGEND_W
    parts.append(f'<path class="line dashed" stroke="{_COLOURS[0]}" d="M{x} {y - 4}h22"/>')
    parts.append(_text(x + 28, y, dashed))
    size = f'viewBox="0 0 {width} {bottom + _BOTTOM}"'
    size += f' class="plot" role="img" aria-label="{escape(title)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>\n"])
