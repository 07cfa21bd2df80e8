"""Opening an association: pynetdicom negotiates it, then its thread ends and its socket stays."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pynetdicom import build_context, evt
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ

from imaging_gears.adapters.dimse.association import Association
from imaging_gears.adapters.dimse.failures import AssociationLostError, AssociationRefusedError
from imaging_gears.adapters.dimse.host_name import UNKNOWN
from imaging_gears.adapters.dimse.requestor import (
    Dialler,
    Limits,
    Requestor,
    abandon,
    end_thread,
)
from imaging_gears.adapters.dimse.sockets import RememberingSocket, TlsSocket
from imaging_gears.adapters.dimse.status import (
    abort_text,
    context_refusal,
    is_permanent,
    rejection_kind,
    rejection_text,
)
from imaging_gears.adapters.dimse.tls import ClientTls, failure_of
from imaging_gears.adapters.dimse.wire import Wire
from imaging_gears.errors import (
    ImagingError,
    NoDicomServerError,
    TlsRefusedError,
    UnreachableError,
)
from imaging_gears.ports import Peer, SyntaxPair

if TYPE_CHECKING:
    from pynetdicom.association import Association as Negotiation

_MAX_RECEIVED_PDU: Final = 16384


class Opening:
    """An association that is being negotiated, and can be called off from another thread.

    Args:
        tls: None for plain TCP.
    """

    def __init__(self, peer: Peer, tls: ClientTls | None, limits: Limits) -> None:
        self._peer = peer
        self._limits = limits
        self._dialler = Dialler(tls, limits)
        self._answer: A_ASSOCIATE_RJ | A_ABORT_RQ | None = None
        self._requestor = Requestor(ae_title=peer.calling_ae)

    def hang_up(self) -> None:
        """Call it off, or cut the association that came of it."""
        self._dialler.hang_up()

    def open(
        self, contexts: Sequence[SyntaxPair], reached: Callable[[], None] | None = None
    ) -> Association:
        """Return an established association; it may have accepted no context at all.

        Args:
            contexts: at most 128 pairs.
            reached: is called when the connection stands, before any handshake of TLS.

        Raises:
            AssociationLostError: the server can't be reached, or did not answer.
            AssociationRefusedError: it does not want us, or a certificate is not trusted.
        """
        self._dialler.reached = reached
        try:
            return self._opened(contexts)
        except (AssociationLostError, AssociationRefusedError):
            raise
        except BaseException:
            # The job was cancelled, most likely: pynetdicom would go on, and wait for the server.
            self.hang_up()
            if self._requestor.negotiation is not None:
                abandon(self._requestor.negotiation)
            raise

    def _opened(self, contexts: Sequence[SyntaxPair]) -> Association:
        negotiation = self._negotiate(contexts)
        results = _results(negotiation, contexts)
        sock = self._dialler.sock
        if not negotiation.is_established or sock is None:
            failure = self._failure()
            self._forget(negotiation)
            if results and 0 not in results.values():
                return Association(None, _refusals(results))
            raise failure
        end_thread(negotiation)
        if self._answer is not None or sock.ended:
            # It has ended while pynetdicom was still listening.
            failure = self._failure()
            self._forget(negotiation)
            raise failure
        sock.negotiating = False
        wire = Wire(sock, negotiation.acceptor.maximum_length or 0, self._limits.progress)
        numbers = {pair: 2 * at + 1 for at, pair in enumerate(contexts) if results.get(pair) == 0}
        return Association(wire, _refusals(results), numbers)

    def _negotiate(self, contexts: Sequence[SyntaxPair]) -> Negotiation:
        ae = self._requestor
        ae.connection_timeout = self._limits.connect
        ae.acse_timeout = self._limits.answer
        ae.network_timeout = self._limits.answer
        try:
            return ae.associate(
                self._peer.host,
                self._peer.port,
                contexts=[build_context(sop_class, syntax) for sop_class, syntax in contexts],
                ae_title=self._peer.called_ae,
                max_pdu=_MAX_RECEIVED_PDU,
                tls_args=(self._dialler, self._peer.host),  # type: ignore[arg-type]
                evt_handlers=[(evt.EVT_PDU_RECV, self._heard)],
            )
        except socket.gaierror as error:
            raise AssociationLostError(UNKNOWN, UnreachableError) from error
        except OSError as error:
            raise AssociationLostError(_NO_WAY, UnreachableError) from error

    def _forget(self, negotiation: Negotiation) -> None:
        """End what is left; pynetdicom leaves a socket open that was never connected."""
        self._dialler.hang_up()
        negotiation.dul.kill_dul()
        negotiation.dul.join(self._limits.answer)
        if self._dialler.sock is not None:
            self._dialler.sock.close()

    def _heard(self, event: Any) -> None:
        """Keep what the server said instead of yes.

        pynetdicom passes it on only if its threads happen to run in the right order: one that
        finds the connection closed again takes it for one that never came about.
        """
        if isinstance(event.pdu, A_ASSOCIATE_RJ | A_ABORT_RQ):
            self._answer = event.pdu

    def _failure(self) -> Exception:
        answer = self._answer
        if isinstance(answer, A_ASSOCIATE_RJ):
            codes = (answer.result or 0, answer.source or 0, answer.reason_diagnostic or 0)
            return AssociationRefusedError(
                rejection_text(*codes), rejection_kind(*codes), final=is_permanent(codes[0])
            )
        if answer is not None:
            text = abort_text(answer.source or 0, answer.reason_diagnostic or 0)
            return AssociationLostError(text, UnreachableError)
        sock = self._dialler.sock
        if sock is None:
            return AssociationLostError(_NO_WAY, UnreachableError)
        return _misunderstood(sock) or self._silence(sock)

    def _silence(self, sock: RememberingSocket) -> Exception:
        """Return why there was no answer, or not all of one."""
        if sock.failure is None:
            what = f"it gave no answer to the association request in {self._limits.answer:g} s"
            return (
                _hinted("the server closed the connection", sock)
                if sock.ended
                else AssociationLostError(what, UnreachableError)
            )
        seconds = self._limits.answer if sock.connected else self._limits.connect
        failure = failure_of(sock.failure, seconds)
        if isinstance(sock.failure, _CUT) and isinstance(failure, AssociationLostError):
            return _hinted(failure.reason, sock)
        return failure


_NO_WAY: Final = "no connection can be made from here"
_CUT: Final = (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLSyscallError)
# PS3.8 9.3: an association request is answered by A-ASSOCIATE-AC, A-ASSOCIATE-RJ or A-ABORT.
_ANSWERS: Final = frozenset({b"\x02", b"\x03", b"\x07"})
_TLS_ALERT: Final = b"\x15\x03"  # RFC 8446 5.1


def _misunderstood(sock: RememberingSocket) -> AssociationLostError | None:
    """Return what it means that something answered, and not as a DICOM server does, else None.

    pynetdicom aborts then, and does not tell. What begins like an answer and is none was read to
    its end: nothing failed, and nothing ended.
    """
    begins = sock.heard[:1] in _ANSWERS
    if not sock.heard or (begins and (sock.ended or sock.failure is not None)):
        return None
    if sock.heard.startswith(_TLS_ALERT) and not isinstance(sock, TlsSocket):
        return AssociationLostError("the server expects TLS", UnreachableError)
    what = "what answered is no DICOM server: its answer is no A-ASSOCIATE PDU"
    return AssociationLostError(what, NoDicomServerError)


def _hinted(reason: str, sock: RememberingSocket) -> AssociationLostError:
    """Return the end of a connection that was cut without a word, with what is behind it most."""
    kind: type[ImagingError] = UnreachableError
    if not isinstance(sock, TlsSocket):
        hint = "it may expect TLS"
    elif sock.connected:
        # TLS 1.3: the handshake is over for a client before the server looks at its certificate,
        # and some servers just close then.
        hint = "it may have refused the client certificate of the input cert"
    else:
        hint, kind = "it may not speak TLS", TlsRefusedError
    return AssociationLostError(f"{reason} before it answered; {hint}", kind)


def _results(
    negotiation: Negotiation, contexts: Sequence[SyntaxPair]
) -> Mapping[SyntaxPair, int | None]:
    """Return the result of each context that was answered (PS3.8 table 9-18)."""
    answered = (*negotiation.accepted_contexts, *negotiation.rejected_contexts)
    return {contexts[(each.context_id or 1) // 2]: each.result for each in answered}


def _refusals(results: Mapping[SyntaxPair, int | None]) -> Mapping[SyntaxPair, str]:
    return {pair: context_refusal(result) for pair, result in results.items() if result != 0}
