"""A run, row by row: what stands where afterwards, and how little it took."""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from imaging_gears.sandbox import EngineOptions, Fault, Sandbox, Seed
from tests.gear.gear_helpers import (
    BUCKET,
    GEAR,
    INPUT,
    LOG,
    METADATA,
    NACCID,
    NAME,
    PTID,
    REPOSITORY,
    TEST_ID,
    Center,
    defaults,
    image,
    leaks,
    read_config,
    state_and_codes,
    zipped,
)
from tests.waiting import until

LINE = "{stamp} QC Status: IMAGE-IDENTIFIER-LOOKUP - {state}  {name} {file_id}#{version}\n"
PASS, FAIL, IN_REVIEW = (f"{GEAR}-{state}" for state in ("PASS", "FAIL", "IN REVIEW"))
OTHER_GEAR = {"validation": {"state": "PASS", "data": [], "cleared": []}}


def block(file_id: str, version: int = 1, **changes: str | None) -> dict[str, Any]:
    """Return the metadata block of a file (contract outputs.md, 3)."""
    return {**METADATA, **changes, "source": {"file_id": file_id, "version": version}}


def only_event(center: Center) -> tuple[str, dict[str, Any]]:
    """Return key and body of the center's one event."""
    ((key, body),) = center.events().items()
    return key, body


def second_of(key: str) -> dt.datetime:
    """Return the second that an event's key names."""
    match = re.search(r"log-submit-(\d{8}-\d{6})-", key)
    assert match
    return dt.datetime.strptime(match[1], "%Y%m%d-%H%M%S").replace(tzinfo=dt.UTC)


# --- A first run, complete ------------------------------------------------------------------------


def test_a_first_run_writes_all_five_outputs(center: Center) -> None:
    """Subject, QC log, event, file.info and tags are those of the contract, to the byte."""
    subject = center.subject(site="kept")
    file_id = center.upload(subject, tags=["mine"], info={"mine": {"kept": True}})
    folder = center.folder_of(file_id)
    before = dt.datetime.now(dt.UTC)
    ended = center.run_in(folder, exec_=True)
    after = dt.datetime.now(dt.UTC)
    assert (ended.code, ended.err) == (0, "")

    naccid, visit = "NACC908172", "2024-01-15"
    assert center.info(subject) == {
        "site": "kept",
        "naccid": naccid,
        "dicom_metadata": block(file_id),
    }

    key, event = only_event(center)
    other = copy.copy(center)
    other.adcid = 4418  # it is in the key, within the PTID
    assert other.events() == {}
    moment = dt.datetime.fromisoformat(event["timestamp"])
    assert before <= moment <= after
    second = moment.strftime("%Y%m%d-%H%M%S")
    assert key == (f"prod/log-submit-{second}-{center.adcid}-ingest-dicom-QZ7-4418-{visit}.json")
    text = (
        '{"action":"submit","study":"adrc","project_label":"ingest-dicom",'
        f'"center_label":"{center.group}","gear_name":"image-identifier-lookup",'
        f'"datatype":"dicom","timestamp":"{event["timestamp"]}","visit_date":"{visit}",'
        f'"pipeline_adcid":{center.adcid},"ptid":"QZ7-4418","naccid":"{naccid}",'
        '"modality":"CT","study_instance_uid":"1.2.840.99.7713.1",'
        f'"series_instance_uid":"1.2.840.99.7713.1.5","file_id":"{file_id}",'
        '"file_version":1,"status":"PASS"}'
    )
    assert center.sandbox.s3_objects(BUCKET)[key] == text.encode()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", event["timestamp"])

    stamp = moment.strftime("%Y-%m-%d %H:%M:%S")
    note = {
        "key": key,
        "timestamp": event["timestamp"],
        "file_version": 1,
        "status": "PASS",
    }
    identity = {
        "adcid": center.adcid,
        "ptid": "QZ7-4418",
        "naccid": naccid,
        "date": visit,
        "visitnum": None,
        "modality": "CT",
    }
    validation = {"state": "PASS", "data": [], "cleared": []}
    assert list(center.logs()) == ["QZ7-4418_2024-01-15_CT_qc-status.log"]
    log = center.log()
    assert log["text"] == LINE.format(
        stamp=stamp, state="PASS", name=NAME, file_id=file_id, version=1
    )
    record = {"version": 1, "run": 1, "state": "PASS", "timestamp": stamp}
    record |= {"naccid": NACCID, "data": []}
    assert log["info"] == {
        "qc": {GEAR: {"validation": validation}},
        "visit": identity,
        GEAR: {"base": 0, "files": {file_id: {**record, "events": [note]}}},
    }

    file, config = center.file(file_id), read_config(folder)
    assert file["tags"] == ["mine", "image-identifier-lookup-PASS"]
    given = {
        "parent": file["parent_ref"],
        "file_id": file_id,
        "version": 1,
        "file_name": NAME,
    }
    job_info = {
        "version": "0.1.0",
        "job_id": config["job"]["id"],
        "inputs": {INPUT: given},
        "config": config["config"],
    }
    assert file["info"] == {
        "mine": {"kept": True},
        "qc": {GEAR: {"job_info": job_info, "validation": validation}},
        "validated_timestamp": stamp,
        "validated-timestamp": stamp,
        "data_identification": identity,
        "dicom_metadata": block(file_id),
        GEAR: {"run": {"version": 1, "number": 1, "event": note}, "event": note},
    }


