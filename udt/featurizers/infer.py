"""Column kinds: an ordered chain; each kind accepts a column, or refuses it with the reason."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udt.errors import SettingsError, did_you_mean
from udt.featurizers import dates, numeric
from udt.featurizers.categorical import FALSE_SPELLINGS, TRUE_SPELLINGS
from udt.featurizers.facts import Facts, holds_strings
from udt.featurizers.multivalue import EMPTY, SEPARATORS, split_items
from udt.featurizers.schema import USED_KINDS, ColumnSchema, Schema

SAMPLE_ROWS = 50_000
"""Kinds are decided on all rows, or on a random sample of so many."""

_SMALL_TABLE_ROWS = 20
_ALL_DISTINCT = 0.99
_MAX_UNSEEN = 0.05
_FEW_VALUES = 50
_MAX_CATEGORY_CHARS = 40
_MAX_CATEGORY_WORDS = 5
_MAX_NAME_WORDS = 1.5
_MAX_WORD_CHARS = 20
_MIN_LISTS = 0.2
_MAX_ITEM_CHARS = 30
_MAX_UNSEEN_ITEMS = 0.15
_MIN_ITEM_REPEATS = 5

_ID_NAME = re.compile(r"(?i:^|[^a-z])(?i:id|uuid|guid|index)$|[a-z](?:Id|ID)$")
_CODE = re.compile(
    r"\{?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?"  # UUID
    r"|(?=.*\d)(?:0[xX])?(?:[0-9a-f]{8,}|[0-9A-F]{8,})"  # hash
    r"|[A-Za-z]{0,5}[-_#]?\d+(?:[-_]\d+)*"  # serial number
    r"|(?=(?:.*\d){2})[0-9A-Z][0-9A-Z_-]{5,}"  # order or part number
    r"|(?=.*\d)(?=.*[A-Z])(?=.*[a-z])(?!.*[a-z]{6})[0-9A-Za-z_-]{10,}"  # base-64 token
)


class Verdict(NamedTuple):
    """What one kind says of a column.

    Attributes
    ----------
    kind : str
        One of `udt.featurizers.schema.KINDS`.
    accepted : bool
        Whether the column is of that kind.
    reason : str
        Why, or why not, as a short phrase for people.
    params : dict
        What the kind's encoder needs, where accepted.
    """

    kind: str
    accepted: bool
    reason: str
    params: Mapping[str, Any]


class Kind(ABC):
    """One link of the chain: says whether a column is of its kind."""

    kind: ClassVar[str]

    @abstractmethod
    def judge(self, facts: Facts) -> Verdict:
        """Accept or refuse the column, with the reason."""

    def accept(self, reason: str, **params: Any) -> Verdict:
        """Return the verdict of a column that is of this kind."""
        return Verdict(self.kind, True, reason, params)

    def refuse(self, reason: str) -> Verdict:
        """Return the verdict of a column that is not of this kind."""
        return Verdict(self.kind, False, reason, {})


class Constant(Kind):
    """Tells rows apart by nothing."""

    kind = "constant"

    def judge(self, facts: Facts) -> Verdict:
        """Accept one value in all rows, or none in any."""
        n_values = len(facts.values)
        if n_values == 0:
            return self.accept("no value in any row")
        if n_values > 1:
            return self.refuse(f"{n_values:,} different values")
        if facts.n_missing:
            return self.refuse("one value, but missing in some rows")
        seen = "every row" if len(facts.sample) == facts.n_rows else "every row of a sample"
        return self.accept(f"the same value in {seen}: {_quote(facts.values[0])}")


class Identifier(Kind):
    """Names rows: nothing that a new row could share."""

    kind = "identifier"

    def judge(self, facts: Facts) -> Verdict:
        """Accept row numbers, and distinct codes that hold no words."""
        if facts.n_rows < _SMALL_TABLE_ROWS:
            return self.refuse(f"fewer than {_SMALL_TABLE_ROWS} rows")
        if facts.distinct_share < _ALL_DISTINCT:
            return self.refuse("values repeat")
        if facts.is_integer:
            return self._judge_integers(facts)
        if facts.date_layout is not None:
            return self.refuse("dates")
        if not facts.is_string or facts.number_style is not None:
            return self.refuse("a quantity")
        if facts.n_columns == 1:
            return self.refuse("the only column")
        codes = np.mean([_CODE.fullmatch(value) is not None for value in facts.probes])
        if codes < 0.9:
            return self.refuse("values are more than codes")
        return self.accept(f"a different code in every row, such as {_quote(facts.probes[0])}")

    def _judge_integers(self, facts: Facts) -> Verdict:
        if facts.distinct_share < 1:
            return self.refuse("values repeat")
        numbers = facts.numbers
        if np.ptp(numbers) < 2 * facts.n_rows:
            return self.accept(f"row numbers, {numbers.min():.0f} … {numbers.max():.0f}")
        if _ID_NAME.search(facts.name):
            return self.accept("a different number in every row, and named as an id")
        return self.refuse("numbers with gaps: a quantity")


class Boolean(Kind):
    """Yes or no, in any of the usual spellings."""

    kind = "boolean"

    def judge(self, facts: Facts) -> Verdict:
        """Accept columns that hold both yes and no, and nothing else but missing."""
        if len(facts.values) > len(TRUE_SPELLINGS | FALSE_SPELLINGS) * 3:
            return self.refuse("more than two values")
        spelled = {_spell_short(value) for value in facts.values.to_pylist()}
        if spelled <= TRUE_SPELLINGS | FALSE_SPELLINGS and not (
            spelled.isdisjoint(TRUE_SPELLINGS) or spelled.isdisjoint(FALSE_SPELLINGS)
        ):
            return self.accept(f"only {' and '.join(sorted(spelled))}", boolean=True)
        return self.refuse("not yes and no")


class Numeric(Kind):
    """Quantities, also as strings with a sign, grouped thousands or one unit."""

    kind = "numeric"

    def judge(self, facts: Facts) -> Verdict:
        """Accept numbers, unless they are names."""
        if facts.number_style is None:
            return self.refuse("not numbers")
        if facts.is_integer and _ID_NAME.search(facts.name):
            return self.refuse("numbers, but named as an id")
        low, high = facts.numbers.min(), facts.numbers.max()
        unit = facts.number_style.get("unit", "")
        written = f", written with '{unit}'" if unit else ""
        return self.accept(f"numbers, {low:g} … {high:g}{written}", **facts.number_style)


class Date(Kind):
    """Dates, with or without a time of day."""

    kind = "date"

    def judge(self, facts: Facts) -> Verdict:
        """Accept Arrow's date types, and strings that are dates in a few orders of parts."""
        layout = facts.date_layout
        if layout is None:
            return self.refuse("not dates")
        if not layout:
            return self.accept("dates by their type")
        parts = {"y": "year", "m": "month", "d": "day"}
        orders = [
            ", ".join(parts[part] for part in one) for one in layout.split(dates.BETWEEN_LAYOUTS)
        ]
        return self.accept(f"dates: {'; or '.join(orders)}", layout=layout)


