"""The report's files on the site, or in output/ where the site does not take them."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imaging_gears.dicom_send import attaching
from imaging_gears.dicom_send.attaching import Report, leave_report
from imaging_gears.errors import ImagingError, NotFoundError, PermissionDeniedError, ServiceError
from imaging_gears.ports import ContainerRef, FileState

MOMENT = dt.datetime(2026, 11, 20, 7, 2, 5, tzinfo=dt.UTC)
CONTENTS = b"a\n", b"b\n"
FILES = dict(zip(("r_07:02:05.csv", "r_07:02:05_i.csv"), CONTENTS, strict=True))
PLAIN = {name.replace(":", "-"): content for name, content in FILES.items()}
SESSION, ACQUISITION = ContainerRef("session", "e1"), ContainerRef("acquisition", "a1")
REFUSED, DOWN = PermissionDeniedError("Flywheel refused."), ServiceError("Flywheel", "HTTP 503")


def named(moment: dt.datetime) -> Sequence[str]:
    """Return the names of a report and the rows of its images."""
    return f"r_{moment:%H:%M:%S}.csv", f"r_{moment:%H:%M:%S}_i.csv"


def report() -> Report:
    """Return a report of two files."""
    return Report(contents=CONTENTS, named=named, moment=MOMENT)


@dataclass
class Attached:
    """Takes files, all of them or so many, and keeps their versions.

    Attributes:
        refuses: a character that no name may have.
        lost: names of files whose first versions somebody deleted.
    """

    takes: int = 99
    error: ImagingError = DOWN
    refuses: str = "/"
    versions: dict[str, list[bytes]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def attach(self, container: ContainerRef, name: str, content: bytes) -> FileState | None:
        """Keep a file, or raise the error."""
        if self.refuses in name:
            return None
        if sum(map(len, self.versions.values())) >= self.takes:
            raise self.error
        kept = self.versions.setdefault(name, [])
        kept.append(content)
        return FileState(
            file_id=name,
            version=len(kept),
            name=name,
            parent=container,
            parents={},
            info={},
            tags=(),
        )

    def first_content(self, file: FileState) -> bytes:
        """Return the first version."""
        if file.name in self.lost:
            message = "It is gone."
            raise NotFoundError(message)
        return self.versions[file.name][0]

    @property
    def files(self) -> dict[str, bytes]:
        """The newest versions."""
        return {name: kept[-1] for name, kept in self.versions.items()}


def left(output: Path) -> dict[str, bytes]:
    """Return what is in a folder."""
    return {each.name: each.read_bytes() for each in output.iterdir()}


def test_an_attached_report_does_not_stay_in_output(tmp_path: Path) -> None:
    """The platform would attach it a second time."""
    site = Attached()
    leave_report(site, SESSION, tmp_path, report(), destination=ACQUISITION)
    assert site.files == FILES
    assert left(tmp_path) == {}


@pytest.mark.parametrize("takes", [0, 1])
def test_what_can_not_be_attached_stays_in_output(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, takes: int
) -> None:
    """The log says where it is."""
    site = Attached(takes)
    leave_report(site, SESSION, tmp_path, report(), destination=SESSION)
    assert left(tmp_path) == dict(list(FILES.items())[takes:])
    assert "stays in output/" in caplog.text


def test_a_key_that_nobody_knows_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was revoked or has expired: not the rule."""
    revoked = PermissionDeniedError("Flywheel refused it (HTTP 401).")
    revoked.unknown_key = True
    with caplog.at_level(logging.INFO):
        leave_report(Attached(0, revoked), SESSION, tmp_path, report(), destination=SESSION)
    assert caplog.records[-1].levelno == logging.WARNING
    assert "(HTTP 401)" in caplog.records[-1].getMessage()


@pytest.mark.parametrize("destination", [SESSION, ACQUISITION])
def test_a_key_that_only_reads_leaves_the_report_to_the_platform(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, destination: ContainerRef
) -> None:
    """That is the rule, so nothing warns; the log says where the report will be."""
    with caplog.at_level(logging.INFO):
        leave_report(Attached(0, REFUSED), SESSION, tmp_path, report(), destination=destination)
    assert left(tmp_path) == FILES
    assert {each.levelno for each in caplog.records} == {logging.INFO}
    where = f"Flywheel attaches to {destination.type} {destination.id}, the container of the job"
    assert f"the report stays in output/, whose files {where}" in caplog.records[-1].getMessage()
    assert "report, file 1 of 2: permission-denied (" in caplog.text


def test_a_report_is_attached_where_output_can_not_be_written(tmp_path: Path) -> None:
    """A file stands where the folder should be, or there is no room for the second file."""
    (tmp_path / "output").write_bytes(b"")
    site = Attached()
    leave_report(site, SESSION, tmp_path / "output", report(), destination=SESSION)
    assert site.files == FILES
    (tmp_path / "second" / "r_07:02:05_i.csv").mkdir(parents=True)
    site = Attached()
    leave_report(site, SESSION, tmp_path / "second", report(), destination=SESSION)
    assert site.files == FILES
    assert [each.name for each in (tmp_path / "second").iterdir()] == ["r_07:02:05_i.csv"]


