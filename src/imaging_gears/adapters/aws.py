"""What the AWS adapters share: bounded tries, request counts, and the end of botocore's errors."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from imaging_gears.adapters.loopback import is_loopback
from imaging_gears.adapters.waiting import waiting_for
from imaging_gears.errors import (
    CredentialsError,
    ImagingError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
)

log = logging.getLogger(__name__)

CONNECT_SECONDS = 3
REFUSED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "Forbidden",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "KMSAccessDeniedException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
NOT_FOUND = frozenset({"NoSuchBucket", "NoSuchKey", "ResourceNotFoundException", "404"})
OTHERS = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "InternalServerError",
        "InvalidBucketName",
        "InvalidKeyId",
        "PermanentRedirect",
        "RequestTimeTooSkewed",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "ValidationException",
    }
)
_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


def check_environment() -> None:
    """Check that credentials and region are in the environment, where the platform puts them.

    Raises:
        CredentialsError: one of the three variables is missing; the sentence names it.
    """
    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        message = f"The AWS environment is not complete: {', '.join(missing)} is not set."
        raise CredentialsError(message, location=missing[0])


def client(
    api: str, service: str, requests: Counter[str], *, read_seconds: int, tries: int = 3
) -> Any:
    """Return a boto3 client of `api` that makes at most `tries` requests a call.

    botocore owns the repetition where `tries` is more than one: it knows which errors of AWS are
    worth one. Each request is counted in `requests` under `service`.

    Raises:
        CredentialsError: region or endpoint in the environment are none, or the endpoint is not
            https (one on this machine aside): what goes there and back names patients, and keys.
    """
    try:
        made = _make(api, read_seconds, tries)
    except (BotoCoreError, ValueError) as error:
        message = f"The AWS environment can't be used for {service}: {type(error).__name__}."
        raise CredentialsError(message) from None

    endpoint = urlsplit(made.meta.endpoint_url)
    if endpoint.scheme != "https" and not is_loopback(endpoint.hostname):
        message = f"The AWS endpoint in the environment for {service} is not https."
        raise CredentialsError(message, location=f"AWS_ENDPOINT_URL_{api.upper()}")

    def count(**_: object) -> None:
        requests[service] += 1
        log.debug("%s: request", service)

    made.meta.events.register(f"before-send.{api}", count)
    return made


def _make(api: str, read_seconds: int, tries: int) -> Any:
    return boto3.client(
        api,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": tries},
            # Bodies are small and checked by length; checksums would only add bytes and CPU.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextmanager
def errors(service: str, doing: str) -> Iterator[None]:
    """Turn botocore's errors into the project's; their texts name S3 keys, so none is kept."""
    try:
        with waiting_for(service):
            yield
    except ClientError as error:
        raise translated(error, service, doing) from None
    except BotoCoreError as error:
        raise ServiceError(service, type(error).__name__, while_=doing) from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        problem = "its answer is not of the form that was agreed"
        raise ServiceError(service, problem, while_=doing) from None


def translated(error: ClientError, service: str, doing: str) -> ImagingError:
    """Return the project's error for an answer of AWS that is not success."""
    code = str(error.response.get("Error", {}).get("Code", "?"))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in REFUSED or status in (401, 403):
        message = f"{service} refused {doing} ({_safe(code)}, HTTP {status})."
        return PermissionDeniedError(message)
    if code in NOT_FOUND:
        message = f"{service} has nothing there when {doing} ({_safe(code)})."
        return NotFoundError(message)
    return ServiceError(service, f"{_safe(code)}, HTTP {status}", while_=doing)


def _safe(code: str) -> str:
    """Return an AWS error code that is known; whatever else stands there may be anything."""
    return code if code in REFUSED | NOT_FOUND | OTHERS else "an error"
