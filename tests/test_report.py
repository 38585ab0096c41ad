"""What people and scripts read."""

from __future__ import annotations

import copy
import dataclasses
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.errors import ModelFileError
from udt.report import RunReport, evaluation_text, footprint_text, schema_text

RUN: dict[str, Any] = {
    "model": "reviews.udt",
    "target": "label",
    "n_rows": 82_592,
    "n_classes": 2,
    "multi_label": False,
    "schema": [{"column": "text", "kind": "text", "reason": "94 words a row on average"}],
    "metrics": {
        "split": "test",
        "n_rows": 8_982,
        "accuracy": 0.953,
        "macro_f1": 0.953,
        "log_loss": 0.13,
        "ece": 0.011,
        "accuracy_ci95": [0.949, 0.957],
        "majority": 0.5,
    },
    "network": {"n_features": 30_000, "width": 64, "wide": True, "work_predict": 0.12},
    "history": [{"epoch": 1, "rows_seen": 74_000, "seconds": 0.3, "holdout_loss": 0.17}],
    "search": {"n_trials": 6, "leaderboard": []},
    "time": {"wall_s": 9.1, "start_s": 1.2, "compile_s": 0.0, "search_s": 3.0, "cpu_s": 14.0},
    "size": {"model_bytes": 8_300_000, "peak_memory_bytes": 900_000_000},
    "energy": {"kwh": 0.00003, "source": "a table of processors, from CPU time"},
    "carbon": {
        "total_g": 0.018,
        "operational_g": 0.014,
        "embodied_g": 0.004,
        "low_g": 0.009,
        "high_g": 0.036,
        "region": "world",
        "grid_g_per_kwh": 475.0,
        "pue": 1.0,
        "grid_source": "an agency",
    },
}
FULL: dict[str, Any] = {
    **RUN,
    "network": {**RUN["network"], "ngrams": "1–3-grams", "deep_fraction": 0.12},
    "carbon": {
        **RUN["carbon"],
        "car_m": 0.1495,
        "per_million_g": 0.1,
        "repaid_predictions": 181_234,
        "roberta_g": 220.3,
    },
    "choices": [{"what": "n-grams", "value": "1–3", "reason": "best of 6 on held-out rows"}],
    "warnings": ["Class 'b' has one row."],
    "source": "reviews.csv",
}


def cells(line: str) -> int:
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in line
    )


def text_with(**changes: Any) -> str:
    return RunReport.from_dict({**FULL, **changes}).to_text(120)


# --- keys -------------------------------------------------------------------------------------


def test_keys_are_those_that_json_promises() -> None:
    assert list(RunReport.from_dict(RUN).to_dict()) == list(RUN)


@pytest.mark.parametrize("run", [RUN, FULL], ids=["required", "full"])
def test_survives_json(run: dict[str, Any]) -> None:
    there = RunReport.from_dict(run)
    assert there.to_dict() == run
    assert RunReport.from_dict(json.loads(json.dumps(there.to_dict()))) == there


def test_holds_a_copy_and_gives_a_copy() -> None:
    source = copy.deepcopy(RUN)
    held = RunReport.from_dict(source)
    source["metrics"]["accuracy"] = 0.0
    held.to_dict()["metrics"]["accuracy"] = 0.0
    assert held.metrics["accuracy"] == 0.953
    with pytest.raises(dataclasses.FrozenInstanceError):
        held.model = "x"  # type: ignore[misc]


def test_keys_of_a_newer_udt_are_left_out_and_missing_ones_named() -> None:
    assert RunReport.from_dict({**RUN, "fairness": {}}).to_dict() == RUN
    less = {k: v for k, v in RUN.items() if k not in ("time", "carbon")}
    with pytest.raises(ModelFileError, match=r"lacks: time, carbon\..*train"):
        RunReport.from_dict(less)


# --- the run ----------------------------------------------------------------------------------


