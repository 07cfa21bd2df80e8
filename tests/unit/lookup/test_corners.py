"""What came to light when the gear was looked at with other eyes; each of these was once wrong."""

from __future__ import annotations

import datetime as dt

import pytest

from imaging_gears import errors
from imaging_gears.errors import NotFoundError, PermissionDeniedError, ServiceError
from imaging_gears.image_identifier_lookup import GEAR, reporting
from tests.unit.lookup.harness import LOG, NACCID, PTID, Center

REFUSED = PermissionDeniedError("AWS S3 refused writing the event (HTTP 403).")
OTHER_GEAR = {"validation": {"state": "PASS", "data": [], "cleared": []}}


def test_a_deleted_version_of_the_log_does_not_end_it(center: Center) -> None:
    """Somebody removed the version before a foreign one: what is left is merged, and it goes on."""
    first = center.upload(center.subject())
    center.run(first)
    log = center.log_file()
    center.site.put(log.parent.id, LOG, b"2026-11-20 07:03:00 QC Status: OTHER - PASS\n")
    center.site.on.add("file_version", NotFoundError("There is no such version."), times=None)
    outcome = center.run(center.upload(center.subject("0110001"), name="b.zip"))
    assert outcome.missing == {}
    assert "QC Status: OTHER - PASS" in center.log_text()


def test_what_another_gear_writes_while_the_event_is_put_survives(center: Center) -> None:
    """The record is written from a read of that moment, not from one before the event."""
    file_id = center.upload(center.subject())

    def other() -> None:
        file = center.site.file(file_id)
        center.site.set_file_info(file, {"qc": {"other-gear": OTHER_GEAR}})

    center.events.on.add("put_if_absent", other)
    center.run(file_id)
    assert set(center.file(file_id).info["qc"]) == {"other-gear", GEAR}


def test_a_version_that_comes_while_the_event_is_put_gets_no_record(center: Center) -> None:
    """The verdict on one version never stands on another; the note of its event is taken back."""
    file_id = center.upload(center.subject())
    center.events.on.add("put_if_absent", lambda: center.new_version(file_id))
    outcome = center.run(file_id)
    newest = center.file(file_id)
    assert (newest.version, newest.info, newest.tags) == (2, {}, ())
    assert "file record" not in outcome.written


def test_the_notes_of_the_newer_versions_own_job_stay(center: Center) -> None:
    """Only what speaks of the older version is taken back."""
    file_id = center.upload(center.subject())

    def newer_and_its_job() -> None:
        center.new_version(file_id)
        center.site.set_file_info(center.site.file(file_id), {GEAR: {"run": {"version": 2}}})

    center.registry.on.add("naccid_for", newer_and_its_job)
    center.run(file_id)
    notes = center.file(file_id).info.get(GEAR, {})
    assert all(1 not in (note.get("version"), note.get("file_version")) for note in notes.values())


def test_a_refused_event_is_announced_at_the_time_when_it_is_written(center: Center) -> None:
    """Readers pass over an event that is older than the last one that they have seen."""
    file_id = center.upload(center.subject())
    center.events.on.add("put_if_absent", REFUSED)
    center.run(file_id)
    refused = center.file(file_id).info[GEAR]["unwritten"]["events"][0]["note"]["timestamp"]
    center.run(file_id)
    (body,) = center.bodies()
    assert dt.datetime.fromisoformat(body["timestamp"]) > dt.datetime.fromisoformat(refused)
    center.run(file_id)
    assert len(center.bodies()) == 1
    assert "unwritten" not in center.file(file_id).info[GEAR]


def test_a_repair_that_fails_again_is_not_silent(center: Center) -> None:
    """The summary names it, the outputs carry the warning, strict_outputs fails the job."""
    file_id = center.upload(center.subject())
    center.registry.on.add("naccid_for", errors.IdentifierNotFoundError("No such participant."))
    center.events.on.add("put_if_absent", REFUSED, times=2)
    center.run(file_id)
    outcome = center.run(file_id, strict_outputs=True)
    assert (outcome.exit_code, "event-not-captured" in outcome.codes) == (1, True)
    assert set(outcome.missing) == {"event of an earlier run"}


