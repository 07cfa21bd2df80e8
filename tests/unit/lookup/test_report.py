"""Names and contents of QC record, file record and event, from the contract's text."""

from __future__ import annotations

import datetime as dt
import json
import re
import string
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from imaging_gears.gear.qc import (
    Subject,
    error_object,
    recorded_state,
    tag_changes,
    utc_seconds,
    validation_block,
)
from imaging_gears.image_identifier_lookup import GEAR, report
from imaging_gears.image_identifier_lookup.log_names import qc_log_name
from imaging_gears.image_identifier_lookup.report import Submission
from imaging_gears.model import findings
from imaging_gears.model.event import EventNote
from imaging_gears.model.findings import Finding, State
from imaging_gears.model.visit import Visit

MOMENT = dt.datetime(2026, 11, 20, 7, 2, 0, 85503, tzinfo=dt.UTC)
# What readers look for (contract outputs.md, 4 and 6).
LOG_READER = re.compile(
    r"^(?P<ptid>[!-~]{1,10})_(?P<date>\d{4}-\d{2}-\d{2})_(?:(?P<visitnum>[^_]+)_)?"
    r"(?P<module>[A-Za-z0-9]+)_qc-status\.log$"
)
EVENT_READER = re.compile(
    r"^(?P<environment>prod|dev)/log-submit-(?P<time>\d{8}-\d{6})-(?P<adcid>\d+)-"
    r"(?P<project>[\w-]+)-(?P<ptid>\w+)-(?P<date>\d{4}-\d{2}-\d{2})\.json$"
)
METADATA: dict[str, str | None] = {
    "patient_id": "110001",
    "study_date": "20240115",
    "modality": "MR",
    "study_instance_uid": "1.2.840.1",
    "series_instance_uid": "1.2.840.2",
    "series_number": "5",
    "series_date": "20240115",
    "manufacturer": "Siemens",
    "manufacturer_model_name": "Skyra",
    "series_description": "T1 MPRAGE",
    "magnetic_field_strength": "3.0",
    "images_in_acquisition": "176",
}


def visit(**more: Any) -> Visit:  # noqa: ANN401 - one of the fields
    """Return the contract's visit."""
    given_ = {"adcid": 42, "ptid": "110001", "date": dt.date(2024, 1, 15), "modality": "MR"}
    return Visit(**{**given_, **more})


def submission(**more: Any) -> Submission:  # noqa: ANN401 - one of the fields
    """Return the contract's submission."""
    given_ = {
        "project_label": "ingest-dicom",
        "group_id": "alpha-center",
        "visit": visit(),
        "naccid": "NACC000042",
        "metadata": METADATA,
        "file_id": "64c",
        "file_version": 1,
        "status": "PASS",
    }
    return Submission(**{**given_, **more})


PTIDS = st.text(
    "".join(map(chr, range(0x21, 0x7F))).replace("/", "").replace("\\", ""),
    min_size=1,
    max_size=10,
)
MODALITIES = st.text(string.ascii_letters + string.digits, min_size=1, max_size=16)
DATES = st.dates()


# -- time ------------------------------------------------------------------------------------------


def test_times_of_records_are_utc_whatever_zone_the_clock_has() -> None:
    """``YYYY-MM-DD HH:MM:SS`` in UTC."""
    zone = dt.timezone(dt.timedelta(hours=-5))
    assert utc_seconds(MOMENT) == "2026-11-20 07:02:00"
    assert utc_seconds(MOMENT.astimezone(zone)) == "2026-11-20 07:02:00"


# -- QC log's name ---------------------------------------------------------------------------------


def test_the_logs_name_is_the_contracts() -> None:
    """``{ptid}_{YYYY-MM-DD}_{modality}_qc-status.log``."""
    there = visit(ptid="12345", date=dt.date(2024, 3, 15))
    assert qc_log_name(there) == "12345_2024-03-15_MR_qc-status.log"


@given(PTIDS, DATES, MODALITIES)
@example("a_b_c", dt.date(1, 1, 1), "mr")
def test_readers_find_every_log_and_take_its_name_apart(
    ptid: str, date: dt.date, modality: str
) -> None:
    """The reader's pattern gives back participant, date and modality, and sees no visit number."""
    name = qc_log_name(visit(ptid=ptid, date=date, modality=modality))
    match = LOG_READER.match(name)
    assert match is not None
    assert match["ptid"] == ptid
    assert match["date"] == f"{date.year:04}-{date.month:02}-{date.day:02}"
    assert (match["visitnum"], match["module"]) == (None, modality)
    assert "/" not in name


