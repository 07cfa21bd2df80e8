"""The report: its columns, its status, its names, and cells that no spreadsheet runs."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imaging_gears.dicom_send.report import (
    FileReport,
    ImageNote,
    causes,
    cell,
    files_csv,
    instances_csv,
    log_table,
    report_names,
)
from imaging_gears.errors import NotFoundError, ServiceError
from imaging_gears.ports import ContainerRef, Place
from tests.unit.dicom_send_gear.world import PLACE, stored

MOMENT = dt.datetime(2026, 11, 20, 7, 2, 5, tzinfo=dt.UTC)
PATH = "center/ingest/Quixote/visit/1/T1/files/a.zip"


def made(in_series: int, sent: int, left_out: int = 0) -> FileReport:
    """Return a report with these counts."""
    report = FileReport(name="a.zip", stored=stored(1, "a.zip"), in_series=in_series, sent=sent)
    report.left_out = left_out
    return report


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ((3, 3, 0), "Complete"),
        ((3, 3, 2), "Complete"),
        ((0, 0, 2), "Complete"),
        ((3, 2, 0), "Incomplete"),
        ((3, 0, 0), "Failed"),
        ((3, 0, 1), "Failed"),
        ((0, 0, 0), "Failed"),
    ],
)
def test_the_status_follows_from_the_counts(counts: tuple[int, int, int], status: str) -> None:
    """All: Complete. Some: Incomplete. None: Failed, unless they were left out on purpose."""
    assert made(*counts).status == status


def test_each_cause_is_told_once() -> None:
    """By its code, in the order of the files; a file without one adds none."""
    files = [made(0, 0) for _ in range(5)]
    down, gone = ServiceError("Flywheel", "HTTP 500"), NotFoundError("It is gone.")
    files[1].errors, files[2].errors = [down], [gone, down]
    files[4].errors = [ServiceError("Flywheel", "late")]
    assert causes(files) == (down, gone)
    assert causes(files[:1]) == ()


@pytest.mark.parametrize(
    ("counts", "kept", "lacks"),
    [
        ((2, 2), False, False),
        ((2, 1), False, True),
        ((0, 0), False, True),
        ((0, 0), True, False),
        ((2, 0), True, True),
    ],
)
def test_a_file_lacks_images_unless_nothing_but_its_cause_is_wrong(
    counts: tuple[int, int], *, kept: bool, lacks: bool
) -> None:
    """One that was never opened is told by its cause; images that are known count in any case."""
    report = made(*counts)
    report.errors = [ServiceError("Flywheel", "HTTP 500")] if kept else []
    assert report.lacks_images is lacks


def test_the_report_has_the_columns_that_users_know() -> None:
    """A row per file, a path by labels."""
    text = files_csv([made(3, 2)]).decode()
    assert text == (
        "Acquisition ID,FW Path,Filename,Images in Series,Images Sent,Status\n"
        f"a1,{PATH},a.zip,3,2,Incomplete\n"
    )


def test_a_file_of_a_local_run_has_neither_id_nor_path() -> None:
    """There is no site."""
    assert (
        files_csv([FileReport(name="a.zip", in_series=1, sent=1)])
        .decode()
        .endswith("\n,,a.zip,1,1,Complete\n")
    )


def test_each_image_that_was_not_sent_has_a_row_with_the_reason() -> None:
    """By their images, counted from 1; what concerns the whole file has no number, and is last."""
    report = made(1, 0)
    report.notes.append(ImageNote(outcome="failed", reason="There is no DICOM image in the file."))
    report.notes.append(
        ImageNote(
            outcome="refused", reason="cut, short", number=4, member="x/y", sop_instance_uid="1.2"
        )
    )
    report.notes.append(ImageNote(outcome="failed", reason="no", number=0))
    head, first, one, whole = csv.reader(io.StringIO(instances_csv([report]).decode()))
    assert head[3:] == ["Image", "Member", "SOP Instance UID", "Outcome", "Reason"]
    reason = "There is no DICOM image in the file."
    assert whole == ["a1", PATH, "a.zip", "", "", "", "failed", reason]
    assert one[3:] == ["5", "x/y", "1.2", "refused", "cut, short"]
    assert first[3:] == ["1", "", "", "failed", "no"]
    assert "cut, short" not in repr(report.notes)


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(start: str) -> None:
    """By an apostrophe in front."""
    report = FileReport(name=f"{start}HYPERLINK(1)", in_series=1)
    assert f"'{start}HYPERLINK(1)" in files_csv([report]).decode()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a;=1+cmd|' /C calc'!A0", "a;'=1+cmd|' /C calc'!A0"),
        ("a\t=1", "a\t'=1"),
        ("a\n=1", "a\n'=1"),
        ("a\r\n=1", "a\r\n'=1"),
        ("a; =1;+2", "a;' =1;'+2"),
        ("a;\uff1d1", "a;'\uff1d1"),
        ("\n=1", "'\n'=1"),
        (" =1", "' =1"),
        ("a=1;b-2", "a=1;b-2"),
        ("T1 - axial; 3 mm", "T1 - axial; 3 mm"),
        ("", ""),
    ],
)
def test_a_formula_inside_a_cell_is_quoted_too(text: str, quoted: str) -> None:
    """Behind what another country's spreadsheet takes for the end of a cell."""
    assert cell(text) == quoted


