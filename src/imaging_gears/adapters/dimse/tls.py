"""TLS of a DICOM client: the secure transport profiles of PS3.15 annex B, and what goes wrong."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from imaging_gears.adapters.dimse.failures import (
    AssociationLostError,
    AssociationRefusedError,
    socket_text,
)
from imaging_gears.errors import (
    CertificateError,
    ImagingError,
    TlsFilesError,
    TlsRefusedError,
    UnreachableError,
)
from imaging_gears.ports import TlsFiles, TlsProfile


class Profile(NamedTuple):
    """What is offered.

    Attributes:
        ciphers: of TLS 1.2, as OpenSSL names them. TLS 1.3 has sound suites only.
    """

    ciphers: str


# All begin at TLS 1.2: RFC 8996 forbids what is older, and OpenSSL 3 no longer speaks it. All go up
# to TLS 1.3, whose suites (three, one of them with keys of 128 bits) Python 3.11 can't choose from.
# docs/dicom-send.md lists what each of these comes to; a test holds the two together.
PROFILES: Final[Mapping[TlsProfile, Profile]] = {
    # PS3.15 B.9. Last come two suites without forward secrecy, for old servers: BCP 195 advises
    # against them (SHOULD NOT, RFC 9325 4.1) and does not forbid them.
    "BCP 195": Profile("ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:AESGCM:!aNULL:!eNULL:!PSK:!aDSS"),
    # PS3.15 B.10: the suites of RFC 7525 4.2, and those with ECDSA or ChaCha20 beside them; no way
    # down to one without forward secrecy.
    "BCP 195 non-downgrading": Profile("ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!PSK:!aDSS"),
    # PS3.15 B.11, and stricter than others read it: forward secrecy by elliptic curves, and keys of
    # 256 bits.
    "BCP 195 modified": Profile("ECDHE+AES256+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!aDSS"),
}

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # as openssl-rehash names them
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"

# Alerts by which a server says that it does not like our certificate (RFC 8446 6.2).
_CERTIFICATE_ALERTS: Final = (
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_REQUIRED",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "DECRYPT_ERROR",
)
# Another key, or one of another type than that of the certificate.
_NOT_ITS_KEY: Final = ("KEY_VALUES_MISMATCH", "TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
# What OpenSSL's security level says of a key or signature of ours.
_TOO_WEAK: Final = ("_TOO_SMALL", "_TOO_WEAK")
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH")
_NOTHING_IN_COMMON: Final = ("HANDSHAKE_FAILURE", "PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL")


class ClientTls:
    """What a client does over TLS: it shows its certificate, and verifies the server's.

    The system's certificates are a quarter of a megabyte of text. Where there is a folder of the
    same, OpenSSL looks up in it what it needs; else they are read in a thread, while the first file
    is downloaded or examined.

    Raises:
        TlsFilesError: a file is missing, can't be read, or is none; or key and certificate do not
            belong together. The sentence names the input.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._loading: threading.Thread | None = None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(PROFILES[files.profile].ciphers)
        if not files.require_peer_cert:
            # CERT_OPTIONAL would verify on a client; and the name is checked only with a chain.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if files.ca is not None:
            _trust(context, files.ca)
        _identify(context, files)
        folder = certificates_folder(ssl.get_default_verify_paths())
        if files.require_peer_cert and folder is not None:
            context.load_verify_locations(capath=folder)
        elif files.require_peer_cert:
            self._loading = threading.Thread(target=context.load_default_certs, daemon=True)
            self._loading.start()

    def context(self) -> ssl.SSLContext:
        """Return the complete context."""
        if self._loading is not None:
            self._loading.join()
        return self._context