# -- error object ----------------------------------------------------------------------------------

KEYS = [
    "timestamp",
    "type",
    "code",
    "location",
    "container_id",
    "flywheel_path",
    "value",
    "expected",
    "message",
    "ptid",
    "visitnum",
    "date",
    "naccid",
]


def test_an_error_object_has_all_its_keys_in_their_order() -> None:
    """What is not known (yet) is null; code and message never are."""
    made = error_object(
        Finding("error", "not-dicom", "It is none."), Subject(file_id="64c"), MOMENT
    )
    assert list(made) == KEYS
    assert {key for key, value in made.items() if value is not None} == {
        "timestamp",
        "type",
        "code",
        "container_id",
        "message",
    }


def test_an_error_object_says_where_whose_and_when() -> None:
    """Location is a key path, container_id the input's file_id, the rest stands as text."""
    about = Subject(
        file_id="64c",
        flywheel_path="fw://g/p/s/x/a/f.zip",
        ptid="110001",
        date=dt.date(2024, 1, 15),
        naccid="NACC000042",
    )
    finding = Finding("warning", "c", "m", "StudyDate", "20241399", "YYYYMMDD")
    assert error_object(finding, about, MOMENT) == {
        "timestamp": "2026-11-20 07:02:00",
        "type": "warning",
        "code": "c",
        "location": {"key_path": "StudyDate"},
        "container_id": "64c",
        "flywheel_path": "fw://g/p/s/x/a/f.zip",
        "value": "20241399",
        "expected": "YYYYMMDD",
        "message": "m",
        "ptid": "110001",
        "visitnum": None,
        "date": "2024-01-15",
        "naccid": "NACC000042",
    }


# -- blocks ----------------------------------------------------------------------------------------


def test_a_visit_has_exactly_six_keys() -> None:
    """Readers pass them on as arguments: a seventh would break them."""
    assert json.dumps(report.visit_block(visit(), "NACC000042")) == (
        '{"adcid": 42, "ptid": "110001", "naccid": "NACC000042", "date": "2024-01-15",'
        ' "visitnum": null, "modality": "MR"}'
    )
    assert report.visit_block(visit(), None)["naccid"] is None


def test_dicom_metadata_is_the_twelve_keys_and_their_source() -> None:
    """All values are strings or null, the twelve are always there, source says of which file."""
    few = dict.fromkeys(METADATA) | {"study_date": "20240115"}
    block = report.metadata_block(few, "64c", 3)
    assert list(block) == [*METADATA, "source"]
    assert block["source"] == {"file_id": "64c", "version": 3}
    assert [key for key in METADATA if block[key] is not None] == ["study_date"]


def test_the_codes_of_what_the_content_showed_stand_beside_the_source() -> None:
    """Once each, in their order, for that file and version; of other findings nothing is said."""
    found = (
        findings.MULTIPLE_VALUES.finding(),
        findings.PTID_MISMATCH.finding(),
        findings.MIXED_IDENTITY.finding(),
        findings.MULTIPLE_VALUES.finding(),
    )
    assert report.metadata_block(METADATA, "64c", 3, found)["source"] == {
        "file_id": "64c",
        "version": 3,
        "warnings": {
            "file_id": "64c",
            "version": 3,
            "codes": ["multiple-values", "mixed-identity"],
        },
    }
    about_others = (findings.PTID_MISMATCH.finding(), findings.EVENT_NOT_CAPTURED.finding())
    block = report.metadata_block(METADATA, "64c", 3, about_others)
    assert block["source"] == {"file_id": "64c", "version": 3}


@pytest.mark.parametrize("qc", [None, "odd", [], {}])
def test_a_file_record_sets_the_contracts_keys(qc: object) -> None:
    """Both spellings of the time stamp, the gear's qc entry with nothing beside, its notes."""
    record = report.file_record(
        qc,
        {"version": "0.1.0"},
        validation_block("FAIL", ()),
        MOMENT,
        identification=None,
        metadata=None,
        notes={"a": 1},
    )
    assert record == {
        "qc": {
            "image-identifier-lookup": {
                "job_info": {"version": "0.1.0"},
                "validation": {"state": "FAIL", "data": [], "cleared": []},
            }
        },
        "validated_timestamp": "2026-11-20 07:02:00",
        "validated-timestamp": "2026-11-20 07:02:00",
        "image-identifier-lookup": {"a": 1},
    }


