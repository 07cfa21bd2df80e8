"""Whole runs over fakes: whose the file is, what is written where, and what errors do."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from imaging_gears import errors
from imaging_gears.errors import ImagingError, ServiceError
from imaging_gears.gear.job import InputFile, Job, parse_config
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.config import INPUT, GearConfig
from imaging_gears.image_identifier_lookup.main import record_failure
from imaging_gears.model import findings
from imaging_gears.ports import ContainerRef
from tests.fakes import InMemoryRegistry
from tests.unit.lookup.harness import (
    CONFIG,
    FILE_NAME,
    HEADER,
    KEY,
    LOG,
    MARKS,
    NACCID,
    PATIENT_ID,
    PTID,
    START,
    Center,
    Killed,
    resolved,
)

KINDS = errors.subclasses()[1:]


def given(job: Job, **changes: object) -> Job:
    """Return the job with other things said of its input."""
    file: InputFile = dataclasses.replace(job.files[INPUT], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(job, files={INPUT: file})


def made(kind: type[ImagingError]) -> ImagingError:
    """Return an error of that kind, with a patient's value in it."""
    if issubclass(kind, ServiceError):
        return kind("a service", "HTTP 503")
    return kind("It is wrong.", location="StudyDate", value="20240115")


# -- the ordinary run ------------------------------------------------------------------------------


def test_a_first_run_passes_and_writes_all_outputs(center: Center) -> None:
    """Subject, QC log, event and file record, in this order; exit 0."""
    file_id = center.upload(center.subject())
    outcome = center.run(file_id)
    assert (outcome.state, outcome.codes, outcome.exit_code) == ("PASS", (), 0)
    assert outcome.written == ("subject", "QC log", "event", "file record")
    assert outcome.missing == {}


def test_a_first_run_makes_ten_requests_to_flywheel(center: Center) -> None:
    """And one each to identifier API and event bucket; each input is read once at first."""
    center.run(center.upload(center.subject()))
    assert len(center.site.on.calls) == 10
    assert center.site.on.calls[:3] == ["file", "subject", "project"]
    assert center.registry.on.calls == ["naccid_for"]
    assert center.events.on.calls == ["put_if_absent"]


def test_the_subject_gets_naccid_and_metadata_in_one_write(center: Center) -> None:
    """Other keys of its info stay."""
    subject = center.subject(age=70)
    file_id = center.upload(subject)
    center.run(file_id)
    assert center.site.info(subject) == {
        "age": 70,
        "naccid": NACCID,
        "dicom_metadata": {**HEADER, "source": {"file_id": file_id, "version": 1}},
    }
    assert center.site.on.calls.count("merge_subject_info") == 1


def test_the_naccids_field_is_configurable(center: Center) -> None:
    """Read there and written there."""
    subject = center.subject(nacc_id=NACCID)
    assert center.run(center.upload(subject), naccid_field_name="nacc_id").state == "PASS"
    assert center.registry.asked == []
    assert "naccid" not in center.site.info(subject)


def test_dev_mode_asks_for_test_ids(center: Center) -> None:
    """Mode dev pairs with TEST."""
    center.registry = InMemoryRegistry({("dev", 42, PTID): "TEST000042"})
    subject = center.subject()
    assert center.run(center.upload(subject), database_mode="dev").state == "PASS"
    assert center.site.info(subject)["naccid"] == "TEST000042"


def test_a_known_naccid_is_not_looked_up(center: Center) -> None:
    """The registry is not asked; the metadata is written all the same."""
    subject = center.subject(naccid=NACCID)
    file_id = center.upload(subject)
    assert center.run(file_id).state == "PASS"
    assert center.registry.asked == []
    assert center.site.info(subject)["dicom_metadata"]["source"]["file_id"] == file_id
    assert center.bodies()[0]["naccid"] == NACCID


