"""What Flywheel knows of a file, when an earlier run's values count, and the complete context."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from imaging_gears import errors
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.extraction import (
    Known,
    LookupContext,
    adcid_of,
    complete,
    earlier_metadata,
    earlier_warnings,
    from_flywheel,
)
from imaging_gears.model.findings import MIXED_IDENTITY
from imaging_gears.model.participant import ParticipantKey
from imaging_gears.ports import ContainerRef, FileState, ProjectState, SubjectState

TWELVE = {
    "patient_id": "110001",
    "study_date": "20240115",
    "modality": "MR",
    "study_instance_uid": "1.2.3",
    "series_instance_uid": "1.2.3.4",
    "series_number": "5",
    "series_date": "20240115",
    "manufacturer": "Siemens",
    "manufacturer_model_name": "Skyra",
    "series_description": "T1",
    "magnetic_field_strength": "3.0",
    "images_in_acquisition": "176",
}
JUDGED = {"qc": {GEAR: {"validation": {"state": "PASS", "data": [], "cleared": []}}}}


def project(**info: object) -> ProjectState:
    """Return a project with that info."""
    return ProjectState(id="p", group="alpha-center", label="ingest-dicom", info=info)


def file(version: int = 1, **info: object) -> FileState:
    """Return the input."""
    parent = ContainerRef("acquisition", "a")
    return FileState(file_id="f1", version=version, name="x.zip", parent=parent, info=info)


def subject(label: str = "110001", **info: object) -> SubjectState:
    """Return the input's subject."""
    return SubjectState(id="s", label=label, info=info)


def block(file_id: str | None = None, version: int = 1, **more: object) -> dict[str, object]:
    """Return a ``dicom_metadata`` block, with its source where a file is given."""
    source = {} if file_id is None else {"source": {"file_id": file_id, "version": version}}
    return {**TWELVE, **source, **more}


# -- ADCID -----------------------------------------------------------------------------------------


@given(st.integers(min_value=0, max_value=10**9))
@example(0)
def test_an_adcid_is_a_whole_number_or_its_digits(adcid: int) -> None:
    """As a number and as a string of digits."""
    assert adcid_of(project(pipeline_adcid=adcid)) == adcid
    assert adcid_of(project(pipeline_adcid=str(adcid))) == adcid
    assert adcid_of(project(adcid=adcid)) == adcid


def test_pipeline_adcid_comes_first() -> None:
    """``adcid`` is asked only where ``pipeline_adcid`` is absent."""
    assert adcid_of(project(pipeline_adcid=42, adcid=7)) == 42
    assert adcid_of(project(pipeline_adcid=None, adcid=7)) == 7
    assert adcid_of(project(pipeline_adcid=0, adcid=7)) == 0


@given(
    st.one_of(
        st.integers(max_value=-1),
        st.booleans(),
        st.floats(),
        st.text().filter(lambda text: not (text.isascii() and text.isdigit())),
        st.lists(st.integers()),
        st.dictionaries(st.text(), st.integers()),
    ),
    st.sampled_from(["pipeline_adcid", "adcid"]),
)
@example("1_000", "adcid")
@example("４２", "adcid")
@example(" 42", "adcid")
@example("-1", "adcid")
@example("", "pipeline_adcid")
@example("9" * 5000, "adcid")
def test_anything_else_is_an_error_that_names_project_and_key(value: object, key: str) -> None:
    """No fallback from a wrong ``pipeline_adcid`` to ``adcid``: somebody has to correct it."""
    with pytest.raises(errors.AdcidError, match="alpha-center/ingest-dicom") as raised:
        adcid_of(project(**{"adcid": 7, key: value} if key == "pipeline_adcid" else {key: value}))
    assert raised.value.location == f"project.info.{key}"
    assert key in str(raised.value)


def test_a_project_without_adcid_is_an_error() -> None:
    """The project says no center."""
    with pytest.raises(errors.AdcidError, match="alpha-center/ingest-dicom has no pipeline_adcid"):
        adcid_of(project())


# -- what Flywheel knows ---------------------------------------------------------------------------


