"""What codecarbon says of the same run, beside our own account; an optional extra.

It estimates by another method (a constant power per CPU and per memory module where it finds no
counters), knows no manufacturing and no cloud region offline; so it is given our grid and PUE, and
what remains different is the energy.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from udt.carbon import Place
from udt.carbon.figures import read_table
from udt.errors import SettingsError


class SecondOpinion:
    """Follows the process from its making on.

    Parameters
    ----------
    place : Place
        Grid and PUE to charge.

    Raises
    ------
    SettingsError
        codecarbon is not installed.
    """

    def __init__(self, place: Place) -> None:
        os.environ.setdefault("CODECARBON_LOG_LEVEL", "error")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its dependencies: nothing the user can change
            try:
                # Never the online class: where there is no network, it assumes Canada.
                from codecarbon import OfflineEmissionsTracker
            except ImportError:
                raise SettingsError(
                    "A second opinion was asked for, but codecarbon is not installed. Install it"
                    " with: pip install 'openudt[codecarbon]'; or leave it out."
                ) from None
            self._tracker = OfflineEmissionsTracker(
                country_iso_code=_iso3(place),
                tracking_mode="process",
                save_to_file=False,
                log_level="error",
                allow_multiple_runs=True,
                force_carbon_intensity_g_co2e_kwh=place.grid_g_per_kwh,
                pue=place.pue,
            )
            self._tracker.start()

    def stop(self) -> dict[str, Any]:
        """Return what it says: ``source``, ``kwh`` (before PUE), ``total_g`` (electricity alone).

        The figures are left out where it failed, which it does without an error.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tracker.stop()
        data = getattr(self._tracker, "final_emissions_data", None)
        if data is None:
            return {"source": "codecarbon, which gave no figure"}
        return {
            "source": f"codecarbon {data.codecarbon_version}, {data.tracking_mode} mode",
            "kwh": data.energy_consumed / data.pue,
            "total_g": data.emissions * 1000.0,
        }


def _iso3(place: Place) -> str:
    """Return the country's code. It has to be given, but with a grid of ours it changes nothing."""
    codes = {row["country"]: code for code, row in read_table("countries").items()}
    return codes.get(place.country, "USA") if place.region != "world" else "USA"