def test_the_log_goes_on_under_another_letter_case_of_the_modality(center: Center) -> None:
    """Where the project has it in lower case, no second log appears."""
    lower = "110001_2024-01-15_mr_qc-status.log"
    center.site.put(center.project, lower, b"2024-01-15 10:00:00 QC Status: OTHER - PASS\n")
    file_id = center.upload(center.subject())
    center.run(file_id)
    assert list(center.site.names(center.project)) == [lower]
    assert center.log_text(lower).startswith("2024-01-15 10:00:00 QC Status: OTHER - PASS\n")
    assert center.log_lines(lower) == [f"PASS {file_id}#1"]


def test_files_of_one_visit_share_its_log(center: Center) -> None:
    """One line a run, FAIL while one of them fails."""
    subject = center.subject()
    first = center.upload(subject)
    second = center.upload(subject, "b.zip", {"patient_id": PATIENT_ID})
    center.run(first)
    center.run(second)
    assert center.log_lines() == [f"PASS {first}#1", f"PASS {second}#1"]
    assert center.log_validation() == ("PASS", ["ptid-mismatch"])


def test_a_run_keeps_what_other_gears_wrote_on_the_file(center: Center) -> None:
    """Their qc entries, keys and tags, also those that came while the gear was running."""
    file_id = center.upload(center.subject(), qc={"early": {"validation": {}}}, theirs=1)
    center.site.add_file_tag(file_id, "form-checker-PASS")
    center.site.add_file_tag(file_id, f"{GEAR}-IN REVIEW")

    def others() -> None:
        now = center.file(file_id)
        qc = {**now.info["qc"], "late": {"validation": {}}}
        center.site.set_file_info(now, {"qc": qc, "late": True})
        center.site.add_file_tag(file_id, "late")

    center.registry.on.add("naccid_for", others)
    center.run(file_id)
    info = center.file(file_id).info
    assert set(info["qc"]) == {"early", "late", GEAR}
    assert (info["theirs"], info["late"]) == (1, True)
    assert set(center.file(file_id).tags) == {"form-checker-PASS", "late", f"{GEAR}-PASS"}


# -- PTID ------------------------------------------------------------------------------------------


def test_the_label_wins_and_a_mismatch_is_a_warning(center: Center) -> None:
    """PASS, code ptid-mismatch in file record and log, without a value."""
    file_id = center.upload(center.subject(), header={"patient_id": PATIENT_ID})
    outcome = center.run(file_id)
    assert (outcome.state, outcome.codes, outcome.exit_code) == ("PASS", ("ptid-mismatch",), 0)
    assert center.verdict(file_id) == ("PASS", ["ptid-mismatch"])
    (warning,) = center.file(file_id).info["qc"][GEAR]["validation"]["data"]
    assert (warning["type"], warning["value"], warning["ptid"]) == ("warning", None, PTID)
    assert warning["location"] == {"key_path": "PatientID"}
    assert center.log_validation() == ("PASS", ["ptid-mismatch"])


def test_an_empty_label_takes_patient_id(center: Center) -> None:
    """Cleaned like a label."""
    file_id = center.upload(center.subject(""), header={"patient_id": " 00110001 "})
    assert center.run(file_id).codes == ()
    assert center.file(file_id).info["data_identification"]["ptid"] == PTID


def test_a_label_of_zeros_never_falls_through_to_another_persons_id(center: Center) -> None:
    """FAIL, exit 0; the file is not even opened, no visit is written anywhere."""
    subject = center.subject("000")
    file_id = center.upload(subject)
    outcome = center.run(file_id)
    assert (outcome.state, outcome.codes, outcome.exit_code) == ("FAIL", ("ptid-invalid",), 0)
    assert center.verdict(file_id) == ("FAIL", ["ptid-invalid"])
    assert "data_identification" not in center.file(file_id).info
    assert center.site.info(subject) == {}
    assert center.registry.asked == []


def test_a_label_with_naccid_agrees_with_the_lookup(center: Center) -> None:
    """``PTID+NACCID``: the PTID names the log."""
    assert center.run(center.upload(center.subject(f"{PTID}+{NACCID}"))).state == "PASS"
    assert LOG in center.site.names(center.project)