def test_flywheel_knows_label_and_stored_naccid() -> None:
    """The field's name is configurable; what is stored there is judged later."""
    known = from_flywheel(
        file(),
        subject(" 00110001+NACC000042 ", naccid="NACC1", other="TEST000042"),
        42,
        field_name="other",
        version=1,
    )
    assert known == Known(
        adcid=42, ptid="110001", label_naccid="NACC000042", stored_naccid="TEST000042"
    )


def test_an_empty_label_leaves_the_ptid_open() -> None:
    """PatientID is asked then."""
    known = from_flywheel(file(), subject(" "), 42, field_name="naccid", version=1)
    assert (known.ptid, known.label_naccid, known.stored_naccid) == (None, None, None)


def test_a_label_of_zeros_is_never_a_reason_to_ask_patient_id() -> None:
    """It is an error, not an empty label."""
    with pytest.raises(errors.PtidError):
        from_flywheel(file(), subject("000"), 42, field_name="naccid", version=1)


# -- the short cut: contract outputs.md, 3 ---------------------------------------------------------

LEGACY = block()
SAME_VISIT = {"data_identification": {"date": "2024-01-15", "modality": "MR"}}

TRUSTED: dict[str, tuple[FileState, SubjectState]] = {
    "own block of this version": (file(dicom_metadata=block("f1")), subject()),
    "subject's block of this version": (file(), subject(dicom_metadata=block("f1"))),
    "own block without source, judged before": (
        file(dicom_metadata=LEGACY, **JUDGED),
        subject(),
    ),
    "subject's block without source, judged before": (
        file(**JUDGED, **SAME_VISIT),
        subject(dicom_metadata=LEGACY),
    ),
    "own block first": (
        file(dicom_metadata=block("f1")),
        subject(dicom_metadata=block("f1", modality="CT")),
    ),
    "subject's block where the own one is of another version": (
        file(2, dicom_metadata=block("f1", 1, modality="CT")),
        subject(dicom_metadata=block("f1", 2)),
    ),
}
NOT_TRUSTED: dict[str, tuple[FileState, SubjectState]] = {
    "nothing there": (file(), subject()),
    "subject's block of another file": (file(), subject(dicom_metadata=block("f2"))),
    "subject's block of another file, judged before": (
        file(**JUDGED, **SAME_VISIT),
        subject(dicom_metadata=block("f2")),
    ),
    "subject's block of another version": (
        file(2),
        subject(dicom_metadata=block("f1", 1)),
    ),
    "own block copied from another file": (file(dicom_metadata=block("f2")), subject()),
    "own block of another version": (file(2, dicom_metadata=block("f1", 1)), subject()),
    "own block without source, never judged": (file(dicom_metadata=LEGACY), subject()),
    "subject's block without source, never judged": (file(), subject(dicom_metadata=LEGACY)),
    "judged by another gear only": (
        file(dicom_metadata=LEGACY, qc={"form-checker": {}}),
        subject(dicom_metadata=LEGACY),
    ),
    "qc is no object": (file(dicom_metadata=LEGACY, qc="PASS"), subject()),
    "the file's own visit is of another date": (
        file(**JUDGED, data_identification={"date": "2024-02-20", "modality": "MR"}),
        subject(dicom_metadata=LEGACY),
    ),
    "the file's own visit is of another modality": (
        file(**JUDGED, data_identification={"date": "2024-01-15", "modality": "CT"}),
        subject(dicom_metadata=LEGACY),
    ),
    "block is no object": (file(dicom_metadata="MR"), subject(dicom_metadata=[1])),
}


@pytest.mark.parametrize("case", TRUSTED)
def test_an_earlier_runs_values_are_trusted_for_the_file_they_were_read_from(case: str) -> None:
    """All twelve are taken over as they are."""
    input_, whose = TRUSTED[case]
    assert earlier_metadata(input_, whose, input_.version) == TWELVE


@pytest.mark.parametrize("case", NOT_TRUSTED)
def test_values_of_another_file_are_never_trusted(case: str) -> None:
    """The file is opened then."""
    input_, whose = NOT_TRUSTED[case]
    assert earlier_metadata(input_, whose, input_.version) is None


