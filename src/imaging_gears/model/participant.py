"""Who: center, participant id, NACCID, and how each is written where it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from imaging_gears.errors import NaccidInvalidError, PtidError

Mode = Literal["prod", "dev"]

_NACCID = re.compile(r"(NACC|TEST)[0-9]{6}")
# Slashes would break Flywheel's routes, which quote file names as one path segment.
_PTID = re.compile(r"[!-.0-\[\]-~]{1,10}")
_PREFIX: dict[Mode, str] = {"prod": "NACC", "dev": "TEST"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantKey:
    """What the registry is asked by."""

    adcid: int
    ptid: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LabelIdentity:
    """What a subject label says: a PTID, and on SCAN sites the NACCID behind a ``+``."""

    ptid: str = field(repr=False)
    naccid: str | None = field(default=None, repr=False)


def parse_ptid(text: str, *, location: str) -> str:
    """Return the PTID in `text`: stripped, leading zeros removed (contract outputs.md, 1).

    Raises:
        PtidError: zeros only, or not 1 to 10 printable characters without blank and slash.
    """
    stripped = text.strip()
    cleaned = stripped.lstrip("0")
    if stripped and not cleaned:
        raise PtidError(
            f"The participant id in {location} consists of zeros only.",
            location=location,
            value=stripped,
            expected="a participant id",
        )
    if not _PTID.fullmatch(cleaned):
        raise PtidError(
            f"{location} holds no participant id.",
            location=location,
            value=stripped[:64],
            expected="1 to 10 printable characters, no blank, no slash",
        )
    return cleaned


def parse_label(label: str) -> LabelIdentity | None:
    """Return what the subject label says, None for an empty one.

    ``PTID+NACCID`` is taken apart only where the second half is a NACCID: a PTID may hold a plus.

    Raises:
        PtidError: the label is there, and its PTID is not usable.
    """
    stripped = label.strip()
    if not stripped:
        return None
    ptid, plus, naccid = stripped.rpartition("+")
    if plus and _NACCID.fullmatch(naccid):
        return LabelIdentity(parse_ptid(ptid, location="subject.label"), naccid)
    return LabelIdentity(parse_ptid(stripped, location="subject.label"))


def same_participant(label_ptid: str, patient_id: str) -> bool:
    """Return whether a DICOM PatientID, cleaned like a label, names the label's participant."""
    return patient_id.strip().lstrip("0") == label_ptid


def parse_naccid(value: object, mode: Mode, *, location: str) -> str:
    """Return `value` as a NACCID of `mode`: NACC and six digits in prod, TEST and six in dev.

    Raises:
        NaccidInvalidError: it is not text of that pattern, or is an id of the other mode.
    """
    expected = f"{_PREFIX[mode]} and six digits"
    if not isinstance(value, str) or not _NACCID.fullmatch(value):
        raise NaccidInvalidError(
            f"The NACCID in {location} is not one.",
            location=location,
            value=value[:64] if isinstance(value, str) else None,
            expected=expected,
        )
    if not value.startswith(_PREFIX[mode]):
        raise NaccidInvalidError(
            f"The NACCID in {location} does not belong to database_mode {mode}.",
            location=location,
            value=value,
            expected=expected,
        )
    return value
