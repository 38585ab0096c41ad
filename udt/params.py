"""The estimator's parameters, checked and brought into the form that a run needs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from udt.budget import Limits
from udt.carbon import Machine, Place, find_machine, find_place
from udt.errors import SettingsError
from udt.table import BadRows

KindOf = dict[str, tuple[str, Mapping[str, Any]]]
"""Column name to (kind, params), as `udt.featurizers.infer.infer_schema` takes them."""

NAMES = (
    "target", "preset", "time_limit", "max_memory", "max_model_size", "max_co2", "sparsity",
    "width", "selector", "text", "categorical", "numeric", "date", "multi", "ignore",
    "multi_label", "class_weight", "weight", "metric", "bad_rows", "instance", "region",
    "country", "random_state", "n_threads",
)  # fmt: skip
"""All parameters of `UDT`."""

UPDATE_NAMES = (
    "time_limit", "max_co2", "weight", "bad_rows", "instance", "region", "country",
    "random_state", "n_threads",
)  # fmt: skip
"""Parameters that may be others when a model is updated."""

SELECTORS = ("dense", "votes", "lsh", "router", "random")
"""Ways to choose which hidden neurons are computed for a row."""

PRESETS = ("fast", "balanced", "best")
"""How much the race tries."""

METRICS = ("accuracy", "macro_f1", "log_loss")
"""What the race may choose by."""

_MIN_SPARSITY = 0.05
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?\s*", re.IGNORECASE)
_MASS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(mg|g|kg|)\s*")
_GRAMS = {"mg": 1e-3, "": 1.0, "g": 1.0, "kg": 1e3}
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
    preset : {"fast", "balanced", "best"}
        How much the race tries.
    limits : Limits
        Seconds, bytes and grams.
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
    class_weight : "balanced", mapping or None
        What the rows of a class count: as much in all as those of any other; or by label.
    weight : str or None
        Column that says what each row counts.
    metric : str or None
        One of `METRICS`; None = the calibrated loss.
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
    preset: str
    limits: Limits
    sparsity: float | None
    width: int | None
    selector: str | None
    kinds: KindOf
    multi_label: str | bool | None
    class_weight: str | Mapping[Any, float] | None
    weight: str | None
    metric: str | None
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
        target=_check_name("target", given["target"]),
        preset=_check_preset(given["preset"]),
        limits=Limits(
            parse_time(given["time_limit"]),
            parse_size("max_memory", given["max_memory"]),
            parse_size("max_model_size", given["max_model_size"]),
            parse_grams(given["max_co2"]),
        ),
        sparsity=check_sparsity(given["sparsity"]),
        width=None if width is None else int(width),
        selector=_check_selector(given["selector"]),
        kinds=column_kinds(
            **{k: given[k] for k in ("text", "categorical", "numeric", "date", "multi", "ignore")}
        ),
        multi_label=check_multi_label(given["multi_label"]),
        class_weight=_check_class_weight(given["class_weight"]),
        weight=_check_name("weight", given["weight"]),
        metric=_check_metric(given["metric"]),
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


def _check_name(parameter: str, name: object) -> str | None:
    """Return a column's name; frames may name their columns by numbers."""
    if name is None or isinstance(name, str):
        return name
    if is_int(name):
        return str(name)
    raise _refuse(parameter, "a column's name, or None", name)


def _check_class_weight(value: object) -> str | Mapping[Any, float] | None:
    if value is None or (isinstance(value, str) and value == "balanced"):
        return value
    if isinstance(value, Mapping) and value and all(map(_is_weight, value.values())):
        return value
    expected = "'balanced', a dict of labels and their weights (numbers above 0), or None"
    raise _refuse("class_weight", expected, value)


def _is_weight(value: object) -> bool:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return is_number and 0 < float(cast(float, value)) < math.inf


def _check_preset(value: object) -> str:
    if value is None:
        return "balanced"
    if isinstance(value, str) and value in PRESETS:
        return value
    raise _refuse("preset", f"one of {', '.join(PRESETS)}, or None", value)


def _check_metric(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value in METRICS):
        return value
    raise _refuse("metric", f"one of {', '.join(METRICS)}, or None", value)


def check_confidence(value: object) -> float | None:
    """Return how sure a prediction must be to be given; None = any.

    Raises
    ------
    SettingsError
        Not a number from 0 to 1.

    Examples
    --------
    >>> check_confidence(0.8)
    0.8
    """
    if value is None:
        return None
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not 0 <= (least := float(cast(float, value))) <= 1:
        raise SettingsError(
            "The 'min_confidence' parameter of predict must be a probability from 0 to 1, or "
            f"None. Got {value!r} instead."
        )
    return least


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
    seconds = _number(value)
    if isinstance(value, str) and (match := _TIME.fullmatch(value)):
        seconds = float(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds < math.inf:
        raise _refuse("time_limit", "a time above 0 such as 90, '90s', '5m' or '1h'", value)
    return seconds


def parse_size(name: str, value: float | str | None) -> int | None:
    """Return a limit in bytes.

    Parameters
    ----------
    name : str
        The parameter.
    value : number, str or None
        Bytes, or a text with k, M or G; ``Ki``, ``Mi``, ``Gi`` are powers of 1,024.

    Raises
    ------
    SettingsError
        Not a size above 0.

    Examples
    --------
    >>> parse_size("max_memory", "4G"), parse_size("max_model_size", "1.5 MiB")
    (4000000000, 1572864)
    """
    if value is None:
        return None
    size = _number(value)
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        base = 1024 if match[3] else 1000
        size = float(match[1]) * base ** " kmg".index(match[2].lower() or " ")
    if not 0 < size < math.inf:
        raise _refuse(name, "a size above 0 such as 5000000, '5MB' or '4G'", value)
    return int(size)


def parse_grams(value: float | str | None) -> float | None:
    """Return a limit of CO2e in grams.

    Raises
    ------
    SettingsError
        Not a mass above 0.

    Examples
    --------
    >>> parse_grams("500mg"), parse_grams(2)
    (0.5, 2.0)
    """
    if value is None:
        return None
    grams = _number(value)
    if isinstance(value, str) and (match := _MASS.fullmatch(value)):
        grams = float(match[1]) * _GRAMS[match[2]]
    if not 0 < grams < math.inf:
        raise _refuse("max_co2", "a mass above 0 such as 0.5, '0.5g' or '500mg'", value)
    return grams


def _number(value: object) -> float:
    """Return a number as it is, and anything else as NaN."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(cast(float, value)) if is_number else math.nan


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
            value = {
                str(key): item.item() if isinstance(item, np.generic) else item
                for key, item in value.items()
            }
        elif value is not None and not isinstance(value, str | int | float):
            value = [str(item) for item in value]
        plain[name] = value
    return plain
