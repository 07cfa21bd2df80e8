"""QC log and event beside other writers: nothing is lost, nothing is announced twice."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from typing import Any, Literal

import pytest

from imaging_gears.errors import NotFoundError, PermissionDeniedError, ServiceError
from imaging_gears.image_identifier_lookup import GEAR, outputs
from imaging_gears.image_identifier_lookup.outputs import LATER_SECONDS, UPLOADS, QcLog, announce
from imaging_gears.image_identifier_lookup.qc_log import Content, Entry
from imaging_gears.image_identifier_lookup.report import Submission, event_body, event_key
from imaging_gears.model.event import EventNote
from imaging_gears.model.visit import Visit
from tests.fakes import InMemoryEvents
from tests.unit.lookup.harness import HEADER, LOG, NACCID, PTID, START, Center, Killed

DOWN = ServiceError("Flywheel", "timed out")
VISIT = {
    "adcid": 42,
    "ptid": PTID,
    "naccid": NACCID,
    "date": "2024-01-15",
    "visitnum": None,
    "modality": "MR",
}
OTHERS = "2024-01-15 10:00:00 QC Status: FORM-CHECKER - PASS\n"
FORM_CHECKER = {"form-checker": {"validation": {"state": "PASS", "data": [], "cleared": []}}}


def entry(file_id: str, **more: Any) -> Entry:  # noqa: ANN401 - one of the fields
    """Return an entry of a run on a file."""
    given = {
        "log_name": LOG,
        "version": 1,
        "run": 1,
        "state": "PASS",
        "file_name": "a.zip",
        "timestamp": "2026-11-20 07:02:00",
        "visit": VISIT,
    }
    return Entry(**{**given, "file_id": file_id, **more})


def writer(center: Center) -> QcLog:
    """Return a job that has read the project."""
    project = center.site.project(center.project)
    center.site.on.calls.clear()
    return QcLog(center.site, project, center.pauses.append)


def runs(center: Center) -> list[str]:
    """Return which files have a line in the newest version of the log, sorted."""
    return sorted(line.split()[1] for line in center.log_lines())


# -- the quiet case --------------------------------------------------------------------------------


def test_a_new_log_is_one_upload(center: Center) -> None:
    """Content and info in one request."""
    content = writer(center).write(LOG, entry("f1"))
    assert center.site.on.calls == ["upload_project_file"]
    assert center.log_text() == content.text == entry("f1").text()
    assert center.log_file().info == content.info


def test_an_existing_log_is_read_and_uploaded_once(center: Center) -> None:
    """Read with its info, its text, one upload, and its info looked at again: four requests."""
    center.site.put(center.project, LOG, OTHERS.encode(), {"qc": FORM_CHECKER}, ("a-tag",))
    writer(center).write(LOG, entry("f1"))
    assert center.site.on.calls == [
        "file",
        "read_project_file",
        "upload_project_file",
        "file_version",
    ]
    assert center.log_text() == OTHERS + entry("f1").text()
    assert center.log_file().info["qc"]["form-checker"] == FORM_CHECKER["form-checker"]
    assert center.log_file().tags == ("a-tag",)


def test_what_another_gear_sets_on_the_log_meanwhile_is_kept(center: Center) -> None:
    """Its entry, its tag and its own key, set on the version that was read: that makes none."""
    log = center.site.put(center.project, LOG, OTHERS.encode(), {"qc": FORM_CHECKER}, ("a-tag",))

    def other_gear() -> None:
        center.site.set_file_info(
            log, {"qc": {**FORM_CHECKER, "other": FORM_CHECKER["form-checker"]}, "theirs": 1}
        )
        center.site.add_file_tag(log.file_id, "other-PASS")

    center.site.on.add("upload_project_file", other_gear)
    content = writer(center).write(LOG, entry("f1"))
    newest = center.log_file()
    assert newest.info == content.info
    assert set(newest.info["qc"]) == {"form-checker", "other", GEAR}
    assert newest.info["theirs"] == 1
    assert set(newest.tags) == {"a-tag", "other-PASS"}
    assert center.log_text() == OTHERS + entry("f1").text()
    assert newest.version == 3


def test_what_changes_again_and_again_is_kept(center: Center) -> None:
    """Of one key the value that was set last, also where each upload is overtaken."""
    log = center.site.put(center.project, LOG, OTHERS.encode(), {"theirs": 0})
    for number in (1, 2):
        center.site.on.add(
            "upload_project_file",
            lambda value=number: center.site.set_file_info(log, {"theirs": value}),
            skip=number - 1,
        )
    writer(center).write(LOG, entry("f1"))
    assert center.log_file().info["theirs"] == 2


def test_a_log_whose_last_version_can_not_be_looked_at_again_is_written(center: Center) -> None:
    """What this job had to say stands there."""
    center.site.put(center.project, LOG, OTHERS.encode())
    center.site.on.add("file_version", ServiceError("Flywheel", "HTTP 500"), times=None)
    writer(center).write(LOG, entry("f1"))
    assert center.log_text() == OTHERS + entry("f1").text()
    assert center.log_file().version == 2


def test_bytes_that_are_no_utf8_survive(center: Center) -> None:
    """Somebody else's line stays byte for byte."""
    center.site.put(center.project, LOG, b"caf\xe9 \xff\n")
    writer(center).write(LOG, entry("f1"))
    text = center.site.content(center.log_file().file_id)
    assert text == b"caf\xe9 \xff\n" + entry("f1").text().encode()


