"""Measure what each lever of sending gives: ``python -m benchmarks.send_levers [--turns N]``.

Each one is switched off alone, and the same images are sent with it and without it in turns to the
same server. A figure is how many times as long it takes without it, the median of all turns.
"""

from __future__ import annotations

import argparse
import io
import socket
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage  # type: ignore[attr-defined]

from benchmarks.send import LARGE, MARK, SMALL, ours
from benchmarks.send_peers import HOST, images, slow_line, storescp
from imaging_gears.adapters.dimse import sockets, wire
from imaging_gears.adapters.dimse.association import Association
from imaging_gears.adapters.dimse.jobs import Jobs
from imaging_gears.adapters.dimse.opening import Opening
from imaging_gears.dicom import stored
from imaging_gears.dicom_send import splicing
from imaging_gears.dicom_send.instance import examine
from imaging_gears.dicom_send.walking import Walk
from imaging_gears.ports import SyntaxPair, TlsFiles
from imaging_gears.sandbox.network import enter_loopback
from tests.pki import self_signed

Run = Callable[[], object]
Off = Callable[[], AbstractContextManager[None]]
COUNT, LARGE_COUNT, SLOW_COUNT, FILE_COUNT = 500, 50, 100, 20


def main() -> int:
    """Print one line for each lever."""
    parser = argparse.ArgumentParser(prog="benchmarks.send_levers", description="Measure levers.")
    parser.add_argument("--turns", type=int, default=5, help="pairs of runs for each")
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory(prefix="bench-levers-") as name, ExitStack() as stack:
        folder = Path(name)
        small, large, few, fewer = (
            images(folder, *each)[1]
            for each in (
                ("small", COUNT, SMALL),
                ("large", LARGE_COUNT, LARGE),
                ("few", SLOW_COUNT, SMALL),
                ("fewer", FILE_COUNT, SMALL),
            )
        )
        identity = self_signed(folder, "server")
        key, cert = identity.key, identity.cert
        tls = TlsFiles(key=key, cert=cert, ca=cert)
        port, nagle = (stack.enter_context(storescp(nodelay=each)) for each in (True, False))
        options = ("+tls", str(key), str(cert), "+cf", str(cert), "-rc")
        secure = stack.enter_context(storescp(*options, nodelay=False))
        far = stack.enter_context(slow_line(port, 0.01))
        prompt = stack.enter_context(storescp(*options, nodelay=True))
        far_secure = stack.enter_context(slow_line(prompt, 0.01))

        def report(name: str, with_it: Run, without: Run) -> None:
            sys.stdout.write(f"{_slower(with_it, without, turns):6.2f}  {name}\n")
            sys.stdout.flush()

        def lever(name: str, off: Off, run: Run) -> None:
            report(name, run, _within(off, run))

        lever("acknowledging at once, storescp as shipped", _delayed, lambda: ours(nagle, few))
        lever("the same over TLS", _delayed, lambda: ours(secure, few, tls=tls))
        lever("encrypting a message in one call", _by_pieces, lambda: ours(prompt, small, tls=tls))
        lever(
            "asking before the first handshake is over, 20 ms, 20 images, 4 associations",
            _after_the_handshake,
            lambda: ours(far_secure, fewer, tls=tls, associations=4),
        )
        lever("TCP_NODELAY on our side", _nagle, lambda: ours(port, small))
        report(
            "own PDU loop and no decoding, against pynetdicom and pydicom",
            lambda: ours(port, few, associations=1),
            lambda: _pynetdicom(port, few),
        )
        report(
            "splicing without decoding, not sent",
            lambda: _spliced(small),
            lambda: _decoded(small),
        )
        for size, upload in (("150 KB", small), ("5 MB", large)):
            run = _sent(port, upload)
            lever(f"checksums in the sending threads, {size}", _checked_before, run)
            lever(f"passing elements in memory at once, {size}", _one_by_one, run)
            one = _sent(port, upload, associations=1)
            report(f"2 associations instead of 1, {size}", run, one)
        lever(
            "reading ahead, 150 KB, 1 association", _not_ahead, _sent(port, small, associations=1)
        )
        lever("sending what is held as it is, 5 MB", _copied, _sent(port, large))
        lever(
            "asking for all associations at once, 20 ms", _in_turn, _sent(far, few, associations=4)
        )
        report(
            "4 associations instead of 1, 20 ms round trip",
            _sent(far, few, associations=4),
            _sent(far, few, associations=1),
        )
    return 0


