"""The sockets that pynetdicom negotiates over, and that outlive it: plain, and with TLS.

pynetdicom only logs what goes wrong at its socket, and waits without end for an answer. These keep
the failure, and never wait longer than they are told.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, Final, Self

_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


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
        if self.negotiating:
            # A server that has written its TLS tickets keeps its answer to the request back until
            # they are acknowledged: 40 ms.
            acknowledge_at_once(self)
        try:
            data = super().recv(buffersize)
        except OSError as error:
            self.failure = self.failure or error
            raise
        self.ended = not data
        self.heard = self.heard or data
        return data

    def _shake_hands(self) -> None:
        pass


class TlsSocket(RememberingSocket, ssl.SSLSocket):
    """TLS over a socket, made by `secured`. Use `send`, `sendall` and `recv`: never in the clear.

    A `send` encrypts and sends all that it is given, a record of 16 KiB after the other, without
    waiting in between for the turn of its thread: the server decrypts the first ones meanwhile.

    OpenSSL knows the descriptor by its number. If it were closed while a thread is in OpenSSL, that
    would go on with whatever file or connection is given the number next: so `close` waits.
    """

    _in_use: threading.Lock
    _sslobj: object | None  # of `ssl.SSLSocket`

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make one, for `ssl.SSLContext.wrap_socket`."""
        made = super().__new__(cls, *args, **kwargs)
        made._in_use = threading.Lock()
        return made

    def close(self) -> None:
        """End the connection, and close the socket once no thread is in OpenSSL with it."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        with self._in_use:
            super().close()

    def shutdown(self, how: int, /) -> None:
        """End the connection. After that of `ssl`, a thread that uses it went on in the clear."""
        socket.socket.shutdown(self, how)

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send all of `data`, encrypted. After a time-out the same data must be given again."""
        with self._in_use:
            self._check_tls()
            return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of `data`, encrypted."""
        self.send(data, flags)

    def recv(self, buffersize: int = 1024, flags: int = 0, /) -> bytes:
        """Return the next bytes, decrypted, none at the end."""
        with self._in_use:
            self._check_tls()
            return super().recv(buffersize, flags)

    def _shake_hands(self) -> None:
        with self._in_use:
            self._check_tls()
            self.do_handshake()

    def _check_tls(self) -> None:
        if self._sslobj is None:  # Not connected yet, or closed: `ssl` would go on in the clear.
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))


def secured(sock: socket.socket, context: ssl.SSLContext, host: str) -> TlsSocket:
    """Return `sock`, not yet connected, as one that uses TLS from the connection on.

    Args:
        sock: is not of use any more.
        context: of a client.
        host: the name that the certificate must have.
    """
    context.sslsocket_class = TlsSocket
    made = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    assert isinstance(made, TlsSocket)  # noqa: S101 - it is of the class above
    return made
