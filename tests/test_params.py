"""Each value that cannot be used is refused by name."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from udt import UDT, params
from udt.budget import Limits
from udt.errors import SettingsError

BAD: list[tuple[str, Any]] = [
    ("target", 1.5),
    ("time_limit", "soon"),
    ("time_limit", -5),
    ("time_limit", 0),
    ("time_limit", float("nan")),
    ("time_limit", float("inf")),
    ("time_limit", True),
    ("sparsity", 0),
    ("sparsity", 0.01),
    ("sparsity", 1.5),
    ("sparsity", float("nan")),
    ("sparsity", True),
    ("sparsity", "0.2"),
    ("sparsity", "low"),
    ("selector", "best"),
    ("selector", 0),
    ("multi_label", True),
    ("multi_label", ""),
    ("multi_label", 0),
    ("multi_label", [";"]),
    ("width", -1),
    ("width", 1.5),
    ("width", True),
    ("text", 1.5),
    ("text", [None]),
    ("ignore", {"a": 1}),
    ("multi", {"a": 1}),
    ("bad_rows", "keep"),
    ("instance", 5),
    ("region", "us-west-9"),
    ("country", ["DEU"]),
    ("random_state", -1),
    ("random_state", 2**32),
    ("random_state", "zero"),
    ("n_threads", 0),
    ("n_threads", 1.0),
]


def check(**given: Any) -> params.Params:
    return params.check_params(UDT(**given).get_params(deep=False))


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_values(name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        check(**{name: value})
    if name != "region":
        assert f"'{name}' parameter of UDT must be" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_nothing_set() -> None:
    p = check()
    assert (p.target, p.limits, p.width, p.kinds) == (None, Limits(), None, {})
    assert not p.is_seeded
    assert p.n_threads >= 1
    assert check().seed != p.seed


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        ("90", 90),
        ("90s", 90),
        ("1.5m", 90),
        ("1h", 3600),
        (np.float32(2), 2),
        (0.01, 0.01),
    ],
)
def test_time(value: Any, seconds: float) -> None:
    assert params.parse_time(value) == pytest.approx(seconds)


def test_sparsity_and_selector() -> None:
    assert (check().sparsity, check().selector) == (None, None)
    assert check(sparsity="auto").sparsity is None
    assert check(sparsity=0.05).sparsity == check(sparsity=np.float64(0.05)).sparsity == 0.05
    assert check(sparsity=1).sparsity == 1.0
    assert [check(selector=s).selector for s in params.SELECTORS] == list(params.SELECTORS)


def test_multi_label() -> None:
    assert check().multi_label is None
    assert check(multi_label=False).multi_label is False
    assert check(multi_label="; ").multi_label == "; "


def test_seeds() -> None:
    assert check(random_state=7).seed == check(random_state=np.int64(7)).seed == 7
    assert check(random_state=7).is_seeded
    state = np.random.RandomState(0)
    first, second = check(random_state=state).seed, check(random_state=state).seed
    assert first != second
    assert check(random_state=np.random.RandomState(0)).seed == first


def test_kinds() -> None:
    p = check(text="a", categorical=["b", 3], multi={"c": ";", "d": None}, ignore=("e",))
    assert p.kinds == {
        "a": ("text", {}),
        "b": ("categorical", {}),
        "3": ("categorical", {}),
        "c": ("multi", {"separator": ";"}),
        "d": ("multi", {}),
        "e": ("ignored", {}),
    }
    assert check(multi="c").kinds == {"c": ("multi", {})}
    with pytest.raises(SettingsError, match="'a' was set to both text and ignored"):
        check(text="a", ignore="a")


def test_to_json_of_anything_that_may_be_set() -> None:
    given = UDT(
        0,
        time_limit=np.float64(5),
        width=np.int64(8),
        text=np.array(["a"]),
        categorical=("b",),
        multi={"c": ";"},
        multi_label=False,
        sparsity=np.float32(0.5),
        random_state=np.random.RandomState(0),
    ).get_params(deep=False)
    stored = json.loads(json.dumps(params.to_json(given, seed=123)))
    assert stored["random_state"] == 123
    assert (stored["time_limit"], stored["width"], stored["sparsity"]) == (5, 8, 0.5)
    assert stored["multi_label"] is False
    assert (stored["text"], stored["categorical"], stored["multi"]) == (["a"], ["b"], {"c": ";"})
    assert UDT(**stored).get_params(deep=False).keys() == given.keys()
