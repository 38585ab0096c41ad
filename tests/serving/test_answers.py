"""Answers hold what the library predicts, whatever other requests are in the batch."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.serving.conftest import ROW
from udt.classifier import UDT
from udt.model import Model, load_model
from udt.serving.answers import DEFAULT_TOP_K, MAX_TOP_K, Answerer
from udt.serving.batches import Job
from udt.serving.rows import InvalidRows

ROWS = [
    ROW,
    {"text": "poor and broken, late"},
    {"text": "the thing", "price": None, "shop": "elsewhere"},
    {"price": 3, "tags": ["gift", "used"]},
]


def job(rows, wish=None) -> Job:
    return Job(rows, wish, done=None)  # nobody waits for it


def parse(answer: str) -> list[dict]:
    return json.loads(f"[{answer}]")


def answer(model: Model, rows, wish=None) -> list[dict]:
    (found,) = Answerer(model).predict([job(rows, wish)])
    if isinstance(found, Exception):
        raise found
    return parse(found)


@pytest.fixture(scope="module")
def model(model_file) -> Model:
    return load_model(model_file)


@pytest.fixture(scope="module")
def several() -> Model:
    """Return a model whose rows may have several labels."""
    texts = [f"{a} {b}" for a in ("ball", "vote", "song") for b in ("ball", "vote", "song")] * 8
    names = {"ball": "sport", "vote": "politics", "song": "music"}
    labels = [";".join(sorted({names[w] for w in text.split()})) for text in texts]
    return UDT(random_state=0, multi_label=";").fit(texts, labels)._model


@pytest.fixture(scope="module")
def many() -> Model:
    """Return a model of more classes than an answer tells of."""
    words = [f"word{i}" for i in range(130)]
    return UDT(random_state=0).fit([f"{w} x" for w in words] * 4, list(range(130)) * 4)._model


def test_predictions_are_the_librarys(model):
    rows = [{**dict.fromkeys(ROW), **row} for row in ROWS]
    rows[3]["tags"] = "gift|used"
    told = answer(model, ROWS)
    probas = model.predict_proba(rows)
    assert [t["label"] for t in told] == model.predict(rows).tolist()
    for t, proba in zip(told, probas, strict=True):
        found = [t["proba"][label] for label in model.classes]
        np.testing.assert_allclose(found, proba, rtol=1e-5)
        assert list(t["proba"].values()) == sorted(t["proba"].values(), reverse=True)


def test_answers_do_not_depend_on_the_rest_of_the_batch(model):
    answerer = Answerer(model)
    jobs = [job(ROWS[:1]), job([{"text": "x", "price": "bad"}]), job(ROWS, 1), job(ROWS[1:3])]
    together = answerer.predict(jobs)
    assert isinstance(together[1], InvalidRows)
    for i in (0, 2, 3):
        assert together[i] == answerer.predict([jobs[i]])[0]
    assert [len(parse(together[i])) for i in (0, 2, 3)] == [1, 4, 2]
    assert {len(t["proba"]) for t in parse(together[2])} == {1}


def test_a_batch_of_nothing_but_errors(model):
    bad = job([{"nothing": 1}])
    assert all(isinstance(a, InvalidRows) for a in Answerer(model).predict([bad, bad]))


def test_several_labels_come_as_a_list(several):
    (told,) = answer(several, [{"text": "ball song"}])
    assert sorted(told["label"]) == ["music", "sport"]
    assert set(told["proba"]) == {"music", "politics", "sport"}
    assert told["proba"]["sport"] + told["proba"]["music"] > 1  # each a question of its own


def test_of_many_classes_only_the_likeliest_are_told(many):
    (told,) = answer(many, [{"text": "word7 x"}])
    assert told["label"] == 7
    assert len(told["proba"]) == DEFAULT_TOP_K
    assert next(iter(told["proba"])) == "7"
    assert len(answer(many, [{"text": "word7 x"}], 3)[0]["proba"]) == 3
    assert len(answer(many, [{"text": "word7 x"}], 130)[0]["proba"]) == MAX_TOP_K


@pytest.mark.parametrize(
    "labels",
    [[True, False], [1.5, 2.5], ['say "no"', "日本\n\u2028"]],
    ids=["booleans", "fractions", "texts that JSON escapes"],
)
def test_labels_are_what_the_user_wrote(labels):
    texts = ["good day", "bad night"] * 20
    model = UDT(random_state=0).fit(texts, labels * 20)._model
    told = answer(model, [{"text": "good day"}, {"text": "bad night"}])
    assert [t["label"] for t in told] == labels
    assert {type(t["label"]) for t in told} == {type(labels[0])}
    assert set(told[0]["proba"]) == set(map(str, labels))


def test_explanations_add_up_and_bear_their_label(model):
    (told,) = Answerer(model).explain([job(ROWS[:1])])
    (one,) = parse(told)
    assert str(one["prediction"]) in {str(c["label"]) for c in one["classes"]}
    for c in one["classes"]:
        parts = [*c["spans"], *c["columns"]]
        assert c["bias"] + sum(p["weight"] for p in parts) == pytest.approx(c["logit"], abs=1e-3)
        for span in (s for s in c["spans"] if s["column"] == "text"):
            assert ROW["text"][span["start"] : span["end"]] == span["text"]


def test_explanations_of_several_labels_and_of_many_classes(several, many):
    for model, text, label in ((several, "ball song", "music"), (many, "word7 x", "7")):
        plain, asked = Answerer(model).explain(
            [job([{"text": text}]), job([{"text": text}], label)]
        )
        assert label in {str(c["label"]) for c in parse(plain)[0]["classes"]}
        assert [str(c["label"]) for c in parse(asked)[0]["classes"]] == [label]


def test_an_explanation_that_cannot_be_given_is_an_error(model):
    jobs = [job([{"price": "x"}]), job(ROWS[:1], "god"), job(ROWS[:1], ["good"])]
    unreadable, unknown, no_label = Answerer(model).explain(jobs)
    assert isinstance(unreadable, InvalidRows)
    assert "'label' is 'god'. Expected one of the classes" in str(unknown)
    assert "Did you mean 'good'?" in str(unknown)
    assert isinstance(no_label, InvalidRows)
