"""Tables of classes: who shares a bucket with whom."""

from __future__ import annotations

import numpy as np
import pytest

from udt.engine.lsh import NO_TABLES, Tables, draw_planes, hash_classes


def buckets_of(tables: Tables, t: int) -> dict[int, int]:
    """Return the bucket of each class in a table."""
    n_buckets = tables.starts.shape[1] - 1
    found = {}
    for b in range(n_buckets):
        for c in tables.classes[t, tables.starts[t, b] : tables.starts[t, b + 1]].tolist():
            assert c not in found
            found[c] = b
    return found


@pytest.mark.parametrize(("n_classes", "width"), [(1, 3), (2, 1), (9, 4), (500, 16), (1_000, 8)])
def test_each_class_is_once_in_a_table_where_its_signs_say(rng, n_classes, width):
    w_out = rng.normal(size=(n_classes, width)).astype(np.float32)
    planes = draw_planes(n_classes, width, rng)
    tables = hash_classes(w_out, planes, rng)
    n_tables, n_bits, _ = planes.shape
    assert tables.starts.shape == (n_tables, 2**n_bits + 1)
    assert tables.classes.shape == (n_tables, n_classes)
    assert (tables.starts[:, 0] == 0).all()
    assert (tables.starts[:, -1] == n_classes).all()
    for t in range(n_tables):
        found = buckets_of(tables, t)
        assert found.keys() == {*range(n_classes)}
        for c in range(n_classes):
            signs = "".join("1" if w_out[c] @ plane > 0 else "0" for plane in planes[t])
            assert found[c] == int(signs, 2)


def test_a_bucket_holds_a_few_classes(rng):
    for n_classes in (8, 300, 20_000, 1_000_000):
        n_buckets = 2 ** draw_planes(n_classes, 2, rng).shape[1]
        assert 2 <= n_classes / n_buckets <= 8


def test_near_rows_share_buckets_and_far_ones_do_not(rng):
    """By the angle: (1 − θ / π) to the power of the planes of a table."""
    x, y = rng.normal(size=(2, 64))
    y -= (x @ y) / (x @ x) * x  # a right angle
    near = x + 0.2 * np.linalg.norm(x) / np.linalg.norm(y) * y
    w_out = np.stack([x, 3 * x, near, y, -x]).astype(np.float32)
    shared = np.zeros(len(w_out))
    n = 100
    for _ in range(n):
        tables = hash_classes(w_out, draw_planes(32, 64, rng), rng)
        for t in range(len(tables.planes)):
            found = buckets_of(tables, t)
            shared += [found[c] == found[0] for c in range(len(w_out))]
    shared /= n * len(tables.planes)
    assert shared[1] == 1
    expected = (1 - np.arctan(0.2) / np.pi) ** 3
    assert shared[2] == pytest.approx(expected, abs=0.03)
    assert shared[3] == pytest.approx(1 / 8, abs=0.03)
    assert shared[4] == 0


def test_the_order_within_a_bucket_is_random(rng):
    """So that none is left out whenever a bucket is too full."""
    planes = draw_planes(100, 4, rng)
    tables = hash_classes(np.zeros((100, 4), np.float32), planes, rng)
    for t in range(len(planes)):
        assert {*buckets_of(tables, t).values()} == {0}
    assert len({*map(tuple, tables.classes.tolist())}) == len(planes)


def test_tables_have_one_contract_on_types(rng):
    tables = hash_classes(np.ones((9, 4), np.float32), draw_planes(9, 4, rng), rng)
    for a, b in zip(tables, NO_TABLES, strict=True):
        assert (a.dtype, a.ndim) == (b.dtype, b.ndim)
        assert a.flags.c_contiguous
        assert b.flags.c_contiguous
    assert len(NO_TABLES.planes) == 0


def test_tables_are_a_function_of_the_generator(rng):
    w_out = rng.normal(size=(40, 4)).astype(np.float32)
    made = []
    for seed in (1, 1, 2):
        own = np.random.default_rng(seed)
        made.append(hash_classes(w_out, draw_planes(40, 4, own), own))
    for a, b in zip(made[0], made[1], strict=True):
        assert a.tobytes() == b.tobytes()
    assert made[0].classes.tobytes() != made[2].classes.tobytes()
