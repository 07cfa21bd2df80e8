"""The event bucket in AWS S3: objects that are written once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from botocore.exceptions import ClientError

from imaging_gears.adapters import aws

SERVICE = "AWS S3"
READ_SECONDS = 10
CONFLICTS = 2
"""Puts that are made again because another one of the same key was under way."""
_PRECONDITION_FAILED = "PreconditionFailed"
_CONFLICT = "ConditionalRequestConflict"


class S3EventStore:
    """`ports.EventStore` over one bucket (needs ``s3:PutObject`` and ``s3:GetObject``).

    A lost reply is harmless: the repeated put meets its own object.
    """

    def __init__(self, bucket: str, requests: Counter[str]) -> None:
        self._bucket = bucket
        self._requests = requests
        self._made: Any = None

    def put_if_absent(self, key: str, body: bytes) -> bytes | None:
        """Write `body` under `key` unless something is there; return what was there, else None."""
        with aws.errors(SERVICE, "writing the event"):
            for _ in range(CONFLICTS):
                try:
                    return self._put(key, body)
                except ClientError as error:
                    if error.response.get("Error", {}).get("Code") != _CONFLICT:
                        raise
            return self._put(key, body)

    def _put(self, key: str, body: bytes) -> bytes | None:
        try:
            reply = self._client().put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != _PRECONDITION_FAILED:
                raise
            return self._present(key)
        # An S3 that stored something gives its ETag; a page of a proxy does not.
        _ = reply["ETag"]
        return None

    def _present(self, key: str) -> bytes:
        reply = self._client().get_object(Bucket=self._bucket, Key=key)
        # The same of what is there: a page would pass for another series' event, and ours for new.
        _ = reply["ETag"]
        return bytes(reply["Body"].read())

    def _client(self) -> Any:
        if self._made is None:
            self._made = aws.client("s3", SERVICE, self._requests, read_seconds=READ_SECONDS)
        return self._made
