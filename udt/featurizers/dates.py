"""Date and time columns: calendar parts and a trend."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udt._jit import jit
from udt.csr import CSR
from udt.featurizers.cells import as_strings, rows_from_slots
from udt.featurizers.numeric import NumericEncoder
from udt.featurizers.text import as_texts

NO_DATE = np.iinfo(np.int64).min
"""Day number of a cell that holds no date."""

LAYOUTS = ("ymd", "dmy", "mdy", "ym", "my")
"""Orders of year, month and day in a written date."""

BETWEEN_LAYOUTS = "|"
"""Between the layouts of a column that mixes them."""

_MAX_LAYOUTS = 3
_LEAST_SHARE = 0.02  # of the cells, for a layout beside the first
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August",
           "September", "October", "November", "December")  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OTHER_WORDS = ("st", "nd", "rd", "th", "of", "at", "t", "z", "am", "pm", "utc", "gmt", "est",
                "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt", "cet", "cest", "bst", "ist",
                "jst")  # fmt: skip
_MAX_BYTES = 48
_MAX_WORD = 9
_MAX_DIGITS = 9
_MAX_YEARS = 100

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Fields = npt.NDArray[np.int32]

_OK, _WIDTHS, _HOUR, _N_SCANNED = 0, 4, 7, 8
_NAMED = 0  # "width" of a month that is written as a word
_NO_HOUR = -1
_ABSENT = -(1 << 20)  # stays negative whatever feature a part starts at
_AM, _PM = 1, 2


def _pack(word: str) -> int:
    """Return a short word's letters as the kernel accumulates them: 5 bits each, then length."""
    packed = 0
    for letter in word.lower():
        packed = (packed << 5) | (ord(letter) - 96)
    return packed


def _word_table() -> tuple[Ints, Ints]:
    """Return (packed words, meanings): 1 … 12 a month, 0 nothing, −1 am, −2 pm; sorted."""
    meanings: dict[int, int] = {_pack(w): 0 for w in _OTHER_WORDS}
    for day in _WEEKDAYS:
        meanings |= {_pack(day): 0, _pack(day[:3]): 0, _pack(day[:4]): 0}
    for i, month in enumerate(_MONTHS, 1):
        meanings |= {_pack(month): i, _pack(month[:3]): i}
    meanings |= {_pack("sept"): 9, _pack("am"): -_AM, _pack("pm"): -_PM}
    words = sorted(meanings)
    return np.array(words, np.int64), np.array([meanings[w] for w in words], np.int64)


_WORDS, _MEANINGS = _word_table()


