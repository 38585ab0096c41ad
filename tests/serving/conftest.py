"""Small models of several kinds, and servers of them as processes of their own."""

from __future__ import annotations

import csv
import http.client
import json
import os
import queue
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

START_WITHIN_S, END_WITHIN_S = 60, 20
WORDS = {"good": ("good", "fine", "lovely", "works"), "bad": ("bad", "poor", "broken", "late")}
ROW = {"text": "lovely thing, works", "shop": "north", "price": 12.5, "day": "2024-05-01",
       "tags": "new|sale"}  # fmt: skip


def make_table(path: Path, n_rows: int, seed: int) -> None:
    """Write a table with a column of each kind that enters the network."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "shop", "price", "day", "tags", "label"])
        for _ in range(n_rows):
            label = rng.choice(("good", "bad"))
            mine = rng.choices(WORDS[label], k=3) + rng.choices(("it", "the", "thing", "a"), k=4)
            rng.shuffle(mine)
            price = "" if rng.random() < 0.1 else f"{rng.uniform(1, 90):.2f}"
            day = f"2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
            tags = "|".join(rng.sample(("new", "sale", "used", "gift"), rng.randint(1, 3)))
            writer.writerow(
                [" ".join(mine), rng.choice(("north", "south")), price, day, tags, label]
            )


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of such a table."""
    from udt.classifier import UDT

    folder = tmp_path_factory.mktemp("served")
    make_table(folder / "things.csv", 240, seed=1)
    UDT("label", random_state=0, multi={"tags": "|"}).fit(folder / "things.csv").save(
        folder / "things.udt"
    )
    return folder / "things.udt"


@pytest.fixture(scope="session")
def other_model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of other rows and columns."""
    from udt.classifier import UDT

    folder = tmp_path_factory.mktemp("other")
    texts = ["red round apple", "long yellow banana", "sour green lime"] * 20
    UDT("fruit", random_state=0).fit(texts, ["apple", "banana", "lime"] * 20).save(
        folder / "fruit.udt"
    )
    return folder / "fruit.udt"


class Reply(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """``udt serve`` as a process."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        for extra in ("fastapi", "uvicorn", "prometheus_client"):
            pytest.importorskip(extra)
        command = [sys.executable, "-m", "udt", "serve", *map(str, arguments), "--port", "0"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("UDT_")}
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            encoding="utf-8", env={**kept, **environment},
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            found = re.search(r"http://\S+:(\d+)", self.wait_for("serving"))
        except BaseException:
            self.process.kill()
            self.wait()
            raise
        self.port = int(found[1])

    def _read(self) -> None:
        with self.process.stderr as lines:
            for line in lines:
                self._lines.put(line)

    def wait_for(self, words: str) -> str:
        """Return the next line on stderr with these words."""
        while True:
            line = self._lines.get(timeout=START_WITHIN_S)
            self.said.append(line)
            if words in line:
                return line

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request; a body that is no bytes is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent = {"content-type": "application/json", **sent}
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, sent)
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def predict(self, *rows: dict[str, Any], **more: Any) -> Reply:
        return self.ask("POST", "/predict", {"rows": list(rows), **more})

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        try:
            return self.process.wait(END_WITHIN_S)
        finally:
            self.process.kill()
            self._reader.join()
            if not self.process.stdout.closed:
                self.printed = self.process.stdout.read()
                self.process.stdout.close()


@pytest.fixture(scope="session")
def server(model_file: Path) -> Iterator[Server]:
    """Return a server of the model, shared by tests that leave it as it is."""
    running = Server(model_file, "--max-rows", 50, "--max-bytes", 20_000)
    yield running
    assert running.stop() == 0


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server for this test alone."""
    started: list[Server] = []

    def start(*arguments: object, **environment: str) -> Server:
        started.append(Server(*arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.stop()
