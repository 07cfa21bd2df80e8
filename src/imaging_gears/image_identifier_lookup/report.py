"""QC record, file record, event: their names and contents (contract outputs.md, 3 to 6). Pure."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from imaging_gears.gear.qc import Json, qc_block, utc_seconds
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.dicom_utils import KEPT, DicomMetadata
from imaging_gears.model.event import EventNote
from imaging_gears.model.findings import FROM_CONTENT, Finding, State
from imaging_gears.model.visit import Visit

_OUTSIDE_KEY = re.compile(r"[^A-Za-z0-9_-]")
_STAMP_OF_KEY = re.compile(r"/log-submit-[0-9]{8}-[0-9]{6}-")
_INGEST = re.compile(r"ingest-dicom-(.+)")
_DATATYPE = "dicom"
_DEFAULT_STUDY = "adrc"
_CONTENT_CODES = frozenset(kind.code for kind in FROM_CONTENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One file version of a visit with its outcome, complete: what an event says."""

    project_label: str
    group_id: str
    visit: Visit
    naccid: str | None = field(repr=False)
    metadata: DicomMetadata = field(repr=False)
    file_id: str
    file_version: int
    status: State


def metadata_block(
    metadata: DicomMetadata, file_id: str, version: int, findings: tuple[Finding, ...] = ()
) -> Json:
    """Return the ``dicom_metadata`` block: the twelve values, and the file they were read from.

    Who trusts the values leaves the file closed, so the codes of the warnings that its content gave
    rise to stand beside them. They name the file once more: Flywheel merges subject.info deeply,
    and what another file's block had there stays.
    """
    source: Json = {"file_id": file_id, "version": version}
    codes = [each.code for each in findings if each.code in _CONTENT_CODES]
    if codes:
        source["warnings"] = {**source, "codes": list(dict.fromkeys(codes))}
    return {**{key: metadata[key] for key in KEPT}, "source": source}


def visit_block(visit: Visit, naccid: str | None) -> Json:
    """Return the six keys by which other programs identify a visit; they allow no seventh."""
    return {
        "adcid": visit.adcid,
        "ptid": visit.ptid,
        "naccid": naccid,
        "date": visit.date.isoformat(),
        "visitnum": None,
        "modality": visit.modality,
    }


def file_record(
    qc: object,
    job_info: Json,
    validation: Json,
    moment: dt.datetime,
    *,
    identification: Json | None,
    metadata: Json | None,
    notes: Json,
) -> Json:
    """Return the keys of file.info that a run sets (contract outputs.md, 5).

    `qc` is what the file had there: entries of other gears stay.
    """
    stamp = utc_seconds(moment)
    record: Json = {
        "qc": qc_block(qc, GEAR, job_info, validation),
        "validated_timestamp": stamp,
        "validated-timestamp": stamp,
        GEAR: notes,
    }
    if identification is not None:
        record["data_identification"] = identification
    if metadata is not None:
        record["dicom_metadata"] = metadata
    return record


def event_key(environment: str, submission: Submission, moment: dt.datetime) -> str:
    """Return the S3 key of an event (contract outputs.md, 6)."""
    stamp = moment.astimezone(dt.UTC).strftime("%Y%m%d-%H%M%S")
    visit = submission.visit
    label, ptid = (_OUTSIDE_KEY.sub("-", text) for text in (submission.project_label, visit.ptid))
    name = f"log-submit-{stamp}-{visit.adcid}-{label}-{ptid}-{visit.date.isoformat()}.json"
    return f"{environment}/{name}"


def event_body(
    submission: Submission, moment: dt.datetime, fields: Literal["full", "strict"]
) -> bytes:
    """Return an event as compact JSON; ``strict`` stops before ``naccid``."""
    visit, metadata = submission.visit, submission.metadata
    ingest = _INGEST.fullmatch(submission.project_label)
    body: Json = {
        "action": "submit",
        "study": ingest.group(1) if ingest else _DEFAULT_STUDY,
        "project_label": submission.project_label,
        "center_label": submission.group_id,
        "gear_name": GEAR,
        "datatype": _DATATYPE,
        "timestamp": moment.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "visit_date": visit.date.isoformat(),
        "pipeline_adcid": visit.adcid,
        "ptid": visit.ptid,
    }
    if fields == "full":
        body |= {} if submission.naccid is None else {"naccid": submission.naccid}
        body |= {
            "modality": visit.modality,
            "study_instance_uid": metadata["study_instance_uid"],
            "series_instance_uid": metadata["series_instance_uid"],
            "file_id": submission.file_id,
            "file_version": submission.file_version,
            "status": submission.status,
        }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def note_block(note: EventNote) -> Json:
    """Return an event's note as it stands in file.info and in the QC log's info."""
    block: Json = {
        "key": note.key,
        "timestamp": note.timestamp.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "file_version": note.file_version,
        "status": note.status,
    }
    return block | ({"attempt": note.attempt} if note.attempt else {})


def parse_note(block: object, like: EventNote) -> EventNote | None:
    """Return the note in `block` if it announces what `like` does, else None."""
    if not isinstance(block, Mapping) or note_identity(block) != note_identity(note_block(like)):
        return None
    try:
        moment = dt.datetime.fromisoformat(str(block.get("timestamp")))
    except ValueError:
        return None
    return None if moment.tzinfo is None else replace(like, key=block["key"], timestamp=moment)


def note_identity(block: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what a note announces: file version, status, attempt, and the key but for its time.

    The key names environment, center, project, participant and date: after a correction of the
    label, the file is announced for its new participant.
    """
    parts = tuple(_STAMP_OF_KEY.split(str(block.get("key")), maxsplit=1))
    return block.get("file_version"), block.get("status"), block.get("attempt", 0), *parts
