"""Measure what it is worth to compute only a part of a wide hidden layer for each row.

::

    UDT_DATA=folder python benchmarks/sparsity.py [--sets a,b] [--fractions .2,.1,.05]
        [--selectors votes,lsh,dwta,router,random] [--epochs N] [--seeds 3] [--threads 1]
        [--quick] [--out benchmarks/results/sparsity.json] [--plot benchmarks/results/sparsity.svg]

The published experiment: 1,024 hidden neurons of which 100, 20, 10 and 5 % are computed, found by
each selector; beside it a small dense layer of as many neurons as are computed. Each selector runs
as udt has it (three quarters of a row's blocks are every row's), and with nothing shared, so that
all is left to its choice. The engine alone is measured: features and settings are those that udt's
race begins with, no row is skipped, and every setting is trained once for each seed, in turns.

Times are CPU seconds of the process, which other work on the machine disturbs less than wall time;
with one thread both are the same on an idle one. Making the network is timed apart: that of a wide
one takes longer, whatever is computed later. CO2e is of all.

Each result replaces the one of the same (set, method, seed) in the file as soon as it is known;
then table, plot and a plain statement are made from the whole file. ``--quick``: 4,000 rows, two
epochs, one seed, 10 %, to try the script.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import _data
from _plot import Series, plot

SETS = ("yelp_polarity_balanced", "banking77")
GOALS = {"yelp_polarity_balanced": 0.93}
"""Test accuracy of the deep path to which the time is taken."""

WIDTH = 1024
FRACTIONS = (0.2, 0.1, 0.05)
SELECTORS = ("votes", "lsh", "dwta", "router", "random")
SHARED = 0.75
_MAX_HELD, _QUICK_ROWS, _HALVINGS = 4_000, 4_000, 6

Record = dict[str, Any]


class Setting(NamedTuple):
    """One way to spend the work: ``"dense"``, ``"small"`` dense, or a selector."""

    selector: str
    fraction: float = 1.0
    shared: float = 0.0

    @property
    def method(self) -> str:
        """Name it, as the results do."""
        return f"{self.selector} {self.fraction:g} {self.shared:g}"

    @property
    def neurons(self) -> int:
        """Neurons that a row computes, in whole blocks of 16."""
        return 16 * max(1, round(self.fraction * WIDTH / 16))


class Set(NamedTuple):
    """A data set as the engine sees it."""

    rows: Any
    targets: Any
    n_classes: int
    train: Any
    held: Any
    test_rows: Any
    test_y: Any
    shape: Any
    training: Any


def settings(fractions: Sequence[float], selectors: Sequence[str]) -> Iterator[Setting]:
    """Yield what is compared."""
    yield Setting("dense")
    for fraction in fractions:
        yield Setting("small", fraction)
        for selector in selectors:
            for shared in (SHARED, 0.0):
                yield Setting(selector, fraction, shared)


def load(name: str, n_epochs: int | None, *, quick: bool) -> Set:
    """Read a set and make its features, with what udt's race begins with."""
    import numpy as np
    import pyarrow.parquet as pq

    from udt.candidates import base_network, epochs, first_candidates, gather_facts
    from udt.csr import one_class
    from udt.featurizers.infer import infer_schema
    from udt.featurizers.rows import FeaturePool
    from udt.table import as_table

    target, columns = _data.target(name), list(_data.TEXT_COLUMNS[name])
    tables = [pq.read_table(_data.folder(name) / f"{part}.parquet") for part in ("train", "test")]
    rng = np.random.default_rng(0)
    if quick:
        tables[0] = tables[0].take(rng.permutation(len(tables[0]))[:_QUICK_ROWS])
    labels = [np.array(table[target].to_pylist()) for table in tables]
    classes, y = np.unique(labels[0], return_inverse=True)
    code = {label: i for i, label in enumerate(classes.tolist())}
    table, asked = (as_table(each.select(columns)) for each in tables)
    schema = infer_schema({column: table.column(column) for column in columns})
    facts = gather_facts(table, schema, len(classes))
    first = first_candidates(facts, *base_network(facts, None, 1.0, None))[0]
    order, n_held = rng.permutation(len(y)), min(len(y) // 10, _MAX_HELD)
    train, held = np.sort(order[n_held:]), np.sort(order[:n_held])
    targets = one_class(y)
    pool = FeaturePool(table, schema, first.features, 1)
    encoder, rows = pool.select(targets.only(train), len(classes), first.features)
    n_epochs = n_epochs or (2 if quick else epochs(facts, len(train)))
    test_y = np.array([code.get(label, -1) for label in labels[1].tolist()])
    return Set(
        rows, targets, len(classes), train, held, encoder.transform(asked), test_y,
        first.shape, replace(first.training, epochs=n_epochs),
    )  # fmt: skip


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


class Run(NamedTuple):
    """A training, and CPU seconds of making the network, and of each epoch."""

    trained: Any
    selector: Any
    start_s: float
    epochs_s: list[float]


def train(data: Set, setting: Setting, seed: int, n_threads: int, **change: Any) -> Run:
    """Train a network; `change` may hold ``which`` rows, and what is set in another way."""
    import udt.engine.train as engine
    from udt.engine.selection import make_selector

    is_chosen = setting.selector in SELECTORS
    shape = replace(
        data.shape,
        width=setting.neurons if setting.selector == "small" else WIDTH,
        active_fraction=setting.fraction if is_chosen else 1.0,
        selector=setting.selector if is_chosen else "dense",
    )
    selector = make_selector(shape, data.rows.n_features, seed, shared=setting.shared)
    which, clock, make = change.pop("which", data.train), [time.process_time()], engine.make_network

    def make_timed(*args: Any) -> Any:
        network = make(*args)
        clock.append(time.process_time())
        return network

    def tick(entry: Record) -> bool:
        clock.append(time.process_time())
        return True

    with mock.patch.object(engine, "make_network", make_timed):
        trained = engine.train(
            data.rows, data.targets, data.n_classes, shape, replace(data.training, **change),
            which=which, n_threads=n_threads, seed=seed, on_epoch=tick, selector=selector,
        )  # fmt: skip
    start_s, *epochs_s = (after - before for before, after in itertools.pairwise(clock))
    return Run(trained, selector, start_s, epochs_s)


def test(data: Set, run: Run) -> tuple[float, float]:
    """Return test accuracy of the deep path alone, and of both paths as mixed on held-out rows."""
    from udt.engine.mix import fit_mix, mix_probas
    from udt.engine.train import logits

    network = run.trained.network
    wide, deep = logits(network, data.test_rows, 1, run.selector)
    held = logits(network, data.rows.take(data.held), 1, run.selector)
    mix = fit_mix(*held, data.targets.take(data.held))
    probas = mix_probas(wide, deep, mix)
    return tuple(float((z.argmax(axis=1) == data.test_y).mean()) for z in (deep, probas))


def seconds_to(data: Set, setting: Setting, seed: int, n_threads: int, goal: float) -> float | None:
    """Return CPU seconds of the shortest training whose deep path tests at the goal, if one does.

    Each is whole: started anew, on twice the rows of the one before, at most all of them once.
    """
    for halving in reversed(range(_HALVINGS + 1)):
        which = data.train[:: 2**halving]
        run = train(data, setting, seed, n_threads, which=which, epochs=1)
        if test(data, run)[0] >= goal:
            return sum(run.epochs_s)
    return None


def measure(name: str, data: Set, setting: Setting, seed: int, n_threads: int) -> Record:
    """Train and test one setting."""
    import numpy as np

    from udt.carbon import estimate, find_machine, find_place
    from udt.engine.network import dense_work

    run = train(data, setting, seed, n_threads)
    deep, mixed = test(data, run)
    whole_s = run.start_s + sum(run.epochs_s)
    n_values = int(np.diff(data.rows.indptr)[data.train].sum())
    wide_work = len(run.epochs_s) * dense_work(
        data.n_classes, WIDTH, n_values, len(data.train), is_training=True
    )
    hours = whole_s / n_threads / 3600
    footprint = estimate(find_machine(), find_place(), hours=hours, cpu_s=whole_s)
    record = {
        "selector": setting.selector,
        "fraction": setting.fraction,
        "shared": setting.shared,
        "neurons": setting.neurons,
        "accuracy_deep": deep,
        "accuracy": mixed,
        "start_s": run.start_s,
        "epoch_s": statistics.median(run.epochs_s),
        "train_s": whole_s,
        "work": run.trained.n_done / wide_work,
        "co2e_g": footprint.total_g,
        "n_epochs": len(run.epochs_s),
        "n_train": len(data.train),
        "n_test": len(data.test_y),
        "n_features": data.rows.n_features,
    }
    if name in GOALS:
        record["goal"] = GOALS[name]
        record["goal_s"] = seconds_to(data, setting, seed, n_threads, GOALS[name])
    return record


def store(path: Path, record: Record) -> None:
    """Put a record in the place of the one with the same key."""
    records = json.loads(path.read_text("utf-8")) if path.exists() else []
    key = ("set", "method", "seed")
    others = [r for r in records if any(r[k] != record[k] for k in key)]
    _data.write_json(path, sorted([*others, record], key=lambda r: [r[k] for k in key]))


# ── telling ─────────────────────────────────────────────────────────────────────────────────────


def means(records: Sequence[Record]) -> dict[tuple[str, Setting], Record]:
    """Return for each set and setting the means of accuracies and the medians of the rest."""
    found: dict[tuple[str, Setting], list[Record]] = {}
    for r in records:
        setting = Setting(r["selector"], r["fraction"], r["shared"])
        found.setdefault((r["set"], setting), []).append(r)
    summary = {}
    for key, runs in found.items():
        row = {"n_test": runs[0]["n_test"], "neurons": runs[0]["neurons"], "n_runs": len(runs)}
        for what in ("accuracy_deep", "accuracy"):
            row[what] = statistics.fmean(r[what] for r in runs)
        for what in ("epoch_s", "train_s", "work", "co2e_g"):
            row[what] = statistics.median(r[what] for r in runs)
        reached = [r.get("goal_s") for r in runs]
        row["goal_s"] = None if None in reached else statistics.median(reached)
        summary[key] = row
    return summary


def _in_order(summary: dict[tuple[str, Setting], Record], name: str) -> list[Setting]:
    order = ("dense", "small", *SELECTORS)
    ours = [setting for set_, setting in summary if set_ == name]
    return sorted(ours, key=lambda s: (-s.fraction, order.index(s.selector), -s.shared))


def sparsity_table(records: Sequence[Record]) -> str:
    """Lay out a Markdown table of all sets."""
    summary = means(records)
    lines = [
        "| set | layer | computed | shared | deep path, % | both paths, % | epoch, × | work, × |"
        " to goal, CPU s | training, mg CO2e |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name in dict.fromkeys(name for name, _ in summary):
        dense = summary[name, Setting("dense")]
        for s in _in_order(summary, name):
            row = summary[name, s]
            width = row["neurons"] if s.selector == "small" else WIDTH
            layer = (
                f"{width:,} dense"
                if s.selector in ("dense", "small")
                else f"{WIDTH:,}, {s.selector}"
            )
            cells = (
                name, layer, f"{row['neurons']:,}",
                f"{s.shared:.0%}" if s.selector in SELECTORS else "–",
                f"{100 * row['accuracy_deep']:.2f}", f"{100 * row['accuracy']:.2f}",
                f"{row['epoch_s'] / dense['epoch_s']:.2f}", f"{row['work']:.3f}",
                "–" if row["goal_s"] is None else f"{row['goal_s']:.2f}",
                f"{1000 * row['co2e_g']:.2f}",
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def sparsity_plot(records: Sequence[Record]) -> str:
    """Return an SVG: the deep path's test accuracy by the time of an epoch."""
    summary, panels = means(records), {}
    for name in dict.fromkeys(name for name, _ in summary):
        dense = summary[name, Setting("dense")]
        lines: dict[tuple[str, bool], list[tuple[float, float]]] = {}
        for s in _in_order(summary, name):
            row = summary[name, s]
            point = row["epoch_s"] / dense["epoch_s"], row["accuracy_deep"]
            is_chosen = s.selector in SELECTORS
            line = (s.selector, s.shared == 0) if is_chosen else ("dense", False)
            lines.setdefault(line, []).append(point)
        panels[name] = [Series(what, points, pure) for (what, pure), points in lines.items()]
    return plot(
        f"{WIDTH:,} hidden neurons, 100, 20, 10 and 5 % of them computed", panels,
        "CPU seconds of an epoch beside all neurons computed (dense: fewer neurons)",
        "Test accuracy of the deep path, %", "nothing shared",
    )  # fmt: skip


def statement(records: Sequence[Record]) -> str:
    """Say in plain words where computing a part of a wide layer pays, from the numbers alone."""
    summary, sentences, n_wins, n_cases = means(records), [], 0, 0
    for name in dict.fromkeys(name for name, _ in summary):
        dense = summary[name, Setting("dense")]
        p = dense["accuracy_deep"]
        error = math.sqrt(p * (1 - p) / dense["n_test"])
        sentences.append(
            f"{name}: dense {100 * p:.2f} %; one standard error is {100 * error:.2f} points."
        )
        for fraction in sorted(
            {s.fraction for s in _in_order(summary, name)} - {1.0}, reverse=True
        ):
            small = summary[name, Setting("small", fraction)]
            chosen = {
                s: summary[name, s]
                for s in _in_order(summary, name)
                if s.fraction == fraction and s.selector in SELECTORS
            }
            n_cases += len(chosen)
            n_wins += sum(_beats(row, small, error) for row in chosen.values())
            sentences.append(_compare(fraction, small, chosen, dense["epoch_s"]))
    verdict = (
        f"Hidden-layer sparsity pays in {n_wins} of {n_cases} cases: there it beats"
        if n_wins
        else "Hidden-layer sparsity pays nowhere here: it never beats"
    )
    sentences.append(f"{verdict} the small dense layer of equal work by a standard error.")
    return "\n".join(sentences)


def _beats(row: Record, small: Record, error: float) -> bool:
    return bool(row["accuracy_deep"] > small["accuracy_deep"] + error)


def _compare(fraction: float, small: Record, chosen: dict[Setting, Record], dense_s: float) -> str:
    """Say how the selectors do beside a small dense layer, with and without shared blocks."""

    def say(what: str, row: Record) -> str:
        return f"{what} {100 * row['accuracy_deep']:.2f} % ({row['epoch_s'] / dense_s:.2f} ×)"

    parts = [say(f"{small['neurons']} dense", small)]
    for shared, words in ((True, "of those with shared blocks"), (False, "with none shared")):
        group = {s: row for s, row in chosen.items() if bool(s.shared) == shared}
        if not group:
            continue
        best = max(group, key=lambda s: group[s]["accuracy_deep"])
        parts.append(say(f"best {words}, {best.selector},", group[best]))
        if random := [row for s, row in group.items() if s.selector == "random"]:
            parts.append(say("random", random[0]))
    return f"  {fraction:.0%} computed (epoch time beside dense): {'; '.join(parts)}."


# ── the command ─────────────────────────────────────────────────────────────────────────────────


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--fractions", default=",".join(map(str, FRACTIONS)))
    parser.add_argument("--selectors", default=",".join(SELECTORS))
    parser.add_argument("--epochs", type=int, help="as udt would by default")
    parser.add_argument("--seeds", type=int, default=3, help="number of runs of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few rows, to try the script")
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "sparsity.json")
    parser.add_argument("--plot", type=Path, default=_data.RESULTS / "sparsity.svg")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    arguments.selectors = arguments.selectors.split(",")
    arguments.fractions = [float(f) for f in arguments.fractions.split(",")]
    if unknown := set(arguments.selectors) - set(SELECTORS):
        parser.error(f"unknown selectors {sorted(unknown)}; there are {', '.join(SELECTORS)}")
    if unknown := set(arguments.sets) - set(_data.TEXT_COLUMNS):
        parser.error(f"unknown sets {sorted(unknown)}; there are {', '.join(_data.TEXT_COLUMNS)}")
    if arguments.quick:
        arguments.seeds, arguments.fractions = 1, [0.1]
    return arguments


def main() -> None:
    sys.path.insert(0, str(_data.REPOSITORY))
    arguments = _arguments()
    for name in arguments.sets:
        data = load(name, arguments.epochs, quick=arguments.quick)
        compared = list(settings(arguments.fractions, arguments.selectors))
        for setting in compared:  # compiles what there is to compile
            train(data, setting, 0, arguments.threads, which=data.train[:200], epochs=1)
        for seed in range(arguments.seeds):
            for setting in compared:
                around = _data.circumstances(arguments.threads)
                result = measure(name, data, setting, seed, arguments.threads)
                record = {"set": name, "method": setting.method, "seed": seed, **result, **around}
                store(arguments.out, record)
                print(
                    f"{name:24}{setting.method:18}{seed} {100 * result['accuracy_deep']:6.2f}"
                    f"{result['epoch_s']:8.3f} s",
                    file=sys.stderr,
                )
    records = json.loads(arguments.out.read_text("utf-8"))
    arguments.plot.write_text(sparsity_plot(records), "utf-8")
    print(sparsity_table(records), statement(records), sep="\n\n")


if __name__ == "__main__":
    main()