def test_a_file_whose_visit_was_never_known_does_not_inherit_the_subjects_block() -> None:
    """A first run that failed before it knew the visit leaves a qc entry and nothing to go by.

    The subject's block without source is then of another file, perhaps another study: a second
    study must never inherit the first one's date or modality.
    """
    failed = {"qc": {GEAR: {"validation": {"state": "FAIL", "data": [], "cleared": []}}}}
    assert earlier_metadata(file(**failed), subject(dicom_metadata=LEGACY), 1) is None


def test_values_of_the_newest_version_do_not_count_for_an_older_one() -> None:
    """What Flywheel has is of the newest version; the job was given an older one."""
    assert earlier_metadata(file(2, dicom_metadata=block("f1", 2)), subject(), version=1) is None


def test_what_is_no_text_in_a_block_counts_as_absent() -> None:
    """All values are strings or null; whatever else an earlier tool left is not used."""
    odd = block("f1", modality=7, series_number="", patient_id=["110001"])
    del odd["study_date"]
    found = earlier_metadata(file(dicom_metadata=odd), subject(), 1)
    assert found is not None
    assert set(found) == set(TWELVE)
    nothing = {key for key, value in found.items() if value is None}
    assert nothing == {"modality", "series_number", "patient_id", "study_date"}


def warned(file_id: object = "f1", version: object = 1, codes: object = None) -> dict[str, object]:
    """Return info with a block that warnings stand beside; its own source is another file."""
    beside = {"file_id": file_id, "version": version, "codes": codes or ["mixed-identity"]}
    source = {"file_id": "f2", "version": 7, "warnings": beside}
    return {"dicom_metadata": {**TWELVE, "source": source}}


def recorded(data: object) -> dict[str, object]:
    """Return info with a QC record that has these error objects."""
    return {"qc": {GEAR: {"validation": {"state": "PASS", "data": data, "cleared": []}}}}


WARNED: dict[str, tuple[FileState, SubjectState]] = {
    "own block": (file(**warned()), subject()),
    "subject's block": (file(), subject(**warned())),
    "the record": (file(**recorded([{"code": "mixed-identity"}])), subject()),
    "each of them, and what is not of the content": (
        file(**warned(), **recorded([{"code": "ptid-mismatch"}, {"code": "mixed-identity"}])),
        subject(**warned()),
    ),
}
NOT_WARNED: dict[str, tuple[FileState, SubjectState]] = {
    "nothing there": (file(), subject()),
    "those of another file": (file(), subject(**warned("f2"))),
    "those of another version": (file(2), subject(**warned("f1", 1))),
    "no warnings beside the source": (file(dicom_metadata=block("f1")), subject()),
    "blocks that are none": (file(dicom_metadata="MR", qc="PASS"), subject(dicom_metadata=[1])),
    "codes that are none": (
        file(**warned(codes="mixed-identity"), **recorded([{"code": ["mixed-identity"]}, "odd"])),
        subject(**warned(codes=[7, None, {}])),
    ),
    "data that is none": (file(**recorded({"code": "mixed-identity"})), subject()),
}


@pytest.mark.parametrize("case", WARNED)
def test_warnings_of_the_content_are_known_wherever_a_run_has_left_them(case: str) -> None:
    """Each place alone is enough; the finding is the catalogue's, once."""
    assert earlier_warnings(*WARNED[case], version=1) == (MIXED_IDENTITY.finding(),)


@pytest.mark.parametrize("case", NOT_WARNED)
def test_warnings_of_another_file_are_never_taken_over(case: str) -> None:
    """Flywheel merges subject.info deeply: they may have stayed in this file's block."""
    input_, whose = NOT_WARNED[case]
    assert earlier_warnings(input_, whose, input_.version) == ()


def test_warnings_of_the_newest_version_do_not_count_for_an_older_one() -> None:
    """As its values do not."""
    info = {**warned("f1", 2), **recorded([{"code": "mixed-identity"}])}
    assert earlier_warnings(file(2, **info), subject(), version=1) == ()


