"""What the demo uploads: real scanners' series that pydicom brings along, and a zip of text."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file

# Three series of pydicom's sample files, each from one scanner: the folder, and the images in it.
_FOLDER = "dicomdirtests"
MR_ECLIPSE = ("98892003/MR700", ("4467", "4528", "4558", "4588", "4618", "4648", "4678"))
CT_LIGHTSPEED_ULTRA = ("98892001/CT5N", ("2062", "2392", "2693", "3023", "3353"))
CT_LIGHTSPEED_PLUS = ("77654033/CT2", ("17106", "17136", "17166", "17196"))
_TEXTS = {"README.txt": "No images here.\n", "notes/protocol.csv": "slice,mm\n1,1.2\n"}

Series = tuple[str, tuple[str, ...]]


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
        folder, images = self.series
        first = dcmread(_sample(folder, images[0]), stop_before_pixels=True)
        return (
            f"{self.name}: {len(images)} {first.Modality} images of"
            f" {first.Manufacturer} {first.ManufacturerModelName}"
        )

    def _members(self) -> dict[str, str | bytes]:
        if self.series is None:
            return dict(_TEXTS)
        folder, images = self.series
        return {
            f"{folder}/{image}": _with_patient_id(_sample(folder, image), self.patient_id)
            for image in images
        }


def _sample(folder: str, image: str) -> Path:
    path = get_testdata_file(f"{_FOLDER}/{folder}/{image}", download=False)
    if path is None:
        message = "pydicom's sample files are not installed, so there is nothing to upload."
        raise FileNotFoundError(message)
    return Path(str(path))


def _with_patient_id(path: Path, patient_id: str) -> bytes:
    """Return the image with another PatientID; all else stays as the scanner wrote it."""
    ds = dcmread(path)
    ds.PatientID = patient_id
    content = io.BytesIO()
    ds.save_as(content)
    return content.getvalue()
