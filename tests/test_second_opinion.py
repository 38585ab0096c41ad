"""codecarbon beside our own account: with our grid and PUE, and without a word when it fails."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from udt.carbon import Place, find_place
from udt.errors import SettingsError
from udt.second_opinion import SecondOpinion, _iso3

PLACE = Place("us-west-1", "United States", 350.861, 1.2, "made up")


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(SettingsError, match=r"openudt\[codecarbon\]"):
        SecondOpinion(PLACE)


class Tracker:
    """Stands in for codecarbon's; records what it is made with."""

    made: dict[str, Any]

    def __init__(self, **settings: Any) -> None:
        Tracker.made = settings

    def start(self) -> None: ...

    def stop(self) -> None: ...


def test_is_given_our_grid_and_never_goes_online(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("codecarbon")
    module.OfflineEmissionsTracker = Tracker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    told = SecondOpinion(PLACE).stop()
    assert Tracker.made["force_carbon_intensity_g_co2e_kwh"] == 350.861
    assert Tracker.made["pue"] == 1.2
    assert Tracker.made["country_iso_code"] == "USA"
    assert Tracker.made["save_to_file"] is False
    assert told == {"source": "codecarbon, which gave no figure"}


def test_of_a_country() -> None:
    assert _iso3(find_place(country="Germany", environ={})) == "DEU"
    assert _iso3(find_place("eu-north-1", environ={})) == "SWE"
    assert _iso3(find_place(environ={})) == "USA"


def test_measures() -> None:
    pytest.importorskip("codecarbon")
    opinion = SecondOpinion(PLACE)
    until = time.perf_counter() + 1.2
    while time.perf_counter() < until:
        pass
    told = opinion.stop()
    assert told["source"].startswith("codecarbon 3.3")
    assert told["kwh"] > 0
    # Its energy holds the overhead already; ours is before it.
    assert told["total_g"] == pytest.approx(told["kwh"] * 1.2 * 350.861, rel=0.01)
