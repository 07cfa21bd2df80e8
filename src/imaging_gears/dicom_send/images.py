"""Which instances are images, and how many bytes or fragments of pixel data they have at least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

# PS3.6 table A-1: the classes named "... Image Storage", volumes, maps and segmentations. Their
# IODs have the Image Pixel module, or those of floating point pixels, as mandatory (PS3.3 A.1.4).
# Pixel data are absent there only where a URL leads to them (C.7.6.3).
_IMAGES: Final = frozenset(
    f"{_STORAGE}{suffix}"
    for suffix in (
        # Radiography and mammography
        *("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1"),
        # CT, ultrasound, MR, nuclear medicine, secondary capture
        *("2", "2.1", "2.2", "3", "3.1", "4", "4.1", "4.3", "4.4", "5", "6", "6.1"),
        *("6.2", "6.3", "7", "7.1", "7.2", "7.3", "7.4"),
        # Angiography, fluoroscopy, tomosynthesis, optical coherence tomography
        *("12.1", "12.1.1", "12.2", "12.2.1", "12.3", "13.1.1", "13.1.2", "13.1.3", "13.1.4"),
        *("13.1.5", "14.1", "14.2", "20"),
        # Visible light and ophthalmology
        *("77.1.1", "77.1.1.1", "77.1.2", "77.1.2.1", "77.1.3", "77.1.4", "77.1.4.1"),
        *("77.1.5.1", "77.1.5.2", "77.1.5.4", "77.1.5.5", "77.1.5.6", "77.1.5.7", "77.1.6"),
        *("77.1.7", "77.1.8", "77.1.9"),
        # PET, radiotherapy
        *("128", "128.1", "130", "481.1"),
        # Parametric map, segmentation, label map
        *("30", "66.4", "66.7"),
    )
)


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
    return sop_class_uid in _IMAGES or all(values.get(tag) for tag in (_ROWS, _COLUMNS, _BITS))


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
