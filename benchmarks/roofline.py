"""Measure how near the training kernel comes to what the machine's memory can do.

::

    UDT_DATA=folder python benchmarks/roofline.py [--rounds 9]
        [--out benchmarks/results/roofline.json]

``random``: rows of 16 and of 64 bytes at uniformly random places, in a table of the size that
training has and in one far larger than any cache; read, and read and written. A row is touched by
one number in each of its cache lines: the least that meeting it can cost.

``replay``: the rows of weights that one epoch on yelp_polarity_balanced meets, in its order: of
each text's kept features first all are read, then all are read and written, as a training step
has to. Nothing is computed. ``weights`` replays this alone; ``features`` also reads the texts'
feature ids and values, those of dropped features too, in the same random order.

``training``: what the training kernel takes for the same features, computing everything: dropout,
loss, gradient, Adagrad. No row is skipped here, though training does. ``share`` is the replay's
time for a kept feature divided by the kernel's.

``share_of_random`` is the same with reading a random row, and reading and writing it again, instead
of the replay: texts repeat their frequent words, so the replay's rows are nearer than random ones.

``speedup_2_threads``: two threads on one network, without locks; ``speedup_2_members``: each on its
own, as where a model is the mean of several trainings.

Everything is timed in turns, and medians are given: shares hold on a busy machine too, times for
one thread nearly, times for two threads do not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import _data
import numba
import numpy as np
import numpy.typing as npt

SET = "yelp_polarity_balanced"
KINDS = ("word 1", "word 2", "word 3")
N_FEATURES, WIDTH, DROPOUT = 200_000, 64, 0.5
FAR_BYTES = 256_000_000
N_RANDOM = 4_000_000
LINE = 16  # float32 in a cache line
FLAGS = {"reassoc", "contract", "nsz"}

F32 = npt.NDArray[np.float32]
Calls = dict[str, Callable[[], Any]]


# ── touching ────────────────────────────────────────────────────────────────────────────────────


@numba.njit(nogil=True, fastmath=FLAGS)
def read_rows(table, ids, first, last):
    """Read one number in each cache line of rows ids[first] … ids[last − 1]; return the sum."""
    a = b = c = d = np.float32(0)
    for column in range(0, table.shape[1], LINE):
        k = first
        while k + 4 <= last:  # four sums, so that none waits for the other
            a += table[np.uint32(ids[k]), column]
            b += table[np.uint32(ids[k + 1]), column]
            c += table[np.uint32(ids[k + 2]), column]
            d += table[np.uint32(ids[k + 3]), column]
            k += 4
        while k < last:
            a += table[np.uint32(ids[k]), column]
            k += 1
    return a + b + c + d


@numba.njit(nogil=True, fastmath=FLAGS)
def write_rows(table, ids, first, last, change):
    """Add to one number in each cache line of the rows."""
    for k in range(first, last):
        for column in range(0, table.shape[1], LINE):
            table[np.uint32(ids[k]), column] += change


@numba.njit(nogil=True, fastmath=FLAGS)
def replay(tables, ids, starts, change, features, indptr, order, first, last):
    """Meet the weights of texts order[first] … order[last − 1] as training does.

    Text i's kept features are ids[starts[i]:starts[i + 1]]. features: two arrays of all texts'
    feature ids and values, to be read as well, or two empty ones.
    """
    total = np.float32(0)
    for i in range(first, last):
        if len(features[0]) > 0:
            for k in range(indptr[order[i]], indptr[order[i] + 1]):
                total += features[0][k] + features[1][k]
        for table in tables:
            total += read_rows(table, ids, starts[i], starts[i + 1])
        for table in tables:
            write_rows(table, ids, starts[i], starts[i + 1], change)
    return total


# ── what is touched ─────────────────────────────────────────────────────────────────────────────


class Texts(NamedTuple):
    """The training rows: features, classes, and one epoch's order and kept features."""

    rows: Any
    targets: Any
    order: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]


