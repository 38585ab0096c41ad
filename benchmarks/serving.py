"""Measure a served model on the loopback interface: latency, requests a second, memory. Unix only.

::

    python benchmarks/serving.py [--seconds 60] [--rate 200] [--connections 32]
        [--model FILE --rows FILE] [--out benchmarks/results/serving.json]

Trains on ``demos/reviews.csv`` unless a model is given, starts ``udt serve`` as a process of its
own and sends it single rows of the table, over connections that are kept open:

- ``paced``: at a fixed rate. A request's time counts from the moment when it was due, so that a
  server that stops for a while is charged for every request that waited meanwhile.
- ``saturated``: each connection sends its next request when it has the answer to the last.

The client shares the machine with the server, and is one process.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import csv
import importlib.metadata
import itertools
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _data

TABLE = _data.REPOSITORY / "demos" / "reviews.csv"
TARGET = "label"
WARM_UP_S, START_WITHIN_S = 5.0, 60.0
TIMER_S = 0.0015  # event loops wake up to a millisecond late; the rest is waited for awake
N_REQUESTS, MAX_REQUESTS = 2_000, 1_000_000
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


# ── client ──────────────────────────────────────────────────────────────────────────────────────


class Connection(asyncio.Protocol):
    """One connection with one request under way at a time.

    Parameters
    ----------
    answered : callable
        Called with the connection and whether the answer was a prediction.
    """

    def __init__(self, answered: Callable[[Connection, bool], None]) -> None:
        self._answered = answered
        self._buffer = b""
        self._end = 0
        self.is_open = True
        self.due = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._end:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            self._end = head + 4 + int(_LENGTH.search(self._buffer, 0, head)[1])
        if len(self._buffer) >= self._end:
            is_right = self._buffer.startswith(b"HTTP/1.1 200 ") and b'"label":' in self._buffer
            self._buffer, self._end = b"", 0
            self._answered(self, is_right)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False

    def close(self) -> None:
        self._transport.close()


class Load:
    """Sends requests over some connections and keeps what they took.

    Parameters
    ----------
    requests : iterator of bytes
        Endless.
    """

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self.seconds: list[float] = []
        self.n_failed = 0
        self._idle: collections.deque[Connection] = collections.deque()
        self._waiting: collections.deque[float] = collections.deque()
        self._connections: list[Connection] = []
        self._again = False

    async def connect(self, port: int, n: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(n):
            _, connection = await loop.create_connection(
                lambda: Connection(self._answered), "127.0.0.1", port
            )
            self._connections.append(connection)
        self._idle.extend(self._connections)

    def _answered(self, connection: Connection, is_right: bool) -> None:
        now = time.perf_counter()
        self.seconds.append(now - connection.due)
        self.n_failed += not is_right
        if self._waiting:
            connection.send(next(self._requests), self._waiting.popleft())
        elif self._again and len(self.seconds) < MAX_REQUESTS:
            connection.send(next(self._requests), now)
        else:
            self._idle.append(connection)

    async def paced(self, rate: float, seconds: float) -> None:
        """Send at a fixed rate, whether or not earlier requests were answered."""
        start = time.perf_counter()
        for i in range(int(rate * seconds)):
            due = start + i / rate
            while (left := due - time.perf_counter()) > 0:
                await asyncio.sleep(max(0.0, left - TIMER_S))
            if self._idle:
                self._idle.popleft().send(next(self._requests), due)
            else:
                self._waiting.append(due)
        await self._finish()

    async def saturated(self, seconds: float) -> None:
        """Keep every connection busy."""
        self._again = True
        while self._idle:
            self._idle.popleft().send(next(self._requests), time.perf_counter())
        await asyncio.sleep(seconds)
        self._again = False
        await self._finish()

    async def _finish(self) -> None:
        """Wait for the last answers; what does not come or was cut off counts as failed."""
        for _ in range(500):
            if len(self._idle) == len(self._connections):
                break
            await asyncio.sleep(0.01)
        self.n_failed += len(self._waiting) + len(self._connections) - len(self._idle)
        for connection in self._connections:
            connection.close()

    def result(self, wall_s: float) -> dict[str, Any]:
        ranked = sorted(1000 * s for s in self.seconds)
        n = len(ranked)
        return {
            "seconds": round(wall_s, 1),
            "n_requests": n,
            "n_failed": self.n_failed,
            "requests_per_s": round(n / wall_s),
            "p50_ms": round(statistics.median(ranked), 3),
            "p99_ms": round(ranked[int(0.99 * n)], 3),
            "p999_ms": round(ranked[int(0.999 * n)], 3),
            "max_ms": round(ranked[-1], 3),
        }


def run_load(
    port: int, requests: list[bytes], n_connections: int, seconds: float, rate: float | None
) -> dict[str, Any]:
    """Send load for some seconds; at a rate, or as much as is answered."""

    async def main() -> dict[str, Any]:
        load = Load(itertools.cycle(requests))
        await load.connect(port, n_connections)
        start = time.perf_counter()
        await (load.saturated(seconds) if rate is None else load.paced(rate, seconds))
        return load.result(time.perf_counter() - start)

    try:
        import uvloop
    except ImportError:
        return asyncio.run(main())
    return uvloop.run(main())


def to_requests(rows: Path, target: str) -> list[bytes]:
    """Return requests for single rows of a CSV file, without its target column."""
    with rows.open(encoding="utf-8", newline="") as file:
        table = list(itertools.islice(csv.DictReader(file), N_REQUESTS))
    requests = []
    for row in table:
        row.pop(target, None)
        body = json.dumps({"rows": [row]}).encode()
        head = (
            "POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


# ── server ──────────────────────────────────────────────────────────────────────────────────────


def start_server(model: Path) -> tuple[subprocess.Popen[str], int]:
    """Start ``udt serve`` on a free port; return the process and the port."""
    command = [*_data.UDT, "serve", str(model), "--port", "0"]
    server = subprocess.Popen(command, cwd=_data.REPOSITORY, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        line = server.stderr.readline()
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return server, int(found[1])
        if server.poll() is not None:
            break
    server.kill()
    raise RuntimeError(f"The server did not start: {line}")


def stop_server(server: subprocess.Popen[str]) -> int:
    """Ask the server to end; return its exit code."""
    server.send_signal(signal.SIGTERM)
    try:
        return server.wait(20)
    finally:
        server.kill()


def rss_bytes(pid: int) -> int | None:
    """Return the memory that a process holds; None where there is no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return None
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def measure(model: Path, requests: list[bytes], given: argparse.Namespace) -> dict[str, Any]:
    server, port = start_server(model)
    try:
        run_load(port, requests, given.connections, WARM_UP_S, None)
        before = rss_bytes(server.pid)
        paced = run_load(port, requests, 8, given.seconds / 2, given.rate)
        saturated = run_load(port, requests, given.connections, given.seconds, None)
        after = rss_bytes(server.pid)
    finally:
        code = stop_server(server)
    return {
        "rate": given.rate,
        "connections": given.connections,
        "paced": paced,
        "saturated": saturated,
        "rss_before_bytes": before,
        "rss_after_bytes": after,
        "exit_code": code,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="saturated; paced: half of it")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second, paced")
    parser.add_argument("--connections", type=int, default=32, help="saturated")
    parser.add_argument("--model", type=Path, help="model file, in place of the demo table's")
    parser.add_argument("--rows", type=Path, default=TABLE, help="CSV with rows to send")
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "serving.json")
    given = parser.parse_args()
    circumstances = _data.circumstances()
    served_by = {name: importlib.metadata.version(name) for name in ("fastapi", "uvicorn")}
    circumstances["versions"] |= served_by
    with tempfile.TemporaryDirectory() as scratch:
        model = given.model
        if model is None:
            model = Path(scratch) / "model.udt"
            train = [*_data.UDT, "train", str(TABLE), "--target", TARGET, "-o", str(model)]
            subprocess.run([*train, "--quiet"], cwd=_data.REPOSITORY, check=True, stdout=sys.stderr)
        measured = measure(model, to_requests(given.rows, TARGET), given)
    result = {"table": given.rows.name, **circumstances, **measured}
    _data.write_json(given.out, result)
    print(json.dumps(measured, indent=1))


def table_rows(result: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the lines of the table in RESULTS.md."""
    for name, told in (
        (f"{result['rate']:g} a second", result["paced"]),
        (f"as many as {result['connections']} connections get", result["saturated"]),
    ):
        yield [
            name,
            f"{told['n_requests']:,} in {told['seconds']:.0f} s",
            f"{told['n_failed']:,}",
            f"{told['requests_per_s']:,}",
            *(f"{told[key]:.2f}" for key in ("p50_ms", "p99_ms", "p999_ms")),
        ]


TABLE_HEAD = ["single rows", "requests", "failed", "a second", "p50, ms", "p99, ms", "p99.9, ms"]


def sentence(result: dict[str, Any]) -> str:
    """Say what was asked, and how much memory the server held before and after."""
    before, after = result["rss_before_bytes"], result["rss_after_bytes"]
    rows = f"single rows of {result['table']}"
    if before is None or after is None:
        return f"{rows}."
    return f"{rows}; its memory: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after."


if __name__ == "__main__":
    main()
