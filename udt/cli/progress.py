"""How far training has come: a line per stage on stderr, if that is a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[str, float | None, str], None]


def _draw_nothing(stage: str, done: float | None, note: str) -> None:
    """Take a report of progress and leave it at that."""


@contextmanager
def show_progress(quiet: bool) -> Iterator[OnProgress]:
    """Yield what `UDT.fit` takes as ``on_progress``; it draws only where somebody may see it.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    """
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _draw_nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    bars = Progress(
        TextColumn("{task.description:<10}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True),
        refresh_per_second=5,  # drawing takes CPU time from training
        transient=True,  # the report takes its place
    )
    stages: dict[str, TaskID] = {}

    def update(stage: str, done: float | None, note: str) -> None:
        for other, task in stages.items():
            if other != stage:
                bars.update(task, total=1.0, completed=1.0)
        if stage not in stages:
            stages[stage] = bars.add_task(stage, total=None, note=note)
        if done is None:
            bars.update(stages[stage], note=note)
        else:
            bars.update(stages[stage], total=1.0, completed=done, note=note)

    with bars:
        yield update
