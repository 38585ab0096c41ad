"""A trained model: predicts, is measured, is kept. `UDT` is the scikit-learn estimator around it.

Apart from the estimator, because importing scikit-learn takes longer than predicting a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udt import __version__, inputs, labels, params
from udt.account import evaluation
from udt.errors import ModelFileError, SettingsError, did_you_mean
from udt.explain import explain
from udt.explanation import Explanation
from udt.featurizers.schema import Schema
from udt.heads import label_sets
from udt.hub import fetch, is_hub_name
from udt.label_forms import LabelForm
from udt.metrics import exact_matches
from udt.model_file import ModelContent, content_sha256, read_model, write_model
from udt.predictor import F32, Predictor
from udt.recall import Recall
from udt.report import RunReport
from udt.table import BadRows, Table

_N_NAMED = 12  # classes that an error names


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model.

    Attributes
    ----------
    given : dict
        The estimator's parameters, JSON-able.
    seed : int
        What everything was drawn from.
    target : str
        What the labels are called.
    classes : ndarray, shape (n_classes,)
        Sorted labels, as the user wrote them.
    label_form : LabelForm
        How the user writes the labels of a row.
    schema : Schema
        The columns' kinds.
    has_names : bool
        Whether it was trained on columns with names, not on an array.
    predictor : Predictor
        From tables to probabilities.
    report : RunReport
        The account of its training.
    interrupted : bool
        Whether Ctrl-C ended the training early.
    recall : Recall or None
        What it keeps to go on learning; None = it cannot.
    """

    given: Mapping[str, Any]
    seed: int
    target: str
    classes: npt.NDArray[Any]
    label_form: LabelForm
    schema: Schema
    has_names: bool
    predictor: Predictor
    report: RunReport
    interrupted: bool
    recall: Recall | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that it was trained on."""
        return tuple(c.name for c in self.schema.columns)

    @property
    def predicts_most_probable(self) -> bool:
        """Whether the most probable label is the one label that is predicted."""
        return not self.label_form.is_multi_label and not len(self.predictor.head.factors)

    @property
    def n_threads(self) -> int:
        """CPU threads to predict with."""
        return params.usable_threads(self.given["n_threads"])

    @property
    def _bad_rows(self) -> BadRows:
        return params.check_bad_rows(self.given["bad_rows"])

    # -- using ---------------------------------------------------------------------------------

    def predict(self, X: Any, min_confidence: float | None = None) -> npt.NDArray[Any]:
        """Return the label of each row, or its labels; see `UDT.predict`."""
        least, table = params.check_confidence(min_confidence), self._read(X)
        if least is None:
            sets = self.predictor.label_sets(table, self.n_threads)
            return labels.decode(sets, self.classes, self.label_form)
        sets, confidence = self.predictor.sure_label_sets(table, self.n_threads)
        found = labels.decode(sets, self.classes, self.label_form)
        return labels.leave_out(found, confidence < least)

    def decide(self, probas: F32, min_confidence: float | None = None) -> npt.NDArray[Any]:
        """Return the labels that `predict` gives to rows of these probabilities."""
        head, least = self.predictor.head, params.check_confidence(min_confidence)
        sets = label_sets(probas, head.thresholds, head.factors)
        found = labels.decode(sets, self.classes, self.label_form)
        if least is None:
            return found
        first = sets.ids[sets.indptr[:-1]]
        return labels.leave_out(found, probas[np.arange(len(probas)), first] < least)

    def explain(self, X: Any, label: Any = None) -> Explanation:
        """Return why one row gets its prediction; see `UDT.explain`."""
        table, only = self._read(X), None
        if label is not None:
            names = [str(known) for known in self.classes]
            if str(label) not in names:
                shown = ", ".join(names[:_N_NAMED]) + (", …" if len(names) > _N_NAMED else "")
                raise SettingsError(
                    f"The 'label' parameter of explain must be one of the classes: {shown}. "
                    f"Got {label!r} instead.{did_you_mean(str(label), names)}"
                )
            only = names.index(str(label))
        return explain(self.predictor, table, self.classes, self.label_form, only)

    def predict_proba(self, X: Any) -> F32:
        """Return class probabilities; see `UDT.predict_proba`."""
        return self.predictor.probas(self._read(X), self.n_threads)

    def predict_top_k(self, X: Any, k: int) -> tuple[npt.NDArray[Any], F32]:
        """Return the most probable labels and their probabilities; see `UDT.predict_top_k`."""
        table, n_classes = self._read(X), len(self.classes)
        if not params.is_int(k) or not 1 <= k <= n_classes:
            raise SettingsError(
                f"The 'k' parameter of predict_top_k must be from 1 to {n_classes}, the "
                f"number of classes. Got {k!r} instead."
            )
        ids, probas = self.predictor.top_k(table, int(k), self.n_threads)
        return self.classes[ids], probas

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy on rows with labels; see `UDT.score`."""
        table, column = self._read_measured(X, y)
        truth = labels.to_targets(column, self.classes)
        hits = exact_matches(truth, self.predictor.label_sets(table, self.n_threads))
        labelled = truth.counts > 0
        weights = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(np.average(hits[labelled], weights=weights))

    def evaluate(self, X: Any, y: Any = None) -> dict[str, Any]:
        """Return all that is told of predictions for rows with labels; see `UDT.evaluate`."""
        table, column = self._read_measured(X, y)
        truth = labels.to_targets(column, self.classes)
        labelled = np.flatnonzero(truth.counts)
        if len(labelled) < table.n_rows:
            table, truth = table.take(labelled), truth.take(labelled)
        predicted = self.predictor.predicted(table, truth, self.n_threads)
        names = [str(label) for label in self.classes]
        told = evaluation(truth, predicted, names, is_multi_label=self.label_form.is_multi_label)
        return {"model": "model", "source": table.source, **told}

    def _read(self, X: Any) -> Table:
        return inputs.read_rows(X, self.schema, self._bad_rows, has_names=self.has_names)

    def _read_measured(self, X: Any, y: Any) -> tuple[Table, pa.Array]:
        return inputs.read_measured(
            X, y, self.target, self.schema, self._bad_rows, self.label_form, self.has_names
        )

    # -- keeping -------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write the model to one file; return its size in bytes; see `UDT.save`."""
        size = write_model(path, self._content(), overwrite=overwrite)
        self.report.size["model_bytes"] = size
        return size

    def content_sha256(self) -> str:
        """Return the SHA-256 of the model without the account of its run."""
        return content_sha256(self._content())

    def _content(self) -> ModelContent:
        """Return what a model file holds."""
        meta, arrays = self.predictor.state()
        header = {
            "params": dict(self.given),
            "seed": self.seed,
            "target": self.target,
            "classes": self.classes.tolist(),
            "classes_dtype": self.classes.dtype.str,
            "label_form": self.label_form._asdict(),
            "has_names": self.has_names,
            "schema": self.schema.to_list(),
            **meta,
        }
        if self.recall is not None:
            header["recall"], kept = self.recall.state()
            arrays |= {f"recall.{name}": array for name, array in kept.items()}
        run = {"report": self.report.to_state(), "interrupted": self.interrupted}
        return ModelContent(header, arrays, run)

    @classmethod
    def _from_content(cls, content: ModelContent) -> Model:
        """Rebuild from `_content`'s result."""
        header, run = content.header, content.run
        given, arrays, kept = header["params"], dict(content.arrays), dict[str, Any]()
        for name in [name for name in arrays if name.startswith("recall.")]:
            kept[name.removeprefix("recall.")] = arrays.pop(name)
        return cls(
            given={name: given.get(name) for name in params.NAMES},
            seed=header["seed"],
            target=header["target"],
            classes=np.array(header["classes"], dtype=header["classes_dtype"]),
            label_form=LabelForm(**header["label_form"]),
            schema=Schema.from_list(header["schema"]),
            has_names=header["has_names"],
            predictor=Predictor.from_state(header, arrays),
            report=RunReport.from_dict(run["report"]),
            interrupted=run["interrupted"],
            recall=Recall.from_state(header["recall"], kept) if "recall" in header else None,
        )


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model that `Model.save` wrote.

    Parameters
    ----------
    path : path-like
        The file, or ``"hf:owner/name"`` for a model on the Hugging Face hub.

    Raises
    ------
    ModelFileError
        The file is missing or holds what this udt does not understand.
    NotAModel, NewerVersion, CorruptModel
        It is something else, of a newer udt, or damaged.
    """
    if is_hub_name(path):
        path = fetch(os.fspath(path))
    content = read_model(path)
    try:
        model = Model._from_content(content)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{os.fspath(path)} has parts that this udt ({__version__}) does not understand: "
            f"{error!r}. Train the model again, or use the udt that wrote it."
        ) from error
    model.report.size["model_bytes"] = os.path.getsize(path)
    return model
