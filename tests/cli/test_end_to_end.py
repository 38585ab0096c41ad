"""The commands together, on a small table of every kind of column."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Run, make_table
from udt.cli.progress import OnProgress


def predictions(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_train_predict_evaluate_report(run: Run) -> None:
    make_table(Path("reviews.csv"), 400, seed=1)
    make_table(Path("test.csv"), 100, seed=2)
    result = run("train", "reviews.csv", "--target", "label", "--test", "test.csv", "--seed", 0)
    assert result.exit_code == 0, result.stderr
    assert "accuracy" in result.stdout
    assert "CO2e" in result.stdout

    told = json.loads(run("report", "reviews.udt", "--json").stdout)
    assert told["model"] == "reviews.udt"
    assert told["metrics"]["split"] == "test"
    assert told["metrics"]["accuracy"] > 0.9
    assert told["size"]["model_bytes"] == os.path.getsize("reviews.udt")
    assert run("report", "reviews.udt").stdout == result.stdout

    measured = json.loads(run("evaluate", "reviews.udt", "test.csv", "--json").stdout)
    assert measured["metrics"]["accuracy"] == pytest.approx(told["metrics"]["accuracy"])
    assert {c["label"] for c in measured["per_class"]} == {"good", "bad"}
    assert "precision" in run("evaluate", "reviews.udt", "test.csv").stdout

    rows = predictions(run("predict", "reviews.udt", "test.csv", "--proba").stdout)
    labels = [row["label"] for row in predictions(Path("test.csv").read_text())]
    hits = sum(row["prediction"] == label for row, label in zip(rows, labels, strict=True))
    assert hits / len(labels) == pytest.approx(told["metrics"]["accuracy"])
    assert all(float(r["proba_good"]) + float(r["proba_bad"]) == pytest.approx(1) for r in rows)
    top = predictions(run("predict", "reviews.udt", "test.csv", "--top-k", 2).stdout)
    assert [row["prediction_1"] for row in top] == [row["prediction"] for row in rows]


def test_train_prints_json_with_the_stable_keys(run: Run) -> None:
    make_table(Path("reviews.csv"), 200, seed=1)
    result = run("train", "reviews.csv", "--target", "label", "--json")
    keys = (
        "model target n_rows n_classes multi_label schema metrics network history search time "
        "size energy carbon"
    )
    assert set(keys.split()) <= set(json.loads(result.stdout))
    assert json.loads(result.stdout)["metrics"]["split"] == "holdout"


def test_a_seed_gives_the_same_predictions(run: Run) -> None:
    make_table(Path("reviews.csv"), 200, seed=1)
    for name in ("a.udt", "b.udt"):
        run("train", "reviews.csv", "--target", "label", "--seed", 7, "-o", name)
    first, second = (
        run("predict", name, "reviews.csv", "--proba").stdout for name in ("a.udt", "b.udt")
    )
    assert first == second
    assert len(first.splitlines()) == 201


def test_inspect_writes_nothing(run: Run) -> None:
    make_table(Path("reviews.csv"), 100, seed=1)
    result = run("inspect", "reviews.csv", "--target", "label")
    assert result.exit_code == 0
    for part in ("text", "numeric", "categorical", "label: 2 classes"):
        assert part in result.stdout
    found = json.loads(run("inspect", "reviews.csv", "--text", "shop", "--json").stdout)
    kinds = {c["column"]: c["kind"] for c in found["schema"]}
    assert kinds["shop"] == "text"
    assert os.listdir() == ["reviews.csv"]


def test_from_stdin_to_stdout(run: Run) -> None:
    make_table(Path("reviews.csv"), 200, seed=1)
    table = Path("reviews.csv").read_text()
    Path("reviews.csv").unlink()
    assert run("train", "-", "--target", "label", input=table).exit_code == 0
    assert os.listdir() == ["model.udt"]
    result = run("predict", "model.udt", "-", input=table)
    assert len(predictions(result.stdout)) == 200


ODD = {
    "empty": "",
    "emoji": "👍🏽 great 🎉",
    "right to left": "מצוין ممتاز",
    "NUL": "good\0thing",
    "long": "good " * 2_000_000,
    "quotes and lines": 'say "good"\nand, again',
}


def test_odd_cells_get_a_prediction_each(run: Run, trained: Path) -> None:
    with Path("odd.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "shop", "price", "surplus"])
        writer.writerows([text, "never seen", "a lot", "x"] for text in ODD.values())
    result = run("predict", trained, "odd.csv", "--proba")
    assert result.exit_code == 0, result.stderr
    rows = predictions(result.stdout)
    assert len(rows) == len(ODD)
    assert all(row["prediction"] in ("good", "bad") for row in rows)


def test_a_missing_column_is_said_once(run: Run, trained: Path) -> None:
    Path("new.csv").write_text("text\ngood thing\nbad thing\n")
    result = run("predict", trained, "new.csv")
    assert result.exit_code == 0
    assert len(predictions(result.stdout)) == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("udt: warning: ")
    assert "price" in line


@pytest.fixture
def _heeds_ctrl_c() -> Iterator[None]:
    """Heed Ctrl-C, which a process that a script starts in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeds_ctrl_c")
@pytest.mark.parametrize(("stage", "is_saved"), [("search", True), ("read", False)])
def test_interrupt_keeps_the_best_so_far(
    run: Run, monkeypatch: pytest.MonkeyPatch, stage: str, is_saved: bool
) -> None:
    """Ctrl-C, as it would arrive in this stage; before the first trial there is nothing to keep."""

    @contextmanager
    def press_ctrl_c(quiet: bool) -> Iterator[OnProgress]:
        def on_progress(now: str, done: float | None, note: str) -> None:
            if now == stage and done != 0:  # once the first trial is done, if it is the search
                signal.raise_signal(signal.SIGINT)

        yield on_progress

    monkeypatch.setattr("udt.cli.train.show_progress", press_ctrl_c)
    make_table(Path("reviews.csv"), 200, seed=1)
    result = run("train", "reviews.csv", "--target", "label")
    assert result.exit_code == 130
    assert Path("reviews.udt").exists() == is_saved
    said = "the best model so far is in reviews.udt" if is_saved else "nothing was written"
    assert said in result.stderr
    if is_saved:
        assert len(predictions(run("predict", "reviews.udt", "reviews.csv").stdout)) == 200
