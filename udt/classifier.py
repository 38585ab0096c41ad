"""UDT, the scikit-learn estimator: learns, predicts, explains itself, is kept; computes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from udt import __version__, inputs, labels, params
from udt.account import evaluation
from udt.errors import ModelFileError, SettingsError
from udt.featurizers.schema import Schema
from udt.inspection import inspect
from udt.model_file import ModelContent, content_sha256, read_model, write_model
from udt.predictor import Predictor
from udt.report import RunReport
from udt.run import OnProgress, Run, run
from udt.table import BadRows, Table

__all__ = ["UDT", "inspect", "load"]


class UDT(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classify rows of text and other columns; every choice is made for you.

    A table is a path (CSV, TSV, JSON, JSONL, Parquet, Arrow; compressed or not), a DataFrame, a
    ``datasets.Dataset``, a dict of columns, a list of dicts, a list or Series of texts, or a 2-D
    array. All parameters are decided for you where they are None.

    Parameters
    ----------
    target : str, optional
        Name of the column to predict; not needed with ``fit(X, y)``.
    time_limit : float or str, optional
        At most so long: seconds, or ``"90s"``, ``"5m"``, ``"1h"``.
    width : int, optional
        Hidden neurons of the deep path; 0 = no deep path.
    text, categorical, numeric, date, ignore : str or list of str, optional
        Columns whose kind you set.
    multi : dict of str to str, optional
        Multi-value columns and their separators; or names, where the separator is to be found.
    bad_rows : {"refuse", "skip"}
        What to do with malformed rows of a file.
    instance, region, country : str, optional
        What the run is charged as and where: EC2 type, AWS region, country.
    random_state : int, RandomState or None
        With a seed the result is a function of the data and the seed alone, and training runs
        on one thread; without one, training is Hogwild on all threads and not reproducible.
    n_threads : int, optional
        CPU threads; all that may be used by default.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Sorted labels, as the user wrote them.
    target_ : str
        What the labels are called.
    schema_ : Schema
        Columns with their kinds and reasons.
    leaderboard_ : list of dict
        Trials of the race, best first.
    report_ : RunReport
        Accuracy, wall time, energy and CO2e of the run, with its sources.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Their names, unless an array was passed.
    interrupted_ : bool
        Whether Ctrl-C ended the run early.

    Examples
    --------
    >>> from udt import UDT
    >>> texts = ["good value", "very good", "bad value", "very bad"] * 10
    >>> model = UDT(random_state=0).fit(texts, ["pos", "pos", "neg", "neg"] * 10)
    >>> model.predict(["good", "bad"]).tolist()
    ['pos', 'neg']
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        time_limit: float | str | None = None,
        width: int | None = None,
        text: Any = None,
        categorical: Any = None,
        numeric: Any = None,
        date: Any = None,
        multi: Mapping[str, str] | None = None,
        ignore: Any = None,
        bad_rows: BadRows = "refuse",
        instance: str | None = None,
        region: str | None = None,
        country: str | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.target = target
        self.time_limit = time_limit
        self.width = width
        self.text = text
        self.categorical = categorical
        self.numeric = numeric
        self.date = date
        self.multi = multi
        self.ignore = ignore
        self.bad_rows = bad_rows
        self.instance = instance
        self.region = region
        self.country = country
        self.random_state = random_state
        self.n_threads = n_threads

    # -- learning ------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        valid: Any = None,
        test: Any = None,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Learn from a table.

        If anything is raised, the estimator stays as it was.

        Parameters
        ----------
        X : table
            Rows; with the target column unless y is given.
        y : array-like, shape (n_rows,), optional
            Labels of X's rows. Rows without one (None, NaN) are left out, and the report says so.
        valid : table, optional
            Rows with the target column to make choices on, in place of held-out rows of X.
        test : table, optional
            Rows with the target column to measure the finished model on, for the report.
        on_progress : callable, optional
            Called with a stage, the share of it that is done (or None) and a note. Whoever
            follows a run is charged the process's time so far as its start.

        Returns
        -------
        UDT
            Itself.

        Raises
        ------
        TargetNotFound
            The table has no target column.
        OneClassOnly
            All labels are the same.
        EmptyTable
            No label, or no column that can be learned from.
        DataError
            The table cannot be learned from for another reason.
        SettingsError
            A parameter's value cannot be used.
        DivergedError
            Training lost its numbers and could not recover.
        """
        given = params.check_params(self.get_params(deep=False))
        done = run(given, X, y, valid=valid, test=test, tell=on_progress)
        self._keep(done)
        self._seed, self._n_threads = given.seed, given.n_threads
        return self

    def _keep(self, done: Run) -> None:
        """Take over what a run has left."""
        self.target_ = done.read.rows.target
        self.classes_ = done.read.classes
        self.schema_ = done.schema
        self._set_names(done.read.rows.table.names, has_names=not done.read.rows.is_array)
        self.leaderboard_ = done.learned.leaderboard()
        self.interrupted_ = done.learned.interrupted
        self.report_ = done.report
        self._predictor = done.predictor

    def _set_names(self, names: Sequence[str], *, has_names: bool) -> None:
        self.n_features_in_ = len(names)
        if has_names:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_  # of a former fit

    # -- using ---------------------------------------------------------------------------------

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : table, str or dict
            Rows, or a single text or row. Columns that the model knows and X lacks are warned of
            and count as missing; others are ignored. Bare texts stand for the model's text
            column.

        Returns
        -------
        ndarray, shape (n_rows,)
            Labels as they were in training.

        Raises
        ------
        NotFittedError
            The model is not trained.
        DataError
            None of the model's columns is there, or X cannot be read.
        """
        table = self._read(X)
        return np.asarray(self.classes_[self._predictor.classes(table, self._n_threads)])

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Return class probabilities.

        Parameters
        ----------
        X : table, str or dict
            As in `predict`.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_classes)
            In the order of `classes_`.

        Raises
        ------
        NotFittedError, DataError
            As in `predict`.
        """
        table = self._read(X)
        return self._predictor.probas(table, self._n_threads)

    def predict_top_k(self, X: Any, k: int = 3) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Return the k most probable labels of each row, and their probabilities.

        Parameters
        ----------
        X : table, str or dict
            As in `predict`.
        k : int
            From 1 to the number of classes.

        Returns
        -------
        labels : ndarray, shape (n_rows, k)
            Most probable first.
        probas : ndarray of float32, shape (n_rows, k)
            Their probabilities.

        Raises
        ------
        SettingsError
            k is out of its range.
        NotFittedError, DataError
            As in `predict`.
        """
        table = self._read(X)
        n_classes = len(self.classes_)
        if not params.is_int(k) or not 1 <= k <= n_classes:
            raise SettingsError(
                f"The 'k' parameter of predict_top_k must be from 1 to {n_classes}, the "
                f"number of classes. Got {k!r} instead."
            )
        probas = self._predictor.probas(table, self._n_threads)
        best = np.argsort(-probas, axis=1, kind="stable")[:, :k]
        return self.classes_[best], np.take_along_axis(probas, best, axis=1)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy on rows with labels, in X's target column or in y.

        Labels may be written in another type than in training: ``"1"`` is 1.

        Parameters
        ----------
        X : table
            Rows.
        y : array-like, shape (n_rows,), optional
            Their labels.
        sample_weight : array-like, shape (n_rows,), optional
            Weights of the rows.

        Raises
        ------
        NotFittedError, DataError
            As in `evaluate`.
        """
        table, column = self._read_measured(X, y)
        hits = self._predictor.classes(table, self._n_threads) == labels.encode(
            column, self.classes_
        )
        labelled = np.asarray(column.is_valid())
        weights = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(np.average(hits[labelled], weights=weights))

    def evaluate(self, X: Any, y: Any = None) -> dict[str, Any]:
        """Measure the model on rows with labels.

        Parameters
        ----------
        X : table
            Rows; with the target column unless y is given. Rows without a label do not count.
        y : array-like, shape (n_rows,), optional
            Labels of X's rows.

        Returns
        -------
        dict
            ``metrics``; ``labels``, as text; ``per_class``; ``n_unknown``, rows whose label was
            not seen in training; ``confusion`` (row = truth), or with very many classes
            ``confused``, the most frequent mistakes; ``source``.

        Raises
        ------
        NotFittedError
            The model is not trained.
        TargetNotFound
            X has no target column.
        DataError
            X cannot be read, or has no label.
        """
        table, column = self._read_measured(X, y)
        labelled = np.flatnonzero(np.asarray(column.is_valid()))
        truth = labels.encode(column, self.classes_)[labelled]
        probas = self._predictor.probas(table, self._n_threads)[labelled]
        names = [str(label) for label in self.classes_]
        return {"model": "model", "source": table.source, **evaluation(truth, probas, names)}

    def _read(self, X: Any) -> Table:
        """Return rows to predict."""
        self._check_fitted()
        return inputs.read_rows(X, self.schema_, self.bad_rows, has_names=self._has_names())

    def _read_measured(self, X: Any, y: Any) -> tuple[Table, pa.Array]:
        """Return rows and their labels, not all of which are null."""
        self._check_fitted()
        return inputs.read_measured(
            X, y, self.target_, self.schema_, self.bad_rows, has_names=self._has_names()
        )

    def _check_fitted(self) -> None:
        check_is_fitted(self, "_predictor")

    def _has_names(self) -> bool:
        return hasattr(self, "feature_names_in_")

    # -- keeping -------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write the model to one file; return its size in bytes.

        Parameters
        ----------
        path : path-like
            Where to.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        NotFittedError
            The model is not trained.
        SettingsError
            The file exists and overwrite is False, or its folder does not exist.
        ModelWriteError
            The file cannot be written.
        """
        self._check_fitted()
        size = write_model(path, self._content(), overwrite=overwrite)
        self.report_.size["model_bytes"] = size
        return size

    def _content(self) -> ModelContent:
        """Return what a model file holds."""
        meta, arrays = self._predictor.state()
        header = {
            "params": params.to_json(self.get_params(deep=False), self._seed),
            "seed": self._seed,
            "target": self.target_,
            "classes": self.classes_.tolist(),
            "classes_dtype": self.classes_.dtype.str,
            "feature_names": self.feature_names_in_.tolist() if self._has_names() else None,
            "n_features_in": self.n_features_in_,
            "schema": self.schema_.to_list(),
            **meta,
        }
        run_block = {"report": self.report_.to_dict(), "interrupted": self.interrupted_}
        return ModelContent(header, arrays, run_block)

    @property
    def content_sha256_(self) -> str:
        """SHA-256 of the model without the account of its run."""
        self._check_fitted()
        return content_sha256(self._content())

    @classmethod
    def _from_content(cls, content: ModelContent) -> Self:
        """Rebuild from `_content`'s result."""
        header = content.header
        model = cls(**header["params"])
        model.target_ = header["target"]
        model.classes_ = np.array(header["classes"], dtype=header["classes_dtype"])
        model.schema_ = Schema.from_list(header["schema"])
        names = header["feature_names"]
        model._set_names(
            names or [c.name for c in model.schema_.columns], has_names=names is not None
        )
        model._predictor = Predictor.from_state(header, content.arrays)
        model.report_ = RunReport.from_dict(content.run["report"])
        model.leaderboard_ = model.report_.search["leaderboard"]
        model.interrupted_ = content.run["interrupted"]
        model._seed, model._n_threads = header["seed"], params.usable_threads(model.n_threads)
        return model

    def __sklearn_tags__(self) -> Any:
        """Say to scikit-learn what is accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        tags.non_deterministic = self.random_state is None
        return tags


def load(path: str | os.PathLike[str]) -> UDT:
    """Read a model that `UDT.save` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    UDT
        Predicts exactly as the saved one did.

    Raises
    ------
    ModelFileError
        The file is missing or holds what this udt does not understand.
    NotAModel, NewerVersion, CorruptModel
        It is something else, of a newer udt, or damaged.
    """
    content = read_model(path)
    try:
        model = UDT._from_content(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{os.fspath(path)} has parts that this udt ({__version__}) does not understand: "
            f"{error!r}. Train the model again, or use the udt that wrote it."
        ) from error
    model.report_.size["model_bytes"] = os.path.getsize(path)
    return model
