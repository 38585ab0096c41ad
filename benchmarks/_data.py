"""The data sets of the accuracy table, and the facts that a result is worth nothing without.

Nothing is downloaded: the environment variable ``UDT_DATA`` names a folder that holds one folder
for each set, with ``train.parquet``, ``test.parquet`` and ``info.json`` (its key ``target``).
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"

# The console script's own line; with the repository as working directory it runs this tree,
# whatever else is installed.
UDT = (sys.executable, "-c", "import sys; from udt.cli.app import main; sys.exit(main())")

# The columns that the peers read, joined with a newline; udt is given the whole table.
# From the quickest set to the slowest, so that a table appears early.
TEXT_COLUMNS = {
    "trec6": ("text",),
    "sms_spam": ("text",),
    "de_germeval2018": ("text",),
    "banking77": ("text",),
    "clinc150": ("text",),
    "zh_online_shopping": ("category", "text"),
    "20newsgroups": ("subject", "body"),
    "imdb": ("text",),
    "ko_nsmc_raw": ("text",),
    "yelp_polarity_balanced": ("text",),
}

# The other sets with one label a row, by the columns that the peers take as free text.
MORE_TEXT_COLUMNS: dict[str, tuple[str, ...]] = {
    "sst2": ("text",),
    "ag_news_subset": ("text",),
    "tweeteval_emoji": ("text",),
    "airline_tweets": ("text",),
    "debian_sections": ("package", "summary", "depends"),
    "yelp_restaurants_mixed": ("text",),
    "reddit_subreddits": ("title",),
    "titanic": ("Name",),
    "adult_income": (),
}
MIXED_SETS = (
    "titanic",
    "airline_tweets",
    "adult_income",
    "debian_sections",
    "yelp_restaurants_mixed",
)
# Samples of a set with thousands of classes hold one row of each: nothing can be learned there.
SMALL_SETS = tuple(
    name
    for name in (TEXT_COLUMNS | MORE_TEXT_COLUMNS)
    if name not in ("reddit_subreddits", "titanic", "adult_income")
)

# Sets that no choice was made on, made of others: name → set, target (None = its own), columns
# left out, rows (None = all).
UNSEEN: dict[str, tuple[str, str | None, tuple[str, ...], int | None]] = {
    "zh: what was bought": ("zh_online_shopping", "category", ("label",), 20_000),
    "tweets: which airline": ("airline_tweets", "airline", ("airline_sentiment",), None),
    "tweets: text alone": (
        "airline_tweets",
        None,
        ("airline", "retweet_count", "tweet_created", "tweet_location", "user_timezone"),
        None,
    ),
    "packages: summaries alone": (
        "debian_sections",
        None,
        ("package", "depends", "maintainer", "homepage_host", "multi_arch", "priority"),
        10_000,
    ),
    "packages: without text": ("debian_sections", None, ("package", "summary", "depends"), 20_000),
    "posts: bodies alone": ("20newsgroups", None, ("subject",), None),
    "reviews: 5k films": ("imdb", None, (), 5_000),
    "reviews: 3k restaurants": ("yelp_restaurants_mixed", None, (), 3_000),
    "phrases: 6k": ("sst2", None, (), 6_000),
    "korean: 8k": ("ko_nsmc_raw", None, (), 8_000),
    "emoji: 15k": ("tweeteval_emoji", None, (), 15_000),
    "news: 2k": ("ag_news_subset", None, (), 2_000),
    "incomes: 3k": ("adult_income", None, (), 3_000),
    "occupations": ("adult_income", "occupation", ("income",), 15_000),
}

_VERSIONS_OF = (
    "numpy",
    "numba",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "fasttext",
    "fasttext-wheel",
    "lightgbm",
)
_HAN_OR_KANA = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")


class Part(NamedTuple):
    """The train or the test half of a set, as the peers see it."""

    texts: list[str]
    labels: list[str]


def folder(name: str) -> Path:
    """Return the folder of a set below ``UDT_DATA``, or exit with a sentence."""
    root = os.environ.get("UDT_DATA")
    if not root:
        sys.exit("UDT_DATA is not set: give it the folder that holds the data sets.")
    path = Path(root).resolve() / name
    if not (path / "info.json").is_file():
        sys.exit(f"UDT_DATA has no set '{name}': {path / 'info.json'} is not there.")
    return path


def target(name: str) -> str:
    return str(json.loads((folder(name) / "info.json").read_text("utf-8"))["target"])


def load(name: str, part: str) -> Part:
    """Read one part, "train" or "test"; a missing text is an empty one."""
    import pyarrow.parquet as pq  # heavy, and speed.py measures children from a small parent

    table = pq.read_table(folder(name) / f"{part}.parquet")
    columns = [table[column].to_pylist() for column in TEXT_COLUMNS[name]]
    texts = ["\n".join(value or "" for value in row) for row in zip(*columns, strict=True)]
    return Part(texts, [str(label) for label in table[target(name)].to_pylist()])


def space_out(text: str) -> str:
    """Make every Han or Kana character a token of its own, since these have no spaces."""
    return _HAN_OR_KANA.sub(r" \1 ", text)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def circumstances(n_threads: int | None = None) -> dict[str, Any]:
    """Say when, where and with what something was measured.

    Returns
    -------
    dict
        ``load`` is the number of runnable processes just before: above 0.5, a time is an upper
        bound. ``n_threads`` (None = all) is what the measured thing was allowed.
    """
    versions = {name: _version(name) for name in _VERSIONS_OF}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name, version in versions.items() if version},
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "n_threads": n_threads,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def write_json(path: Path, content: Any) -> None:
    """Write a file in one step, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    scratch.replace(path)
