"""What is imported when: scikit-learn takes longer than predicting a file does."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("sklearn", "pandas", "datasets", "polars", "typer")


@pytest.mark.parametrize("module", ["udt.run", "udt.model", "udt.inspection"])
def test_below_the_estimator_is_no_scikit_learn(module: str) -> None:
    code = f"import sys, {module}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
