"""``udt predict``: one row of CSV for each row of a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from udt.cli import options as opt
from udt.cli.cost import Cost
from udt.cli.options import option
from udt.cli.output import check_output, open_output
from udt.errors import SettingsError

if TYPE_CHECKING:
    from udt.model import Model
    from udt.table import Table

_CHUNK_ROWS = 1 << 15  # large enough for all threads to have work, small enough to stream
_CHUNK_CELLS = 1 << 23  # probabilities in memory at a time


def predict(
    model: opt.Model,
    file: opt.File,
    output: Annotated[
        Path | None, option("--output -o", "CSV to write, in place of stdout.", metavar="FILE")
    ] = None,
    top_k: Annotated[
        int | None, opt.whole("--top-k", "Add the N likeliest classes and their probabilities.")
    ] = None,
    proba: Annotated[bool, option("--proba", "Add the probability of every class.")] = False,
    min_confidence: Annotated[
        float | None,
        option(
            "--min-confidence",
            "Predict nothing (an empty cell) where the label is less probable than this.",
            metavar="P",
            parser=opt.parse_probability,
        ),
    ] = None,
    instance: opt.Instance = None,
    region: opt.Region = None,
    country: opt.Country = None,
    force: opt.Force = False,
) -> None:
    """Predict every row of a table.

    Writes CSV, one row for each row of FILE, in its order.

    Example: udt predict reviews.udt new.csv --top-k 3 -o predictions.csv
    """
    if top_k is not None and (proba or top_k < 1):
        got = "both --top-k and --proba" if proba else f"--top-k {top_k}"
        raise SettingsError(
            f"Got {got}. Expected --top-k with a number of 1 or more, or --proba; give one."
        )
    if output is not None:
        check_output(output, force=force, inputs=[str(model), file])

    cost = Cost(instance, region, country)

    from udt.model import load_model
    from udt.table import read_blocks

    loaded = load_model(model)
    tables = read_blocks(file)
    first, n_rows = next(tables), 0  # what cannot be read at all leaves no header behind
    with open_output(output) as sink:
        sink.write(_csv([_header(loaded, top_k, proba)]))
        for table in chain([first], tables):
            for rows in _rows(loaded, table, top_k, proba, min_confidence):
                sink.write(_csv(rows))
            n_rows += table.n_rows
    cost.tell(n_rows)


def _header(model: Model, top_k: int | None, proba: bool) -> list[str]:
    header = ["prediction"]
    if proba:
        header += [f"proba_{label}" for label in model.classes.tolist()]
    for i in range(1, min(top_k or 0, len(model.classes)) + 1):
        header += [f"prediction_{i}", f"proba_{i}"]
    return header


def _rows(
    model: Model, table: Table, top_k: int | None, proba: bool, least: float | None
) -> Iterator[list[list[str]]]:
    """Yield the cells of one chunk of rows after another."""
    n_classes = len(model.classes)
    k = min(top_k or 0, n_classes)
    step = max(1, min(_CHUNK_ROWS, _CHUNK_CELLS // n_classes)) if proba else _CHUNK_ROWS
    for start in range(0, table.n_rows, step):
        chunk = table.slice(start, start + step)
        if proba:
            probas = model.predict_proba(chunk)
            yield _with_probas(_texts(model, model.decide(probas, least)), probas)
        elif k:
            labels, probas = model.predict_top_k(chunk, k=k)
            cells = labels[:, 0]
            if least is not None or not model.predicts_most_probable:
                cells = model.predict(chunk, least)
            yield _with_pairs(_texts(model, cells), labels.tolist(), probas.tolist())
        else:
            yield _texts(model, model.predict(chunk, least))


def _texts(model: Model, labels: Any) -> list[list[str]]:
    """Return a row of CSV for each prediction; an empty cell where there is none."""
    return [
        ["" if label is None or label != label else model.label_form.write(label)]
        for label in labels.tolist()
    ]


def _with_pairs(
    rows: list[list[str]], labels: list[list[Any]], probas: list[list[float]]
) -> list[list[str]]:
    """Append to each row its likeliest labels, each before its probability."""
    for row, names, values in zip(rows, labels, probas, strict=True):
        for name, value in zip(names, values, strict=True):
            row += [str(name), _number(value)]
    return rows


def _with_probas(rows: list[list[str]], probas: Any) -> list[list[str]]:
    pairs = zip(rows, probas.tolist(), strict=True)
    return [row + [_number(value) for value in values] for row, values in pairs]


def _number(value: float) -> str:
    return f"{value:.6g}"  # float32 holds seven digits, and the last is noise


def _csv(rows: list[list[str]]) -> bytes:
    """Return rows as CSV in UTF-8, quoted as RFC 4180 says, with the line ends of Unix."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
