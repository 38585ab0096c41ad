"""Answers in JSON: predictions with their probabilities, and explanations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.errors import DataError, SettingsError, did_you_mean
from udt.heads import top_k
from udt.model import Model
from udt.serving.batches import Job
from udt.serving.rows import Cells, InvalidRows, RowReader

ALL_CLASSES = 20
"""So many classes or fewer: a prediction tells the probability of each unless asked otherwise."""

DEFAULT_TOP_K = 10
"""Classes that a prediction tells of otherwise."""

MAX_TOP_K = 100
"""The most that can be asked for."""

_DENSE_CLASSES = 1_000  # from here on, probabilities of all classes are not even looked at
_SHOWN_CHARS, _SHOWN_LABELS = 40, 10
_PROBE = "a short text to begin with"


class Answerer:
    """Answers batches of requests with one model.

    Parameters
    ----------
    model : Model
        The model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.reader = RowReader(model.schema)
        self._names = [str(label) for label in model.classes]
        self._keys = [json.dumps(name, ensure_ascii=False) for name in self._names]
        n_classes = len(model.classes)
        self.default_top_k = n_classes if n_classes <= ALL_CLASSES else DEFAULT_TOP_K
        self.max_top_k = min(n_classes, MAX_TOP_K)

    def warm_up(self) -> None:
        """Answer once, so that whatever is compiled or loaded late is there before the first."""
        row = {c.name: _PROBE if c.kind == "text" else None for c in self.model.schema.used()}
        table = self.reader.table(self.reader.cells([row]))
        self._predictions(table, [(1, self.default_top_k)])

    # -- predictions ---------------------------------------------------------------------------

    def predict(self, jobs: Sequence[Job]) -> list[Any]:
        """Return, for each job, the JSON of its predictions, or why there is none.

        A job's ``wish`` is the number of classes to tell the probabilities of, or None.
        """
        answers: list[Any] = [None] * len(jobs)
        merged: Cells = []
        asked: list[tuple[int, int]] = []  # rows and classes of each job that can be answered
        for i, job in enumerate(jobs):
            try:
                cells = self.reader.cells(job.rows)
            except InvalidRows as error:
                answers[i] = error
                continue
            asked.append((len(job.rows), min(job.wish or self.default_top_k, self.max_top_k)))
            if merged:
                for column, more in zip(merged, cells, strict=True):
                    column += more
            else:
                merged = cells
        if asked:
            found = iter(self._predictions(self.reader.table(merged), asked))
            answers = [next(found) if answer is None else answer for answer in answers]
        return answers

    def _predictions(self, table: Any, asked: Sequence[tuple[int, int]]) -> list[str]:
        """Return the predictions' JSON of consecutive rows, for each (rows, classes)."""
        model, k = self.model, max(k for _, k in asked)
        if len(model.classes) <= _DENSE_CLASSES:
            probas = model.predict_proba(table)
            ids, p = top_k(probas, k)
            labels = model.decide(probas)
        else:
            labels = model.predict(table)
            ids, p = self._top_ids(table, k)
        texts = self._label_texts(labels)
        answers, first = [], 0
        for n_rows, n_shown in asked:
            rows = slice(first, first + n_rows)
            shown = zip(
                texts[rows], ids[rows, :n_shown].tolist(), p[rows, :n_shown].tolist(), strict=True
            )
            answers.append(",".join(self._row_json(*row) for row in shown))
            first += n_rows
        return answers

    def _top_ids(self, table: Any, k: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        ids, p = self.model.predictor.top_k(table, k, self.model.n_threads)
        return ids, p

    def _label_texts(self, labels: npt.NDArray[Any]) -> list[str]:
        """Return each row's label in JSON; a list where a row may have several."""
        form = self.model.label_form
        cells = labels.tolist()
        if form.is_multi_label and not form.is_list:
            cells = [cell.split(form.separator) for cell in cells]
        return [json.dumps(cell, ensure_ascii=False) for cell in cells]

    def _row_json(self, label: str, ids: Sequence[int], p: Sequence[float]) -> str:
        """Return one prediction; probabilities with the six digits that float32 can tell."""
        keys = self._keys
        proba = ",".join([f"{keys[i]}:{value:.6g}" for i, value in zip(ids, p, strict=True)])
        return f'{{"label":{label},"proba":{{{proba}}}}}'

    # -- explanations --------------------------------------------------------------------------

    def explain(self, jobs: Sequence[Job]) -> list[Any]:
        """Return, for each job, the JSON of its explanations, or why there is none.

        A job's ``wish`` is the label to explain, or None for the predicted one.
        """
        return [self._explanations(job) for job in jobs]

    def _explanations(self, job: Job) -> Any:
        explain = self.model.explain
        try:
            self._check_label(job.wish)
            table = self.reader.table(self.reader.cells(job.rows))
            told = [explain(table.slice(i, i + 1), job.wish) for i in range(table.n_rows)]
        except (DataError, SettingsError) as error:
            return error
        return ",".join(json.dumps(one.to_dict(), ensure_ascii=False) for one in told)

    def _check_label(self, label: Any) -> None:
        """Raise unless a label to explain is a class, or None."""
        if label is None or (isinstance(label, str | int | float) and str(label) in self._names):
            return
        shown = str(label)[:_SHOWN_CHARS]
        some = ", ".join(self._names[:_SHOWN_LABELS])
        more = ", …" if len(self._names) > _SHOWN_LABELS else ""
        message = (
            f"'label' is {shown!r}. Expected one of the classes, or null: {some}{more}."
            f"{did_you_mean(shown, self._names)}"
        )
        raise InvalidRows([{"loc": ["body", "label"], "msg": message, "type": "label_unknown"}])