class Multi(Kind):
    """Several items in a cell, out of a stock that all rows share."""

    kind = "multi"

    def judge(self, facts: Facts) -> Verdict:
        """Accept a separator between short items that repeat and recombine across rows."""
        if not facts.is_string:
            return self.refuse("not strings")
        for separator in SEPARATORS:
            n_items = self._count_items(facts, separator)
            if n_items:
                reason = f"lists of {n_items:,} different items, separated by '{separator}'"
                return self.accept(reason, separator=separator)
        return self.refuse("no separator between items that repeat")

    def _count_items(self, facts: Facts, separator: str) -> int:
        """Return how many different items there are, 0 if the cells are no such lists."""
        cells = facts.cells
        n_separators = pc.count_substring(cells, separator).to_numpy()
        mean_chars = facts.mean_chars / (1 + n_separators.mean())
        if (n_separators > 0).mean() < _MIN_LISTS or mean_chars > _MAX_ITEM_CHARS:
            return 0
        if separator == "/" and pc.any(pc.match_substring(cells, "://")).as_py():
            return 0  # addresses: their words say more than their folders
        _, codes, items = split_items(cells, separator)
        counts = np.bincount(codes[codes != EMPTY], minlength=len(items))
        repeat = counts.sum() >= _MIN_ITEM_REPEATS * len(items)
        new_are_rare = (counts == 1).sum() <= _MAX_UNSEEN_ITEMS * counts.sum()
        recombine = len(items) < len(facts.values)
        return len(items) if repeat and new_are_rare and recombine else 0


class Categorical(Kind):
    """Short values out of a stock that all rows share."""

    kind = "categorical"

    def judge(self, facts: Facts) -> Verdict:
        """Accept short values where a new one is rare; in doubt a lone string column is text."""
        n_values = len(facts.values)
        if not facts.is_string:
            return self.accept(f"{n_values:,} different numbers that name things")
        few = n_values <= _FEW_VALUES
        if facts.mean_chars > _MAX_CATEGORY_CHARS or (
            not few and facts.mean_words > _MAX_CATEGORY_WORDS
        ):
            return self.refuse("values are long")
        unseen = facts.unseen_share
        if unseen > _MAX_UNSEEN + 1 / len(facts.cells) or 2 * n_values > len(facts.cells):
            return self.refuse(f"{100 * unseen:.0f} % of the values occur once")
        # a lone word in each cell says no more as a text than as a value
        is_written = facts.n_columns == 1 or facts.mean_words > _MAX_NAME_WORDS
        if facts.n_string_columns == 1 and not few and is_written:
            return self.refuse("the only column of strings, and not few values")
        return self.accept(f"{n_values:,} different values that repeat")


class Text(Kind):
    """Anything that is written; the last link, accepts what is left."""

    kind = "text"

    def judge(self, facts: Facts) -> Verdict:
        """Accept."""
        n, unit = facts.mean_words * facts.cut, "word"
        if facts.mean_chars > _MAX_WORD_CHARS * facts.mean_words:  # a script without blanks
            n, unit = facts.mean_chars * facts.cut, "character"
        plural = "" if round(n) == 1 else "s"
        return self.accept(f"{n:.0f} {unit}{plural} a row on average")


