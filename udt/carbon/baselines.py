"""Runs to compare with: a published one, and those that the user names, by the same formula."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from udt.carbon.footprint import Footprint, check_range, estimate, parse_share
from udt.carbon.grid import Place
from udt.carbon.machine import find_machine
from udt.errors import SettingsError, did_you_mean

_HOURS = {"s": 1 / 3600, "m": 1 / 60, "min": 1 / 60, "h": 1.0}
_TIME = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|min|m|h)")
_FORM = "NAME,INSTANCE,TIME[,share=1/8][,utilisation=0.5][,accuracy=0.93]"
_EXAMPLE = "'fine-tuned RoBERTa,p4d.24xlarge,40min,share=1/8,accuracy=0.93'"


class Baseline(NamedTuple):
    """A run on some EC2 instance.

    Attributes
    ----------
    name : str
        What ran.
    instance : str
        EC2 instance type.
    hours : float
        Wall time, h.
    share : float
        The part of the instance that it had.
    utilisation : float
        Mean load of the instance, 0 to 1.
    accuracy : float or None
        0 to 1, where it is known.
    source : str
        Who says so.
    """

    name: str
    instance: str
    hours: float
    share: float = 1.0
    utilisation: float = 1.0
    accuracy: float | None = None
    source: str = "named by the user"

    def footprint(self, place: Place) -> Footprint:
        """Return its energy and CO2e at a place.

        Examples
        --------
        >>> from udt.carbon import find_place
        >>> round(ROBERTA.footprint(find_place("us-west-1")).total_g, 1)
        195.1
        """
        return estimate(
            find_machine(self.instance),
            place,
            hours=self.hours,
            utilisation=self.utilisation,
            share=self.share,
        )


ROBERTA = Baseline(
    "fine-tuned RoBERTa",
    "p4d.24xlarge",
    40 / 60,
    share=1 / 8,
    source="published comparison on Yelp reviews: 40 min on one of the eight A100 of a"
    " p4d.24xlarge; pre-training not counted",
)


def parse_baseline(text: str) -> Baseline:
    """Return a run that is described as ``NAME,INSTANCE,TIME`` with ``key=value`` pairs after it.

    Parameters
    ----------
    text : str
        TIME with its unit: ``90s``, ``40min``, ``0.7h``. Keys: ``share`` of the instance,
        ``utilisation`` (1 by default: training uses what it has), ``accuracy``.

    Raises
    ------
    SettingsError
        It is not understood, the instance is unknown, or a value is out of its range.

    Examples
    --------
    >>> parse_baseline("BERT,p3.2xlarge,2h,accuracy=0.94").hours
    2.0
    """
    name, instance, time, *pairs = [*map(str.strip, text.split(",")), "", ""]
    found = _TIME.fullmatch(time)
    if not name or not instance or found is None:
        raise SettingsError(
            f"{text!r} does not describe a run. Expected {_FORM}, where TIME has a unit (90s, "
            f"40min, 0.7h), e.g. {_EXAMPLE}."
        )
    machine = find_machine(instance)
    hours = float(found[1]) * _HOURS[found[2]]
    return Baseline(name, machine.name, hours)._replace(**_values(text, filter(None, pairs)))


def _values(text: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Return what the ``key=value`` pairs say."""
    known = ("share", "utilisation", "accuracy")
    values: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = map(str.strip, pair.partition("="))
        if key not in known:
            raise SettingsError(
                f"{text!r} says {pair!r}, but only {', '.join(known)} can be said of a run."
                f"{did_you_mean(key, known)} Expected {_FORM}."
            )
        if key == "share":
            values[key] = parse_share(value)
            continue
        try:
            values[key] = float(value)
        except ValueError:
            raise SettingsError(
                f"The {key} in {text!r} is {value!r}, which is no number. Expected one from 0 to 1."
            ) from None
        check_range(key, values[key], 1.0)
    return values