def test_a_first_run_makes_few_requests(center: Center) -> None:
    """Ten of Flywheel, one each of SSM, Lambda and S3."""
    assert center.run(center.upload()).code == 0
    assert center.requests() == {"flywheel": 10, "ssm": 1, "lambda": 1, "s3": 1}


def test_each_step_has_its_line_and_the_last_one_sums_up(center: Center) -> None:
    """Steps end with their durations; the summary has verdict, outputs, requests and seconds."""
    ended = center.run(center.upload())
    *steps, summary = ended.lines("INFO")
    assert all(re.search(r" \(\d+\.\d\d s\)$", line) for line in steps)
    assert re.fullmatch(
        r"verdict PASS; written: subject, QC log, event, file record; requests: AWS S3 1,"
        r" AWS SSM 1, Flywheel 10, identifier API 1; \d+\.\d\d s",
        summary,
    )
    assert len(ended.out.splitlines()) == len(steps) + 1


def test_the_permissions_of_the_policy_are_enough(center: Center) -> None:
    """A first run and the meeting with an event that is there need what the policy grants."""
    policy = json.loads((REPOSITORY / "docs/iam-policy.json").read_text(encoding="utf-8"))
    actions = [each["Action"] for each in policy["Statement"]]
    center.sandbox.allowed_actions = {
        name for each in actions for name in (each if isinstance(each, list) else [each])
    }
    # The reply to the put is lost, so the event that the second put meets has to be read.
    center.sandbox.faults.add(Fault(service="s3", route="PutObject", kind="drop-after"))
    file_id = center.upload()
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("PASS", [], [PASS])
    assert [each.route for each in center.sandbox.requests.all() if each.service == "s3"] == [
        "PutObject",
        "PutObject",
        "GetObject",
    ]


@pytest.mark.parametrize("packed", [False, True], ids=["file", "zip"])
def test_the_first_dicom_counts_however_it_is_packed(center: Center, *, packed: bool) -> None:
    """A DICOM by itself, or the first image behind what is none; names don't matter."""
    data = image()
    if packed:
        members = {
            "__MACOSX/._IM1": image(StudyDate="20010101"),
            "empty.dcm": b"",
            "README.txt": b"no image",
            "1.2.840.99.7713.1.5.IMA": data,
            "later": data,
        }
        data = zipped(**members)
    file_id = center.upload(data=data, name="scan" if not packed else NAME)
    assert center.run(file_id).code == 0
    assert center.file(file_id)["info"]["dicom_metadata"] == block(file_id)


