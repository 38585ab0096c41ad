"""Peers that read whole tables: linear models over all columns, LightGBM, logistic regression.

Every one is a function of (train, test, target, text columns, seed) that returns ``accuracy``,
``chosen``, ``holdout`` and ``seconds``, like those of `_peers`. Settings are chosen on training
rows: by five-fold cross-validation up to `_CV_ROWS` rows, on a tenth of them above.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from _data import space_out

if TYPE_CHECKING:
    import pandas as pd

_CV_ROWS = 5_000
_N_FOLDS = 5
_N_TREES = 300
_DATE_SHARE = 0.9
_SVM_COSTS = (0.1, 0.3, 1.0, 3.0)
_LOGISTIC_COSTS = (1.0, 10.0, 100.0)
_LARGE_LOGISTIC_COSTS = (1.0, 10.0)  # a fit on tens of thousands of rows takes a minute


class Split(NamedTuple):
    """A table's training and test rows.

    Attributes
    ----------
    train, test : DataFrame
        Rows, with the target column.
    target : str
        Its name.
    text : tuple of str
        The columns that are free text.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    target: str
    text: tuple[str, ...]

    def labels(self) -> tuple[list[str], list[str]]:
        """Return the labels of the training and of the test rows, as text."""
        return tuple(part[self.target].astype(str).tolist() for part in (self.train, self.test))


def _seconds_number(column: pd.Series) -> pd.Series | None:
    """Return dates as seconds; None if the column holds something else."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        dates = column
    elif column.dtype == object or pd.api.types.is_string_dtype(column):
        sample = column.dropna().head(200)
        looks = sample.astype(str).str.match(r"\d{4}-\d\d-\d\d|\d{1,2}/\d{1,2}/\d{2,4}")
        if sample.empty or looks.mean() < _DATE_SHARE:
            return None
        dates = pd.to_datetime(column, errors="coerce", utc=True)
    else:
        return None
    since = pd.Timestamp(0, tz="UTC") if getattr(dates.dt, "tz", None) else pd.Timestamp(0)
    return (dates - since).dt.total_seconds()


def columns_of(split: Split) -> tuple[Split, list[str], list[str]]:
    """Return the split with dates as numbers, the numeric columns and the categorical ones."""
    import pandas as pd

    train, test = split.train.copy(), split.test.copy()
    numeric, categorical = [], []
    for name in train.columns:
        if name == split.target:
            continue
        if name in split.text:
            for part in (train, test):
                part[name] = part[name].fillna("").astype(str)
        elif (seconds := _seconds_number(train[name])) is not None:
            train[name], test[name] = seconds, _seconds_number(test[name])
            numeric.append(name)
        elif pd.api.types.is_numeric_dtype(train[name]) and train[name].dtype != bool:
            numeric.append(name)
        else:
            for part in (train, test):
                part[name] = part[name].fillna("missing").astype(str)
            categorical.append(name)
    return split._replace(train=train, test=test), numeric, categorical


def _tfidf(ngrams: tuple[int, int], min_df: int = 1) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        preprocessor=lambda text: space_out(text).lower(),
        token_pattern=r"(?u)\b\w+\b",
        ngram_range=ngrams,
        min_df=min_df,
        sublinear_tf=True,
    )


def _encoder(split: Split, numeric: Sequence[str], categorical: Sequence[str]) -> Any:
    """Return TF-IDF of each text column, one-hot categories and scaled numbers, side by side."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    # Words of a single row cannot be learned from; dropping them keeps a hundred thousand rows
    # of bigrams in memory. A small table needs all it has.
    min_df = 2 if len(split.train) > _CV_ROWS else 1
    parts = [(f"text {name}", _tfidf((1, 2), min_df), name) for name in split.text]
    if categorical:
        parts.append(("categories", OneHotEncoder(handle_unknown="ignore"), list(categorical)))
    if numeric:
        imputed = SimpleImputer(strategy="median", add_indicator=True)
        parts.append(("numbers", make_pipeline(imputed, StandardScaler()), list(numeric)))
    return ColumnTransformer(parts)


def _choose(make: Callable[[float], Any], costs: Sequence[float], X: Any, y: Any) -> dict[str, Any]:
    """Find the cost of the best accuracy on training rows, and fit it on all of them."""
    import numpy as np
    from sklearn.model_selection import KFold, ShuffleSplit, cross_val_score

    n_rows = X.shape[0]
    folds = (
        KFold(min(_N_FOLDS, n_rows), shuffle=True, random_state=0)
        if n_rows <= _CV_ROWS
        else ShuffleSplit(1, test_size=0.1, random_state=0)
    )
    y = np.asarray(y)
    started = time.perf_counter()
    scores = {cost: float(cross_val_score(make(cost), X, y, cv=folds).mean()) for cost in costs}
    chosen = max(scores, key=scores.__getitem__)
    middle = time.perf_counter()
    model = make(chosen).fit(X, y)
    return {
        "model": model,
        "chosen": f"C={chosen:g}",
        "holdout": {f"C={cost:g}": score for cost, score in scores.items()},
        "seconds": {"choose": middle - started, "refit": time.perf_counter() - middle},
    }


