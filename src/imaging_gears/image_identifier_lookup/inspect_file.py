"""What the gear sees in a file, without a site: for whoever holds the file.

Here, and only here, a patient's values are shown: that is what `inspect` is for.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaging_gears.errors import ImagingError, PtidError
from imaging_gears.image_identifier_lookup import extraction, file_resolver, report
from imaging_gears.image_identifier_lookup.dicom_utils import KEPT
from imaging_gears.image_identifier_lookup.extraction import Known, LookupContext
from imaging_gears.image_identifier_lookup.file_resolver import Looked, Resolved
from imaging_gears.image_identifier_lookup.log_names import qc_log_name
from imaging_gears.image_identifier_lookup.report import Submission
from imaging_gears.model.findings import Finding

Json = dict[str, Any]
PTID, ADCID, PROJECT, ENVIRONMENT = "{ptid}", "{adcid}", "{project-label}", "{environment}"
MOMENT = "{YYYYMMDD-HHMMSS}"
"""Placeholders for what only a site knows, or the moment of the run."""

_NO_PTID = (
    "PatientID (0010,0020) is no participant id: on a site, the subject's label has to be one."
)
# What stands in a key until a placeholder replaces it: a key can't hold braces.
_MOMENT, _STAMP = dt.datetime(1000, 1, 1, tzinfo=dt.UTC), "10000101-000000"
_LABEL = "label"
_CLEANED_PTID = "-ptid-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a site would know of the file. None is not known."""

    adcid: int | None = None
    project_label: str | None = None
    environment: str | None = None


def inspect(path: Path, place: Place) -> Json:
    """Return what the gear sees in the file at `path`, and the names that it would use.

    Where the gear would fail the file on any site, ``error`` says why, and the rest holds what
    could be found out before. No usable PatientID is a warning only: a subject's label comes first.
    """
    seen, looked = _blank(path), Looked()
    try:
        _check(path)
        resolved = file_resolver.resolve(path, looked)
        seen |= _content(resolved)
        seen |= _names(resolved, place, seen["warnings"])
    except ImagingError as error:
        seen |= _way(looked)
        seen["error"] = _error(error.code, error.message, error.remedy)
    except OSError as error:
        seen["error"] = _error("not-readable", f"{error.strerror}.", "Check the path.")
    return seen


def _error(code: str, message: str, remedy: str) -> Json:
    return {"code": code, "message": message, "remedy": remedy}


def _check(path: Path) -> None:
    """Refuse what would be opened and never end, such as a pipe.

    Raises:
        OSError: it is not there, or not an ordinary file.
    """
    if path.is_dir():
        raise IsADirectoryError(0, "It is a directory, not a file")
    path.stat()
    if not path.is_file():
        raise OSError(0, "It is not an ordinary file")


def _blank(path: Path) -> Json:
    return {
        "file": str(path),
        "dicom_metadata": dict.fromkeys(KEPT),
        "member": None,
        "skipped": [],
        "passed_over": None,
        "transfer_syntax_uid": None,
        "ptid": None,
        "ptid_source": None,
        "qc_log": None,
        "event_key": None,
        "warnings": [],
        "bytes_read": None,
        "error": None,
    }


def _content(resolved: Resolved) -> Json:
    return {
        "dicom_metadata": {key: resolved.metadata[key] for key in KEPT},
        "member": resolved.member,
        "transfer_syntax_uid": resolved.transfer_syntax_uid,
        "warnings": [_warning(finding) for finding in resolved.findings],
        **_way(resolved),
    }


def _way(looked: Looked | Resolved) -> Json:
    return {
        "skipped": [{"name": each.name, "reason": each.reason} for each in looked.skipped],
        "passed_over": looked.passed_over,
        "bytes_read": looked.bytes_read,
    }


def _warning(finding: Finding) -> Json:
    return {"code": finding.code, "message": finding.message}


def _names(resolved: Resolved, place: Place, warnings: list[Json]) -> Json:
    """Return PTID, QC log and event key; a PatientID that is no PTID is added to `warnings`.

    Raises:
        InputFileError: no usable StudyDate or Modality.
    """
    ptid: str | None = None
    try:
        context = _context(resolved, place)
        ptid = context.ptid
    except PtidError as error:
        warnings.append({"code": error.code, "message": _NO_PTID})
        context = _context(resolved, place, label=PTID)
    return {
        "ptid": ptid,
        "ptid_source": "PatientID" if ptid else None,
        "qc_log": qc_log_name(context.visit),
        "event_key": _event_key(context, place),
        "warnings": warnings,
    }


def _context(resolved: Resolved, place: Place, label: str | None = None) -> LookupContext:
    known = Known(adcid=place.adcid or 0, ptid=label, label_naccid=None, stored_naccid=None)
    return extraction.complete(known, resolved.metadata)


def _event_key(context: LookupContext, place: Place) -> str:
    """Return the key of the event, with placeholders for what is not known here."""
    submission = Submission(
        project_label=place.project_label or _LABEL,
        group_id="",
        visit=context.visit,
        naccid=None,
        metadata=context.metadata,
        file_id="",
        file_version=1,
        status="PASS",
    )
    key = report.event_key("", submission, _MOMENT)
    rest = key.removeprefix(f"/log-submit-{_STAMP}-{context.adcid}-")
    if place.project_label is None:
        rest = PROJECT + rest.removeprefix(_LABEL)
    if context.ptid == PTID:
        date = f"-{context.study_date.isoformat()}.json"
        rest = rest.removesuffix(_CLEANED_PTID + date) + PTID + date
    adcid = ADCID if place.adcid is None else place.adcid
    return f"{place.environment or ENVIRONMENT}/log-submit-{MOMENT}-{adcid}-{rest}"