# --- The short cut --------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "overwritten"])
def test_what_is_known_of_a_file_is_not_read_again(center: Center, *, gone: bool) -> None:
    """The same version again: the upload is not missed, nobody is asked, nothing is announced."""
    file_id = center.upload()
    center.run(file_id)
    center.sandbox.requests.clear()
    events, info = center.events(), center.info(center.file(file_id)["parents"]["subject"])
    folder = center.folder_of(file_id)
    upload = folder / "input" / INPUT / NAME
    if gone:
        upload.unlink()
    else:
        upload.write_bytes(b"no DICOM any more")
    ended = center.run_in(folder)
    assert ended.code == 0
    requests = center.requests("flywheel", "ssm", "lambda", "identifiers", "s3")
    assert requests.pop("flywheel") <= 10
    assert requests == {"ssm": 1, "lambda": 0, "identifiers": 0, "s3": 0}
    assert center.verdict(file_id) == ("PASS", [], [PASS])
    assert center.runs() == [
        f"PASS  {NAME} {file_id}#1",
        f"PASS  {NAME} {file_id}#1 run 2",
    ]
    assert center.events() == events
    assert center.info(center.file(file_id)["parents"]["subject"]) == info


def test_a_second_study_is_never_taken_for_the_first(center: Center) -> None:
    """Another date and modality of the same subject get their own log, event and file record."""
    subject = center.subject()
    first = center.upload(subject)
    center.run(first)
    before = center.file(first)
    changes = {
        "StudyDate": "20250228",
        "Modality": "MR",
        "StudyInstanceUID": "1.2.840.99.7713.2",
    }
    second = center.upload(subject, zipped(image(**changes)))
    center.run(second)
    assert sorted(center.logs()) == [LOG, "QZ7-4418_2025-02-28_MR_qc-status.log"]
    assert center.runs("QZ7-4418_2025-02-28_MR_qc-status.log") == [f"PASS  {NAME} {second}#1"]
    assert center.runs(LOG) == [f"PASS  {NAME} {first}#1"]
    identification = center.file(second)["info"]["data_identification"]
    assert (identification["date"], identification["modality"]) == ("2025-02-28", "MR")
    dates = [(each["visit_date"], each["modality"]) for each in center.events().values()]
    assert dates == [("2024-01-15", "CT"), ("2025-02-28", "MR")]
    expected = block(
        second, study_date="20250228", modality="MR", study_instance_uid="1.2.840.99.7713.2"
    )
    assert center.info(subject)["dicom_metadata"] == expected
    assert center.file(first) == before
    # The lookup was needed once: now the subject knows its NACCID.
    assert center.requests("lambda") == {"lambda": 1}


def test_a_new_version_of_a_file_is_read_anew(center: Center) -> None:
    """What was known of the version before does not count; the new one has its own event."""
    file_id = center.upload()
    center.run(file_id)
    center.new_version(file_id, zipped(image(SeriesDescription="T2")))
    assert center.run(file_id).code == 0
    expected = block(file_id, 2, series_description="T2")
    assert center.file(file_id)["info"]["dicom_metadata"] == expected
    assert center.runs() == [f"PASS  {NAME} {file_id}#1", f"PASS  {NAME} {file_id}#2"]
    assert [each["file_version"] for each in center.events().values()] == [1, 2]


def test_a_late_job_of_an_older_version_reads_its_own_upload(center: Center) -> None:
    """What a run found in the newer version says nothing of the older one."""
    file_id = center.upload()
    late = center.folder_of(file_id)
    center.new_version(file_id, zipped(image(StudyDate="20250228")))
    center.run(file_id)
    newer = center.file(file_id)
    assert center.run_in(late).code == 0
    assert center.runs("QZ7-4418_2025-02-28_CT_qc-status.log") == [f"PASS  {NAME} {file_id}#2"]
    assert center.runs(LOG) == [f"PASS  {NAME} {file_id}#1"]
    assert center.file(file_id) == newer
    dates = [(each["file_version"], each["visit_date"]) for each in center.events().values()]
    assert dates == [(2, "2025-02-28"), (1, "2024-01-15")]


# --- Who it is ------------------------------------------------------------------------------------


