"""What a file is, by its first bytes. Names and suffixes say nothing."""

from __future__ import annotations

import io
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.bounds import header_budget
from imaging_gears.dicom.elements import DELIMITER_GROUP, Element, read_element
from imaging_gears.dicom.streams import BoundedStream
from imaging_gears.dicom.tar import is_tar_header
from imaging_gears.dicom.transfer_syntax import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Encoding,
)
from imaging_gears.errors import HeaderError

if TYPE_CHECKING:
    from imaging_gears.dicom.bounds import Budget

PREFIX_SIZE: Final = 512
"""Bytes that are enough to decide; fewer only where the file has fewer."""

PREAMBLE_SIZE: Final = 128
DICM: Final = b"DICM"
META_GROUP: Final = 0x0002


class Kind(StrEnum):
    """What a file is; the value is its name in a sentence."""

    DICOM = "DICOM"
    HEADLESS = "DICOM without preamble"
    ZIP = "zip"
    SEVEN_ZIP = "7z"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTANDARD = "Zstandard"
    RAR = "rar"
    TAR = "tar"
    OTHER = "no DICOM"


_SIGNATURES: Final = (
    (0, b"PK\x03\x04", Kind.ZIP),
    (0, b"PK\x05\x06", Kind.ZIP),  # an empty one
    (0, b"PK\x07\x08", Kind.ZIP),  # meant to be split, then written as one
    (0, b"7z\xbc\xaf\x27\x1c", Kind.SEVEN_ZIP),
    (0, b"\x1f\x8b", Kind.GZIP),
    (0, b"BZh", Kind.BZIP2),
    (0, b"\xfd7zXZ\x00", Kind.XZ),
    (0, b"\x28\xb5\x2f\xfd", Kind.ZSTANDARD),
    (0, b"Rar!\x1a\x07", Kind.RAR),
    (257, b"ustar", Kind.TAR),
)


def kind_of(prefix: bytes, budget: Budget | None = None) -> Kind:
    """Return what a file is whose first `PREFIX_SIZE` bytes are `prefix`.

    The preamble is free (PS3.10 7.1), so a DICOM may look like anything else before byte 128: the
    prefix behind it is asked first.

    Args:
        prefix: fewer bytes only where the file has fewer.
        budget: the elements of a DICOM without preamble are paid for from it. Who asks about many
            files gives the one that they share: a prefix has up to 60 elements.

    Raises:
        InputFileError: the error of a parent of `budget` that is used up.
    """
    if prefix[PREAMBLE_SIZE : PREAMBLE_SIZE + len(DICM)] == DICM:
        return Kind.DICOM
    for offset, signature, kind in _SIGNATURES:
        if prefix.startswith(signature, offset):
            return kind
    if _headless_encoding(prefix, budget or header_budget()) is not None:
        return Kind.HEADLESS
    return Kind.TAR if is_tar_header(prefix) else Kind.OTHER  # one older than its signature


def _headless_encoding(prefix: bytes, budget: Budget) -> Encoding | None:
    """Return the encoding of a DICOM without preamble, or None where it is no DICOM.

    PS3.10 says that such a file is none, but tools before it, and some since, write them. One is
    recognised where it begins with meta information or with group 0008 and where every element
    within `prefix` makes sense.
    """
    for encoding in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG):
        group = int.from_bytes(prefix[:2], "little" if encoding.little else "big")
        # Most files that are no DICOM are passed over here, for next to nothing.
        if group in _FIRST_GROUPS and _makes_sense(prefix, encoding, budget):
            return encoding
    return None


_MAX_FIRST_LENGTH: Final = 1024  # SpecificCharacterSet, ImageType, UIDs, dates
_LONGEST_HEADER: Final = 12  # PS3.5 7.1.2
_FIRST_GROUPS: Final = frozenset({META_GROUP, 0x0008})


def _makes_sense(prefix: bytes, encoding: Encoding, budget: Budget) -> bool:
    stream = BoundedStream(io.BytesIO(prefix), budget)
    last = -1
    while len(prefix) - stream.position >= _LONGEST_HEADER:
        if last >> 16 == META_GROUP and stream.peek(2) != META_GROUP.to_bytes(2, "little"):
            break  # The data set behind it may be encoded otherwise.
        try:
            element = read_element(stream, encoding)
        except HeaderError:
            return False
        if element is None or not _may_follow(element, last):
            return False
        last = element.tag
        stream.read(element.length)
    return last >= 0


def _may_follow(element: Element, last: int) -> bool:
    if last < 0:
        return element.length <= _MAX_FIRST_LENGTH
    return last < element.tag < DELIMITER_GROUP << 16
