"""What the demo uploads: real scanners' series that pydicom brings along, and a zip of text."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from imaging_gears.dicom.samples import Series, sample

_TEXTS = {"README.txt": "No images here.\n", "notes/protocol.csv": "slice,mm\n1,1.2\n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A zip to upload: its name, and the images in it with their PatientID; no images, text."""

    name: str
    series: Series | None = None
    patient_id: str = ""

    def write(self, folder: Path) -> Path:
        """Write the zip into `folder` and return its path."""
        path = folder / self.name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self._members().items():
                archive.writestr(name, content)
        return path

    def describe(self) -> str:
        """Return what is in it, in words."""
        if self.series is None:
            return f"{self.name}: {len(_TEXTS)} text files"
        first = dcmread(sample(self.series[0]), stop_before_pixels=True)
        return (
            f"{self.name}: {len(self.series)} {first.Modality} images of"
            f" {first.Manufacturer} {first.ManufacturerModelName}"
        )

    def _members(self) -> dict[str, str | bytes]:
        if self.series is None:
            return dict(_TEXTS)
        return {each: _with_patient_id(sample(each), self.patient_id) for each in self.series}


def _with_patient_id(path: Path, patient_id: str) -> bytes:
    """Return the image with another PatientID; all else stays as the scanner wrote it."""
    ds = dcmread(path)
    ds.PatientID = patient_id
    content = io.BytesIO()
    ds.save_as(content)
    return content.getvalue()
