"""The DICOM attributes that the house reads, each with its tag, VR and the level it describes.

Tags and VRs are those of PS3.6 chapter 6, levels those of the module that defines the attribute
(PS3.3). Nothing here needs pydicom, so that a run which opens no file does not load it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The entity of the DICOM model of the real world (PS3.3 A.1.2) that an attribute describes."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of the data dictionary.

    Args:
        keyword: its keyword in PS3.6.
        tag: group and element number as one 32-bit number, ``0xGGGGEEEE``.
        vr: its value representation, two letters.
        level: what it describes.
        descriptive: it tells people about the image and decides nothing. Where its bytes are no
            text of the declared character set, they are replaced and warned of; in any other
            attribute they are refused.
    """

    keyword: str
    tag: int
    vr: str
    level: Level
    descriptive: bool = False


SPECIFIC_CHARACTER_SET = Attribute(
    "SpecificCharacterSet", 0x00080005, "CS", Level.INSTANCE
)  # C.12.1.1.2
SOP_CLASS_UID = Attribute("SOPClassUID", 0x00080016, "UI", Level.INSTANCE)  # C.12.1
SOP_INSTANCE_UID = Attribute("SOPInstanceUID", 0x00080018, "UI", Level.INSTANCE)  # C.12.1
STUDY_DATE = Attribute("StudyDate", 0x00080020, "DA", Level.STUDY)  # C.7.2.1, Type 2
SERIES_DATE = Attribute("SeriesDate", 0x00080021, "DA", Level.SERIES)  # C.7.3.1, Type 3
MODALITY = Attribute("Modality", 0x00080060, "CS", Level.SERIES)  # C.7.3.1, Type 1
MANUFACTURER = Attribute(  # C.7.5.1, Type 2
    "Manufacturer", 0x00080070, "LO", Level.SERIES, descriptive=True
)
SERIES_DESCRIPTION = Attribute(  # C.7.3.1, Type 3
    "SeriesDescription", 0x0008103E, "LO", Level.SERIES, descriptive=True
)
MANUFACTURER_MODEL_NAME = Attribute(  # C.7.5.1, Type 3
    "ManufacturerModelName", 0x00081090, "LO", Level.SERIES, descriptive=True
)
PATIENT_NAME = Attribute("PatientName", 0x00100010, "PN", Level.PATIENT)  # C.7.1.1, Type 2
PATIENT_ID = Attribute("PatientID", 0x00100020, "LO", Level.PATIENT)  # C.7.1.1, Type 2
MAGNETIC_FIELD_STRENGTH = Attribute(  # C.8.3.1, Type 3
    "MagneticFieldStrength", 0x00180087, "DS", Level.INSTANCE, descriptive=True
)
STUDY_INSTANCE_UID = Attribute("StudyInstanceUID", 0x0020000D, "UI", Level.STUDY)  # C.7.2.1, 1
SERIES_INSTANCE_UID = Attribute("SeriesInstanceUID", 0x0020000E, "UI", Level.SERIES)  # C.7.3.1, 1
SERIES_NUMBER = Attribute(  # C.7.3.1, Type 2
    "SeriesNumber", 0x00200011, "IS", Level.SERIES, descriptive=True
)
IMAGES_IN_ACQUISITION = Attribute(  # C.7.6.1, Type 3
    "ImagesInAcquisition", 0x00201002, "IS", Level.INSTANCE, descriptive=True
)

ATTRIBUTES: tuple[Attribute, ...] = (
    SPECIFIC_CHARACTER_SET,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    SERIES_DATE,
    MODALITY,
    MANUFACTURER,
    SERIES_DESCRIPTION,
    MANUFACTURER_MODEL_NAME,
    PATIENT_NAME,
    PATIENT_ID,
    MAGNETIC_FIELD_STRENGTH,
    STUDY_INSTANCE_UID,
    SERIES_INSTANCE_UID,
    SERIES_NUMBER,
    IMAGES_IN_ACQUISITION,
)
"""All of the above in the order of their tags."""
