"""Which study and series an instance belongs to: read from the start of what is sent."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from imaging_gears.dicom.attributes import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from imaging_gears.dicom.header import read_header
from imaging_gears.dicom.uid import is_uid
from imaging_gears.errors import HeaderError
from imaging_gears.ports import Sendable

_ELEMENT: Final = struct.Struct("<HH2sH")
_UINT32: Final = struct.Struct("<L")


def series_of(item: Sendable) -> tuple[str, str] | None:
    """Return StudyInstanceUID and SeriesInstanceUID, None where one can't be read, or is no UID.

    What is none may mean something else to C-FIND: an empty one matches all (PS3.4 C.2.2.2.3).

    Raises:
        ImagingError: the source of the instance broke.
    """
    wanted = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
    try:
        header = read_header(_File(_meta(item.transfer_syntax_uid), item.chunks()), wanted)
    except HeaderError:
        return None
    study, series = ("\\".join(header.values[attribute.keyword]) for attribute in wanted)
    return (study, series) if is_uid(study) and is_uid(series) else None


def _meta(transfer_syntax_uid: str) -> bytes:
    """Return a preamble, and meta information that says how the data set is encoded (PS3.10 7)."""
    uid = transfer_syntax_uid.encode("ascii")
    uid += b"\0" * (len(uid) % 2)
    element = _ELEMENT.pack(0x0002, 0x0010, b"UI", len(uid)) + uid
    length = _ELEMENT.pack(0x0002, 0x0000, b"UL", _UINT32.size) + _UINT32.pack(len(element))
    return bytes(128) + b"DICM" + length + element


class _File:
    """Meta information with a data set behind it, as a stream."""

    def __init__(self, meta: bytes, chunks: Iterator[bytes | memoryview]) -> None:
        self._held = meta
        self._chunks = chunks

    def read(self, size: int, /) -> bytes:
        """Return between 1 and `size` bytes, none only at the end."""
        while not self._held:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._held = bytes(chunk)
        data, self._held = self._held[:size], self._held[size:]
        return data
