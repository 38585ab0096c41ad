"""The demo table: what its script writes, and hard enough to be worth a classifier."""

from __future__ import annotations

import csv
import runpy
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

DEMOS = Path(__file__).parents[1] / "demos"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(DEMOS / "make_reviews.py"))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with open(DEMOS / "reviews.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_script_writes_the_file_byte_for_byte(script):
    assert script["make_csv"]().encode() == (DEMOS / "reviews.csv").read_bytes()


def test_seed_decides_the_table(script):
    assert script["make_csv"](50, seed=1) == script["make_csv"](50, seed=1)
    assert script["make_csv"](50, seed=1) != script["make_csv"](50, seed=2)


def test_columns_and_size(rows):
    assert list(rows[0]) == ["text", "category", "price", "date", "verified", "label"]
    assert len(rows) == 5000
    assert (DEMOS / "reviews.csv").stat().st_size < 1_500_000


def test_labels_are_two_and_both_common(rows):
    counts = Counter(row["label"] for row in rows)
    assert set(counts) == {"positive", "negative"}
    assert min(counts.values()) > 0.4 * len(rows)


def test_texts_differ_and_have_3_to_120_words(rows):
    texts = [row["text"] for row in rows]
    assert len(set(texts)) == len(texts)
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) == 3
    assert 100 < max(lengths) <= 120


@pytest.mark.parametrize("column", ["category", "price", "date", "verified"])
def test_some_cells_are_missing(rows, column):
    missing = sum(row[column] == "" for row in rows) / len(rows)
    assert 0.005 < missing < 0.08


def test_cells_are_of_their_kind(script, rows):
    assert {row["category"] for row in rows} == {"", *script["PRICES"]}
    for row in rows:
        assert row["price"] == "" or 5 <= float(row["price"]) <= 190
        assert row["date"] == "" or "2022-01-03" <= row["date"] <= "2025-07-25"
        assert row["verified"] in ("", "yes", "no")


def test_no_trace_of_the_grammar_is_left(script):
    rng = Random(3)
    texts = [script["review"](rng)[0] for _ in range(5_000)]
    assert not [text for text in texts if set(text) & set("{}[]|~/")]
    assert not [text for text in texts if "  " in text or text != text.strip()]


def test_every_template_is_used_and_every_rule_exists(script):
    used = set(script["SHARES"])
    for templates in script["TEMPLATES"].values():
        for template in templates:
            used.update(part.split("}")[0].rstrip("~") for part in template.split("{")[1:])
    built_in = {"noun", "use", "clause", "own"}
    assert used - built_in == {name.rstrip("+-") for name in script["TEMPLATES"]}
    assert {len(aspect) for family in script["FAMILY_LIST"] for aspect in family} == {3}


def test_misspelt_words_stay_close(script):
    rng = Random(5)
    for word in ("battery", "which", "really"):
        for _ in range(50):
            wrong = script["misspell"](rng, word)
            assert abs(len(wrong) - len(word)) <= 1
            assert wrong[0] == word[0]


@pytest.mark.slow
def test_words_alone_get_most_rows_right_but_not_all(rows):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2))
    model = make_pipeline(words, LogisticRegression(C=10, solver="liblinear"))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    assert 0.86 < cross_val_score(model, texts, labels, cv=folds).mean() < 0.93


def test_price_tells_more_within_a_category(rows):
    """Dear electronics please, dear clothes do not: the price alone says little."""

    def gap(category: str) -> float:
        known = [row for row in rows if row["category"] == category and row["price"]]
        known.sort(key=lambda row: float(row["price"]))
        shares = [
            sum(row["label"] == "positive" for row in part) / len(part)
            for part in (known[: len(known) // 2], known[len(known) // 2 :])
        ]
        return shares[1] - shares[0]

    assert gap("electronics") > 0.2
    assert gap("clothing") < -0.2
    assert abs(gap("books")) < 0.15
