"""A DICOM server, spoken to over DIMSE: `ports.DicomServer`."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from imaging_gears.adapters.dimse import commands
from imaging_gears.adapters.dimse.association import Association
from imaging_gears.adapters.dimse.breaker import Breaker
from imaging_gears.adapters.dimse.contexts import choose, groups, why_not
from imaging_gears.adapters.dimse.failures import (
    AssociationLostError,
    AssociationRefusedError,
    Failure,
    not_tried,
)
from imaging_gears.adapters.dimse.host_name import why_unknown
from imaging_gears.adapters.dimse.opening import Opening
from imaging_gears.adapters.dimse.requestor import Limits, check_pynetdicom
from imaging_gears.adapters.dimse.sending import Pause, Sending
from imaging_gears.adapters.dimse.series import series_of
from imaging_gears.adapters.dimse.status import PENDING, SUCCESS, status_text
from imaging_gears.adapters.dimse.tls import ClientTls
from imaging_gears.dicom.transfer_syntax import IMPLICIT_UID
from imaging_gears.dicom.uid import is_uid
from imaging_gears.errors import (
    CalledAeTitleError,
    CallingAeTitleError,
    DicomServerError,
    ImagingError,
    ServiceError,
    TlsRefusedError,
    UnreachableError,
)
from imaging_gears.ports import Convert, Offer, Peer, Sendable, Sent, SyntaxPair, TlsFiles

_VERIFICATION: Final = ("1.2.840.10008.1.1", IMPLICIT_UID)
_STUDY_ROOT_FIND: Final = ("1.2.840.10008.5.1.4.1.2.2.1", IMPLICIT_UID)
_SOP_INSTANCE_UID: Final = (0x0008, 0x0018)
_LOCATIONS: Final[Mapping[type[ImagingError], str]] = {
    CalledAeTitleError: "called_ae",
    CallingAeTitleError: "calling_ae",
    TlsRefusedError: "tls_enabled",
}
_SENDING: Final = "sending to it"
_NO_UID: Final = "its SOP class, SOP instance or transfer syntax UID is no UID"


class DimseServer:
    """`ports.DicomServer`. Between two calls it holds no connection and no thread.

    Args:
        peer: AE titles are of 1 to 16 characters, checked before.
        tls: None for plain TCP.
        associations: at most that many at a time, 1 to 8. Fewer once the server wants fewer.
        pause: waits before another try; by default a wait that ends with the sending.
        limits: how long and how often.

    Raises:
        TlsFilesError: a TLS file is missing or is none.
    """

    def __init__(
        self,
        peer: Peer,
        tls: TlsFiles | None = None,
        *,
        associations: int = 2,
        pause: Pause | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._peer = peer
        self._tls = ClientTls(tls) if tls is not None else None
        self._limits = limits or Limits()
        self._pause = pause
        self._associations = associations
        self._breaker = Breaker(self._limits.waits)
        check_pynetdicom()

    @property
    def name(self) -> str:
        """Return how the server is called in sentences."""
        return f"DICOM server {self._peer.host}:{self._peer.port}"

    @property
    def given_up(self) -> ImagingError | None:
        """Return why nothing is tried any more, None while the server may work."""
        failure = self._breaker.given_up
        return None if failure is None else self._error(failure, _SENDING)

    @property
    def trouble(self) -> ImagingError | None:
        """Return why it was given up, or what it failed by last; None where it has worked since.

        A few images do not prove that a server is full or down: it is not given up for them.
        """
        last = self._breaker.given_up or self._breaker.last
        return None if last is None else self._error(last, _SENDING)

    def look_up(self) -> None:
        """Verify that the server's name can be resolved; an address is no name.

        Raises:
            UnreachableError: it can't.
        """
        why = why_unknown(self._peer.host, self._limits.lookups, self._pause or time.sleep)
        if why is not None:
            raise UnreachableError(self.name, why, while_="looking up destination")

    def echo(self) -> str | None:
        """Verify that the server answers (C-ECHO, PS3.4 annex A).

        Returns:
            Why it does not offer that, None where it answers. It refuses the presentation context,
            or ends the association at the request, as Orthanc does where C-ECHO is not allowed: it
            may take images all the same.

        Raises:
            ConfigError: it does not want us; of which kind says why.
            ServiceError: it does not answer.
        """
        with self._association([_VERIFICATION], "verifying it") as association:
            if _VERIFICATION not in association.accepted:
                return why_not(_VERIFICATION, association.refused)
            try:
                reply = association.echo(_VERIFICATION)
            except AssociationLostError as error:
                if not error.ended:
                    raise
                association.abort()  # It is over: nobody would answer a release.
                return error.reason
        if reply.status != SUCCESS:
            problem = status_text(reply.status, reply.comment)
            raise DicomServerError(self.name, problem, while_="verifying it")
        return None

    def offers(self, pairs: Collection[SyntaxPair]) -> Mapping[SyntaxPair, Offer]:
        """Return for each pair how such instances would be sent, or why they would not be.

        Raises:
            ConfigError: the server does not want us; of which kind says why.
            ServiceError: it does not answer.
        """
        found = {pair: Offer(reason=_NO_UID) for pair in pairs if not all(map(is_uid, pair))}
        for group in groups(pair for pair in pairs if pair not in found):
            with self._association(list(group.contexts), "proposing contexts") as association:
                for pair in group.pairs:
                    chosen = choose(pair, association.accepted)
                    found[pair] = (
                        Offer(reason=why_not(pair, association.refused))
                        if chosen is None
                        else Offer(transfer_syntax_uid=chosen[1])
                    )
        return found

    def send(self, items: Sequence[Sendable], convert: Convert) -> Generator[Sent]:
        """Send instances; return exactly one `Sent` for each, in the order they finish in.

        Closing the iterator ends all associations.
        """
        legal = [item for item in items if _is_legal(item)]
        for item in items:
            if not _is_legal(item):
                yield Sent(number=item.number, outcome="failed", reason=_NO_UID)
        for group in groups(map(_pair, legal)):
            members = [item for item in legal if _pair(item) in group.pairs]
            if (end := self._breaker.given_up) is not None:
                yield from _not_tried(members, end)
                continue
            sending = Sending(
                group=group,
                items=members,
                convert=convert,
                begin=self._begin,
                breaker=self._breaker,
                limits=self._limits,
                pause=self._pause,
                dropped=self._use_fewer,
            )
            yield from sending.results(self._associations)

    def stored(self, items: Sequence[Sendable]) -> Mapping[str, bool] | None:
        """Return by SOP instance UID whether the server has it; None: it offers no C-FIND.

        A query at the level IMAGE per series, in the Study Root model (PS3.4 C.6.2). Of a data set
        without a study or series UID nothing can be asked: it is left out.

        Raises:
            ConfigError: the server does not want us; of which kind says why.
            ServiceError: it does not answer, or the query failed.
        """
        series: dict[tuple[str, str], list[str]] = {}
        for item in items:
            if (found := series_of(item)) is not None:
                series.setdefault(found, []).append(item.sop_instance_uid)
        stored: dict[str, bool] = {}
        with self._association([_STUDY_ROOT_FIND], "querying it") as association:
            if _STUDY_ROOT_FIND not in association.accepted:
                return None
            for (study_uid, series_uid), asked in sorted(series.items()):
                has = self._instances(association, study_uid, series_uid)
                stored |= {uid: uid in has for uid in asked}
        return stored

    def _instances(self, association: Association, study_uid: str, series_uid: str) -> set[str]:
        identifier = commands.query_identifier(study_uid, series_uid)
        found = set()
        for reply, data_set in association.find(_STUDY_ROOT_FIND, identifier):
            if reply.status in PENDING:
                value = commands.parse_implicit(data_set).get(_SOP_INSTANCE_UID, b"")
                found.add(commands.uid_text(value))
            elif reply.status != SUCCESS:
                # Without the comment: it may name a patient, and this goes to the log.
                problem = status_text(reply.status)
                raise DicomServerError(self.name, problem, while_="querying it")
        return found

    def _begin(self) -> Opening:
        return Opening(self._peer, self._tls, self._limits)

    def _use_fewer(self) -> None:
        self._associations = max(1, self._associations - 1)

    @contextmanager
    def _association(self, contexts: Sequence[SyntaxPair], doing: str) -> Iterator[Association]:
        """Open an association for the block; its failures become errors of the project."""
        try:
            association = self._begin().open(contexts)
            try:
                yield association
            except BaseException:
                association.abort()
                raise
            association.release()
        except (AssociationRefusedError, AssociationLostError) as error:
            raise self._error(error.failure, doing) from error

    def _error(self, failure: Failure, doing: str) -> ImagingError:
        kind = failure.kind
        if issubclass(kind, ServiceError):
            return kind(self.name, failure.reason, while_=doing)
        message = f"The {self.name} can't be used: {failure.reason}."
        return kind(message, location=_LOCATIONS.get(kind, "destination"))


def _not_tried(items: Sequence[Sendable], end: Failure) -> Iterator[Sent]:
    return (Sent(number=item.number, outcome="failed", reason=not_tried(end)) for item in items)


def _pair(item: Sendable) -> SyntaxPair:
    return item.sop_class_uid, item.transfer_syntax_uid


def _is_legal(item: Sendable) -> bool:
    return all(map(is_uid, (*_pair(item), item.sop_instance_uid))) and item.length > 0
