"""A loaded model is the saved one: labels, probabilities bit for bit, parameters, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import udt
from tests.api.conftest import Rows, quick
from udt import UDT, params
from udt.errors import CorruptModel, ModelFileError, NotAModel, SettingsError
from udt.model_file import ModelContent, read_model, write_model


def saved(model: UDT, folder: Path) -> UDT:
    size = model.save(folder / "model.udt", overwrite=True)
    loaded = udt.load(folder / "model.udt")
    assert loaded.report_.size["model_bytes"] == size == (folder / "model.udt").stat().st_size
    return loaded


def test_the_same_in_all_that_shows(model: UDT, rows: Rows, tmp_path: Path) -> None:
    loaded = saved(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
    assert loaded.get_params() == model.get_params()
    assert loaded.schema_ == model.schema_
    assert loaded.report_.to_dict() == model.report_.to_dict()
    assert loaded.leaderboard_ == model.leaderboard_
    assert loaded.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert loaded.n_features_in_ == model.n_features_in_
    assert loaded.target_ == "label"
    assert loaded.content_sha256_ == model.content_sha256_
    assert loaded.evaluate(rows)["metrics"] == model.evaluate(rows)["metrics"]


LABELS: dict[str, Any] = {
    "text": ["a", "b"],
    "emoji": ["👍", "👎"],
    "whole numbers": [1, 2],
    "fractions": [0.5, 1.5],
    "booleans": [False, True],
    "fixed width": np.array(["no", "yes"]),
    "small numbers": np.array([1, 2], np.int8),
}


@pytest.mark.parametrize("what", LABELS)
def test_labels_of_any_type(rows: Rows, what: str, tmp_path: Path) -> None:
    two = np.asarray(LABELS[what])
    y = two[[int(label == "good") for label in rows["label"]]]
    y = y if isinstance(LABELS[what], np.ndarray) else y.tolist()
    model = quick(width=0).fit(rows["text"], y)
    loaded = saved(model, tmp_path)
    assert loaded.classes_.dtype == model.classes_.dtype
    for one in (model, loaded):
        back = one.predict(rows["text"])
        assert type(back.tolist()[0]) is type(two.tolist()[0])
        assert (back == y).mean() > 0.9


def test_a_loaded_model_can_be_fitted_and_saved_again(rows: Rows, tmp_path: Path) -> None:
    model = quick(target="label", random_state=np.random.RandomState(5)).fit(rows)
    loaded = saved(model, tmp_path)
    again = loaded.fit(rows)  # with the seed that was drawn
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert saved(again, tmp_path).content_sha256_ == model.content_sha256_


def test_a_model_of_an_array(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    model = quick(width=0).fit(X, (X[:, 0] > 0).astype(int))
    loaded = saved(model, tmp_path)
    assert not hasattr(loaded, "feature_names_in_")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_parameters_that_other_versions_have(text_model: UDT, tmp_path: Path) -> None:
    text_model.save(tmp_path / "m.udt")
    content = read_model(tmp_path / "m.udt")
    given = {**content.header["params"], "colour": "red"}
    del given["width"]
    header = {**content.header, "params": given}
    write_model(tmp_path / "n.udt", ModelContent(header, content.arrays, content.run))
    loaded = udt.load(tmp_path / "n.udt")
    assert loaded.get_params() == text_model.get_params()
    assert set(params.NAMES) == set(UDT().get_params())


def test_a_file_is_replaced_only_if_told(text_model: UDT, tmp_path: Path) -> None:
    text_model.save(tmp_path / "m.udt")
    with pytest.raises(SettingsError, match="overwrite=True"):
        text_model.save(tmp_path / "m.udt")
    text_model.save(str(tmp_path / "m.udt"), overwrite=True)


def test_what_is_no_model(tmp_path: Path, text_model: UDT) -> None:
    other = tmp_path / "other.udt"
    with pytest.raises(ModelFileError, match="does not exist"):
        udt.load(other)
    other.write_text("text,label\n")
    with pytest.raises(NotAModel, match="not a udt model"):
        udt.load(other)
    text_model.save(other, overwrite=True)
    other.write_bytes(other.read_bytes()[:-5])
    with pytest.raises(CorruptModel):
        udt.load(str(other))


@pytest.mark.parametrize(
    ("part", "value"),
    [("params", None), ("classes_dtype", "<x9"), ("columns", [{}]), ("head", None)],
)
def test_parts_that_are_not_understood(
    text_model: UDT, tmp_path: Path, part: str, value: Any
) -> None:
    text_model.save(tmp_path / "m.udt")
    content = read_model(tmp_path / "m.udt")
    header = {**content.header, part: value}
    write_model(tmp_path / "n.udt", ModelContent(header, content.arrays, content.run))
    with pytest.raises(ModelFileError, match=r"n\.udt has parts that this udt"):
        udt.load(tmp_path / "n.udt")
