"""Run as a script: fit, save, load and predict in many ways; print how often kernels compiled."""

from __future__ import annotations

import importlib
import json
import pkgutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import udt
import udt.engine
import udt.featurizers
from udt import many_race
from udt.csr import CSR, one_class
from udt.engine.mix import WIDE_ONLY
from udt.engine.selection import make_selector
from udt.engine.train import predict, train
from udt.settings import NetworkSettings, TrainSettings


def make_table(n_rows: int) -> dict[str, Any]:
    """Return every kind of column, and a label that they tell of."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n_rows)
    words = (("good", "fine", "nice", "ok"), ("bad", "poor", "late", "dull"))
    return {
        "text": [" ".join(words[c][k] for k in rng.integers(0, 4, 6)) for c in y],
        "shop": [("north", "south")[k] for k in rng.integers(0, 2, n_rows)],
        "price": rng.normal(size=n_rows).tolist(),
        "day": [f"2023-01-{day:02}" for day in rng.integers(1, 28, n_rows)],
        "tags": ["|".join(rng.choice(["x", "y", "z", "u"], 2)) for _ in range(n_rows)],
        "label": [("yes", "no")[c] for c in y],
    }


def read_only(texts: list[str]) -> pa.Table:
    """Return a table in memory that must not be written, as that of a mapped file is."""
    sink = pa.BufferOutputStream()
    table = pa.table({"text": pa.array(texts, pa.large_string())})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(pa.py_buffer(sink.getvalue().to_pybytes())).read_all()


def run() -> None:
    """Use the library in as many ways as change the memory that kernels see."""
    table = make_table(400)
    model = udt.UDT("label", random_state=0, n_threads=2).fit(table)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.udt")
        loaded = udt.load(Path(folder) / "model.udt")
    for each in (model, loaded):
        each.predict(table)
        each.predict({"text": ["good " * 300_000]})  # is cut, so copied
        each.predict({"text": [None, ""]})
        each.predict({"price": [1.0]})
        each.predict(read_only(table["text"]))
    udt.UDT().fit(table["text"], table["label"]).predict(["fine"])
    udt.UDT(random_state=0, width=0).fit(table["text"], table["label"]).predict(["fine"])
    lists = [["a"], ["b", "c"], ["c", "a"], ["b"]] * 100
    udt.UDT(random_state=0).fit(table["text"], lists).predict(["fine"])
    select_neurons(table)
    learn_many_classes()


def select_neurons(table: dict[str, Any]) -> None:
    """Fit with every selector of hidden neurons."""
    for selector in ("votes", "lsh", "dwta", "router", "random"):
        settings = NetworkSettings(width=64, active_fraction=0.5, selector=selector)
        rows = CSR(np.arange(129), np.arange(128, dtype=np.int32) % 8, np.ones(128, np.float32), 8)
        y = one_class(np.arange(128) % 2)
        chosen = make_selector(settings, rows.n_features, 0)
        trained = train(rows, y, 2, settings, TrainSettings(epochs=2), selector=chosen)
        predict(trained.network, rows, WIDE_ONLY, 2, trained.selector)


def learn_many_classes() -> None:
    """Fit where there are too many classes to score them all, and with several labels a row."""
    many_race._MOST_DENSE_STEPS = 0.0
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 210, 840)
    texts = [f"word{c} and other{rng.integers(9)}" for c in classes]
    lists = [[f"c{c}", f"c{c // 2}"] for c in classes]
    for y in ([f"c{c}" for c in classes], lists):
        model = udt.UDT(random_state=0).fit(texts, y)
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "model.udt")
            model = udt.load(Path(folder) / "model.udt")
        model.predict(texts)
        model.predict_proba(texts[:3])
    udt.UDT(random_state=0, selector="lsh").fit(texts, classes)


def count_signatures() -> dict[str, int]:
    """Return each kernel's number of compiled signatures, by module and name."""
    counts = {}
    for package in (udt.featurizers, udt.engine):
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            for name, value in vars(module).items():
                own = getattr(value, "py_func", None)
                if own is not None and own.__module__ == module.__name__:
                    counts[f"{info.name}.{name}"] = len(value.signatures)
    return counts


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # columns are missing on purpose
    run()
    print(json.dumps(count_signatures()))
