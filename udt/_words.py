"""Numbers in words: whatever is estimated has two significant digits and never reads as 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def _exponent(x: float) -> int:
    """Return the decimal exponent of ``x`` once it has two significant digits: 0.0999 gives -1."""
    return int(f"{x:.1e}".partition("e")[2])


def estimate(x: float) -> str:
    """Word an estimate: two significant digits, never in scientific notation."""
    return f"{float(f'{x:.1e}'):,.{max(0, 1 - _exponent(x))}f}"


def _scaled(x: float, units: Sequence[tuple[float, float, str]]) -> str:
    """Word an estimate in the first unit that it reaches: (from, size of the unit, its name)."""
    if not math.isfinite(x):
        return "unknown"
    x = float(f"{x:.1e}")
    for start, unit, name in units:
        if x >= start:
            return f"{estimate(x / unit)} {name}"
    _, unit, name = units[-1]
    return f"under 0.001 {name}"


_GRAM_UNITS = ((1000.0, 1000.0, "kg"), (0.1, 1.0, "g"), (1e-6, 1e-3, "mg"))


def grams(g: float) -> str:
    """Word an estimated mass."""
    return _scaled(g, _GRAM_UNITS)


def energy(kwh: float) -> str:
    """Word an estimated energy."""
    return _scaled(kwh, ((1.0, 1.0, "kWh"), (1e-5, 1e-3, "Wh"), (1e-9, 1e-6, "mWh")))


def metres(m: float) -> str:
    """Word an estimated distance."""
    return _scaled(m, ((1000.0, 1000.0, "km"), (0.1, 1.0, "m"), (1e-6, 1e-3, "mm")))


def count(n: float) -> str:
    """Word an estimated number of things."""
    return _scaled(n, ((1e9, 1e9, "G"), (1e5, 1e6, "M"), (10.0, 1.0, ""), (1e-3, 1.0, ""))).strip()


def parts(carbon: Mapping[str, Any]) -> str:
    """Word the parts of the total in its unit, to its last digit, so that they add up."""
    total = carbon["total_g"]
    both = [carbon.get(key, 0.0) for key in ("operational_g", "embodied_g")]
    if not (total > 0 and all(both)):
        return ""
    rounded = float(f"{total:.1e}")
    unit = next((unit for start, unit, _ in _GRAM_UNITS if rounded >= start), 1e-3)
    digits = 1 - _exponent(total / unit)
    words = []
    for part in both:
        x = round(part / unit, digits)
        words.append(f"{x:,.{max(0, digits)}f}" if x else estimate(part / unit))
    return f"= {words[0]} electricity + {words[1]} manufacturing"


def band(carbon: Mapping[str, Any]) -> str:
    """Word how far off the total may be."""
    low, high = carbon.get("low_g", 0.0), carbon.get("high_g", 0.0)
    if not 0 < low * 1.05 < high:
        return "estimate"
    factor = math.sqrt(high / low)
    if 0.95 < carbon["total_g"] * factor / high < 1.05:
        return f"estimate, ×/÷ {float(estimate(factor).replace(',', '')):g}"
    return f"estimate; CO2e between {grams(low)} and {grams(high)}"


def so_far(kwh: float, total_g: float, end_g: float | None = None) -> str:
    """Word what a run has cost until now, and about what it will at its end.

    Examples
    --------
    >>> so_far(0.0008, 0.31, 1.1)
    '0.80 Wh, 0.31 g so far; about 1.1 g at the end'
    """
    end = "" if end_g is None else f"; about {grams(end_g)} at the end"
    return f"{energy(kwh)}, {grams(total_g)} so far{end}"


def cheaper(ways: Sequence[Mapping[str, Any]]) -> list[str]:
    """Word what would have made a run cheaper.

    Examples
    --------
    >>> cheaper([{"what": "without search", "how": "--preset fast", "saved_share": 0.412}])
    ['without search: 41 % less (--preset fast)']
    """
    return [f"{w['what']}: {100 * w['saved_share']:.0f} % less ({w['how']})" for w in ways]


def percent(share: float) -> str:
    """Word a share."""
    return f"{100 * share:.1f} %"


def rows(n: int, of: str = "") -> str:
    """Word a number of rows, ``of`` some kind."""
    return f"{n:,}{' ' if of else ''}{of} {'row' if n == 1 else 'rows'}"


def duration(seconds: float) -> str:
    """Word a measured time."""
    if seconds < 120:
        return f"{seconds:.{1 if seconds >= 1 else 2}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def size(n: int) -> str:
    """Word bytes in decimal units; memory is read in GB from 0.1 GB on."""
    for start, unit, name in ((1e8, 1e9, "GB"), (1e5, 1e6, "MB"), (1e2, 1e3, "kB")):
        if n >= start:
            return f"{n / unit:.1f} {name}"
    return f"{n} B"