def _linear(split: Split, make: Callable[[float], Any], costs: Sequence[float]) -> dict[str, Any]:
    """Choose the cost of a linear model over all columns, fit it on all rows and test it."""
    started = time.perf_counter()
    ready, numeric, categorical = columns_of(split)
    encoder = _encoder(ready, numeric, categorical)
    y_train, y_test = ready.labels()
    X = encoder.fit_transform(ready.train)
    encoded = time.perf_counter() - started
    result = _choose(make, costs, X, y_train)
    accuracy = result.pop("model").score(encoder.transform(ready.test), y_test)
    seconds = {"encode": encoded, **result["seconds"]}
    return {**result, "accuracy": float(accuracy), "seconds": _rounded(seconds)}


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {what: round(value, 3) for what, value in seconds.items()}


def linear_svm(split: Split, seed: int) -> dict[str, Any]:
    """TF-IDF + one-hot + scaled numbers → LinearSVC."""
    from sklearn.svm import LinearSVC

    return _linear(split, lambda cost: LinearSVC(C=cost, random_state=seed), _SVM_COSTS)


def linear_logistic(split: Split, seed: int) -> dict[str, Any]:
    """TF-IDF + one-hot + scaled numbers → LogisticRegression."""
    from sklearn.linear_model import LogisticRegression

    def make(cost: float) -> Any:
        return LogisticRegression(C=cost, max_iter=200, random_state=seed)

    small = len(split.train) <= _CV_ROWS
    return _linear(split, make, _LOGISTIC_COSTS if small else _LARGE_LOGISTIC_COSTS)


def lightgbm(split: Split, seed: int) -> dict[str, Any]:
    """LightGBM: 300 trees, categories as such, text dropped."""
    import lightgbm as lgb
    import numpy as np
    import pandas as pd

    ready, numeric, categorical = columns_of(split)
    if not numeric and not categorical:
        raise ValueError("LightGBM has no column to read: all of them are text.")
    frames = [part[[*numeric, *categorical]].copy() for part in (ready.train, ready.test)]
    for name in categorical:
        known = pd.CategoricalDtype(sorted(frames[0][name].unique()))
        for frame in frames:
            frame[name] = frame[name].astype(known)
    y_train, y_test = (np.asarray(labels) for labels in ready.labels())
    started = time.perf_counter()
    n_jobs = 1 if len(y_train) <= _CV_ROWS else -1  # its threads wait for each other on few rows
    model = lgb.LGBMClassifier(n_estimators=_N_TREES, random_state=seed, n_jobs=n_jobs, verbose=-1)
    model.fit(frames[0], y_train)
    seconds = {"refit": time.perf_counter() - started}
    accuracy = float((model.predict(frames[1]) == y_test).mean())
    return {"accuracy": accuracy, "chosen": f"{_N_TREES} trees", "seconds": _rounded(seconds)}


def text_logistic(
    split: Split, seed: int, *, ngrams: tuple[int, int], costs: Sequence[float]
) -> dict[str, Any]:
    """TF-IDF of the joined text columns → LogisticRegression; a single cost is not a choice."""
    from sklearn.linear_model import LogisticRegression

    def join(part: pd.DataFrame) -> list[str]:
        columns = [part[name].fillna("").astype(str) for name in split.text]
        return ["\n".join(row) for row in zip(*columns, strict=True)]

    vectorizer = _tfidf(ngrams)
    y_train, y_test = split.labels()
    X = vectorizer.fit_transform(join(split.train))

    def make(cost: float) -> Any:
        return LogisticRegression(C=cost, max_iter=200, random_state=seed)

    if len(costs) == 1:
        started = time.perf_counter()
        model = make(costs[0]).fit(X, y_train)
        seconds = {"refit": time.perf_counter() - started}
        result: dict[str, Any] = {"chosen": f"C={costs[0]:g}", "seconds": seconds}
    else:
        result = _choose(make, costs, X, y_train)
        model = result.pop("model")
    accuracy = float(model.score(vectorizer.transform(join(split.test)), y_test))
    return {**result, "accuracy": accuracy, "seconds": _rounded(result["seconds"])}
