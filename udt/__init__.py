"""udt: hands-off classification of text and tables on ordinary CPUs.

>>> import udt
>>> model = udt.UDT(target="label").fit("reviews.csv")  # doctest: +SKIP
>>> model.predict(["great value", "broke after a week"])  # doctest: +SKIP

Importing this package loads nothing heavy: names resolve on first use (:pep:`562`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from udt.classifier import UDT, load

__version__ = "0.1.0"
__all__ = ["UDT", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in ("UDT", "load"):
        from udt import classifier

        return getattr(classifier, name)
    raise AttributeError(f"module 'udt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