def _slower(with_it: Run, without: Run, turns: int) -> float:
    return statistics.median(_seconds(without) / _seconds(with_it) for _ in range(turns))


def _seconds(run: Run) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _sent(port: int, upload: Path, *, associations: int = 2) -> Run:
    return lambda: ours(port, upload, associations=associations)


# --- Without


def _within(off: Off, run: Run) -> Run:
    def inside() -> None:
        with off():
            run()

    return inside


@contextmanager
def _delayed() -> Iterator[None]:
    with (
        patch.object(wire, "acknowledge_at_once", lambda _: None),
        patch.object(sockets, "acknowledge_at_once", lambda _: None),
    ):
        yield


@contextmanager
def _nagle() -> Iterator[None]:
    made = wire.Wire.__init__

    def init(self: wire.Wire, sock: socket.socket, *limits: float) -> None:
        made(self, sock, int(limits[0]), limits[1])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)

    with patch.object(wire.Wire, "__init__", init):
        yield


@contextmanager
def _checked_before() -> Iterator[None]:
    with patch.object(stored, "LATER_SIZE", -1):
        yield


@contextmanager
def _one_by_one() -> Iterator[None]:
    with patch.object(Walk, "_pass_held", lambda *_: None):
        yield


@contextmanager
def _not_ahead() -> Iterator[None]:
    with patch.object(Jobs, "take_ahead", lambda *_: None):
        yield


@contextmanager
def _copied() -> Iterator[None]:
    read = stored.HeldStream.read
    with (
        patch.object(splicing, "VIEW", splicing.PIECE),
        patch.object(stored.HeldStream, "read", lambda self, size: bytes(read(self, size))),
    ):
        yield


@contextmanager
def _in_turn() -> Iterator[None]:
    opened = Opening.open

    def after(self: Opening, contexts: Sequence[SyntaxPair], reached: Run) -> Association:
        association = opened(self, contexts)
        reached()
        return association

    with patch.object(Opening, "open", after):
        yield


@contextmanager
def _by_pieces() -> Iterator[None]:
    send = sockets.TlsSocket.send

    def written(self: wire.Wire, pieces: list[wire.Buffer]) -> None:
        for piece in pieces:
            send(self._socket, piece)  # type: ignore[arg-type] # over TLS it is one

    with patch.object(wire.Wire, "_write", written):
        yield


@contextmanager
def _after_the_handshake() -> Iterator[None]:
    connected = sockets.RememberingSocket.connect

    def connect(self: sockets.RememberingSocket, address: object) -> None:
        reached, self.reached = self.reached, None
        connected(self, address)
        if reached is not None:
            reached()

    with patch.object(sockets.RememberingSocket, "connect", connect):
        yield


def _pynetdicom(port: int, upload: Path) -> None:
    """Send as a script with pydicom and pynetdicom does."""
    ae = AE("FLYWHEEL")
    ae.add_requested_context(MRImageStorage, "1.2.840.10008.1.2.1")
    association = ae.associate(HOST, port, ae_title="SCP")
    for data in _members(upload):
        ds = dcmread(io.BytesIO(data))
        ds.private_block(MARK.group, MARK.creator, create=True).add_new(0, "LO", MARK.value)
        if association.send_c_store(ds).Status:
            raise RuntimeError
    association.release()


def _decoded(upload: Path) -> None:
    for data in _members(upload):
        ds = dcmread(io.BytesIO(data))
        ds.private_block(MARK.group, MARK.creator, create=True).add_new(0, "LO", MARK.value)
        ds.save_as(io.BytesIO())


def _spliced(upload: Path) -> None:
    with examine(upload, MARK) as contents:
        for instance in contents.instances:
            for _ in instance.chunks():
                pass


def _members(upload: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(upload) as archive:
        for name in archive.namelist():
            yield archive.read(name)


if __name__ == "__main__":
    enter_loopback()  # storescp listens on all addresses
    sys.exit(main())
