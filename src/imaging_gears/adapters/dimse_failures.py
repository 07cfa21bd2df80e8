"""How an association ends early. None of these leaves the package."""

from __future__ import annotations

import ssl


class AssociationLostError(Exception):
    """An association ended, or was never answered; another try may succeed.

    Args:
        reason: a phrase without the server's name.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AssociationRefusedError(Exception):
    """The server does not want this association.

    Args:
        reason: a phrase without the server's name.
        final: whether it will say the same the next time.
        certificate: whether it is about a certificate, its or ours, or about TLS.
    """

    def __init__(self, reason: str, *, final: bool, certificate: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
        self.certificate = certificate


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
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'unexpected end'})"
    if isinstance(error, ConnectionError):
        return "the connection was lost"
    return (error.strerror or type(error).__name__).lower()
