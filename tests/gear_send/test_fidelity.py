"""What arrives is what was uploaded: real files of every kind, through the whole gear."""

from __future__ import annotations

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from tests.gear_send.real_files import SAMPLES, WATCHED, check_arrived, sample
from tests.gear_send.send_helpers import Session, zipped

pytestmark = pytest.mark.slow


def test_every_element_arrives_as_it_was(session: Session) -> None:
    """Every element but the private tag is equal, and the pixel data are byte-identical.

    The server keeps what it gets bit by bit (+B).
    """
    session.archive.stop()
    session.archive.options = ("+B",)
    session.archive.start()
    contents = {name: sample(name) for name in SAMPLES}
    session.acquisition("T1", zipped(*contents.values()))
    ended = session.run_all()
    assert ended.code == 0, ended.out
    arrived = session.archive.images()
    assert len(arrived) == len(SAMPLES)
    watched = set()
    for name, content in contents.items():
        uid = str(dcmread(DicomBytesIO(content)).SOPInstanceUID)
        watched |= check_arrived(name, arrived[uid])
    assert watched == set(WATCHED)
