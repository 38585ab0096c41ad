"""The estimator's parameters, checked and brought into the form that a run needs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from udt.carbon import Machine, Place, find_machine, find_place
from udt.errors import SettingsError
from udt.table import BadRows

KindOf = dict[str, tuple[str, Mapping[str, Any]]]
"""Column name to (kind, params), as `udt.featurizers.infer.infer_schema` takes them."""

NAMES = (
    "target", "time_limit", "sparsity", "width", "selector", "text", "categorical", "numeric",
    "date", "multi", "ignore", "multi_label", "bad_rows", "instance", "region", "country",
    "random_state", "n_threads",
)  # fmt: skip
"""All parameters of `UDT`."""

SELECTORS = ("dense", "votes", "lsh", "router", "random")
"""Ways to choose which hidden neurons are computed for a row."""

_MIN_SPARSITY = 0.05
_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|)\s*")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Params:
    """What the user has set.

    Attributes
    ----------
    target : str or None
        Column to predict.
    time_limit_s : float or None
        Seconds.
    sparsity : float or None
        Fraction of the hidden neurons to compute for a row; 1.0 = dense.
    width : int or None
        Hidden neurons.
    selector : str or None
        One of `SELECTORS`.
    kinds : dict
        Columns whose kind is set.
    multi_label : str, False or None
        What separates the labels of a row; that there is but one; to be found.
    bad_rows : {"refuse", "skip"}
        What to do with malformed rows of a file.
    machine, place : Machine, Place
        What the run is charged as, and where.
    seed : int
        The user's, or a fresh one.
    is_seeded : bool
        Whether the user gave a seed: then one thread trains.
    n_threads : int
        CPU threads.
    """

    target: str | None
    time_limit_s: float | None
    sparsity: float | None
    width: int | None
    selector: str | None
    kinds: KindOf
    multi_label: str | bool | None
    bad_rows: BadRows
    machine: Machine
    place: Place
    seed: int
    is_seeded: bool
    n_threads: int


def check_params(given: Mapping[str, Any]) -> Params:
    """Check what ``UDT(...)`` was given.

    Parameters
    ----------
    given : mapping
        The estimator's parameters by name.

    Raises
    ------
    SettingsError
        A value cannot be used.
    """
    width = given["width"]
    if width is not None and (not is_int(width) or width < 0):
        raise _refuse("width", "a whole number from 0 up, or None", width)
    for name in ("instance", "region", "country"):
        if not isinstance(given[name], str | None):
            raise _refuse(name, "a name as text, or None", given[name])
    return Params(
        target=_check_target(given["target"]),
        time_limit_s=parse_time(given["time_limit"]),
        sparsity=check_sparsity(given["sparsity"]),
        width=None if width is None else int(width),
        selector=_check_selector(given["selector"]),
        kinds=column_kinds(
            **{k: given[k] for k in ("text", "categorical", "numeric", "date", "multi", "ignore")}
        ),
        multi_label=check_multi_label(given["multi_label"]),
        bad_rows=check_bad_rows(given["bad_rows"]),
        machine=find_machine(given["instance"]),
        place=find_place(given["region"], given["country"]),
        seed=_draw_seed(given["random_state"]),
        is_seeded=given["random_state"] is not None,
        n_threads=usable_threads(given["n_threads"]),
    )


def _refuse(name: str, expected: str, value: object) -> SettingsError:
    return SettingsError(
        f"The '{name}' parameter of UDT must be {expected}. Got {value!r} instead."
    )


def is_int(value: object) -> bool:
    """Whether a value is a whole number, of Python or NumPy; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_target(target: object) -> str | None:
    """Return the target's name; frames may name their columns by numbers."""
    if target is None or isinstance(target, str):
        return target
    if is_int(target):
        return str(target)
    raise _refuse("target", "a column's name, or None", target)


def check_bad_rows(value: object) -> BadRows:
    """Return the value if it is one of the two.

    Raises
    ------
    SettingsError
        It is not.
    """
    if value not in ("refuse", "skip"):
        raise _refuse("bad_rows", "'refuse' or 'skip'", value)
    return value


def check_sparsity(value: object) -> float | None:
    """Return the fraction of the hidden neurons to compute; None if it is to be found.

    Raises
    ------
    SettingsError
        Neither "auto" nor a fraction within its range.
    """
    if value is None or (isinstance(value, str) and value == "auto"):
        return None
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not _MIN_SPARSITY <= (share := float(cast(float, value))) <= 1:
        raise _refuse("sparsity", f"'auto' or a fraction from {_MIN_SPARSITY} to 1.0", value)
    return share