def read_texts() -> Texts:
    """Make features as training does; draw an order and a dropout."""
    from udt import inputs, labels
    from udt.csr import one_class
    from udt.featurizers.rows import FeaturePool
    from udt.settings import FeaturizerSettings

    read = inputs.read_training(
        str(_data.folder(SET) / "train.parquet"), None, _data.target(SET), "refuse"
    )
    targets = one_class(labels.encode(read.labels, labels.find_classes(read.labels)))
    settings = FeaturizerSettings(kinds=KINDS, max_features=N_FEATURES)
    pool = FeaturePool(read.table, inputs.infer(read, {}), settings, 2)
    _, rows = pool.select(targets, 2, settings, 2)
    rng = np.random.default_rng(0)
    order = rng.permutation(rows.n_rows)
    is_kept = rng.random(len(rows.indices)) >= DROPOUT
    parts = [slice(rows.indptr[row], rows.indptr[row + 1]) for row in order]
    kept = [rows.indices[part][is_kept[part]] for part in parts]
    starts = np.cumsum([0, *map(len, kept)])
    return Texts(rows, targets, order, np.concatenate(kept), starts)


def in_parts(call: Callable[[int, int], Any], n: int, n_threads: int) -> None:
    """Call with each thread's part of n."""
    if n_threads == 1:
        call(0, n)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(
            pool.map(lambda i: call(i * n // n_threads, (i + 1) * n // n_threads), range(n_threads))
        )


def random_calls(n_rows: int, row_bytes: int, n_threads: int) -> Calls:
    """Return what reads, and what reads and writes, random rows of one table."""
    from udt.engine.network import aligned_zeros

    table = aligned_zeros((n_rows, row_bytes // 4))
    ids = np.random.default_rng(0).integers(0, n_rows, N_RANDOM).astype(np.int32)
    one = np.float32(1e-6)
    return {
        "read": lambda: in_parts(lambda a, b: read_rows(table, ids, a, b), N_RANDOM, n_threads),
        "read_write": lambda: in_parts(
            lambda a, b: write_rows(table, ids, a, b, one), N_RANDOM, n_threads
        ),
    }


def training_calls(texts: Texts, width: int, n_threads: int) -> Calls:
    """Return both replays and the training of one epoch: one network, or each thread's own."""
    from udt.engine.kernels import train_rows
    from udt.engine.network import copy_network, make_network, make_scratch
    from udt.engine.train import longest_row
    from udt.settings import NetworkSettings, TrainSettings

    rows, targets, order, kept, starts = texts
    rng = np.random.default_rng(0)
    network = make_network(rows.n_features, 2, NetworkSettings(width=width, init_scale=0.1), rng)
    scratch = [make_scratch(network, longest_row(rows), i) for i in range(n_threads)]
    settings = TrainSettings(dropout=DROPOUT, skip_below=0, skip_wide_below=0, rest_below=0)
    step = step_of(settings, rows.n_rows)
    own = [network, *(copy_network(network) for _ in scratch[1:])]
    free = iter([])

    def train_part(first: int, last: int) -> None:
        trained, part_scratch = next(free)
        train_rows(trained, part_scratch, rows, targets, order, first, last, step)

    def train_on(networks: list[Any]) -> Callable[[], None]:
        def train() -> None:
            nonlocal free
            free = iter(list(zip(networks, scratch, strict=True)))
            in_parts(train_part, len(order), n_threads)

        return train

    tables = tuple(np.zeros_like(w) for w in (network.w_wide, network.w_in)[: 2 if width else 1])
    one, nothing = np.float32(1e-6), (rows.indices[:0], rows.values[:0])

    def replay_with(features: Any) -> Callable[[], None]:
        args = tables, kept, starts, one, features, rows.indptr, order
        return lambda: in_parts(lambda a, b: replay(*args, a, b), len(order), n_threads)

    return {
        "weights": replay_with(nothing),
        "features": replay_with((rows.indices, rows.values)),
        "kernel": train_on([network] * n_threads),
        "members": train_on(own),
    }


def step_of(settings: Any, n_rows: int) -> Any:
    """Return training steps at the settings' first learning rate."""
    from udt.engine.network import Step

    s = replace(settings)
    numbers = (
        s.lr, 0, s.deep_lr_ratio, s.bias_lr_ratio, 1 - s.dropout, s.skip_below,
        s.skip_wide_below, s.rest_below,
    )  # fmt: skip
    waits, norms = np.zeros(n_rows, np.uint8), np.zeros(n_rows, np.float32)
    return Step(*map(np.float32, numbers), sigmoid=False, waits=waits, norms=norms)


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def in_turns(calls: Calls, n_rounds: int) -> dict[str, float]:
    """Return each call's median seconds; the calls take turns, after one that may compile."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + n_rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def measure_random(n_features: int, n_rounds: int) -> dict[str, dict[str, float]]:
    """Return million rows a second, by row size, table size, threads and kind of touch."""
    found = {}
    for row_bytes in (16, 64):
        for size, n_rows in (("table", n_features), ("memory", FAR_BYTES // row_bytes)):
            for n_threads in (1, 2):
                seconds = in_turns(random_calls(n_rows, row_bytes, n_threads), n_rounds)
                name = f"{row_bytes} bytes, {size}, {n_threads} threads"
                found[name] = {k: round(N_RANDOM / s / 1e6) for k, s in seconds.items()}
    return found


def measure_training(texts: Texts, width: int, n_rounds: int) -> dict[str, Any]:
    """Return nanoseconds for a kept feature and shares, with one thread and two, in turns."""
    calls = {
        f"{name} {n_threads}": call
        for n_threads in (1, 2)
        for name, call in training_calls(texts, width, n_threads).items()
    }
    seconds = in_turns(calls, n_rounds)
    found: dict[str, Any] = {}
    for n_threads in (1, 2):
        s = {name: seconds[f"{name} {n_threads}"] for name in ("weights", "features", "kernel")}
        found[f"{n_threads} threads"] = {
            "ns_per_kept_feature": {k: round(v / len(texts.kept) * 1e9, 2) for k, v in s.items()},
            "share_of_weights": round(s["weights"] / s["kernel"], 3),
            "share_of_features": round(s["features"] / s["kernel"], 3),
            "texts_per_s": round(len(texts.order) / s["kernel"]),
        }
    found["speedup_2_threads"] = round(seconds["kernel 1"] / seconds["kernel 2"], 2)
    found["speedup_2_members"] = round(seconds["kernel 1"] / seconds["members 2"], 2)
    found["speedup_2_threads_replay"] = round(seconds["features 1"] / seconds["features 2"], 2)
    return found


def add_random_shares(wide: dict[str, Any], at_random: dict[str, dict[str, float]]) -> None:
    """Tell of each number of threads how near it comes to touching random rows.

    Modified in place: wide. Its rows have 16 bytes; rows of 64 are those of up to 15 classes.
    """
    for threads in ("1 threads", "2 threads"):
        ns = wide[threads]["ns_per_kept_feature"]["kernel"]
        for row_bytes in (16, 64):
            rates = at_random[f"{row_bytes} bytes, table, {threads}"]
            twice_ns = 1e3 / rates["read"] + 1e3 / rates["read_write"]
            wide[threads][f"share_of_random_{row_bytes}"] = round(twice_ns / ns, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "roofline.json")
    arguments = parser.parse_args()
    around = _data.circumstances()
    texts = read_texts()
    at_random = measure_random(texts.rows.n_features, arguments.rounds)
    wide = measure_training(texts, 0, arguments.rounds)
    add_random_shares(wide, at_random)
    result = {
        "set": SET,
        "n_features": texts.rows.n_features,
        "n_texts": len(texts.order),
        "kept_features": len(texts.kept),
        "million_random_rows_per_s": at_random,
        "training_wide": wide,
        f"training_wide_and_{WIDTH}": measure_training(texts, WIDTH, arguments.rounds),
        **around,
        "load_after": _data.circumstances()["load"],
    }
    _data.write_json(arguments.out, result)
    print(arguments.out.read_text("utf-8"))


if __name__ == "__main__":
    main()