@jit()
def _read_digits(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """Return (number, index after it) of the digits from i on."""
    number, start = 0, i
    while i < end and 48 <= data[i] <= 57 and i - start < _MAX_DIGITS:
        number = number * 10 + (int(data[i]) - 48)
        i += 1
    return number, i


@jit()
def _read_word(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """Return (packed letters, index after them) of the ASCII letters from i on."""
    packed, start = 0, i
    while i < end and 97 <= data[i] | 32 <= 122 and i - start <= _MAX_WORD:
        packed = (packed << 5) | ((int(data[i]) | 32) - 96)
        i += 1
    return packed, i


@jit()
def _skip_clock(data: Bytes, i: int, end: int) -> int:
    """Return the index after ``:mm``, ``:mm:ss`` or ``:mm:ss.fff`` (dots serve as well)."""
    for _ in range(3):
        if i + 1 < end and data[i] in (46, 58) and 48 <= data[i + 1] <= 57:
            _, i = _read_digits(data, i + 1, end)
    return i


@jit()
def _scan_one(
    data: Bytes, i: int, end: int, words: Ints, meanings: Ints, out: Fields, row: int
) -> None:
    """Find one cell's date fields and hour; out is modified in place, see `scan_dates`."""
    n_fields, half, sign, after_clock = 0, 0, False, False
    while i < end:
        byte = data[i]
        if 48 <= byte <= 57:
            start = i
            number, i = _read_digits(data, i, end)
            clock = i < end and (data[i] == 58 or (n_fields == 3 and data[i] == 46))
            if sign and after_clock:
                i = _skip_clock(data, i, end)  # an offset from UTC: not applied
                after_clock = False
            elif clock and out[_HOUR, row] < 0 and number < 24:
                out[_HOUR, row] = number
                i = _skip_clock(data, i, end)
                after_clock = True
            elif n_fields < 3:
                out[1 + n_fields, row], out[_WIDTHS + n_fields, row] = number, i - start
                n_fields += 1
                after_clock = False
            else:
                return
            sign = False
        elif 97 <= byte | 32 <= 122:
            packed, i = _read_word(data, i, end)
            at = min(int(np.searchsorted(words, packed)), len(words) - 1)
            if words[at] != packed:
                return
            meaning = meanings[at]
            if meaning < 0:
                half = -meaning
            elif meaning > 0:
                if n_fields == 3:
                    return
                out[1 + n_fields, row], out[_WIDTHS + n_fields, row] = meaning, _NAMED
                n_fields += 1
        elif byte >= 128 or byte in (9, 32, 39, 40, 41, 43, 44, 45, 46, 47, 58):
            sign = byte in (43, 45)  # + and -
            i += 1
        else:
            return
    if half > 0 and 0 <= out[_HOUR, row] <= 12:
        out[_HOUR, row] = out[_HOUR, row] % 12 + (12 if half == _PM else 0)
    out[_OK, row] = n_fields


@jit()
def scan_dates(data: Bytes, offsets: Ints, words: Ints, meanings: Ints, out: Fields) -> None:
    """Find the date fields and the hour of every cell.

    Parameters
    ----------
    data : ndarray of uint8, read-only
        UTF-8 bytes of all rows.
    offsets : ndarray of int64, shape (n_rows + 1,), read-only
        Row r is ``data[offsets[r]:offsets[r + 1]]``.
    words, meanings : ndarray of int64
        What words are understood, see `_word_table`.
    out : ndarray of int32, shape (8, n_rows)
        Modified in place: number of date fields (0 = no date), three fields, their widths in
        digits (0 = a month's name), hour (-1 = none).
    """
    for row in range(len(offsets) - 1):
        for k in range(_N_SCANNED):
            out[k, row] = 0
        out[_HOUR, row] = _NO_HOUR
        start, end = offsets[row], offsets[row + 1]
        if end - start <= _MAX_BYTES:
            _scan_one(data, start, end, words, meanings, out, row)


class Moments(NamedTuple):
    """Dates of a column.

    Attributes
    ----------
    days : ndarray of int64, shape (n_rows,)
        Days since 1970-01-01, or `NO_DATE`.
    hours : ndarray of int, shape (n_rows,)
        0 … 23 as written, or -1.
    """

    days: Ints
    hours: npt.NDArray[Any]


def scan_column(column: pa.Array) -> Fields:
    """Return what `scan_dates` finds in a column of strings, shape (8, n_rows)."""
    texts = as_texts(as_strings(column))
    # one dtype contract, one compiled kernel: Arrow's buffers are read-only, a copy is not
    texts.data.setflags(write=False)
    texts.offsets.setflags(write=False)
    out = np.empty((_N_SCANNED, texts.n_rows), np.int32)
    scan_dates(texts.data, texts.offsets, _WORDS, _MEANINGS, out)
    return out


def days_of(scanned: Fields, layout: str) -> Ints:
    """Read scanned fields as dates; `NO_DATE` where they are none.

    Of several layouts, such as ``"ymd|mdy"``, a cell takes the first in which it is a date.
    """
    first, *others = layout.split(BETWEEN_LAYOUTS)
    days = _days_of_one(scanned, first)
    for other in others:
        days = np.where(days == NO_DATE, _days_of_one(scanned, other), days)
    return days


def _days_of_one(scanned: Fields, layout: str) -> Ints:
    """Read scanned fields as dates of one layout. Two-digit years are 1970 to 2069."""
    field = {part: scanned[1 + i] for i, part in enumerate(layout)}
    width = {part: scanned[_WIDTHS + i] for i, part in enumerate(layout)}
    year, month, day = field["y"], field["m"], field.get("d", np.int32(1))
    short = width["y"] == 2
    year = np.where(short, year + np.where(year < 70, 2000, 1900), year)
    ok = (scanned[_OK] == len(layout)) & (year >= 1000) & (year < 3000)
    ok &= (month >= 1) & (month <= 12) & (day >= 1)
    ok &= (width["y"] == 4) | (short & ("d" in layout))
    if "d" in layout:
        ok &= (width["d"] == 1) | (width["d"] == 2)
    months = np.where(ok, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    dates = months.astype("datetime64[D]") + (day - 1)
    ok &= dates.astype("datetime64[M]") == months  # no 30th of February
    return np.where(ok, dates.astype(np.int64), NO_DATE)


def guess_layout(column: pa.Array) -> tuple[dict[str, str], float]:
    """Find the layouts in which most cells of a string column are dates.

    Where several fit all rows alike, a true day takes more different values than a true year
    does; failing that, slashes mean month first. Further layouts are for the cells that are no
    dates in the ones before.

    Returns
    -------
    params : dict
        ``{"layout": str}``, for `DateEncoder.fit`: one of `LAYOUTS`, or several with ``|``
        between them.
    share : float
        Fraction of the cells, nulls left out, that are dates so.
    """
    column = column.drop_null()
    scanned = scan_column(column)
    slashes = (pc.mean(pc.match_substring(column, "/")).as_py() or 0) > 0.5
    preference = ("ymd", "mdy", "dmy", "ym", "my") if slashes else LAYOUTS
    found, share = _best_layout(scanned, preference)
    layouts = [found]
    while 0 < share < 1 and len(layouts) < _MAX_LAYOUTS:
        rest = days_of(scanned, BETWEEN_LAYOUTS.join(layouts)) == NO_DATE
        other, more = _best_layout(scanned[:, rest], preference)
        if more * rest.mean() < _LEAST_SHARE:
            break
        layouts.append(other)
        share += more * float(rest.mean())
    return {"layout": BETWEEN_LAYOUTS.join(layouts)}, share


def _best_layout(scanned: Fields, preference: tuple[str, ...]) -> tuple[str, float]:
    """Return the layout in which most cells are dates, and their share."""
    best, best_score = preference[0], (0.0, 0)
    for layout in preference:
        ok = _days_of_one(scanned, layout) != NO_DATE
        variety = {part: len(np.unique(scanned[1 + i, ok])) for i, part in enumerate(layout)}
        score = (float(ok.mean()) if len(ok) else 0.0, variety.get("d", 0) - variety["y"])
        if score > best_score:
            best, best_score = layout, score
    return best, best_score[0]


def parse_moments(column: pa.Array, layout: str) -> Moments:
    """Return a column of any type as dates: strings as written, timestamps as stored (UTC)."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        # through numpy: unlike a cast, it truncates and never fails
        stamps = column.cast(pa.timestamp(column.type.unit)).to_numpy(zero_copy_only=False)
        seconds = stamps.astype("datetime64[s]").astype(np.int64)
        missing = np.isnat(stamps)
        days = np.where(missing, NO_DATE, seconds // 86400)
        return Moments(days, np.where(missing, _NO_HOUR, seconds % 86400 // 3600))
    scanned = scan_column(column)
    return Moments(days_of(scanned, layout), scanned[_HOUR])


@dataclass(frozen=True)
class DateEncoder:
    """Turns a date into its year, month, weekday, third of the month, hour, and a trend.

    The trend is the day as a soft numeric bin, see `NumericEncoder`; years that training did not
    see have a trend only. The last feature stands for a missing date.

    Attributes
    ----------
    layout : str
        How dates are written where the column holds strings, of `LAYOUTS`.
    first_year, n_years : int
        Years with a feature of their own.
    hours : bool
        Whether the hour of the day is told.
    trend : NumericEncoder
        Over days since 1970-01-01.
    """

    layout: str
    first_year: int
    n_years: int
    hours: bool
    trend: NumericEncoder

    @classmethod
    def fit(cls, column: pa.Array, params: Mapping[str, Any]) -> DateEncoder:
        """Find the years, the knots of the trend, and whether hours differ; params: ``layout``."""
        layout = params.get("layout", LAYOUTS[0])
        moments = parse_moments(column, layout)
        known = moments.days != NO_DATE
        days = moments.days[known]
        years = _years(days)
        last, first = (int(years.max()), int(years.min())) if len(years) else (0, 1)
        first = max(first, last - _MAX_YEARS + 1)
        hours = bool(len(days)) and bool(np.ptp(moments.hours[known]) > 0)
        trend = NumericEncoder.of_numbers(days.astype(np.float64))
        return cls(layout, first, last - first + 1, hours, trend)

    def _sizes(self) -> tuple[int, ...]:
        """Return the number of features of each part, in order; missing comes after them."""
        return self.n_years, 12, 7, 3, 24 * self.hours, len(self.trend.knots)

    @functools.cached_property
    def _starts(self) -> list[int]:
        """Return the first feature of each slot of a row; the trend has two slots."""
        starts = [0, *itertools.accumulate(self._sizes())][: len(self._sizes())]
        return [*starts, starts[-1]]

    @property
    def n_features(self) -> int:
        """Number of features of all parts, and one for missing."""
        return sum(self._sizes()) + 1

    def transform(self, column: pa.Array) -> CSR:
        """Return each row's parts with value 1 and its trend."""
        days, hours = parse_moments(column, self.layout)
        missing = days == NO_DATE
        days = np.where(missing, 0, days)
        dates = days.astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        month_number = months.astype(np.int64)  # since January 1970
        year = month_number // 12 + (1970 - self.first_year)
        left, weight = self.trend.neighbours(days.astype(np.float64))
        parts = [
            np.where((year >= 0) & (year < self.n_years), year, _ABSENT),
            month_number % 12,
            (days + 3) % 7,
            np.minimum((dates - months.astype("datetime64[D]")).astype(np.int64) // 10, 2),
            np.where(hours >= 0, hours, _ABSENT) if self.hours else _ABSENT,
            left,
            np.where(weight > 0, left + 1, _ABSENT),
        ]
        ids = np.empty((len(days), len(parts)), np.int32)
        for slot, (part, start) in enumerate(zip(parts, self._starts, strict=True)):
            ids[:, slot] = part + start
        values = np.ones(ids.shape, np.float32)
        values[:, -2], values[:, -1] = 1 - weight, weight
        ids[missing] = _ABSENT
        ids[missing, 0], values[missing, 0] = self.n_features - 1, 1
        return rows_from_slots(ids, values, self.n_features)

    def feature_names(self) -> list[str]:
        """Return ``"weekday = Mon"`` and so on, in the features' order."""
        years = (f"year = {self.first_year + i}" for i in range(self.n_years))
        months = (f"month = {name[:3]}" for name in _MONTHS)
        weekdays = (f"weekday = {name[:3]}" for name in _WEEKDAYS)
        thirds = (f"day of month = {days}" for days in ("1 … 10", "11 … 20", "21 … 31"))
        hours = (f"hour = {hour}" for hour in range(24 * self.hours))
        knots = (f"around {np.datetime64(int(k), 'D')}" for k in self.trend.knots)
        return [*years, *months, *weekdays, *thirds, *hours, *knots, "missing"]

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON-able facts and arrays, for `from_state`."""
        meta, arrays = self.trend.state()
        facts = {"layout": self.layout, "first_year": self.first_year, "n_years": self.n_years}
        return {**facts, "hours": self.hours, "trend": meta}, arrays

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> DateEncoder:
        """Rebuild from `state`'s result."""
        trend = NumericEncoder.from_state(meta["trend"], arrays)
        return cls(meta["layout"], meta["first_year"], meta["n_years"], meta["hours"], trend)


def _years(days: Ints) -> Ints:
    return days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
