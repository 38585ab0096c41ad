"""The figures behind every estimate: value, unit, source, year; and the tables that ship.

Nothing here is fetched: the tables lie in ``udt/data``, each under its attribution, and are read
on first use only.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple, TextIO


class Figure(NamedTuple):
    """One number with what an auditor asks about it."""

    value: float
    unit: str
    source: str
    year: int


_TEADS = "Teads Engineering, after Dell's life-cycle assessment of a PowerEdge R740"
_STRUBELL = "Strubell et al., Energy and Policy Considerations for Deep Learning in NLP"

LIFE = Figure(35_040.0, "h", "four years of service of 8,760 h each (Teads Engineering)", 2022)
BASE_KG = Figure(1000.0, "kg CO2e", f"server with one CPU, 16 GB, no drive: {_TEADS}", 2021)
BASE_MEMORY = Figure(16.0, "GB", f"memory within the base server: {_TEADS}", 2021)
MEMORY_KG = Figure(533 / 384, "kg CO2e/GB", f"533 kg for 384 GB: {_TEADS}", 2021)
CPU_KG = Figure(100.0, "kg CO2e per further CPU", _TEADS, 2021)
SSD_KG = Figure(100.0, "kg CO2e per drive", _TEADS, 2021)
HOST_VCPUS = Figure(96.0, "vCPU", "host of AWS' m5 and t3, taken for an unknown cloud's", 2022)
HOST_MEMORY = Figure(384.0, "GB", "host of AWS' m5 and t3, taken for an unknown cloud's", 2022)
HOST_CPUS = Figure(2.0, "CPUs", "host of AWS' m5 and t3, taken for an unknown cloud's", 2022)
OWN_PUE = Figure(1.0, "1", "one's own machine: no data centre around it", 2022)
HALF_LOAD = Figure(0.5, "1", "average load of cloud servers, Cloud Carbon Footprint", 2026)

# How far off a figure may be, as a factor. Three published methods give 2.1 to 8.5 g for one and
# the same run, which is 2 either way of their middle; CPU families differ among themselves by
# another 2, and both together, as independent errors do, by exp(√2 · ln 2) ≈ 2.7, so 3. Counters
# see CPU and memory to a few percent, but neither fans, drives nor the power supply's loss.
MODEL_BAND = Figure(2.0, "×/÷", "spread of three published methods over one run", 2026)
GUESS_BAND = Figure(3.0, "×/÷", "that spread and the one between CPU families", 2026)
RAPL_BAND = Figure(
    1.25, "×/÷", "what is powered beside CPU and memory, and the grid's figure", 2026
)

CAR = Figure(120.4, "g/km", "new cars in the EU, European Environment Agency", 2018)

EQUIVALENCES = {
    "kilometres by a new car": CAR,
    "flights New York-San Francisco": Figure(1984 * 453.59237, "g a passenger", _STRUBELL, 2019),
    "years of a human life": Figure(11_023 * 453.59237, "g", _STRUBELL, 2019),
    "years of an American life": Figure(36_156 * 453.59237, "g", _STRUBELL, 2019),
    "lives of a car, fuel included": Figure(126_000 * 453.59237, "g", _STRUBELL, 2019),
    "trainings of GPT-3": Figure(552e6, "g", "Patterson et al., 1,287 MWh", 2021),
    "trainings of BLOOM": Figure(50.5e6, "g", "Luccioni et al., whole life cycle", 2022),
}

_ENERGY_STAR = "Hugging Face, Energy Star AI project, text classification on a GPU"
INFERENCE = {
    "DistilBERT": Figure(0.22e-3, "kWh per 1,000 short texts", _ENERGY_STAR, 2024),
    "BERT multilingual": Figure(0.36e-3, "kWh per 1,000 short texts", _ENERGY_STAR, 2024),
    "BERT-large": Figure(0.92e-3, "kWh per 1,000 short texts", _ENERGY_STAR, 2024),
    "T5-large": Figure(7.9e-3, "kWh per 1,000 short texts", _ENERGY_STAR, 2024),
    "T5-11b": Figure(27.8e-3, "kWh per 1,000 short texts", _ENERGY_STAR, 2024),
}

# How much of all that machine learning costs is predictions, as operators say.
INFERENCE_SHARES = {
    "Amazon Web Services, its customers": Figure(0.9, "1", "Barr, AWS News Blog", 2019),
    "NVIDIA": Figure(0.85, "1", "80 to 90 %; Leopold, HPCwire", 2019),
    "Google": Figure(0.6, "1", "Patterson et al., energy of 2019 to 2021", 2022),
}

CONSTANTS = {
    "life": LIFE,
    "base": BASE_KG,
    "base_memory": BASE_MEMORY,
    "memory": MEMORY_KG,
    "further_cpu": CPU_KG,
    "ssd": SSD_KG,
    "host_vcpus": HOST_VCPUS,
    "host_memory": HOST_MEMORY,
    "host_cpus": HOST_CPUS,
    "own_pue": OWN_PUE,
    "half_load": HALF_LOAD,
    "model_band": MODEL_BAND,
    "guess_band": GUESS_BAND,
    "rapl_band": RAPL_BAND,
}

_DATA = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data")


@cache
def read_table(name: str) -> dict[str, dict[str, str]]:
    """Return a table of ``udt/data`` as its rows by their first column.

    The files are opened directly: importing ``importlib.resources`` would cost more time than
    reading all four.
    """
    with _open(name) as file:
        header, *rows = csv.reader(line for line in file if not line.startswith("#"))
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


@cache
def read_row(name: str, key: str) -> dict[str, str] | None:
    """Return one row of a table, or None: of the longest table, in a fiftieth of the time."""
    with _open(name) as file:
        lines = (line for line in file if not line.startswith("#"))
        header = next(lines)
        found = next((line for line in lines if line.startswith(f"{key},")), None)
    return None if found is None else next(csv.DictReader([header, found]))


def _open(name: str) -> TextIO:
    return open(os.path.join(_DATA, f"{name}.csv"), encoding="utf-8", newline="")


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return `` Nearest: a, b, c.`` with up to three candidates, or an empty string."""
    import difflib  # two milliseconds, for failures only

    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    folded = name.strip().casefold()
    begins = [key for key in by_folded if folded and key.startswith(folded)]
    near = difflib.get_close_matches(folded, by_folded, n=3, cutoff=0.5)
    best = list(dict.fromkeys(begins[:3] + near))[:3]
    return f" Nearest: {', '.join(by_folded[key] for key in best)}." if best else ""
