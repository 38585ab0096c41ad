"""Slow and obvious: what the kernels compute, in plain Python and dense NumPy.

Nothing here calls a kernel; what is shared with the library is a definition, never code.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable
from types import ModuleType
from unittest import mock

import numba
import numpy as np

from udt.csr import CSR

# -- Text ------------------------------------------------------------------------------------------

_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?=[\x00-\x20/>])[^<>]*>")
_TAG_BYTES = 200
_LONGEST_RUN = 3
_HAN_OR_KANA = re.compile(
    "[々〆〇\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f]"
)
_APOSTROPHES = "'\u2018\u2019\u02bc\uff07"


def kind_of(char: str) -> str:
    """Return what a character is to the tokenizer."""
    category = unicodedata.category(char)
    if ord(char) >= 0x20000:
        return "single" if ord(char) < 0x40000 else "symbol"
    if category == "Cf" or "\ufe00" <= char <= "\ufe0f":
        return "skip"
    if category == "Cc" or category[0] == "Z":
        return "space"
    if category[0] in "LMN":
        return "single" if _HAN_OR_KANA.match(char) else "word"
    return "symbol"


def fold(char: str) -> str:
    """Return a character in lower case, full-width ASCII as ASCII, any apostrophe as ``'``."""
    if char in _APOSTROPHES:
        return "'"
    if "\uff01" <= char <= "\uff5e":
        char = unicodedata.normalize("NFKC", char)
    lower = char.lower()
    return lower if len(lower) == 1 and ord(char) < 0x20000 else char


def tokens(text: str) -> list[tuple[str, str]]:
    """Return (kind, folded text) of each token."""
    found: list[tuple[str, str]] = []
    word, i = "", 0

    def close() -> None:
        nonlocal word
        if word:
            found.append(("word", word))
        word = ""

    while i < len(text):
        char, kind, size = text[i], kind_of(text[i]), 1
        inside = word and text[i + 1 : i + 2] and kind_of(text[i + 1]) == "word"
        if kind == "word" or (fold(char) == "'" and inside and kind != "skip"):
            word += fold(char)
        elif kind != "skip":
            close()
            tag = _TAG.match(text, i)
            if tag and len(tag[0].encode()) <= _TAG_BYTES:
                size = len(tag[0])
            elif kind == "single":
                found.append((kind, fold(char)))
            elif kind == "symbol":
                size = len(text[i:]) - len(text[i:].lstrip(char))
                found.append((kind, fold(char) * min(size, _LONGEST_RUN)))
        i += size
    close()
    return found


def ngrams(text: str) -> list[list[Hashable]]:
    """Return the text's n-grams in order, repeats included, for each of the 8 kinds."""
    found = tokens(text)
    padded = [("begin", ""), *found, ("end", "")] if found else []
    words = [f" {word} " for kind, word in found if kind == "word"]
    return [
        list(found),
        list(itertools.pairwise(padded)),
        list(zip(padded, padded[1:], padded[2:], strict=False)),
        *([w[i : i + n] for w in words for i in range(len(w) - n + 1)] for n in range(2, 7)),
    ]


# -- Features --------------------------------------------------------------------------------------


def dense(rows: CSR) -> np.ndarray:
    """Return float64 features, shape (n_rows, n_features)."""
    X = np.zeros((rows.n_rows, rows.n_features))
    for row in range(rows.n_rows):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        X[row, rows.indices[part]] = rows.values[part]
    return X


def sparse(X: np.ndarray) -> CSR:
    """Return the non-zero features of X as CSR."""
    row, column = np.nonzero(X)
    indptr = np.searchsorted(row, np.arange(len(X) + 1)).astype(np.int64)
    return CSR(indptr, column.astype(np.int32), X[row, column].astype(np.float32), X.shape[1])


def class_information(
    held: np.ndarray, y: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (document frequency, KL in nats) of each column of a dense bool matrix."""
    held, y = held[y >= 0], y[y >= 0]
    counts = np.stack([held[y == c].sum(axis=0) for c in range(len(prior))], axis=1)
    df = counts.sum(axis=1)
    p = (counts + prior) / (df[:, None] + 1)
    return df, (p * np.log(p / prior)).sum(axis=1)


def weigh(X: np.ndarray, weights: np.ndarray, groups: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return X times weights, each group scaled to its share of the row's squared norm."""
    weighed = X * weights
    out = np.zeros_like(weighed)
    for x, row in zip(out, weighed, strict=True):
        present = [g for g in range(len(shares)) if row[groups == g].any()]
        for g in present:
            share = shares[g] * sum(shares) / sum(shares[present])
            x[groups == g] = row[groups == g] * np.sqrt(share / (row[groups == g] ** 2).sum())
    return out


# -- Network ---------------------------------------------------------------------------------------

EPS = 1e-7


def softmax(z: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def logits_wide(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the wide path's logits of dense rows."""
    return b + x @ w


def logits_deep(
    x: np.ndarray, w_in: np.ndarray, b_hidden: np.ndarray, w_out: np.ndarray, b_out: np.ndarray
) -> np.ndarray:
    """Return the deep path's logits of dense rows."""
    return b_out + np.maximum(b_hidden + x @ w_in, 0) @ w_out


def loss(z: np.ndarray, classes: Iterable[int]) -> float:
    """Return the mean NLL (nats) of a row's classes."""
    return float(-np.log(softmax(z))[list(classes)].mean())


def slope(f: Callable[[], float], w: np.ndarray) -> np.ndarray:
    """Return ∂f/∂w by central differences; f reads w, which is changed and put back."""
    gradient, h = np.zeros_like(w), 1e-6
    for i in np.ndindex(w.shape):
        was = w[i]
        w[i] = was + h
        above = f()
        w[i] = was - h
        gradient[i] = (above - f()) / (2 * h)
        w[i] = was
    return gradient


def adagrad(
    w: np.ndarray, squares: np.ndarray, gradient: np.ndarray, lr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (weights, accumulators) after one row-wise Adagrad step."""
    squares = squares + (gradient**2).mean(axis=1)
    return w - lr * gradient / np.sqrt(squares + EPS)[:, None], squares


# -- Compilation -----------------------------------------------------------------------------------


def uncompiled(name: str) -> ModuleType:
    """Return a second copy of a module in which every kernel is a plain Python function.

    Its constants are its own, equal to the module's; calling it needs no numba.
    """
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    with mock.patch.object(numba.config, "DISABLE_JIT", 1):
        spec.loader.exec_module(copy)
    return copy
