"""When and how: study date and modality, and the visit that they name."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field

from imaging_gears.errors import InvalidAttributeError, MissingAttributeError

# DA is YYYYMMDD; YYYY.MM.DD is the form of ACR-NEMA, which readers may accept (PS3.5 6.2, note).
_DA = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})|([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
# Readers of QC logs find nothing else in the modality's place (contract outputs.md, 4).
_MODALITY = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One participant's images of one day and modality: what a QC log is about."""

    adcid: int
    ptid: str = field(repr=False)
    date: dt.date = field(repr=False)
    modality: str


def parse_study_date(text: str | None) -> dt.date:
    """Return the DICOM StudyDate in `text` as a calendar date.

    Raises:
        MissingAttributeError: it is absent or empty (Type 2 in PS3.3 C.7.2.1; the gear insists).
        InvalidAttributeError: it is not ``YYYYMMDD`` or ``YYYY.MM.DD``, or no day of the calendar.
    """
    if text is None or not text.strip():
        message = "The DICOM has no StudyDate (0008,0020)."
        raise MissingAttributeError(message, location="StudyDate", expected="YYYYMMDD")
    match = _DA.fullmatch(text.strip())
    try:
        if match:
            year, month, day = (int(part) for part in match.groups() if part)
            return dt.date(year, month, day)
    except ValueError:
        pass
    message = "StudyDate (0008,0020) is not a date of the calendar."
    raise InvalidAttributeError(
        message, location="StudyDate", value=text.strip()[:64], expected="YYYYMMDD"
    )


def parse_modality(text: str | None) -> str:
    """Return the DICOM Modality in `text`, as the DICOM gives it.

    Raises:
        MissingAttributeError: it is absent or empty (Type 1 in PS3.3 C.7.3.1).
        InvalidAttributeError: it is not letters and digits.
    """
    if text is None or not text.strip():
        message = "The DICOM has no Modality (0008,0060)."
        raise MissingAttributeError(message, location="Modality", expected="letters and digits")
    if not _MODALITY.fullmatch(text.strip()):
        message = "Modality (0008,0060) is not letters and digits."
        raise InvalidAttributeError(
            message, location="Modality", value=text.strip()[:64], expected="letters and digits"
        )
    return text.strip()
