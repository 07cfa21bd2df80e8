"""LookupContext, and how it is filled: from Flywheel, from an earlier run, or from the header."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from imaging_gears.errors import AdcidError, PtidError
from imaging_gears.gear.blocks import as_block
from imaging_gears.gear.qc import recorded_state
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.dicom_utils import KEPT, DicomMetadata
from imaging_gears.model.findings import FROM_CONTENT, Finding
from imaging_gears.model.participant import (
    ParticipantKey,
    parse_label,
    parse_ptid,
    same_participant,
)
from imaging_gears.model.visit import Visit, parse_modality, parse_study_date
from imaging_gears.ports import FileState, ProjectState, SubjectState

# Not int(): that takes "1_000" and digits of other scripts.
_DIGITS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What Flywheel knows before the file is opened. `ptid` is None where the label is empty.

    The NACCIDs stand as they were found: whether they are any is judged when the visit is known, so
    that a wrong one is reported in the visit's QC log. `warnings` are those of the file's content,
    as far as an earlier run has left word of them.
    """

    adcid: int
    ptid: str | None = field(repr=False)
    label_naccid: str | None = field(repr=False)
    stored_naccid: object = field(repr=False)
    metadata: DicomMetadata | None = field(default=None, repr=False)
    warnings: tuple[Finding, ...] = ()


class LookupContext(BaseModel):
    """Everything the lookup needs. If you hold one, nothing is missing."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    adcid: int = Field(ge=0)
    ptid: str = Field(repr=False, min_length=1, max_length=10)
    study_date: dt.date = Field(repr=False)
    modality: str
    stored_naccid: Any = Field(repr=False)
    label_naccid: str | None = Field(repr=False)
    metadata: Mapping[str, str | None] = Field(repr=False)
    ptid_mismatch: bool

    @property
    def key(self) -> ParticipantKey:
        """What the registry is asked by."""
        return ParticipantKey(adcid=self.adcid, ptid=self.ptid)

    @property
    def visit(self) -> Visit:
        """The visit that the file belongs to."""
        return Visit(adcid=self.adcid, ptid=self.ptid, date=self.study_date, modality=self.modality)


def adcid_of(project: ProjectState) -> int:
    """Return the center of a project: info ``pipeline_adcid``, else ``adcid``.

    Raises:
        AdcidError: neither is there, or the one that is there is no whole number of 0 or more.
    """
    for key in ("pipeline_adcid", "adcid"):
        value = project.info.get(key)
        if value is None:
            continue
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            return int(value)
        message = f"{key} of project {project.group}/{project.label} is no ADCID."
        raise AdcidError(message, location=f"project.info.{key}", expected="an integer >= 0")
    message = f"Project {project.group}/{project.label} has no pipeline_adcid."
    raise AdcidError(message, location="project.info.pipeline_adcid", expected="an integer >= 0")


def from_flywheel(
    file: FileState, subject: SubjectState, adcid: int, *, field_name: str, version: int
) -> Known:
    """Return what Flywheel knows of version `version` of the file, without opening it.

    Raises:
        PtidError: the subject's label is there and holds no PTID.
    """
    label = parse_label(subject.label)
    return Known(
        adcid=adcid,
        ptid=label.ptid if label else None,
        label_naccid=label.naccid if label else None,
        stored_naccid=subject.info.get(field_name),
        metadata=earlier_metadata(file, subject, version),
        warnings=earlier_warnings(file, subject, version),
    )


def earlier_metadata(file: FileState, subject: SubjectState, version: int) -> DicomMetadata | None:
    """Return the twelve values that an earlier run read from this very version, None otherwise.

    A block counts for the file that its ``source`` names. One without ``source``, as an earlier
    tool wrote it, counts only where this gear has judged the file before and the file's own visit
    does not speak against it: it may be of another study of the subject (contract outputs.md, 3).
    """
    if version != file.version:
        return None
    for info in (file.info, subject.info):
        block = info.get("dicom_metadata")
        if isinstance(block, Mapping) and _is_of(block, file):
            return {key: _text(block.get(key)) for key in KEPT}
    return None


def earlier_warnings(file: FileState, subject: SubjectState, version: int) -> tuple[Finding, ...]:
    """Return the warnings that earlier runs took from this very version's content.

    They stay true of it, and stand beside the twelve values and in the QC record. Each of them can
    be there alone: a run may be killed between its writes, and a later one that fails before it
    knows the visit replaces the record.
    """
    if version != file.version:
        return ()
    kinds = {kind.code: kind for kind in FROM_CONTENT}
    codes = dict.fromkeys(code for code in _codes(file, subject) if isinstance(code, str))
    return tuple(kinds[code].finding() for code in codes if code in kinds)


def complete(known: Known, metadata: DicomMetadata) -> LookupContext:
    """Return the context of the lookup from what Flywheel knows and what the header holds.

    Raises:
        MissingAttributeError: no StudyDate or no Modality.
        InvalidAttributeError: StudyDate is no date, or Modality not letters and digits.
        PtidError: neither the label nor PatientID is a participant id.
    """
    patient_id = (metadata["patient_id"] or "").strip()
    if known.ptid is None and not patient_id:
        message = "The subject has no label and the DICOM no PatientID (0010,0020)."
        raise PtidError(message, location="PatientID", expected="a participant id")
    ptid = known.ptid or parse_ptid(patient_id, location="PatientID")
    return LookupContext(
        adcid=known.adcid,
        ptid=ptid,
        study_date=parse_study_date(metadata["study_date"]),
        modality=parse_modality(metadata["modality"]),
        stored_naccid=known.stored_naccid,
        label_naccid=known.label_naccid,
        metadata=metadata,
        ptid_mismatch=bool(patient_id) and not same_participant(ptid, patient_id),
    )


def _codes(file: FileState, subject: SubjectState) -> Iterator[object]:
    for info in (file.info, subject.info):
        noted = _at(info, "dicom_metadata", "source", "warnings")
        # Those of another file may have stayed in the subject's block (see report.metadata_block).
        if isinstance(noted, Mapping) and _names(noted, file):
            codes = noted.get("codes")
            yield from codes if isinstance(codes, list) else ()
    data = _at(file.info, "qc", GEAR, "validation", "data")
    for each in data if isinstance(data, list) else ():
        yield _at(each, "code")


def _at(value: object, *keys: str) -> object:
    """Return what stands under these keys, one below the other; None where there is none."""
    for key in keys:
        value = as_block(value).get(key)
    return value


def _names(source: Mapping[str, Any], file: FileState) -> bool:
    return source.get("file_id") == file.file_id and source.get("version") == file.version


def _is_of(block: Mapping[str, Any], file: FileState) -> bool:
    source = block.get("source")
    if isinstance(source, Mapping):
        return _names(source, file)
    judged = file.info.get("qc")
    if not isinstance(judged, Mapping) or GEAR not in judged:
        return False
    visit = file.info.get("data_identification")
    if not isinstance(visit, Mapping):
        # A run that failed before it knew the visit has read nothing of this file.
        return recorded_state(judged, GEAR) != "FAIL"
    return str(visit.get("date")).replace("-", "") == _text(block.get("study_date")) and visit.get(
        "modality"
    ) == block.get("modality")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
