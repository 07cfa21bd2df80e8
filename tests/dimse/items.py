"""Instances to send: small data sets made of bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MR = "1.2.840.10008.5.1.4.1.1.4"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
STUDY, SERIES = "1.2.826.1.1", "1.2.826.1.1.2"
_LONG = (b"OB", b"OW", b"UN")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A `Sendable` that holds its data set.

    Attributes:
        on_chunks: called whenever the data set begins to be read.
        size: of the pieces.
    """

    number: int
    data: bytes = field(repr=False)
    sop_class_uid: str = MR
    transfer_syntax_uid: str = EXPLICIT
    on_chunks: Callable[[], None] = lambda: None
    size: int = 100_000

    @property
    def sop_instance_uid(self) -> str:
        """The number of the instance is in its UID."""
        return f"{SERIES}.{self.number}"

    @property
    def length(self) -> int:
        """Of the whole."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The data set: a piece of bytes, then views of a buffer that is used again."""
        self.on_chunks()
        yield self.data[:100]
        buffer = bytearray(self.size)
        for start in range(100, len(self.data), self.size):
            piece = self.data[start : start + self.size]
            buffer[: len(piece)] = piece
            yield memoryview(buffer)[: len(piece)]


def item(
    number: int,
    syntax: str = EXPLICIT,
    *,
    sop_class: str = MR,
    pixels: int = 2000,
    on_chunks: Callable[[], None] = lambda: None,
) -> Item:
    """An instance with `pixels` bytes of pixel data."""
    return Item(
        number=number,
        data=data_set(number, syntax, sop_class, pixels),
        sop_class_uid=sop_class,
        transfer_syntax_uid=syntax,
        on_chunks=on_chunks,
    )


def data_set(number: int, syntax: str, sop_class: str, pixels: int) -> bytes:
    """The data set of an instance, pixel data native or in a fragment, whatever is in it."""
    noise = bytes((number + 7 * at) % 251 for at in range(min(pixels, 4096)))
    pixel_data = (noise * (pixels // max(len(noise), 1) + 1))[:pixels]
    elements = [
        (0x0008, 0x0016, b"UI", sop_class.encode()),
        (0x0008, 0x0018, b"UI", f"{SERIES}.{number}".encode()),
        (0x0010, 0x0020, b"LO", b"ID-1"),
        (0x0020, 0x000D, b"UI", STUDY.encode()),
        (0x0020, 0x000E, b"UI", SERIES.encode()),
        (0x0028, 0x0010, b"US", struct.pack(">H" if syntax == BIG else "<H", 1)),
    ]
    body = b"".join(_element(*each, syntax) for each in elements)
    if syntax in (JPEG, JPEG_2000, RLE):
        return body + _encapsulated(pixel_data)
    body += _element(0x7FE0, 0x0010, b"OW", pixel_data, syntax)
    if syntax != DEFLATED:
        return body
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(body) + deflate.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def converted(source: Item, syntax: str) -> Item:
    """The same instance in another uncompressed syntax."""
    assert source.transfer_syntax_uid in (IMPLICIT, EXPLICIT, BIG)
    return item(source.number, syntax, sop_class=source.sop_class_uid)


def stored_data_set(path: Path) -> tuple[str, bytes]:
    """Transfer syntax and data set of a file that a server wrote, byte for byte."""
    return split(path.read_bytes())


def split(content: bytes) -> tuple[str, bytes]:
    """Transfer syntax and data set of a DICOM file (PS3.10 7.1)."""
    (length,) = struct.unpack_from("<L", content, 140)
    meta = content[144 : 144 + length]
    at = meta.index(struct.pack("<HH2s", 0x0002, 0x0010, b"UI"))
    (size,) = struct.unpack_from("<H", meta, at + 6)
    return meta[at + 8 : at + 8 + size].rstrip(b"\0").decode(), content[144 + length :]


def _element(group: int, element: int, vr: bytes, value: bytes, syntax: str) -> bytes:
    value += (b"\0" if vr in (b"UI", *_LONG) else b" ") * (len(value) % 2)
    if syntax == IMPLICIT:
        return struct.pack("<HHL", group, element, len(value)) + value
    order = ">" if syntax == BIG else "<"
    if vr in _LONG:
        return struct.pack(f"{order}HH2sHL", group, element, vr, 0, len(value)) + value
    return struct.pack(f"{order}HH2sH", group, element, vr, len(value)) + value


def _encapsulated(value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return (
        struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        + struct.pack("<HHL", 0xFFFE, 0xE000, 0)
        + struct.pack("<HHL", 0xFFFE, 0xE000, len(value))
        + value
        + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    )