def test_reads_as_documented() -> None:
    assert RunReport.from_dict(FULL).to_text(100).splitlines() == [
        "── udt ─ reviews.csv → label ─ 2 classes " + "─" * 59,
        " accuracy      95.3 %  on 8,982 test rows   (95 % interval 94.9–95.7; majority 50.0 %)",
        " macro-F1      0.953   log-loss 0.130   calibration error 1.1 %",
        " columns       text: text (94 words a row on average)",
        " warning       Class 'b' has one row.",
        " network       1–3-grams, 30,000 features → wide + 64 hidden"
        " (deep path on 12 % of rows) → 2",
        "               8.3 MB",
        " choices       n-grams: 1–3 – best of 6 on held-out rows",
        " time          9.1 s   start 1.2 · search 3.0 (6 trials)   peak memory 0.9 GB",
        " energy        0.030 Wh (estimate, ×/÷ 2)   CO2e 18 mg"
        "   = 14 electricity + 4 manufacturing",
        "               like 0.15 m in a new car · 1 million predictions: 0.10 g",
        "               training repaid after 0.18 M",
        " basis         watts: a table of processors, from CPU time",
        "               grid: world average 475 g/kWh (set --region)",
        " compared      fine-tuned RoBERTa, 40 min on one A100, same formula and grid: 220 g"
        " (12,000 × more)",
    ]


def test_accuracy_is_the_first_line_and_str_is_the_report() -> None:
    lines = str(RunReport.from_dict(FULL)).splitlines()
    assert lines[1].startswith(" accuracy ")
    assert lines == RunReport.from_dict(FULL).to_text().splitlines()


def test_what_was_not_measured_is_left_out() -> None:
    text = text_with(**{k: type(v)() for k, v in FULL.items() if isinstance(v, (dict, list))})
    assert [line[:14].strip() for line in text.splitlines()[1:]] == ["accuracy"]
    assert "not measured" in text


@pytest.mark.parametrize(
    ("split", "words"),
    [("test", "test rows"), ("holdout", "held-out rows"), ("valid", "validation rows")],
)
def test_says_which_rows_were_scored(split: str, words: str) -> None:
    assert f"on 8,982 {words}" in text_with(metrics={**RUN["metrics"], "split": split})


def test_multi_label_metrics_are_worded() -> None:
    text = text_with(metrics={**RUN["metrics"], "micro_f1": 0.5, "recall_at_10": 0.75})
    assert " accuracy      95.3 %  on 8,982 test rows   (all labels of a row right; 95 %" in text
    assert " micro-F1      0.500   macro-F1 0.953   log-loss 0.130   recall at 10 0.750" in text


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({"wide": True, "width": 64}, "features → wide + 64 hidden → 2"),
        ({"wide": True, "width": 0}, "features → wide → 2"),
        ({"wide": False, "width": 8}, "features → 8 hidden → 2"),
    ],
)
def test_network_names_its_paths(network: dict[str, Any], words: str) -> None:
    assert words in text_with(network={"n_features": 10, **network})


def test_columns_that_do_not_enter_are_said_to() -> None:
    schema = [{"column": "id", "kind": "identifier", "reason": "all different"}]
    assert "id: identifier, not used (all different)" in text_with(schema=schema)


def test_many_columns_are_grouped() -> None:
    schema = [
        {"column": f"x{i}", "kind": "numeric" if i else "text", "reason": "r"} for i in range(500)
    ]
    lines = text_with(schema=schema).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(" columns"))
    assert lines[at].strip() == "columns       1 text: x0"
    assert lines[at + 1].strip().startswith("499 numeric: x1, x2, ")
    assert lines[at + 2].endswith("...")
    assert lines[at + 3].startswith(" warning")


def test_grid_region_and_pue_are_named() -> None:
    carbon = {**RUN["carbon"], "region": "us-west-1", "grid_g_per_kwh": 350.861, "pue": 1.2}
    text = text_with(carbon=carbon)
    assert "grid: us-west-1 351 g/kWh (an agency) · PUE 1.2" in text
    assert "--region" not in text


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.009, 0.036, "(estimate, ×/÷ 2)"),
        (0.006, 0.054, "(estimate, ×/÷ 3)"),
        (0.018, 0.018, "(estimate)"),
        (0.0, 0.036, "(estimate)"),
        (0.015, 0.1, "(estimate; CO2e between 15 mg and 0.10 g)"),
    ],
)
def test_band_is_worded(low: float, high: float, words: str) -> None:
    assert words in text_with(carbon={**RUN["carbon"], "low_g": low, "high_g": high})


