"""Deflated data sets, to servers that do not take them."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file

from imaging_gears.dicom_send.instance import Instance, Mark, as_uncompressed, examine
from imaging_gears.ports import Sent
from tests.dimse.items import DEFLATED, EXPLICIT, IMPLICIT, JPEG, MR
from tests.dimse.peers import server_at, storescp

MARK = Mark(group=0x0021, creator="Flywheel", value="DICOM Send")


def deliver(folder: Path, option: str) -> Sent:
    """Send pydicom's deflated file to a storescp with `option`."""
    path = get_testdata_file("image_dfl.dcm")
    assert isinstance(path, str)
    with examine(Path(path), MARK) as contents, storescp(folder, option) as scp:
        (instance,) = contents.instances
        assert isinstance(instance, Instance)
        (sent,) = server_at(scp.port).send([instance], as_uncompressed)
    return sent


def test_a_refused_deflated_data_set_is_sent_inflated(tmp_path: Path) -> None:
    """As explicit little endian, and it says so; every element but the private tag is equal."""
    sent = deliver(tmp_path / "in", "+xe")
    assert (sent.outcome, sent.status, sent.transfer_syntax_uid) == ("sent", 0, EXPLICIT)
    (path,) = (tmp_path / "in").iterdir()
    arrived, source = dcmread(path), dcmread(str(get_testdata_file("image_dfl.dcm")))
    assert arrived.file_meta.TransferSyntaxUID == EXPLICIT
    assert arrived.private_block(0x0021, "Flywheel")
    arrived.remove_private_tags()
    source.remove_private_tags()
    assert {each.tag for each in arrived} == {each.tag for each in source if each.tag.element}
    assert all(arrived[each.tag].value == each.value for each in source if each.tag.element)


def test_an_implicit_server_gets_it_too(tmp_path: Path) -> None:
    """Implicit little endian is the last resort."""
    sent = deliver(tmp_path / "in", "+xi")
    assert (sent.outcome, sent.transfer_syntax_uid) == ("sent", IMPLICIT)


def test_a_server_that_takes_deflated_gets_deflated(tmp_path: Path) -> None:
    """Its own syntax comes first."""
    sent = deliver(tmp_path / "in", "+xd")
    assert (sent.outcome, sent.transfer_syntax_uid) == ("sent", None)
    (path,) = (tmp_path / "in").iterdir()
    assert dcmread(path).file_meta.TransferSyntaxUID == DEFLATED


def test_a_dry_run_counts_it_as_taken(tmp_path: Path) -> None:
    """Compressed pixels are still refused."""
    with storescp(tmp_path / "in", "+xe") as scp:
        offers = server_at(scp.port).offers([(MR, DEFLATED), (MR, JPEG)])
    assert offers[MR, DEFLATED].transfer_syntax_uid == EXPLICIT
    assert offers[MR, JPEG].transfer_syntax_uid is None