# -- the complete context --------------------------------------------------------------------------


def known(ptid: str | None = "110001") -> Known:
    """Return what Flywheel knows of a file that was never processed."""
    return Known(adcid=42, ptid=ptid, label_naccid=None, stored_naccid=None)


def test_a_context_is_complete() -> None:
    """Center, participant, date and modality make the visit and the registry's key."""
    context = complete(known(), TWELVE)
    assert context.key == ParticipantKey(adcid=42, ptid="110001")
    visit = context.visit
    assert (visit.adcid, visit.ptid, visit.date, visit.modality) == (
        42,
        "110001",
        dt.date(2024, 1, 15),
        "MR",
    )
    assert context.metadata == TWELVE
    assert context.ptid_mismatch is False


@pytest.mark.parametrize("patient_id", ["110001", " 00110001 ", "", "  ", None])
def test_a_patient_id_that_agrees_or_is_absent_is_no_mismatch(patient_id: str | None) -> None:
    """Both are cleaned the same way before they are compared."""
    assert not complete(known(), {**TWELVE, "patient_id": patient_id}).ptid_mismatch


@pytest.mark.parametrize("patient_id", ["110002", "Doe^Jane", "000", "much-too-long-for-a-ptid"])
def test_a_patient_id_that_differs_is_a_mismatch_and_the_label_wins(patient_id: str) -> None:
    """It need not be a PTID at all: it is not used."""
    context = complete(known(), {**TWELVE, "patient_id": patient_id})
    assert context.ptid_mismatch
    assert context.ptid == "110001"


def test_patient_id_is_the_ptid_where_the_label_is_empty() -> None:
    """Cleaned like a label, and no mismatch with itself."""
    context = complete(known(None), {**TWELVE, "patient_id": " 00120002 "})
    assert (context.ptid, context.ptid_mismatch) == ("120002", False)


@pytest.mark.parametrize("patient_id", [None, "", " ", "000", "Doe^Jane^and^more", "a/b"])
def test_without_label_and_usable_patient_id_there_is_no_participant(
    patient_id: str | None,
) -> None:
    """The error points to PatientID."""
    with pytest.raises(errors.PtidError) as raised:
        complete(known(None), {**TWELVE, "patient_id": patient_id})
    assert raised.value.location == "PatientID"


@pytest.mark.parametrize(
    ("change", "error", "location"),
    [
        ({"study_date": None}, errors.MissingAttributeError, "StudyDate"),
        ({"study_date": "20241399"}, errors.InvalidAttributeError, "StudyDate"),
        ({"modality": None}, errors.MissingAttributeError, "Modality"),
        ({"modality": "M/R"}, errors.InvalidAttributeError, "Modality"),
    ],
)
def test_date_and_modality_are_needed(
    change: dict[str, str | None], error: type[errors.ImagingError], location: str
) -> None:
    """An error names the attribute by its keyword."""
    with pytest.raises(error) as raised:
        complete(known(), {**TWELVE, **change})
    assert raised.value.location == location


def test_a_context_can_not_be_half_built_or_changed() -> None:
    """No seventh field, none left out, none set later; and its error repeats no value."""
    fields: dict[str, Any] = complete(known(), TWELVE).model_dump()
    with pytest.raises(ValidationError) as raised:
        LookupContext(**{**fields, "ptid": "secret-and-too-long"})
    assert "secret" not in str(raised.value)
    with pytest.raises(ValidationError):
        LookupContext(**{**fields, "visitnum": None})
    with pytest.raises(ValidationError):
        complete(known(), TWELVE).ptid = "2"  # type: ignore[misc]


@given(st.text(min_size=1))
def test_the_ptid_of_a_context_is_always_clean(patient_id: str) -> None:
    """Whatever PatientID holds: a clean PTID or an error of the file."""
    assume(patient_id.strip())
    try:
        context = complete(known(None), {**TWELVE, "patient_id": patient_id})
    except errors.InputFileError:
        return
    assert context.ptid == patient_id.strip().lstrip("0")
    assert "110001" not in repr(context)