def certificates_folder(paths: ssl.DefaultVerifyPaths) -> str | None:
    """Return the folder that has all of the system's certificates, each under its hash.

    Args:
        paths: where OpenSSL looks for the system's.

    Returns:
        None where there is none, or the file of all of them holds one more.
    """
    # Either is None where there is no such thing.
    folder, file = Path(paths.capath or "/nowhere"), Path(paths.cafile or "/nowhere")
    try:
        hashed = sum(_HASHED.fullmatch(entry.name) is not None for entry in folder.iterdir())
        listed = file.read_bytes().count(_BEGIN)
    except OSError:
        return None
    return str(folder) if 0 < listed <= hashed else None


def _trust(context: ssl.SSLContext, path: Path) -> None:
    _check_pem(path, "add_cert_file", "CERTIFICATE")
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError) as error:
        raise _none("add_cert_file", "a certificate") from error


def _identify(context: ssl.SSLContext, files: TlsFiles) -> None:
    _check_pem(files.key, "key", "PRIVATE KEY")
    _check_pem(files.cert, "cert", "CERTIFICATE")
    try:
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    except _PasswordNeededError as error:
        message = "The input key is encrypted with a password; the gear can't ask for it."
        raise TlsFilesError(message, location="key") from error
    except ssl.SSLError as error:
        if any(word in (error.reason or "") for word in _NOT_ITS_KEY):
            message = "The input key is not the key of the certificate in the input cert."
            raise TlsFilesError(message, location="key") from error
        if (error.reason or "").endswith(_TOO_WEAK):
            message = (
                "The key or a signature of the certificate in the input cert is too weak for TLS:"
                " RSA takes 2048 bits, a signature SHA-256."
            )
            raise TlsFilesError(message, location="cert") from error
        raise _unusable(context, files.cert) from error


def _unusable(context: ssl.SSLContext, cert: Path) -> TlsFilesError:
    """Return which of the two can't be read: the certificate can be tried alone."""
    try:
        context.load_verify_locations(cert)
    except ssl.SSLError:
        return _none("cert", "a certificate")
    return _none("key", "a private key")


class _PasswordNeededError(Exception):
    pass


def _no_password() -> str:
    """Keep OpenSSL from asking at the terminal.

    Raises:
        _PasswordNeededError: always.
    """
    raise _PasswordNeededError


def _check_pem(path: Path, name: str, kind: str) -> None:
    try:
        text = path.read_bytes()
    except OSError as error:
        message = f"The input {name} can't be read: {(error.strerror or 'unknown').lower()}."
        raise TlsFilesError(message, location=name) from error
    if f"{kind}-----".encode() not in text:
        raise _none(name, f"a PEM file with a {kind.lower()}")


def _none(name: str, expected: str) -> TlsFilesError:
    return TlsFilesError(f"The input {name} is not {expected}.", location=name, expected=expected)


# --- What goes wrong


def failure_of(error: OSError, seconds: float) -> AssociationLostError | AssociationRefusedError:
    """Return what a failure between connecting and the answer to the association request means.

    Args:
        error: what the socket raised.
        seconds: how long it was allowed to make no progress.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        said = " ".join((error.verify_message or "it can't be verified").split()).rstrip(".")
        return _refused(f"the server's certificate is not accepted: {said}", CertificateError)
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "ALERT" in reason and any(alert in reason for alert in _CERTIFICATE_ALERTS):
        said = reason.partition("ALERT_")[2].replace("_", " ").lower()
        text = f"the server refused the client certificate of the input cert ({said})"
        return _refused(text, CertificateError)
    if any(word in reason for word in _NO_TLS):
        return _refused("the server does not speak TLS on this port", TlsRefusedError)
    if any(word in reason for word in _NOTHING_IN_COMMON):
        return _refused(
            "the server agreed to none of the TLS versions and cipher suites of"
            " tls_security_profile, or wants another client certificate",
            TlsRefusedError,
        )
    return AssociationLostError(socket_text(error, seconds), UnreachableError)


def _refused(reason: str, kind: type[ImagingError]) -> AssociationRefusedError:
    return AssociationRefusedError(reason, kind, final=True)
