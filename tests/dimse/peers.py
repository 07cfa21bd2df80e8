"""DICOM servers on this machine: DCMTK's storescp, and one that does what a test tells it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
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
from tests.dcmtk import dcmtk
from tests.dimse.items import CT, MR, Item, converted
from tests.waiting import LONG, until

QUICK = Limits(connect=LONG, answer=LONG, progress=LONG, waits=(0.01, 0.02, 0.04))
"""Does not pause; a time-out that has to pass is a test's own."""
_KEPT: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that nobody else on this machine is given meanwhile.

    It stays bound here, which a server may join in with SO_REUSEADDR, and refuses connections until
    one does.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    _KEPT.append(sock)
    return int(sock.getsockname()[1])


@dataclass
class StoreScp:
    """A storescp process, which can be killed and started again at the same port.

    Attributes:
        prefix: a command that becomes storescp.
    """

    folder: Path
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [dcmtk("storescp"), "-aet", "SCP", "-od", str(self.folder), *self.options]
        # In a session of its own: with --fork it has children.
        self.process = subprocess.Popen(
            [*self.prefix, *command, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self.port)

    def kill(self) -> None:
        """Kill it with its children, as a crash would, and wait until none of them listens."""
        if self.process is not None:
            kill_group(self.process, self.port)
            self.process = None

    @property
    def files(self) -> list[Path]:
        """What it has stored."""
        return sorted(self.folder.iterdir())


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[StoreScp]:
    """A storescp that takes several associations, and keeps what it gets bit by bit."""
    folder.mkdir(exist_ok=True)
    server = StoreScp(folder, ("+B", *options))
    server.start()
    try:
        yield server
    finally:
        server.kill()


def wait_for(port: int, *, listening: bool = True) -> None:
    """Wait until somebody listens at `port`; or until nobody does."""
    what = "the server listens" if listening else "nobody listens"
    until(lambda: is_listening(port) is listening, what)


def is_listening(port: int) -> bool:
    """Whether somebody takes connections at `port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=LONG).close()
    except OSError:
        return False
    return True


def kill_group(process: subprocess.Popen[bytes], port: int) -> None:
    """Kill a server that leads a session of its own; behind that, nobody has its port.

    A server that forks leaves its socket to each child: while one lives, no other can listen.
    """
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(port, listening=False)


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
            for thread in (acceptor, *threads):
                thread.join()


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
