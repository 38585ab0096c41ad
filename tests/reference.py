"""Slow and obvious: what the kernels compute, in plain Python and dense NumPy.

Nothing here calls a kernel; what is shared with the library is a definition, never code.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Sequence
from types import ModuleType
from unittest import mock

import numba
import numpy as np

from udt.csr import CSR, Targets
from udt.engine.many import ManyNetwork, stride
from udt.engine.shortlists import Shortlists

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


def sigmoid_loss(z: np.ndarray, classes: Iterable[int]) -> float:
    """Return the sum over all classes of the NLL (nats) of each being there or not."""
    sign = np.full(len(z), -1.0)
    sign[list(classes)] = 1
    return float(np.log1p(np.exp(-sign * z)).sum())


def logits_sparse(
    x: np.ndarray,
    w_in: np.ndarray,
    b_hidden: np.ndarray,
    w_out: np.ndarray,
    b_out: np.ndarray,
    active: np.ndarray,
) -> np.ndarray:
    """Return the deep path's logits of a network that has these neurons only."""
    return logits_deep(x, w_in[:, active], b_hidden[active], w_out[active], b_out)


def neurons_of(blocks: Iterable[int], block: int, width: int) -> np.ndarray:
    """Return the neurons of some blocks, in order; the last block may be shorter."""
    return np.array([h for h in range(width) if h // block in set(map(int, blocks))], int)


def row_work(
    n_features: int,
    n_classes: int,
    n_computed: int = 0,
    n_on: int = 0,
    *,
    wide_backward: bool = True,
    deep_backward: bool = True,
) -> int:
    """Return the multiply-adds of a training step; neurons at 0 meet no class."""
    wide = n_features * n_classes * (1 + wide_backward)
    inner = n_features * n_computed * (1 + deep_backward)
    return wide + inner + n_on * n_classes * (1 + 2 * deep_backward)


def splitmix64(state: int, n: int) -> list[int]:
    """Return n numbers of 64 bits: the generator of Steele, Lea & Flood (2014)."""
    numbers = []
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        numbers.append(z ^ (z >> 31))
    return numbers


# -- Many classes ----------------------------------------------------------------------------------

FEW = 8  # what the squares of a row's gradient are divided by


def targets(classes: Sequence[Sequence[int]]) -> Targets:
    """Return targets from each row's list of classes."""
    indptr = np.cumsum([0, *map(len, classes)]).astype(np.int64)
    return Targets(indptr, np.array([*itertools.chain(*classes)], np.int32))


def many_network(
    rng: np.random.Generator, listed: float = 1, width: int = 5, n_classes: int = 9
) -> ManyNetwork:
    """Return a network of 8 features in the midst of training.

    Each list holds such a share of the classes, in any order.
    """
    lists = [rng.permutation(n_classes) for _ in range(8)]
    lists = [each[rng.random(n_classes) < listed] for each in lists]
    classes = np.concatenate(lists).astype(np.uint32)
    w_in = rng.normal(size=(len(lists), stride(width)))
    w_in[:, -2:] = rng.uniform(0.5, 2, (len(lists), 2))
    share = rng.dirichlet(np.ones(n_classes))
    return ManyNetwork(
        lists=Shortlists(
            np.cumsum([0, *map(len, lists)]).astype(np.int64),
            classes,
            rng.normal(size=len(classes)).astype(np.float32),
        ),
        b=np.log(share).astype(np.float32),
        own=rng.uniform(0.1, 0.5, n_classes).astype(np.float32),
        w_in=w_in.astype(np.float32),
        b_hidden=rng.normal(size=width).astype(np.float32),
        w_out=rng.normal(size=(n_classes, width)).astype(np.float32),
        by_bias=np.argsort(-share).astype(np.uint32),
    )


def many_arrays(network: ManyNetwork) -> dict[str, np.ndarray]:
    """Return the arrays in float64, lists as a matrix and where they are, accumulators apart."""
    shape, lists, width = (network.n_features, network.n_classes), network.lists, network.width
    at = np.repeat(np.arange(shape[0]), np.diff(lists.starts)), lists.classes
    weights, is_on = np.zeros(shape), np.zeros(shape, bool)
    weights[at], is_on[at] = lists.weights, True
    arrays = {"lists": weights, "is_on": is_on}
    for name in ("b", "own", "b_hidden", "w_out"):
        arrays[name] = getattr(network, name).astype(float)
    w_in = network.w_in.astype(float)
    if w_in.shape[1] > width:  # it still learns
        arrays |= {"w_in squares": w_in[:, -1], "list squares": w_in[:, -2]}
    return arrays | {"w_in": w_in[:, :width]}


def shortlists(
    X: np.ndarray, classes: Sequence[Sequence[int]], n_classes: int, longest: int, spare: int
) -> tuple[list[dict[int, float]], np.ndarray]:
    """Return the weight of each class on each feature's list, and the classes' norms.

    Of a feature's classes the spare · longest of largest sum are looked at.
    """
    has = np.array([[c in row for c in range(n_classes)] for row in classes]).reshape(-1, n_classes)
    sums, is_seen = X.T @ has, (X != 0).T @ has
    norms = np.sqrt((sums**2).sum(axis=0))
    norms[norms == 0] = 1
    weights = sums / norms
    lists = []
    for f in range(X.shape[1]):
        seen = sorted(np.flatnonzero(is_seen[f]), key=lambda c, f=f: -sums[f, c])
        best = sorted(seen[: spare * longest], key=lambda c, f=f: -weights[f, c])
        lists.append({int(c): float(weights[f, c]) for c in best[:longest]})
    return lists, norms


def many_logits(
    w: dict[str, np.ndarray], x: np.ndarray, own: Iterable[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return the wide and the deep logits of a dense row, each of shape (n_classes,).

    ``w["lists"]`` holds the weights of features and classes, ``w["is_on"]`` which of them there
    are. What the row has put into the weights of its own classes is left out.
    """
    wide = w["b"] + x @ np.where(w["is_on"], w["lists"], 0)
    for c in own:
        wide[c] -= x**2 @ w["is_on"][:, c] * w["own"][c]
    return wide, w["w_out"] @ np.maximum(w["b_hidden"] + x @ w["w_in"], 0)


def many_loss(
    w: dict[str, np.ndarray],
    x: np.ndarray,
    classes: Sequence[int],
    active: np.ndarray,
    stands_for: np.ndarray,
) -> float:
    """Return the mean NLL (nats) of a row's classes; each active class stands for so many."""
    z = sum(many_logits(w, x, classes))
    return float(np.log(stands_for @ np.exp(z[active])) - z[list(classes)].mean())


def many_step(
    w: dict[str, np.ndarray],
    x: np.ndarray,
    classes: Sequence[int],
    active: np.ndarray,
    stands_for: np.ndarray,
    rates: dict[str, float],
) -> dict[str, np.ndarray]:
    """Return the arrays after one row: slopes by finite differences, then each path's formula."""

    def slope_of(name: str) -> np.ndarray:
        return slope(lambda: many_loss(w, x, classes, active, stands_for), w[name])

    after, g_b = dict(w), slope_of("b")
    is_listed = w["is_on"][x != 0].any(axis=0)
    after["list squares"] = w["list squares"] + x**2 * (g_b[is_listed] ** 2).sum() / FEW
    step = rates["lr"] / np.sqrt(after["list squares"] + EPS)
    after["lists"] = w["lists"] - step[:, None] * slope_of("lists")
    if w["w_in"].size:
        after["w_in"], after["w_in squares"] = adagrad(
            w["w_in"], w["w_in squares"], slope_of("w_in"), rates["lr"] * rates["deep"]
        )
    after["b"] = w["b"] - rates["lr"] * rates["bias"] * g_b
    after["b_hidden"] = w["b_hidden"] - rates["lr"] * rates["deep"] * slope_of("b_hidden")
    after["w_out"] = w["w_out"] - rates["lr"] * rates["out"] * slope_of("w_out")
    return after


def many_probas(
    w: dict[str, np.ndarray], x: np.ndarray, n_best: int, temperature: float
) -> np.ndarray:
    """Return the probabilities of all classes; the deep path is for the best listed ones."""
    wide, deep = many_logits(w, x)
    is_listed = w["is_on"][x != 0].any(axis=0)
    best = np.argsort(-np.where(is_listed, wide, -np.inf))[:n_best]
    if n_best < len(wide):
        best = best[is_listed[best]]
    wide[best] += deep[best]
    return softmax(wide / temperature)


# -- Hidden selection ------------------------------------------------------------------------------

_MASK = 2**64 - 1


def mix_bits(x: int) -> int:
    """Return SplitMix64's finaliser of 64 bits."""
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & _MASK
    return x ^ x >> 31


def hash_parts(x: int, salt: int) -> list[int]:
    """Return four numbers of 16 bits, the low bits first."""
    bits = mix_bits(((x + 1) * 0x9E3779B97F4A7C15 + salt) & _MASK)
    return [bits >> shift & 0xFFFF for shift in (0, 16, 32, 48)]


def vote_table(n_features: int, n_choices: int, salt: int) -> np.ndarray:
    """Return how often each feature votes for each block."""
    table = np.zeros((n_features, n_choices))
    for f in range(n_features):
        for part in hash_parts(f, salt):
            table[f, part * n_choices >> 16] += 1
    return table


def planes(n_features: int, n_planes: int, salt: int) -> np.ndarray:
    """Return the normals of sparse planes, shape (n_features, n_planes)."""
    normals = np.zeros((n_features, n_planes))
    for f in range(n_features):
        for part in hash_parts(2 * f, salt) + hash_parts(2 * f + 1, salt):
            normals[f, part * n_planes >> 16] += 1 if part & 1 else -1
    return normals


def winners(x: np.ndarray, present: np.ndarray, n_bins: int, salt: int) -> list[int | None]:
    """Return the slot of each bin's largest value of one vector, None where it has none."""
    slots: list[int | None] = [None] * n_bins
    largest = [-np.inf] * n_bins
    for f in np.flatnonzero(present):
        for part in hash_parts(int(f), salt):
            b = (part << 3 & 0xFFFF) * n_bins >> 16
            if x[f] > largest[b]:
                largest[b], slots[b] = x[f], part >> 13
    return slots


def borrow(slots: list[int | None], salt: int, n_probes: int) -> list[int]:
    """Return the slots with empty bins filled from those that their probes find first."""
    filled = []
    for b in range(len(slots)):
        found = [slots[b]]
        for probe in range(n_probes):
            found.append(slots[hash_parts(b * n_probes + probe, salt)[0] * len(slots) >> 16])
        filled.append(next((slot for slot in found if slot is not None), 0))
    return filled


def bucket_counts(digits: np.ndarray, base: int, n_tables: int, block: int) -> list[dict]:
    """Return for each table how many neurons each (bucket, block) holds."""
    tables: list[dict] = [{} for _ in range(n_tables)]
    for h, row in enumerate(digits):
        for table, part in zip(tables, np.split(row, n_tables), strict=True):
            key = int("".join(map(str, part)), base), h // block
            table[key] = table.get(key, 0) + 1
    return tables


def best_blocks(scores: np.ndarray, n_shared: int, n_active: int) -> list[int]:
    """Return the shared blocks and those of best score, of equal ones the first; ascending."""
    ranked = sorted(range(len(scores)), key=lambda b: (-scores[b], b))
    return [*range(n_shared), *sorted(n_shared + b for b in ranked[: n_active - n_shared])]


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
    if hasattr(copy, "prefetch"):
        copy.prefetch = lambda array, index: None  # an intrinsic, unless imported without the JIT
    return copy


# -- Labels ----------------------------------------------------------------------------------------


def dense_labels(targets: Targets, n_classes: int) -> np.ndarray:
    """Return whether each row has each class, shape (n_rows, n_classes); −1 is no class."""
    has = np.zeros((targets.n_rows, n_classes), bool)
    for row, c in zip(targets.rows, targets.ids, strict=True):
        if c >= 0:
            has[row, c] = True
    return has


def label_sets(probas: np.ndarray, thresholds: np.ndarray) -> list[list[int]]:
    """Return each row's classes that reach their thresholds, or the first, likeliest first."""
    sets = []
    for p in probas:
        ranked = sorted(range(len(p)), key=lambda c: (-p[c], c))
        reached = [c for c in ranked if len(thresholds) and p[c] >= thresholds[c]]
        sets.append(reached or ranked[:1])
    return sets


def micro_f1(chosen: np.ndarray, truth: np.ndarray) -> float:
    """Return F1 over all (row, class) pairs of two dense bool matrices."""
    return 2 * float((chosen & truth).sum()) / float(chosen.sum() + truth.sum())
