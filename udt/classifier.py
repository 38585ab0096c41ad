"""UDT, the scikit-learn estimator: orchestrates reading, the race, training and the account."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from udt import __version__, automl, inputs, labels, metrics
from udt._jit import compile_seconds
from udt.carbon import Meter, car_metres, estimate, find_machine, find_place
from udt.engine.mix import Mix
from udt.engine.network import Network
from udt.engine.train import predict as predict_network
from udt.errors import EmptyTable, ModelFileError, SettingsError
from udt.featurizers.rows import RowEncoder
from udt.featurizers.schema import Schema
from udt.model_file import ModelContent, content_sha256, read_model, write_model
from udt.report import RunReport
from udt.table import Table

OnProgress = Callable[[str, float | None, str], None]

_PREDICT_ROWS = 65_536
_SECTIONS = ("rows.", "network.", "labels.")


def _silent(stage: str, done: float | None, note: str) -> None:
    """Tell nobody."""


class UDT(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classify rows of text and other columns; every choice is made for you.

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
        Multi-value columns and their separators.
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
    schema_ : Schema
        Columns with their kinds and reasons.
    leaderboard_ : list of dict
        Trials of the race, best first.
    report_ : RunReport
        Accuracy, wall time, energy and CO2e of the run, with its sources.
    n_features_in_, feature_names_in_
        Columns seen in `fit`.
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
        bad_rows: str = "refuse",
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

        Parameters
        ----------
        X : path, DataFrame, datasets.Dataset, list of dict, list of str, array, …
            Rows; with the target column unless y is given.
        y : array-like, optional
            Labels of X's rows.
        valid : like X, optional
            Rows to make choices on, in place of held-out rows of X.
        test : like X, optional
            Rows to measure the finished model on, for the report.
        on_progress : callable, optional
            Called with a stage, the share of it that is done (or None) and a note.

        Returns
        -------
        UDT
            Itself.

        Raises
        ------
        DataError
            The table cannot be learned from.
        SettingsError
            A parameter's value cannot be used.
        """
        settings = inputs.check_settings(self)
        note = on_progress or _silent
        budget = automl.Budget(settings.time_limit_s)
        meter = Meter(
            find_machine(self.instance), find_place(self.region, self.country),
            since_process_start=on_progress is not None,
        )  # fmt: skip
        compiled_before = compile_seconds()
        with meter.phase("read"):
            note("read", None, "")
            table, column, self.target_ = inputs.read_training(self, X, y)
            table, column, dropped = inputs.drop_unlabelled(table, column)
            labels.check_target(column, self.target_)
            self.classes_ = labels.find_classes(column)
            n_train = table.n_rows
            if valid is not None:
                table, column = inputs.append_valid(self, table, column, valid)
            classes = labels.encode(column, self.classes_)
            test_set = None if test is None else inputs.read_labelled(self, test)
        with meter.phase("featurize"):
            note("featurize", None, "")
            self.schema_ = inputs.infer(self, table, is_array=inputs.is_array(X))
            if not self.schema_.used():
                raise EmptyTable(inputs.no_usable_column(self.schema_))
        self._learn(table, classes, n_train, settings, meter, budget, note)
        split, held_y, probas = "holdout", classes[self._held_rows], self._held_probas
        if test_set is not None:
            with meter.phase("test"):
                note("test", None, "")
                split, probas = "test", self.predict_proba(test_set[0])
                held_y = labels.encode(test_set[1], self.classes_)
        del self._held_rows, self._held_probas
        result = {"split": split, **metrics.evaluate(held_y, probas)}
        self.report_ = self._account(
            table, n_train, result, meter, compile_seconds() - compiled_before, dropped
        )
        return self

    def _learn(
        self,
        table: Table,
        y: npt.NDArray[np.int32],
        n_train: int,
        settings: inputs.Checked,
        meter: Meter,
        budget: automl.Budget,
        note: OnProgress,
    ) -> None:
        """Race, then train the winner; sets what prediction needs."""
        with meter.phase("search"):
            learned = automl.learn(
                automl.Task(
                    table=table,
                    schema=self.schema_,
                    y=y,
                    n_classes=len(self.classes_),
                    n_train=n_train,
                    width=settings.width,
                    n_threads=settings.n_threads,
                    n_train_threads=1 if settings.is_seeded else settings.n_threads,
                    seed=settings.seed,
                    budget=budget,
                    note=note,
                )
            )
        self._encoder, self._network, self._mix = learned.encoder, learned.network, learned.mix
        self._held_rows, self._held_probas = learned.held, learned.held_probas
        self._learned, self._n_threads = learned, settings.n_threads
        self.leaderboard_ = learned.leaderboard()
        self.interrupted_ = learned.interrupted

    def _account(
        self,
        table: Table,
        n_rows: int,
        result: dict[str, Any],
        meter: Meter,
        compile_s: float,
        n_dropped: int,
    ) -> RunReport:
        """Write the run's report."""
        race, trained = self._learned, self._learned.trained
        footprint = meter.stop()
        time_block = meter.time_dict() | {"compile_s": compile_s}
        last = trained.history[-1]
        time_block["epoch_s"] = last["seconds"] / last["epoch"]
        carbon = footprint.carbon_dict() | {
            "car_m": car_metres(footprint.total_g),
            "roberta_g": estimate(
                find_machine("p4d.24xlarge"), footprint.place, hours=40 / 60, utilisation=1.0,
                share=1 / 8,
            ).total_g,
        }  # fmt: skip
        candidate = race.best.candidate
        notes = [f"{n_dropped:,} rows without a label were left out"] if n_dropped else []
        if table.n_skipped:
            notes.append(f"{table.n_skipped:,} malformed rows were skipped")
        return RunReport(
            model="",
            target=self.target_,
            n_rows=n_rows,
            n_classes=len(self.classes_),
            multi_label=False,
            schema=self.schema_.to_list(),
            metrics=result,
            network={
                "n_features": self._encoder.n_features,
                "width": self._network.width,
                "sparsity": "auto",
                "work_train": trained.work,
                "active_fraction_mean": trained.work,
                "wide": len(self._network.w_wide) > 0,
                "ngrams": candidate.name.split(",")[0],
            },
            history=trained.history,
            search={"n_trials": len(race.trials), "leaderboard": self.leaderboard_},
            time=time_block,
            size={"model_bytes": 0, "peak_memory_bytes": inputs.peak_memory_bytes()},
            energy=footprint.energy_dict(),
            carbon=carbon,
            choices=[c.to_dict() for c in race.choices],
            warnings=notes,
            source=table.source,
        )

    # -- using ---------------------------------------------------------------------------------

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Return class probabilities, float32, shape (n_rows, n_classes), in `classes_` order."""
        check_is_fitted(self)
        table = inputs.read_rows(self, X)
        if table.n_rows <= _PREDICT_ROWS:
            return self._probas(table)
        starts = range(0, table.n_rows, _PREDICT_ROWS)
        return np.concatenate([self._probas(table.slice(s, s + _PREDICT_ROWS)) for s in starts])

    def _probas(self, table: Table) -> npt.NDArray[np.float32]:
        rows = self._encoder.transform(table, self._n_threads)
        return predict_network(self._network, rows, self._mix, self._n_threads)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable label of each row, shape (n_rows,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def predict_top_k(self, X: Any, k: int = 3) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Return the k most probable labels and their probabilities, each of shape (n_rows, k).

        Raises
        ------
        SettingsError
            k is not between 1 and the number of classes.
        """
        probas = self.predict_proba(X)
        if not 1 <= k <= probas.shape[1]:
            raise SettingsError(
                f"The 'k' parameter of predict_top_k must be from 1 to {probas.shape[1]}, the "
                f"number of classes. Got {k} instead."
            )
        best = np.argsort(-probas, axis=1, kind="stable")[:, :k]
        return self.classes_[best], np.take_along_axis(probas, best, axis=1)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy on rows with labels, in X's target column or in y."""
        if y is not None:
            return float(super().score(X, y, sample_weight))
        return float(self.evaluate(X)["metrics"]["accuracy"])

    def evaluate(self, X: Any, y: Any = None) -> dict[str, Any]:
        """Return metrics, a table per class and the confusion matrix on rows with labels."""
        check_is_fitted(self)
        table, column = inputs.read_labelled(self, X, y)
        truth = labels.encode(column, self.classes_)
        probas = self.predict_proba(table)
        guess = probas.argmax(axis=1).astype(np.int32)
        names = [str(label) for label in self.classes_]
        result: dict[str, Any] = {
            "model": "model",
            "source": table.source,
            "metrics": {"split": "test", **metrics.evaluate(truth, probas)},
            "labels": names,
            "per_class": metrics.per_class(truth, guess, names),
            "n_unknown": int((truth < 0).sum()),
        }
        if len(names) <= inputs.MAX_CONFUSION_CLASSES:
            result["confusion"] = metrics.confusion(truth, guess, len(names)).tolist()
        else:
            result["confused"] = metrics.most_confused(truth, guess, names)
        return result

    # -- keeping -------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write the model to one file; return its size in bytes.

        Raises
        ------
        SettingsError
            The file exists and overwrite is False, or its folder does not exist.
        ModelWriteError
            The file cannot be written.
        """
        check_is_fitted(self)
        content = self._content()
        size = write_model(path, content, overwrite=overwrite)
        self.report_.size["model_bytes"] = size
        return size

    def _content(self) -> ModelContent:
        """Return what a model file holds."""
        columns, arrays = self._encoder.state()
        stored = {f"rows.{name}": a for name, a in arrays.items()}
        stored |= {f"network.{name}": a for name, a in self._network._asdict().items()}
        params = self.get_params(deep=False)
        seed = params["random_state"]
        params["random_state"] = seed if isinstance(seed, int | None) else None
        header = {
            "params": params,
            "target": self.target_,
            "classes": self.classes_.tolist(),
            "classes_dtype": self.classes_.dtype.str,
            "feature_names": list(self.feature_names_in_) if self._has_names() else None,
            "n_features_in": self.n_features_in_,
            "schema": self.schema_.to_list(),
            "columns": columns,
            "mix": [float(x) for x in self._mix],
        }
        return ModelContent(header, stored, {"report": self.report_.to_dict()})

    def _has_names(self) -> bool:
        return hasattr(self, "feature_names_in_")

    @property
    def content_sha256_(self) -> str:
        """SHA-256 of the model without the account of its run."""
        return content_sha256(self._content())

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

    Raises
    ------
    ModelFileError
        The file is missing, not a model, damaged, or of a newer udt.
    """
    content = read_model(path)
    header = content.header
    try:
        model = UDT(**header["params"])
        model.target_ = header["target"]
        model.classes_ = np.array(header["classes"], dtype=header["classes_dtype"])
        model.n_features_in_ = header["n_features_in"]
        if header["feature_names"] is not None:
            model.feature_names_in_ = np.array(header["feature_names"], dtype=object)
        model.schema_ = Schema.from_list(header["schema"])
        parts: dict[str, dict[str, Any]] = {"rows": {}, "network": {}}
        for name, array in content.arrays.items():
            section, key = name.split(".", 1)
            parts[section][key] = array
        model._encoder = RowEncoder.from_state(header["columns"], parts["rows"])
        model._network = Network(**parts["network"])
        model._mix = Mix(*(np.float32(x) for x in header["mix"]))
        model.report_ = RunReport.from_dict(content.run["report"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{os.fspath(path)} has parts that this udt ({__version__}) does not understand: "
            f"{error}. Train the model again, or use the udt that wrote it."
        ) from error
    model.report_.size["model_bytes"] = os.path.getsize(path)
    model.leaderboard_ = model.report_.search["leaderboard"]
    model.interrupted_ = False
    model._n_threads = inputs.usable_threads(model.n_threads)
    return model