def test_over_https_where_ssm_has_its_url(center: Center) -> None:
    """The identifier API's URL and key in SSM make it the transport; Lambda is not asked."""
    prefix = center.parameters(url="{identifiers_url}", key="{identifiers_key}")
    file_id = center.upload()
    assert center.run(file_id, apikey_path_prefix=prefix).code == 0
    assert center.verdict(file_id) == ("PASS", [], [PASS])
    assert center.file(file_id)["info"]["data_identification"]["naccid"] == NACCID
    requests = center.requests("ssm", "identifiers", "lambda")
    assert requests == {"ssm": 1, "identifiers": 1, "lambda": 0}


def test_a_known_naccid_is_not_looked_up(center: Center) -> None:
    """It is used as it stands, and dicom_metadata is written all the same."""
    subject = center.subject(naccid="NACC000777")
    file_id = center.upload(subject)
    assert center.run(file_id).code == 0
    assert center.info(subject) == {"naccid": "NACC000777", "dicom_metadata": block(file_id)}
    assert only_event(center)[1]["naccid"] == "NACC000777"
    assert center.requests("lambda", "identifiers") == {"lambda": 0, "identifiers": 0}


@pytest.mark.parametrize("label", ["", f"000{PTID}", f"  {PTID} "])
def test_the_ptid_is_the_label_cleaned_or_else_patient_id(center: Center, label: str) -> None:
    """Blanks and leading zeros go; where the label is empty, PatientID is cleaned alike."""
    patient_id = f"00{PTID}" if label == "" else PTID
    file_id = center.upload(center.subject(label), zipped(image(PatientID=patient_id)))
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("PASS", [], [PASS])
    assert center.file(file_id)["info"]["data_identification"]["ptid"] == PTID
    assert list(center.logs()) == [LOG]


def test_a_label_may_name_the_naccid_too(center: Center) -> None:
    """PTID+NACCID is taken apart, and the halves agree."""
    file_id = center.upload(center.subject(f"{PTID}+{NACCID}"))
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("PASS", [], [PASS])
    assert center.file(file_id)["info"]["data_identification"]["ptid"] == PTID


def test_a_label_with_another_participant_s_naccid_is_a_conflict(center: Center) -> None:
    """The file FAILs, the job succeeds, and nothing is written on the subject."""
    subject = center.subject(f"{PTID}+NACC000777")
    file_id = center.upload(subject)
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("FAIL", ["naccid-conflict"], [FAIL])
    assert center.info(subject) == {}
    assert "naccid" not in only_event(center)[1]


def test_a_naccid_that_came_meanwhile_stays(center: Center) -> None:
    """Another job stores its own while this one asks: a conflict, and the stored one wins."""
    subject = center.subject()
    file_id = center.upload(subject)
    center.sandbox.faults.add(Fault(service="lambda", kind="hold"))
    started = center.start(center.folder_of(file_id))
    assert center.sandbox.faults.wait_held()
    center.sandbox.site.hierarchy.change_info(subject, {"set": {"naccid": "NACC000777"}})
    center.sandbox.faults.release()
    assert started.wait().code == 0
    assert center.verdict(file_id) == ("FAIL", ["naccid-conflict"], [FAIL])
    assert center.info(subject) == {"naccid": "NACC000777"}


def test_dev_mode_asks_the_other_database(center: Center) -> None:
    """TEST ids, and the event under dev/."""
    file_id = center.upload()
    ended = center.run(file_id, database_mode="dev", event_environment="dev")
    assert ended.code == 0
    key, event = only_event(center)
    assert key.startswith("dev/log-submit-")
    assert event["naccid"] == TEST_ID
    assert center.info(center.file(file_id)["parents"]["subject"])["naccid"] == TEST_ID


def test_the_naccid_may_have_another_field(center: Center) -> None:
    """naccid_field_name says where it is looked for and where it is written."""
    subject = center.subject(naccid="of somebody else's making")
    file_id = center.upload(subject)
    assert center.run(file_id, naccid_field_name="adrc_id").code == 0
    assert center.info(subject) == {
        "naccid": "of somebody else's making",
        "adrc_id": NACCID,
        "dicom_metadata": block(file_id),
    }
    assert center.run(center.upload(subject), naccid_field_name="adrc_id").code == 0
    assert center.requests("lambda") == {"lambda": 1}


