"""The whole gear and Orthanc: what it gives out again is what was uploaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.gear_send.orthanc_run import FORGOTTEN
from tests.gear_send.real_files import SAMPLES, WATCHED, check_arrived
from tests.orthanc import found_with_orthanc

pytestmark = pytest.mark.slow

# DCMTK's storescp, told to keep the bits (+B), shows that neither is the gear's doing: Orthanc
# writes every element anew. It gives sequences their lengths, too.
WRITTEN_ANEW: dict[str, dict[int, tuple[str, bytes | None]]] = {
    "examples_ybr_color.dcm": {0x00102160: ("SH", b"")},  # it was two blanks
    "MR_small_jp2klossless.dcm": {0x7FE00010: ("OB", None)},  # it was OW, against PS3.5 A.4
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what Orthanc has received."""
    return tmp_path_factory.mktemp("orthanc")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """What `orthanc_run` printed."""
    return found_with_orthanc("tests.gear_send.orthanc_run", folder)


def test_every_element_arrives_as_it_was(found: dict[str, Any], folder: Path) -> None:
    """Read back over REST: elements equal but for the private tag, pixel data byte-identical.

    Each is in its own transfer syntax: Orthanc converts none of them. It does deflate anew, and it
    changes the form of two elements.
    """
    assert found["real"]["code"] == 0, found["real"]["out"]
    assert found["real"]["count"] == len(SAMPLES)
    watched = set()
    for name in SAMPLES:
        watched |= check_arrived(name, dcmread(folder / "received" / name), WRITTEN_ANEW.get(name))
    assert watched == set(WATCHED)


def test_verified_images_are_found(found: dict[str, Any]) -> None:
    """All of them, by C-FIND at the level IMAGE."""
    assert f"the server has {len(SAMPLES)} images" in found["real"]["out"]
    assert found["real"]["instances"] == []


def test_an_image_that_orthanc_took_and_did_not_keep_is_missing(found: dict[str, Any]) -> None:
    """A filter of Orthanc's drops it and says Success; the run fails, and the image has its row."""
    lost = found["lost"]
    assert lost["code"] == 1, lost["out"]
    assert [row[3:] for row in lost["files"]] == [["3", "2", "Incomplete"]]
    assert [(row[5], row[6]) for row in lost["instances"]] == [(FORGOTTEN, "not found")]
    assert "file 1: the server has 2 images" in lost["out"]
    assert "C-FIND does not find 1 of them" in lost["out"]
