"""Every exception: one sentence, one exit code, and no traceback unless asked for."""

from __future__ import annotations

import errno
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.cli.conftest import Run
from udt import errors
from udt.cli.text import exit_codes, explain, one_line, plain_warnings


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError("x"), 2),
        (errors.TargetNotFound("x"), 2),
        (errors.DataError("x"), 3),
        (errors.BadRow("x", 7), 3),
        (errors.OneClassOnly("x"), 3),
        (errors.EmptyTable("x"), 3),
        (errors.NotAModel("x"), 3),
        (errors.NewerVersion("x"), 3),
        (errors.CorruptModel("x"), 3),
        (errors.DivergedError("x"), 1),
        (errors.ModelWriteError("x"), 1),
        (MemoryError(), 1),
        (OSError(errno.ENOSPC, "No space left on device", "m.udt"), 1),
        (ZeroDivisionError("division by zero"), 1),
        (KeyboardInterrupt(), 130),
        (typer.BadParameter("x"), 2),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert explain(error)[1] == code


def test_a_full_disk_says_what_to_do() -> None:
    sentence, _ = explain(OSError(errno.ENOSPC, "No space left on device", "out.csv"))
    assert sentence.startswith("out.csv: No space left on device. Free some space")


def test_what_is_said_stays_on_one_line() -> None:
    assert one_line("two\nlines \x1b[31mred\u202e") == "two lines \\x1b[31mred\\u202e"
    assert one_line("ß 한국 🙂 ×") == "ß 한국 🙂 ×"


def test_an_unforeseen_error_says_how_to_see_more(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("udt.run.train", train)
    args = ("train", "reviews.csv", "--target", "label")
    result = run(*args)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "ZeroDivisionError" in line
    assert "UDT_DEBUG=1" in line

    result = run(*args, env={"UDT_DEBUG": "1"})
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr


def test_interrupt_is_130_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, exit_codes():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "udt: Interrupted; nothing was written.\n"


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from udt.cli.text import exit_codes\n"
        "import typer\n"
        "try:\n"
        "    with exit_codes():\n"
        "        while True:\n"
        "            sys.stdout.buffer.write(b'prediction\\n')\n"
        "except typer.Exit as end:\n"
        "    sys.exit(end.exit_code)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"prediction\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0


def test_warnings_are_one_line_each_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_warnings():
        for _ in range(3):
            warnings.warn("Column 'price' is missing.", stacklevel=1)
    assert capsys.readouterr().err == "udt: warning: Column 'price' is missing.\n"