def test_an_earlier_outcome_is_not_announced_after_a_later_one(center: Center) -> None:
    """It would undo the later one for readers, who go by time."""
    file_id = center.upload(center.subject())
    center.registry.on.add("naccid_for", errors.IdentifierNotFoundError("No such participant."))
    center.events.on.add("put_if_absent", REFUSED, times=2)
    for _ in range(3):
        center.run(file_id)
    assert [body["status"] for body in center.bodies()] == ["PASS"]


def test_a_corrected_label_is_announced_for_the_new_participant(center: Center) -> None:
    """Participant and date are part of what was announced."""
    subject = center.subject()
    file_id = center.upload(subject)
    center.run(file_id)
    center.site.relabel(subject, "110002")
    center.site.change_info(subject, naccid=NACCID)
    center.run(file_id)
    assert [body["ptid"] for body in center.bodies()] == ["110001", "110002"]
    log = center.log_file(LOG.replace("110001", "110002"))
    (record,) = log.info[GEAR]["files"].values()
    assert all("110001" not in note["key"] for note in record["events"])


def test_a_visit_that_can_not_be_known_any_more_is_no_longer_identified(center: Center) -> None:
    """Downstream gears go by data_identification: under this FAIL there must be none."""
    subject = center.subject()
    file_id = center.upload(subject)
    center.run(file_id)
    center.site.relabel(subject, "000")
    outcome = center.run(file_id)
    assert outcome.codes[0] == "ptid-invalid"
    assert "data_identification" not in center.file(file_id).info


def test_what_is_no_record_of_a_file_in_the_logs_info_is_passed_over(center: Center) -> None:
    """Somebody's edit of the gear's own notes does not end the job."""
    first = center.upload(center.subject())
    center.run(first)
    log = center.log_file()
    center.site.set_file_info(log, {GEAR: {"base": 0, "files": {"x": None, "y": {"run": 1}}}})
    outcome = center.run(first)
    assert outcome.missing == {}
    assert set(center.log_file().info[GEAR]["files"]) == {first}


def test_the_logs_info_keeps_the_order_of_the_contract(center: Center) -> None:
    """First qc, then visit, then what the gear needs for itself."""
    center.run(center.upload(center.subject()))
    assert list(center.log_file().info) == ["qc", "visit", GEAR]


@pytest.mark.parametrize("stored", [{}, {"naccid": None}, {"naccid": ""}])
def test_of_two_answers_at_once_the_first_in_the_log_stays(
    center: Center, stored: dict[str, str | None]
) -> None:
    """The other job runs between this one's last look at the subject and its write.

    This one then finds it in the log, puts its NACCID back and ends as a conflict.
    """
    subject = center.subject(**stored)
    late, early = center.upload(subject, name="a.zip"), center.upload(subject, name="b.zip")
    known = center.registry.known

    def another_answer() -> None:
        center.registry.known = dict.fromkeys(known, "NACC000043")
        assert center.run(early).state == "PASS"

    center.site.on.add("merge_subject_info", another_answer)
    outcome = center.run(late)
    assert (outcome.state, outcome.codes) == ("FAIL", ("naccid-conflict",))
    assert center.site.subject(subject).info["naccid"] == "NACC000043"
    log = center.log_file()
    assert log.info["visit"]["naccid"] == "NACC000043"
    assert log.info["qc"][GEAR]["validation"]["state"] == "FAIL"
    assert {each["file_id"]: each["status"] for each in center.bodies()} == {
        late: "FAIL",
        early: "PASS",
    }


OTHER_VISIT = {"study_date": "20230115"}
OTHER_LOG = LOG.replace("2024-01-15", "2023-01-15")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write of a subject counts as one that may have gone over another's."""
    monkeypatch.setattr(reporting, "UNSEEN_SECONDS", 0.0)