# --- The QC log and the file beside other writers -------------------------------------------------


def test_a_log_of_another_letter_case_goes_on(center: Center) -> None:
    """The project's log ends in _ct_: no second log is made."""
    name = LOG.replace("_CT_", "_ct_")
    center.put_log("", name)
    file_id = center.upload()
    center.run(file_id)
    assert list(center.logs()) == [name]
    assert center.runs(name) == [f"PASS  {NAME} {file_id}#1"]
    assert center.log(name)["info"]["visit"]["modality"] == "CT"


def test_other_gears_keep_their_text_info_and_tags(center: Center) -> None:
    """In the log, and on the file."""
    line = "2024-01-15 09:00:00 QC Status: OTHER-GEAR - PASS\n"
    qc = {"other-gear": OTHER_GEAR}
    center.put_log(line, tags=["theirs"], info={"qc": qc, "reviewed": {"by": "somebody"}})
    info = {"qc": {"other-gear": {"job_info": {}, **OTHER_GEAR}}, "header": {"kept": 1}}
    file_id = center.upload(tags=["theirs"], info=info)
    center.run(file_id)
    log, file = center.log(), center.file(file_id)
    assert log["version"] == 2
    assert log["text"].startswith(line)
    assert len(log["text"].splitlines()) == 2
    assert log["info"]["qc"] == {"other-gear": OTHER_GEAR, GEAR: OTHER_GEAR}
    assert log["info"]["reviewed"] == {"by": "somebody"}
    assert log["tags"] == ["theirs"]
    assert file["info"]["qc"]["other-gear"] == {"job_info": {}, **OTHER_GEAR}
    assert set(file["info"]["qc"]) == {"other-gear", GEAR}
    assert file["info"]["header"] == {"kept": 1}
    assert file["tags"] == ["theirs", PASS]


def test_exactly_one_tag_of_the_gear_remains(center: Center) -> None:
    """Stale ones of another verdict or of a review go; all others stay."""
    file_id = center.upload(tags=[IN_REVIEW, "theirs", FAIL, "other-gear-FAIL"])
    center.run(file_id)
    assert center.file(file_id)["tags"] == ["theirs", "other-gear-FAIL", PASS]


def test_a_newer_version_is_not_written_on(center: Center) -> None:
    """The file got a new version before the job ran: that has its own job, and the log says so."""
    subject = center.subject()
    file_id = center.upload(subject)
    folder = center.folder_of(file_id)
    center.new_version(file_id)
    newer = center.file(file_id)
    ended = center.run_in(folder)
    assert ended.code == 0
    assert center.file(file_id) == newer
    assert center.sandbox.site.file(file_id, 1)["info"] == {}
    assert any("newer version" in line for line in ended.lines("INFO"))
    assert center.runs() == [f"PASS  {NAME} {file_id}#1"]
    assert only_event(center)[1]["file_version"] == 1
    assert center.info(subject)["dicom_metadata"] == block(file_id)


def test_a_newer_version_that_comes_meanwhile_is_left_as_it_was(center: Center) -> None:
    """The same, while the job is at its lookup: in the end the newer version tells of no job."""
    file_id = center.upload()
    center.sandbox.faults.add(Fault(service="lambda", kind="hold"))
    started = center.start(center.folder_of(file_id))
    assert center.sandbox.faults.wait_held()
    center.new_version(file_id)
    center.sandbox.faults.release()
    assert started.wait().code == 0
    newer = center.file(file_id)
    assert (newer["version"], newer["info"], newer["tags"]) == (2, {}, [])
    assert center.runs() == [f"PASS  {NAME} {file_id}#1"]
    assert only_event(center)[1]["file_version"] == 1


