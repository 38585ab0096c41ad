"""Explanations: they sum to the logit, point the right way, and can be read."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.api.conftest import as_dicts, make_rows, quick
from tests.pages import read
from tests.strategies import texts
from udt import UDT
from udt.errors import DataError, SettingsError
from udt.explanation import ClassExplanation, Explanation

NEAR = 1e-4
REVIEWS = Path(__file__).parents[2] / "demos" / "reviews.csv"


def total(c: ClassExplanation) -> float:
    return c.bias + sum(s.weight for s in c.spans) + sum(x.weight for x in c.columns)


def check_sums(model: UDT, row: object, found: Explanation) -> None:
    probas = model.predict_proba([row] if isinstance(row, dict) else row)[0]
    for c in found.classes:
        p = float(probas[list(model.classes_).index(c.label)])
        assert total(c) == pytest.approx(c.logit, abs=NEAR)
        assert 1 / (1 + math.exp(-c.logit)) == pytest.approx(p, abs=1e-5)
        assert c.probability == pytest.approx(p, abs=1e-5)


def test_words_and_columns_sum_to_the_logit(model):
    for row in as_dicts(make_rows(40, seed=3)):
        found = model.explain(row)
        check_sums(model, row, found)
        assert found.prediction == model.predict([row])[0]
        assert found.probability == pytest.approx(model.predict_proba([row])[0].max(), abs=1e-6)
        assert {x.column for x in found.classes[0].columns} <= {"shop", "price"}


@settings(max_examples=50)
@given(texts)
def test_any_text_is_explained(text_model, text):
    found = text_model.explain(text)
    check_sums(text_model, [text], found)
    for s in found.classes[0].spans:
        assert found.texts[s.column][s.start : s.end] == s.text != ""


def test_what_is_missing_is_explained_too(model):
    found = model.explain({"text": None, "shop": None, "price": None})
    check_sums(model, {"text": None, "shop": None, "price": None}, found)
    assert all(x.value is None for x in found.classes[0].columns)
    assert not found.classes[0].spans


def test_words_point_to_their_class(text_model):
    found = text_model.explain("it is good and the thing is lovely", label="good")
    (c,) = found.classes
    weights = {s.text: s.weight for s in c.spans}
    assert c.label == "good"
    assert min(weights["good"], weights["lovely"]) > 0.2
    assert min(weights["good"], weights["lovely"]) > max(weights["it"], weights["thing"])
    against = text_model.explain("it is good and the thing is lovely", label="bad").classes[0]
    assert {s.text: s.weight for s in against.spans}["good"] == pytest.approx(-weights["good"])


def without(text: str, start: int, end: int) -> str:
    return text[:start] + text[end:]


def test_deleting_the_top_word_moves_the_probability_the_right_way():
    """On rows that were not learned from; of the shipped table a part, so that it is quick."""
    import csv

    with REVIEWS.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)][:1_500]
    model = quick().fit([t for t, _ in rows[:1_200]], [y for _, y in rows[:1_200]])
    shorter, before, columns = [], [], []
    for text, _ in rows[1_200:]:
        c = model.explain(text).classes[0]
        top = max(c.spans, key=lambda s: abs(s.weight))
        shorter.append(without(text, top.start, top.end))
        before.append((c.probability, top.weight))
        columns.append(list(model.classes_).index(c.label))
    after = model.predict_proba(shorter)[np.arange(len(shorter)), columns]
    moved = [(p - q) * w > 0 for (p, w), q in zip(before, after.tolist(), strict=True)]
    assert np.mean(moved) >= 0.9


def test_several_labels_are_explained_each(rows):
    several = [f"{y};{s}" for y, s in zip(rows["label"], rows["shop"], strict=True)]
    model = quick(multi_label=";").fit(rows["text"], several)
    found = model.explain(rows["text"][0])
    assert found.prediction == model.predict(rows["text"][:1])[0]
    check_sums(model, rows["text"][:1], found)
    assert len(found.classes) == 4
    assert found.classes[0].probability == max(c.probability for c in found.classes)


def test_the_dict_is_json_and_says_what_it_promises(model):
    row = as_dicts(make_rows(1, seed=5))[0]
    told = json.loads(json.dumps(model.explain(row).to_dict()))
    assert {"prediction", "probability", "classes"} <= told.keys()
    for c in told["classes"]:
        assert {"label", "logit", "bias", "spans", "columns"} <= c.keys()
        assert all(s.keys() == {"column", "start", "end", "text", "weight"} for s in c["spans"])
        assert all(s.keys() == {"column", "value", "weight"} for s in c["columns"])


def test_labels_that_are_numbers(rows):
    model = quick().fit(rows["text"], [int(y == "good") for y in rows["label"]])
    told = model.explain(rows["text"][0], label=1).to_dict()
    assert told["classes"][0]["label"] == 1
    assert json.dumps(told)


def test_ngrams_name_what_is_written(text_model):
    text = "good. It works, lovely"
    ngrams = text_model.explain(text, label="good").classes[0].ngrams
    weights = [abs(n.weight) for n in ngrams]
    assert weights == sorted(weights, reverse=True)
    assert {n.kind for n in ngrams} <= {"word", "phrase", "characters"}
    for n in ngrams:
        assert n.text.removeprefix("[start] ").removesuffix(" [end]") in text


@pytest.mark.parametrize("text", ['good <script>alert(1)</script> & it\'s "lovely"', "a\n" * 9_000])
def test_html_is_well_formed_and_shows_the_text(text_model, text):
    html = text_model.explain(text)._repr_html_()
    assert "<script" not in html
    assert "http" not in html
    assert text[:12].split("\n")[0] in read(html)


def test_text_for_people(model):
    row = as_dicts(make_rows(1, seed=5))[0]
    found = model.explain(row)
    plain, colored = found.to_text(), found.to_text(color=True)
    assert str(found) == plain
    assert "\x1b[" not in plain
    assert "\x1b[" in colored
    assert "logit" in plain
    assert max(map(len, plain.splitlines())) <= 100
    assert all(word in plain for word in row["text"].split())


def test_one_row_at_a_time(text_model):
    with pytest.raises(DataError, match=r"has 2 rows to explain\. Expected one"):
        text_model.explain(["good", "bad"])


def test_an_unknown_label_is_named(text_model):
    with pytest.raises(SettingsError, match=r"bad, good.*Did you mean 'good'"):
        text_model.explain("good", label="goood")
