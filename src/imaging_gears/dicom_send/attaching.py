"""The report's files: in output/ first, then on the site, under names that no other job has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imaging_gears.errors import (
    ImagingError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
)
from imaging_gears.gear.joblog import log, step
from imaging_gears.ports import Attachments, ContainerRef, FileState

NAMES = 60
"""Seconds that are tried for one that no other job has in the names of its report."""
_SECOND = dt.timedelta(seconds=1)


@dataclass(slots=True, kw_only=True)
class Report:
    """The report's files, whose names share a time.

    Attributes:
        contents: of the files.
        named: gives their names by the time.
        moment: of the report, to the second; a later one where that is taken.
        plain: whether `-` stands for the colons in the names.
    """

    contents: Sequence[bytes]
    named: Callable[[dt.datetime], Sequence[str]]
    moment: dt.datetime
    plain: bool = False

    @property
    def files(self) -> dict[str, bytes]:
        """The files: name -> content."""
        names = self.named(self.moment)
        if self.plain:
            names = [name.replace(":", "-") for name in names]
        return dict(zip(names, self.contents, strict=True))


def leave_report(
    site: Attachments | None,
    container: ContainerRef | None,
    output: Path,
    report: Report,
    *,
    destination: ContainerRef | None,
) -> None:
    """Attach a report to a container; what can't be attached stays in `output`.

    It is in `output` first: whatever happens to the process, what was sent is known. Where that
    can't be written, it is attached all the same.

    Args:
        site: None where there is none.
        container: a session, or the subject that the job ran on.
        output: the folder whose files the platform takes when the job has ended.
        report: gets the names that it has in the end.
        destination: of the job: what the platform attaches the files of `output` to.

    Raises:
        OSError: it can't be written to `output` either.
    """
    failure = written(output, report.files)
    if site is None or container is None:
        if failure is not None:
            raise failure
        log.info("the report is in output/")
        return
    leaving = _Leaving(site, container, output, report, failure)
    try:
        leaving.attach()
    except ImagingError as error:
        if leaving.failure is not None:
            raise leaving.failure from error
        _stays(container, error, destination)
    else:
        log.info("the report is attached to %s %s", container.type, container.id)


@dataclass(slots=True)
class _Leaving:
    """A report on its way to a container.

    Attributes:
        failure: why it could not be written to `output`.
    """

    site: Attachments
    container: ContainerRef
    output: Path
    report: Report
    failure: OSError | None

    def attach(self) -> None:
        """Attach all files under names of one time, which no other report has.

        Raises:
            ImagingError: the site does not take them.
        """
        for _ in range(NAMES):
            if self._attached():
                return
        problem = f"it has reports under all names of {NAMES} seconds"
        raise ServiceError("Flywheel", problem, while_="attaching the report")

    def _attached(self) -> bool:
        """Attach the files; return False where they have other names now."""
        files = self.report.files
        for number, (name, content) in enumerate(files.items(), 1):
            with step(f"report, file {number} of {len(files)}"):
                file = self.site.attach(self.container, name, content)
                if file is None:
                    self._without_colons()
                    return False
                if (other := self._hidden(file, content)) is not None:
                    # Theirs was there first, and somebody may have read it under that name.
                    self.site.attach(self.container, name, other)
                    log.info(
                        "another job's report has this name: this one gets that of a second later"
                    )
                    self._rename(self.report.moment + _SECOND, plain=self.report.plain)
                    return False
            with suppress(OSError):
                (self.output / name).unlink()
        return True

    def _without_colons(self) -> None:
        """Take the names without colons, once.

        Raises:
            ServiceError: they have none any more.
        """
        if self.report.plain:
            raise ServiceError("Flywheel", "HTTP 400 or 422", while_="attaching the report")
        self._rename(self.report.moment, plain=True)

    def _hidden(self, file: FileState, content: bytes) -> bytes | None:
        """Return the report of another job that a file hides, which was attached just now.

        Whose the name is, its first version says, however many jobs have met there. An attachment
        that was repeated for a lost answer hides its own content only.
        """
        if file.version == 1:
            return None
        try:
            first = self.site.first_content(file)
        except NotFoundError:
            return None  # somebody deleted it
        return None if first == content else first

    def _rename(self, moment: dt.datetime, *, plain: bool) -> None:
        before = self.report.files
        self.report.moment, self.report.plain = moment, plain
        self.failure = written(self.output, self.report.files)
        for name in before:
            with suppress(OSError):
                (self.output / name).unlink()


def written(output: Path, files: Mapping[str, bytes]) -> OSError | None:
    """Write files to `output`, each whole or not at all; return why one could not be."""
    part: Path | None = None
    try:
        output.mkdir(exist_ok=True)
        for name, content in files.items():
            part = output / f".{name}.part"
            part.write_bytes(content)
            part.rename(output / name)
    except OSError as failure:
        with suppress(OSError):
            if part is not None:
                part.unlink()
        log.warning("output/ can't be written to: %s", failure.strerror)
        return failure
    return None


def _stays(container: ContainerRef, error: ImagingError, destination: ContainerRef | None) -> None:
    """Say where the report will be: for a key that may only read, which is the rule, no warning."""
    where = "the container of the job"
    if destination is not None:
        where = f"{destination.type} {destination.id}, the container of the job"
    if isinstance(error, PermissionDeniedError) and not error.unknown_key:
        log.info(
            "the job's key may not write: the report stays in output/, whose files Flywheel"
            " attaches to %s",
            where,
        )
        return
    log.warning(
        "the report could not be attached to %s %s: %s It stays in output/, whose files Flywheel"
        " attaches to %s.",
        container.type,
        container.id,
        error.message,
        where,
    )
