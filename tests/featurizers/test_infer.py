from __future__ import annotations

import datetime as dt
import string
import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udt.errors import SettingsError
from udt.featurizers.facts import Facts
from udt.featurizers.infer import CHAIN, infer_schema, judge
from udt.featurizers.schema import KINDS

N = 300
WORDS = ["apple", "river", "stone", "light", "garden", "paper", "window", "music", "forest",
         "morning", "copper", "silver", "engine", "valley", "market", "winter", "bridge",
         "harbor", "meadow", "lantern"]  # fmt: skip
rng = np.random.default_rng(0)


def sentences(n, n_words=8):
    return [" ".join(rng.choice(WORDS, n_words)) + f", {rng.choice(WORDS)}." for _ in range(n)]


def strings(values):
    return pa.array(list(values), pa.large_string())


def cycle(values):
    return strings(values[i % len(values)] for i in range(N))


def names(n):
    letters = list(string.ascii_lowercase)
    return ["".join(rng.choice(letters, 8)) for _ in range(n)]


def kind_of(column, name="x"):
    """Infer beside another column of strings: a lone one is text in doubt."""
    schema = infer_schema({name: column, "other": cycle(["a", "b"])})
    return schema.columns[0]


COLUMNS = {
    "constant": [
        pa.nulls(N),
        strings([""] * N),
        strings(["NA", "n/a", "?"] * 100),
        pa.array([float("nan")] * N),
        pa.array([3] * N),
        pa.array([True] * N),
        strings(["same"] * N),
    ],
    "identifier": [
        pa.array(range(N)),
        pa.array(range(5000, 5000 + N)),
        strings(str(i) for i in range(N)),
        strings(str(uuid.UUID(int=int(i))) for i in rng.integers(1, 2**62, N)),
        strings(rng.bytes(16).hex() for _ in range(N)),
        strings(f"TX-{i:06d}" for i in range(N)),
        strings(f"{i:06d}" for i in range(N)),
        strings(f"INV{i}" for i in range(1000, 1000 + N)),
        strings("".join(rng.choice(list("aB3dE6gH9jKlM0pQrS"), 22)) for _ in range(N)),
    ],
    "boolean": [
        pa.array([True, False, None] * 100),
        pa.array([0, 1] * 150),
        pa.array([0.0, 1.0, None] * 100),
        cycle(["yes", "No", "YES", "n"]),
        cycle(["t", "f", "", "T"]),
        cycle(["on", "off", "NA"]),
    ],
    "numeric": [
        pa.array(rng.standard_normal(N)),
        pa.array(rng.integers(0, 5, N)),
        pa.array(rng.integers(0, 10**6, N)),
        strings(f"{x:.3f}" for x in rng.standard_normal(N)),
        strings(f"${x:,.2f}" for x in rng.integers(1, 10**6, N)),
        strings(f"{x:.0f}%" for x in rng.random(N) * 100),
        strings(f"{x:.1f} kg" for x in rng.random(N) * 100),
        strings(f"{x:.2f}".replace(".", ",") for x in rng.random(N) * 100),
        strings(["1e5", "-2.5", "?", "+7", "nan", ""] * 50),
    ],
    "date": [
        pa.array([dt.date(2015, 1, 1) + dt.timedelta(days=i) for i in range(N)]),
        pa.array([dt.datetime(2015, 1, 1, 3)] * 10 + [dt.datetime(2016, 1, 1)] * 10),
        strings((dt.date(2015, 1, 1) + dt.timedelta(i)).isoformat() for i in range(N)),
        strings((dt.date(2015, 1, 1) + dt.timedelta(i)).strftime("%y.%m.%d") for i in range(N)),
        cycle(["27 Feb 2015", "1 Mar 2016", None, "?"]),
    ],
    "multi": [
        strings("|".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(N)),
        strings(", ".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(N)),
        strings("; ".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(N)),
    ],
    "categorical": [
        cycle(["red", "green", "blue"]),
        cycle(["very good", "good, mostly", "bad"]),
        cycle(["Sci/Tech", "Health/Home", "World"]),
        cycle(["yes", None]),
        cycle(["02139", "10001", "00501"]),
        strings(WORDS[int(i)] for i in rng.integers(0, 20, N)),
    ],
    "text": [
        strings(sentences(N)),
        strings(sentences(N // 2) * 2),
        strings(names(N)),
        strings(f"{a} {b}" for a, b in zip(names(N), names(N), strict=True)),
        strings("".join(chr(c) for c in rng.integers(0x4E00, 0x9000, 12)) for _ in range(N)),
        strings(f"https://{a}.example/{b}" for a, b in zip(names(N), names(N), strict=True)),
        strings(f"{a}-{b}-dev" for a, b in zip(names(N), names(N), strict=True)),
        strings(f"{name}@mail.example" for name in names(N)),
    ],
}
CASES = [
    pytest.param(column, kind, id=f"{kind}-{i}")
    for kind, columns in COLUMNS.items()
    for i, column in enumerate(columns)
]


def test_all_kinds_are_in_the_chain_in_order():
    assert tuple(sorted(KINDS)) == tuple(sorted(kind.kind for kind in CHAIN))


@pytest.mark.parametrize(("column", "kind"), CASES)
def test_kinds(column, kind):
    inferred = kind_of(column)
    assert inferred.kind == kind, inferred.reason
    assert inferred.reason


@pytest.mark.parametrize(("column", "kind"), CASES)
def test_kinds_do_not_depend_on_the_order_of_rows(column, kind):
    shuffled = column.take(pa.array(np.random.default_rng(1).permutation(len(column))))
    assert kind_of(shuffled) == kind_of(column)


cells = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.integers(0, 30).map(str),
    st.dates().map(str),
    st.sampled_from(["yes", "no", "a|b", "b|c|a", "c", "3 kg", "1,5", "", "NA", "red", "blue"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(cells, min_size=1, max_size=60), st.randoms())
def test_inference_is_invariant_to_the_order_of_rows(values, random):
    before = infer_schema({"x": strings(values)})
    random.shuffle(values)
    assert infer_schema({"x": strings(values)}) == before


def test_large_tables_are_judged_by_a_sample_of_all_rows():
    head = [str(i % 7) for i in range(1000)]
    column = strings(head + sentences(3000))
    schema = infer_schema({"x": column}, sample_rows=200)
    assert schema.columns[0].kind == "text"
    assert schema == infer_schema({"x": column}, sample_rows=200)


def test_refusals_say_why():
    verdicts = judge(Facts("x", strings(names(N)), N))
    assert [v.kind for v in verdicts] == [kind.kind for kind in CHAIN]
    assert [v.accepted for v in verdicts] == [False] * 7 + [True]
    assert all(v.reason for v in verdicts)


def test_params_are_what_the_encoders_need():
    assert kind_of(COLUMNS["numeric"][6]).params == {"decimal": ".", "unit": "kg"}
    assert kind_of(COLUMNS["numeric"][7]).params == {"decimal": ",", "unit": ""}
    assert kind_of(COLUMNS["date"][3]).params == {"layout": "ymd"}
    assert kind_of(COLUMNS["multi"][2]).params == {"separator": ";"}
    assert kind_of(COLUMNS["boolean"][3]).params == {"boolean": True}


@pytest.mark.parametrize("name", ["id", "ID", "user_id", "PassengerId", "row id", "uuid"])
def test_distinct_integers_named_as_an_id_are_identifiers(name):
    column = pa.array(np.arange(N) * 977)
    assert kind_of(column, name).kind == "identifier"
    assert kind_of(column, "paid").kind == "numeric"


def test_repeated_integers_named_as_an_id_are_categories():
    column = pa.array(rng.integers(0, 40, N) * 1000)
    assert kind_of(column, "movie_id").kind == "categorical"
    assert kind_of(column, "price").kind == "numeric"


def test_floats_are_never_identifiers():
    assert kind_of(pa.array(np.arange(N, dtype=float)), "id").kind == "numeric"


def test_one_value_and_missing_is_not_constant():
    assert kind_of(pa.array([5, None] * 50)).kind == "numeric"


def test_tiny_tables_keep_their_columns():
    columns = {"n": pa.array([4, 5, 6]), "s": strings(["a1", "b2", "c3"]), "k": pa.array([1] * 3)}
    kinds = {c.name: c.kind for c in infer_schema(columns).columns}
    assert kinds == {"n": "numeric", "s": "text", "k": "constant"}


def test_a_lone_column_of_strings_is_text_unless_clearly_few_values():
    many = strings(f"{a} {b}" for a in WORDS for b in WORDS for _ in range(10))
    assert kind_of(many).kind == "categorical"
    assert infer_schema({"x": many}).columns[0].kind == "text"
    assert infer_schema({"x": cycle(["red", "blue"])}).columns[0].kind == "categorical"
    codes = COLUMNS["identifier"][4]
    assert infer_schema({"x": codes}).columns[0].kind == "text"


def test_a_lone_column_of_words_beside_numbers_is_a_category():
    shops = strings(f"shop{i % 300}" for i in range(3000))
    numbers = pa.array(np.arange(3000) * 0.37)
    kinds = {c.name: c.kind for c in infer_schema({"shop": shops, "n": numbers}).columns}
    assert kinds == {"shop": "categorical", "n": "numeric"}
    assert infer_schema({"shop": shops}).columns[0].kind == "text"


def test_no_columns():
    assert infer_schema({}).columns == ()


def test_words_and_characters_a_row():
    n_words, words = kind_of(strings(sentences(N, 400))).reason.split(maxsplit=1)
    assert words == "words a row on average"
    assert int(n_words) == pytest.approx(401, rel=0.05)  # only the beginning is counted
    assert kind_of(COLUMNS["text"][4]).reason == "1 word a row on average"
    long = strings("".join(chr(c) for c in rng.integers(0x4E00, 0x9000, 50)) for _ in range(N))
    assert kind_of(long).reason == "50 characters a row on average"


@pytest.mark.parametrize(
    ("column", "kind", "params", "expected"),
    [
        (cycle(["1", "2"]), "text", {}, {}),
        (cycle(["1", "2"]), "ignored", {}, {}),
        (cycle(["5 kg", "x"]), "numeric", {}, {"decimal": ".", "unit": "kg"}),
        (pa.array([1, 2]), "numeric", {}, {}),
        (cycle(["1.2.2015", "x", "y"]), "date", {}, {"layout": "dmy"}),
        (cycle(["a;b", "b"]), "multi", {}, {"separator": ";"}),
        (cycle(["a;b", "b"]), "multi", {"separator": "b"}, {"separator": "b"}),
        (cycle(["yes", "maybe"]), "boolean", {}, {"boolean": True}),
    ],
)
def test_the_users_kind_stands_and_its_params_are_completed(column, kind, params, expected):
    schema = infer_schema({"x": column}, overrides={"x": (kind, params)})
    assert schema.columns[0].to_dict() == {
        "column": "x", "kind": kind, "reason": "set by the user", "params": expected,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"txet": ("text", {})}, r"'txet'.*columns are: text\. Did you mean 'text'\?"),
        ({"text": ("txt", {})}, r"'txt', which is no kind.*Did you mean 'text'\?"),
        ({"text": ("date", {})}, r"set to date, but none of its values.*'red'"),
        ({"text": ("numeric", {})}, r"set to numeric, but none of its values"),
    ],
)
def test_overrides_that_cannot_be(override, message):
    with pytest.raises(SettingsError, match=message):
        infer_schema({"text": cycle(["red"])}, overrides=override)