@pytest.mark.parametrize(
    ("total", "operational", "embodied", "words"),
    [
        (8.503, 7.45, 1.053, "CO2e 8.5 g   = 7.5 electricity + 1.1 manufacturing"),
        (195.15, 184.03, 11.12, "CO2e 200 g   = 180 electricity + 10 manufacturing"),
        (0.018, 0.0178, 0.0002, "CO2e 18 mg   = 18 electricity + 0.20 manufacturing"),
        (1234.0, 1000.0, 234.0, "CO2e 1.2 kg   = 1.0 electricity + 0.2 manufacturing"),
        (0.0999, 0.06, 0.0399, "CO2e 0.10 g   = 0.06 electricity + 0.04 manufacturing"),
        (5e-8, 4e-8, 1e-8, "CO2e under 0.001 mg   = "),
        (0.02, 0.02, 0.0, "CO2e 20 mg\n"),
    ],
)
def test_parts_are_in_the_unit_of_the_total(
    total: float, operational: float, embodied: float, words: str
) -> None:
    carbon = {"total_g": total, "operational_g": operational, "embodied_g": embodied}
    assert words in text_with(carbon=carbon)


def test_comparison_turns_around_when_the_run_took_more() -> None:
    assert "(this run took 2.0 × more)" in text_with(
        carbon={**RUN["carbon"], "total_g": 2.0, "roberta_g": 1.0}
    )


def test_a_footprint_is_worded_as_in_a_run() -> None:
    title, *lines = footprint_text("1 h", RUN["energy"], RUN["carbon"]).splitlines()
    assert title.startswith("── udt ─ 1 h ─")
    assert lines
    assert set(lines) <= set(RunReport.from_dict(RUN).to_text().splitlines())


# --- evaluation -------------------------------------------------------------------------------


def evaluation(n_classes: int, label: str = "c{}") -> dict[str, Any]:
    labels = [label.replace("{}", str(i)) for i in range(n_classes)]
    return {
        "model": "m.udt",
        "source": "test.csv",
        "metrics": RUN["metrics"],
        "per_class": [
            {
                "label": name,
                "n_rows": 1_000 + i,
                "n_predicted": 1_000,
                "precision": 0.9,
                "recall": 0.8,
                "f1": i / n_classes,
            }
            for i, name in enumerate(labels)
        ],
        "confusion": [[i * n_classes + j for j in range(n_classes)] for i in range(n_classes)],
        "confused": [{"true": labels[0], "predicted": labels[-1], "n_rows": 7}],
    }


def test_few_classes_show_every_class_and_the_matrix() -> None:
    lines = evaluation_text(evaluation(2), 80).splitlines()
    assert lines[0].startswith("── udt ─ m.udt on test.csv ─ 2 classes ─")
    assert [line.split() for line in lines[5:12]] == [
        ["class", "rows", "predicted", "precision", "recall", "F1"],
        ["c0", "1,000", "1,000", "0.900", "0.800", "0.000"],
        ["c1", "1,001", "1,000", "0.900", "0.800", "0.500"],
        [],
        ["true", "\\", "predicted", "c0", "c1"],
        ["c0", "0", "1"],
        ["c1", "2", "3"],
    ]


def test_many_classes_show_the_worst_and_the_mistakes() -> None:
    text = evaluation_text(evaluation(150), 80)
    assert "The 20 classes of lowest F1, of 150" in text
    assert " c19 " in text
    assert " c20 " not in text
    assert "true \\ predicted" not in text
    mistakes = text.split("Most frequent mistakes")[1].split()
    assert mistakes == ["true", "predicted", "rows", "c0", "c149", "7"]


