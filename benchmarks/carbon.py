"""Measure what training to 93 % on Yelp reviews costs, beside a published fine-tuning. Unix only.

::

    UDT_DATA=folder python benchmarks/carbon.py [--only udt|fasttext|svm|reading] [--sparsities a,b]
        [--seeds 1] [--out benchmarks/results/carbon.json]

Every model is a whole process: start, reading Parquet, training, testing. Its wall and CPU time are
the operating system's account of it. They are charged by the formula of `udt.carbon`, once as the
machine at hand with the world's grid, once as an r6g.xlarge in us-west-1, and set beside 40 minutes
on one of a p4d.24xlarge's eight A100, the published time for fine-tuning RoBERTa to the same bar.
Kernels are compiled before. ``reading`` reads the same rows from CSV and from Parquet in turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _data
from _bars import Bar, Panel, bars
from _peers import write_fasttext
from _process import timed_process

SET, BAR = "yelp_polarity_balanced", 0.93
SPARSITIES = ("auto", "1.0", "0.2", "0.1", "0.05")
FASTTEXT = {"dim": 16, "lr": 0.1, "epoch": 5, "wordNgrams": 2, "thread": 2}
SVM_COST = 1.0
FIGURE = "docs/images/carbon-training.svg"
_WARM_ROWS = 3_000
_READINGS = 7

Record = dict[str, Any]


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def _udt_command(train: Path, test: Path, scratch: str, sparsity: str) -> list[str]:
    flags = [] if sparsity == "auto" else ["--sparsity", sparsity]
    files = [str(train), "--target", _data.target(SET), "--test", str(test)]
    return [*_data.UDT, "train", *files, *flags, "-o", f"{scratch}/m.udt", "--force", "--json"]


def udt(sparsity: str) -> Record:
    """Train and test as a user would."""
    folder = _data.folder(SET)
    with tempfile.TemporaryDirectory() as scratch:
        warm = _head(folder / "train.parquet", Path(scratch))
        timed_process(*_udt_command(warm, warm, scratch, sparsity))
        command = _udt_command(folder / "train.parquet", folder / "test.parquet", scratch, sparsity)
        used, printed = timed_process(*command)
    report = json.loads(printed)
    kept = {key: report[key] for key in ("time", "energy", "carbon", "network", "size")}
    kept["carbon"].pop("basis", None)
    return {
        "accuracy": report["metrics"]["accuracy"],
        "n_test": report["metrics"]["n_rows"],
        "wall_s": used["wall_s"],
        "cpu_s": used["cpu_s"],
        "report": kept,
    }


def _head(path: Path, scratch: Path) -> Path:
    """Write some rows apart, to compile the kernels on."""
    import pyarrow.parquet

    written = scratch / "warm.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).slice(0, _WARM_ROWS), written)
    return written


def child_reading() -> Record:
    """Read the training rows from CSV and from Parquet in turns."""
    import pyarrow.csv
    import pyarrow.parquet

    from udt.table import read_table

    forms = {"Parquet": _data.folder(SET) / "train.parquet"}
    costs: dict[str, list[tuple[float, float]]] = {"CSV": [], "Parquet": []}
    with tempfile.TemporaryDirectory() as scratch:
        forms["CSV"] = Path(scratch, "train.csv")
        pyarrow.csv.write_csv(pyarrow.parquet.read_table(forms["Parquet"]), forms["CSV"])
        for _ in range(_READINGS + 1):  # the first one finds cold caches
            for form, path in forms.items():
                wall_s, cpu_s = time.perf_counter(), time.process_time()
                read_table(path)
                taken = time.perf_counter() - wall_s, time.process_time() - cpu_s
                costs[form].append(taken)
        sizes = {form: path.stat().st_size for form, path in forms.items()}
    return {
        form: {
            "bytes": sizes[form],
            "wall_s": statistics.median(wall_s for wall_s, _ in taken[1:]),
            "cpu_s": statistics.median(cpu_s for _, cpu_s in taken[1:]),
        }
        for form, taken in costs.items()
    }


def peer(method: str) -> Record:
    """Run a peer, or the readings, in a process of its own."""
    used, printed = timed_process(sys.executable, __file__, "--child", method)
    times = {key: used[key] for key in ("wall_s", "cpu_s")}
    return {**json.loads(printed.splitlines()[-1]), **times}


def child_fasttext() -> Record:
    """Train and test fastText, as many threads as udt has."""
    import fasttext

    train, test = _data.load(SET, "train"), _data.load(SET, "test")
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch, "train"), Path(scratch, "test")]
        for part, path in zip((train, test), paths, strict=True):
            write_fasttext(part, path)
        model = fasttext.train_supervised(str(paths[0]), verbose=0, **FASTTEXT)
        n_tested, precision, _ = model.test(str(paths[1]), k=1)
    return {"accuracy": precision * n_tested / len(test.texts), "n_test": len(test.texts)}


def child_svm() -> Record:
    """Train and test TF-IDF of words 1-2 with a linear support vector machine."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    train, test = _data.load(SET, "train"), _data.load(SET, "test")
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32)
    model = LinearSVC(C=SVM_COST, random_state=0).fit(
        tfidf.fit_transform(train.texts), train.labels
    )
    accuracy = float(model.score(tfidf.transform(test.texts), test.labels))
    return {"accuracy": accuracy, "n_test": len(test.texts)}