@pytest.mark.parametrize("stored", [{}, {"naccid": NACCID}])
def test_a_label_with_another_naccid_is_a_conflict(center: Center, stored: dict[str, str]) -> None:
    """FAIL in record, log and event; nothing is written on the subject."""
    subject = center.subject(f"{PTID}+NACC000043", **stored)
    file_id = center.upload(subject)
    outcome = center.run(file_id)
    assert (outcome.codes, outcome.exit_code) == (("naccid-conflict",), 0)
    assert center.verdict(file_id) == ("FAIL", ["naccid-conflict"])
    assert center.log_validation() == ("FAIL", ["naccid-conflict"])
    assert center.site.info(subject) == stored
    (body,) = center.bodies()
    assert body["status"] == "FAIL"
    assert "naccid" not in body


# -- NACCID conflicts ------------------------------------------------------------------------------


def test_a_naccid_that_another_job_stored_meanwhile_stays(center: Center) -> None:
    """Two jobs that disagree end as naccid-conflict."""
    subject = center.subject()
    file_id = center.upload(subject)
    center.registry.on.add(
        "naccid_for", lambda: center.site.change_info(subject, naccid="NACC000043")
    )
    assert center.run(file_id).codes == ("naccid-conflict",)
    assert center.site.info(subject) == {"naccid": "NACC000043"}
    (error,) = center.file(file_id).info["qc"][GEAR]["validation"]["data"]
    assert (error["value"], error["expected"]) == ("NACC000043", NACCID)


def test_the_same_naccid_stored_meanwhile_is_no_conflict(center: Center) -> None:
    """Two jobs of one subject agree."""
    subject = center.subject()
    center.registry.on.add("naccid_for", lambda: center.site.change_info(subject, naccid=NACCID))
    assert center.run(center.upload(subject)).state == "PASS"


@pytest.mark.parametrize("stored", ["TEST000042", "NACC42", 42])
def test_a_stored_naccid_that_is_none_is_left_as_it_is(center: Center, stored: object) -> None:
    """Reported in the visit's log; nothing is looked up."""
    subject = center.subject(naccid=stored)
    file_id = center.upload(subject)
    assert center.run(file_id).codes == ("naccid-invalid",)
    assert center.log_validation() == ("FAIL", ["naccid-invalid"])
    assert center.site.info(subject) == {"naccid": stored}
    assert center.registry.asked == []


def test_an_answer_of_the_other_mode_is_an_error(center: Center) -> None:
    """Not a result: nothing is written on the subject."""
    center.registry = InMemoryRegistry({("prod", 42, PTID): "TEST000042"})
    subject = center.subject()
    assert center.run(center.upload(subject)).codes == ("naccid-invalid",)
    assert center.site.info(subject) == {}


def test_a_participant_that_the_registry_does_not_know_fails_the_file(center: Center) -> None:
    """The visit is known: record, log and event say FAIL, the visit's NACCID is null."""
    file_id = center.upload(center.subject("990001"), header={"patient_id": "990001"})
    outcome = center.run(file_id)
    assert (outcome.state, outcome.exit_code) == ("FAIL", 0)
    log = "990001_2024-01-15_MR_qc-status.log"
    assert center.log_validation(log) == ("FAIL", ["identifier-not-found"])
    assert center.log_file(log).info["visit"]["naccid"] is None
    assert center.file(file_id).info["data_identification"]["naccid"] is None
    assert center.file(file_id).tags == (f"{GEAR}-FAIL",)
    assert center.bodies()[0]["status"] == "FAIL"


def test_once_enrolled_the_same_file_passes(center: Center) -> None:
    """The next run: log, record and tag turn to PASS, and the PASS is announced, too."""
    center.registry = InMemoryRegistry({})
    file_id = center.upload(center.subject())
    center.run(file_id)
    center.registry.known = {("prod", 42, PTID): NACCID}
    assert center.run(file_id).state == "PASS"
    assert center.log_lines() == [f"FAIL {file_id}#1", f"PASS {file_id}#1 run 2"]
    assert center.log_validation() == ("PASS", [])
    assert center.log_file().info["visit"]["naccid"] == NACCID
    assert center.file(file_id).tags == (f"{GEAR}-PASS",)
    assert [body["status"] for body in center.bodies()] == ["FAIL", "PASS"]


