"""An explained prediction: what spoke for and against each class, in numbers, words and colours.

The logit of a class is the log-odds of its probability, ``ln(p / (1 − p))``. It is the sum of a
bias (the model's answer to an empty row) and of what words and columns add: 0.69 doubles the odds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from udt import _words as say
from udt._page import LABEL, Page, cells_of, fit, printable

WIDTH = 100  # characters, where the reader's terminal is not known
_N_LISTED, _N_PHRASES = 12, 6
_MOST_SHOWN = 4_000  # characters of a text
_LEAST_SHOWN = 0.04  # of the strongest word's weight: too pale to be seen
_FOR, _AGAINST = "24,119,242", "219,96,0"  # blue and orange: told apart by the colour-blind too
_ANSI_FOR, _ANSI_AGAINST = (17, 18, 19, 20), (52, 88, 124, 160)  # dark to bright, of 256 colours
_ANSI_END = "\x1b[0m"
_STYLE = """\
<style>
.udt-explanation{font:15px/1.6 system-ui,sans-serif;max-width:46rem;overflow-wrap:anywhere}
.udt-explanation mark{color:inherit;border-radius:.25em;padding:.05em .1em}
.udt-explanation table{border-collapse:collapse;font-size:.9em;font-variant-numeric:tabular-nums}
.udt-explanation td,.udt-explanation th{text-align:left;padding:.1em .9em .1em 0;\
background:none;color:inherit}
.udt-explanation td:first-child,.udt-explanation .n{text-align:right}
</style>"""


@dataclass(frozen=True)
class SpanWeight:
    """What a word of a text adds to a logit.

    Attributes
    ----------
    column : str
        Where the text stands.
    start, end : int
        Its characters (code points) in the cell: ``cell[start:end]``.
    text : str
        They.
    weight : float
        What it adds, with its parts of phrases and what its own parts add.
    """

    column: str
    start: int
    end: int
    text: str
    weight: float


@dataclass(frozen=True)
class ColumnWeight:
    """What a column that is no text adds to a logit; value is None where the cell is missing."""

    column: str
    value: str | None
    weight: float


@dataclass(frozen=True)
class NgramWeight:
    """What an n-gram adds to a logit, before it is shared out over words.

    Attributes
    ----------
    column : str
        Where it stands.
    text : str
        As it is written where it occurs first.
    kind : str
        ``"word"``, ``"phrase"`` or ``"characters"``.
    weight : float
        What it adds.
    """

    column: str
    text: str
    kind: str
    weight: float


@dataclass(frozen=True)
class ClassExplanation:
    """A class's logit in parts: ``logit = bias + Σ spans + Σ columns``.

    Attributes
    ----------
    label : object
        The class.
    probability, logit, bias : float
        ``ln(p / (1 − p))``, and that of an empty row.
    spans : list of SpanWeight
        Words, in the order of the text.
    columns : list of ColumnWeight
        Columns that are no texts.
    ngrams : list of NgramWeight
        The n-grams of most weight, for or against; another view of what spans hold.
    """

    label: Any
    probability: float
    logit: float
    bias: float
    spans: list[SpanWeight]
    columns: list[ColumnWeight]
    ngrams: list[NgramWeight]

    def strongest(self, n: int) -> list[tuple[float, str, str]]:
        """Return the n words and columns of most weight: weight, column, what it holds."""
        parts = [(s.weight, s.column, s.text) for s in self.spans]
        parts += [(c.weight, c.column, c.value or "(missing)") for c in self.columns]
        return sorted(parts, key=lambda part: -abs(part[0]))[:n]


@dataclass(frozen=True)
class Explanation:
    """Why a row got its prediction.

    Attributes
    ----------
    prediction : object
        What `UDT.predict` says.
    probability : float
        Of the predicted label; of the most probable one, where several are predicted.
    classes : list of ClassExplanation
        The most probable classes, or the one that was asked for.
    texts : dict
        The text columns' cells, for which `SpanWeight` counts characters.

    Examples
    --------
    >>> from udt import UDT
    >>> texts = ["good value", "very good", "bad value", "very bad"] * 10
    >>> model = UDT(random_state=0).fit(texts, ["pos", "pos", "neg", "neg"] * 10)
    >>> top = model.explain("a good book").classes[0]
    >>> top.label, max(top.spans, key=lambda s: s.weight).text
    ('pos', 'good')
    """

    prediction: Any
    probability: float
    classes: list[ClassExplanation]
    texts: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return {
            "prediction": _plain(self.prediction),
            "probability": self.probability,
            "classes": [{**asdict(c), "label": _plain(c.label)} for c in self.classes],
            "texts": dict(self.texts),
        }

    def to_text(self, width: int = WIDTH, *, color: bool = False) -> str:
        """Return what a person reads; with color, the texts are highlighted by ANSI codes.

        Blue speaks for the first class, red against it.
        """
        top = self.classes[0]
        page = Page(width)
        page.title(f"{self.prediction}", say.percent(self.probability))
        lines = [page.text()]
        for column, text in self.texts.items():
            spans = [s for s in top.spans if s.column == column]
            marked = _colored(text, spans) if color else iter([(text, "")])
            lines += _wrapped(column, marked, page.width)
        page = Page(width)
        for c in self.classes:
            page.entry(
                fit(printable(c.label), LABEL - 3),
                f"{say.percent(c.probability)}   logit {c.logit:+.2f} = bias {c.bias:+.2f}"
                f", words {sum(s.weight for s in c.spans):+.2f}"
                + (f", columns {sum(x.weight for x in c.columns):+.2f}" if c.columns else ""),
            )
        page.gap(f"What speaks for {printable(top.label)} (+) and against it (−)")
        rows = [["column", "what", "adds"]]
        rows += [[column, what, f"{w:+.3f}"] for w, column, what in top.strongest(_N_LISTED)]
        page.table(rows, left=2)
        phrases = [f"{n.text} {n.weight:+.2f}" for n in top.ngrams if n.kind == "phrase"]
        if phrases:
            page.gap()
            page.entry("phrases", *phrases[:_N_PHRASES], between=" · ")
        return "\n".join([*lines, page.text()])

    def __str__(self) -> str:
        return self.to_text()

    def to_html(self) -> str:
        """Return a piece of HTML without scripts; blue speaks for the first class."""
        top = self.classes[0]
        head = (
            f"<p><b>{escape(str(self.prediction))}</b> {escape(say.percent(self.probability))} "
            f"<small>highlighted: what speaks <mark style='background:rgba({_FOR},.35)'>for</mark>"
            f" or <mark style='background:rgba({_AGAINST},.45)'>against</mark> "
            f"{escape(str(top.label))}</small></p>"
        )
        texts = "".join(
            f"<p>{marked_html(text, [s for s in top.spans if s.column == column])}</p>"
            for column, text in self.texts.items()
        )
        return (
            f"<div class='udt-explanation'>{_STYLE}{head}{texts}"
            f"{_parts_html(top)}{_classes_html(self.classes)}</div>"
        )

    def _repr_html_(self) -> str:
        return self.to_html()


def _plain(label: Any) -> Any:
    """Return a label in JSON's own types."""
    return label.tolist() if hasattr(label, "tolist") else label