@pytest.mark.parametrize("takes", [0, 1])
def test_a_report_that_can_be_left_nowhere_is_an_error(tmp_path: Path, takes: int) -> None:
    """Neither the site nor the folder takes all of it."""
    (tmp_path / "output").write_bytes(b"")
    output = tmp_path / "output"
    with pytest.raises(OSError, match="exists"):
        leave_report(Attached(takes), SESSION, output, report(), destination=SESSION)
    with pytest.raises(OSError, match="exists"):
        leave_report(None, None, output, report(), destination=None)


def test_without_a_site_the_report_is_in_output(tmp_path: Path) -> None:
    """A local run."""
    leave_report(None, None, tmp_path, report(), destination=None)
    assert left(tmp_path) == FILES


# -- names that are taken --------------------------------------------------------------------------


@pytest.mark.parametrize("taken", [1, 3])
def test_a_name_that_another_job_had_first_stays_its_own(tmp_path: Path, taken: int) -> None:
    """Its report is the newest version again; both files of this one have the next free second."""
    seconds = [MOMENT + dt.timedelta(seconds=number) for number in range(taken + 1)]
    theirs = {name: f"{name}\n".encode() for each in seconds[:-1] for name in named(each)}
    site = Attached(versions={name: [content] for name, content in theirs.items()})
    leave_report(site, SESSION, tmp_path, report(), destination=SESSION)
    assert site.files == {**theirs, **dict(zip(named(seconds[-1]), CONTENTS, strict=True))}
    assert left(tmp_path) == {}


def test_a_name_belongs_to_the_first_of_many_jobs(tmp_path: Path) -> None:
    """Whoever else met there has not put its own back yet."""
    first, second = FILES
    site = Attached(versions={first: [b"first", b"second"], second: [b"rows of the first"]})
    leave_report(site, SESSION, tmp_path, report(), destination=SESSION)
    assert site.files[first] == b"first"
    assert site.files[second] == b"rows of the first"
    assert CONTENTS[0] in site.files.values()


def test_rows_of_images_that_hide_others_take_their_report_along(tmp_path: Path) -> None:
    """Two jobs with the same report, and different reasons in their rows."""
    first, second = FILES
    site = Attached(versions={first: [CONTENTS[0]], second: [b"rows of the first"]})
    leave_report(site, SESSION, tmp_path, report(), destination=SESSION)
    later = named(MOMENT + dt.timedelta(seconds=1))
    rows = b"rows of the first"
    assert site.files == {
        first: CONTENTS[0],
        second: rows,
        **dict(zip(later, CONTENTS, strict=True)),
    }


@pytest.mark.parametrize("lost", [False, True])
def test_a_version_of_its_own_hides_nothing(tmp_path: Path, *, lost: bool) -> None:
    """An answer was lost, so it was attached twice; or nobody knows what stood there."""
    first, _ = FILES
    before = [b"deleted"] if lost else [CONTENTS[0]]
    site = Attached(versions={first: before}, lost={first} if lost else set())
    leave_report(site, SESSION, tmp_path, report(), destination=SESSION)
    assert site.files == FILES


def test_what_stays_in_output_has_a_name_that_nobody_has(tmp_path: Path) -> None:
    """The site is down once the other's report is the newest again."""
    first, _ = FILES
    site = Attached(3, versions={first: [b"theirs"]})
    leave_report(site, SESSION, tmp_path, report(), destination=SESSION)
    assert site.files == {first: b"theirs"}
    assert set(left(tmp_path)) == set(named(MOMENT + dt.timedelta(seconds=1)))


def test_a_site_where_every_name_is_taken_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After as many seconds as are tried; the report is in output/."""
    monkeypatch.setattr(attaching, "NAMES", 2)
    names = [named(MOMENT + dt.timedelta(seconds=number))[0] for number in range(3)]
    site = Attached(versions={name: [b"theirs"] for name in names})
    leave_report(site, SESSION, tmp_path, report(), destination=SESSION)
    assert site.files == dict.fromkeys(names, b"theirs")
    assert set(left(tmp_path).values()) == set(CONTENTS)
    assert "it has reports under all names of 2 seconds" in caplog.text


def test_a_site_that_takes_no_colon_gets_the_report_without(tmp_path: Path) -> None:
    """Both files."""
    site = Attached(refuses=":")
    leave_report(site, SESSION, tmp_path, report(), destination=SESSION)
    assert site.files == PLAIN
    assert left(tmp_path) == {}


def test_what_a_site_without_colons_does_not_take_has_none_in_output(tmp_path: Path) -> None:
    """It would not take it from there either."""
    leave_report(Attached(1, refuses=":"), SESSION, tmp_path, report(), destination=SESSION)
    assert left(tmp_path) == dict(list(PLAIN.items())[1:])


def test_a_site_that_takes_neither_name_is_asked_no_third_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it refuses is not the colon then."""
    leave_report(Attached(refuses="r"), SESSION, tmp_path, report(), destination=SESSION)
    assert left(tmp_path) == PLAIN
    assert "HTTP 400 or 422" in caplog.text