# -- the short cut ---------------------------------------------------------------------------------


def test_a_second_run_leaves_the_file_closed_and_announces_nothing_new(center: Center) -> None:
    """PTID, date and modality are known for this file; one file version, one outcome, one event."""
    file_id = center.upload(center.subject())
    center.run(file_id)
    before = dict(center.events.stored)
    center.site.on.calls.clear()
    center.registry.asked.clear()
    assert center.run(file_id).state == "PASS"
    assert len(center.opened) == 1
    assert center.events.stored == before
    assert center.registry.asked == []
    assert len(center.site.on.calls) <= 10
    assert center.log_lines() == [f"PASS {file_id}#1", f"PASS {file_id}#1 run 2"]


def test_the_subjects_block_of_this_version_is_enough(center: Center) -> None:
    """A run that was killed after the subject's update does not open the file again."""
    subject = center.subject()
    file_id = center.upload(subject)
    block = {**HEADER, "source": {"file_id": file_id, "version": 1}}
    center.site.change_info(subject, dicom_metadata=block)
    assert center.run(file_id).state == "PASS"
    assert center.opened == []
    assert center.file(file_id).info["dicom_metadata"] == block


def test_a_second_study_never_inherits_date_or_modality(center: Center) -> None:
    """Its own log, its own identification, although the subject carries the first one's block."""
    subject = center.subject()
    first = center.upload(subject)
    second = center.upload(subject, "b.zip", {"study_date": "20250220", "modality": "CT"})
    center.run(first)
    center.run(second)
    assert set(center.site.names(center.project)) == {LOG, "110001_2025-02-20_CT_qc-status.log"}
    identification = center.file(second).info["data_identification"]
    assert (identification["date"], identification["modality"]) == ("2025-02-20", "CT")
    assert len(center.opened) == 2


def test_a_legacy_block_of_the_first_study_is_not_the_seconds(center: Center) -> None:
    """Without source it counts only for a file that the gear has processed before."""
    subject = center.subject(dicom_metadata=HEADER)
    file_id = center.upload(subject, header={"study_date": "20250220"})
    center.run(file_id)
    assert len(center.opened) == 1
    assert center.file(file_id).info["data_identification"]["date"] == "2025-02-20"


def test_a_second_study_that_failed_first_does_not_inherit_a_legacy_block(center: Center) -> None:
    """Its first run left a FAIL without a visit; the subject's old block is of another study."""
    subject = center.subject(dicom_metadata=HEADER)
    file_id = center.upload(subject, header=errors.ArchiveError("It is damaged."))
    center.run(file_id)
    center.holds(center.file(file_id), {"study_date": "20250220"})
    center.run(file_id)
    assert center.file(file_id).info["data_identification"]["date"] == "2025-02-20"


def test_a_new_version_is_opened(center: Center) -> None:
    """What was read from version 1 does not count for version 2."""
    file_id = center.upload(center.subject())
    center.run(file_id)
    center.new_version(file_id, {"modality": "CT"})
    center.run(file_id)
    assert center.file(file_id).info["data_identification"]["modality"] == "CT"
    assert len(center.bodies()) == 2


@pytest.mark.parametrize(
    "broken", [{"study_date": "20241399"}, {"study_date": None}, {"modality": "M/R"}]
)
def test_a_stored_block_that_names_no_visit_is_not_used(
    center: Center, broken: dict[str, str | None]
) -> None:
    """The file is opened then."""
    file_id = center.upload(center.subject())
    block = {**HEADER, **broken, "source": {"file_id": file_id, "version": 1}}
    center.site.set_file_info(center.file(file_id), {"dicom_metadata": block})
    assert center.run(file_id).state == "PASS"
    assert len(center.opened) == 1


