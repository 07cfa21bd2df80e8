"""Write the fault matrix from the tests' data into the documentation.

``python -m tools.reliability`` rewrites the part of docs/reliability.md between the two marks; a
test holds page and data together.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.gear.fault_cells import CALLS, FAILURES, Cell

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
START = "<!-- fault matrix: written by `python -m tools.reliability` -->"
END = "<!-- end of the fault matrix -->"


def table() -> str:
    """Return the end of every cell: a row for each call and each end that it can come to."""
    rows = ["| call | fails by | exit | outputs | codes |", "| --- | --- | --- | --- | --- |"]
    for call in CALLS:
        ends: dict[str, list[str]] = {}
        for failure in FAILURES:
            ends.setdefault(Cell(call, failure).end.text(), []).append(failure.name)
        for end, names in ends.items():
            exit_code, outputs, *codes = end.split()
            marked = ", ".join(f"`{code}`" for code in codes)
            rows.append(
                f"| {call.name} | {'; '.join(names)} | {exit_code} | `{outputs}` | {marked} |"
            )
    return "\n".join(rows)


def page_with_table(page: str) -> str:
    """Return `page` with the table between its marks."""
    head, _, rest = page.partition(START)
    _, _, tail = rest.partition(END)
    return f"{head}{START}\n{table()}\n{END}{tail}"


def main() -> int:
    """Rewrite the page."""
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
