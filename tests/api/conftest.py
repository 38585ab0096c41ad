"""A small table of every kind of column whose label can be learned, and a model of it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from udt import UDT

WORDS = {"good": ("good", "fine", "lovely", "works"), "bad": ("bad", "poor", "broken", "late")}

Rows = dict[str, list[Any]]


def make_rows(n_rows: int, seed: int) -> Rows:
    """Return columns text, shop, price (missing in places) and label."""
    rng = random.Random(seed)
    rows: Rows = {"text": [], "shop": [], "price": [], "label": []}
    for _ in range(n_rows):
        label = rng.choice(("good", "bad"))
        words = rng.choices(WORDS[label], k=3) + rng.choices(("it", "the", "thing", "a"), k=4)
        rng.shuffle(words)
        rows["text"].append(" ".join(words))
        rows["shop"].append(rng.choice(("north", "south")))
        rows["price"].append(None if rng.random() < 0.1 else round(rng.uniform(1, 90), 2))
        rows["label"].append(label)
    return rows


def as_dicts(rows: Rows) -> list[dict[str, Any]]:
    """Return the same rows, a dict each."""
    return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]


def quick(**params: Any) -> UDT:
    """Return an estimator that is reproducible and leaves other cores alone."""
    return UDT(**{"random_state": 0, "n_threads": 1, **params})


@pytest.fixture
def rows() -> Rows:
    """Return fresh columns of 120 rows."""
    return make_rows(120, seed=1)


@pytest.fixture(scope="session")
def model() -> UDT:
    """Return a model of such a table; not to be changed."""
    return quick(target="label").fit(make_rows(120, seed=1))


@pytest.fixture(scope="session")
def text_model() -> UDT:
    """Return a model of bare texts; not to be changed."""
    rows = make_rows(120, seed=1)
    return quick().fit(rows["text"], rows["label"])


def rows_for_trees() -> dict[str, list[object]]:
    """Return rows whose label two numbers decide together, which a network finds hard."""
    rng = random.Random(4)
    rows: dict[str, list[object]] = {"note": [], "left": [], "right": [], "noise": [], "label": []}
    for _ in range(800):
        left, right = rng.uniform(-1, 1), rng.uniform(-1, 1)
        rows["note"].append(" ".join(rng.choices(("red", "green", "blue", "small"), k=5)))
        rows["left"].append(left)
        rows["right"].append(right)
        rows["noise"].append(rng.uniform(0, 9))
        rows["label"].append("same" if left * right > 0 else "other")
    return rows
