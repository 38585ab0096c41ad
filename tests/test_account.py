"""The account while it runs: each stage apart, and about what the whole will cost."""

from __future__ import annotations

import re

import pytest

from udt.account import Stages
from udt.carbon import Meter, find_machine, find_place

R6G = find_machine("r6g.xlarge", environ={})
WORLD = find_place(environ={})


class Run:
    """Stages on a clock that moves when told to, with what was told of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = self.compiled_s = 0.0
        self.told: list[str] = []
        monkeypatch.setattr("udt.account.compile_seconds", lambda: self.compiled_s)
        self.meter = Meter(R6G, WORLD, clock=lambda: (self.now_s, 2 * self.now_s))
        self.stages = Stages(self.meter, lambda stage, done, note: self.told.append(note))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(monkeypatch)


def test_stages_add_up_with_what_they_compiled(run: Run) -> None:
    with run.stages as stages:
        run.now_s = 1.0
        for stage, seconds, compiled_s in (
            ("read", 2.0, 0.0),
            ("search", 8.0, 6.0),
            ("read", 1.0, 0.0),
            ("fit", 4.0, 1.0),
        ):
            stages(stage)
            run.now_s += seconds
            run.compiled_s += compiled_s
    whole, parts = run.meter.stop(), run.stages.phases_dict()
    seconds_of = {name: part["wall_s"] for name, part in parts.items()}
    assert seconds_of == pytest.approx(
        {"read": 3.0, "compile": 7.0, "search": 2.0, "fit": 3.0, "other": 1.0}
    )
    assert list(seconds_of) == ["read", "compile", "search", "fit", "other"]
    assert sum(part["kwh"] for part in parts.values()) == pytest.approx(whole.kwh)
    assert sum(part["total_g"] for part in parts.values()) == pytest.approx(whole.total_g)


def test_the_search_says_its_cost_and_the_training_that_of_the_end(run: Run) -> None:
    with run.stages as stages:
        stages("read")
        stages("search", 0.0)
        run.now_s = 3600.0
        stages("search", 0.5, "3 trials")
        stages("fit", 0.0)
        for epoch in range(1, 11):
            run.now_s += 360.0
            stages("fit", epoch / 10, f"epoch {epoch}")
    read, search_begins, search, fit_begins, *epochs = run.told
    assert (read, search_begins, fit_begins) == ("", "", "")
    assert re.fullmatch(r"3 trials · 22 Wh, \S+ g so far", search)
    assert all(note.startswith(f"epoch {i} · ") for i, note in enumerate(epochs, 1))
    ends = {note.partition("about ")[2] for note in epochs}
    total_g = run.meter.stop().total_g
    # Evenly spent, the end is known from the first epoch on: two hours in all.
    assert ends == {f"{float(f'{total_g:.1e}'):.0f} g at the end"}


def test_nobody_listens(run: Run) -> None:
    with Stages(run.meter, None) as stages:
        stages("fit", 0.5, "epoch 1")
    assert run.told == []