@given(st.text())
def test_no_part_of_a_cell_begins_as_a_formula(text: str) -> None:
    """However a spreadsheet parts it: by semicolons, tabs or lines."""
    for part in re.split(r"[;\t\r\n]", str(cell(text))):
        assert not part.lstrip().startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))


@given(st.text(), st.text())
@example("a\rb", "\r")
@example("a\r\nb", '"\n')
def test_every_name_comes_back_from_the_csv(name: str, member: str) -> None:
    """Whatever is in it: commas, quotes, line breaks, characters that are no text."""
    report = FileReport(name=name, in_series=1)
    report.notes.append(ImageNote(outcome="failed", reason="", member=member))
    text = instances_csv([report]).decode()
    _, row = csv.reader(io.StringIO(text, newline=""))
    assert row[2] == cell(name)
    assert row[4] == cell(member)


def test_a_member_whose_name_is_no_text_does_not_cost_the_report() -> None:
    """A name in an old code page may come as a surrogate."""
    assert b"IM\\udcff" in files_csv([FileReport(name="IM\udcff")])


def test_the_reports_name_has_session_acquisition_and_time() -> None:
    """The acquisition only where it was chosen; a slash becomes a hyphen."""
    chosen = report_names(PLACE, MOMENT)
    whole = report_names(Place(group="center", containers=PLACE.containers[:3]), MOMENT)
    assert chosen[0] == "dicom-send_report-visit-1_T1_2026-11-20_07:02:05.csv"
    assert whole[0] == "dicom-send_report-visit-1_2026-11-20_07:02:05.csv"
    assert whole[1] == "dicom-send_report-visit-1_2026-11-20_07:02:05_instances.csv"


def test_the_report_of_a_subject_has_its_label() -> None:
    """It has many sessions."""
    subject = Place(group="center", containers=PLACE.containers[:2])
    assert report_names(subject, MOMENT)[0].startswith("dicom-send_report-Quixote_2026")


LABELS = st.text(st.characters(), min_size=1, max_size=300)  # lone surrogates, too


@given(session=LABELS, acquisition=LABELS, dry=st.booleans())
@example(session="脳" * 300, acquisition="像" * 300, dry=True)
@example(session="\ud800" * 300, acquisition="e\u0301" * 300, dry=True)
@example(session="x\x85y\u2028z\u2029", acquisition="é" * 89 + "ab", dry=True)
def test_any_two_labels_make_names_that_can_be_stored(
    session: str, acquisition: str, *, dry: bool
) -> None:
    """No slash, no control character, and no more bytes than file systems take, of UTF-8."""
    refs = ContainerRef("session", "e"), ContainerRef("acquisition", "a")
    place = Place(group="g", containers=tuple(zip(refs, (session, acquisition), strict=True)))
    for name in report_names(place, MOMENT, dry=dry):
        assert not set(name) & set('/\\*?"<>|%#\x00\n\r\t\x1f\x7f\x85\u2028\u2029')
        assert len(f".{name}.part".encode()) <= 255


@pytest.mark.parametrize(
    "mark", [chr(each) for each in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]
)
def test_a_label_can_not_turn_the_name_around(mark: str) -> None:
    """What sets the direction of text would show another name than the true one."""
    place = Place(group="g", containers=((ContainerRef("session", "e"), f"a{mark}vsc.b"),))
    assert report_names(place, MOMENT)[0] == "dicom-send_report-a-vsc.b_2026-11-20_07:02:05.csv"


def test_a_label_is_cut_between_characters() -> None:
    """At 90 bytes; what would be half a character is left out."""
    for label, kept in (
        ("é" * 50, "é" * 45),
        ("a" + "é" * 50, "a" + "é" * 44),
        ("脳" * 99, "脳" * 30),
    ):
        place = Place(group="g", containers=((ContainerRef("session", "e"), label),))
        assert report_names(place, MOMENT)[0] == f"dicom-send_report-{kept}_2026-11-20_07:02:05.csv"


def test_the_table_in_the_log_names_no_file() -> None:
    """Numbers, ids, counts, status; in columns."""
    lines = log_table([made(30, 30), FileReport(name="Quixote.zip", in_series=1)])
    assert lines == [
        "file  Acquisition ID  Images in Series  Images Sent  Status",
        "1     a1              30                30           Complete",
        "2     -               1                 0            Failed",
    ]
