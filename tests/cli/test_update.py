"""``--update-from``, ``inspect --model`` and ``predict --min-confidence``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run, make_table


@pytest.fixture
def more(run: Run) -> str:  # run: in its folder
    make_table(Path("more.csv"), 120, seed=2)
    return "more.csv"


def test_update_from_a_model(run: Run, trained: Path, more: str) -> None:
    done = run("train", more, "--update-from", trained, "--json", "--seed", 0, "--threads", 1)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["model"] == "more.udt"
    assert told["n_rows"] == 120
    assert told["carbon"]["lineage"]["n_trainings"] == 2
    assert told["carbon"]["lineage"]["n_rows"] == 320
    shown = run("report", "more.udt")
    assert "lineage" in shown.stdout
    assert "2 trainings, this one included, on 320 rows" in shown.stdout


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--width", 8), "--width cannot be changed by --update-from"),
        (("--target", "shop"), "--target shop is not what"),
        (("--metric", "accuracy"), "--metric cannot be changed"),
    ],
)
def test_what_an_update_cannot_change(
    run: Run, trained: Path, more: str, flags: tuple[str, ...], told: str
) -> None:
    done = run("train", more, "--update-from", trained, *flags)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not Path("more.udt").exists()


def test_a_new_model_needs_a_target(run: Run, more: str) -> None:
    done = run("train", more)
    assert done.exit_code == 2
    assert "Missing option '--target'" in done.stderr


def test_inspect_with_a_model(run: Run, trained: Path, more: str) -> None:
    rows = Path(more).read_text().splitlines()
    clear = next(i for i, row in enumerate(rows) if row.endswith(",good"))
    rows[clear] = rows[clear].removesuffix("good") + "bad"
    Path(more).write_text("\n".join(rows) + "\n")
    done = run("inspect", more, "--model", trained, "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)["facts"]
    assert facts["target"] == "label"
    assert clear + 1 in [s["line"] for s in facts["suspects"]["suspects"]]
    shown = run("inspect", more, "--model", trained)
    assert "disputed" in shown.stdout
    assert "more likely" in shown.stdout
    refused = run("inspect", more, "--model", trained, "--target", "shop")
    assert refused.exit_code == 2


def test_predictions_that_are_not_given(run: Run, trained: Path) -> None:
    Path("new.csv").write_text("text\ngood fine lovely works\nthe it a\n")
    every = run("predict", trained, "new.csv", "--proba").stdout.splitlines()[1:]
    sure, unsure = (max(map(float, row.split(",")[1:])) for row in every)
    least = ("--min-confidence", (sure + unsure) / 2)
    done = run("predict", trained, "new.csv", *least)
    assert done.stdout.splitlines() == ["prediction", "good", '""']
    for more in (("--proba",), ("--top-k", 1)):
        rows = run("predict", trained, "new.csv", *least, *more).stdout.splitlines()
        assert rows[1].startswith("good,")
        assert rows[2].startswith(",")
    for wrong in ("1.5", "much"):
        refused = run("predict", trained, "new.csv", "--min-confidence", wrong)
        assert refused.exit_code == 2
        assert wrong in refused.stderr
