"""Progress is for a person at a terminal, and for nobody else."""

from __future__ import annotations

import io
import sys

import pytest

from udt.cli.progress import show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, quiet, kind in (
        (io.StringIO(), False, "xterm"),
        (Terminal(), True, "xterm"),
        (Terminal(), False, "dumb"),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", kind)
        with show_progress(quiet) as on_progress:
            on_progress("read", None, "")
        assert stream.getvalue() == ""


def test_a_terminal_shows_stages_and_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with show_progress(quiet=False) as on_progress:
        on_progress("read", None, "")
        on_progress("search", 0.5, "trial 3 of 6 [bold], accuracy 0.951")
        on_progress("read", 1.0, "again")
    drawn = terminal.getvalue()
    assert "read" in drawn
    assert "trial 3 of 6 [bold], accuracy 0.951" in drawn
    assert "\x1b[3" not in drawn, "colour in spite of NO_COLOR"
