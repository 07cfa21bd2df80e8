"""One event for one file version and outcome, whatever becomes of the QC log."""

from __future__ import annotations

import datetime as dt

import pytest

from imaging_gears.errors import PermissionDeniedError, ServiceError
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.event_notes import noted, with_note
from imaging_gears.image_identifier_lookup.report import note_block
from imaging_gears.model.event import EventNote
from tests.unit.lookup.harness import NACCID, START, Center

DOWN = ServiceError("Flywheel", "HTTP 503")
KEY = "prod/log-submit-20261120-070200-42-ingest-dicom-110001-2024-01-15.json"
LATER = "prod/log-submit-20261120-080200-42-ingest-dicom-110001-2024-01-15.json"
PASS = EventNote(key=KEY, timestamp=START, file_version=1, status="PASS")
FAIL = EventNote(key=KEY, timestamp=START, file_version=1, status="FAIL")


def judged(center: Center, *states: str) -> str:
    """Run the gear on a file until it has had these verdicts; return the file's id."""
    subject = center.subject()
    file_id = center.upload(subject)
    for state in states:
        center.site.change_info(subject, naccid=NACCID if state == "PASS" else "XX")
        assert center.run(file_id).state == state
    center.site.change_info(subject, naccid=NACCID if states[0] == "PASS" else "XX")
    return file_id


def announced(center: Center) -> list[tuple[int, str]]:
    """Return version and status of each event, oldest first."""
    return [(body["file_version"], body["status"]) for body in center.bodies()]


@pytest.mark.parametrize("states", [("PASS", "FAIL"), ("FAIL", "PASS")], ids="-".join)
@pytest.mark.parametrize("log", ["down", "deleted", "there"])
def test_an_outcome_that_comes_back_is_not_announced_again(
    center: Center, states: tuple[str, str], log: str
) -> None:
    """The note of it stands on the file, although another outcome was announced in between."""
    file_id = judged(center, *states)
    if log == "down":
        center.site.on.add("upload_project_file", DOWN, times=None)
    if log == "deleted":
        center.site.delete(center.log_file().file_id)
    assert center.run(file_id).state == states[0]
    assert announced(center) == [(1, state) for state in states]


def test_the_last_events_note_stays_where_the_contract_has_it(center: Center) -> None:
    """`event` is the last one's alone; `events` has those of the other outcomes."""
    file_id = judged(center, "PASS", "FAIL")
    notes = center.file(file_id).info[GEAR]
    assert set(notes["event"]) == {"key", "timestamp", "file_version", "status"}
    assert notes["event"]["status"] == "FAIL"
    [first, last] = center.events.stored
    assert notes["event"]["key"] == last
    [other] = notes["events"]["notes"]
    assert (other["status"], other["key"]) == ("PASS", first)


def test_an_outcome_whose_note_could_not_be_written_before_it_is_noted_after(
    center: Center,
) -> None:
    """The log had it; the record of the same run brings it to the file."""
    center.site.on.add("set_file_info", DOWN)
    file_id = judged(center, "PASS", "FAIL")
    center.site.delete(center.log_file().file_id)
    center.run(file_id)
    assert announced(center) == [(1, "PASS"), (1, "FAIL")]


def test_a_refused_event_of_one_outcome_does_not_double_the_other(center: Center) -> None:
    """PASS, FAIL refused once, FAIL written, PASS, FAIL: each outcome has its own attempts."""
    subject = center.subject()
    file_id = center.upload(subject)
    center.run(file_id)
    center.site.change_info(subject, naccid="XX")
    center.events.on.add("put_if_absent", PermissionDeniedError("AWS S3 refused it (HTTP 403)."))
    center.run(file_id)
    center.run(file_id)
    center.site.change_info(subject, naccid=NACCID)
    center.run(file_id)
    center.site.change_info(subject, naccid="XX")
    center.run(file_id)
    assert announced(center) == [(1, "PASS"), (1, "FAIL")]


# -- the notes themselves --------------------------------------------------------------------------


def test_a_note_is_found_by_what_it_announces() -> None:
    """Time and attempt aside; another participant's, version's or environment's is none."""
    notes = with_note({}, EventNote(KEY, START, 1, "PASS", attempt=2))
    later = START + dt.timedelta(hours=1)
    assert noted(notes, EventNote(LATER, later, 1, "PASS")) == EventNote(KEY, START, 1, "PASS", 2)
    assert noted(notes, EventNote(LATER, later, 1, "FAIL")) is None
    assert noted(notes, EventNote(LATER, later, 2, "PASS")) is None
    assert noted(notes, EventNote(LATER.replace("110001", "110002"), later, 1, "PASS")) is None
    assert noted(notes, EventNote(LATER.replace("prod", "dev"), later, 1, "PASS")) is None


def test_a_later_attempt_replaces_the_note_of_the_refused_one() -> None:
    """The notes do not grow with the runs."""
    second = EventNote(LATER, START + dt.timedelta(hours=1), 1, "PASS", attempt=1)
    notes = with_note(with_note(with_note({}, PASS), FAIL), second)
    assert notes["event"] == note_block(second)
    assert notes["events"]["notes"] == [note_block(FAIL)]


def test_notes_of_another_version_are_dropped() -> None:
    """All notes are of one version, which they say together."""
    both = with_note(with_note({}, PASS), FAIL)
    newer = with_note(both, EventNote(LATER, START, 2, "PASS"))
    assert "events" not in newer
    newest = with_note({**both, **newer}, EventNote(LATER, START, 2, "FAIL"))
    assert newest["events"] == {"file_version": 2, "notes": [newer["event"]]}


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {"event": "x", "events": "x"},
        {"events": {"notes": "x"}},
        {"events": {"notes": ["x", {"file_version": 1, "status": ["PASS"]}]}},
        {"event": {**note_block(PASS), "attempt": "x"}},
        {"event": {**note_block(PASS), "timestamp": "yesterday"}},
    ],
)
def test_notes_that_can_not_be_read_are_none(notes: dict[str, object]) -> None:
    """Somebody's edit of the info must not stop the gear."""
    assert noted(notes, PASS) is None
    assert with_note(notes, PASS)["event"] == note_block(PASS)
