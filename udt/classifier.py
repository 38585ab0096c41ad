"""UDT, the scikit-learn estimator around a training run and the model that it leaves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from udt.explanation import Explanation
from udt.inspection import inspect
from udt.model import Model, load_model
from udt.params import UPDATE_NAMES
from udt.run import OnProgress, train, update
from udt.table import BadRows

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
    preset : {"fast", "balanced", "best"}, optional
        How much is tried before the winner is trained; None = balanced.
    time_limit : float or str, optional
        At most so long: seconds, or ``"90s"``, ``"5m"``, ``"1h"``.
    max_memory, max_model_size : int or str, optional
        Most memory of the process, and size of the model file: bytes, or ``"4G"``, ``"5MB"``.
    max_co2 : float or str, optional
        Most CO2e of the run by its own estimate: grams, or ``"500mg"``, ``"0.5g"``.
    sparsity : float or "auto", optional
        Fraction of the hidden neurons to compute for a row: 0.2 = a fifth of them, 1.0 = dense.
    width : int, optional
        Hidden neurons of the deep path; 0 = no deep path.
    selector : {"dense", "votes", "lsh", "router", "random"}, optional
        How the neurons to compute are chosen.
    text, categorical, numeric, date, ignore : str or list of str, optional
        Columns whose kind you set.
    multi : dict of str to str, optional
        Multi-value columns and their separators; or names, where the separator is to be found.
    multi_label : str or False, optional
        What separates the labels of a row that may have several, e.g. ``";"``; False = each row
        has one label, whatever is in it. None = found in the target column. Labels that are lists
        need no separator.
    class_weight : "balanced" or dict, optional
        What the rows of a class count in learning, in the choices of the race and in calibration:
        ``"balanced"`` = as much in all as those of any other class; or weights by label, where
        others count 1.
    weight : str, optional
        Column that says what each row counts, from 0 up; it is no feature. Beside y, rows may
        have weights in `fit` instead.
    metric : {"accuracy", "macro_f1", "log_loss"}, optional
        What the race chooses by; the calibrated held-out loss by default, which is less noisy
        than what it stands for. With ``"macro_f1"``, labels are predicted as gives the highest
        on held-out rows: not always the most probable one; probabilities are not changed by it.
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
        preset: str | None = None,
        time_limit: float | str | None = None,
        max_memory: float | str | None = None,
        max_model_size: float | str | None = None,
        max_co2: float | str | None = None,
        sparsity: float | str | None = None,
        width: int | None = None,
        selector: str | None = None,
        text: Any = None,
        categorical: Any = None,
        numeric: Any = None,
        date: Any = None,
        multi: Mapping[str, str] | None = None,
        ignore: Any = None,
        multi_label: str | bool | None = None,
        class_weight: Any = None,
        weight: str | None = None,
        metric: str | None = None,
        bad_rows: BadRows = "refuse",
        instance: str | None = None,
        region: str | None = None,
        country: str | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.target = target
        self.preset = preset
        self.time_limit = time_limit
        self.max_memory = max_memory
        self.max_model_size = max_model_size
        self.max_co2 = max_co2
        self.sparsity = sparsity
        self.width = width
        self.selector = selector
        self.text = text
        self.categorical = categorical
        self.numeric = numeric
        self.date = date
        self.multi = multi
        self.ignore = ignore
        self.multi_label = multi_label
        self.class_weight = class_weight
        self.weight = weight
        self.metric = metric
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
        sample_weight: Any = None,
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
            Labels of X's rows, or a list of labels for each. Rows without one (None, NaN) are
            left out, and the report says so.
        sample_weight : array-like, shape (n_rows,), optional
            What each row counts, from 0 up.
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
        given = self.get_params(deep=False)
        return self._adopt(
            train(
                given, X, y, sample_weight=sample_weight, valid=valid, test=test,
                on_progress=on_progress,
            )
        )  # fmt: skip

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: Any = None,
        *,
        sample_weight: Any = None,
        test: Any = None,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Go on learning from more rows; the first time, as `fit`.

        New labels become classes; n-grams, categories and items that at least two of the new rows
        have become features. No old row is needed and none is kept, only counts of features by
        class (`docs/design/0008-increments.md` has what that says of rows). Kinds of columns and
        all other choices stay as they were. `report_` tells what was added and what it cost, and
        in ``carbon["lineage"]`` what all trainings did. If anything is raised, the estimator
        stays as it was.

        Parameters
        ----------
        X : table
            New rows; with the target column unless y is given.
        y : array-like, shape (n_rows,), optional
            Their labels.
        classes : array-like, optional
            As scikit-learn's `partial_fit` has it: not needed, a label becomes a class as soon as
            a row has it.
        sample_weight, test, on_progress
            As in `fit`.

        Returns
        -------
        UDT
            Itself.

        Raises
        ------
        SettingsError
            The model cannot be updated: it scores only likely ones of many classes, or computes a
            fixed share of its neurons, or keeps nothing of its training.
        DataError
            The rows cannot be learned from.
        DivergedError
            Training lost its numbers and could not recover.
        """
        more = {"sample_weight": sample_weight, "test": test, "on_progress": on_progress}
        if not hasattr(self, "_model"):
            return self.fit(X, y, **more)
        given = {name: self.get_params(deep=False)[name] for name in UPDATE_NAMES}
        return self._adopt(update(self._model, X, y, given=given, **more))

    def _adopt(self, model: Model) -> Self:
        """Take a model over and show what it knows under scikit-learn's names."""
        self._model = model
        self.target_, self.classes_, self.schema_ = model.target, model.classes, model.schema
        self.report_, self.interrupted_ = model.report, model.interrupted
        self.leaderboard_ = model.report.search["leaderboard"]
        self.n_features_in_ = len(model.names)
        if model.has_names:
            self.feature_names_in_ = np.array(model.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_  # of a former fit
        return self

    def _fitted(self) -> Model:
        """Return the model; raise NotFittedError if there is none."""
        check_is_fitted(self, "_model")
        return self._model

    # -- using ---------------------------------------------------------------------------------

    def predict(self, X: Any, *, min_confidence: float | None = None) -> npt.NDArray[Any]:
        """Return the label of each row, or its labels where a row may have several.

        Parameters
        ----------
        X : table, str or dict
            Rows, or a single text or row. Columns that the model knows and X lacks are warned of
            and count as missing; others are ignored. Bare texts stand for the model's text
            column.
        min_confidence : float, optional
            Where the predicted label (of several, the most probable one) is less probable than
            this, none is given: NaN if labels are fractions, else None, in an array of objects.

        Returns
        -------
        ndarray, shape (n_rows,)
            Labels as they were in training. Several labels, most probable first, stand in one
            text with the separator of the training table, or in a list if they were lists.

        Raises
        ------
        NotFittedError
            The model is not trained.
        DataError
            None of the model's columns is there, or X cannot be read.
        SettingsError
            min_confidence is no probability.
        """
        return self._fitted().predict(X, min_confidence)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Return class probabilities.

        Parameters
        ----------
        X : table, str or dict
            As in `predict`.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_classes)
            In the order of `classes_`; a row sums to 1, unless it may have several labels.

        Raises
        ------
        NotFittedError, DataError
            As in `predict`.
        """
        return self._fitted().predict_proba(X)

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
        return self._fitted().predict_top_k(X, k)

    def explain(self, X: Any, label: Any = None) -> Explanation:
        """Return which words and columns of one row speak for its prediction, and against it.

        Of each class, ``logit = bias + Σ what words add + Σ what other columns add`` within 1e-4,
        where ``logit = ln(p / (1 − p))`` is the log-odds of its probability and the bias the
        model's answer to an empty row. Contributions are path integrals over the network
        (integrated gradients; see `udt.engine.attribution`); what an n-gram adds is shared out
        over the words that it covers.

        Parameters
        ----------
        X : str, dict or table
            One row, as in `predict`.
        label : object, optional
            Class to explain; the predicted and the most probable ones, five at most, by default.

        Raises
        ------
        NotFittedError
            The model is not trained.
        SettingsError
            label is none of the classes.
        DataError
            X is not one row, or cannot be read.
        """
        return self._fitted().explain(X, label)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy on rows with labels, in X's target column or in y.

        Where a row may have several labels, all of them must be right and no other predicted.
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
        return self._fitted().score(X, y, sample_weight)

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
            ``confused``, the most frequent mistakes, or neither where a row may have several
            labels; ``source``.

        Raises
        ------
        NotFittedError
            The model is not trained.
        TargetNotFound
            X has no target column.
        DataError
            X cannot be read, or has no label.
        """
        return self._fitted().evaluate(X, y)

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
        return self._fitted().save(path, overwrite=overwrite)

    def _repr_html_(self) -> str:
        """Show a trained model by its headline figures, another as scikit-learn does."""
        if hasattr(self, "_model"):
            return self.report_._repr_html_()
        shown: str = super()._repr_html_()
        return shown

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Show the same where notebooks ask scikit-learn's own way."""
        if hasattr(self, "_model"):
            return {"text/plain": repr(self), "text/html": self._repr_html_()}
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options)
        return bundle

    @property
    def content_sha256_(self) -> str:
        """SHA-256 of the model without the account of its run."""
        return self._fitted().content_sha256()

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
        The file; or ``"hf:owner/name"`` for one on the Hugging Face hub, with ``/file.udt`` where
        there are several, and ``@revision``. What was downloaded is kept, and used without a
        network.

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
    model = load_model(path)
    return UDT(**model.given)._adopt(model)
