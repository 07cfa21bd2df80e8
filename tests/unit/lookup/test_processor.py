"""The business logic: known or looked up, conflicts, and what is merged into subject.info."""

from __future__ import annotations

from typing import Any

import pytest

from imaging_gears import errors
from imaging_gears.image_identifier_lookup.extraction import Known, LookupContext, complete
from imaging_gears.image_identifier_lookup.processor import (
    LookUp,
    UseKnown,
    identify,
    next_step,
    parse_stored,
    put_back,
    subject_update,
    update_subject,
    warnings_of,
)
from imaging_gears.model.findings import PTID_MISMATCH
from imaging_gears.model.participant import ParticipantKey
from imaging_gears.ports import SubjectState
from tests.fakes import InMemoryRegistry, InMemorySite

NACCID, OTHER = "NACC000042", "NACC000043"
METADATA = dict.fromkeys(
    (
        "series_instance_uid",
        "study_instance_uid",
        "series_number",
        "series_date",
        "manufacturer",
        "manufacturer_model_name",
        "series_description",
        "magnetic_field_strength",
        "images_in_acquisition",
    )
) | {"patient_id": "110001", "study_date": "20240115", "modality": "MR"}


def context(
    stored: object = None, label: str | None = None, patient_id: str = "110001"
) -> LookupContext:
    """Return a context of participant 110001 at center 42."""
    known = Known(adcid=42, ptid="110001", label_naccid=label, stored_naccid=stored)
    return complete(known, {**METADATA, "patient_id": patient_id})


def registry(naccid: object = NACCID) -> InMemoryRegistry:
    """Return a registry that knows the participant."""
    return InMemoryRegistry({("prod", 42, "110001"): naccid})


# -- which step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [None, ""])
def test_without_a_stored_naccid_the_registry_is_asked(stored: object) -> None:
    """An empty field is no NACCID."""
    expected = LookUp(ParticipantKey(adcid=42, ptid="110001"))
    assert next_step(context(stored), "prod") == expected


def test_a_stored_naccid_is_used() -> None:
    """No lookup."""
    assert next_step(context(NACCID), "prod") == UseKnown(NACCID)
    assert NACCID not in repr(UseKnown(NACCID))


@pytest.mark.parametrize(
    ("stored", "label", "location"),
    [
        ("TEST000042", None, "subject.info"),
        ("NACC42", None, "subject.info"),
        (42, None, "subject.info"),
        ({}, None, "subject.info"),
        (None, "TEST000042", "subject.label"),
        (NACCID, "TEST000042", "subject.label"),
    ],
)
def test_a_naccid_that_is_none_of_the_mode_is_an_error(
    stored: object, label: str | None, location: str
) -> None:
    """Wherever it stands: the error says where, and nothing is looked up."""
    asked = registry()
    with pytest.raises(errors.NaccidInvalidError) as raised:
        identify(context(stored, label), asked, "prod")
    assert raised.value.location == location
    assert asked.asked == []


def test_what_is_stored_is_parsed_like_any_naccid() -> None:
    """None and an empty text are none, a NACCID is itself."""
    assert parse_stored(None, "dev") is None
    assert parse_stored("", "dev") is None
    assert parse_stored("TEST000042", "dev") == "TEST000042"


# -- identify --------------------------------------------------------------------------------------


def test_a_known_naccid_needs_no_registry() -> None:
    """The registry is not asked at all."""
    asked = registry()
    assert identify(context(NACCID), asked, "prod") == NACCID
    assert asked.asked == []


def test_a_lookup_asks_by_center_and_participant() -> None:
    """In the database of the mode."""
    asked = InMemoryRegistry({("dev", 42, "110001"): "TEST000042"})
    assert identify(context(), asked, "dev") == "TEST000042"
    assert asked.asked == [("dev", 42, "110001")]


def test_an_unknown_participant_is_an_error() -> None:
    """The registry answered: no such participant."""
    with pytest.raises(errors.IdentifierNotFoundError):
        identify(context(), InMemoryRegistry(), "prod")


@pytest.mark.parametrize("answer", ["TEST000042", "NACC42", "", None, 42, ["NACC000042"]])
def test_an_answer_that_is_no_naccid_of_the_mode_is_an_error_not_a_result(answer: object) -> None:
    """A naccid that does not match its pattern or the mode is refused."""
    with pytest.raises(errors.NaccidInvalidError) as raised:
        identify(context(), registry(answer), "prod")
    assert raised.value.location == "the identifier API's answer"


@pytest.mark.parametrize("stored", [None, NACCID])
def test_a_label_that_names_the_same_naccid_agrees(stored: str | None) -> None:
    """``PTID+NACCID``: the half behind the plus equals what the lookup gives, or what is stored."""
    assert identify(context(stored, NACCID), registry(), "prod") == NACCID


@pytest.mark.parametrize("stored", [None, NACCID])
def test_a_label_that_names_another_naccid_is_a_conflict(stored: str | None) -> None:
    """The value found and the one expected go into the QC record, not into the sentence."""
    with pytest.raises(errors.NaccidConflictError) as raised:
        identify(context(stored, OTHER), registry(), "prod")
    error = raised.value
    assert (error.code, error.location) == ("naccid-conflict", "subject.label")
    assert (error.value, error.expected) == (OTHER, NACCID)
    assert NACCID not in str(error)
    assert OTHER not in str(error)