def other_answer_meanwhile(center: Center, other: str) -> None:
    """Let the job of `other` run, with another answer, between a job's read and write of it."""
    known = center.registry.known

    def another_answer() -> None:
        center.registry.known = dict.fromkeys(known, "NACC000043")
        assert center.run(other).state == "PASS"

    center.site.on.add("merge_subject_info", another_answer)


@pytest.mark.usefixtures("slow")
def test_of_two_answers_for_two_visits_the_one_in_the_other_log_stays(center: Center) -> None:
    """They share no log: this job finds the other's, which was not there when it began."""
    subject = center.subject()
    late, early = center.upload(subject), center.upload(subject, header=OTHER_VISIT)
    other_answer_meanwhile(center, early)
    outcome = center.run(late)
    assert (outcome.state, outcome.codes) == ("FAIL", ("naccid-conflict",))
    assert center.site.subject(subject).info["naccid"] == "NACC000043"
    assert center.verdict(late) == ("FAIL", ["naccid-conflict"])
    assert center.log_validation() == ("FAIL", ["naccid-conflict"])
    assert center.log_validation(OTHER_LOG) == ("PASS", [])
    assert {each["file_id"]: each["status"] for each in center.bodies()} == {
        late: "FAIL",
        early: "PASS",
    }


@pytest.mark.usefixtures("slow")
def test_what_the_other_visits_log_held_before_is_past(center: Center) -> None:
    """A NACCID that was corrected by hand stands there still, beside what a job adds meanwhile."""
    subject = center.subject()
    center.run(center.upload(subject, name="a.zip", header=OTHER_VISIT))
    center.site.change_info(subject, naccid="")
    center.registry.known = dict.fromkeys(center.registry.known, "NACC000043")
    late = center.upload(subject)
    other_answer_meanwhile(center, center.upload(subject, name="b.zip", header=OTHER_VISIT))
    assert center.run(late).state == "PASS"
    assert center.site.subject(subject).info["naccid"] == "NACC000043"
    records = center.log_file(OTHER_LOG).info[GEAR]["files"].values()
    assert {each["naccid"] for each in records} == {NACCID, "NACC000043"}


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("other", [f"{PTID}1", f"X_{PTID}"])
def test_another_participants_log_says_nothing_of_this_one(center: Center, other: str) -> None:
    """Though its name begins or ends alike."""
    center.registry.known["prod", 42, other] = "NACC000044"
    late = center.upload(center.subject())
    early = center.upload(center.subject(other), header={**OTHER_VISIT, "patient_id": other})
    center.site.on.add("merge_subject_info", lambda: center.run(early))
    assert center.run(late).state == "PASS"
    assert center.verdict(early) == ("PASS", [])


@pytest.mark.usefixtures("slow")
def test_where_the_other_logs_can_not_be_read_the_verdict_stands(center: Center) -> None:
    """The run goes on, and the job's log says what it could not look at."""
    file_id = center.upload(center.subject())
    center.site.on.add("project", ServiceError("Flywheel", "HTTP 500"), skip=1)
    assert center.run(file_id).missing == {}
    assert center.verdict(file_id) == ("PASS", [])


def test_a_quick_write_needs_no_look_at_other_visits(center: Center) -> None:
    """The quiet case makes no request for that."""
    center.run(center.upload(center.subject()))
    assert center.site.on.calls.count("project") == 1


def test_a_naccid_corrected_by_hand_is_no_conflict(center: Center) -> None:
    """The subject's was removed, and the registry gives another one: the log's old one is past."""
    subject = center.subject()
    center.run(center.upload(subject, name="a.zip"))
    center.registry.known = dict.fromkeys(center.registry.known, "NACC000043")
    center.site.change_info(subject, naccid="")
    assert center.run(center.upload(subject, name="b.zip")).state == "PASS"
    assert center.site.subject(subject).info["naccid"] == "NACC000043"
    assert center.log_file().info["visit"]["naccid"] == "NACC000043"