def test_what_others_write_on_the_file_meanwhile_survives(center: Center) -> None:
    """Keys and tags that came after the job's first read are there in the end."""
    file_id = center.upload()
    center.sandbox.faults.add(Fault(service="lambda", kind="hold"))
    started = center.start(center.folder_of(file_id))
    assert center.sandbox.faults.wait_held()
    site = center.sandbox.site
    site.files.change_info(file_id, {"set": {"qc": {"other-gear": OTHER_GEAR}, "late": 1}})
    site.change_tags(file_id, add=["late"], remove=[])
    center.sandbox.faults.release()
    assert started.wait().code == 0
    file = center.file(file_id)
    assert file["info"]["qc"]["other-gear"] == OTHER_GEAR
    assert file["info"]["late"] == 1
    assert file["tags"] == ["late", PASS]


def test_a_later_pass_clears_the_errors_of_a_fail(center: Center) -> None:
    """Log info, record and tags say PASS; the text keeps both runs, and both are announced."""
    file_id = center.upload()
    center.sandbox.identifiers.remove("prod", center.adcid, PTID)
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("FAIL", ["identifier-not-found"], [FAIL])
    assert center.log_verdict() == ("FAIL", ["identifier-not-found"])
    center.sandbox.identifiers.add("prod", center.adcid, PTID, NACCID)
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("PASS", [], [PASS])
    assert center.log_verdict() == ("PASS", [])
    assert center.log()["info"]["visit"]["naccid"] == NACCID
    assert center.runs() == [
        f"FAIL  {NAME} {file_id}#1",
        f"PASS  {NAME} {file_id}#1 run 2",
    ]
    events = list(center.events().values())
    assert [each["status"] for each in events] == ["FAIL", "PASS"]
    assert "naccid" not in events[0]
    assert events[0]["timestamp"] < events[1]["timestamp"]


def test_a_log_fails_while_one_file_of_the_visit_does(center: Center) -> None:
    """The other series' PASS does not hide it, and its errors stay until its own next run."""
    subject = center.subject(naccid=NACCID)
    good, bad = center.upload(subject), center.upload(subject)
    center.sandbox.identifiers.remove("prod", center.adcid, PTID)
    center.run(bad, naccid_field_name="nowhere")
    center.run(good)
    assert center.log_verdict() == ("FAIL", ["identifier-not-found"])
    assert center.verdict(good) == ("PASS", [], [PASS])
    center.run(bad)
    assert center.log_verdict() == ("PASS", [])


# --- Events ---------------------------------------------------------------------------------------


