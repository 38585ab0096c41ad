"""What is known of every column: its kind, why, and what its featurizer needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("text", "categorical", "boolean", "numeric", "date", "multi", "identifier", "constant")
"""Column kinds, as printed."""

USED_KINDS = ("text", "categorical", "boolean", "numeric", "date", "multi")
"""Kinds that enter the network; the others are ignored, and said so."""


@dataclass(frozen=True)
class ColumnSchema:
    """One column.

    Attributes
    ----------
    name : str
        The column's name in the table.
    kind : str
        One of `KINDS`, or ``"ignored"`` where the user asked for that.
    reason : str
        Why this kind was chosen, as a short phrase for people.
    params : dict
        JSON-able facts the featurizer needs, e.g. ``{"separator": "|"}`` or a date's format.
    """

    name: str
    kind: str
    reason: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def used(self) -> bool:
        """Whether the column enters the network."""
        return self.kind in USED_KINDS

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return {
            "column": self.name,
            "kind": self.kind,
            "reason": self.reason,
            "params": dict(self.params),
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> ColumnSchema:
        """Rebuild from `to_dict`'s result."""
        return cls(d["column"], d["kind"], d["reason"], dict(d.get("params", {})))


@dataclass(frozen=True)
class Schema:
    """All columns but the target, in the table's order."""

    columns: tuple[ColumnSchema, ...]

    def used(self) -> tuple[ColumnSchema, ...]:
        """Return the columns that enter the network."""
        return tuple(c for c in self.columns if c.used)

    def to_list(self) -> list[dict[str, Any]]:
        """Return a JSON-able copy."""
        return [c.to_dict() for c in self.columns]

    @classmethod
    def from_list(cls, items: list[dict[str, Any]]) -> Schema:
        """Rebuild from `to_list`'s result."""
        return cls(tuple(ColumnSchema.from_dict(d) for d in items))
