"""The model that is served; a new file takes its place once it has proved itself."""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from udt.model import load_model
from udt.serving.answers import Answerer

Say = Callable[[str], None]
_Signature = tuple[int, int, int]

CHECK_EVERY_S = 0.5
"""Seconds between two looks at the file."""


class Served(NamedTuple):
    """A model at work.

    Attributes
    ----------
    answerer : Answerer
        Answers with it.
    sha256 : str
        Of its content.
    loaded_at : datetime
        When it was read, UTC.
    n_bytes : int
        Size of its file.
    """

    answerer: Answerer
    sha256: str
    loaded_at: datetime.datetime
    n_bytes: int


class ModelStore:
    """Holds the model of a file, and replaces it when the file is replaced.

    Whoever answers takes `served` once and keeps to it; a request is never answered by two
    models.

    Parameters
    ----------
    path : Path
        The model file.
    say : callable
        Told, in a sentence, of every model that was replaced or could not be.

    Raises
    ------
    ModelFileError
        The file cannot be used.
    """

    def __init__(self, path: Path, say: Say) -> None:
        self.path, self._say = path, say
        self.problem: str | None = None
        self.n_replaced, self.n_failed = 0, 0
        self._tried = self._seen = _signature(path)
        self.served = _load(path)

    async def watch(self) -> None:
        """Look at the file again and again, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await asyncio.to_thread(self.check)

    def check(self) -> None:
        """Load the file if it has changed and no longer changes.

        A file that is being written changes from one look to the next; one that was moved into
        its place does not.
        """
        seen, self._seen = self._seen, _signature(self.path)
        if self._seen != seen or self._seen == self._tried:
            return
        self._tried = self._seen
        try:
            served = _load(self.path)
        except Exception as error:  # however it fails, it must not stop what works
            self.n_failed += 1
            self.problem = f"{error} The model of before is still served."
            self._say(self.problem)
            return
        self.served, self.problem = served, None
        self.n_replaced += 1
        self._say(f"{self.path} was replaced; now serving {served.sha256[:12]}.")


def _load(path: Path) -> Served:
    model = load_model(path)
    answerer = Answerer(model)
    answerer.warm_up()
    now = datetime.datetime.now(datetime.UTC)
    return Served(answerer, model.content_sha256(), now, int(model.report.size["model_bytes"]))


def _signature(path: Path) -> _Signature | None:
    """Return what changes when a file is written or replaced; None if there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