def test_an_event_moves_out_of_the_way_of_another_series(center: Center) -> None:
    """The seconds from now on are taken by another series: the next free one is used."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    taken = [now + dt.timedelta(seconds=each) for each in range(8)]
    key = f"prod/log-submit-{{:%Y%m%d-%H%M%S}}-{center.adcid}-ingest-dicom-{PTID}-2024-01-15.json"
    s3 = boto3.client("s3")
    theirs = b'{"file_id":"65f000000000000000000009","file_version":1,"status":"PASS"}'
    for moment in taken:
        s3.put_object(Bucket=BUCKET, Key=key.format(moment), Body=theirs)
    file_id = center.upload()
    assert center.run_in(center.folder_of(file_id), moment=now).code == 0
    events = center.events()
    assert len(events) == len(taken) + 1
    ((name, event),) = [
        (name, event) for name, event in events.items() if event["file_id"] == file_id
    ]
    assert name == key.format(taken[-1] + dt.timedelta(seconds=1))
    moment = dt.datetime.fromisoformat(event["timestamp"])
    assert moment.replace(microsecond=0) == second_of(name)
    note = center.file(file_id)["info"][GEAR]["event"]
    assert (note["key"], note["timestamp"]) == (name, event["timestamp"])


def test_a_strict_event_stops_before_naccid(center: Center) -> None:
    """Readers that refuse unknown fields get the ten that they know, in their order."""
    center.run(center.upload(), event_fields="strict")
    assert list(only_event(center)[1]) == [
        "action",
        "study",
        "project_label",
        "center_label",
        "gear_name",
        "datatype",
        "timestamp",
        "visit_date",
        "pipeline_adcid",
        "ptid",
    ]


@pytest.mark.parametrize(
    ("label", "study", "in_key"),
    [
        ("ingest-dicom-leads", "leads", "ingest-dicom-leads"),
        ("ingest dicom.v2", "adrc", "ingest-dicom-v2"),
    ],
)
def test_the_project_s_label_gives_study_and_key(
    make_center: Callable[..., Center], label: str, study: str, in_key: str
) -> None:
    """The study follows the datatype; the key has letters, digits, _ and - only, the body all."""
    center = make_center(label)
    center.run(center.upload())
    key, event = only_event(center)
    assert (event["study"], event["project_label"]) == (study, label)
    assert f"-{center.adcid}-{in_key}-{PTID}-2024-01-15.json" in key


def test_a_ptid_is_replaced_in_the_key_only(center: Center) -> None:
    """A PTID may hold what a key may not: log name and body have it as it is."""
    center.sandbox.identifiers.add("prod", center.adcid, "Q.7#18", NACCID)
    file_id = center.upload(center.subject("Q.7#18"), zipped(image(PatientID="Q.7#18")))
    assert center.run(file_id).code == 0
    key, event = only_event(center)
    assert key.endswith("-ingest-dicom-Q-7-18-2024-01-15.json")
    assert event["ptid"] == "Q.7#18"
    assert list(center.logs()) == ["Q.7#18_2024-01-15_CT_qc-status.log"]


# --- At the same time -----------------------------------------------------------------------------


def held_at_the_log(center: Center, *file_ids: str) -> Iterator[int]:
    """Run the gear on files until each is about to write the log; let go; yield exit codes."""
    route = f"/projects/{center.project}/files"
    count = len(file_ids)
    center.sandbox.faults.add(Fault(method="POST", route=route, kind="hold", times=count))
    runs = [center.start(center.folder_of(file_id)) for file_id in file_ids]
    assert center.sandbox.faults.wait_held(count)
    center.sandbox.faults.release()
    for run in runs:
        yield run.wait().code


def test_two_series_at_once_lose_nothing(center: Center) -> None:
    """Both have read the log before either writes it: two lines, two events, two records."""
    subject = center.subject(naccid=NACCID)
    one, two = center.upload(subject), center.upload(subject)
    assert list(held_at_the_log(center, one, two)) == [0, 0]
    assert sorted(center.runs()) == sorted(f"PASS  {NAME} {each}#1" for each in (one, two))
    assert set(center.log()["info"][GEAR]["files"]) == {one, two}
    events = center.events()
    assert sorted(each["file_id"] for each in events.values()) == sorted((one, two))
    for each in (one, two):
        assert center.verdict(each) == ("PASS", [], [PASS])
        note = center.file(each)["info"][GEAR]["event"]
        assert events[note["key"]]["file_id"] == each


def test_a_job_that_runs_twice_at_once_counts_once(center: Center) -> None:
    """One line, one event, one record: as after a single run."""
    file_id = center.upload()
    assert list(held_at_the_log(center, file_id, file_id)) == [0, 0]
    assert center.runs() == [f"PASS  {NAME} {file_id}#1"]
    key, event = only_event(center)
    assert center.file(file_id)["info"][GEAR]["event"]["key"] == key
    assert event["file_id"] == file_id
    assert center.verdict(file_id) == ("PASS", [], [PASS])


# --- Config ---------------------------------------------------------------------------------------


def plan_of(lines: list[str]) -> list[dict[str, Any]]:
    """Return the plan that a dry run has logged."""
    (text,) = [line.partition("the plan: ")[2] for line in lines if "the plan: " in line]
    return list(json.loads(text))


@pytest.fixture
def small_site() -> Iterator[Sandbox]:
    """A site of a test's own, small enough to be compared as a whole."""
    with Sandbox.start(run_jobs=False) as started:
        started.aws.wait()
        yield started


