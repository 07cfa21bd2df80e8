"""The registry's identifier API in its two transports (contract outputs.md, 2)."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from imaging_gears.adapters import aws
from imaging_gears.adapters.loopback import is_loopback
from imaging_gears.adapters.tries import NONSENSE, TransientError, Tries, retry_after
from imaging_gears.errors import (
    ConfigError,
    IdentifierNotFoundError,
    PermissionDeniedError,
    ServiceError,
)
from imaging_gears.model.participant import Mode, ParticipantKey

SERVICE = "identifier API"
FUNCTION = "Identifier-ADCID-PTID-Lambda-Function"
CONNECT_SECONDS = 3
READ_SECONDS = 20
MAX_BODY_BYTES = 1 << 20
OK, NOT_FOUND = 200, 404
_REFUSED = frozenset({401, 403})
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
# What JSON of another shape makes the reading of it raise; the last one where it is nested deeply.
_NONSENSE_ERRORS = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_HEADER_VALUE = re.compile(r"[ -~]+")
_DOING = "looking up the participant"


def request_body(key: ParticipantKey, mode: Mode) -> bytes:
    """Return the request of the API, as JSON."""
    request = {"mode": mode, "adcid": key.adcid, "ptid": key.ptid, "guid": None}
    return json.dumps(request).encode()


class LambdaIdentifiers:
    """`ports.IdentifierRepository` over AWS Lambda (needs ``lambda:InvokeFunction``)."""

    def __init__(self, tries: Tries) -> None:
        self._tries = tries

    def naccid_for(self, key: ParticipantKey, mode: Mode) -> object:
        """Return what the registry gives as the participant's NACCID; not yet checked."""
        client = aws.client("lambda", "", Counter(), read_seconds=READ_SECONDS, tries=1)

        def ask() -> object:
            try:
                reply = client.invoke(
                    FunctionName=FUNCTION,
                    Qualifier=mode,
                    InvocationType="RequestResponse",
                    Payload=request_body(key, mode),
                )
                payload = reply["Payload"].read()
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                if status in _TRANSIENT:
                    raise TransientError(f"HTTP {status}") from None
                raise aws.translated(error, SERVICE, _DOING) from None
            except BotoCoreError as error:
                raise TransientError(type(error).__name__) from None
            if reply.get("FunctionError"):
                problem = "the Lambda function ended with an error"
                raise TransientError(problem)
            return _naccid(*_status_and_body(payload))

        return self._tries.call(_DOING, ask)


class HttpsIdentifiers:
    """`ports.IdentifierRepository` over HTTPS with an API key.

    Args:
        url: where to post; https, or http on this machine.
        key: sent as ``x-api-key``.
        tries: the calls of this run to the API.

    Raises:
        ConfigError: the URL is not one, or would send the key unencrypted over a network; or the
            key can't be a header's value.
    """

    def __init__(self, url: str, key: str, tries: Tries) -> None:
        if not _is_safe(url):
            message = "The identifier API's URL in SSM is not an https URL."
            raise ConfigError(message, location="identifiers/url")
        if not _HEADER_VALUE.fullmatch(key):
            message = "The identifier API's key in SSM is not printable ASCII text."
            raise ConfigError(message, location="identifiers/apikey")
        self._url = url
        self._headers = {"x-api-key": key, "Content-Type": "application/json"}
        self._tries = tries
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=False,
        )

    def naccid_for(self, key: ParticipantKey, mode: Mode) -> object:
        """Return what the registry gives as the participant's NACCID; not yet checked."""

        def ask() -> object:
            try:
                reply = self._pool.request(
                    "POST",
                    self._url,
                    body=request_body(key, mode),
                    headers=self._headers,
                    redirect=False,
                    preload_content=False,
                )
                body = reply.read(MAX_BODY_BYTES, decode_content=True)
                reply.close()
            except urllib3.exceptions.TimeoutError:
                problem = "timed out"
                raise TransientError(problem) from None
            except urllib3.exceptions.HTTPError as error:
                raise TransientError(type(error).__name__) from None
            if reply.status == NOT_FOUND and "html" in reply.headers.get("Content-Type", ""):
                # A web server's page says that the URL is wrong, not that a participant is unknown.
                raise ServiceError(SERVICE, "HTTP 404 with a web page", while_=_DOING)
            return _naccid(reply.status, body, retry_after(reply.headers.get("Retry-After")))

        # A lookup changes nothing, so it may be repeated although it is a POST.
        return self._tries.call(_DOING, ask)


def _status_and_body(payload: bytes) -> tuple[object, object]:
    """Return ``statusCode`` and ``body`` of the Lambda function's answer."""
    try:
        answer = json.loads(payload)
        return answer["statusCode"], answer.get("body")
    except _NONSENSE_ERRORS:
        raise TransientError(NONSENSE) from None


def _naccid(status: object, body: Any, asked: float | None = None) -> object:
    """Return the NACCID of an answer.

    Raises:
        IdentifierNotFoundError: 404.
        PermissionDeniedError: the key was refused.
        TransientError: a 200 without the agreed body, or a status that may pass.
        ServiceError: another status.
    """
    if not isinstance(status, int):
        raise TransientError(NONSENSE)
    if status == NOT_FOUND:
        message = "The registry knows no participant with this center and participant id."
        raise IdentifierNotFoundError(message, location="subject.label")
    if status in _REFUSED:
        message = f"The identifier API refused the gear's key (HTTP {status})."
        raise PermissionDeniedError(message)
    if status in _TRANSIENT:
        raise TransientError(f"HTTP {status}", asked)
    if status != OK:
        raise ServiceError(SERVICE, f"HTTP {status}", while_=_DOING)
    try:
        return json.loads(body)["naccid"]
    except _NONSENSE_ERRORS:
        raise TransientError(NONSENSE) from None


def _is_safe(url: str) -> bool:
    """Return whether `url` is one that a key may be sent to."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    )
