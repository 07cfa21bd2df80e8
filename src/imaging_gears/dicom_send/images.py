"""Which instances are images, and how many bytes or fragments of pixel data they have at least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from imaging_gears.dicom.sop_class import must_have_pixels

_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLUMNS, _BITS = PIXEL_TAGS = (
    0x00280002,  # SamplesPerPixel
    0x00280004,  # PhotometricInterpretation
    0x00280008,  # NumberOfFrames
    0x00280010,  # Rows
    0x00280011,  # Columns
    0x00280100,  # BitsAllocated
)
"""The elements that say how many pixels there are (PS3.3 C.7.6.3, C.7.6.6)."""


def has_pixels(sop_class_uid: str, values: Mapping[int, bytes]) -> bool:
    """Return whether an instance must have pixel data.

    Args:
        sop_class_uid: of which every instance has them, or it may be any other class.
        values: of those elements of `PIXEL_TAGS` that the data set has, as they are encoded.

    Whoever states rows, columns and bits describes pixels: nobody knows all private classes. (MR
    spectroscopy has rows and columns of voxels, and no bits.)
    """
    return must_have_pixels(sop_class_uid) or all(
        values.get(tag) for tag in (_ROWS, _COLUMNS, _BITS)
    )


def frames(values: Mapping[int, bytes]) -> int:
    """Return how many frames an image has by its NumberOfFrames, one where that makes no sense."""
    stated = values.get(_FRAMES, b"").strip(b" \0")
    return max(int(stated), 1) if stated.isdigit() and len(stated) <= _IS else 1


def pixel_bytes(values: Mapping[int, bytes], *, little: bool) -> int:
    """Return how many bytes native pixel data have at least (PS3.5 8.1.1, 8.2).

    Args:
        values: of those elements of `PIXEL_TAGS` that the data set has, as they are encoded.
        little: whether numbers are little endian.

    What is missing or makes no sense counts as the least that is legal: one sample, one frame.
    Without Rows, Columns or BitsAllocated nothing is known, and the result is 1: not empty.
    """

    def number(tag: int) -> int:
        value = values.get(tag, b"")
        return int.from_bytes(value, "little" if little else "big") if len(value) <= _US else 0

    pixels = number(_ROWS) * number(_COLUMNS)
    samples = max(number(_SAMPLES), 1)
    if values.get(_PHOTOMETRIC, b"").strip(b" \0") in _HALVED:
        samples = min(samples, 2)
    return max(-(-pixels * samples * number(_BITS) * frames(values) // 8), 1)


_US: Final = 2
_IS: Final = 12  # PS3.5 table 6.2-1
# Two colour samples for two pixels (PS3.3 C.7.6.3.1.2).
_HALVED: Final = frozenset({b"YBR_FULL_422", b"YBR_PARTIAL_422"})
