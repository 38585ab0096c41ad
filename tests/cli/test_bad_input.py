"""Whatever is wrong: one sentence, the right exit code, and no file written or changed."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

WORDS = ("bad poor", "good fine")
GOOD = "".join(f"{WORDS[i % 2]} thing {i},{'ny'[i % 2]}\n" for i in range(60))
HEADER = "text,label\n"


def snapshot(folder: Path = Path()) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def refused(result: Any, code: int, *parts: str) -> None:
    """Check that a command ended with this code and one sentence that has these parts."""
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("udt: ")
    assert "Unexpected" not in line
    assert "Traceback" not in line
    for part in parts:
        assert part in line


TABLES: dict[str, tuple[bytes, int, tuple[str, ...]]] = {
    "empty file": (b"", 3, ("t.csv", "empty")),
    "header only": (b"text,label\n", 3, ("t.csv", "header")),
    "binary rubbish": (bytes(range(256)) * 40, 3, ("t.csv", "binary")),
    "not UTF-8": (HEADER.encode() + b"fine,y\ncaf\xe9,n\n", 3, ("line 3", "UTF-8")),
    "ragged": (f"{HEADER}a,y\nb,n,z\nc,y\n".encode(), 3, ("line 3",)),
    "target in another case": (f"text,Label\n{GOOD}".encode(), 2, ("Did you mean 'Label'?",)),
    "target misspelt": (f"text,lable\n{GOOD}".encode(), 2, ("Did you mean 'lable'?",)),
    "target all missing": (f"{HEADER}a,\nb,\nc,\n".encode(), 3, ("label",)),
    "one class": (f"{HEADER}a,y\nb,y\nc,y\n".encode(), 3, ("label", "y")),
    "a row for each class": (f"{HEADER}aa bb,p\ncc dd,q\nee ff,r\n".encode(), 3, ("label",)),
    "texts all null": (f"{HEADER},y\n,n\n,y\n,n\n".encode(), 3, ("text",)),
    "no column but the target": (b"label\ny\nn\ny\nn\n", 3, ("label",)),
    "all columns constant": (f"{HEADER}a,y\na,n\na,y\na,n\n".encode(), 3, ("text",)),
    "a whole number for each row": (
        (HEADER + "".join(f"thing {i},{i * 7919 % 1009}\n" for i in range(300))).encode(),
        3,
        ("label", "regression"),
    ),
    "a decimal number for most rows": (
        (HEADER + "".join(f"thing {i},{i // 2 * 1.37:.2f}\n" for i in range(300))).encode(),
        3,
        ("label", "regression"),
    ),
}


@pytest.mark.parametrize("what", TABLES)
def test_table(run: Run, what: str) -> None:
    data, code, parts = TABLES[what]
    Path("t.csv").write_bytes(data)
    before = snapshot()
    refused(run("train", "t.csv", "--target", "label"), code, *parts)
    assert snapshot() == before


def test_a_number_as_a_columns_name(run: Run) -> None:
    Path("t.csv").write_text("text,2023\n" + GOOD)
    refused(run("train", "t.csv", "--target", "2024"), 2, "'2024'", "Did you mean '2023'?")


def test_missing_file(run: Run) -> None:
    Path("reviews.csv").write_text(HEADER + GOOD)
    result = run("train", "review.csv", "--target", "label")
    refused(result, 3, "review.csv", "Did you mean 'reviews.csv'?")
    assert os.listdir() == ["reviews.csv"]


def test_directory_without_parquet(run: Run) -> None:
    Path("folder").mkdir()
    refused(run("train", "folder", "--target", "label"), 3, "folder", "Parquet")
    assert os.listdir() == ["folder"]


@pytest.mark.parametrize("flag", ["--test", "--valid"])
def test_a_second_table_is_refused_before_training(run: Run, flag: str) -> None:
    Path("t.csv").write_text(HEADER + GOOD)
    Path("other.csv").write_text("text,other\n" + GOOD)
    before = snapshot()
    args = ("train", "t.csv", "--target", "label", flag)
    refused(run(*args, "nowhere.csv"), 3, "nowhere.csv")
    refused(run(*args, "other.csv"), 2, "label", "other.csv")
    assert snapshot() == before


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (("--region", "us-west-9"), ("us-west-9", "us-west-1")),
        (("--instance", "r6g.xlrge"), ("r6g.xlrge", "r6g.xlarge")),
        (("--country", "Germny"), ("Germny", "Germany")),
        (("--time-limit", "soon"), ("'soon'", "5m")),
        (("--time-limit", "-5"), ("-5",)),
        (("--width", "-1"), ("width", "-1")),
        (("--sparsity", "0.01"), ("sparsity", "0.01", "'auto'")),
        (("--sparsity", "low"), ("sparsity", "'low'", "'auto'")),
        (("--selector", "best"), ("selector", "'best'", "router")),
        (("--multi-label", ""), ("multi_label", "''", "';'")),
        (("--threads", "0"), ("threads", "0")),
        (("--seed", "-1"), ("-1",)),
        (("--text", "txet"), ("'txet'", "Did you mean 'text'?")),
        (("--ignore", "texts"), ("'texts'", "Did you mean 'text'?")),
        (("--multi", "text"), ("COL:SEP",)),
        (("--text", "label"), ("'label'",)),
    ],
)
def test_flag_values(run: Run, flags: tuple[str, ...], parts: tuple[str, ...]) -> None:
    Path("t.csv").write_text(HEADER + GOOD)
    before = snapshot()
    refused(run("train", "t.csv", "--target", "label", *flags), 2, *parts)
    assert snapshot() == before


def test_output_that_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("t.csv").write_text(HEADER + GOOD)
    Path("t.udt").write_text("precious")
    before = snapshot()
    args = ("train", "t.csv", "--target", "label")
    refused(run(*args), 2, "t.udt", "--force")
    refused(run(*args, "-o", "no/where/m.udt"), 2, "no/where")
    refused(run(*args, "-o", "."), 2, "not a file")
    refused(run(*args, "-o", "t.csv", "--force"), 2, "t.csv", "input")
    assert snapshot() == before


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_read_only_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    Path("t.csv").write_text(HEADER + GOOD)
    before = snapshot()
    monkeypatch.setattr("udt.model_file._temporary_beside", refuse)  # root may write anywhere
    result = run("train", "t.csv", "--target", "label")
    refused(result, 1, "t.udt", "Permission denied")
    assert snapshot() == before


def test_disk_full_at_the_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("t.csv").write_text(HEADER + GOOD)
    Path("t.udt").write_text("precious")
    before = snapshot()
    monkeypatch.setattr(os, "fsync", full)
    result = run("train", "t.csv", "--target", "label", "--force")
    refused(result, 1, "t.udt", "No space left on device")
    after = snapshot()
    assert after.pop(".t.udt.search"), "what was found would be lost; --resume goes on from it"
    assert after == before


# --- Model files -------------------------------------------------------------------------------


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def altered(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def newer(data: bytes) -> bytes:
    head = data[:8] + struct.pack("<I", 99) + data[12:76]
    return head + struct.pack("<I", zlib.crc32(head)) + data[80:]


MODELS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (truncated, "damaged"),
    "altered": (altered, "damaged"),
    "newer": (newer, "Upgrade"),
    "something else": (lambda data: b"text,label\nx,y\n", "not a udt model"),
    "empty": (lambda data: b"", "empty"),
}


@pytest.mark.parametrize("command", ["predict", "evaluate", "report"])
@pytest.mark.parametrize("what", MODELS)
def test_model_file(run: Run, trained: Path, command: str, what: str) -> None:
    change, part = MODELS[what]
    Path("m.udt").write_bytes(change(trained.read_bytes()))
    Path("t.csv").write_text(HEADER + GOOD)
    before = snapshot()
    files = ("m.udt",) if command == "report" else ("m.udt", "t.csv")
    refused(run(command, *files), 3, "m.udt", part)
    assert snapshot() == before


def test_missing_model(run: Run) -> None:
    refused(run("report", "m.udt"), 3, "m.udt does not exist")


def test_evaluate_without_the_target(run: Run, trained: Path) -> None:
    Path("t.csv").write_text("text,Label\n" + GOOD)
    refused(run("evaluate", trained, "t.csv"), 2, "'label'", "Did you mean 'Label'?")


def test_inspect_is_as_strict(run: Run) -> None:
    Path("t.csv").write_text(f"{HEADER}a,y\nb,n,z\n")
    refused(run("inspect", "t.csv"), 3, "line 3")
    Path("t.csv").write_text(HEADER + GOOD)
    refused(run("inspect", "t.csv", "--target", "lable"), 2, "Did you mean 'label'?")
    assert os.listdir() == ["t.csv"]


def test_no_traceback_from_a_real_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "udt", "train", "nowhere.csv", "--target", "label"]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("UDT_")}
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "udt: nowhere.csv does not exist. Check the path.\n"
    assert os.listdir(tmp_path) == []
