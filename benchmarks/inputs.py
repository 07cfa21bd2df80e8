"""Ordinary uploads of real size, made from a sample image of pydicom."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import EnhancedMRImageStorage, generate_uid

PTID = "110001"
SLICES = 176
SIDE = 228
"""Rows and columns: with 16 bits a pixel, `SLICES` of them are 18 MB."""
_NOISE = random.Random(176)  # noqa: S311 - pixels, no secret


def _image() -> Dataset:
    """Return an MR image with noise for pixels, which no archive makes smaller."""
    ds = dcmread(str(get_testdata_file("MR_small.dcm", download=False)))
    ds.PatientID = PTID
    ds.Rows = ds.Columns = SIDE
    ds.PixelData = _NOISE.randbytes(SIDE * SIDE * 2)
    return ds


def _saved(ds: Dataset) -> bytes:
    content = io.BytesIO()
    ds.save_as(content)
    return content.getvalue()


def image_of(ptid: str) -> bytes:
    """Return a small MR image of a participant, as a file's content."""
    ds = dcmread(str(get_testdata_file("MR_small.dcm", download=False)))
    ds.PatientID = ptid
    return _saved(ds)


def single(folder: Path) -> Path:
    """Write one image."""
    path = folder / "T1.dcm"
    path.write_bytes(_saved(_image()))
    return path


def series(folder: Path) -> Path:
    """Write a zip of one series: `SLICES` images, each with its own SOPInstanceUID."""
    path = folder / "T1.dicom.zip"
    ds = _image()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(1, SLICES + 1):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            ds.InstanceNumber = number
            ds.PixelData = _NOISE.randbytes(SIDE * SIDE * 2)
            archive.writestr(f"T1/{ds.SOPInstanceUID}.dcm", _saved(ds))
    return path


def enhanced(folder: Path) -> Path:
    """Write an enhanced multi-frame image of as many frames (PS3.3 A.36)."""
    path = folder / "T1-enhanced.dcm"
    ds = _image()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    ds.NumberOfFrames = SLICES
    ds.PerFrameFunctionalGroupsSequence = [_frame(number) for number in range(SLICES)]
    ds.PixelData = _NOISE.randbytes(SIDE * SIDE * 2 * SLICES)
    path.write_bytes(_saved(ds))
    return path


def _frame(number: int) -> Dataset:
    position, content, frame = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = [0, 0, number]
    content.DimensionIndexValues = [1, number + 1]
    frame.PlanePositionSequence = [position]
    frame.FrameContentSequence = [content]
    return frame
