"""pydicom's sample files, of which the demos make their uploads; the gear's image has none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydicom.data import get_testdata_file

Series = tuple[str, ...]
"""Names of the images of one scanner's series."""


def _series(folder: str, images: Sequence[str]) -> Series:
    return tuple(f"dicomdirtests/{folder}/{image}" for image in images)


MR_ECLIPSE = _series("98892003/MR700", ("4467", "4528", "4558", "4588", "4618", "4648", "4678"))
CT_LIGHTSPEED_ULTRA = _series("98892001/CT5N", ("2062", "2392", "2693", "3023", "3353"))
CT_LIGHTSPEED_PLUS = _series("77654033/CT2", ("17106", "17136", "17166", "17196"))


def sample(name: str) -> Path:
    """Return where a sample file is, such as ``MR_small.dcm`` or ``dicomdirtests/.../4467``.

    Raises:
        FileNotFoundError: it is not installed; nothing is downloaded.
    """
    path = get_testdata_file(name, download=False)
    if path is None:
        message = "pydicom's sample files are not installed, so there is nothing to upload."
        raise FileNotFoundError(message)
    return Path(str(path))
