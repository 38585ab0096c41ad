"""Several labels a row: found or said, learned, predicted, measured and kept."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import udt
from tests.api.conftest import quick
from udt import UDT
from udt.classifier import inspect
from udt.errors import DataError, OneClassOnly, SettingsError

WORDS = {"red": "rot", "green": "gruen", "blue": "blau", "dark": "dunkel", "soft": "weich"}


def make(n_rows: int, seed: int) -> tuple[list[str], list[list[str]]]:
    """Return texts that name what they are labelled with, and one to three labels of each."""
    rng = random.Random(seed)
    sets = [sorted(rng.sample(sorted(WORDS), rng.choice((1, 1, 2, 3)))) for _ in range(n_rows)]
    noise = ("it", "is", "a", "very", "thing")
    return [" ".join([*(WORDS[x] for x in s), *rng.choices(noise, k=3)]) for s in sets], sets


def joined(sets: list[list[str]], separator: str = ";") -> list[str]:
    return [separator.join(labels) for labels in sets]


TEXTS, SETS = make(400, seed=1)
NEW_TEXTS, NEW_SETS = make(100, seed=2)


@pytest.fixture(scope="module")
def model() -> UDT:
    """Return a model of a table whose target has a separator."""
    return quick(target="labels").fit({"text": TEXTS, "labels": joined(SETS)})


@pytest.fixture(scope="module")
def of_lists() -> UDT:
    """Return a model of the same rows, labelled with lists."""
    return quick().fit(TEXTS, SETS)


def as_sets(predictions: Any, separator: str = ";") -> list[set[str]]:
    return [set(p.split(separator) if isinstance(p, str) else p) for p in predictions]


# --- what comes back --------------------------------------------------------------------------


def test_a_separator_is_found_and_told(model: UDT) -> None:
    assert model.classes_.tolist() == sorted(WORDS)
    report = model.report_.to_dict()
    assert report["multi_label"] is True
    assert report["n_classes"] == 5
    (choice,) = [c for c in report["choices"] if c["what"] == "labels"]
    assert choice["value"] == "several a row, separated by ';'"
    assert choice["reason"].endswith("% of the rows have several of 5 labels")
    assert "all labels of a row right" in model.report_.to_text()


def test_predictions_are_written_as_they_came(model: UDT, of_lists: UDT) -> None:
    texts = model.predict(NEW_TEXTS)
    assert (texts.shape, texts.dtype) == ((100,), object)
    assert as_sets(texts) == [set(s) for s in NEW_SETS]
    lists = of_lists.predict(NEW_TEXTS)
    assert all(isinstance(labels, list) for labels in lists)
    assert as_sets(lists) == [set(s) for s in NEW_SETS]
    assert of_lists.predict("rot").tolist() == [["red"]]


def test_labels_are_sorted_by_probability(model: UDT) -> None:
    probas = model.predict_proba(NEW_TEXTS)
    columns = {label: i for i, label in enumerate(model.classes_)}
    for text, p in zip(model.predict(NEW_TEXTS), probas, strict=True):
        falling = [p[columns[label]] for label in text.split(";")]
        assert falling == sorted(falling, reverse=True)


def test_probabilities_are_independent(model: UDT) -> None:
    probas = model.predict_proba(["rot gruen blau", "it is", ""])
    assert probas.shape == (3, 5)
    assert probas[0].sum() > 2
    assert ((probas >= 0) & (probas <= 1)).all()


def test_every_row_has_a_label(model: UDT) -> None:
    assert all(model.predict(["", "unheard of", None]))


def test_top_k_is_by_probability(model: UDT) -> None:
    labels, probas = model.predict_top_k(NEW_TEXTS, k=3)
    assert labels.shape == probas.shape == (100, 3)
    assert (np.diff(probas, axis=1) <= 0).all()
    first = [text.split(";")[0] for text in model.predict(NEW_TEXTS)]
    assert labels[:, 0].tolist() == first


# --- measuring --------------------------------------------------------------------------------

KEYS = {
    "split", "n_rows", "accuracy", "macro_f1", "log_loss", "ece", "accuracy_ci95", "majority",
    "micro_f1", "precision_at_1", "precision_at_3", "recall_at_10",
}  # fmt: skip


def test_metrics_are_the_documented_ones(model: UDT) -> None:
    metrics = model.report_.metrics
    assert set(metrics) == KEYS
    assert metrics["micro_f1"] > 0.95
    assert 0 < metrics["majority"] < metrics["accuracy"]


def test_score_is_the_exact_match(model: UDT, of_lists: UDT) -> None:
    test = {"text": NEW_TEXTS, "labels": joined(NEW_SETS)}
    assert model.score(test) > 0.9
    backwards = [" ; ".join(reversed(labels)) for labels in NEW_SETS]
    assert model.score(NEW_TEXTS, backwards) == model.score(test)
    assert of_lists.score(NEW_TEXTS, NEW_SETS) > 0.9
    one_more = [[*labels, "unheard of"] for labels in NEW_SETS]
    assert of_lists.score(NEW_TEXTS, one_more) == 0
    weights = [2 if i < 50 else 0 for i in range(100)]
    first = of_lists.score(NEW_TEXTS[:50], NEW_SETS[:50])
    assert of_lists.score(NEW_TEXTS, NEW_SETS, sample_weight=weights) == pytest.approx(first)


def test_evaluate(model: UDT) -> None:
    labels = joined(NEW_SETS)
    labels[:3] = ["", "unheard of", "red;unheard of;never seen"]
    found = model.evaluate({"text": NEW_TEXTS, "labels": labels})
    assert set(found["metrics"]) == KEYS
    assert found["metrics"]["n_rows"] == 99
    assert found["n_unknown"] == 2
    assert found["labels"] == sorted(WORDS)
    assert "confusion" not in found
    assert "confused" not in found
    by_label = {c["label"]: c["n_rows"] for c in found["per_class"]}
    assert by_label["blue"] == sum("blue" in label for label in labels)
    assert found["metrics"]["accuracy"] <= 97 / 99


def test_a_test_table_is_what_is_measured() -> None:
    fitted = quick(target="labels").fit(
        {"text": TEXTS, "labels": joined(SETS)},
        test={"text": NEW_TEXTS, "labels": joined(NEW_SETS)},
        valid={"text": NEW_TEXTS, "labels": [*joined(NEW_SETS[:98]), "red;never seen", "other"]},
    )
    evaluated = fitted.evaluate({"text": NEW_TEXTS, "labels": joined(NEW_SETS)})
    assert fitted.report_.metrics == evaluated["metrics"]


# --- where labels come from -------------------------------------------------------------------


def test_lists_in_any_form(tmp_path: Path) -> None:
    columns = {"text": TEXTS, "labels": SETS}
    for table in (columns, pd.DataFrame(columns), pa.table(columns)):
        fitted = quick(target="labels", width=0).fit(table)
        assert fitted.classes_.tolist() == sorted(WORDS)
        assert sorted(fitted.predict(["rot und gruen"])[0]) == ["green", "red"]
        assert fitted.score(columns) > 0.9
    for y in (pa.array(SETS), pd.Series(SETS), [set(s) for s in SETS]):
        assert quick(width=0).fit(TEXTS, y).classes_.tolist() == sorted(WORDS)
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    of_file = quick(target="labels", width=0).fit(tmp_path / "t.parquet")  # joined by "|" there
    assert set(of_file.predict(["rot gruen"])[0].split("|")) == {"green", "red"}


def test_a_separator_that_the_user_sets() -> None:
    labels = joined(SETS, " / ")
    fitted = quick(target="labels", multi_label="/", width=0).fit({"text": TEXTS, "labels": labels})
    assert fitted.classes_.tolist() == sorted(WORDS)
    assert set(fitted.predict("rot gruen")[0].split("/")) == {"green", "red"}
    assert "set by the user" in fitted.report_.to_text()
    beside = quick(multi_label="/", width=0).fit(TEXTS, labels)
    assert beside.classes_.tolist() == sorted(WORDS)


def test_one_label_if_the_user_says_so() -> None:
    texts, labels = TEXTS * 2, joined(SETS) * 2
    fitted = quick(target="labels", multi_label=False, width=0).fit(
        {"text": texts, "labels": labels}
    )
    assert set(fitted.classes_) == set(labels)
    assert fitted.report_.multi_label is False
    assert "one a row" in fitted.report_.to_text()
    with pytest.raises(SettingsError, match="the labels are lists"):
        quick(multi_label=False).fit(TEXTS, SETS)


def test_repeats_blanks_and_empty_cells() -> None:
    labels = [f" {cell} ; {cell}" for cell in joined(SETS)]
    labels[:4] = ["", " ; ", None, "red"]
    fitted = quick(target="labels", width=0).fit({"text": TEXTS, "labels": labels})
    assert fitted.classes_.tolist() == sorted(WORDS)
    assert fitted.report_.n_rows == 397
    assert any("3 rows without a label left out" in w for w in fitted.report_.warnings)


def test_a_separator_that_no_row_has_is_warned_of() -> None:
    fitted = quick(multi_label="|", width=0).fit(TEXTS, [s[0] for s in SETS])
    assert fitted.report_.multi_label
    assert any("No row has several labels, separated by '|'" in w for w in fitted.report_.warnings)


def test_what_cannot_be_learned() -> None:
    with pytest.raises(OneClassOnly, match="every row is 'red'"):
        quick(multi_label=";").fit(TEXTS[:4], ["red;red"] * 4)
    with pytest.raises(DataError, match="list of labels"):
        quick().fit(TEXTS[:3], np.eye(3))
    with pytest.raises(DataError, match="labels are lists"):
        quick(width=0).fit(TEXTS, [s[0] for s in SETS]).score(TEXTS, SETS)


def test_a_column_that_tells_the_labels_is_warned_of() -> None:
    frame = {"text": TEXTS, "hint": [f"is {s}" for s in joined(SETS)], "labels": joined(SETS)}
    found = inspect(frame, "labels", categorical="hint")
    assert any("Column 'hint' alone tells the label" in w for w in found["facts"]["warnings"])


def test_inspect_tells_the_form() -> None:
    frame = {"text": TEXTS, "labels": joined(SETS)}
    facts = inspect(frame, "labels")["facts"]
    assert facts["multi_label"] is True
    assert facts["label_form"]["value"] == "several a row, separated by ';'"
    assert {c["label"] for c in facts["classes"]} == set(WORDS)
    assert sum(c["n_rows"] for c in facts["classes"]) == sum(map(len, SETS))
    facts = inspect(frame, "labels", multi_label=False)["facts"]
    assert facts["multi_label"] is False
    assert len(facts["classes"]) == len(set(joined(SETS)))
    assert inspect({**frame, "labels": SETS}, "labels")["facts"]["multi_label"] is True


# --- keeping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["model", "of_lists"])
def test_saved_and_loaded(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    fitted = request.getfixturevalue(which)
    fitted.save(tmp_path / "m.udt")
    loaded = udt.load(tmp_path / "m.udt")
    assert loaded.predict(NEW_TEXTS).tolist() == fitted.predict(NEW_TEXTS).tolist()
    np.testing.assert_array_equal(loaded.predict_proba(NEW_TEXTS), fitted.predict_proba(NEW_TEXTS))
    assert loaded.content_sha256_ == fitted.content_sha256_
    assert loaded.report_.multi_label


def test_a_seed_gives_the_same_model(of_lists: UDT) -> None:
    again = quick().fit(TEXTS, SETS)
    assert again.content_sha256_ == of_lists.content_sha256_
