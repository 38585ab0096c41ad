"""The model card: what the hub reads, and what people read."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.test_report import FULL
from udt.card import card_text, fixed_grams
from udt.errors import ModelFileError
from udt.model_file import ModelContent, write_model

SOURCE = "/home/somebody/secret folder/reviews.csv"


def write(path: Path, classes: list[Any] | None = None, **changes: Any) -> Path:
    report = copy.deepcopy({**FULL, "source": SOURCE, **changes})
    header = {"classes": ["no", "yes"] if classes is None else classes}
    write_model(path, ModelContent(header, {}, {"report": report}))
    return path


def metadata(text: str) -> dict[str, Any]:
    hub = pytest.importorskip("huggingface_hub")
    found = hub.ModelCard(text, ignore_metadata_errors=False).data.to_dict()
    assert isinstance(found, dict)
    return found


def test_the_hub_reads_its_metadata(tmp_path: Path) -> None:
    found = metadata(card_text(write(tmp_path / "reviews.udt")))
    assert found["co2_eq_emissions"]["emissions"] == pytest.approx(0.018)
    assert found["co2_eq_emissions"]["training_type"] == "from scratch"
    assert found["co2_eq_emissions"]["geographical_location"] == "world"
    assert found["pipeline_tag"] == "text-classification"
    (result,) = found["model-index"][0]["results"]
    assert result["dataset"]["name"] == "reviews.csv"
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"accuracy": 0.953, "f1": 0.953}


@pytest.mark.parametrize(
    ("grams", "written"),
    [(8.503, "8.5030"), (0.00005, "0.0001"), (0.0, "0.0001"), (12345.6, "12345.6000")],
)
def test_grams_are_in_fixed_point(grams: float, written: str, tmp_path: Path) -> None:
    assert fixed_grams(grams) == written
    text = card_text(write(tmp_path / "m.udt", carbon={**FULL["carbon"], "total_g": grams}))
    assert f"\n  emissions: {written}\n" in text


def test_people_read_scores_columns_costs_and_limits(tmp_path: Path) -> None:
    sci = {"standard": "ISO/IEC 21031:2024", "R": 1.0}
    path = write(tmp_path / "my model.udt", carbon={**FULL["carbon"], "sci": sci})
    text = card_text(path)
    for part in (
        "# my model\n",
        "no, yes",
        "| accuracy | 95.3 % |",
        "95 % interval of the accuracy: 94.9 to 95.7 %",
        "| text | text | 94 words a row on average |",
        "| CO2e | 18 mg = 14 electricity + 4 manufacturing |",
        "| how sure | between 9.0 mg and 36 mg |",
        "udt predict 'my model.udt' new.csv",
        "- Class 'b' has one row.",
        '"standard": "ISO/IEC 21031:2024"',
    ):
        assert part in text
    assert text.endswith("\n")


def test_where_the_table_lay_is_nobodys_business(tmp_path: Path) -> None:
    text = card_text(write(tmp_path / "reviews.udt"))
    assert "secret" not in text
    assert "somebody" not in text


@pytest.mark.parametrize("label", ["a|b", "<b>x</b>", "line\nend", 'quo"te: [x]', "---", "日本語"])
def test_odd_labels_and_columns_break_nothing(label: str, tmp_path: Path) -> None:
    schema = [{"column": label, "kind": "categorical", "reason": label}]
    path = write(
        tmp_path / "m.udt", classes=[label, "b"], schema=schema, target=label, source=label
    )
    text = card_text(path)
    found = metadata(text)
    assert found["pipeline_tag"] == "tabular-classification"
    (row,) = (line for line in text.splitlines() if "| categorical |" in line)
    assert row.replace("\\|", "").count("|") == 4
    assert "\n<b>" not in text


def test_many_classes_are_cut(tmp_path: Path) -> None:
    text = card_text(write(tmp_path / "m.udt", classes=list(range(1000)), n_classes=1000))
    assert "1,000 classes" in text
    assert "and 980 more" in text


def test_a_run_that_measured_nothing(tmp_path: Path) -> None:
    text = card_text(write(tmp_path / "m.udt", metrics={}, energy={}, carbon={}, choices=[]))
    assert "Not measured" in text
    assert "co2_eq_emissions" not in text


def test_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "m.udt").write_text(json.dumps({}))
    with pytest.raises(ModelFileError):
        card_text(tmp_path / "m.udt")


def test_an_updated_model_bears_the_trainings_before(tmp_path: Path) -> None:
    carbon = {**FULL["carbon"], "lineage": {"total_g": 0.5}}
    text = card_text(write(tmp_path / "m.udt", carbon=carbon))
    assert metadata(text)["co2_eq_emissions"]["emissions"] == 0.5
    assert "| CO2e with the trainings that it was updated from | 0.50 g |" in text
