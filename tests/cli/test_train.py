"""``udt train`` hands its flags on, and tells the outcome on the right stream."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import FakeModel, Run

TRAIN = ("train", "reviews.csv", "--target", "label")


def test_flags_arrive_under_pythons_names(run: Run, fake: type[FakeModel]) -> None:
    flags = (
        "-o m.udt --test t.csv --valid v.csv --time-limit 5m --text a --text b --categorical c "
        "--numeric d --date e --multi f:; --ignore g --bad-rows skip --width 64 "
        "--sparsity 0.2 --selector votes --multi-label ; "
        "--preset fast --max-memory 4G --max-model-size 5MB --max-co2 0.5g "
        "--class-weight balanced --weight w --metric macro_f1 "
        "--instance r6g.xlarge --region us-west-1 --country DEU --seed 0 --threads 2"
    )
    result = run(*TRAIN, *flags.split())
    assert result.exit_code == 0, result.stderr
    assert fake.made.params == {
        "target": "label",
        "preset": "fast",
        "time_limit": "5m",
        "max_memory": "4G",
        "max_model_size": "5MB",
        "max_co2": "0.5g",
        "sparsity": 0.2,
        "width": 64,
        "selector": "votes",
        "text": ["a", "b"],
        "categorical": ["c"],
        "numeric": ["d"],
        "date": ["e"],
        "multi": {"f": ";"},
        "ignore": ["g"],
        "multi_label": ";",
        "class_weight": "balanced",
        "weight": "w",
        "metric": "macro_f1",
        "bad_rows": "skip",
        "instance": "r6g.xlarge",
        "region": "us-west-1",
        "country": "DEU",
        "random_state": 0,
        "n_threads": 2,
    }
    assert fake.made.file == "reviews.csv"
    assert fake.made.options.pop("on_progress") is not None
    state = fake.made.options.pop("state")
    assert state.name.startswith(".")  # hidden, beside the model
    assert fake.made.options == {
        "valid": "v.csv",
        "test": "t.csv",
        "second_opinion": False,
        "resume": False,
    }
    assert os.listdir() == ["m.udt"]


def test_what_is_not_said_is_none(run: Run, fake: type[FakeModel]) -> None:
    run(*TRAIN)
    said = {k: v for k, v in fake.made.params.items() if v is not None}
    assert said == {"target": "label", "bad_rows": "refuse"}


def test_the_report_goes_to_stdout_and_the_rest_to_stderr(run: Run, fake: type[FakeModel]) -> None:
    result = run(*TRAIN)
    assert result.exit_code == 0
    assert result.stdout == "── udt ─ accuracy 50 % in 100 characters\n"
    assert result.stderr == "udt: Saved reviews.udt. Next: udt predict reviews.udt FILE\n"
    assert Path("reviews.udt").read_bytes() == b"model"


def test_json_and_quiet(run: Run, fake: type[FakeModel]) -> None:
    result = run(*TRAIN, "--json")
    assert json.loads(result.stdout) == {**fake.report.to_dict(), "model": "reviews.udt"}
    assert result.stderr == ""
    result = run(*TRAIN, "--quiet", "--force")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "", 0)


def test_an_interrupted_run_saves_its_best_and_ends_with_130(
    run: Run, fake: type[FakeModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "interrupted", True)
    result = run(*TRAIN)
    assert result.exit_code == 130
    assert "accuracy" in result.stdout
    assert "Interrupted; the best model so far is in reviews.udt." in result.stderr
    assert Path("reviews.udt").exists()


def test_the_output_is_checked_before_anything_is_read(run: Run, fake: type[FakeModel]) -> None:
    Path("reviews.udt").write_text("old")
    FakeModel.made = None  # type: ignore[assignment]
    result = run(*TRAIN)
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert FakeModel.made is None
    assert Path("reviews.udt").read_text() == "old"
    assert run(*TRAIN, "--force").exit_code == 0
    assert Path("reviews.udt").read_text() == "model"


def test_stdin_is_read_once(run: Run, fake: type[FakeModel]) -> None:
    result = run("train", "-", "--target", "label", "--test", "-")
    assert result.exit_code == 2
    assert "stdin" in result.stderr
