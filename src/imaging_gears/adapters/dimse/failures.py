"""How an association ends early. None of these leaves the package."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

from imaging_gears.errors import DicomServerError, ImagingError


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an association came to nothing.

    Args:
        reason: a phrase without the server's name.
        kind: what it is as an error of the project.
        silent: nothing moved until a time-out.
    """

    reason: str
    kind: type[ImagingError] = DicomServerError
    silent: bool = False


def not_tried(end: Failure) -> str:
    """Return why nothing is known of an instance: the server was given up before its turn."""
    return f"not tried: the server was given up ({end.reason})"


class AssociationLostError(Exception):
    """An association ended, or was never answered; another try may succeed.

    Args:
        reason: a phrase without the server's name.
        kind: what it is as an error of the project.
        silent: nothing moved until a time-out.
        ended: the server ended it, and did not send nonsense.
    """

    def __init__(
        self,
        reason: str,
        kind: type[ImagingError] = DicomServerError,
        *,
        silent: bool = False,
        ended: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = Failure(reason, kind, silent)
        self.ended = ended


class AssociationRefusedError(Exception):
    """The server does not want this association.

    Args:
        reason: a phrase without the server's name.
        kind: what it is as an error of the project.
        final: whether it will say the same the next time.
    """

    def __init__(self, reason: str, kind: type[ImagingError], *, final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = Failure(reason, kind)
        self.final = final


CUT: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLSyscallError)
"""What a socket, plain or over TLS, raises where the server has cut the connection."""


def socket_text(error: OSError, seconds: float) -> str:
    """Return what happened to a connection, without the system's own numbers.

    Args:
        error: what the socket raised.
        seconds: how long it was allowed to make no progress.
    """
    if isinstance(error, TimeoutError):
        return f"no progress in {seconds:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, CUT):
        return "the connection was lost"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'without a reason'})"
    return (error.strerror or type(error).__name__).lower()
