"""Files are written whole or not at all; JSON is JSON."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from udt.cli.output import (
    check_output,
    default_model_path,
    open_output,
    print_json,
    print_text,
)
from udt.errors import SettingsError


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("reviews.csv", "reviews.udt"),
        ("some/where/reviews.parquet", "reviews.udt"),
        ("reviews.2024.jsonl.zst", "reviews.2024.udt"),
        ("reviews.CSV.GZ", "reviews.udt"),
        ("reviews", "reviews.udt"),
        ("folder/", "folder.udt"),
        ("-", "model.udt"),
        ("parts/*.csv", "model.udt"),
        ("hf:owner/name", "name.udt"),
        ("hf:owner/name:config@train[:10%]", "name.udt"),
        ("/", "model.udt"),
        (".csv", "model.udt"),
    ],
)
def test_default_model_path(source: str, name: str) -> None:
    assert default_model_path(source) == Path(name)


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("text\nx\n")
    alias = tmp_path / "alias.csv"
    alias.symlink_to(table)
    with pytest.raises(SettingsError, match="read as input"):
        check_output(alias, force=True, inputs=[None, "-", str(table)])


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), open_output(path) as sink:
        sink.write(b"half" * (1 // 0))
    assert os.listdir(tmp_path) == ["out.csv"]
    assert path.read_text() == "before"
    with open_output(path) as sink:
        sink.write(b"whole")
    assert os.listdir(tmp_path) == ["out.csv"]
    assert path.read_text() == "whole"


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "out.csv"
    path.write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught, open_output(path) as sink:
        sink.write(b"after")
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == ["out.csv"]
    assert path.read_text() == "before"


def test_json_has_lists_for_arrays_and_null_for_nan(capsysbinary: pytest.CaptureFixture[bytes]):
    value = {
        "label": "스키 🎿",
        "confusion": np.eye(2, dtype=np.int64),
        "accuracy": np.float32(0.5),
        "log_loss": float("nan"),
        3: [np.bool_(True), np.int64(2), float("inf"), None],
    }
    print_json(value)
    written = capsysbinary.readouterr().out
    assert "스키 🎿".encode() in written
    assert json.loads(written) == {
        "label": "스키 🎿",
        "confusion": [[1, 0], [0, 1]],
        "accuracy": 0.5,
        "log_loss": None,
        "3": [True, 2, None, None],
    }


def test_text_survives_a_narrow_encoding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "ascii.txt").open("w", encoding="ascii") as narrow:
        monkeypatch.setattr("sys.stdout", narrow)
        print_text("1–3-grams × 64")
        monkeypatch.undo()
    assert (tmp_path / "ascii.txt").read_text() == "1?3-grams ? 64\n"