def test_a_file_record_keeps_the_entries_of_other_gears() -> None:
    """The qc key is set whole, so it carries what others have there."""
    theirs = {"form-checker": {"validation": {"state": "PASS", "data": [], "cleared": []}}}
    record = report.file_record(
        {**theirs, GEAR: {"old": True}},
        {},
        validation_block("PASS", ()),
        MOMENT,
        identification={"adcid": 42},
        metadata={"modality": "MR"},
        notes={},
    )
    assert record["qc"]["form-checker"] == theirs["form-checker"]
    assert set(record["qc"][GEAR]) == {"job_info", "validation"}
    assert record["data_identification"] == {"adcid": 42}
    assert record["dicom_metadata"] == {"modality": "MR"}


@pytest.mark.parametrize(
    ("tags", "state", "add", "remove"),
    [
        ((), "PASS", "image-identifier-lookup-PASS", ()),
        (("image-identifier-lookup-PASS", "mine"), "PASS", None, ()),
        (
            ("image-identifier-lookup-PASS",),
            "FAIL",
            "image-identifier-lookup-FAIL",
            ("image-identifier-lookup-PASS",),
        ),
        (
            ("image-identifier-lookup-IN REVIEW", "x", "image-identifier-lookup-FAIL"),
            "PASS",
            "image-identifier-lookup-PASS",
            ("image-identifier-lookup-IN REVIEW", "image-identifier-lookup-FAIL"),
        ),
        (("form-checker-FAIL",), "PASS", "image-identifier-lookup-PASS", ()),
    ],
)
def test_exactly_one_tag_of_the_gear_is_left(
    tags: tuple[str, ...], state: State, add: str | None, remove: tuple[str, ...]
) -> None:
    """The verdict's tag comes, stale ones go, every other tag stays."""
    assert tag_changes(GEAR, tags, state) == (add, remove)


@pytest.mark.parametrize(
    ("qc", "state"),
    [
        ({GEAR: {"validation": {"state": "PASS"}}}, "PASS"),
        ({GEAR: {"validation": {"state": "FAIL"}}}, "FAIL"),
        ({GEAR: {"validation": {"state": "IN REVIEW"}}}, None),
        ({GEAR: {"validation": None}}, None),
        ({GEAR: "PASS"}, None),
        ({"other": {"validation": {"state": "PASS"}}}, None),
        (None, None),
    ],
)
def test_the_recorded_verdict_is_read_tolerantly(qc: object, state: str | None) -> None:
    """Only a verdict of this gear counts; any other content is none."""
    assert recorded_state(qc, GEAR) == state


# -- event -----------------------------------------------------------------------------------------


def test_the_events_key_is_the_contracts() -> None:
    """Environment, time to the second in UTC, ADCID, project label, PTID, visit date."""
    assert report.event_key("prod", submission(), MOMENT) == (
        "prod/log-submit-20261120-070200-42-ingest-dicom-110001-2024-01-15.json"
    )


def test_characters_that_readers_do_not_take_become_hyphens() -> None:
    """Outside letters, digits, ``_`` and ``-``, in label and PTID, and there only."""
    there = submission(project_label="ingest dicom.é", visit=visit(ptid="A.1+b"))
    assert report.event_key("dev", there, MOMENT) == (
        "dev/log-submit-20261120-070200-42-ingest-dicom---A-1-b-2024-01-15.json"
    )