@pytest.mark.parametrize("known", [True, False], ids=["PASS", "FAIL"])
def test_a_dry_run_writes_nothing_and_says_what_it_would(
    small_site: Sandbox, make_center: Callable[..., Center], *, known: bool
) -> None:
    """Site and bucket are as before; the plan has targets and shapes, and no value."""
    center = make_center(site=small_site)
    if not known:
        center.sandbox.identifiers.remove("prod", center.adcid, PTID)
    subject = center.subject()
    file_id = center.upload(subject, tags=[IN_REVIEW])
    folder = center.folder_of(file_id, dry_run=True)
    state, objects = center.sandbox.site.dump(center.project), center.sandbox.s3_objects(BUCKET)
    ended = center.run_in(folder)
    assert ended.code == 0
    assert center.sandbox.site.dump(center.project) == state
    assert center.sandbox.s3_objects(BUCKET) == objects
    assert center.requests("lambda", "s3") == {"lambda": 1, "s3": 0}
    assert "verdict PASS;" in ended.out if known else "verdict FAIL (identifier" in ended.out
    plan = plan_of(ended.lines("INFO"))
    writes = [(each["write"], each["target"]) for each in plan]
    name = "prod/log-submit-{timestamp}-{adcid}-{project}-{ptid}-{date}.json"
    log = f"project/{center.project}/files/{{ptid}}_{{date}}_{{modality}}_qc-status.log"
    assert writes == [
        *([("merge info", f"subject/{subject}")] if known else []),
        ("upload", log),
        ("set info", f"file/{file_id}"),
        ("put if absent", f"s3://{BUCKET}/{name}"),
        ("set info", f"file/{file_id}"),
        ("add tag", f"file/{file_id}"),
        ("remove tags", f"file/{file_id}"),
    ]
    if known:
        assert plan[0]["content"]["naccid"] == "string"
    assert leaks(json.dumps(plan), center.marks) == []


def test_strict_outputs_change_nothing_when_all_is_written(center: Center) -> None:
    """Exit 0."""
    assert center.run(center.upload(), strict_outputs=True).code == 0


# --- By the gear rule -----------------------------------------------------------------------------


def test_an_upload_starts_the_gear_by_its_rule(tmp_path: Path) -> None:
    """A site's rule, its job, its key and the manifest's command: complete, and PASS."""
    rule = {"name": "lookup", "gear": GEAR, "all": [{"type": "file.type", "value": "dicom"}]}
    config = {key: value for key, value in defaults().items() if key.startswith("event_")}
    project = {
        "label": "ingest-dicom",
        "info": {"pipeline_adcid": "42"},
        "subjects": [
            {"label": PTID, "sessions": [{"label": "v", "acquisitions": [{"label": "a"}]}]}
        ],
        "rules": [{**rule, "config": config}],
    }
    seed = {
        "groups": [{"id": "alpha-center", "projects": [project]}],
        "gears": [str(REPOSITORY / "manifest.json")],
        "users": [{"id": "gearbot"}],
        "identifiers": [{"adcid": 42, "ptid": PTID, "naccid": NACCID}],
        "parameters": [{"name": "/prod/flywheel/gearbot/apikey", "value": "{key:gearbot}"}],
        "buckets": [BUCKET],
    }
    engine = EngineOptions(environ={"TMPDIR": str(tmp_path)})
    with Sandbox.start(seed=Seed.model_validate(seed), engine=engine) as sandbox:
        path = f"alpha-center/ingest-dicom/{PTID}"
        acquisition = sandbox.site.lookup(f"{path}/v/a")["_id"]
        file = sandbox.site.upload(acquisition, NAME, zipped(image()))
        until(sandbox.site.jobs, "the rule has made a job")
        (job,) = sandbox.wait_for_jobs()
        info = sandbox.site.file(file["file_id"])["info"]
        naccid = sandbox.site.lookup(path)["info"]["naccid"]
        events = sandbox.s3_objects(BUCKET)
    assert job["state"] == "complete"
    assert state_and_codes(info["qc"][GEAR]) == ("PASS", [])
    assert info["qc"][GEAR]["job_info"]["job_id"] == job["_id"]
    assert naccid == NACCID
    assert len(events) == 1
