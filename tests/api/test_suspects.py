"""Labels that a model disputes: planted mistakes are found, and little else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.api.test_learning import texts_of
from udt import UDT
from udt.errors import TargetNotFound
from udt.suspects import HELD_OUT, SEEN, find_suspects


def planted(rng: np.random.Generator, n: int = 400) -> tuple[list[str], list[str], set[int]]:
    labels = rng.choice(["good", "bad"], n).tolist()
    X = texts_of(rng, labels, clear=1.0)
    wrong = set(rng.choice(n, n // 40, replace=False).tolist())
    given = [
        ("bad" if label == "good" else "good") if i in wrong else label
        for i, label in enumerate(labels)
    ]
    return X, given, wrong


def test_planted_mistakes_are_found_in_the_training_table(rng, tmp_path: Path):
    X, y, wrong = planted(rng)
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"{x},{c}\n" for x, c in zip(X, y, strict=True)))
    model = UDT("label", random_state=0, n_threads=1).fit(path)
    found = find_suspects(model._model, str(path), path=str(path))
    assert found["judge"] == HELD_OUT
    assert found["n_rows"] == 400
    rows = {s["row"] - 1 for s in found["suspects"]}
    assert len(rows & wrong) >= 0.8 * len(wrong)
    assert len(rows - wrong) <= len(wrong) // 2
    for s in found["suspects"]:
        assert s["line"] == s["row"] + 1
        assert s["label"] == y[s["row"] - 1] != s["suggested"]
        assert s["p_suggested"] >= 9 * s["p_label"]
    odds = [s["p_suggested"] / s["p_label"] for s in found["suspects"]]
    assert odds == sorted(odds, reverse=True)


def test_few_new_rows_are_judged_by_the_model_itself(rng):
    X, y, _ = planted(rng)
    model = UDT(random_state=0, n_threads=1).fit({"text": X}, y)
    table = {"text": ["good fine lovely", "bad poor", "fine"], "y": ["bad", "bad", None]}
    found = find_suspects(model._model, table)
    assert found["judge"] == SEEN
    assert found["n_rows"] == 2
    assert [(s["row"], s["line"], s["suggested"]) for s in found["suspects"]] == [(1, None, "good")]
    with pytest.raises(TargetNotFound):
        find_suspects(model._model, {"text": ["good"]})


def test_of_several_labels_the_one_that_is_wrong(rng):
    X, y, _ = planted(rng)
    marks = ["short" if len(x.split()) < 6 else "long" for x in X]
    both = [f"{label};{mark}" for label, mark in zip(y, marks, strict=True)]
    model = UDT(multi_label=";", random_state=0, n_threads=1).fit({"text": X}, both)
    table = {"text": ["good fine lovely it the so", "bad poor broken it the"], "y": ["bad", "bad"]}
    found = find_suspects(model._model, table)["suspects"]
    pairs = {(s["row"], s["label"], s["suggested"]) for s in found}
    assert (1, "bad", None) in pairs or (1, None, "good") in pairs
    assert not any(label == "bad" for row, label, _ in pairs if row == 2)
