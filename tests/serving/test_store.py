"""A replaced model file is taken up; a broken one is not."""

from __future__ import annotations

import os
import shutil

import pytest

from udt.errors import ModelFileError
from udt.serving.store import ModelStore


@pytest.fixture
def store(model_file, tmp_path) -> ModelStore:
    shutil.copy(model_file, tmp_path / "m.udt")
    said: list[str] = []
    store = ModelStore(tmp_path / "m.udt", said.append)
    store.said = said
    return store


def look_twice(store) -> None:
    store.check()
    store.check()


def test_a_file_that_stays_is_left_alone(store):
    before = store.served
    look_twice(store)
    assert store.served is before
    assert store.said == []


def test_a_replaced_file_takes_the_place(store, other_model_file, tmp_path):
    before = store.served
    shutil.copy(other_model_file, tmp_path / "new")
    os.replace(tmp_path / "new", store.path)
    look_twice(store)
    assert store.served.sha256 != before.sha256
    assert store.served.answerer.model.target == "fruit"
    assert (store.n_replaced, store.n_failed, store.problem) == (1, 0, None)
    assert "was replaced" in store.said[0]


def test_a_file_that_is_still_being_written_is_waited_for(store, other_model_file):
    content = other_model_file.read_bytes()
    for n in (100, len(content) // 2):
        store.path.write_bytes(content[:n])
        store.check()
    assert store.said == []
    store.path.write_bytes(content)
    look_twice(store)
    assert store.served.answerer.model.target == "fruit"
    assert store.n_failed == 0


@pytest.mark.parametrize("content", [b"", b"not a model", None], ids=["empty", "text", "cut off"])
def test_a_broken_file_keeps_the_old_model_and_says_so_once(store, content):
    before = store.served
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:-1] if content is None else content)
    for _ in range(4):
        store.check()
    assert store.served is before
    assert (store.n_replaced, store.n_failed) == (0, 1)
    assert store.problem.endswith("The model of before is still served.")
    assert store.said == [store.problem]
    store.path.write_bytes(whole)
    look_twice(store)
    assert (store.n_replaced, store.problem) == (1, None)


def test_a_file_that_vanishes_keeps_the_old_model(store):
    before = store.served
    store.path.unlink()
    look_twice(store)
    assert store.served is before
    assert "does not exist" in store.problem


def test_without_a_usable_file_there_is_nothing_to_serve(tmp_path):
    with pytest.raises(ModelFileError, match="does not exist"):
        ModelStore(tmp_path / "m.udt", print)
