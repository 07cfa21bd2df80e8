"""`verify` with servers other than Orthanc: dcmqrscp, one that indexes late, one without C-FIND."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage, StudyRootQueryRetrieveInformationModelFind

from tests.dcmtk import dcmtk
from tests.gear_send.send_helpers import Session, slices, tables, zipped
from tests.local_ports import free_port, wait_for

pytestmark = pytest.mark.slow

DCMQRSCP = """
NetworkTCPPort = {port}
MaxPDUSize = 131072
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
PACS {folder} RW (500, 1024mb) ANY
AETable END
"""


@contextmanager
def dcmqrscp(folder: Path) -> Iterator[int]:
    """DCMTK's archive; yields its port."""
    port = free_port()
    (folder / "store").mkdir()
    config = folder / "dcmqrscp.cfg"
    config.write_text(DCMQRSCP.format(port=port, folder=folder / "store"), encoding="ascii")
    with (folder / "dcmqrscp.log").open("wb") as log:
        process = subprocess.Popen([dcmtk("dcmqrscp"), "-c", str(config)], stdout=log, stderr=log)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def late(queries: int) -> Iterator[int]:
    """A server that finds what it has only behind so many queries; yields its port."""
    stored: list[str] = []
    asked = []

    def store(event: Any) -> int:  # noqa: ANN401 - an Event has its attributes by kind
        stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:  # noqa: ANN401 - as above
        asked.append(event)
        for uid in stored if len(asked) > queries else ():
            answer = Dataset()
            answer.QueryRetrieveLevel = "IMAGE"
            answer.SOPInstanceUID = uid
            yield 0xFF00, answer

    ae = AE(ae_title="PACS")
    ae.add_supported_context(MRImageStorage)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, find)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
    assert len(asked) == queries + 1


def test_dcmqrscp_finds_what_it_has(session: Session) -> None:
    """Its index knows the images at once.

    Over one association: that of DCMTK 3.6.7 loses entries when two of its processes write it, with
    two storescu side by side as well (3 runs of 60), and `verify` says so.
    """
    session.acquisition("T1", zipped(*slices(4)))
    (session.root / "qr").mkdir()
    with dcmqrscp(session.root / "qr") as port:
        ended = session.run_all(port=port, verify=True, associations=1)
    assert ended.code == 0, ended.out
    assert "file 1: the server has 4 images" in ended.out
    assert tables(session.reports())[1] == []


def test_a_server_that_indexes_late_is_waited_for(session: Session) -> None:
    """It finds nothing twice, and all then."""
    session.acquisition("T1", zipped(*slices(3)))
    with late(2) as port:
        ended = session.run_all(port=port, verify=True)
    assert ended.code == 0, ended.out
    assert "file 1: the server has 3 images" in ended.out


def test_without_c_find_the_images_stay_sent_and_the_log_says_so(session: Session) -> None:
    """The storescp of DCMTK only stores: a row for the file, and no failure."""
    session.acquisition("T1", zipped(*slices(3)))
    ended = session.run_all(verify=True)
    assert ended.code == 0, ended.out
    assert "file 1: not verified: the server offers no C-FIND" in ended.out
    files, instances = tables(session.reports())
    assert [row[3:] for row in files] == [["3", "3", "Complete"]]
    assert [row[6:] for row in instances] == [["not checked", "the server offers no C-FIND"]]
