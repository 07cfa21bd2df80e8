"""Which attributes the gear keeps of a DICOM, and reading them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from imaging_gears.dicom import attributes
from imaging_gears.errors import InvalidAttributeError
from imaging_gears.model.findings import MULTIPLE_VALUES, Finding

if TYPE_CHECKING:
    from imaging_gears.dicom.attributes import Attribute
    from imaging_gears.dicom.header import Header

DicomMetadata = Mapping[str, str | None]
"""The twelve values of contract outputs.md, 3: text as the DICOM has it, None where it has none."""

KEPT: Mapping[str, Attribute] = {
    "patient_id": attributes.PATIENT_ID,
    "study_date": attributes.STUDY_DATE,
    "modality": attributes.MODALITY,
    "study_instance_uid": attributes.STUDY_INSTANCE_UID,
    "series_instance_uid": attributes.SERIES_INSTANCE_UID,
    "series_number": attributes.SERIES_NUMBER,
    "series_date": attributes.SERIES_DATE,
    "manufacturer": attributes.MANUFACTURER,
    "manufacturer_model_name": attributes.MANUFACTURER_MODEL_NAME,
    "series_description": attributes.SERIES_DESCRIPTION,
    "magnetic_field_strength": attributes.MAGNETIC_FIELD_STRENGTH,
    "images_in_acquisition": attributes.IMAGES_IN_ACQUISITION,
}
# Two values here are two answers to "whose" or "when"; elsewhere the first describes well enough.
SINGLE = frozenset({"patient_id", "study_date", "modality"})


def dicom_metadata(header: Header) -> tuple[DicomMetadata, tuple[Finding, ...]]:
    """Return the twelve values of a header, and a warning where one of several was taken.

    Raises:
        InvalidAttributeError: PatientID, StudyDate or Modality has several values.
    """
    several = [key for key, kept in KEPT.items() if len(header.values[kept.keyword]) > 1]
    for key in several:
        if key in SINGLE:
            keyword = KEPT[key].keyword
            message = f"{keyword} holds several values where one is legal."
            raise InvalidAttributeError(message, location=keyword, expected="one value")
    values = {key: _first(header.values[kept.keyword]) for key, kept in KEPT.items()}
    return values, (MULTIPLE_VALUES.finding(),) if several else ()


def _first(values: tuple[str, ...]) -> str | None:
    return values[0] or None if values else None
