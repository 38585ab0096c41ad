"""Numbers in words: two digits for what is estimated, and never a zero."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt import _words as say


@pytest.mark.parametrize(
    ("word", "value", "expected"),
    [
        (say.grams, 0.018, "18 mg"),
        (say.grams, 0.0949, "95 mg"),
        (say.grams, 0.0999, "0.10 g"),
        (say.grams, 999.0, "1.0 kg"),
        (say.grams, 12_345_678.0, "12,000 kg"),
        (say.grams, 0.0, "under 0.001 mg"),
        (say.grams, float("nan"), "unknown"),
        (say.energy, 3e-5, "0.030 Wh"),
        (say.energy, 3e-7, "0.30 mWh"),
        (say.energy, 2.0, "2.0 kWh"),
        (say.metres, 0.1495, "0.15 m"),
        (say.metres, 0.0012, "1.2 mm"),
        (say.metres, 1520.0, "1.5 km"),
        (say.count, 181_234, "0.18 M"),
        (say.count, 1_234, "1,200"),
        (say.count, float("inf"), "unknown"),
        (say.duration, 0.321, "0.32 s"),
        (say.duration, 95.31, "95.3 s"),
        (say.duration, 725.4, "12 min 5 s"),
        (say.duration, 4_330.0, "1 h 12 min"),
        (say.size, 999, "1.0 kB"),
        (say.size, 8_300_000, "8.3 MB"),
        (say.size, 1_500_000_000, "1.5 GB"),
    ],
)
def test_numbers_are_worded(word: Any, value: float, expected: str) -> None:
    assert word(value) == expected


@given(st.floats(1e-5, 1e9))
def test_an_estimate_is_never_zero_and_keeps_two_digits(g: float) -> None:
    number, unit = say.grams(g).split()
    shown = float(number.replace(",", "")) * {"mg": 1e-3, "g": 1.0, "kg": 1e3}[unit]
    assert shown == pytest.approx(g, rel=0.051)
    assert "e" not in number
    assert len(number.replace(",", "").replace(".", "").strip("0")) <= 2
    assert {"mg": shown < 0.1, "g": 0.1 <= shown < 1000, "kg": shown >= 1000}[unit]
