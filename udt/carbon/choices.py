"""What the same work costs elsewhere, what a footprint is like, and when it has paid off."""

from __future__ import annotations

import math

from udt.carbon import figures
from udt.carbon.footprint import Footprint, check_range, estimate
from udt.carbon.grid import Place
from udt.carbon.machine import ec2_instances


def instances(
    place: Place,
    *,
    hours: float,
    cpu_s: float,
    share: float = 1.0,
    reserved: bool = False,
    min_memory_gb: float = 0.0,
) -> list[Footprint]:
    """Return the footprints of the same work on each EC2 instance type, the greenest first.

    Each vCPU is taken to do the same work in a second, which holds within a generation or two.
    An instance with room for the work takes as long, at a load that follows from its vCPUs; a
    smaller one takes longer, at full load.

    Parameters
    ----------
    place : Place
        Where they stand.
    hours : float
        Wall time of the work where it was measured, h.
    cpu_s : float
        CPU seconds that it took.
    share, reserved
        As in :func:`udt.carbon.estimate`.
    min_memory_gb : float
        Only instances with so much memory.

    Raises
    ------
    SettingsError
        A number out of its range.
    """
    check_range("min_memory_gb", min_memory_gb)
    found = [
        estimate(machine, place, hours=hours, cpu_s=cpu_s, share=share, reserved=reserved)
        for machine in ec2_instances()
        if machine.memory_gb >= min_memory_gb
    ]
    return sorted(found, key=lambda footprint: footprint.total_g)


def equivalents(total_g: float) -> list[tuple[str, float]]:
    """Return what emits as much as `total_g`: name and count, for each known equivalence.

    Source and year of each are in ``udt.carbon.EQUIVALENCES``.
    """
    return [(name, total_g / figure.value) for name, figure in figures.EQUIVALENCES.items()]


def car_metres(total_g: float) -> float:
    """Return how far a new car (EU fleet of 2018) drives on as much CO2e, m."""
    return total_g / figures.CAR.value * 1000


def break_even(training: Footprint, predictions: Footprint, n_predictions: float) -> float:
    """Return after how many predictions using the model has cost as much CO2e as training it.

    Parameters
    ----------
    training : Footprint
        The training, trials included.
    predictions : Footprint
        Some predictions.
    n_predictions : float
        How many those were.

    Raises
    ------
    SettingsError
        If `n_predictions` is not positive.
    """
    check_range("n_predictions", n_predictions, allow_zero=False)
    per_prediction_g = predictions.total_g / n_predictions
    return training.total_g / per_prediction_g if per_prediction_g > 0 else math.inf
