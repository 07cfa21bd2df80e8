"""The figures, their bounds, and how they are told: a table, and a JSON file beside it."""

from __future__ import annotations

import json
import operator
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
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


def told(figures: Sequence[Figure], path: Path, **circumstances: object) -> int:
    """Print the table and write it to `path` as JSON; return 1 if a bound is broken, else 0."""
    print(table(figures))
    document = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        **circumstances,
        "ok": all(figure.ok for figure in figures),
        "figures": [figure.as_json() for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    broken = [figure.name for figure in figures if not figure.ok]
    print(f"\nNOT OK: {'; '.join(broken)}" if broken else "\nAll bounds are kept.")
    return int(bool(broken))


def progress(text: str) -> None:
    """Show on a terminal what is measured now; nothing for an empty text."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}" if text else "\r\x1b[K")
        sys.stderr.flush()
