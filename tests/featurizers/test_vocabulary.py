"""Keys that repeat, and the table from key to feature id."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import reference
from tests.conftest import WITHOUT_JIT
from tests.strategies import flat, key_rows
from udt.featurizers import vocabulary
from udt.featurizers.vocabulary import RepeatedKeys, find_rows, make_lookup

KEYS = st.integers(1, 2**64 - 1)


def random_keys(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(1, 2**64, n, np.uint64)


def find(rows: list[list[int]], known: list[int]) -> list[list[int]]:
    """Return the ids that `find_rows` finds in each row."""
    keys, indptr = flat(rows)
    out = np.full(len(keys) + 1, -7, np.int32)
    ends = np.empty_like(indptr)
    n = find_rows(keys, indptr, make_lookup(np.array(known, np.uint64)), out, ends)
    assert ends[-1] == n
    assert (out[n:] == -7).all()
    return [out[a:b].tolist() for a, b in itertools.pairwise(ends)]


@given(key_rows(), st.sampled_from([1, 2, 4]))
@example([[1], [1]], 1)
@example([[2**64 - 1] * 2], 2)
def test_all_that_repeats_is_collected_and_nothing_that_never_came(rows, n_parts):
    collectors = [RepeatedKeys(0, part, n_parts) for part in range(n_parts)]
    for row in rows:
        for collector in collectors:
            collector.add(np.array(row, np.uint64))
    found = [key for collector in collectors for key in collector.keys().tolist()]
    counts = Counter(key for row in rows for key in row)
    assert len(found) == len(set(found))
    assert {key for key, n in counts.items() if n > 1} <= set(found) <= set(counts)


def test_few_keys_enter_that_came_once(rng):
    n = 500 if WITHOUT_JIT else 100_000
    once, often = random_keys(rng, n), random_keys(rng, n // 10)
    collector = RepeatedKeys(n)
    for _ in range(2):
        collector.add(often)
    collector.add(once)
    found = set(collector.keys().tolist())
    assert set(often.tolist()) <= found
    assert len(found) - len(often) < 0.12 * n


def test_the_table_grows_and_loses_nothing(rng):
    """Far more keys than it starts with, a few at a time and then all at once."""
    keys = random_keys(rng, 3_000 if WITHOUT_JIT else 60_000)
    collector = RepeatedKeys(0)
    for part in np.array_split(keys[: len(keys) // 2], 7):
        collector.add(np.repeat(part, 2))
    collector.add(np.repeat(keys, 2))
    found = collector.keys()
    assert len(found) == len(keys)
    assert set(found.tolist()) == set(keys.tolist())


def test_keys_of_one_part_only_do_not_fill_its_table(rng):
    """However unevenly the parts' bits fall, a table keeps room; a full one would never end."""
    keys = random_keys(rng, 8_000) | np.uint64(8)
    collector = RepeatedKeys(0, part=1, n_parts=2)
    collector.add(np.repeat(keys, 2))
    assert len(collector.keys()) == len(keys)
    other = RepeatedKeys(0, part=0, n_parts=2)
    other.add(np.repeat(keys, 2))
    assert len(other.keys()) == 0


@given(key_rows(), st.lists(KEYS, unique=True, max_size=20), st.randoms())
@example([[1 << 20, 2 << 20, 3 << 20]], [3 << 20, 1 << 20], None)
def test_each_known_key_is_found_once_in_a_row(rows, others, random):
    """In the order of first occurrence; all of the known ones and no other."""
    present = sorted({key for row in rows for key in row})
    if random is not None:
        random.shuffle(present)
    known = list(dict.fromkeys(others + present[::2]))
    id_of = {key: i for i, key in enumerate(known)}
    expected = [[id_of[key] for key in dict.fromkeys(row) if key in id_of] for row in rows]
    assert find(rows, known) == expected


def test_neighbours_in_the_table_are_told_apart():
    """Keys of one home slot, and of the last slot, whose chain goes on at the first."""
    crowd = [(slot << 20) | low for slot in (5, 2**13 - 1) for low in range(1, 40)]
    assert find([crowd], crowd[::-1]) == [[*range(len(crowd) - 1, -1, -1)]]
    assert find([[key + 40 for key in crowd]], crowd) == [[]]


def test_nothing_known_and_nothing_asked():
    assert find([[1, 2], []], []) == [[], []]
    assert find([], [1]) == []


def test_ids_follow_the_keys_order(rng):
    keys = random_keys(rng, 5_000)
    assert find([keys.tolist()], keys.tolist()) == [[*range(len(keys))]]


def test_a_lookup_is_never_more_than_half_full(rng):
    for n in (0, 1, 2_458, 10_000):
        slots = make_lookup(random_keys(rng, n))
        assert slots.dtype == np.uint64
        assert len(slots) >= max(2 * n, 2)
        assert len(slots) & (len(slots) - 1) == 0


@pytest.fixture(scope="module")
def uncompiled():
    return reference.uncompiled("udt.featurizers.vocabulary")


@given(key_rows(), st.integers(0, 1))
@settings(max_examples=30)
def test_compiled_and_python_agree(uncompiled, rows, part):
    keys, indptr = flat(rows)
    results = []
    for module in (vocabulary, uncompiled):
        collector = module.RepeatedKeys(0, part, 2)
        collector.add(keys)
        repeated = np.sort(collector.keys())
        out, ends = np.zeros(len(keys), np.int32), np.empty_like(indptr)
        module.find_rows(keys, indptr, module.make_lookup(repeated), out, ends)
        results.append((repeated.tolist(), out.tolist(), ends.tolist()))
    assert results[0] == results[1]
