"""Outputs that can't be written: never silent, and repaired by the next run."""

from __future__ import annotations

import json

import pytest

from imaging_gears import errors
from imaging_gears.errors import ImagingError, ServiceError
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.unwritten import Unwritten, parse_unwritten
from tests.unit.lookup.harness import HEADER, LOG, NACCID, START, Center

DOWN = ServiceError("Flywheel", "HTTP 503")
REFUSED = errors.PermissionDeniedError("Flywheel refused it (HTTP 403).")
FAULTS: tuple[ImagingError, ...] = (DOWN, REFUSED)
# Output, method of the port, and the warning's code.
OUTPUTS = (
    ("QC log", "upload_project_file", "qc-log-not-written"),
    ("event", "put_if_absent", "event-not-captured"),
    ("file record", "set_file_info", "file-record-not-written"),
)


def fail(center: Center, method: str, error: ImagingError = DOWN) -> None:
    """Let every call of that method fail."""
    on = center.events.on if method == "put_if_absent" else center.site.on
    on.add(method, error, times=None)


def mend(center: Center) -> None:
    """Let everything work again."""
    center.site.on._pending.clear()
    center.events.on._pending.clear()


@pytest.mark.parametrize("fault", FAULTS, ids=["down", "refused"])
@pytest.mark.parametrize(("output", "method", "code"), OUTPUTS)
def test_a_missing_output_fails_neither_file_nor_job(
    center: Center, output: str, method: str, code: str, fault: ImagingError
) -> None:
    """The run goes on, the outcome names what is missing and why, the others are written."""
    fail(center, method, fault)
    outcome = center.run(center.upload(center.subject()))
    assert (outcome.state, outcome.exit_code) == ("PASS", 0)
    assert outcome.missing == {output: fault.message}
    assert outcome.codes == (code,)
    others = {"subject", *(name for name, *_ in OUTPUTS)} - {output}
    assert set(outcome.written) == others


@pytest.mark.parametrize(("output", "method", "code"), OUTPUTS)
def test_strict_outputs_make_a_missing_output_the_jobs_failure(
    center: Center, output: str, method: str, code: str
) -> None:
    """Exit 1, for sites that re-run failed jobs by themselves; the verdict is the same."""
    fail(center, method)
    outcome = center.run(center.upload(center.subject()), strict_outputs=True)
    assert (outcome.state, outcome.exit_code) == ("PASS", 1)
    assert list(outcome.missing) == [output]


def test_strict_outputs_change_nothing_when_all_is_written(center: Center) -> None:
    """Exit 0."""
    assert center.run(center.upload(center.subject()), strict_outputs=True).exit_code == 0


@pytest.mark.parametrize(("output", "method", "code"), OUTPUTS)
def test_what_could_be_written_carries_the_warning(
    center: Center, output: str, method: str, code: str
) -> None:
    """QC log and file record say what is missing; the verdict stays PASS."""
    file_id = center.upload(center.subject())
    fail(center, method)
    center.run(file_id)
    if output != "file record":
        assert center.verdict(file_id) == ("PASS", [code])
        assert center.file(file_id).tags == (f"{GEAR}-PASS",)
    if output != "QC log":
        assert center.log_validation() == ("PASS", [code])
        assert center.log_lines() == [f"PASS {file_id}#1"]
        errors_ = [json.loads(line) for line in center.log_text().splitlines()[1:]]
        assert [(each["type"], each["code"]) for each in errors_] == [("warning", code)]
    if output != "event":
        assert len(center.events.stored) == 1


@pytest.mark.parametrize(("output", "method", "code"), OUTPUTS)
def test_the_next_run_repairs_what_is_missing(
    center: Center, output: str, method: str, code: str
) -> None:
    """Then everything is there once, without a warning, and nothing is owed any more."""
    file_id = center.upload(center.subject())
    fail(center, method)
    center.run(file_id)
    mend(center)
    outcome = center.run(file_id)
    assert (outcome.codes, outcome.missing) == ((), {})
    assert center.verdict(file_id) == ("PASS", [])
    assert center.log_validation() == ("PASS", [])
    assert len(center.events.stored) == 1
    assert "unwritten" not in center.file(file_id).info[GEAR]
    assert center.file(file_id).tags == (f"{GEAR}-PASS",)


def test_the_log_gets_the_missed_line_before_the_new_one(center: Center) -> None:
    """Repaired first: the log reads as if it had been there all the time, with its own time."""
    file_id = center.upload(center.subject())
    fail(center, "upload_project_file")
    center.run(file_id)
    mend(center)
    center.run(file_id)
    assert center.log_lines() == [f"PASS {file_id}#1", f"PASS {file_id}#1 run 2"]
    first, *_ = center.log_text().splitlines()
    assert first.startswith("2026-11-20 07:02:00 QC Status: ")


