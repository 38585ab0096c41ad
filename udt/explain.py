"""Why a model predicts what it predicts: from a row to an `Explanation`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt import labels
from udt.csr import CSR
from udt.engine.attribution import Attribution
from udt.errors import DataError
from udt.explain_trees import ColumnParts, of_trees
from udt.explanation import ClassExplanation, ColumnWeight, Explanation, NgramWeight, SpanWeight
from udt.featurizers.cells import as_strings
from udt.featurizers.rows import cells_of
from udt.featurizers.spans import Spans, locate
from udt.featurizers.text import TextEncoder, as_texts
from udt.featurizers.tokens import WORD_3
from udt.label_forms import LabelForm
from udt.predictor import Predictor
from udt.table import Table

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

N_CLASSES = 5
"""Most probable classes that are explained unless one is asked for."""

_N_NGRAMS = 20


class TextParts(NamedTuple):
    """What a text's n-grams add.

    Attributes
    ----------
    column, cell : str
        Where it stands, and the text.
    spans : Spans
        Where its n-grams lie.
    features : ndarray of int32, shape (n,)
        The known ones among them, ascending ids of the column's encoder.
    adds : ndarray of float64, shape (n_asked, n)
        What each of these adds.
    """

    column: str
    cell: str
    spans: Spans
    features: I32
    adds: F64


class RowParts(NamedTuple):
    """What a row's features add to logits, and where they come from.

    Attributes
    ----------
    attribution : Attribution
        Logits, bias and what each feature adds.
    texts : list of TextParts
        Of each text column.
    columns : list of ColumnParts
        Of each other column: name, cell, and what it adds, shape (n_asked,).
    """

    attribution: Attribution
    texts: list[TextParts]
    columns: list[ColumnParts]


def explain(
    predictor: Predictor,
    table: Table,
    classes: npt.NDArray[Any],
    form: LabelForm,
    only: int | None = None,
) -> Explanation:
    """Return why one row gets its prediction.

    Parameters
    ----------
    predictor : Predictor
        The model.
    table : Table
        One row.
    classes : ndarray, shape (n_classes,)
        Labels.
    form : LabelForm
        How the user writes them.
    only : int or None
        Class to explain; None = the predicted and the most probable ones.

    Raises
    ------
    DataError
        There is not exactly one row.
    """
    if table.n_rows != 1:
        raise DataError(
            f"{table.source} has {table.n_rows:,} rows to explain. Expected one: a text, a dict of "
            "columns, or a table of one row."
        )
    row = predictor.encoder.transform(table)
    chosen, sure = predictor.sure_label_sets(table)
    ids, p = predictor.top_k(table, min(len(classes), max(N_CLASSES, len(chosen.ids))))
    probability = dict(zip(ids[0].tolist(), p[0].tolist(), strict=True))
    probability |= dict(zip(chosen.ids.tolist()[:1], sure.tolist(), strict=True))
    asked = sorted(probability, key=lambda c: -probability[c]) if only is None else [only]
    parts = take_apart(predictor, table, row, np.array(asked, np.int32))
    return Explanation(
        prediction=labels.decode(chosen, classes, form)[0],
        probability=float(sure[0]),
        classes=[
            _explain_class(parts, i, classes[c], probability.get(c)) for i, c in enumerate(asked)
        ],
        texts={name: cell for name, cell, *_ in parts.texts},
    )


def take_apart(predictor: Predictor, table: Table, row: CSR, asked: I32) -> RowParts:
    """Return what the features of one row add to the logits of some classes, column by column."""
    stack, asked_of = predictor.stack, predictor.head.attribute
    trees = None if stack is None else of_trees(stack, table)
    attribution = asked_of(row, asked, trees.pool(stack) if trees and stack else None)
    order = np.argsort(row.indices)
    ids, adds = row.indices[order], attribution.features[:, order]
    texts: list[TextParts] = []
    columns: list[ColumnParts] = []
    first = 0
    for column, encoder in predictor.encoder.columns:
        own = slice(*np.searchsorted(ids, [first, first + encoder.n_features]))
        cell = cells_of(table, column.name)
        if isinstance(encoder, TextEncoder):
            text = _read_text(cell)
            spans = locate(encoder, cell)
            texts.append(TextParts(column.name, text, spans, ids[own] - first, adds[:, own]))
        else:
            columns.append((column.name, as_strings(cell).to_pylist()[0], adds[:, own].sum(axis=1)))
        first += encoder.n_features
    if trees is not None:
        columns = trees.add_to(columns, attribution.trees)
    return RowParts(attribution, texts, columns)


def _read_text(cell: pa.Array) -> str:
    """Return a text as it is encoded: whole characters of what is read of it."""
    texts = as_texts(cell)
    return bytes(texts.data[texts.offsets[0] : texts.offsets[1]]).decode("utf-8", "replace")


def share_out(text: TextParts) -> tuple[F64, npt.NDArray[np.bool_]]:
    """Return what each word adds, shape (n_asked, n_words), and which words are known at all.

    What an n-gram adds is shared out equally over the places where it occurs, and there over the
    words that it covers; a part of a word counts for the word.
    """
    spans = text.spans
    at = np.searchsorted(text.features, spans.features)
    length = spans.last - spans.first
    shares = text.adds[:, at] / (np.bincount(at, minlength=1)[at] * length)
    words = np.zeros((len(text.adds) + 1, len(spans.words) + 1))
    np.add.at(words.T, spans.first, np.vstack([shares, np.ones(len(at))]).T)
    np.subtract.at(words.T, spans.last, np.vstack([shares, np.ones(len(at))]).T)
    sums = np.cumsum(words, axis=1)[:, :-1]
    return sums[:-1], sums[-1] > 0


def _explain_class(
    parts: RowParts, i: int, label: Any, probability: float | None
) -> ClassExplanation:
    logit = float(parts.attribution.logits[i])
    spans: list[SpanWeight] = []
    ngrams: list[NgramWeight] = []
    for text in parts.texts:
        weights, known = share_out(text._replace(adds=text.adds[i : i + 1]))
        where = text.spans.words[known].tolist()
        spans += [
            SpanWeight(text.column, start, end, text.cell[start:end], weight)
            for (start, end), weight in zip(where, weights[0, known].tolist(), strict=True)
        ]
        ngrams += ngrams_of(text, i, _N_NGRAMS)
    return ClassExplanation(
        label=label,
        probability=float(1 / (1 + np.exp(-logit))) if probability is None else probability,
        logit=logit,
        bias=float(parts.attribution.bias[i]),
        spans=spans,
        columns=[ColumnWeight(name, cell, float(adds[i])) for name, cell, adds in parts.columns],
        ngrams=sorted(ngrams, key=lambda n: -abs(n.weight))[:_N_NGRAMS],
    )


def ngrams_of(text: TextParts, i: int, n: int) -> list[NgramWeight]:
    """Return a text's n n-grams of most weight for class i of those asked for, or against it."""
    spans = text.spans
    which, firsts = np.unique(spans.features, return_index=True)
    weights = text.adds[i, np.searchsorted(text.features, which)]
    strongest = np.argsort(-np.abs(weights), kind="stable")[:n]
    return [
        NgramWeight(text.column, *_name_ngram(text, int(firsts[k])), float(weights[k]))
        for k in strongest.tolist()
    ]


def _name_ngram(text: TextParts, k: int) -> tuple[str, str]:
    """Return an n-gram as it is written, and its kind."""
    spans, size = text.spans, int(text.spans.kinds[k]) + 1
    words = text.cell[int(spans.starts[k]) : int(spans.ends[k])]
    if size > WORD_3 + 1:
        return words, "characters"
    if spans.last[k] - spans.first[k] < size:  # a token stands for each end of the text
        words = f"[start] {words}" if spans.first[k] == 0 else f"{words} [end]"
    return words, "phrase" if size > 1 else "word"