def test_one_job_may_write_the_log_again(center: Center) -> None:
    """What it adds later meets its own first upload."""
    log = writer(center)
    log.write(LOG, entry("f1"))
    log.write(LOG, entry("f1", data=({"code": "event-not-captured"},)))
    assert runs(center) == ["f1#1"]
    assert center.log_validation() == ("PASS", ["event-not-captured"])


# -- others in between -----------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False], ids=["log exists", "log is new"])
@pytest.mark.parametrize("count", [1, 3])
def test_writers_that_come_between_lose_nothing(center: Center, count: int, *, there: bool) -> None:
    """They upload between this job's read and its upload; all lines are there in the end."""
    if there:
        writer(center).write(LOG, entry("f0"))
    log = writer(center)

    def others() -> None:
        for number in range(count):
            writer(center).write(LOG, entry(f"other{number}"))

    center.site.on.add("upload_project_file", others)
    log.write(LOG, entry("f1"))
    expected = ["f1#1", *(f"other{number}#1" for number in range(count))]
    assert runs(center) == sorted([*expected, *(["f0#1"] if there else [])])
    assert set(center.log_file().info[GEAR]["files"]) == {each[:-2] for each in runs(center)}


def test_two_writers_that_read_the_same_version_both_stay(center: Center) -> None:
    """Interleaved all the way: A reads, B reads, A uploads, B uploads, B looks, B repairs."""
    writer(center).write(LOG, entry("f0"))
    first, second = writer(center), writer(center)

    def between() -> None:
        first.write(LOG, entry("f1", state="FAIL", data=({"code": "not-dicom"},)))

    center.site.on.add("upload_project_file", between)
    second.write(LOG, entry("f2"))
    assert runs(center) == ["f0#1", "f1#1", "f2#1"]
    assert center.log_validation() == ("FAIL", ["not-dicom"])


def test_a_writer_whose_entry_somebody_merged_uploads_no_more(center: Center) -> None:
    """The newest version holds its entry already: done."""
    writer(center).write(LOG, entry("f0"))
    late = writer(center)
    center.site.on.add("upload_project_file", lambda: writer(center).write(LOG, entry("f1")))
    # After its own upload, which overwrote f1's, f1's job repairs both.
    late.write(LOG, entry("f2"))
    versions = len(center.site.versions(center.log_file().file_id))
    late.write(LOG, entry("f2"))
    assert runs(center) == ["f0#1", "f1#1", "f2#1"]
    assert len(center.site.versions(center.log_file().file_id)) <= versions + 1