# ── charging ────────────────────────────────────────────────────────────────────────────────────


def charge(record: Record) -> Record:
    """Return a record's footprints here and as an r6g.xlarge, and RoBERTa's beside the latter."""
    sys.path.insert(0, str(_data.REPOSITORY))
    from udt.carbon import ROBERTA, estimate, find_machine, find_place

    work = {"hours": record["wall_s"] / 3600, "cpu_s": record["cpu_s"]}
    here = estimate(find_machine(environ={}), find_place(environ={}), **work)
    california = find_place("us-west-1", environ={})
    there = estimate(find_machine("r6g.xlarge", environ={}), california, **work)
    roberta = ROBERTA.footprint(california)
    # Both are off by their band; as independent errors do, the ratio is by this much.
    band = math.exp(math.hypot(math.log(there.band), math.log(roberta.band)))
    ratio = there.total_g / roberta.total_g
    return {
        "here": {**here.energy_dict(), **here.carbon_dict()},
        "r6g.xlarge": {**there.energy_dict(), **there.carbon_dict()},
        "ratio": {"value": ratio, "low": ratio / band, "high": ratio * band},
    }


def roberta_record() -> Record:
    """Return the published run by the same formula."""
    from udt.carbon import ROBERTA, find_place

    there = ROBERTA.footprint(find_place("us-west-1", environ={}))
    return {"wall_s": ROBERTA.hours * 3600, "there": {**there.energy_dict(), **there.carbon_dict()}}


# ── telling ─────────────────────────────────────────────────────────────────────────────────────


def _name(method: str, setting: str) -> str:
    names = {"fasttext": "fastText", "svm": "TF-IDF + LinearSVC"}
    return names.get(method, f"udt, sparsity {setting}")


def _two(x: float) -> str:
    """Word an estimate: two significant digits, without an exponent."""
    digits = 1 - math.floor(math.log10(x)) if x > 0 else 0
    return f"{round(x, digits):,.{max(0, digits)}f}"


def _percent(share: float) -> str:
    return _two(100 * share)


def means(records: Sequence[Record]) -> list[Record]:
    """Return the mean over the seeds of each model, in the order of the table."""

    def key(r: Record) -> tuple[int, int, str]:
        rank = SPARSITIES.index(r["setting"]) if r["setting"] in SPARSITIES else 0
        return ["udt", "fasttext", "svm"].index(r["method"]), rank, r["setting"]

    rows = []
    ordered = sorted((r for r in records if r["method"] != "reading"), key=key)
    for _, group in itertools.groupby(ordered, key=key):
        runs = list(group)
        mean: Record = {
            what: statistics.fmean(r[what] for r in runs)
            for what in ("accuracy", "wall_s", "cpu_s")
        }
        mean |= {"name": _name(runs[0]["method"], runs[0]["setting"]), "n_runs": len(runs)}
        rows.append(mean | charge(mean))
    return rows