def _check_selector(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value in SELECTORS):
        return value
    raise _refuse("selector", f"one of {', '.join(SELECTORS)}, or None", value)


def check_multi_label(value: object) -> str | bool | None:
    """Return what separates the labels of a row; False if there is but one; None to find out.

    Raises
    ------
    SettingsError
        It is none of these.
    """
    if value is None or value is False or (isinstance(value, str) and value):
        return value
    raise _refuse("multi_label", "what separates the labels, e.g. ';', or False, or None", value)


def _draw_seed(state: object) -> int:
    """Return a whole number as it is, the next draw of a RandomState, or a fresh seed."""
    if state is None:
        return int(np.random.default_rng().integers(_MAX_SEED))
    if isinstance(state, np.random.RandomState):
        return int(state.randint(_MAX_SEED, dtype=np.uint32))
    if not is_int(state):
        raise _refuse("random_state", "a whole number, a RandomState or None", state)
    seed = int(cast(int, state))
    if not 0 <= seed <= _MAX_SEED:
        raise _refuse("random_state", f"from 0 to {_MAX_SEED}", state)
    return seed


def parse_time(value: float | str | None) -> float | None:
    """Return a time limit in seconds.

    Raises
    ------
    SettingsError
        Not a time above 0.

    Examples
    --------
    >>> parse_time("5m"), parse_time(90)
    (300.0, 90.0)
    """
    if value is None:
        return None
    seconds = math.nan
    if isinstance(value, str) and (match := _TIME.fullmatch(value)):
        seconds = float(match[1]) * _SECONDS[match[2]]
    elif isinstance(value, int | float | np.number) and not isinstance(value, bool):
        seconds = float(value)
    if not 0 < seconds < math.inf:
        raise _refuse("time_limit", "a time above 0 such as 90, '90s', '5m' or '1h'", value)
    return seconds


def usable_threads(n_threads: int | None) -> int:
    """Return how many threads to run: by default, as many as this process may use.

    Raises
    ------
    SettingsError
        Not a whole number from 1 up.
    """
    if n_threads is None:
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS, nor on Windows
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not is_int(n_threads) or n_threads < 1:
        raise _refuse("n_threads", "a whole number from 1 up, or None", n_threads)
    return int(n_threads)


def column_kinds(
    *, text: Any, categorical: Any, numeric: Any, date: Any, multi: Any, ignore: Any
) -> KindOf:
    """Return the kind of each column that the user has set.

    Raises
    ------
    SettingsError
        Not names, or two kinds for one column.

    Examples
    --------
    >>> nothing = dict.fromkeys(("categorical", "numeric", "date", "ignore"))
    >>> column_kinds(text="body", multi={"tags": ";"}, **nothing)
    {'body': ('text', {}), 'tags': ('multi', {'separator': ';'})}
    """
    named = {"text": text, "categorical": categorical, "numeric": numeric, "date": date}
    kinds: KindOf = {}
    for parameter, value in (named | {"multi": multi, "ignore": ignore}).items():
        kind = "ignored" if parameter == "ignore" else parameter
        for name, separator in _names(parameter, value):
            if kinds.get(name, (kind,))[0] != kind:
                raise SettingsError(
                    f"Column '{name}' was set to both {kinds[name][0]} and {kind}. "
                    "Expected one kind for each column; leave one of them out."
                )
            kinds[name] = (kind, {"separator": separator} if separator else {})
    return kinds


def _names(parameter: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the columns that one parameter names, each with a separator or an empty string."""
    expected = "a column's name or a list of them"
    if parameter == "multi":
        expected = "a dict of columns and their separators, " + expected
        if isinstance(value, Mapping):
            separators = value.values()
            if not all(isinstance(s, str | None) for s in separators):
                raise _refuse(parameter, expected, value)
            yield from ((str(name), separator or "") for name, separator in value.items())
            return
    names = [value] if isinstance(value, str) or is_int(value) else value
    if names is None:
        return
    if isinstance(names, Mapping) or not hasattr(names, "__iter__"):
        raise _refuse(parameter, expected, value)
    for name in names:
        if not (isinstance(name, str) or is_int(name)):
            raise _refuse(parameter, expected, value)
        yield str(name), ""


def to_json(given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return an estimator's parameters as JSON can hold them.

    Parameters
    ----------
    given : mapping
        Parameters by name.
    seed : int
        Stands for a RandomState: what was drawn from it.
    """
    plain = {}
    for name, value in given.items():
        if isinstance(value, np.random.RandomState):
            value = seed
        elif isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, Mapping):
            value = {str(key): item for key, item in value.items()}
        elif value is not None and not isinstance(value, str | int | float):
            value = [str(item) for item in value]
        plain[name] = value
    return plain