@pytest.mark.parametrize(
    "kind", [findings.NO_PREAMBLE, findings.MIXED_IDENTITY, findings.MULTIPLE_VALUES]
)
def test_a_warning_of_the_files_content_outlives_the_short_cut(
    center: Center, kind: findings.WarningKind
) -> None:
    """What the first run saw in the file is still true when the second leaves it closed."""
    file_id = center.upload(center.subject(), header=resolved(HEADER, (kind.finding(),)))
    center.run(file_id)
    assert center.verdict(file_id) == ("PASS", [kind.code])
    center.run(file_id)
    assert len(center.opened) == 1
    assert center.verdict(file_id) == ("PASS", [kind.code])
    assert center.log_validation() == ("PASS", [kind.code])


def with_mixed_identity(center: Center, subject: str) -> str:
    """Upload an archive whose content gives rise to a warning; return its file id."""
    return center.upload(subject, header=resolved(HEADER, (findings.MIXED_IDENTITY.finding(),)))


@pytest.mark.parametrize(
    "killed_after",
    ["merge_subject_info", "upload_project_file", "put_if_absent", "set_file_info"],
)
def test_a_warning_of_the_content_outlives_a_kill(center: Center, killed_after: str) -> None:
    """The next run leaves the file closed, so the subject's block has to tell it."""
    file_id = with_mixed_identity(center, center.subject())

    def kill() -> None:
        raise Killed

    on = center.events.on if killed_after == "put_if_absent" else center.site.on
    on.add(killed_after, kill, after=True)
    with pytest.raises(Killed):
        center.run(file_id)
    assert center.run(file_id).codes == ("mixed-identity",)
    assert len(center.opened) == 1
    assert center.verdict(file_id) == ("PASS", ["mixed-identity"])
    assert center.log_validation() == ("PASS", ["mixed-identity"])


def test_a_warning_of_the_content_outlives_a_run_that_failed_early(center: Center) -> None:
    """Its record replaces the first one's before it knows the visit; the third has it again."""
    file_id = with_mixed_identity(center, center.subject())
    center.run(file_id)
    center.site.on.add("subject", ServiceError("Flywheel", "HTTP 503"))
    center.run(file_id)
    assert center.verdict(file_id) == ("FAIL", ["service-unavailable"])
    center.run(file_id)
    assert len(center.opened) == 1
    assert center.verdict(file_id) == ("PASS", ["mixed-identity"])
    assert center.log_validation() == ("PASS", ["mixed-identity"])


def test_a_warning_of_one_files_content_is_not_the_next_ones(center: Center) -> None:
    """It stays in the subject's block, which is merged deeply, and costs no request either."""
    subject = center.subject()
    center.run(with_mixed_identity(center, subject))
    second = center.upload(subject, "b.zip")
    for _ in range(2):
        center.site.on.calls.clear()
        center.run(second)
        assert center.verdict(second) == ("PASS", [])
    assert "merge_subject_info" not in center.site.on.calls
    source = {"file_id": second, "version": 1}
    assert center.file(second).info["dicom_metadata"]["source"] == source


@pytest.mark.parametrize("qc", [{GEAR: {"validation": {"data": "odd"}}}, {GEAR: "odd"}, "odd"])
def test_an_earlier_record_of_another_form_is_no_obstacle(center: Center, qc: object) -> None:
    """The short cut goes by the metadata; nothing is carried over from what can't be read."""
    file_id = center.upload(center.subject())
    block = {**HEADER, "source": {"file_id": file_id, "version": 1}}
    center.site.set_file_info(center.file(file_id), {"dicom_metadata": block, "qc": qc})
    assert center.run(file_id).codes == ()


# -- a newer version -------------------------------------------------------------------------------


def test_a_job_of_an_old_version_writes_nothing_on_the_file(
    center: Center, caplog: pytest.LogCaptureFixture
) -> None:
    """The newer version has its own job; the log says so. Log and event tell of the old one."""
    file_id = center.upload(center.subject())
    center.new_version(file_id)
    before = center.file(file_id)
    outcome = center.run(file_id, version=1)
    assert center.file(file_id) == before
    assert "file record" not in outcome.written
    assert (outcome.exit_code, outcome.missing) == (0, {})
    assert "newer version" in caplog.text
    assert center.log_lines() == [f"PASS {file_id}#1"]
    assert center.bodies()[0]["file_version"] == 1


