"""What serving costs: CPU time, energy and CO2e of every request, and counters for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector

from udt.carbon import Machine, Place, estimate
from udt.serving.store import ModelStore

CONTENT_TYPE = CONTENT_TYPE_LATEST

_LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_BATCH_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000)
_S_PER_H = 3600.0


class CpuShares:
    """Shares out the process's CPU time among the requests that are in flight.

    At any moment each of n requests is charged 1/n of the CPU time that passes, as if they took
    turns. What all are charged adds up to the process's CPU time while there was any.

    Parameters
    ----------
    clock : callable
        Returns the process's CPU seconds.

    Examples
    --------
    >>> now = [0.0]
    >>> shares = CpuShares(lambda: now[0])
    >>> one = shares.enter()
    >>> now[0] = 1.0
    >>> other = shares.enter()
    >>> now[0] = 2.0
    >>> shares.leave(other), shares.leave(one)
    (0.5, 1.5)
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock, self._last = clock, clock()
        self._each_s = 0.0  # what a request that was there from the beginning would have got
        self._n = 0

    def enter(self) -> float:
        """Begin a request; return what `leave` takes."""
        self._pass()
        self._n += 1
        return self._each_s

    def leave(self, entered: float) -> float:
        """End a request; return its CPU seconds."""
        self._pass()
        self._n -= 1
        return self._each_s - entered

    def _pass(self) -> None:
        now = self._clock()
        if self._n:
            self._each_s += (now - self._last) / self._n
        self._last = now


class Account:
    """Counts requests, rows and batches, and what they cost.

    Parameters
    ----------
    store : ModelStore
        What is served.
    machine, place : Machine, Place
        What the CPU time is charged as, and where.
    paths : sequence of str
        The routes; requests for others are counted together.

    Notes
    -----
    A second of one CPU is charged as a second of the machine with one CPU busy: with all of its
    idle power, and its manufacture.
    """

    def __init__(
        self, store: ModelStore, machine: Machine, place: Place, paths: tuple[str, ...]
    ) -> None:
        self.shares = CpuShares()
        self._store, self._paths = store, frozenset(paths)
        second = estimate(machine, place, hours=1 / _S_PER_H, cpu_s=1.0)
        self._kwh_per_s, self._g_per_s = second.kwh, second.total_g
        self.basis = {
            "watts": second.energy_source,
            "grid_g_per_kwh": place.grid_g_per_kwh,
            "region": place.region,
            "grid_source": place.grid_source,
            "band": second.band,
        }
        self.registry = CollectorRegistry()
        self._make_counters()

    def _make_counters(self) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"udt_{name}", what, labels, registry=self.registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"udt_{name}", what, labels, registry=self.registry)

        def histogram(name: str, what: str, buckets: Any, *labels: str) -> Histogram:
            return Histogram(f"udt_{name}", what, labels, buckets=buckets, registry=self.registry)

        self._requests = counter("requests", "Requests answered.", "path", "status")
        self._seconds = histogram(
            "request_seconds", "From the request's head to the answer's end.", _LATENCY_S, "path"
        )
        self._rows = counter("rows", "Rows answered.", "path")
        self._batch_rows = histogram("batch_rows", "Rows predicted at a time.", _BATCH_ROWS)
        self.waiting_rows = gauge("waiting_rows", "Rows that wait or are worked on.")
        self._cpu_s = counter("cpu_seconds", "CPU time charged to requests for rows.")
        self._kwh = counter("energy_kwh", "Energy of that, estimated.")
        self._co2e_g = counter("co2e_grams", "CO2e of that, estimated.")
        self._model = gauge("model_info", "1 for the model that is served.", "sha256", "file")
        self._loaded = gauge("model_loaded_timestamp_seconds", "When the model was read.")
        self._reloads = gauge("model_reloads", "New model files since the start.", "result")
        ProcessCollector(registry=self.registry)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request of any kind."""
        known = path if path in self._paths else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def charge(self, path: str, n_rows: int, cpu_s: float) -> dict[str, float]:
        """Count rows that were answered; return what is told of their cost."""
        cost = {
            "cpu_s": cpu_s,
            "energy_kwh": cpu_s * self._kwh_per_s,
            "co2e_g": cpu_s * self._g_per_s,
        }
        self._rows.labels(path).inc(n_rows)
        self._cpu_s.inc(cpu_s)
        self._kwh.inc(cost["energy_kwh"])
        self._co2e_g.inc(cost["co2e_g"])
        return cost

    def batch(self, n_rows: int) -> None:
        """Count a batch."""
        self._batch_rows.observe(n_rows)

    def to_text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        store, served = self._store, self._store.served
        self._model.clear()
        self._model.labels(served.sha256, store.path.name).set(1)
        self._loaded.set(served.loaded_at.timestamp())
        self._reloads.labels("done").set(store.n_replaced)
        self._reloads.labels("failed").set(store.n_failed)
        return generate_latest(self.registry)