def test_a_killed_writers_version_is_repaired_by_the_next(center: Center) -> None:
    """It overwrote another's line and died before it looked: the version's base tells."""
    writer(center).write(LOG, entry("f0"))
    doomed = writer(center)
    center.site.on.add("upload_project_file", lambda: writer(center).write(LOG, entry("f1")))

    def kill() -> None:
        raise Killed

    center.site.on.add("upload_project_file", kill, after=True, skip=1)
    with pytest.raises(Killed):
        doomed.write(LOG, entry("f2"))
    assert runs(center) == ["f0#1", "f2#1"]
    writer(center).write(LOG, entry("f3"))
    assert runs(center) == ["f0#1", "f1#1", "f2#1", "f3#1"]


@pytest.mark.parametrize("keeps_text", [True, False], ids=["text kept", "text replaced"])
def test_a_foreign_writer_that_dropped_our_info_is_repaired(
    center: Center, *, keeps_text: bool
) -> None:
    """Another gear's plain upload has no info of ours: records, state and lines come back."""
    writer(center).write(LOG, entry("f1", state="FAIL", data=({"code": "not-dicom"},)))
    kept = center.log_text() if keeps_text else ""
    center.site.put(center.project, LOG, (kept + OTHERS).encode(), {"qc": FORM_CHECKER}, ("x",))
    writer(center).write(LOG, entry("f2"))
    assert runs(center) == ["f1#1", "f2#1"]
    assert center.log_text().count(OTHERS) == 1
    assert center.log_validation() == ("FAIL", ["not-dicom"])
    assert center.log_file().info["qc"]["form-checker"] == FORM_CHECKER["form-checker"]
    assert center.log_file().tags == ("x",)
    assert center.log_file().info["visit"] == VISIT


def test_what_lay_before_a_foreign_writer_is_looked_at_too(center: Center) -> None:
    """The last version of ours had been made over another writer's: that one counts as well."""
    writer(center).write(LOG, entry("f0"))
    doomed = writer(center)
    center.site.on.add("upload_project_file", lambda: writer(center).write(LOG, entry("f1")))
    center.site.on.add("upload_project_file", _kill, after=True, skip=1)
    with pytest.raises(Killed):
        doomed.write(LOG, entry("f2"))
    center.site.put(center.project, LOG, OTHERS.encode(), {"qc": FORM_CHECKER})
    writer(center).write(LOG, entry("f3"))
    assert runs(center) == ["f0#1", "f1#1", "f2#1", "f3#1"]
    assert OTHERS in center.log_text()


@pytest.mark.parametrize("count", [1, 21, 60])
def test_records_are_found_behind_any_number_of_foreign_uploads(center: Center, count: int) -> None:
    """Each of them dropped our info: the FAIL of the other file still counts for the visit."""
    writer(center).write(LOG, entry("f1", state="FAIL", data=({"code": "not-dicom"},)))
    for _ in range(count):
        text = center.log_text() + OTHERS
        center.site.put(center.project, LOG, text.encode(), {"qc": FORM_CHECKER})
    writer(center).write(LOG, entry("f2"))
    assert center.log_validation() == ("FAIL", ["not-dicom"])
    assert set(center.log_file().info[GEAR]["files"]) == {"f1", "f2"}
    assert center.log_text().count(OTHERS) == count


