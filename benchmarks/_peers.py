"""The two peers: fastText, and TF-IDF with a linear support vector machine.

Both are given a fair chance: a few settings compete on a tenth of the training rows (stratified,
the same tenth for both), and the winner is trained again on all of them. Test rows are read once.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from _data import Part, space_out
from _process import timed

FASTTEXT_SETTINGS: dict[str, dict[str, Any]] = {
    "lr .1, 5 epochs, bigrams": {"lr": 0.1, "epoch": 5, "wordNgrams": 2},
    "lr 1, 25 epochs, bigrams": {"lr": 1.0, "epoch": 25, "wordNgrams": 2},
    "lr .5, 50 epochs, bigrams, chars 3-5": {
        "lr": 0.5,
        "epoch": 50,
        "wordNgrams": 2,
        "minn": 3,
        "maxn": 5,
    },
}
SVM_COSTS = (0.1, 0.3, 1.0, 3.0)

# Above this much text fastText's default width, 100, takes more than ten minutes for a fit of
# fifty epochs with character n-grams: there it gets 16. Every result says which it had.
LARGE_TEXT_CHARS = 25_000_000
_MAX_CHAR_NGRAMS = 2_000_000

_APART = re.compile(r"""([.,()!?'])""")
_AWAY = re.compile(r"""<br ?/?>|[";:\r\n\x00]""")


def _holdout(train: Part) -> tuple[Part, Part]:
    from sklearn.model_selection import train_test_split

    fit_texts, held_texts, fit_labels, held_labels = train_test_split(
        train.texts, train.labels, test_size=0.1, stratify=train.labels, random_state=0
    )
    return Part(fit_texts, fit_labels), Part(held_texts, held_labels)


# ── fastText ────────────────────────────────────────────────────────────────────────────────────


def _fasttext_line(text: str) -> str:
    """Normalise as fastText's authors do for their own benchmarks: lower case, marks apart."""
    return " ".join(_APART.sub(r" \1 ", _AWAY.sub(" ", space_out(text).lower())).split())


def write_fasttext(part: Part, path: Path) -> None:
    """Write one ``__label__<name> <text>`` line for each row, the name in hexadecimal."""
    with path.open("w", encoding="utf-8") as file:
        for text, label in zip(part.texts, part.labels, strict=True):
            file.write(f"__label__{label.encode().hex()} {_fasttext_line(text)}\n")


def _fasttext_fit(path: Path, setting: dict[str, Any], **options: int) -> Any:
    import fasttext

    return fasttext.train_supervised(str(path), verbose=0, **setting, **options)


def _fasttext_accuracy(model: Any, path: Path, n_rows: int) -> float:
    n_tested, precision, _ = model.test(str(path), k=1)
    if n_tested != n_rows:  # it leaves out rows of which it knows no word
        precision *= n_tested / n_rows
    return float(precision)


def fasttext(train: Part, test: Part, seed: int, n_threads: int) -> dict[str, Any]:
    """Choose one of fastText's settings, train it on all rows and test it.

    Returns
    -------
    dict
        ``accuracy``, ``chosen``, ``holdout`` (accuracy of each setting), ``seconds`` (of each
        fit), ``options``.
    """
    n_chars = sum(map(len, train.texts))
    options = {
        "dim": 16 if n_chars > LARGE_TEXT_CHARS else 100,
        "thread": n_threads,
        "seed": seed,
    }
    seconds: dict[str, float] = {}
    scores: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        parts = {"train": train, "test": test}
        parts["fit"], parts["held"] = _holdout(train)
        paths = {key: Path(name, key) for key in parts}
        with timed(seconds, "prepare"):
            for key, part in parts.items():
                write_fasttext(part, paths[key])
        for setting, values in FASTTEXT_SETTINGS.items():
            with timed(seconds, setting):
                model = _fasttext_fit(paths["fit"], values, **options)
            scores[setting] = _fasttext_accuracy(model, paths["held"], len(parts["held"].texts))
            del model  # not two of them at a time: a gigabyte each
        chosen = max(scores, key=scores.__getitem__)
        with timed(seconds, "refit"):
            model = _fasttext_fit(paths["train"], FASTTEXT_SETTINGS[chosen], **options)
        with timed(seconds, "test"):
            accuracy = _fasttext_accuracy(model, paths["test"], len(test.texts))
    return {
        "accuracy": accuracy,
        "chosen": chosen,
        "holdout": scores,
        "seconds": seconds,
        "options": options,
    }


# ── TF-IDF + linear SVM ─────────────────────────────────────────────────────────────────────────


def _tfidf(max_char_ngrams: int | None, *, chars: bool) -> Any:
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    # Words of one character count too: without them the word half sees nothing of Chinese.
    word = TfidfVectorizer(
        preprocessor=lambda text: space_out(text).lower(),
        token_pattern=r"(?u)\b\w+\b",
        ngram_range=(1, 2),
        sublinear_tf=True,
        dtype=np.float32,
    )
    if not chars:
        return word
    char = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(2, 5),
        min_df=2,
        max_features=max_char_ngrams,
        sublinear_tf=True,
        dtype=np.float32,
    )
    return make_union(word, char)


def svm(train: Part, test: Part, seed: int, *, chars: bool = True) -> dict[str, Any]:
    """Choose the cost of TF-IDF + LinearSVC, train it on all rows and test it.

    Parameters
    ----------
    train, test : Part
        Rows.
    seed : int
        Of the solver.
    chars : bool
        Whether character n-grams stand beside the words.

    Returns
    -------
    dict
        As `fasttext`. ``options`` says whether the character n-grams were cut to bound memory.
    """
    from sklearn.svm import LinearSVC

    large = sum(map(len, train.texts)) > LARGE_TEXT_CHARS
    max_char_ngrams = _MAX_CHAR_NGRAMS if large else None
    seconds: dict[str, float] = {}
    scores: dict[float, float] = {}
    fit, held = _holdout(train)
    tfidf = _tfidf(max_char_ngrams, chars=chars)
    with timed(seconds, "vectorise holdout"):
        fit_rows, held_rows = tfidf.fit_transform(fit.texts), tfidf.transform(held.texts)
    for cost in SVM_COSTS:
        with timed(seconds, f"C={cost:g}"):
            model = LinearSVC(C=cost, random_state=seed).fit(fit_rows, fit.labels)
        scores[cost] = float(model.score(held_rows, held.labels))
    del fit_rows, held_rows  # a gigabyte or two on the large sets
    chosen = max(scores, key=scores.__getitem__)
    with timed(seconds, "vectorise"):
        rows = tfidf.fit_transform(train.texts)
    with timed(seconds, "refit"):
        model = LinearSVC(C=chosen, random_state=seed).fit(rows, train.labels)
    with timed(seconds, "test"):
        accuracy = float(model.score(tfidf.transform(test.texts), test.labels))
    return {
        "accuracy": accuracy,
        "chosen": f"C={chosen:g}",
        "holdout": {f"C={cost:g}": score for cost, score in scores.items()},
        "seconds": seconds,
        "options": {"max_char_ngrams": max_char_ngrams, "n_features": int(rows.shape[1])},
    }
