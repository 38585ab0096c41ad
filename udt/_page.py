"""A page of text: a title, labelled entries and tables within a width in terminal cells."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

LABEL = 15
"""Characters before an entry's words."""

_MIN_WIDTH = 60


def cells_of(text: str) -> int:
    """Count the terminal's cells: East Asian wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def printable(value: Any) -> str:
    """Return the value with escapes for what would break a line or command the terminal."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def fit(text: str, cells: int) -> str:
    """Cut the text to so many cells."""
    if cells_of(text) <= cells:
        return text
    kept = ""
    for c in text:
        if cells_of(kept + c) > cells - 3:
            break
        kept += c
    return f"{kept.rstrip()}..."


def _pad(text: str, cells: int, left: bool) -> str:
    space = " " * (cells - cells_of(text))
    return text + space if left else space + text


def _wrap(text: str, cells: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cells_of(longer) <= cells:
            lines[-1] = longer
        else:
            lines.append(fit(word, cells))
    return [line for line in lines if line] or [""]


class Page:
    """Lines of at most ``width`` cells: a title, labelled entries, tables."""

    def __init__(self, width: int) -> None:
        self.width = max(width, _MIN_WIDTH)
        self._lines: list[str] = []

    def text(self) -> str:
        """Return all lines, without a last line end."""
        return "\n".join(line.rstrip() for line in self._lines)

    def title(self, what: str, *facts: str) -> None:
        """Add a rule with words in it."""
        room = self.width - sum(map(len, facts)) - 3 * len(facts) - 12
        head = " ─ ".join(("── udt", fit(printable(what), room), *facts))
        self._lines.append(f"{head} {'─' * (self.width - cells_of(head) - 1)}")

    def gap(self, heading: str = "") -> None:
        """Add an empty line, and a heading if there is one."""
        self._lines += ["", f" {fit(heading, self.width - 1)}"] if heading else [""]

    def entry(self, label: str, *pieces: str, between: str = "   ") -> None:
        """Add a labelled line; it breaks between pieces, and within those that are too long."""
        room, lines = self.width - LABEL, [""]
        for piece in filter(None, map(printable, pieces)):
            longer = f"{lines[-1]}{between}{piece}" if lines[-1] else piece
            if cells_of(longer) <= room:
                lines[-1] = longer
            else:
                lines += _wrap(piece, room)
        lines = list(filter(None, lines))
        heads = [f" {label}", *[""] * len(lines)]
        self._lines += [f"{head:<{LABEL}}{line}" for head, line in zip(heads, lines, strict=False)]

    def entries(self, label: str, items: Iterable[str]) -> None:
        """Add one entry per item, the first one labelled."""
        for item in items:
            self.entry(label, item)
            label = ""

    def table(
        self, rows: Sequence[Sequence[Any]], *, left: int = 1, notes: Sequence[str] = ()
    ) -> None:
        """Add rows, the first one a header; the first ``left`` columns are words, cut to fit.

        ``notes``, one a row, stand at the right and wrap.
        """
        cells = [[printable(cell) for cell in row] for row in rows]
        widths = [max(cells_of(cell) for cell in column) for column in zip(*cells, strict=True)]
        note_room = min(24, max(map(cells_of, notes), default=-2)) + 2
        room = self.width - 1 - sum(w + 2 for w in widths[left:]) - note_room
        for i in range(left):
            widths[i] = min(widths[i], max(room // left, 8) - 2)
        note_room = self.width - 1 - sum(w + 2 for w in widths)
        for row, note in zip(cells, notes or [""] * len(rows), strict=True):
            words = "  ".join(
                _pad(fit(cell, w), w, i < left)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            first, *more = _wrap(printable(note), note_room) if note else [""]
            self._lines.append(f" {words}  {first}")
            self._lines += [" " * (self.width - note_room) + line for line in more]