def test_no_upload_is_made_while_older_versions_were_not_looked_at(
    center: Center, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the bound is met the entry is owed; with one version less there is nothing older."""
    monkeypatch.setattr(outputs, "HISTORY", 3)
    writer(center).write(LOG, entry("f1"))
    for _ in range(4):
        center.site.put(center.project, LOG, OTHERS.encode())
    log, before = writer(center), center.site.dump()
    with pytest.raises(ServiceError, match="foreign versions"):
        log.write(LOG, entry("f2"))
    assert center.site.dump() == before
    monkeypatch.setattr(outputs, "HISTORY", 4)
    log.write(LOG, entry("f2"))
    assert runs(center) == ["f1#1", "f2#1"]


def test_a_log_of_others_up_to_the_bound_is_taken_as_it_is(
    center: Center, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 1 was reached: nothing of ours was ever there."""
    monkeypatch.setattr(outputs, "HISTORY", 3)
    for _ in range(4):
        center.site.put(center.project, LOG, OTHERS.encode())
    writer(center).write(LOG, entry("f1"))
    assert runs(center) == ["f1#1"]


def _kill() -> None:
    raise Killed


def test_a_log_that_only_others_wrote_is_taken_as_it_is(center: Center) -> None:
    """None of its versions says a base: the newest one counts."""
    for number in range(3):
        center.site.put(center.project, LOG, (OTHERS * (number + 1)).encode())
    writer(center).write(LOG, entry("f1"))
    assert center.log_text() == OTHERS * 3 + entry("f1").text()


# -- lost replies, outages -------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False], ids=["log exists", "log is new"])
@pytest.mark.parametrize("after", [True, False], ids=["effect", "no effect"])
def test_an_upload_without_reply_leaves_one_line(
    center: Center, *, there: bool, after: bool
) -> None:
    """Reading shows whether it had its effect; it is made again only where it had none."""
    if there:
        writer(center).write(LOG, entry("f0"))
    log = writer(center)
    center.site.on.add("upload_project_file", DOWN, after=after)
    log.write(LOG, entry("f1"))
    assert runs(center) == (["f0#1", "f1#1"] if there else ["f1#1"])
    assert len(center.site.versions(center.log_file().file_id)) == (2 if there else 1)
    assert center.site.on.calls.count("upload_project_file") == (1 if after else 2)


def test_an_upload_without_reply_that_others_overwrote_is_made_good(center: Center) -> None:
    """Lost reply and a writer in between at once."""
    writer(center).write(LOG, entry("f0"))
    log = writer(center)

    def lost() -> None:
        writer(center).write(LOG, entry("f1"))
        raise DOWN

    center.site.on.add("upload_project_file", lost)
    log.write(LOG, entry("f2"))
    assert runs(center) == ["f0#1", "f1#1", "f2#1"]


def test_three_uploads_without_reply_are_an_outage(center: Center) -> None:
    """Then the log counts as not written, with a wait before each repetition."""
    log = writer(center)
    center.site.on.add("upload_project_file", DOWN, times=None)
    with pytest.raises(ServiceError, match="timed out"):
        log.write(LOG, entry("f1"))
    assert center.site.on.calls.count("upload_project_file") == 3
    assert len(center.pauses) == 2


@pytest.mark.parametrize("method", ["file", "read_project_file"])
@pytest.mark.parametrize("error", [DOWN, PermissionDeniedError("It is refused.")])
def test_a_failed_read_never_leads_to_an_upload(
    center: Center, method: str, error: Exception
) -> None:
    """A log that can't be read is not rewritten."""
    writer(center).write(LOG, entry("f0"))
    log = writer(center)
    center.site.on.add(method, error, times=None)
    with pytest.raises(type(error)):
        log.write(LOG, entry("f1"))
    assert "upload_project_file" not in center.site.on.calls


@pytest.mark.parametrize("method", ["file_version", "read_project_file"])
def test_a_failed_read_of_what_came_between_leads_to_no_further_upload(
    center: Center, method: str
) -> None:
    """The one upload that was made says its base, from which the next writer repairs it."""
    writer(center).write(LOG, entry("f0"))
    log = writer(center)

    def others() -> None:
        writer(center).write(LOG, entry("f1"))
        center.site.on.add(method, DOWN, times=None)
        center.site.on.calls.clear()

    center.site.on.add("upload_project_file", others)
    with pytest.raises(ServiceError):
        log.write(LOG, entry("f2"))
    assert "upload_project_file" not in center.site.on.calls
    center.site.on._pending.clear()
    writer(center).write(LOG, entry("f3"))
    assert runs(center) == ["f0#1", "f1#1", "f2#1", "f3#1"]


def test_a_refused_upload_is_not_repeated(center: Center) -> None:
    """A missing permission is never retried."""
    log = writer(center)
    center.site.on.add("upload_project_file", PermissionDeniedError("no"), times=None)
    with pytest.raises(PermissionDeniedError):
        log.write(LOG, entry("f1"))
    assert center.site.on.calls == ["upload_project_file"]


def test_a_log_that_was_deleted_meanwhile_begins_anew(center: Center) -> None:
    """The project was read before: the log is made again."""
    writer(center).write(LOG, entry("f0"))
    log = writer(center)
    center.site.delete(center.log_file().file_id)
    log.write(LOG, entry("f1"))
    assert runs(center) == ["f1#1"]


def test_a_log_that_is_listed_and_can_not_be_read_is_left_alone(center: Center) -> None:
    """404 for a file that the project still has is a failed read: no upload is made from that."""
    writer(center).write(LOG, entry("f0"))
    log, before = writer(center), center.site.dump()
    center.site.on.add("file", NotFoundError("It is gone."), times=None)
    with pytest.raises(NotFoundError):
        log.write(LOG, entry("f1"))
    assert center.site.on.calls == ["file", "project"]
    assert center.site.dump() == before


def test_a_log_that_another_job_has_begun_anew_goes_on(center: Center) -> None:
    """It was deleted, and made again, since the project was read: it is read, then written."""
    writer(center).write(LOG, entry("f0"))
    log = writer(center)
    center.site.delete(center.log_file().file_id)
    writer(center).write(LOG, entry("f1"))
    log.write(LOG, entry("f2"))
    assert runs(center) == ["f1#1", "f2#1"]
    assert center.log_file().version == 2


def test_a_log_that_is_deleted_after_an_upload_begins_anew(center: Center) -> None:
    """Other jobs came between, and then somebody deletes it."""
    writer(center).write(LOG, entry("f0"))
    log = writer(center)
    center.site.on.add(
        "upload_project_file", lambda: center.site.put(center.project, LOG, b"theirs\n")
    )
    center.site.on.add("upload_project_file", lambda: center.site.delete(log_id), after=True)
    log_id = center.log_file().file_id
    log.write(LOG, entry("f1"))
    assert runs(center) == ["f1#1"]


def test_writers_without_end_are_given_up_on(center: Center) -> None:
    """After a bounded number of uploads; the entry is in the history and in the next repair."""
    log = writer(center)
    numbers = itertools.count()
    center.site.on.add(
        "upload_project_file",
        lambda: center.site.put(center.project, LOG, b"line %d\n" % next(numbers)),
        times=None,
    )
    with pytest.raises(ServiceError, match="other jobs kept writing the QC log"):
        log.write(LOG, entry("f1"))
    assert center.site.on.calls.count("upload_project_file") == UPLOADS
    assert max(center.pauses) <= 16.0


def test_two_whole_runs_on_one_visit_both_leave_their_line(center: Center) -> None:
    """One of them runs while the other is about to upload."""
    subject = center.subject()
    first, second = center.upload(subject), center.upload(subject, "b.zip")
    center.site.on.add("upload_project_file", lambda: center.run(second))
    center.run(first)
    assert sorted(center.log_lines()) == sorted([f"PASS {first}#1", f"PASS {second}#1"])
    assert len(center.events.stored) == 2


@pytest.mark.parametrize("method", ["upload_project_file", "set_file_info", "add_file_tag"])
@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
def test_the_same_job_twice_at_once_leaves_one_line_and_one_event(
    center: Center, method: str, *, after: bool
) -> None:
    """The platform may take a living job for dead and start it again."""
    file_id = center.upload(center.subject())
    center.site.on.add(method, lambda: center.run(file_id), after=after)
    center.run(file_id)
    assert len(center.events.stored) == 1
    assert center.log_lines()[0] == f"PASS {file_id}#1"
    assert len(set(center.log_lines())) == len(center.log_lines())
    assert center.file(file_id).tags == (f"{GEAR}-PASS",)


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize(
    "method",
    [
        "file",
        "subject",
        "project",
        "merge_subject_info",
        "upload_project_file",
        "put_if_absent",
        "set_file_info",
        "add_file_tag",
    ],
)
def test_a_run_that_was_killed_and_done_again_ends_like_one_run(
    center: Center, method: str, *, after: bool
) -> None:
    """Killed before or after any of its calls: one line, one event, one record."""
    file_id = center.upload(center.subject())
    on = center.events.on if method == "put_if_absent" else center.site.on
    on.add(method, _kill, after=after)
    with pytest.raises(Killed):
        center.run(file_id)
    finished = center.file(file_id).tags == (f"{GEAR}-PASS",)
    center.run(file_id)
    ends = ["", " run 2"] if finished else [""]
    assert center.log_lines() == [f"PASS {file_id}#1{end}" for end in ends]
    assert center.log_validation() == ("PASS", [])
    assert center.verdict(file_id) == ("PASS", [])
    ((key, body),) = center.events.stored.items()
    note = center.file(file_id).info[GEAR]["event"]
    assert (note["key"], note["timestamp"]) == (key, json.loads(body)["timestamp"])


# -- events ----------------------------------------------------------------------------------------


def submission(file_id: str = "f1", **more: Any) -> Submission:  # noqa: ANN401 - one of the fields
    """Return a submission of the visit."""
    given = {
        "project_label": "ingest-dicom",
        "group_id": "alpha-center",
        "visit": Visit(adcid=42, ptid=PTID, date=dt.date(2024, 1, 15), modality="MR"),
        "naccid": NACCID,
        "metadata": HEADER,
        "file_version": 1,
        "status": "PASS",
    }
    return Submission(**{**given, "file_id": file_id, **more})


def first_note(there: Submission) -> EventNote:
    """Return the note of this moment."""
    key = event_key("prod", there, START)
    return EventNote(key, START, there.file_version, there.status)


def tell(
    events: InMemoryEvents, there: Submission, fields: Literal["full", "strict"] = "full"
) -> list[EventNote]:
    """Announce a submission; return what was noted, the last one being where it stands."""
    noted: list[EventNote] = []
    result = announce(events, there, first_note(there), fields, noted.append)
    assert result == noted[-1]
    return noted


def test_a_free_second_is_taken() -> None:
    """One put, one note."""
    events = InMemoryEvents()
    assert tell(events, submission()) == [first_note(submission())]
    assert list(events.stored) == [
        "prod/log-submit-20261120-070200-42-ingest-dicom-110001-2024-01-15.json"
    ]
    assert list(events.stored.values()) == [event_body(submission(), START, "full")]


def test_ones_own_event_is_success() -> None:
    """A 412 whose object says the same of the same file version, whatever its timestamp."""
    events = InMemoryEvents()
    key = first_note(submission()).key
    earlier = event_body(submission(), START - dt.timedelta(microseconds=5), "full")
    events.stored[key] = earlier
    tell(events, submission())
    assert events.stored == {key: earlier}


@pytest.mark.parametrize(
    "other",
    [
        submission("f2"),
        submission(file_version=2),
        submission(status="FAIL", naccid=None),
    ],
    ids=["another series", "another version", "another outcome"],
)
def test_a_second_that_another_event_has_means_one_second_later(other: Submission) -> None:
    """Noted again before it is written there; the other one stays."""
    events = InMemoryEvents()
    tell(events, other)
    noted = tell(events, submission())
    moments = [note.timestamp for note in noted]
    assert moments == [START, START + dt.timedelta(seconds=1)]
    assert list(events.stored) == [note.key for note in noted]
    assert noted[1].key.startswith("prod/log-submit-20261120-070201-")
    body = json.loads(events.stored[noted[1].key])
    assert body["timestamp"] == "2026-11-20T07:02:01.085503+00:00"


def test_sixteen_series_in_one_second_are_sixteen_events() -> None:
    """Each finds a second of its own, and finds it again when it is done again."""
    events = InMemoryEvents()
    for _ in range(2):
        for number in range(16):
            tell(events, submission(f"f{number}"))
    ids = [json.loads(body)["file_id"] for body in events.stored.values()]
    assert ids == [f"f{number}" for number in range(16)]


@pytest.mark.parametrize("there", [b"", b"<html>", b"[]", b'"text"', b"\xff"])
def test_an_object_that_is_no_event_is_not_ones_own(there: bytes) -> None:
    """Somebody else's object under the key stays; the event goes a second later."""
    events = InMemoryEvents()
    key = first_note(submission()).key
    events.stored[key] = there
    assert len(tell(events, submission())) == 2
    assert events.stored[key] == there


def test_a_strict_event_of_another_series_is_told_apart_by_its_time() -> None:
    """Strict bodies carry no file: only the very same bytes are one's own."""
    events = InMemoryEvents()
    tell(events, submission(), "strict")
    assert len(tell(events, submission(), "strict")) == 1
    events.stored[first_note(submission()).key] = event_body(
        submission(), START - dt.timedelta(microseconds=1), "strict"
    )
    assert len(tell(events, submission(), "strict")) == 2


def test_seconds_without_end_are_given_up_on() -> None:
    """Two minutes full of other events: something is wrong."""
    events = InMemoryEvents()
    for later in range(LATER_SECONDS):
        moment = START + dt.timedelta(seconds=later)
        events.stored[event_key("prod", submission(), moment)] = b"{}"
    with pytest.raises(ServiceError, match="every second"):
        tell(events, submission())


def test_an_event_is_not_put_when_it_can_not_be_noted() -> None:
    """Note first: else a re-run could not know its key."""
    events = InMemoryEvents()

    def refuse(_: EventNote) -> None:
        raise NotFoundError("It is gone.")

    with pytest.raises(NotFoundError):
        announce(events, submission(), first_note(submission()), "full", refuse)
    assert events.stored == {}


def test_two_series_in_the_same_second_are_both_announced(center: Center) -> None:
    """Whole runs with one clock: the second one's note and event stand a second later."""
    subject = center.subject()
    first, second = center.upload(subject), center.upload(subject, "b.zip")
    center.run(first)
    center.moment = START
    center.run(second)
    assert [body["file_id"] for body in center.bodies()] == [first, second]
    note = center.file(second).info[GEAR]["event"]
    assert note["timestamp"] == "2026-11-20T07:02:01.085503+00:00"
    assert note["key"] == list(center.events.stored)[1]


def test_a_moved_event_is_found_again_by_a_run_that_was_killed(center: Center) -> None:
    """Killed right after the second put: the re-run goes by the noted second."""
    subject = center.subject()
    first, second = center.upload(subject), center.upload(subject, "b.zip")
    center.run(first)
    center.moment = START
    center.events.on.add("put_if_absent", _kill, after=True, skip=1)
    with pytest.raises(Killed):
        center.run(second)
    center.run(second)
    assert [body["file_id"] for body in center.bodies()] == [first, second]


def test_content_is_nothing_by_default() -> None:
    """A new log has no text, no info and no tags."""
    assert (Content().text, Content().info, Content().tags) == ("", {}, ())
