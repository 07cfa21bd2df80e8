"""The sockets that pynetdicom negotiates over, and that outlive it: plain, and with TLS.

pynetdicom only logs what goes wrong at its socket, and waits without end for an answer. These keep
the failure, and never wait longer than they are told.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_AT_ONCE: Final = 65536


def acknowledge_at_once(sock: socket.socket) -> None:
    """Do not delay the next acknowledgements (Linux). Sending resets it."""
    if _QUICKACK is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class RememberingSocket(socket.socket):
    """A TCP socket that keeps its failure.

    Attributes:
        failure: the first one, of connecting or reading.
        connected: whether it was; with TLS, whether the handshake is over.
        ended: whether the server has closed the connection.
        heard: the first bytes of what it has said.
        negotiating: whether the association is not established yet.
        answer_seconds: how long pynetdicom may wait for an answer.
        reached: is called once when the server has taken the connection, before any handshake.
    """

    failure: OSError | None = None
    connected: bool = False
    ended: bool = False
    heard: bytes = b""
    negotiating: bool = True
    answer_seconds: float = 30.0
    reached: Callable[[], None] | None = None

    def settimeout(self, value: float | None, /) -> None:
        """Set the time-out; pynetdicom's None, after connecting, is the time for the answer."""
        super().settimeout(self.answer_seconds if value is None else value)

    def connect(self, address: Any, /) -> None:
        """Connect; over TLS with the handshake."""
        try:
            super().connect(address)
            if self.reached is not None:
                # Others may connect meanwhile: on a long way a handshake takes as long as an image.
                self.reached()
            self._shake_hands()
        except OSError as error:
            self.failure = error
            raise
        self.connected = True

    def recv(self, buffersize: int = 1024, _flags: int = 0, /) -> bytes:
        """Return the next bytes, none at the end. There is no use for flags here."""
        try:
            data = self._next(buffersize)
        except OSError as error:
            self.failure = self.failure or error
            raise
        self.ended = not data
        self.heard = self.heard or data
        return data

    def _next(self, size: int) -> bytes:
        if self.negotiating:
            # A server that has written its TLS tickets keeps its answer to the request back until
            # they are acknowledged: 40 ms.
            acknowledge_at_once(self)
        return super().recv(size)

    def _shake_hands(self) -> None:
        pass


class TlsSocket(RememberingSocket):
    """TLS over a socket, encrypted in memory: a call to the system for a batch, not for a record.

    `ssl.SSLSocket` calls the system for every 16 KiB, and its `send` has one time-out for all that
    it is given. Here ciphertext is sent like any other bytes, and each step of it has its own.
    """

    _tls: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Use TLS from the connection on; `host` is the name that the certificate must have."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def encrypted(self, pieces: Iterable[bytes | memoryview]) -> bytes:
        """Return what is to be sent for `pieces`."""
        # One call: each lets other threads run, and waits for its turn afterwards.
        self._tls.write(b"".join(pieces))
        return self._outgoing.read()

    def send(self, data: Any, _flags: int = 0, /) -> int:
        """Send all of `data`, encrypted."""
        super().sendall(self.encrypted([data]))
        return len(data)

    def _next(self, size: int) -> bytes:
        """Return decrypted bytes. Tickets and new keys are dealt with on the way."""
        if not (self._incoming.pending or self._tls.pending()):
            # To try first would cost an exception for each answer, more than all the rest.
            self._feed()
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._feed()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""
            finally:
                self._flush()

    def _shake_hands(self) -> None:
        """Do so within the socket's time-out, however many messages it takes."""
        until = time.monotonic() + (self.gettimeout() or math.inf)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
                if time.monotonic() >= until:
                    raise TimeoutError from None
            except OSError:
                # The alert tells the server why. What we know already counts more.
                with contextlib.suppress(OSError):
                    self._flush()
                raise
            else:
                return self._flush()

    def _feed(self) -> None:
        data = super()._next(_AT_ONCE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            super().sendall(self._outgoing.read())
