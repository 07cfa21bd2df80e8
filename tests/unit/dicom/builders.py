"""Bytes of DICOM files and archives, written from the standards and without the code under test."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG = "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4.50"
SYNTAXES = (IMPLICIT, EXPLICIT, DEFLATED, BIG, JPEG)

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
DIRECTORY = "1.2.840.10008.1.3.10"
UNDEFINED = 0xFFFFFFFF
# PS3.5 7.1.2, table 7.1-1
LONG_FORM = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}


@dataclass(frozen=True)
class Form:
    """How elements are written: explicit or implicit VR, ``<`` or ``>``."""

    explicit: bool = True
    order: str = "<"


FORMS = {IMPLICIT: Form(explicit=False), BIG: Form(order=">")}


def element(
    tag: int, vr: str, value: bytes | str = b"", form: Form | None = None, length: int | None = None
) -> bytes:
    """Return one element, its value padded to an even length unless `length` is given."""
    form = form or Form()
    value = value.encode("latin-1") if isinstance(value, str) else value
    if length is None:
        value += (b"\0" if vr in {"UI", "OB", "UN"} else b" ") * (len(value) % 2)
        length = len(value)
    head = struct.pack(form.order + "HH", tag >> 16, tag & 0xFFFF)
    if not form.explicit:
        return head + struct.pack(form.order + "L", length) + value
    if vr in LONG_FORM:
        return head + vr.encode() + struct.pack(form.order + "HL", 0, length) + value
    return head + vr.encode() + struct.pack(form.order + "H", length) + value


def item(tag: int, length: int, form: Form | None = None) -> bytes:
    """Return the 8 bytes of an item or of a delimiter."""
    return struct.pack((form or Form()).order + "HHL", tag >> 16, tag & 0xFFFF, length)


def sequence(
    tag: int, items: list[bytes], form: Form | None = None, *, delimited: bool = False
) -> bytes:
    """Return a sequence of `items`, of defined lengths or with delimiters."""
    if delimited:
        body = b"".join(
            item(0xFFFEE000, UNDEFINED, form) + content + item(0xFFFEE00D, 0, form)
            for content in items
        )
        end = item(0xFFFEE0DD, 0, form)
        return element(tag, "SQ", b"", form, UNDEFINED) + body + end
    body = b"".join(item(0xFFFEE000, len(content), form) + content for content in items)
    return element(tag, "SQ", body, form, len(body))


# tag, VR and value of an ordinary header, in the order of the tags
ORDINARY: tuple[tuple[int, str, str], ...] = (
    (0x00080005, "CS", "ISO_IR 100"),
    (0x00080016, "UI", CT_IMAGE),
    (0x00080018, "UI", "1.2.3.4.5"),
    (0x00080020, "DA", "20240115"),
    (0x00080021, "DA", "20240116"),
    (0x00080060, "CS", "CT"),
    (0x00080070, "LO", "Siemens"),
    (0x0008103E, "LO", "Sch\xe4del"),
    (0x00081090, "LO", "Skyra"),
    (0x00100010, "PN", "Doe^Jane"),
    (0x00100020, "LO", "110001"),
    (0x00180087, "DS", "3.0"),
    (0x0020000D, "UI", "1.2.3.4"),
    (0x0020000E, "UI", "1.2.3.4.1"),
    (0x00200011, "IS", "5"),
    (0x00201002, "IS", "176"),
)
VALUES: dict[str, tuple[str, ...]] = {
    "StudyDate": ("20240115",),
    "SeriesDate": ("20240116",),
    "Modality": ("CT",),
    "Manufacturer": ("Siemens",),
    "SeriesDescription": ("Sch\xe4del",),
    "ManufacturerModelName": ("Skyra",),
    "PatientName": ("Doe^Jane",),
    "PatientID": ("110001",),
    "MagneticFieldStrength": ("3.0",),
    "StudyInstanceUID": ("1.2.3.4",),
    "SeriesInstanceUID": ("1.2.3.4.1",),
    "SeriesNumber": ("5",),
    "ImagesInAcquisition": ("176",),
}


def meta(syntax: str | None, sop_class: str = CT_IMAGE) -> bytes:
    """Return preamble, prefix and meta information; without TransferSyntaxUID where it is None."""
    group = element(0x00020002, "UI", sop_class)
    if syntax is not None:
        group += element(0x00020010, "UI", syntax)
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(group))) + group


def pixels(form: Form | None = None, size: int = 64) -> bytes:
    """Return Rows and PixelData."""
    rows = element(0x00280010, "US", struct.pack((form or Form()).order + "H", 8), form)
    return rows + element(0x7FE00010, "OW", bytes(size), form)


def body(form: Form | None = None, extra: dict[int, bytes] | None = None) -> bytes:
    """Return the elements of `ORDINARY`; `extra` adds or replaces whole elements by their tags."""
    elements = {tag: element(tag, vr, value, form) for tag, vr, value in ORDINARY}
    elements |= extra or {}
    return b"".join(elements[tag] for tag in sorted(elements))


def deflate(data: bytes) -> bytes:
    """Return `data` as raw deflate (PS3.5 A.5)."""
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = compress.compress(data) + compress.flush()
    return packed + bytes(len(packed) % 2)


def dicom(
    syntax: str = EXPLICIT, extra: dict[int, bytes] | None = None, tail: bytes = b""
) -> bytes:
    """Return a whole file in one of `SYNTAXES`."""
    form = FORMS.get(syntax, Form())
    data = body(form, extra) + pixels(form) + tail
    return meta(syntax) + (deflate(data) if syntax == DEFLATED else data)


def packed_zip(
    members: Sequence[tuple[str | bytes, bytes]],
    *,
    method: int = 8,
    flags: int = 0,
    copies: int = 1,
    crc: int | None = None,
    size: int | None = None,
    attributes: int = 0,
    content: bytes | None = None,
) -> bytes:
    """Return a zip, field by field (APPNOTE.TXT 4.3), so that any of them can be wrong.

    `copies` are entries that all lead to the same place; `content` replaces the compressed bytes.
    """
    parts, entries = bytearray(), []
    for name, data in members:
        raw = name if isinstance(name, bytes) else name.encode()
        compressed = content if content is not None else COMPRESS[method](data)
        checked = zlib.crc32(data) if crc is None else crc
        stated = len(data) if size is None else size
        fields = (20, flags, method, 0, 0, checked, len(compressed), stated, len(raw), 0)
        entries += [
            struct.pack("<4sH", b"PK\1\2", 0x0314)
            + struct.pack("<5H3L2H", *fields)
            + struct.pack("<3H2L", 0, 0, 0, attributes, len(parts))
            + raw
        ] * copies
        parts += struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + raw + compressed
    directory = b"".join(entries)
    count = min(len(entries), 0xFFFF)
    return bytes(parts) + directory + end_record(count, len(directory), len(parts))


def end_record(count: int, size: int, offset: int, disk: int = 0) -> bytes:
    """Return the end record of a zip."""
    return struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, count, count, size, offset, 0)


def lzma_of_zip(data: bytes) -> bytes:
    """Return `data` as LZMA with the properties in front (APPNOTE.TXT 5.8.8)."""
    options = {"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 16}
    compress = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[options])
    packed = compress.compress(data) + compress.flush()
    return struct.pack("<HHBL", 9, 5, (2 * 5 + 0) * 9 + 3, 1 << 16) + packed


COMPRESS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    8: deflate,
    12: bz2.compress,
    14: lzma_of_zip,
}