def test_unknown_labels_are_counted_in_words() -> None:
    text = evaluation_text({**evaluation(2), "n_unknown": 1}, 80)
    assert " warning       1 row with a label that the model has never seen: counted as" in text
    assert "never seen" not in evaluation_text({**evaluation(2), "n_unknown": 0}, 80)


def test_metrics_alone_are_enough() -> None:
    result = {"model": "m.udt", "source": "-", "metrics": RUN["metrics"]}
    assert len(evaluation_text(result).splitlines()) == 3


# --- inspection -------------------------------------------------------------------------------

SCHEMA = [
    {"column": "text", "kind": "text", "reason": "94 words a row on average"},
    {"column": "id", "kind": "identifier", "reason": "5,000 different integers, one a row"},
]
FACTS = {
    "source": "reviews.csv",
    "n_rows": 5_000,
    "columns": {"text": {"n_missing": 3, "n_distinct": 4_987}},
    "n_duplicates": 13,
    "target": "label",
    "classes": [{"label": "good", "n_rows": 2_600}, {"label": "bad", "n_rows": 2_400}],
    "multi_label": False,
    "warnings": ["Column 'stars' tells the target almost alone."],
}


def test_schema_reads_as_documented() -> None:
    assert schema_text(SCHEMA, FACTS, 80).splitlines() == [
        "── udt ─ reviews.csv ─ 5,000 rows ─ 2 columns " + "─" * 34,
        " column  kind        missing  distinct  why",
        " text    text              3     4,987  94 words a row on average",
        " id      identifier                     5,000 different integers, one a row",
        "",
        " duplicates    13 rows (0.3 %) repeat an earlier one",
        " target        label: 2 classes   good 2,600 (52.0 %)   bad 2,400 (48.0 %)",
        " warning       Column 'stars' tells the target almost alone.",
    ]


def test_labels_that_are_several_are_said_to() -> None:
    form = {"what": "labels", "value": "several a row", "reason": "set by the user"}
    text = schema_text(SCHEMA, {**FACTS, "multi_label": True, "label_form": form}, 80)
    assert " labels        several a row – set by the user" in text


def test_schema_of_nothing_and_of_many_classes() -> None:
    assert schema_text([], {"source": "x", "n_rows": 0, "n_duplicates": 0}).count("\n") == 1
    classes = [{"label": i, "n_rows": 1} for i in range(1_000)]
    text = schema_text(SCHEMA, {**FACTS, "classes": classes}, 80)
    assert "label: 1,000 classes" in text
    assert "and 980 more" in text


# --- any terminal, any name -------------------------------------------------------------------

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=150) | st.sampled_from(
    ["긍정적인 리뷰 " * 20, "x" * 200, "\x1b[31mred\x1b[0m", "two\nlines", "שלום"]
)


@given(names, st.integers(60, 140), st.integers(1, 14))
def test_no_line_is_wider_than_the_terminal(name: str, width: int, n: int) -> None:
    schema = [{"column": f"{name}{i}", "kind": "text", "reason": name} for i in range(n)]
    run = {**FULL, "source": name, "target": name, "schema": schema, "warnings": [name]}
    facts = {**FACTS, "source": name, "target": name, "classes": [{"label": name, "n_rows": 1}]}
    texts = [
        RunReport.from_dict(run).to_text(width),
        evaluation_text({**evaluation(n, name + "{}"), "model": name}, width),
        schema_text(schema, facts, width),
    ]
    for line in "\n".join(texts).split("\n"):
        assert cells(line) <= width
        assert line.isprintable()


def test_words_of_our_own_are_ascii_but_for_six_signs() -> None:
    texts = [
        RunReport.from_dict(FULL).to_text(60),
        evaluation_text(evaluation(150, "a long label " * 9 + "{}"), 60),
        schema_text(SCHEMA, FACTS, 60),
    ]
    assert {c for c in "".join(texts) if not c.isascii()} <= set("─×÷·–→")


def test_labels_cannot_command_the_terminal() -> None:
    text = evaluation_text(evaluation(2, "\x1b[2J{}\n"), 100)
    assert "\x1b" not in text
    assert "\\x1b[2J0\\n" in text