def test_the_event_is_written_with_the_time_and_key_it_was_to_have(center: Center) -> None:
    """A retry announces the same thing under the same key."""
    file_id = center.upload(center.subject())
    fail(center, "put_if_absent")
    center.run(file_id)
    note = center.file(file_id).info[GEAR]["event"]
    mend(center)
    center.run(file_id)
    ((key, body),) = center.events.stored.items()
    assert key == note["key"]
    assert json.loads(body)["timestamp"] == note["timestamp"] == START.isoformat()


def test_an_owed_event_is_written_although_the_outcome_has_changed(center: Center) -> None:
    """A FAIL that could not be announced is announced before the PASS."""
    file_id = center.upload(center.subject())
    center.registry.on.add("naccid_for", errors.IdentifierNotFoundError("No such participant."))
    fail(center, "put_if_absent")
    center.run(file_id)
    mend(center)
    center.run(file_id)
    assert [body["status"] for body in center.bodies()] == ["FAIL", "PASS"]
    assert center.bodies()[0]["timestamp"] < center.bodies()[1]["timestamp"]


@pytest.mark.parametrize("method", ["upload_project_file", "put_if_absent"])
def test_what_fails_again_stays_owed(center: Center, method: str) -> None:
    """Three runs in an outage, one after it: every run's line, one event."""
    file_id = center.upload(center.subject())
    fail(center, method)
    for _ in range(3):
        assert center.run(file_id).missing
    mend(center)
    center.run(file_id)
    ends = ["", " run 2", " run 3", " run 4"]
    assert center.log_lines() == [f"PASS {file_id}#1{end}" for end in ends]
    assert len(center.events.stored) == 1
    assert "unwritten" not in center.file(file_id).info[GEAR]


def test_all_three_missing_are_all_named(center: Center) -> None:
    """Whatever became of the others, each is tried; exit 0, and 1 with strict_outputs."""
    for _, method, _ in OUTPUTS:
        fail(center, method)
    file_id = center.upload(center.subject())
    outcome = center.run(file_id)
    assert set(outcome.missing) == {"QC log", "event", "file record"}
    assert (outcome.exit_code, outcome.written) == (0, ("subject",))
    assert center.run(file_id, strict_outputs=True).exit_code == 1


def test_an_event_is_not_written_where_it_could_be_noted_nowhere(center: Center) -> None:
    """Neither in the log nor on the file: a second one could not be told from it."""
    fail(center, "upload_project_file")
    fail(center, "set_file_info")
    file_id = center.upload(center.subject())
    center.run(file_id)
    assert center.events.stored == {}
    mend(center)
    center.run(file_id)
    assert len(center.events.stored) == 1


def test_an_event_is_noted_before_it_is_written(center: Center) -> None:
    """Key, timestamp, version and status stand on the file when the put is made."""
    file_id = center.upload(center.subject())
    noted: list[object] = []
    center.events.on.add(
        "put_if_absent", lambda: noted.append(center.file(file_id).info[GEAR]["event"])
    )
    center.run(file_id)
    (key,) = center.events.stored
    assert noted == [
        {"key": key, "timestamp": START.isoformat(), "file_version": 1, "status": "PASS"}
    ]


def test_a_lost_reply_of_the_put_leaves_one_event(center: Center) -> None:
    """It was written, the reply was lost: the next run meets its own object."""
    file_id = center.upload(center.subject())
    center.events.on.add("put_if_absent", ServiceError("AWS S3", "timed out"), after=True)
    assert list(center.run(file_id).missing) == ["event"]
    assert center.run(file_id).missing == {}
    assert len(center.events.stored) == 1


@pytest.mark.parametrize("fields", ["full", "strict"])
def test_a_strict_event_is_recognised_as_ones_own_too(center: Center, fields: str) -> None:
    """The second run puts the same bytes under the same key."""
    file_id = center.upload(center.subject())
    center.run(file_id, event_fields=fields)
    before = dict(center.events.stored)
    assert center.run(file_id, event_fields=fields).missing == {}
    assert center.events.stored == before


def test_another_environment_has_events_of_its_own(center: Center) -> None:
    """What was announced in dev is not announced in prod."""
    file_id = center.upload(center.subject())
    center.run(file_id, event_environment="dev")
    center.run(file_id, event_environment="prod")
    assert [key.split("/")[0] for key in center.events.stored] == ["dev", "prod"]


