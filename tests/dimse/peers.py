"""DICOM servers on this machine: DCMTK's storescp, and one that does what a test tells it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from imaging_gears.adapters.dimse.requestor import Limits
from imaging_gears.adapters.dimse.server import DimseServer
from imaging_gears.ports import Peer, Sent
from tests.dcmtk import StoreScp
from tests.dimse.items import CT, EXPLICIT, MR, Item, converted
from tests.local_ports import free_port
from tests.waiting import LONG, until

QUICK = Limits(connect=LONG, answer=LONG, progress=LONG, waits=(0.01, 0.02, 0.04))
"""Does not pause; a time-out that has to pass is a test's own."""


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[StoreScp]:
    """A storescp that takes several associations, and keeps what it gets bit by bit."""
    folder.mkdir(exist_ok=True)
    server = StoreScp(folder, ("+B", *options))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@dataclass
class Scripted:
    """A server whose answers to the C-STORE requests are a test's own.

    Attributes:
        received: SOP instance UIDs in the order they came in.
        associations: how many were accepted.
    """

    port: int
    ae: AE
    received: list[str] = field(default_factory=list)
    associations: int = 0


Answer = Callable[[Scripted, Any], Any]


def aborts_at(number: int) -> Callable[[Scripted, evt.Event], int]:
    """A server that aborts when so many instances have come in, and takes all others."""

    def answer(scp: Scripted, event: evt.Event) -> int:
        if len(scp.received) == number:
            event.assoc.abort()
        return 0

    return answer


@contextmanager
def scripted(
    answer: Answer, *, contexts: tuple[str, ...] = (MR, CT), most: int = 10
) -> Iterator[Scripted]:
    """A server that gives `answer`: a status, or a data set with one."""
    ae = AE(ae_title="SCP")
    ae.maximum_associations = most
    ae.network_timeout = None  # its clock may be set
    for sop_class in contexts:
        ae.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES)
    server = Scripted(0, ae)
    lock = threading.Lock()

    def store(event: Any) -> Any:  # noqa: ANN401 - an Event has its attributes by kind
        with lock:
            server.received.append(str(event.request.AffectedSOPInstanceUID))
            return answer(server, event)

    def accepted(_: Any) -> None:  # noqa: ANN401
        server.associations += 1

    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_ACCEPTED, accepted)]
    server.port = free_port()  # nobody else's, either, when the server has ended
    running = ae.start_server(("127.0.0.1", server.port), block=False, evt_handlers=handlers)
    try:
        yield server
    finally:
        running.shutdown()


@contextmanager
def listening(
    serve: Callable[[socket.socket], None], *, receive_buffer: int | None = None
) -> Iterator[int]:
    """A TCP server that hands each connection to `serve`; yields its port."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def accept() -> None:
        while not stop.is_set():
            try:
                connection, _ = sock.accept()
            except TimeoutError:
                continue
            connection.settimeout(LONG)
            threads.append(threading.Thread(target=guarded, args=(connection,)))
            threads[-1].start()

    def guarded(connection: socket.socket) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(0.05)
        if receive_buffer is not None:
            # Connections inherit it.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield sock.getsockname()[1]
        finally:
            stop.set()
            acceptor.join()  # It may be about to start one.
            for thread in threads:
                thread.join()


@dataclass
class Together:
    """Keeps those that come waiting for each other.

    Attributes:
        count: of those that are waited for, for a second.
        met: for each one whether the others came.
    """

    count: int
    met: list[bool] = field(default_factory=list)
    _all_here: threading.Barrier = field(init=False)

    def __post_init__(self) -> None:
        """Wait for `count`."""
        self._all_here = threading.Barrier(self.count)

    def arrive(self) -> None:
        """Wait for the others."""
        try:
            self._all_here.wait(1)
        except threading.BrokenBarrierError:
            self.met.append(False)
        else:
            self.met.append(True)


@dataclass
class Pauses:
    """Waits that are noted and not waited, unless they are to be `waited`, too."""

    waited: bool = False
    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        """Note a wait."""
        self.seconds.append(seconds)
        if self.waited:
            time.sleep(seconds)


def peer(port: int, host: str = "127.0.0.1") -> Peer:
    """The server at `port`."""
    return Peer(host=host, port=port, called_ae="SCP", calling_ae="FLYWHEEL")


def server_at(port: int, **options: Any) -> DimseServer:  # noqa: ANN401 - as DimseServer has them
    """A client of the server at `port`, which does not wait long."""
    return DimseServer(peer(port), **{"limits": QUICK, **options})


def send(server: DimseServer, items: list[Item]) -> dict[int, Sent]:
    """Send all; the results by number. There is exactly one for each."""
    results = list(server.send(items, converted))
    assert sorted(result.number for result in results) == sorted(each.number for each in items)
    return {result.number: result for result in results}


@contextmanager
def no_thread_left(named: str = "") -> Iterator[None]:
    """Whatever threads the block starts whose names begin like that have ended soon after it."""
    before = set(threading.enumerate())
    yield

    def ended() -> bool:
        new = set(threading.enumerate()) - before
        return not any(each.name.startswith(named) for each in new)

    until(ended, "all threads have ended")


# --- What a server of a test's own says


def stored() -> bytes:
    """A P-DATA-TF with a C-STORE-RSP, status 0000, to message 1 (PS3.7 9.3.1.2)."""
    command = b"".join(
        struct.pack("<HHLH", 0, element, 2, value)
        for element, value in ((0x0100, 0x8001), (0x0120, 1), (0x0800, 0x0101), (0x0900, 0))
    )
    return struct.pack(">BxLLBB", 4, len(command) + 6, len(command) + 2, 1, 3) + command


def pass_pdu(connection: socket.socket) -> None:
    """Read one PDU (PS3.8 9.3.1); it may come in several pieces, which no `recv` tells apart."""
    _exactly(connection, struct.unpack(">BxL", _exactly(connection, 6))[1])


def _exactly(connection: socket.socket, size: int) -> bytes:
    """Read so many bytes. A time-out would end MSG_WAITALL with what is there."""
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionAbortedError
        data += more
    return data


def accept_of(longest: int = 16384) -> bytes:
    """An A-ASSOCIATE-AC that accepts the contexts 1 and 3 (PS3.8 9.3.3).

    Args:
        longest: its Maximum Length (PS3.8 D.1).
    """

    def entry(kind: int, value: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(value)) + value

    contexts = b"".join(
        entry(0x21, struct.pack(">BxBx", number, 0) + entry(0x40, syntax.encode()))
        for number, syntax in ((1, EXPLICIT), (3, "1.2.840.10008.1.2"))
    )
    user = entry(0x50, entry(0x51, struct.pack(">L", longest)) + entry(0x52, b"1.2.3"))
    body = struct.pack(">H2x16s16s32x", 1, b"SCP".ljust(16), b"FLYWHEEL".ljust(16))
    body += entry(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return struct.pack(">BxL", 2, len(body)) + body
