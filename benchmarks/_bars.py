"""A bar plot as SVG: stacked horizontal bars, in the colours of the page's light or dark mode."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _BAR_H, _ROW_H = 760, 18, 30
_LEFT, _RIGHT, _TOP = 200, 170, 100
_COLOURS = ("#0072b2", "#e69f00")  # of Okabe & Ito: told apart by the colour-blind too
_STYLE = """
.bars { color-scheme: light dark; font: 13px system-ui, sans-serif; }
.bars text { fill: #24292f; fill: light-dark(#24292f, #d6dbe1); }
.bars .title { font-size: 16px; font-weight: 600; }
.bars .panel { font-weight: 600; }
.bars .tick { font-size: 11px; fill: #57606a; fill: light-dark(#57606a, #9aa4b0); }
.bars .grid { stroke: #e4e7eb; stroke: light-dark(#e4e7eb, #30363d); }
"""


class Bar(NamedTuple):
    """A bar: its name, its parts, and what is written behind it."""

    name: str
    parts: Sequence[float]
    words: str


class Panel(NamedTuple):
    """Bars on one scale."""

    name: str
    unit: str
    bars: Sequence[Bar]


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    at = f'x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {at}>{escape(words)}</text>"


def _step(most: float) -> float:
    """Return a round distance of ticks, about five of them up to the most."""
    size = 10.0 ** math.floor(math.log10(most / 4))
    return next(size * s for s in (1, 2, 5, 10) if size * s >= most / 5)


def _panel(panel: Panel, top: float) -> Iterator[str]:
    """Yield a panel's name, scale and bars."""
    most = max(sum(bar.parts) for bar in panel.bars)
    room, bottom = _WIDTH - _LEFT - _RIGHT, top + _ROW_H * len(panel.bars)
    yield _text(_LEFT, top - 10, panel.name, "panel")
    step = _step(most)
    for i in range(int(most / step) + 1):
        x = _LEFT + room * i * step / most
        yield f'<path class="grid" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>'
        yield _text(x, bottom + 16, f"{i * step:g}", "tick", "middle")
    yield _text(_WIDTH - _RIGHT + 8, bottom + 16, panel.unit, "tick")
    for i, bar in enumerate(panel.bars):
        y, x = top + _ROW_H * i + (_ROW_H - _BAR_H) / 2, float(_LEFT)
        yield _text(_LEFT - 10, y + 13, bar.name, anchor="end")
        for part, colour in zip(bar.parts, _COLOURS, strict=True):
            width = room * part / most
            at = f'x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="{_BAR_H}"'
            tip = f"<title>{escape(bar.name)}: {part:.3g} {escape(panel.unit)}</title>"
            yield f'<rect {at} fill="{colour}">{tip}</rect>'
            x += width
        yield _text(x + 8, y + 13, bar.words)


def bars(title: str, parts: Sequence[str], panels: Sequence[Panel]) -> str:
    """Return the SVG of panels one below the other, each on its own scale.

    Parameters
    ----------
    title : str
        Words.
    parts : sequence of str
        What the parts of a bar are, in order.
    panels : sequence of Panel
        Bars.
    """
    shapes, top = [_text(20, 28, title, "title")], float(_TOP)
    for i, (name, colour) in enumerate(zip(parts, _COLOURS, strict=True)):
        x = 20 + 150 * i
        shapes.append(f'<rect x="{x}" y="40" width="14" height="14" fill="{colour}"/>')
        shapes.append(_text(x + 20, 52, name))
    for panel in panels:
        shapes += _panel(panel, top)
        top += _ROW_H * len(panel.bars) + 62
    size = f'viewBox="0 0 {_WIDTH} {top - 20:.0f}" class="bars" role="img"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} aria-label="{escape(title)}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *shapes, "</svg>\n"])
