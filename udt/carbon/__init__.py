"""Energy and CO2e of a run: watts × hours × the grid's intensity, and a share of the machine.

::

    figures      every constant with unit, source and year; the tables that ship
    families     /proc/cpuinfo -> CPU family
    host         what the machine says about itself, and what cgroups leave us of it
    rapl         energy counters
    grid         Place: grid intensity and PUE by region or country
    machine      Machine: watts by load, and manufacturing
    footprint    Footprint, and the formula
    meter        Meter: a run's account while it runs
    choices      the same work elsewhere, equivalences, break-even
    baselines    runs to compare with: a published one, and the user's

No network, nothing but the standard library; the tables are read on first use.

>>> from udt.carbon import estimate, find_machine, find_place
>>> machine, place = find_machine("r6g.xlarge"), find_place("us-west-1")
>>> round(estimate(machine, place, hours=0.7, utilisation=0.5).total_g, 1)
8.5
"""

from udt.carbon.baselines import ROBERTA, Baseline, parse_baseline
from udt.carbon.choices import break_even, car_metres, equivalents, instances
from udt.carbon.figures import EQUIVALENCES, INFERENCE, INFERENCE_SHARES, Figure
from udt.carbon.footprint import Footprint, estimate, parse_share
from udt.carbon.grid import Place, find_place, regions
from udt.carbon.machine import Machine, find_machine
from udt.carbon.meter import Meter

__all__ = [
    "EQUIVALENCES",
    "INFERENCE",
    "INFERENCE_SHARES",
    "ROBERTA",
    "Baseline",
    "Figure",
    "Footprint",
    "Machine",
    "Meter",
    "Place",
    "break_even",
    "car_metres",
    "equivalents",
    "estimate",
    "find_machine",
    "find_place",
    "instances",
    "parse_baseline",
    "parse_share",
    "regions",
]
