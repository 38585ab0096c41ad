"""``udt inspect`` asks the library with the user's words, and prints what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Run

FOUND = {
    "schema": [{"column": "text", "kind": "text", "reason": "94 words a row on average"}],
    "facts": {
        "source": "t.csv",
        "n_rows": 3,
        "target": "label",
        "classes": [{"label": "y", "n_rows": 2}, {"label": "n", "n_rows": 1}],
    },
}


def test_flags_and_both_forms(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def inspect(*args: Any, **options: Any) -> Any:
        asked.append((args, {k: v for k, v in options.items() if v is not None}))
        return FOUND

    monkeypatch.setattr("udt.inspection.inspect", inspect)
    flags = ("--target", "label", "--date", "when", "--multi", "tags:|", "--bad-rows", "skip")
    flags += ("--multi-label", ";")
    result = run("inspect", "t.csv", *flags)
    assert result.exit_code == 0, result.stderr
    overrides = {
        "date": ["when"],
        "multi": {"tags": "|"},
        "multi_label": ";",
        "bad_rows": "skip",
    }
    assert asked == [(("t.csv", "label"), overrides)]
    for part in ("94 words a row on average", "label: 2 classes"):
        assert part in result.stdout
    assert json.loads(run("inspect", "t.csv", "--json").stdout) == FOUND