@given(
    st.sampled_from(["prod", "dev"]),
    st.integers(0, 99999),
    st.text(min_size=1),
    PTIDS,
    DATES,
    st.datetimes(dt.datetime(2000, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
)
def test_readers_find_every_event(  # noqa: PLR0917 - hypothesis passes by position
    environment: str, adcid: int, label: str, ptid: str, date: dt.date, moment: dt.datetime
) -> None:
    """The reader's pattern, which skips silently what it does not match, matches every key.

    A PTID that ends in a punctuation mark is left out: the contract's own replacement, a hyphen,
    is no word character of the pattern.
    """
    assume(re.fullmatch(r"[A-Za-z0-9_]", ptid[-1]))
    there = submission(project_label=label, visit=visit(adcid=adcid, ptid=ptid, date=date))
    match = EVENT_READER.match(report.event_key(environment, there, moment))
    assert match is not None
    assert match["environment"] == environment
    assert int(match["adcid"]) == adcid
    assert match["date"] == f"{date.year:04}-{date.month:02}-{date.day:02}"
    assert match["time"] == (
        f"{moment.year:04}{moment.month:02}{moment.day:02}-"
        f"{moment.hour:02}{moment.minute:02}{moment.second:02}"
    )


FULL_KEYS = [
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
    "naccid",
    "modality",
    "study_instance_uid",
    "series_instance_uid",
    "file_id",
    "file_version",
    "status",
]


def test_a_full_event_has_the_keys_in_their_order() -> None:
    """All of the contract's keys, in its order."""
    assert list(json.loads(report.event_body(submission(), MOMENT, "full"))) == FULL_KEYS


def test_an_event_without_naccid_leaves_the_key_out() -> None:
    """Where the lookup failed there is no NACCID, not even null."""
    body = json.loads(report.event_body(submission(naccid=None, status="FAIL"), MOMENT, "full"))
    assert list(body) == [key for key in FULL_KEYS if key != "naccid"]
    assert body["status"] == "FAIL"


def test_a_strict_event_stops_before_naccid() -> None:
    """For readers that refuse unknown fields."""
    body = json.loads(report.event_body(submission(), MOMENT, "strict"))
    assert list(body) == FULL_KEYS[: FULL_KEYS.index("naccid")]


@pytest.mark.parametrize(
    ("label", "study"),
    [
        ("ingest-dicom", "adrc"),
        ("ingest-dicom-leads", "leads"),
        ("ingest-dicom-dvcid-2", "dvcid-2"),
        ("ingest-dicom-", "adrc"),
        ("sandbox", "adrc"),
        ("x-ingest-dicom-leads", "adrc"),
        ("ingest-form-leads", "adrc"),
    ],
)
def test_the_study_is_what_follows_the_datatype_in_the_projects_label(
    label: str, study: str
) -> None:
    """``ingest-dicom-{study}``, else adrc."""
    body = json.loads(report.event_body(submission(project_label=label), MOMENT, "full"))
    assert (body["study"], body["project_label"]) == (study, label)


def test_an_events_time_is_utc_with_its_offset() -> None:
    """Whatever zone the clock has."""
    zone = dt.timezone(dt.timedelta(hours=9))
    body = json.loads(report.event_body(submission(), MOMENT.astimezone(zone), "full"))
    assert body["timestamp"] == "2026-11-20T07:02:00.085503+00:00"


def test_an_events_time_keeps_its_form_on_a_full_second() -> None:
    """Microseconds are written although they are zero: a reader's format has them."""
    body = json.loads(report.event_body(submission(), MOMENT.replace(microsecond=0), "full"))
    assert body["timestamp"] == "2026-11-20T07:02:00.000000+00:00"


# -- notes -----------------------------------------------------------------------------------------

NOTE = EventNote("prod/log-submit-20261120-070200-42-p-110001-2024-01-15.json", MOMENT, 1, "PASS")


def test_a_note_comes_back_as_it_was_put_down() -> None:
    """Key, time to the microsecond, version and verdict."""
    block = report.note_block(NOTE)
    assert block == {
        "key": "prod/log-submit-20261120-070200-42-p-110001-2024-01-15.json",
        "timestamp": "2026-11-20T07:02:00.085503+00:00",
        "file_version": 1,
        "status": "PASS",
    }
    assert report.parse_note(block, NOTE) == NOTE


@pytest.mark.parametrize(
    "block",
    [
        None,
        "text",
        {},
        {"key": "dev/log-submit-20261120-070200-42-p-110001-2024-01-15.json"},
        {"key": "prod/log-submit-20261120-070200-42-p-110002-2024-01-15.json"},
        {"attempt": 1},
        {"file_version": 2},
        {"status": "FAIL"},
        {"timestamp": None},
        {"timestamp": "yesterday"},
        {"timestamp": "2026-11-20T07:02:00"},
    ],
)
def test_a_note_of_something_else_is_none(block: object) -> None:
    """Another version, verdict, attempt, environment or participant, or a time without zone."""
    if isinstance(block, dict):
        block = {**report.note_block(NOTE), **block} if block else {}
    assert report.parse_note(block, NOTE) is None
