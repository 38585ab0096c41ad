"""What all tests share: a seeded generator, and the same examples in every run."""

from __future__ import annotations

import os

import hypothesis
import numpy as np
import pytest

WITHOUT_JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")

# No deadline: a kernel's first call loads or compiles it.
hypothesis.settings.register_profile(
    "udt", deadline=None, derandomize=True, max_examples=15 if WITHOUT_JIT else 100
)
hypothesis.settings.load_profile("udt")


def pytest_configure(config: pytest.Config) -> None:
    if WITHOUT_JIT:  # what compiled code does in silence, numpy's scalars report
        for what in ("overflow", "invalid value"):  # hashes wrap around; NaN is looked for later
            config.addinivalue_line(
                "filterwarnings", f"ignore:{what} encountered in scalar:RuntimeWarning"
            )


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20240517)
