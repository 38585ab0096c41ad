"""udt as a user runs it, and how a result finds its place among others."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import _data


def udt(name: str, *flags: str) -> dict[str, Any]:
    """Train and test on a set in a process of its own, with the target and the flags given."""
    return udt_on(_data.folder(name), _data.target(name), *flags)


def udt_on(folder: Path, target: str, *flags: str) -> dict[str, Any]:
    """Train on a folder's train.parquet and test on its test.parquet, as `udt` does."""
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            [
                *_data.UDT,
                *("train", str(folder / "train.parquet"), "--target", target),
                *("--test", str(folder / "test.parquet")),
                *("-o", str(Path(scratch, "model.udt")), "--json"),
                *flags,
            ],
            cwd=_data.REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    report = json.loads(run.stdout)
    metrics = report["metrics"]
    if metrics["split"] != "test":
        raise RuntimeError(f"udt tested on '{metrics['split']}', not on {folder}'s test file.")
    kept = {key: report[key] for key in ("metrics", "network", "search", "size", "energy")}
    leaders = report["search"]["leaderboard"]
    return {
        "accuracy": metrics["accuracy"],
        "n_train": report["n_rows"],
        "n_test": metrics["n_rows"],
        "chosen": leaders[0]["name"] if leaders else None,
        "seconds": report["time"],
        "report": kept | {"carbon_g": report["carbon"]["total_g"]},
    }


def store(
    path: Path, record: dict[str, Any], key: tuple[str, ...] = ("set", "method", "seed")
) -> None:
    """Put a record in the place of the one with the same key; read anew, as runs may overlap."""
    records = json.loads(path.read_text("utf-8")) if path.exists() else []
    others = [r for r in records if any(r[k] != record[k] for k in key)]
    records = sorted([*others, record], key=lambda r: [r[k] for k in key])
    _data.write_json(path, records)
