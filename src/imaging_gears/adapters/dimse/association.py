"""Using an established association: C-STORE, C-ECHO and C-FIND, one request at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imaging_gears.adapters.dimse import commands
from imaging_gears.adapters.dimse.failures import AssociationLostError
from imaging_gears.adapters.dimse.status import PENDING, clean_comment
from imaging_gears.adapters.dimse.wire import Message, Wire
from imaging_gears.ports import Sendable, SyntaxPair

_LAST_MESSAGE_ID: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and Error Comment of a response."""

    status: int
    comment: str = ""


class Association:
    """An established association.

    Args:
        wire: None where the server accepted no context, and the association is over already.
        refused: why, per pair.
        numbers: presentation context IDs of the accepted pairs.

    Attributes:
        worked: whether the server has taken or finally refused an instance over it.

    Raises:
        AssociationLostError: by all methods; the association is of no use then.
    """

    def __init__(
        self,
        wire: Wire | None,
        refused: Mapping[SyntaxPair, str],
        numbers: Mapping[SyntaxPair, int] | None = None,
    ) -> None:
        self._wire = wire
        self.refused = refused
        self.worked = False
        self._numbers = numbers or {}
        self._message_id = 0

    @property
    def accepted(self) -> Collection[SyntaxPair]:
        """Return the pairs that may be sent."""
        return self._numbers.keys()

    def store(
        self, item: Sendable, data: Iterable[bytes | memoryview], meanwhile: Callable[[], None]
    ) -> Reply:
        """Send an instance whose pair is accepted; return the server's answer (PS3.7 9.1.1).

        Args:
            item: says what it is.
            data: what its `chunks` gives.
            meanwhile: is done while the answer is on its way.

        Raises:
            ImagingError: its source broke; the association is of no use then.
        """
        pair = (item.sop_class_uid, item.transfer_syntax_uid)
        request = commands.store_request(self._next_id(), item.sop_class_uid, item.sop_instance_uid)
        self._open_wire.send(self._numbers[pair], request, data, item.length)
        meanwhile()
        return _reply(self._response(commands.C_STORE_RQ))

    def echo(self, pair: SyntaxPair) -> Reply:
        """Return the answer to a C-ECHO (PS3.7 9.1.5)."""
        self._open_wire.send(self._numbers[pair], commands.echo_request(self._next_id(), pair[0]))
        return _reply(self._response(commands.C_ECHO_RQ))

    def find(self, pair: SyntaxPair, identifier: bytes) -> Iterator[tuple[Reply, bytes]]:
        """Return the answers to a C-FIND with their identifiers (PS3.7 9.1.2), the last one too."""
        request = commands.find_request(self._next_id(), pair[0])
        self._open_wire.send(self._numbers[pair], request, (identifier,), len(identifier))
        while True:
            message = self._response(commands.C_FIND_RQ)
            reply = _reply(message)
            yield reply, message.data_set
            if reply.status not in PENDING:
                return

    def release(self) -> None:
        """End it in order."""
        if self._wire is not None:
            self._wire.release()

    def abort(self) -> None:
        """End it at once."""
        if self._wire is not None:
            self._wire.abort()

    @property
    def _open_wire(self) -> Wire:
        if self._wire is None:
            raise AssociationLostError("the server accepted no presentation context")
        return self._wire

    def _next_id(self) -> int:
        self._message_id = self._message_id % _LAST_MESSAGE_ID + 1
        return self._message_id

    def _response(self, request: int) -> Message:
        message = self._open_wire.receive()
        of = commands.number(message.command, commands.COMMAND_FIELD)
        to = commands.number(message.command, commands.MESSAGE_ID_RESPONDED_TO)
        if of != request | commands.RESPONSE or to != self._message_id:
            raise AssociationLostError("the server answered something that it was not asked")
        return message


def _reply(message: Message) -> Reply:
    comment = message.command.get(commands.ERROR_COMMENT, b"")
    return Reply(commands.number(message.command, commands.STATUS), clean_comment(comment))
