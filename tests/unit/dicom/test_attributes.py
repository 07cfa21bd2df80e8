"""The table of attributes agrees with the data dictionary, and costs no import of pydicom."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from imaging_gears.dicom.attributes import ATTRIBUTES, Attribute


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda attribute: attribute.keyword)
def test_tag_and_vr_are_those_of_the_dictionary(attribute: Attribute) -> None:
    """PS3.6, as pydicom carries it, gives the same tag and VR for the keyword."""
    assert tag_for_keyword(attribute.keyword) == attribute.tag
    assert dictionary_VR(attribute.tag) == attribute.vr


def test_attributes_are_in_the_order_of_their_tags() -> None:
    """The table is sorted, and no attribute is there twice."""
    tags = [attribute.tag for attribute in ATTRIBUTES]
    assert tags == sorted(set(tags))


@pytest.mark.parametrize("module", ["attributes", "header", "members"])
def test_reading_loads_no_pydicom(module: str) -> None:
    """A process that imports the module has not imported pydicom."""
    code = f"import sys, imaging_gears.dicom.{module}; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
