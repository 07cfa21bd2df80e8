"""Write the tables of error codes from the code into the documentation.

``python -m tools.error_catalogue`` rewrites, in the page of each gear, the part between the two
marks; a test holds pages and code together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from imaging_gears import errors
from imaging_gears.errors import Disposition, ImagingError, subclasses
from imaging_gears.model.findings import WARNINGS, WarningKind

DOCS = Path(__file__).resolve().parent.parent / "docs"
START = "<!-- error codes: written by `python -m tools.error_catalogue` -->"
END = "<!-- end of error codes -->"

OF_SENDING: tuple[type[ImagingError], ...] = (
    errors.NothingToSendError,
    errors.TlsFilesError,
    errors.CertificateError,
    errors.TlsRefusedError,
    errors.AssociationRejectedError,
    errors.CalledAeTitleError,
    errors.CallingAeTitleError,
    errors.NoDicomServerError,
    errors.DeliveryError,
    errors.DicomServerError,
    errors.UnreachableError,
    errors.OutOfResourcesError,
)
"""What only dicom-send raises."""
OF_BOTH: tuple[type[ImagingError], ...] = (
    errors.ConfigError,
    errors.PermissionDeniedError,
    errors.SiteKeyError,
    errors.NotFoundError,
    errors.NotDicomError,
    errors.ArchiveError,
    errors.ServiceError,
    errors.UnexpectedError,
)
"""What dicom-send raises, and the lookup too."""
RAISED_BRANCHES: tuple[type[ImagingError], ...] = (errors.ConfigError, errors.ServiceError)
"""What is raised though other errors hang on it. All others are leaves of the tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The codes that a gear can report, and what they do to its jobs."""

    page: Path
    kinds: frozenset[type[ImagingError]]
    effects: Mapping[Disposition, str]
    warnings: tuple[WarningKind, ...] = ()

    def table(self) -> str:
        """Return the codes as a Markdown table."""
        rows = ["| code | effect | cause | remedy |", "| --- | --- | --- | --- |"]
        rows += [f"| `{row[0]}` | {' | '.join(row[1:])} |" for row in self._rows()]
        return "\n".join(rows)

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        # In the order of the tree.
        for error in subclasses(ImagingError):
            raised = not error.__subclasses__() or error in RAISED_BRANCHES
            if error in self.kinds and raised:
                yield error.code, self.effects[error.disposition], error.cause, error.remedy
        for kind in self.warnings:
            yield kind.code, "warning, the verdict stays", kind.cause, kind.remedy

    def page_with_table(self, page: str) -> str:
        """Return `page` with the table between its marks."""
        head, _, rest = page.partition(START)
        _, _, tail = rest.partition(END)
        return f"{head}{START}\n{self.table()}\n{END}{tail}"


LOOKUP = Catalogue(
    page=DOCS / "image-identifier-lookup.md",
    kinds=frozenset(subclasses(ImagingError)) - set(OF_SENDING),
    effects={
        "fail-file": "the file FAILs, the job succeeds",
        "fail-job": "the file FAILs, the job fails (exit 1)",
    },
    warnings=WARNINGS,
)
SEND = Catalogue(
    page=DOCS / "dicom-send.md",
    kinds=frozenset((*OF_SENDING, *OF_BOTH)),
    effects={
        "fail-file": "this file is not sent, all others are; the job fails (exit 1)",
        "fail-job": "the job fails (exit 1)",
    },
)


def main() -> int:
    """Rewrite the pages."""
    for each in (LOOKUP, SEND):
        each.page.write_text(each.page_with_table(each.page.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