def carbon_table(records: Sequence[Record]) -> str:
    """Lay out the experiment: every model at or above the bar, and its part of RoBERTa's run."""
    lines = [
        "| | accuracy, % | ≥ 93 % | time, s | CPU, s | energy, Wh | electricity, mg |"
        " manufacturing, mg | CO2e, mg | of RoBERTa's, % (band) | here, mg |",
        "| --- " + "| --: " * 10 + "|",
    ]
    for row in means(records):
        there, ratio = row["r6g.xlarge"], row["ratio"]
        cells = (
            row["name"], f"{100 * row['accuracy']:.2f}", "yes" if row["accuracy"] >= BAR else "no",
            f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}", _two(1000 * there["kwh"]),
            *(_two(1000 * there[k]) for k in ("operational_g", "embodied_g", "total_g")),
            f"{_percent(ratio['value'])} ({_percent(ratio['low'])}–{_percent(ratio['high'])})",
            _two(1000 * row["here"]["total_g"]),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    roberta = roberta_record()
    there = roberta["there"]
    cells = (
        "fine-tuned RoBERTa, published", "–", "yes", f"{roberta['wall_s']:,.0f}", "–",
        f"{1000 * there['kwh']:.3g}",
        *(f"{1000 * there[k]:,.0f}" for k in ("operational_g", "embodied_g", "total_g")),
        "100", "–",
    )  # fmt: skip
    lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def reading_table(records: Sequence[Record]) -> str:
    """Lay out what reading the same rows takes from CSV and from Parquet; empty if not measured."""
    measured = [r for r in records if r["method"] == "reading"]
    if not measured:
        return ""
    lines = [
        "| the training rows as | file, MB | reading, s | CPU, s | energy, mWh | CO2e, mg |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for form in ("CSV", "Parquet"):
        cost = {k: statistics.fmean(r[form][k] for r in measured) for k in measured[0][form]}
        there = charge(cost)["r6g.xlarge"]
        cells = (
            form, f"{cost['bytes'] / 1e6:.0f}", f"{cost['wall_s']:.2f}", f"{cost['cpu_s']:.2f}",
            _two(1e6 * there["kwh"]), _two(1000 * there["total_g"]),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def carbon_plot(records: Sequence[Record]) -> str:
    """Return an SVG: electricity and manufacturing of each model, with and without RoBERTa."""

    def bar(name: str, there: Record, scale: float, words: str) -> Bar:
        parts = [scale * there[key] for key in ("operational_g", "embodied_g")]
        return Bar(name, parts, words)

    rows, roberta = means(records), roberta_record()["there"]
    all_bars = [bar("fine-tuned RoBERTa", roberta, 1.0, f"{roberta['total_g']:.0f} g")]
    ours = []
    for row in rows:
        there, ratio = row["r6g.xlarge"], row["ratio"]["value"]
        mg = f"{_two(1000 * there['total_g'])} mg"
        all_bars.append(bar(row["name"], there, 1.0, f"{mg}, {_percent(ratio)} %"))
        ours.append(bar(row["name"], there, 1000.0, f"{mg}, {100 * row['accuracy']:.1f} %"))
    return bars(
        "CO2e of one training on Yelp reviews, charged in us-west-1",
        ("electricity", "manufacturing"),
        (
            Panel("Beside the published run (and % of it)", "g", all_bars),
            Panel("Without it (and test accuracy)", "mg", ours),
        ),
    )


def statement(records: Sequence[Record]) -> str:
    """Say for each model whether it reaches the bar and stays below a thousandth of RoBERTa."""
    sentences = []
    for row in means(records):
        ratio = row["ratio"]
        reaches = "reaches" if row["accuracy"] >= BAR else "misses"
        below = "below" if ratio["value"] < 0.001 else "above"
        total_mg = 1000 * row["r6g.xlarge"]["total_g"]
        sentences.append(
            f"{row['name']}: {100 * row['accuracy']:.2f} % {reaches} {100 * BAR:.0f} %; "
            f"{_two(total_mg)} mg are {_percent(ratio['value'])} % of the RoBERTa run "
            f"({_percent(ratio['low'])} to {_percent(ratio['high'])} %), {below} 0.1 %."
        )
    return "\n".join(sentences)


# ── the command ─────────────────────────────────────────────────────────────────────────────────


def store(path: Path, record: Record) -> None:
    """Put a record in the place of the one with the same key; read anew, as runs may overlap."""
    records = json.loads(path.read_text("utf-8")) if path.exists() else []
    key = ("method", "setting", "seed")
    others = [r for r in records if any(r[k] != record[k] for k in key)]
    _data.write_json(path, sorted([*others, record], key=lambda r: [r[k] for k in key]))


CHILDREN = {"fasttext": child_fasttext, "svm": child_svm, "reading": child_reading}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("udt", "fasttext", "svm", "reading", "none"))
    parser.add_argument("--sparsities", default=",".join(SPARSITIES))
    parser.add_argument("--seeds", type=int, default=1, help="number of runs of each")
    parser.add_argument("--out", type=Path, default=_data.RESULTS / "carbon.json")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    sys.path.insert(0, str(_data.REPOSITORY))
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child]()))
        return
    settings = [("udt", sparsity) for sparsity in arguments.sparsities.split(",")]
    settings += [("fasttext", "lr .1, 5 epochs"), ("svm", f"C={SVM_COST:g}"), ("reading", "")]
    for method, setting in settings:
        if arguments.only not in (None, method):
            continue
        for seed in range(arguments.seeds):
            around = _data.circumstances(1 if method == "svm" else None)
            result = udt(setting) if method == "udt" else peer(method)
            record = {"set": SET, "method": method, "setting": setting, "seed": seed}
            store(arguments.out, {**record, **result, **around})
            accuracy = 100 * result.get("accuracy", math.nan)
            print(f"{method:10}{setting:18}{accuracy:6.2f}", file=sys.stderr)
    records = json.loads(arguments.out.read_text("utf-8"))
    plot = carbon_plot(records)
    for path in (arguments.out.with_suffix(".svg"), _data.REPOSITORY / FIGURE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(plot, "utf-8")
    print(carbon_table(records), reading_table(records), statement(records), sep="\n\n")


if __name__ == "__main__":
    main()
