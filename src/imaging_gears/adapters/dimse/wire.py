"""Messages over the socket of an established association (PS3.8 9.3, annex E).

What is sent goes to the socket as it comes from its source, between headers: nothing is gathered
but small pieces, so that an association costs the memory of a PDU. A time-out is about progress:
it ends a transfer that stands still, however long the whole takes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from imaging_gears.adapters.dimse import commands
from imaging_gears.adapters.dimse.failures import CUT, AssociationLostError, socket_text
from imaging_gears.adapters.dimse.sockets import TlsSocket, acknowledge_at_once
from imaging_gears.adapters.dimse.status import abort_text
from imaging_gears.errors import InputFileError

Buffer = bytes | memoryview
T = TypeVar("T")

# PDU types, PS3.8 9.3.
_P_DATA, _RELEASE_RQ, _RELEASE_RP, _ABORT = 4, 5, 6, 7
_PDU: Final = struct.Struct(">BxL")
_PDATA_HEADER: Final = struct.Struct(">BxLLBB")
_PDV: Final = struct.Struct(">LBB")
# Message control header, PS3.8 E.2.
_COMMAND, _LAST = 1, 2
_PDV_OVERHEAD: Final = 6
_EVEN: Final = 2
_NO_BODY: Final = bytes(4)

PDU_CAP: Final = 256 * 1024
"""The longest PDU that is sent to a server that sets no limit, or a higher one."""
_GATHERED: Final = 256 * 1024
"""Bytes of pieces after which no further ones are waited for."""
_AT_ONCE: Final = 1024 * 1024
"""Bytes of one piece that are given to the system in one call: around each one threads wait for
each other. What is encrypted is copied for that, so there it is as little as what is gathered."""
_BATCH_PIECES: Final = 256  # Linux takes 1,024 in one call
_SMALL: Final = 4096
_MAX_RECEIVED: Final = 1024 * 1024
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_BYTES_ACKED: Final = slice(120, 128)
_BYTES_RECEIVED: Final = slice(128, 136)
"""Where they stand in struct tcp_info (linux/tcp.h), which only ever grows at its end."""
GOODBYE_SECONDS: Final = 1.0
"""How long a server may take to confirm a release."""


@dataclass(frozen=True, slots=True)
class Message:
    """A DIMSE message: its command set, and its data set where it has one."""

    command: Mapping[int, bytes]
    data_set: bytes = b""


@dataclass(slots=True)
class Framer:
    """Puts the headers of P-DATA-TF PDUs between the pieces of one part of a message.

    Attributes:
        context_id: of the presentation context.
        control: 1 for a command set, 0 for a data set.
        left: bytes of the part that are still to come.
        room: bytes of the part that fit into one PDU.
    """

    context_id: int
    control: int
    left: int
    room: int
    _fragment: int = field(init=False, default=0)

    @property
    def within(self) -> bool:
        """Whether a PDU has begun and is not complete."""
        return self._fragment > 0

    def feed(self, piece: Buffer) -> Iterator[Buffer]:
        """Return `piece` with the headers that belong before and into it.

        Raises:
            InputFileError: it is more than was announced.
        """
        view = memoryview(piece)
        while view:
            if not self._fragment:
                yield self._header()
            part = view[: self._fragment]
            yield part
            self._fragment -= len(part)
            self.left -= len(part)
            view = view[len(part) :]

    def _header(self) -> bytes:
        self._fragment = min(self.left, self.room)
        if not self._fragment:
            raise InputFileError("The data set is longer than it was when it was examined.")
        control = self.control | (_LAST if self._fragment == self.left else 0)
        length = self._fragment + 2
        return _PDATA_HEADER.pack(_P_DATA, length + 4, length, self.context_id, control)


class Wire:
    """The socket of an established association.

    Args:
        sock: connected; its time-out is set here.
        max_length: the server's Maximum Length (PS3.8 D.1), 0 where it sets no limit.
        seconds: without progress, after which the association counts as lost.

    Raises:
        AssociationLostError: by all methods that send or receive.
    """

    def __init__(self, sock: socket.socket, max_length: int, seconds: float) -> None:
        if 0 < max_length < _PDV_OVERHEAD + _EVEN:
            sock.close()
            raise AssociationLostError("the server takes no PDU that is long enough to hold data")
        self._socket = sock
        self._seconds = seconds
        self._at_once = _GATHERED if isinstance(sock, TlsSocket) else _AT_ONCE
        # A fragment is of even length (PS3.8 annex E.1), whatever limit the server sets.
        self._room = (min(max_length or PDU_CAP, PDU_CAP) - _PDV_OVERHEAD) // _EVEN * _EVEN
        self._received = bytearray()
        self._batch: list[Buffer] = []
        self._batched = 0
        self._within = False
        sock.settimeout(seconds)
        # The last, short segment of a message must not wait for an acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # --- Messages

    def send(
        self, context_id: int, command: bytes, data: Iterable[Buffer] = (), length: int = 0
    ) -> None:
        """Send a message.

        Args:
            context_id: of the presentation context.
            command: the command set.
            data: the data set in pieces.
            length: bytes of all pieces of `data`.

        Raises:
            InputFileError: `data` is not of that length. The association is of no use then.
        """
        for piece in Framer(context_id, _COMMAND, len(command), self._room).feed(command):
            self._add(piece)
        framer = Framer(context_id, 0, length, self._room)
        for chunk in data:
            # A short view is copied, to travel with what follows; a long one is not good any more
            # when the next is asked for.
            held = bytes(chunk) if len(chunk) < _SMALL else chunk
            for piece in framer.feed(held):
                self._add(piece)
            self._within = framer.within
            if self._batched >= _GATHERED or not isinstance(held, bytes):
                self._flush()
        if framer.left:
            raise InputFileError("The data set is shorter than it was when it was examined.")
        self._flush()
        # Also of what comes before anybody waits for it.
        acknowledge_at_once(self._socket)

    def receive(self) -> Message:
        """Return the next message of the server."""
        command = commands.parse_command(self._part(_COMMAND))
        if commands.number(command, commands.DATA_SET_TYPE) == commands.NO_DATA_SET:
            return Message(command)
        return Message(command, self._part(0))

    def _part(self, control: int) -> bytes:
        part = bytearray()
        while True:
            for header, fragment in self._fragments():
                if header & _COMMAND != control:
                    raise AssociationLostError("the server mixed up the parts of a message")
                part += fragment
                if header & _LAST:
                    return bytes(part)
            if len(part) > _MAX_RECEIVED:
                raise AssociationLostError("the server sent a message that never ends")

    def _fragments(self) -> Iterator[tuple[int, bytes]]:
        """Return the fragments of the next P-DATA-TF PDU.

        None of the servers put two messages into one PDU, and PS3.8 annex E does not allow it.
        """
        kind, body = self._pdu()
        if kind != _P_DATA:
            ended = kind in (_ABORT, _RELEASE_RQ)
            raise AssociationLostError(self._farewell(kind, body), ended=ended)
        position = 0
        while position < len(body):
            try:
                length, _, header = _PDV.unpack_from(body, position)
            except struct.error:
                raise AssociationLostError("the server sent a PDU that is cut off") from None
            end = position + 4 + length
            if length < 2 or end > len(body):  # noqa: PLR2004 - context and control header
                raise AssociationLostError("the server sent a PDU that contradicts its lengths")
            yield header, body[position + _PDV.size : end]
            position = end

    # --- The end

    def release(self) -> None:
        """End the association in order (PS3.8 9.3.6), or cut it off if the server does not join."""
        with contextlib.suppress(AssociationLostError, OSError):
            self._socket.settimeout(GOODBYE_SECONDS)
            self._write([_PDU.pack(_RELEASE_RQ, 4) + _NO_BODY])
            self._pdu()
        self.close()

    def abort(self) -> None:
        """End the association at once (PS3.8 9.3.8).

        Within a PDU an A-ABORT would be taken for a part of it: there only the cut says it.
        """
        if not self._within and not self._batch:
            with contextlib.suppress(AssociationLostError, OSError):
                self._socket.settimeout(GOODBYE_SECONDS)
                self._write([_PDU.pack(_ABORT, 4) + _NO_BODY])
        self.close()

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _farewell(self, kind: int, body: bytes) -> str:
        if kind == _ABORT and len(body) >= 4:  # noqa: PLR2004 - two reserved, source, reason
            return abort_text(body[2], body[3])
        if kind == _RELEASE_RQ:
            with contextlib.suppress(AssociationLostError):
                self._write([_PDU.pack(_RELEASE_RP, 4) + _NO_BODY])
            return "released by the server"
        return f"the server sent an unexpected PDU of type {kind}"

    # --- Bytes

    def _add(self, piece: Buffer) -> None:
        self._batch.append(piece)
        self._batched += len(piece)
        if self._batched >= self._at_once or len(self._batch) >= _BATCH_PIECES:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch, self._batched = self._batch, [], 0
        if batch:  # Encrypting nothing costs as much as encrypting little.
            self._write(batch)

    def _write(self, pieces: list[Buffer]) -> None:
        try:
            if isinstance(self._socket, TlsSocket):
                # Joined: each call makes a record of its own, and waits for its turn afterwards.
                _patiently(self._socket, partial(self._socket.send, b"".join(pieces)))
            else:
                _write_pieces(self._socket, pieces)
        except OSError as error:
            # A server that aborts while we are sending says so before it closes.
            if isinstance(error, TimeoutError):
                raise self._lost(error) from error
            word = self._last_word()
            if word is not None:
                raise AssociationLostError(word, ended=True) from error
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> AssociationLostError:
        return AssociationLostError(
            socket_text(error, self._seconds),
            silent=isinstance(error, TimeoutError),
            ended=isinstance(error, CUT),
        )

    def _last_word(self) -> str | None:
        try:
            self._socket.settimeout(GOODBYE_SECONDS)
            kind, body = self._pdu()
        except (OSError, AssociationLostError):
            return None
        return self._farewell(kind, body) if kind == _ABORT else None

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = _PDU.unpack(self._take(_PDU.size))
        if length > _MAX_RECEIVED:
            raise AssociationLostError("the server sent what is no PDU")
        return kind, self._take(length)

    def _take(self, size: int) -> bytes:
        if len(self._received) < size:
            # DCMTK and Orthanc write a response in two steps, the second of which waits for an
            # acknowledgement of the first: 40 ms, unless it is not delayed.
            acknowledge_at_once(self._socket)
        while len(self._received) < size:
            try:
                data = _patiently(self._socket, partial(self._socket.recv, 65536))
            except OSError as error:
                raise self._lost(error) from error
            if not data:
                raise AssociationLostError("the server closed the connection", ended=True)
            self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


def _write_pieces(sock: socket.socket, pieces: list[Buffer]) -> None:
    """Send without joining. `sendall` would have one time-out for all of it."""
    pending = pieces
    while pending:
        done = _patiently(sock, partial(sock.sendmsg, pending))
        first = 0
        while first < len(pending) and done >= len(pending[first]):
            done -= len(pending[first])
            first += 1
        pending = pending[first:]
        if done:
            pending[0] = memoryview(pending[0])[done:]


def _patiently(sock: socket.socket, call: Callable[[], T]) -> T:
    """Return what `call` returns, as often as it takes while bytes move, either way.

    On a slow line megabytes wait in the system's buffer: nothing more can be written, nor does the
    server answer, though all is well. And what `ssl` takes or gives is whole records.
    """
    moved = _moved(sock)
    while True:
        try:
            return call()
        except TimeoutError:
            before, moved = moved, _moved(sock)
            if moved <= before:
                raise


def _moved(sock: socket.socket) -> int:
    """Return how many bytes the peer has confirmed, and how many have come from it (Linux 4.1).

    0 where the system does not say.
    """
    if _TCP_INFO is None:
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _BYTES_RECEIVED.stop)
    except OSError:
        return 0
    counts = (info[_BYTES_ACKED], info[_BYTES_RECEIVED])
    return sum(int.from_bytes(each, sys.byteorder) for each in counts)
