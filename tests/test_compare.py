"""Runs side by side, on one grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.test_report import FULL
from udt.carbon import parse_baseline
from udt.compare import compare_runs
from udt.errors import ModelFileError
from udt.model_file import ModelContent, write_model

BASIS = {"machine": "EPYC 4th Gen"}
CARBON = {**FULL["carbon"], "operational_g": 0.01425, "total_g": 0.01825, "low_g": 0.009125,
          "high_g": 0.0365, "per_million_kwh": 0.0002, "basis": BASIS}  # fmt: skip


def write(path: Path, **changes: Any) -> Path:
    report = {**FULL, "carbon": CARBON, **changes}
    write_model(path, ModelContent({}, {}, {"report": report}))
    return path


def test_rows_and_their_order(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.udt"), write(tmp_path / "b.udt")]
    mine = parse_baseline("BERT,p3.2xlarge,2h,accuracy=0.94")
    rows = compare_runs(paths, added=[mine, mine])["rows"]
    assert [row["name"] for row in rows] == ["a", "b", "fine-tuned RoBERTa", "BERT", "BERT"]
    assert [row["accuracy"] for row in rows] == [0.953, 0.953, None, 0.94, 0.94]
    assert rows[0]["total_g"] == pytest.approx(0.01825)
    assert rows[1]["times"] == pytest.approx(1)
    assert rows[2]["times"] == pytest.approx(rows[2]["total_g"] / 0.01825)
    assert rows[0]["model_bytes"] == paths[0].stat().st_size
    assert len({tuple(row) for row in rows[:2]}) == 1


def test_all_rows_are_on_the_grid_of_the_first(tmp_path: Path) -> None:
    there = {**CARBON, "region": "eu-north-1", "grid_g_per_kwh": 8.0, "pue": 1.2}
    a, b = write(tmp_path / "a.udt"), write(tmp_path / "b.udt", carbon=there)
    first, second, roberta = compare_runs([a, b])["rows"]
    assert second["total_g"] == pytest.approx(first["total_g"])
    found = compare_runs([b, a])
    first, second, green = found["rows"]
    assert found["grid"]["region"] == "eu-north-1"
    assert second["operational_g"] == pytest.approx(0.00003 * 1.2 * 8.0)
    assert second["high_g"] / second["total_g"] == pytest.approx(2)
    assert green["total_g"] < roberta["total_g"]
    assert green["operational_g"] == pytest.approx(green["kwh"] * 1.2 * 8.0)


def test_a_named_region_and_instance(tmp_path: Path) -> None:
    time = {"wall_s": 720.0, "cpu_s": 1440.0}
    path = write(tmp_path / "a.udt", time=time)
    found = compare_runs([path], instance="r6g.xlarge", region="us-west-1")
    row, roberta = found["rows"]
    assert row["kwh"] == pytest.approx(21.7 / 1000 / 5)
    assert "r6g.xlarge" in row["energy_source"]
    assert roberta["total_g"] == pytest.approx(195.15, rel=0.005)
    assert row["times"] == 1


def test_what_was_printed_can_be_compared_too(tmp_path: Path) -> None:
    printed = tmp_path / "run.json"
    printed.write_text(json.dumps({**FULL, "carbon": CARBON}), "utf-8")
    (row, _) = compare_runs([printed])["rows"]
    assert (row["name"], row["total_g"]) == ("run", pytest.approx(0.01825))


@pytest.mark.parametrize("text", ["[1, 2]", "{", "{}", ""])
def test_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text, "utf-8")
    with pytest.raises(ModelFileError):
        compare_runs([tmp_path / "run.json"])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        compare_runs([tmp_path / "run.json"])


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    a, b = write(tmp_path / "a.udt"), write(tmp_path / "x" / "a.udt")
    assert [row["name"] for row in compare_runs([a, b])["rows"][:2]] == [str(a), str(b)]


def test_notes_say_what_does_not_compare(tmp_path: Path) -> None:
    a = write(tmp_path / "a.udt")
    assert compare_runs([a, a])["notes"] == []
    other = {**CARBON, "basis": {"machine": "r6g.xlarge"}}
    b = write(tmp_path / "b.udt", target="t", metrics={"split": "holdout"}, carbon=other)
    targets, rows, machines = compare_runs([a, b])["notes"]
    assert "different targets" in targets
    assert "different rows" in rows
    assert "different machines" in machines


def test_an_updated_model_is_noted(tmp_path: Path) -> None:
    carbon = {**CARBON, "lineage": {"total_g": 0.5}}
    (note,) = compare_runs([write(tmp_path / "a.udt", carbon=carbon)])["notes"]
    assert "only the last training" in note


def test_a_run_without_an_account(tmp_path: Path) -> None:
    rows = compare_runs([write(tmp_path / "a.udt", energy={}, carbon={})])["rows"]
    assert rows[0]["total_g"] is None
    assert rows[1]["times"] is None
    assert rows[1]["total_g"] > 0
