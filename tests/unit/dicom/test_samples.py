"""pydicom's sample files, which the demos upload."""

from __future__ import annotations

import pytest

from imaging_gears.dicom import samples
from imaging_gears.dicom.samples import CT_LIGHTSPEED_PLUS, CT_LIGHTSPEED_ULTRA, MR_ECLIPSE, sample


def test_each_image_of_the_series_is_there() -> None:
    """As DICOM (PS3.10 7.1)."""
    for name in (*MR_ECLIPSE, *CT_LIGHTSPEED_ULTRA, *CT_LIGHTSPEED_PLUS):
        assert sample(name).read_bytes()[128:132] == b"DICM"


def test_without_the_files_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded instead."""
    monkeypatch.setattr(samples, "get_testdata_file", lambda *_, **__: None)
    with pytest.raises(FileNotFoundError, match="pydicom's sample files are not installed"):
        sample("MR_small.dcm")
