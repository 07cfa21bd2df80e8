"""Write the table of error codes from the code into the documentation.

``python -m tools.error_catalogue`` rewrites the part of docs/image-identifier-lookup.md between the
two marks; a test holds page and code together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from imaging_gears.errors import ImagingError, subclasses
from imaging_gears.model.findings import WARNINGS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "image-identifier-lookup.md"
START = "<!-- error codes: written by `python -m tools.error_catalogue` -->"
END = "<!-- end of error codes -->"
_EFFECT = {
    "fail-file": "the file FAILs, the job succeeds",
    "fail-job": "the file FAILs, the job fails (exit 1)",
}


def table() -> str:
    """Return the codes that a run can report, as a Markdown table."""
    rows = ["| code | effect | cause | remedy |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{code}` | {effect} | {cause} | {remedy} |" for code, effect, cause, remedy in _rows()
    ]
    return "\n".join(rows)


def _rows() -> Iterator[tuple[str, str, str, str]]:
    # What is raised are the leaves, and ConfigError itself.
    for error in subclasses(ImagingError):
        if "code" in vars(error) and (not error.__subclasses__() or error.code == "config-invalid"):
            yield error.code, _EFFECT[error.disposition], error.cause, error.remedy
    for kind in WARNINGS:
        yield kind.code, "warning, the verdict stays", kind.cause, kind.remedy


def page_with_table(page: str) -> str:
    """Return `page` with the table between its marks."""
    head, _, rest = page.partition(START)
    _, _, tail = rest.partition(END)
    return f"{head}{START}\n{table()}\n{END}{tail}"


def main() -> int:
    """Rewrite the page."""
    PAGE.write_text(page_with_table(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
