"""``udt predict``: CSV that any reader takes, a row for each row."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import FakeModel, Run
from udt.cli import predict as module
from udt.label_forms import LabelForm


@pytest.fixture
def table(run: Run) -> Path:
    path = Path("new.csv")
    path.write_text("text\n" + "".join(f"row {i}\n" for i in range(5)))
    return path


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_labels(run: Run, fake: type[FakeModel], table: Path) -> None:
    result = run("predict", "m.udt", table)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "prediction\n" + "yes\n" * 5


def test_proba(run: Run, fake: type[FakeModel], table: Path) -> None:
    rows = read(run("predict", "m.udt", table, "--proba").stdout)
    assert rows == [["prediction", "proba_no", "proba_yes"], *[["yes", "0.25", "0.75"]] * 5]


def test_top_k_is_at_most_all_classes(run: Run, fake: type[FakeModel], table: Path) -> None:
    rows = read(run("predict", "m.udt", table, "--top-k", 9).stdout)
    assert rows[0] == ["prediction", "prediction_1", "proba_1", "prediction_2", "proba_2"]
    assert rows[1:] == [["yes", "yes", "0.75", "no", "0.25"]] * 5


class Several(FakeModel):
    """Gives every row two labels."""

    label_form = LabelForm("|", is_list=True)

    def predict(self, table: Any, min_confidence: float | None = None) -> Any:
        return self.decide(self.predict_proba(table))

    def decide(self, probas: Any, min_confidence: float | None = None) -> Any:
        cells = np.empty(len(probas), dtype=object)
        cells[:] = [["yes", "no"] for _ in probas]
        return cells


@pytest.mark.parametrize(
    ("flags", "more"),
    [
        ((), []),
        (("--proba",), ["0.25", "0.75"]),
        (("--top-k", 2), ["yes", "0.75", "no", "0.25"]),
    ],
)
def test_several_labels_are_joined(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[Any, ...], more: list[str]
) -> None:
    monkeypatch.setattr("udt.model.load_model", lambda path: Several())
    rows = read(run("predict", "m.udt", table, *flags).stdout)
    assert rows[1:] == [["yes|no", *more]] * 5


@pytest.mark.parametrize("flags", [("--top-k", 0), ("--top-k", 2, "--proba")])
def test_refused_flags(
    run: Run, fake: type[FakeModel], table: Path, flags: tuple[str, ...]
) -> None:
    result = run("predict", "m.udt", table, *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--top-k" in result.stderr


def test_chunks_do_not_show(
    run: Run, fake: type[FakeModel], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("predict", "m.udt", table, "--proba").stdout
    monkeypatch.setattr(module, "_CHUNK_ROWS", 2)
    assert run("predict", "m.udt", table, "--proba").stdout == whole


def test_labels_that_need_quotes(
    run: Run, fake: type[FakeModel], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    awkward = 'a,"b"\r\nc'
    monkeypatch.setattr(fake, "classes", np.array(["", awkward], dtype=object))
    rows = read(run("predict", "m.udt", table).stdout_bytes.decode())
    assert rows == [["prediction"], *[[awkward]] * 5]
    monkeypatch.setattr(fake, "classes", np.array(["x", ""], dtype=object))
    rows = read(run("predict", "m.udt", table).stdout_bytes.decode())
    assert rows == [["prediction"], *[[""]] * 5], "an empty label is no empty line"


def test_stdin_to_a_file(run: Run, fake: type[FakeModel]) -> None:
    args = ("predict", "m.udt", "-", "-o", "out.csv")
    result = run(*args, input="text\ngreat\nbroken\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path("out.csv").read_text() == "prediction\nyes\nyes\n"
    result = run(*args, input="text\ngreat\n")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert Path("out.csv").read_text() == "prediction\nyes\nyes\n"
    assert run(*args, "--force", input="text\ngreat\n").exit_code == 0
    assert Path("out.csv").read_text() == "prediction\nyes\n"


def test_the_input_is_not_replaced(run: Run, fake: type[FakeModel], table: Path) -> None:
    before = table.read_text()
    result = run("predict", "m.udt", table, "-o", table, "--force")
    assert result.exit_code == 2
    assert table.read_text() == before
    assert os.listdir() == ["new.csv"]
