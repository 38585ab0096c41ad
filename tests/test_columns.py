"""Columns that say the same as another one, or what the label says."""

from __future__ import annotations

import numpy as np
import pytest

from udt.columns import codes_of, purity, same_columns, tells
from udt.featurizers.infer import infer_schema
from udt.featurizers.schema import ColumnSchema
from udt.table import as_table

N = 600
RNG = np.random.default_rng(0)
PRICE = RNG.lognormal(3, 1, N)
GRADE = RNG.choice(["low", "mid", "high"], N, p=[0.5, 0.3, 0.2])
LETTER = {"low": "C", "mid": "B", "high": "A"}


def pairs(**columns):
    table = as_table({name: list(cells) for name, cells in columns.items()})
    schema = infer_schema({name: table.column(name) for name in table.names})
    return list(same_columns(table, schema))


def test_a_column_in_other_words_is_found():
    assert pairs(grade=GRADE, letter=[LETTER[g] for g in GRADE]) == [("grade", "letter")]


def test_numbers_in_another_unit_are_found():
    falling = [f"{1000 - 3 * p:.4f}" for p in PRICE]
    assert pairs(price=PRICE, rest=falling) == [("price", "rest")]
    cents = [f"${p * 100:,.2f}" for p in PRICE]
    assert pairs(price=PRICE, cents=cents) == [("price", "cents")]


def test_a_category_and_its_number_are_found():
    number = [{"low": 1, "mid": 2, "high": 3}[g] for g in GRADE]
    assert pairs(grade=GRADE, number=number) == [("grade", "number")]


def test_copied_texts_are_found():
    texts = [f"letter {i} of somebody to {i * 7} others" for i in range(N)]
    assert pairs(one=texts, two=texts) == [("one", "two")]


def test_a_group_of_three_is_told_as_two():
    assert pairs(a=PRICE, b=PRICE * 2, c=PRICE * 3) == [("a", "b"), ("a", "c")]


@pytest.mark.parametrize(
    "other",
    [
        RNG.lognormal(3, 1, N),
        PRICE + RNG.normal(0, 3, N),
        np.where(np.arange(N) < 3, 1, 0),
        [f"text {i} that is its own" for i in range(N)],
        [None] * (N - 4) + [1.5, 2.5, 3.5, 4.5],
        ["yes"] * (N - 1) + ["no"],
    ],
)
def test_columns_of_their_own_are_not_suspected(other):
    assert pairs(price=PRICE, other=other) == []
    assert pairs(rare=np.where(np.arange(N) == 9, 5, 0), other=other) == []


def test_codes_are_the_same_for_what_says_the_same():
    described = ColumnSchema("c", "categorical", "")
    table = as_table({"c": ["3", "3.0", " 3 ", "n/a", None, "4"]})
    codes = codes_of(table.column("c"), described).tolist()
    assert codes[0] == codes[1] == codes[2]
    assert codes[3] == codes[4] == 0
    assert len(set(codes)) == 3


def test_a_threshold_on_numbers_that_never_repeat_is_found_out():
    described = ColumnSchema("score", "numeric", "")
    score = as_table({"score": RNG.normal(size=5_000)}).column("score")
    labels = (score.to_numpy() > 0.3).astype(np.int64)
    assert tells(codes_of(score, described), labels) > 0.99
    noisy = np.where(RNG.random(5_000) < 0.1, 1 - labels, labels)
    assert tells(codes_of(score, described), noisy) == 0
    assert tells(codes_of(score, described), RNG.integers(0, 2, 5_000)) == 0


def test_the_most_frequent_label_alone_is_not_told():
    labels = np.where(np.arange(1_000) < 4, 1, 0)
    assert purity(RNG.integers(0, 5, 1_000), labels) > 0.99
    assert tells(RNG.integers(0, 5, 1_000), labels) == 0


def test_values_that_hardly_repeat_prove_nothing():
    assert purity(np.arange(100), RNG.integers(0, 2, 100)) == 0


@pytest.mark.parametrize("cells", [[None] * 50, [float("inf")] * 50, [1e308, -1e308] * 25])
def test_odd_numbers_have_codes(cells):
    table = as_table({"n": cells})
    assert len(codes_of(table.column("n"), ColumnSchema("n", "numeric", ""))) == 50
