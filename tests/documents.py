"""Documents as tests see them: their fenced blocks, and a folder in which those run.

A block of bash or Python is run unless an HTML comment right above it says why it is not, as in
``<!-- not run: starts a server -->``, with one of `REASONS`. The blocks of a document run in order,
in one folder.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import udt

ROOT = Path(__file__).parents[1]
REASONS = {"installs", "needs the network", "runs the tests", "starts a server"}
N_ROWS, N_TEST = 300, 60

_FENCE = re.compile(r"(?:<!-- not run: ([\w ]+) -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
_TICKETS = (
    ("the screen stays black", "screen"),
    ("the battery is empty by noon", "battery"),
    ("no charge and a black screen", "battery;screen"),
    ("the invoice has the wrong address", "invoice"),
    ("invoice for a battery that never came", "invoice;battery"),
)


class Block(NamedTuple):
    """A fenced block: why it is not run (or ""), its language, its text."""

    reason: str
    language: str
    body: str


def blocks(path: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks of a document, of these languages or of all."""
    found = [Block(*groups) for groups in _FENCE.findall(path.read_text(encoding="utf-8"))]
    return [block for block in found if not languages or block.language in languages]


def trains_the_default(path: Path) -> bool:
    """Whether a command that is run writes ``reviews.udt`` itself."""
    run = [block.body for block in blocks(path, "bash") if not block.reason]
    lines = [line for body in run for line in body.splitlines()]
    return any(re.match(r"udt train \S*reviews\.csv(?!.* (-o|--force))", line) for line in lines)


def make_folder(folder: Path) -> None:
    """Fill a folder with the tables that documents name: the demo table, and parts of it."""
    (folder / "demos").mkdir(parents=True)
    with (ROOT / "demos/reviews.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    train, test = rows[:N_ROWS], rows[N_ROWS : N_ROWS + N_TEST]
    _write(folder / "demos/reviews.csv", header, rows)
    _write(folder / "reviews.csv", header, train)
    _write(folder / "test.csv", header, test)
    _write(folder / "new.csv", header[:-1], [row[:-1] for row in test])
    _write(folder / "monday.csv", header, rows[400:500])
    _write(folder / "tickets.csv", ["text", "tags"], [list(t) for t in _TICKETS * 30])


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def environment(tools: Path) -> dict[str, str]:
    """Return variables under which ``udt`` and ``python3`` are those that are tested."""
    tools.mkdir(exist_ok=True)
    for name, arguments in (("udt", " -m udt"), ("python3", ""), ("python", "")):
        script = tools / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("UDT_")}
    paths = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(udt.__file__).parents[1]),
        "HF_HUB_OFFLINE": "1",
    }
    return kept | paths


def run_block(block: Block, folder: Path, variables: dict[str, str]) -> str:
    """Run a block to its end; return what it printed.

    Raises
    ------
    AssertionError
        A command failed; the message has what it said.
    """
    if block.language == "bash":
        command = [shutil.which("bash") or "bash", "-euo", "pipefail", "-c", block.body]
    else:
        command = [sys.executable, "-W", "error::DeprecationWarning", "-c", block.body]
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{block.body}\n{done.stdout}\n{done.stderr}"
    return done.stdout
