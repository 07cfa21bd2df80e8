"""What a UID is."""

from __future__ import annotations

import pytest

from imaging_gears.dicom.uid import is_uid


@pytest.mark.parametrize("text", ["", "1", "1..2", "1.2.", "1.a", "1.2\n", "1." * 32 + "12", "1.²"])
def test_what_is_no_uid(text: str) -> None:
    """Neither one part, empty parts nor letters, nor more than 64 characters."""
    assert not is_uid(text)


@pytest.mark.parametrize("text", ["1.2", "1.02.0", "2.25." + "9" * 59])
def test_what_is_a_uid(text: str) -> None:
    """Two parts and more, up to 64 characters; leading zeros are let through."""
    assert is_uid(text)