# -- colours -----------------------------------------------------------------------------------


def _pieces(text: str, spans: Sequence[SpanWeight]) -> Iterator[tuple[str, float]]:
    """Yield the text in pieces, each with its weight ÷ the largest; 0 between words."""
    largest = max((abs(s.weight) for s in spans), default=0.0) or 1.0
    at = 0
    for s in sorted(spans, key=lambda s: s.start):
        yield text[at : s.start], 0.0
        yield text[s.start : s.end], s.weight / largest
        at = s.end
    yield text[at:], 0.0


def marked_html(text: str, spans: Sequence[SpanWeight]) -> str:
    """Return the text as HTML with its words marked: blue for the class, orange against it."""
    marked, n_shown = [], 0
    for piece, weight in _pieces(text, spans):
        if n_shown >= _MOST_SHOWN:
            marked.append("…")
            break
        n_shown += len(piece)
        words = escape(piece[:_MOST_SHOWN])
        if abs(weight) >= _LEAST_SHOWN:
            color = _FOR if weight > 0 else _AGAINST
            shade = f"rgba({color},{0.08 + 0.5 * abs(weight):.2f})"
            words = f"<mark style='background:{shade}'>{words}</mark>"
        elif weight == 0 and words:
            words = words.replace("\n", "<br>")
        marked.append(words)
    return "".join(marked)


def _parts_html(c: ClassExplanation) -> str:
    rows = "".join(
        f"<tr><td>{w:+.3f}</td><td>{escape(what[:200])}</td><td>{escape(column)}</td></tr>"
        for w, column, what in c.strongest(_N_LISTED)
    )
    return f"<table><tr><th class='n'>adds</th><th>what</th><th>column</th></tr>{rows}</table>"


def _classes_html(classes: Sequence[ClassExplanation]) -> str:
    rows = "".join(
        f"<tr><td>{escape(say.percent(c.probability))}</td><td>{escape(str(c.label))}</td>"
        f"<td>{c.logit:+.2f}</td><td>{c.bias:+.2f}</td></tr>"
        for c in classes
    )
    return (
        "<table><tr><th class='n'>probability</th><th>class</th><th>logit</th><th>bias</th></tr>"
        f"{rows}</table>"
    )


def _colored(text: str, spans: Sequence[SpanWeight]) -> Iterator[tuple[str, str]]:
    """Yield the text in pieces, each with the ANSI code that colours it."""
    for piece, weight in _pieces(text[:_MOST_SHOWN], spans):
        code = ""
        if abs(weight) >= _LEAST_SHOWN:
            ramp = _ANSI_FOR if weight > 0 else _ANSI_AGAINST
            level = min(len(ramp) - 1, int(abs(weight) * len(ramp)))
            code = f"\x1b[97;48;5;{ramp[level]}m"
        yield piece, code


def _wrapped(label: str, pieces: Iterator[tuple[str, str]], width: int) -> list[str]:
    """Return a labelled text in lines; words are coloured apart, so that lines may break."""
    lines, room = [f" {fit(printable(label), LABEL - 3):<{LABEL - 1}}"], width - LABEL
    left, joined = room, ""
    for piece, code in pieces:
        for i, word in enumerate(" ".join(piece[:_MOST_SHOWN].split("\n")).split(" ")):
            joined = " " if i else ""
            shown = fit(printable(word), room)
            n = cells_of(joined) + cells_of(shown)
            if n > left:
                lines.append(" " * LABEL)
                left, joined, n = room, "", cells_of(shown)
            lines[-1] += joined + (f"{code}{shown}{_ANSI_END}" if code and shown else shown)
            left -= n
    return [line.rstrip() for line in lines]