def test_a_version_that_comes_during_the_run_is_left_alone(center: Center) -> None:
    """The record describes the version that the job was given."""
    file_id = center.upload(center.subject())
    center.registry.on.add("naccid_for", lambda: center.new_version(file_id))
    outcome = center.run(file_id)
    newest = center.file(file_id)
    assert (newest.version, newest.info, newest.tags) == (2, {}, ())
    assert "file record" not in outcome.written


def test_an_old_versions_late_job_does_not_turn_the_subject_back(center: Center) -> None:
    """The subject keeps what the newer version's job wrote."""
    subject = center.subject()
    file_id = center.upload(subject)
    center.new_version(file_id, {"series_number": "6"})
    center.run(file_id, version=2)
    center.run(file_id, version=1)
    assert center.site.info(subject)["dicom_metadata"]["series_number"] == "6"


# -- the error table -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_error_does_when_the_visit_is_known(
    center: Center, kind: type[ImagingError]
) -> None:
    """QC FAIL with its code in file and log; exit 1 and no event where the job is at fault."""
    file_id = center.upload(center.subject())
    center.registry.on.add("naccid_for", made(kind))
    outcome = center.run(file_id)
    fails_job = kind.disposition == "fail-job"
    assert (outcome.state, outcome.codes) == ("FAIL", (kind.code,))
    assert outcome.exit_code == (1 if fails_job else 0)
    assert center.verdict(file_id) == ("FAIL", [kind.code])
    assert center.file(file_id).tags == (f"{GEAR}-FAIL",)
    assert center.log_validation() == ("FAIL", [kind.code])
    assert center.log_lines() == [f"FAIL {file_id}#1"]
    assert [body["status"] for body in center.bodies()] == ([] if fails_job else ["FAIL"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_error_does_before_the_visit_is_known(
    center: Center, kind: type[ImagingError]
) -> None:
    """QC FAIL on the file; no log, no event, no identification, nothing on the subject."""
    subject = center.subject()
    file_id = center.upload(subject, header=made(kind))
    outcome = center.run(file_id)
    assert outcome.exit_code == (1 if kind.disposition == "fail-job" else 0)
    assert outcome.written == ("file record",)
    assert center.verdict(file_id) == ("FAIL", [kind.code])
    assert center.file(file_id).tags == (f"{GEAR}-FAIL",)
    assert "data_identification" not in center.file(file_id).info
    assert "dicom_metadata" not in center.file(file_id).info
    assert center.site.names(center.project) == {}
    assert center.events.stored == {}
    assert center.site.info(subject) == {}


@pytest.mark.parametrize("method", ["subject", "project", "merge_subject_info"])
@pytest.mark.parametrize("kind", [errors.PermissionDeniedError, errors.NotFoundError, ServiceError])
def test_a_site_that_refuses_or_does_not_answer_fails_the_job(
    center: Center, kind: type[ImagingError], method: str
) -> None:
    """Wherever it happens before the verdict; a FAIL record is left on the file."""
    file_id = center.upload(center.subject())
    center.site.on.add(method, made(kind), times=None)
    outcome = center.run(file_id)
    assert outcome.exit_code == 1
    assert center.verdict(file_id)[0] == "FAIL"
    assert kind.code in center.verdict(file_id)[1]
    assert center.events.stored == {}


def test_a_project_without_adcid_fails_the_job(center: Center) -> None:
    """It is set up wrongly; the file says so, too."""
    file_id = center.upload(center.subject())
    center.site.change_info(center.project, pipeline_adcid=None)
    assert center.run(file_id).exit_code == 1
    assert center.verdict(file_id) == ("FAIL", ["adcid-invalid"])


def test_a_file_that_lies_in_no_subject_fails_the_job(center: Center) -> None:
    """The gear can't say whose it is: the job was started on the wrong file."""
    state = center.site.put(center.project, "x.dcm", b"DICM")
    outcome = center.run(state.file_id)
    assert outcome.exit_code == 1
    assert center.verdict(state.file_id) == ("FAIL", ["config-invalid"])


def test_an_input_that_is_gone_can_not_be_reported_on(center: Center) -> None:
    """The error comes out of the run; whoever called tells it."""
    file_id = center.upload(center.subject())
    job = center.job(file_id)
    center.site.delete(file_id)
    with pytest.raises(errors.NotFoundError):
        center.run(file_id, job=job)


def test_a_job_without_file_id_can_not_be_run(center: Center) -> None:
    """config.json names no file of the site."""
    job = given(center.job(center.upload(center.subject())), file_id=None)
    with pytest.raises(errors.ConfigError) as raised:
        center.run("any", job=job)
    assert raised.value.location == "inputs.input_file.object.file_id"


def test_a_job_without_version_takes_the_newest(center: Center) -> None:
    """Some samples of config.json have none."""
    file_id = center.upload(center.subject())
    center.new_version(file_id)
    job = given(center.job(file_id), version=None)
    assert center.run(file_id, job=job).written[-1] == "file record"
    assert center.bodies()[0]["file_version"] == 2


# -- error objects ---------------------------------------------------------------------------------


def test_an_error_object_names_file_path_and_participant(center: Center) -> None:
    """file_id as container_id, the fw:// path with labels, PTID, date and time."""
    file_id = center.upload(center.subject(), header={"patient_id": PATIENT_ID})
    center.run(file_id)
    (error,) = center.file(file_id).info["qc"][GEAR]["validation"]["data"]
    assert error["container_id"] == file_id
    assert error["flywheel_path"] == (
        f"fw://alpha-center/ingest-dicom/{PTID}/visit-1/T1/{FILE_NAME}"
    )
    assert error["timestamp"] == "2026-11-20 07:02:00"
    assert (error["ptid"], error["visitnum"], error["date"]) == (PTID, None, "2024-01-15")
    assert error["naccid"] == NACCID
    lines = center.log_text().splitlines()
    assert json.loads(lines[1]) == error


def test_what_is_not_known_yet_is_null_in_an_error_object(center: Center) -> None:
    """A header that can't be read: the label's PTID is known, date and NACCID are not."""
    file_id = center.upload(center.subject(), header=errors.HeaderError("It is cut off."))
    center.run(file_id)
    (error,) = center.file(file_id).info["qc"][GEAR]["validation"]["data"]
    assert (error["ptid"], error["date"], error["naccid"]) == (PTID, None, None)


def test_a_path_that_can_not_be_read_is_null(center: Center) -> None:
    """The error is reported all the same."""
    file_id = center.upload(center.subject(), header=errors.HeaderError("It is cut off."))
    center.site.on.add("label", ServiceError("Flywheel", "HTTP 503"), times=None)
    center.run(file_id)
    (error,) = center.file(file_id).info["qc"][GEAR]["validation"]["data"]
    assert error["flywheel_path"] is None
    assert error["code"] == "header-unreadable"


def test_what_was_refused_is_not_asked_for_again_for_the_path(center: Center) -> None:
    """The record names the file by its id alone then."""
    file_id = center.upload(center.subject())
    center.site.on.add("subject", errors.PermissionDeniedError("It is refused."))
    center.run(file_id)
    (error,) = center.file(file_id).info["qc"][GEAR]["validation"]["data"]
    assert (error["container_id"], error["flywheel_path"]) == (file_id, None)
    assert error["ptid"] is None
    assert center.site.on.calls.count("subject") == 1
    assert "label" not in center.site.on.calls


def test_what_another_service_refused_leaves_the_path_known(center: Center) -> None:
    """The containers could be read."""
    file_id = center.upload(center.subject())
    center.registry.on.add("naccid_for", errors.PermissionDeniedError("It is refused."))
    center.run(file_id)
    (error,) = center.file(file_id).info["qc"][GEAR]["validation"]["data"]
    assert error["flywheel_path"].startswith(f"fw://alpha-center/ingest-dicom/{PTID}/")


def test_the_records_config_carries_no_secret(center: Center) -> None:
    """``job_info`` has config and inputs, not the key."""
    file_id = center.upload(center.subject())
    center.run(file_id)
    entry = center.file(file_id).info["qc"][GEAR]["job_info"]
    assert list(entry) == ["version", "job_id", "inputs", "config"]
    assert KEY not in json.dumps(center.file(file_id).info)


def test_an_unknown_key_of_the_config_does_not_reach_the_file(center: Center) -> None:
    """The config is refused; the record says so without what was planted there."""
    file_id = center.upload(center.subject())
    planted = {**CONFIG, "identifiers_apikey": "s3cr3t"}
    with pytest.raises(errors.ConfigError) as refused:
        parse_config(GearConfig, planted)
    job = dataclasses.replace(center.job(file_id), config=planted)
    record_failure(job, center.site, refused.value, START)
    assert center.verdict(file_id) == ("FAIL", ["config-invalid"])
    assert center.file(file_id).info["qc"][GEAR]["job_info"]["config"] == CONFIG
    assert "s3cr3t" not in json.dumps(center.file(file_id).info)


# -- failures before the run -----------------------------------------------------------------------


def failure(center: Center, file_id: str, error: ImagingError) -> Any:  # noqa: ANN401 - an outcome
    """Record an error that came before anything was found out."""
    return record_failure(center.job(file_id), center.site, error, START)


def test_an_error_before_the_run_is_left_on_the_file(center: Center) -> None:
    """A refused key, a missing parameter: FAIL with its code, exit 1."""
    file_id = center.upload(center.subject())
    outcome = failure(center, file_id, errors.ParameterMissingError("It is missing."))
    assert (outcome.state, outcome.exit_code, outcome.written) == ("FAIL", 1, ("file record",))
    assert center.verdict(file_id) == ("FAIL", ["parameter-missing"])
    assert center.file(file_id).tags == (f"{GEAR}-FAIL",)


def test_an_error_before_the_run_ends_the_job_where_nothing_can_be_written(
    center: Center,
) -> None:
    """Exit 1 with the first error's code; the second one is in the log only."""
    file_id = center.upload(center.subject())
    center.site.on.add("file", errors.PermissionDeniedError("It is refused."), times=None)
    outcome = failure(center, file_id, errors.SiteKeyError("It is of another site."))
    assert (outcome.codes, outcome.exit_code, outcome.written) == (("key-of-another-site",), 1, ())


def test_a_failure_keeps_the_gears_notes(center: Center) -> None:
    """The announced event is not forgotten because the next run could not start."""
    file_id = center.upload(center.subject())
    center.run(file_id)
    event = center.file(file_id).info[GEAR]["event"]
    failure(center, file_id, ServiceError("AWS SSM", "HTTP 503"))
    assert center.file(file_id).info[GEAR]["event"] == event
    assert center.file(file_id).tags == (f"{GEAR}-FAIL",)


# -- nothing of a patient in the log ---------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_tells_the_log_whose_file_it_is(
    center: Center, caplog: pytest.LogCaptureFixture, kind: type[ImagingError]
) -> None:
    """The line has code and sentence; the value found is in the QC record only."""
    error = made(kind)
    center.registry.on.add("naccid_for", error)
    file_id = center.upload(center.subject(), header={"patient_id": PATIENT_ID})
    outcome = center.run(file_id)
    assert f"{kind.code}: {error.sentence()}" in caplog.text
    told = str(error) + error.sentence() + repr(outcome) + caplog.text
    assert not [mark for mark in MARKS if mark in told]
    data = center.file(file_id).info["qc"][GEAR]["validation"]["data"]
    assert [each["value"] for each in data if each["code"] == kind.code] == [error.value]


def test_labels_of_an_unknown_type_of_parent_are_not_asked_for(center: Center) -> None:
    """A file whose parents lack a level has a shorter path."""
    analysis = center.site.add("analysis", "a1", center.subject())
    state = center.site.put(analysis, "x.dcm", b"DICM")
    center.holds(state, errors.NotDicomError("It is none."))
    assert state.parent == ContainerRef("analysis", analysis)
    center.run(state.file_id)
    (error,) = center.file(state.file_id).info["qc"][GEAR]["validation"]["data"]
    assert error["flywheel_path"] == f"fw://alpha-center/ingest-dicom/{PTID}/x.dcm"