def test_tags_that_can_not_be_written_make_the_record_incomplete(center: Center) -> None:
    """The tag marks the record as finished: without it the run is done again under its number."""
    file_id = center.upload(center.subject())
    fail(center, "add_file_tag")
    assert list(center.run(file_id).missing) == ["file record"]
    mend(center)
    center.run(file_id)
    assert center.log_lines() == [f"PASS {file_id}#1"]
    assert center.file(file_id).tags == (f"{GEAR}-PASS",)


def test_runs_without_a_record_share_a_line_and_the_info_has_the_last(center: Center) -> None:
    """They count as killed ones: the line keeps the warning, the verdict is the last's."""
    file_id = center.upload(center.subject())
    fail(center, "set_file_info")
    for _ in range(2):
        center.run(file_id)
    mend(center)
    center.run(file_id)
    assert center.log_lines() == [f"PASS {file_id}#1"]
    assert "file-record-not-written" in center.log_text()
    assert center.log_validation() == ("PASS", [])
    center.run(file_id)
    assert center.log_lines() == [f"PASS {file_id}#1", f"PASS {file_id}#1 run 2"]


def test_a_file_that_can_not_be_read_again_gets_no_record(center: Center) -> None:
    """The record is never written from an old read; log and event are there, the latter noted."""
    file_id = center.upload(center.subject())
    center.site.on.add("file", DOWN, skip=1, times=1)
    outcome = center.run(file_id)
    assert set(outcome.missing) == {"file record"}
    assert set(center.file(file_id).info) == {GEAR}
    assert set(center.file(file_id).info[GEAR]) == {"event"}
    assert len(center.events.stored) == 1
    assert center.log_validation() == ("PASS", ["file-record-not-written"])


def test_a_project_that_can_not_be_read_leaves_what_is_owed(center: Center) -> None:
    """A run that fails early repairs what it can and keeps the rest noted."""
    file_id = center.upload(center.subject())
    fail(center, "upload_project_file")
    center.run(file_id)
    mend(center)
    fail(center, "project")
    assert center.run(file_id).exit_code == 1
    assert len(center.file(file_id).info[GEAR]["unwritten"]["entries"]) == 1
    mend(center)
    center.run(file_id)
    assert center.log_lines()[0] == f"PASS {file_id}#1"
    assert "unwritten" not in center.file(file_id).info[GEAR]


def test_a_new_version_owes_nothing_of_the_old_one(center: Center) -> None:
    """Notes of the gear go with the version's info."""
    file_id = center.upload(center.subject())
    fail(center, "put_if_absent")
    center.run(file_id)
    mend(center)
    center.new_version(file_id)
    center.run(file_id)
    assert [body["file_version"] for body in center.bodies()] == [2]


@pytest.mark.parametrize("fault", FAULTS, ids=["down", "refused"])
@pytest.mark.parametrize("moment", ["naccid_for", "merge_subject_info"])
def test_a_copy_that_can_not_write_the_log_goes_by_the_others_note(
    center: Center, moment: str, fault: ImagingError
) -> None:
    """Without the log, in which all copies agree, it finds on the file what the other announced."""
    file_id = center.upload(center.subject())

    def other_copy() -> None:
        assert center.run(file_id).state == "PASS"
        fail(center, "upload_project_file", fault)

    (center.registry if moment == "naccid_for" else center.site).on.add(moment, other_copy)
    assert center.run(file_id).missing.keys() == {"QC log"}
    (body,) = center.bodies()
    (key,) = center.events.stored
    note = center.file(file_id).info[GEAR]["event"]
    assert (note["key"], note["timestamp"]) == (key, body["timestamp"])
    mend(center)
    assert center.run(file_id).missing == {}
    assert len(center.events.stored) == 1


# -- a newer version: nothing can be noted ---------------------------------------------------------


@pytest.mark.parametrize("before", [True, False], ids=["newer before", "newer meanwhile"])
@pytest.mark.parametrize("method", ["upload_project_file", "put_if_absent"])
def test_a_superseded_job_that_leaves_something_unwritten_fails(
    center: Center, caplog: pytest.LogCaptureFixture, method: str, *, before: bool
) -> None:
    """No later run would know of it: exit 1, the log says so, and the job run again mends it."""
    file_id = center.upload(center.subject())
    if before:
        center.new_version(file_id)
    else:
        center.registry.on.add("naccid_for", lambda: center.new_version(file_id))
    fail(center, method)
    outcome = center.run(file_id, 1)
    assert (outcome.state, outcome.exit_code) == ("PASS", 1)
    assert "run this job again" in caplog.text
    assert GEAR not in center.file(file_id).info
    mend(center)
    assert center.run(file_id, 1).exit_code == 0
    assert center.run(file_id, 2).exit_code == 0
    assert center.log_lines() == [f"PASS {file_id}#1", f"PASS {file_id}#2"]
    assert [body["file_version"] for body in center.bodies()] == [1, 2]


