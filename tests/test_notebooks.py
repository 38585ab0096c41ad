"""Notebooks run from first cell to last, and are kept as scripts/notebooks.py makes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import udt

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "demos").glob("*.ipynb"))
MOST_SECONDS = 60  # each, on an idle machine with two cores and compiled kernels


def test_there_are_five():
    assert [path.name[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_", "4_", "5_"]


def test_badges_outputs_and_metadata_are_as_kept():
    pytest.importorskip("nbformat")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/notebooks.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}Run: python scripts/notebooks.py"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_output_is_kept_and_the_badge_leads_to_the_notebook(path):
    first, install, *others = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert f"/blob/main/demos/{path.name})" in "".join(first["source"])
    assert "%pip install" in "".join(install["source"])
    code = [cell for cell in [install, *others] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_run(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    if path.stem.startswith("5"):
        pytest.importorskip("fastapi")
    (tmp_path / "reviews.csv").write_bytes((ROOT / "demos/reviews.csv").read_bytes())
    monkeypatch.setenv("PYTHONPATH", str(Path(udt.__file__).parents[1]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the fallback of the first notebook is what runs
    notebook = nbformat.read(path, as_version=4)
    cpu_s, start = sum(os.times()[:4]), time.perf_counter()
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    elapsed = time.perf_counter() - start
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any("image/png" in out.get("data", {}) for out in outputs), "no plot is shown inline"
    said = [out["text"] for out in outputs if out.get("name") == "stderr"]
    said = [text for text in said if "IProgress not found" not in text]  # no ipywidgets here
    assert not any("Traceback" in text or "Warning" in text for text in said), said
    busy = (sum(os.times()[:4]) - cpu_s) / elapsed  # of children that have ended
    assert elapsed <= MOST_SECONDS or busy < 1, f"{elapsed:.0f} s"
