"""The figures, their bounds, and the table that they are shown in. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Relation = Literal["==", "<=", "<", ">="]
_HOLDS: dict[Relation, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
}
_WORDS: dict[Relation, str] = {"==": "exactly", "<=": "at most", "<": "under", ">=": "at least"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure.

    Attributes:
        measured: None where it could not be measured, which breaks any bound.
        bound: None where the figure is only told.
        digits: shown behind the point.
    """

    name: str
    measured: float | None
    unit: str = ""
    relation: Relation = "<="
    bound: float | None = None
    digits: int = 0

    @property
    def ok(self) -> bool:
        """Whether the bound is kept."""
        if self.bound is None:
            return True
        return self.measured is not None and _HOLDS[self.relation](self.measured, self.bound)

    def as_json(self) -> dict[str, Any]:
        """Return the figure as plain values."""
        return {
            "figure": self.name,
            "measured": self.measured,
            "unit": self.unit,
            "relation": None if self.bound is None else self.relation,
            "bound": self.bound,
            "ok": self.ok,
        }

    def row(self) -> tuple[str, str, str, str]:
        """Return the figure as it stands in the table."""
        measured = "not measured" if self.measured is None else self._text(self.measured)
        if self.bound is None:
            return self.name, measured, "", ""
        bound = f"{_WORDS[self.relation]} {self._text(self.bound)}"
        return self.name, measured, bound, "ok" if self.ok else "NOT OK"

    def _text(self, value: float) -> str:
        return f"{value:.{self.digits}f} {self.unit}".rstrip()


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [("figure", "measured", "bound", ""), *(figure.row() for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)