CHAIN: tuple[Kind, ...] = (
    Constant(),
    Identifier(),
    Boolean(),
    Numeric(),
    Date(),
    Multi(),
    Categorical(),
    Text(),
)
"""In the order in which they are asked."""


def judge(facts: Facts) -> tuple[Verdict, ...]:
    """Ask the kinds in order; return all refusals and, last, the one that accepted."""
    verdicts: list[Verdict] = []
    for kind in CHAIN:
        verdicts.append(kind.judge(facts))
        if verdicts[-1].accepted:
            break
    return tuple(verdicts)


def gather_facts(
    columns: Mapping[str, pa.Array], *, sample_rows: int = SAMPLE_ROWS, seed: int = 0
) -> list[Facts]:
    """Return the facts of all columns, about the same rows of each.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Of equal length, the target left out.
    sample_rows : int
        Larger tables are judged by a random sample of so many rows.
    seed : int
        Of the sample.
    """
    n_rows = max((len(column) for column in columns.values()), default=0)
    n_strings = sum(holds_strings(column) for column in columns.values())
    rows = None
    if n_rows > sample_rows:
        chosen = np.random.default_rng(seed).choice(n_rows, sample_rows, replace=False)
        rows = pa.array(np.sort(chosen))
    return [
        Facts(name, column if rows is None else column.take(rows), n_rows, len(columns), n_strings)
        for name, column in columns.items()
    ]


def infer_schema(
    columns: Mapping[str, pa.Array],
    *,
    overrides: Mapping[str, tuple[str, Mapping[str, Any]]] | None = None,
    sample_rows: int = SAMPLE_ROWS,
    seed: int = 0,
) -> Schema:
    """Decide every column's kind.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Of equal length, the target left out.
    overrides : mapping of str to (kind, params), optional
        What the user set, by column; the kind ``"ignored"`` leaves a column out. Params that are
        not given (a separator, a date's layout) are found as usual.
    sample_rows : int
        Larger tables are judged by a random sample of so many rows; the kinds of smaller ones do
        not depend on the order of the rows.
    seed : int
        Of the sample.

    Raises
    ------
    SettingsError
        If an override names an unknown column or kind, or a kind that no cell can be read as.
    """
    overrides = overrides or {}
    for name, (kind, _) in overrides.items():
        _check_override(name, kind, columns)
    schemas = []
    for facts in gather_facts(columns, sample_rows=sample_rows, seed=seed):
        if facts.name in overrides:
            schemas.append(_overridden(facts, *overrides[facts.name]))
        else:
            verdict = judge(facts)[-1]
            schemas.append(
                ColumnSchema(facts.name, verdict.kind, verdict.reason, dict(verdict.params))
            )
    return Schema(tuple(schemas))


def _check_override(name: str, kind: str, columns: Mapping[str, pa.Array]) -> None:
    if name not in columns:
        raise SettingsError(
            f"Column '{name}' was set to {kind}, but the table has no such column. "
            f"Its columns are: {', '.join(columns)}.{did_you_mean(name, columns)}"
        )
    allowed = (*USED_KINDS, "ignored")
    if kind not in allowed:
        raise SettingsError(
            f"Column '{name}' was set to '{kind}', which is no kind of column. "
            f"Use one of: {', '.join(allowed)}.{did_you_mean(kind, allowed)}"
        )


def _overridden(facts: Facts, kind: str, params: Mapping[str, Any]) -> ColumnSchema:
    """Complete the params of a kind that the user set."""
    found: Mapping[str, Any] = {}
    share = 1.0
    if len(facts.cells) and kind == "numeric" and facts.is_string:
        found, share = numeric.guess_style(facts.probes)
    elif len(facts.cells) and kind == "date" and facts.date_layout != "":
        found, share = dates.guess_layout(pa.array(facts.probes, pa.large_string()))
    elif kind == "multi" and facts.is_string:
        found = {"separator": max(SEPARATORS, key=lambda s: _n_with(facts.cells, s))}
    elif kind == "boolean":
        found = {"boolean": True}
    if share == 0:
        raise SettingsError(
            f"Column '{facts.name}' was set to {kind}, but none of its values can be read so, "
            f"e.g. {_quote(facts.probes[0])}. Leave the setting out, or use text or categorical."
        )
    return ColumnSchema(facts.name, kind, "set by the user", {**found, **params})


def _n_with(cells: pa.Array, separator: str) -> int:
    return int(pc.sum(pc.match_substring(cells, separator)).as_py() or 0)


def _quote(value: object) -> str:
    text = str(value)
    return f"'{text[:30]}…'" if len(text) > 31 else f"'{text}'"


def _spell_short(value: object) -> str:
    """Return a cell's spelling in lower case, whole numbers without a decimal point."""
    return str(value).lower().removesuffix(".0")
