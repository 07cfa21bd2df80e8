"""How a data set is encoded: what its transfer syntax says, and what its first bytes show.

The two are compared, because a file whose transfer syntax lies reads as a valid data set with few
attributes: read as little endian, group 0008 of a big endian file is 0800, behind all asked for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from imaging_gears.errors import HeaderError

ELEMENT_HEADER_SIZE: Final = 8  # PS3.5 7.1.2; the long form has 4 bytes more


class Encoding(NamedTuple):
    """VR and byte order of a data set (PS3.5 chapter 7)."""

    explicit: bool
    little: bool


IMPLICIT_LITTLE: Final = Encoding(explicit=False, little=True)
EXPLICIT_LITTLE: Final = Encoding(explicit=True, little=True)
EXPLICIT_BIG: Final = Encoding(explicit=True, little=False)

IMPLICIT_UID: Final = "1.2.840.10008.1.2"  # PS3.5 A.1
EXPLICIT_UID: Final = "1.2.840.10008.1.2.1"  # PS3.5 A.2
BIG_UID: Final = "1.2.840.10008.1.2.2"  # PS3.5 A.3, retired
DEFLATED_UID: Final = "1.2.840.10008.1.2.1.99"  # PS3.5 A.5
NATIVE: Final = {
    IMPLICIT_UID: IMPLICIT_LITTLE,
    EXPLICIT_UID: EXPLICIT_LITTLE,
    BIG_UID: EXPLICIT_BIG,
    DEFLATED_UID: EXPLICIT_LITTLE,
}
"""Transfer syntaxes without compressed pixels, with their encodings.

Deflated is one of them: the data set is compressed as a whole; inflated, it is explicit little."""

_ENCODINGS: Final = {
    **NATIVE,
    "1.2.840.113619.5.2": IMPLICIT_LITTLE,  # GE private: only its pixel data are big endian
}
_DEFLATED: Final = frozenset(
    {
        DEFLATED_UID,
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate, PS3.5 A.7
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    }
)
_VIDEO: Final = frozenset(
    f"1.2.840.10008.1.2.4.{number}{end}"  # MPEG-2, MPEG-4, HEVC: PS3.5 A.4.5 to A.4.9
    for number in range(100, 109)
    for end in ("", ".1")  # the second ones may be fragmented
)
_MULTI_COMPONENT: Final = frozenset(  # JPEG 2000 Part 2: frames are components, PS3.5 8.2.4
    {"1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"}
)
RLE_UID: Final = "1.2.840.10008.1.2.5"  # PS3.5 A.4.2

# PS3.5 7.1.2: these have 2 reserved bytes and a length of 4 bytes, all others a length of 2 bytes.
LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
SHORT_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)
VRS: Final = LONG_VRS | SHORT_VRS


def is_deflated(uid: str | None) -> bool:
    """Return whether the data set behind the meta information is compressed as a whole."""
    return uid in _DEFLATED


def frames_share_fragments(uid: str) -> bool:
    """Return whether several frames may be one stream: its fragments don't say how many they are.

    In every other encapsulated syntax a fragment holds data of one frame only (PS3.5 A.4).
    """
    return uid in _VIDEO or uid in _MULTI_COMPONENT


def encoding_of(uid: str | None, start: bytes) -> Encoding:
    """Return the encoding of a data set.

    Args:
        uid: TransferSyntaxUID. Those of PS3.5 that are not in the table here are explicit little
            endian (A.4: the encapsulated ones). None: what `start` shows.
        start: the first 8 bytes of the data set, inflated.

    Raises:
        HeaderError: the data set begins in another encoding than `uid` says.

    Read as a length, the two letters of a VR are 16,705 or more: no first element is so long.
    """
    explicit, little = start[4:6] in VRS, _is_little(start)
    if uid is None:
        return _supported(Encoding(explicit, little is not False))
    declared = _ENCODINGS.get(uid, EXPLICIT_LITTLE)
    contradicted = explicit is not declared.explicit or little is (not declared.little)
    if len(start) == ELEMENT_HEADER_SIZE and contradicted:
        raise HeaderError(
            "The DICOM data set is not encoded as its TransferSyntaxUID says.",
            location="TransferSyntaxUID",
        )
    return declared


def _is_little(start: bytes) -> bool | None:
    """Return the byte order that the first group number shows, None where it shows none.

    The groups that a data set begins with are below 0100, so that one byte of them is 0.
    """
    low, high = start[:1], start[1:2]
    if (low == b"\0") is (high == b"\0"):
        return None
    return high == b"\0"


def _supported(encoding: Encoding) -> Encoding:
    if encoding in (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG):
        return encoding
    raise HeaderError("The DICOM data set is encoded in a way that DICOM does not know.")
