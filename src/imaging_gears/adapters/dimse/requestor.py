"""pynetdicom's requestor as `Opening` needs it: over our sockets, with one thread, not polling.

pynetdicom's own sending polls, and its reactor thread now and then takes the response that the
sender waits for (pynetdicom issues 842 and 850). So that thread is never started, the one of the
protocol is ended as soon as the association stands, and the socket is used directly.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pynetdicom
from pynetdicom import AE
from pynetdicom.transport import AddressInformation, AssociationSocket

from imaging_gears.adapters.dimse.sockets import RememberingSocket, secured
from imaging_gears.adapters.dimse.tls import ClientTls
from imaging_gears.errors import UnexpectedError

if TYPE_CHECKING:
    from pynetdicom.association import Association as Negotiation

_TESTED_VERSIONS: Final = ((3, 0, 4), (3, 1))
_AWAITING_ANSWER: Final = "Sta5"
"""PS3.8 table 9-6: the request was sent, and nothing is left to do but to wait for the answer."""
_LOOK_SECONDS: Final = 0.02
_STEP_SECONDS: Final = 0.0001


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long is waited, in seconds.

    Attributes:
        connect: for the TCP connection and the TLS handshake.
        answer: for the answer to the association request.
        progress: for the next byte to move, while sending and while waiting for a response.
        waits: before the next association, after the server failed; in a row without success.
        tries: of an instance whose association is lost each time.
        lookups: before the server's name is looked up again, when the name service did not answer.
    """

    connect: float = 10.0
    answer: float = 30.0
    progress: float = 60.0
    waits: tuple[float, ...] = (1.0, 7.0, 22.0)
    tries: int = 3
    lookups: tuple[float, ...] = (0.5, 1.5, 4.0)


@dataclass(slots=True)
class Dialler:
    """Takes the place of the SSLContext that pynetdicom is given: it hands out our sockets."""

    tls: ClientTls | None
    limits: Limits
    reached: Callable[[], None] | None = None
    sock: RememberingSocket | None = None
    hung_up: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wrap_socket(self, sock: socket.socket, **options: Any) -> socket.socket:
        """Return `sock`, not yet connected, as one that remembers.

        Args:
            sock: is not of use any more.
            options: of `ssl.SSLContext.wrap_socket`.
        """
        with self._lock:
            if self.hung_up:
                sock.close()
                raise ConnectionAbortedError
            made = (
                RememberingSocket(fileno=sock.detach())
                if self.tls is None
                else secured(sock, self.tls.context(), options["server_hostname"])
            )
            made.answer_seconds = self.limits.answer
            made.reached = self.reached
            self.sock = made
            return made

    def hang_up(self) -> None:
        """End whatever waits on the socket, from another thread."""
        with self._lock:
            self.hung_up = True
            if self.sock is not None:
                with contextlib.suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)


def check_pynetdicom() -> None:
    """Prepare pynetdicom for `Opening`.

    Raises:
        UnexpectedError: it is of a version whose ways were not tried.
    """
    version = tuple(int(part) for part in pynetdicom.__version__.split(".")[:3] if part.isdigit())
    least, below = _TESTED_VERSIONS
    if not least <= version < below:
        raise UnexpectedError(
            f"pynetdicom is of version {pynetdicom.__version__}; the gear needs 3.0.4 up to 3.0.x."
        )
    # What it has to say is said by the errors here, once and without UIDs.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


class _AwaitingSocket(AssociationSocket):
    """One that waits for the answer, where pynetdicom looks for it a thousand times a second.

    Four associations that are opened at once, each looking, keep each other from looking.
    """

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
        awaiting = self.assoc.dul.state_machine.current_state == _AWAITING_ANSWER
        if awaiting and self.socket is not None:
            # Whoever ends the waiting shuts the socket down, or waits as long as this takes.
            with contextlib.suppress(OSError, ValueError):
                select.select([self.socket], [], [], _LOOK_SECONDS)
        return super().ready


class Requestor(AE):
    """pynetdicom's requestor, whose thread does not keep the process from ending.

    Attributes:
        negotiation: the association that was begun.
    """

    negotiation: Negotiation | None = None

    def _create_socket(
        self, assoc: Negotiation, address: AddressInformation, tls_args: Any
    ) -> AssociationSocket:
        # Before the thread of the protocol is started, which is none that ends with the process.
        assoc.dul.daemon = True
        # Between two steps of the negotiation it sleeps.
        assoc.dul._run_loop_delay = _STEP_SECONDS  # noqa: SLF001
        # That of the association would look for responses, which are read from the socket here.
        assoc.start = _nothing  # type: ignore[method-assign]
        self.negotiation = assoc
        sock = _AwaitingSocket(assoc, address=address)
        sock.tls_args = tls_args
        return sock


def _nothing() -> None:
    pass


def abandon(negotiation: Negotiation) -> None:
    """End what has begun without waiting for it."""
    negotiation.dul.kill_dul()
    theirs = negotiation.dul.socket
    if theirs is not None and theirs.socket is not None:
        theirs.socket.close()


def end_thread(negotiation: Negotiation) -> None:
    """End the thread of an established association; its socket stays open."""
    negotiation.dul.kill_dul()
    negotiation.dul.join()
