"""The command line in a folder of its own, with the real library or with a stand-in."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from udt.cli.app import app
from udt.label_forms import ONE_LABEL

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs ``udt`` with these arguments in an empty folder."""
    for name in os.environ:
        if name.startswith("UDT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def invoke(*args: Any, **options: Any) -> Any:
        return CliRunner().invoke(app, [str(a) for a in args], prog_name="udt", **options)

    return invoke


class FakeReport:
    def to_dict(self) -> dict[str, Any]:
        return {"model": "", "metrics": {"accuracy": 0.5}}

    def to_text(self, width: int) -> str:
        return f"── udt ─ accuracy 50 % in {width} characters"


class FakeModel:
    """Records what it is asked for."""

    made: FakeModel
    interrupted = False
    report = FakeReport()
    classes = np.array(["no", "yes"], dtype=object)
    label_form = ONE_LABEL

    @property
    def predicts_most_probable(self) -> bool:
        return not self.label_form.is_multi_label

    @classmethod
    def train(cls, given: dict[str, Any], file: str, **options: Any) -> FakeModel:
        cls.made = cls()
        cls.made.params, cls.made.file, cls.made.options = given, file, options
        return cls.made

    def save(self, path: Path, *, overwrite: bool) -> int:
        path.write_bytes(b"model")
        return 5

    def predict(self, table: Any, min_confidence: float | None = None) -> Any:
        return self.predict_top_k(table, 1)[0][:, 0]

    def decide(self, probas: Any, min_confidence: float | None = None) -> Any:
        return self.classes[probas.argmax(axis=1)]

    def predict_proba(self, table: Any) -> Any:
        n = len(table.column("text").to_pylist())
        return np.tile(np.array([0.25, 0.75], np.float32), (n, 1))

    def predict_top_k(self, table: Any, k: int) -> tuple[Any, Any]:
        order = np.argsort(-self.predict_proba(table), axis=1)[:, :k]
        return self.classes[order], -np.sort(-self.predict_proba(table), axis=1)[:, :k]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeModel]:
    """Put a stand-in in the place of training and loading."""
    monkeypatch.setattr("udt.run.train", FakeModel.train)
    monkeypatch.setattr("udt.model.load_model", lambda path: FakeModel())
    return FakeModel


def make_table(path: Path, n_rows: int, seed: int) -> None:
    """Write a table of text, category, number and missing values whose label can be learned."""
    rng = random.Random(seed)
    words = {"good": ("good", "fine", "lovely", "works"), "bad": ("bad", "poor", "broken", "late")}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "shop", "price", "label"])
        for _ in range(n_rows):
            label = rng.choice(("good", "bad"))
            mine = rng.choices(words[label], k=3) + rng.choices(("it", "the", "thing", "a"), k=4)
            rng.shuffle(mine)
            price = "" if rng.random() < 0.1 else f"{rng.uniform(1, 90):.2f}"
            writer.writerow([" ".join(mine), rng.choice(("north", "south")), price, label])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of such a table."""
    from udt.classifier import UDT

    folder = tmp_path_factory.mktemp("trained")
    make_table(folder / "reviews.csv", 200, seed=1)
    model = UDT("label", random_state=0).fit(folder / "reviews.csv")
    model.save(folder / "reviews.udt")
    return folder / "reviews.udt"
