"""Words for costs: rounded, said to be estimates, never 0."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.test_lifecycle import REPORT
from udt.costs_text import bench_text, choices_text, comparison_text, life_cycle_text
from udt.lifecycle import life_cycle

GRID = {"region": "world", "grid_g_per_kwh": 475.0, "pue": 1.0, "grid_source": "an agency"}
ROW: dict[str, Any] = {
    "name": "reviews",
    "kind": "run",
    "accuracy": 0.953,
    "wall_s": 9.1,
    "model_bytes": 8_300_000,
    "kwh": 0.00003,
    "total_g": 0.018,
    "high_g": 0.036,
    "times": 1.0,
}
ROBERTA: dict[str, Any] = {
    **ROW,
    "name": "fine-tuned RoBERTa",
    "kind": "published",
    "accuracy": None,
    "wall_s": 2400.0,
    "model_bytes": None,
    "kwh": 0.437,
    "total_g": 219.8,
    "high_g": 439.6,
    "times": 12211.0,
    "source": "published: somewhere",
}
BENCH: dict[str, Any] = {
    "model": "reviews.udt",
    "source": "new.csv",
    "n_rows": 1000,
    "n_threads": 2,
    "accuracy": 0.953,
    "throughput": {"rows_per_s": 123_456.7, "seconds": 1.0, "n_predictions": 123_456},
    "latency": {"p50_ms": 0.161, "p99_ms": 0.412, "n_calls": 2000},
    "size": {"model_bytes": 8_300_000},
    "energy": {"kwh": 0.0002, "source": "a table, from CPU time"},
    "carbon": {**GRID, "total_g": 0.1, "operational_g": 0.08, "embodied_g": 0.02, "low_g": 0.05,
               "high_g": 0.2},
    "life_cycle": life_cycle(REPORT),
}  # fmt: skip


def line(text: str, part: str) -> str:
    (found,) = (line for line in text.splitlines() if part in line)
    return " ".join(found.split())


def test_comparison() -> None:
    text = comparison_text({"rows": [ROW, ROBERTA], "grid": GRID, "notes": ["Mind the gap."]}, 110)
    assert line(text, "9.1 s") == "reviews 95.3 % 9.1 s 8.3 MB 0.030 Wh 18 mg 1.0 ×"
    assert line(text, "12,000 ×") == "fine-tuned RoBERTa – 40 min 0 s – 440 Wh 220 g 12,000 ×"
    assert "Mind the gap." in text
    assert "estimates, ×/÷ 2" in text
    assert "published: somewhere" in text


def test_choices_are_cut_but_counted() -> None:
    rows = [
        {"region": f"r{i}", "pue": 1.2, "total_g": i + 1.0, "operational_g": i, "embodied_g": 1.0}
        for i in range(30)
    ]
    text = choices_text("by region", rows, {"region": "region", "pue": "PUE"})
    assert line(text, "r3 ") == "r3 1.2 4.0 g 3.0 g 1.0 g"
    assert "r20" not in text
    assert "10 more, up to 30 g" in text


def test_bench() -> None:
    text = bench_text(BENCH)
    for part in ("123,457 rows/s", "(2 threads)", "0.16 ms (median)", "0.41 ms", "8.3 MB",
                 "0.20 Wh (estimate, ×/÷ 2)", "CO2e 0.10 g", "= 0.08 electricity", "0.18 M",
                 "DistilBERT: 220 Wh", "1,100 × more"):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("against", "says"),
    [
        (
            {"extra_training_g": 0.01, "saved_g_per_million": 0.1, "repaid_predictions": 100_000.0},
            "10 mg more of training, repaid after 0.10 M predictions",
        ),
        (
            {
                "extra_training_g": 0.01,
                "saved_g_per_million": -0.1,
                "repaid_predictions": float("inf"),
            },
            "not repaid: a million predictions take 0.10 g more",
        ),
        (
            {"extra_training_g": -0.01, "saved_g_per_million": 0.0, "repaid_predictions": 0.0},
            "this one's training cost 10 mg less",
        ),
        ({"saved_g_per_million": 0.0, "more_right_per_million": -1234.4}, "1,234 of a million"),
    ],
)
def test_against(against: dict[str, Any], says: str) -> None:
    other = {"model": "fast.udt", "per_million_g": 0.2, **against}
    assert says in " ".join(bench_text({**BENCH, "against": other}).split())


def test_life_cycle() -> None:
    text = life_cycle_text("reviews", life_cycle(REPORT, shared_by=3))
    assert line(text, "66.7 %") == "search 2.0 s 0.020 Wh 12 mg 66.7 %"
    assert line(text, " 1,000,000 ") == "1,000,000 6.0 mg 0.10 g 0.11 g 94.3 %"
    assert "by 3 teams: 6.0 mg" in text
    assert "0.15 m in a new car" in text
    assert "flights" not in text, "a millionth of a flight says nothing"


def test_life_cycle_of_a_large_run_knows_flights() -> None:
    large = copy.deepcopy(REPORT)
    large["carbon"]["total_g"] = 1e6
    assert "flights" in life_cycle_text("reviews", life_cycle(large))


def test_life_cycle_without_an_account() -> None:
    assert "no account" in life_cycle_text("reviews", {})