@pytest.mark.parametrize("call", ["note", "put", "record"])
def test_an_event_is_not_doubled_where_its_note_is_on_an_older_version_only(
    center: Center, call: str
) -> None:
    """No log, and a newer version right before that call: the job run again finds the note, if any.

    A note that came to stand on the newer version is none, so its event must not be written.
    """
    file_id = center.upload(center.subject())
    fail(center, "upload_project_file")
    on, method, skip = {
        "note": (center.site.on, "set_file_info", 0),
        "put": (center.events.on, "put_if_absent", 0),
        "record": (center.site.on, "file", 3),  # read first, before the note, after it, then here
    }[call]
    on.add(method, lambda: center.new_version(file_id), skip=skip)
    assert center.run(file_id, 1).exit_code == 1
    assert len(center.site.versions(file_id)) == 2
    mend(center)
    center.run(file_id, 1)
    assert len(center.bodies()) == 1
    assert center.log_lines() == [f"PASS {file_id}#1"]
    assert GEAR not in center.file(file_id).info


def test_a_superseded_job_run_again_writes_what_its_version_owes(center: Center) -> None:
    """The FAIL that the log missed stands on the older version, before the PASS of now."""
    file_id = center.upload(center.subject())
    center.registry.on.add("naccid_for", errors.IdentifierNotFoundError("No such participant."))
    fail(center, "upload_project_file")
    center.run(file_id)
    mend(center)
    center.new_version(file_id)
    center.run(file_id, 1)
    assert center.log_lines() == [f"FAIL {file_id}#1", f"PASS {file_id}#1"]
    assert [body["status"] for body in center.bodies()] == ["FAIL", "PASS"]


def test_a_refused_event_of_an_older_version_is_not_tried_again_and_again(center: Center) -> None:
    """Its new time could be noted nowhere: the outcome of now is announced, once."""
    file_id = center.upload(center.subject())
    center.registry.on.add("naccid_for", errors.IdentifierNotFoundError("No such participant."))
    center.events.on.add("put_if_absent", REFUSED)
    center.run(file_id)
    center.new_version(file_id)
    for _ in range(2):
        assert center.run(file_id, 1).exit_code == 0
    assert [body["status"] for body in center.bodies()] == ["PASS"]
    center.site.change_info(center.project, pipeline_adcid="x")
    assert center.run(file_id, 1).exit_code == 1


def test_notes_of_an_older_version_that_can_not_be_read_stop_nothing(center: Center) -> None:
    """The QC log has the event's note, too: line and event are there once."""
    file_id = center.upload(center.subject())
    center.run(file_id)
    center.new_version(file_id)
    center.site.on.add("file_version", DOWN, times=None)
    assert center.run(file_id, 1).exit_code == 0
    assert len(center.bodies()) == 1
    assert center.log_lines() == [f"PASS {file_id}#1"]


def test_what_an_earlier_run_owed_fails_the_job_that_can_not_keep_it(center: Center) -> None:
    """The newer version comes while the line is owed still, and the run itself names no visit."""
    file_id = center.upload(center.subject())
    fail(center, "upload_project_file")
    center.run(file_id)
    center.site.change_info(center.project, pipeline_adcid="x")
    center.site.on.add("project", lambda: center.new_version(file_id))
    outcome = center.run(file_id)
    assert (outcome.exit_code, list(outcome.missing)) == (1, ["QC log of an earlier run"])


# -- the note itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [None, "x", [], {"entries": "x"}, {"more": 1}, {"entries": [{"run": 1}]}],
    ids=["none", "text", "list", "no entries", "unknown key", "half an entry"],
)
def test_a_note_that_can_not_be_read_owes_nothing(block: object) -> None:
    """Somebody's edit of the info must not stop the gear."""
    assert parse_unwritten(block) == Unwritten()
    assert not parse_unwritten(block)


def test_the_note_survives_its_way_through_flywheel(center: Center) -> None:
    """What is owed comes back from JSON as it was put down."""
    file_id = center.upload(center.subject())
    for method in ("upload_project_file", "put_if_absent"):
        fail(center, method)
    center.run(file_id)
    block = center.file(file_id).info[GEAR]["unwritten"]
    owed = parse_unwritten(block)
    assert owed
    assert owed.block() == block
    ((entry,), (event,)) = owed.entries, owed.events
    assert (entry.log_name, entry.file_id, entry.state) == (LOG, file_id, "PASS")
    assert (event.submission.naccid, event.submission.metadata) == (NACCID, HEADER)
    assert event.note.timestamp == START