@pytest.mark.parametrize(("patient_id", "codes"), [("110001", ()), ("9", ("ptid-mismatch",))])
def test_a_mismatch_of_patient_id_is_a_warning(patient_id: str, codes: tuple[str, ...]) -> None:
    """Somebody should look; the file passes. The warning has no values."""
    found = warnings_of(context(patient_id=patient_id))
    assert tuple(each.code for each in found) == codes
    assert all(each == PTID_MISMATCH.finding() and each.value is None for each in found)


# -- subject.info ----------------------------------------------------------------------------------


def block(file_id: str = "f1", version: int = 1, **more: object) -> dict[str, Any]:
    """Return a ``dicom_metadata`` block."""
    return {**METADATA, **more, "source": {"file_id": file_id, "version": version}}


def update(info: dict[str, Any], naccid: str = NACCID) -> dict[str, Any] | None:
    """Return what is to be merged into a subject with that info."""
    subject = SubjectState(id="s", label="110001", info=info)
    return subject_update(subject, naccid, block(), field_name="naccid", mode="prod")


def test_one_write_sets_naccid_and_metadata() -> None:
    """Under the configured key, and the block of the file processed last."""
    assert update({"other": 1}) == {"naccid": NACCID, "dicom_metadata": block()}


def test_metadata_is_written_when_the_naccid_was_known_already() -> None:
    """It is that of the file processed last."""
    info = {"naccid": NACCID, "dicom_metadata": block("f0")}
    assert update(info) == {"naccid": NACCID, "dicom_metadata": block()}


def test_what_stands_there_already_is_not_written_again() -> None:
    """A re-run changes nothing on the subject."""
    assert update({"naccid": NACCID, "dicom_metadata": block(), "other": 1}) is None


def test_what_a_merge_would_not_remove_is_no_reason_to_write() -> None:
    """Another file's warnings stay in the block when it is replaced, however often that is done."""
    there = block()
    there["source"]["warnings"] = {"file_id": "f0", "version": 1, "codes": ["mixed-identity"]}
    assert update({"naccid": NACCID, "dicom_metadata": there}) is None


@pytest.mark.parametrize("there", [{}, {**METADATA, "source": None}, "odd"])
def test_a_block_that_lacks_something_is_written(there: object) -> None:
    """A null that is not there is not the same as one that is."""
    info = {"naccid": NACCID, "dicom_metadata": there}
    assert update(info) == {"naccid": NACCID, "dicom_metadata": block()}


def test_another_naccid_stays_and_is_an_error() -> None:
    """Another job has stored it meanwhile: ``naccid-conflict``."""
    with pytest.raises(errors.NaccidConflictError) as raised:
        update({"naccid": OTHER})
    assert (raised.value.location, raised.value.value) == ("subject.info", OTHER)


def test_something_that_is_no_naccid_is_not_overwritten() -> None:
    """What a person typed there is theirs to correct."""
    with pytest.raises(errors.NaccidInvalidError):
        update({"naccid": "to be clarified"})


@pytest.mark.parametrize(
    "present",
    [
        block("f1", 2),
        block("f1", 9),
    ],
)
def test_the_block_of_a_newer_version_of_the_file_stays(present: dict[str, Any]) -> None:
    """The job of an old version, run late, does not turn the subject back."""
    assert update({"dicom_metadata": present}) == {"naccid": NACCID}


@pytest.mark.parametrize(
    "present",
    [
        None,
        "text",
        {**METADATA},
        {**METADATA, "source": "f1"},
        block("f1", 0),
        block("f2", 9),
        {**METADATA, "source": {"file_id": "f1", "version": "9"}},
        {**METADATA, "source": {"file_id": "f1"}},
    ],
)
def test_any_other_block_is_replaced(present: object) -> None:
    """Of another file, of an older version, or without a source that can be read."""
    expected = {"naccid": NACCID, "dicom_metadata": block()}
    assert update({"dicom_metadata": present}) == expected


def test_the_subject_is_read_again_before_it_is_written() -> None:
    """The lookup took time, in which another job may have stored its NACCID."""
    site = InMemorySite()
    group = site.add("group", "alpha-center")
    project = site.add("project", "ingest-dicom", group)
    subject = site.add("subject", "110001", project, {"kept": {"a": 1}})

    def run(naccid: str = NACCID) -> bool:
        return update_subject(site, subject, naccid, block(), field_name="nid", mode="prod")

    assert run() is True
    assert site.info(subject) == {"kept": {"a": 1}, "nid": NACCID, "dicom_metadata": block()}
    assert run() is False
    assert site.on.calls == ["subject", "merge_subject_info", "subject"]
    with pytest.raises(errors.NaccidConflictError):
        run(OTHER)
    assert site.info(subject)["nid"] == NACCID


@pytest.mark.parametrize(
    ("stored", "left"),
    [("NACC000002", "NACC000001"), ("NACC000001", "NACC000001"), ("NACC000003", "NACC000003")],
)
def test_only_what_this_job_has_written_is_put_back(stored: str, left: str) -> None:
    """A third NACCID is somebody else's and stays, and so do all other keys."""
    site = InMemorySite()
    project = site.add("project", "ingest-dicom")
    subject = site.add("subject", "110001", project, info={"naccid": stored, "kept": 1})
    put_back(site, subject, "naccid", "NACC000002", "NACC000001")
    assert site.subject(subject).info == {"naccid": left, "kept": 1}
