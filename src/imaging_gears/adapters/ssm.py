"""The gear's secrets, from the AWS SSM parameter store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from imaging_gears.adapters import aws
from imaging_gears.errors import ParameterMissingError

SERVICE = "AWS SSM"
READ_SECONDS = 10
FLYWHEEL_KEY = "apikey"
IDENTIFIERS_URL = "identifiers/url"
IDENTIFIERS_KEY = "identifiers/apikey"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What stands under the prefix. Without a URL, the Lambda function is the identifier API."""

    flywheel_key: str = field(repr=False)
    identifiers_url: str | None = field(default=None, repr=False)
    identifiers_key: str | None = field(default=None, repr=False)


def read_secrets(prefix: str, requests: Counter[str]) -> Secrets:
    """Return the parameters under `prefix`, in one request (needs ``ssm:GetParameters``).

    Raises:
        ParameterMissingError: there is no Flywheel key, or an identifier URL without a key.
        PermissionDeniedError: the credentials may not read or decrypt them.
        ServiceError: SSM did not answer.
    """
    root = prefix.rstrip("/")
    names = [f"{root}/{name}" for name in (FLYWHEEL_KEY, IDENTIFIERS_URL, IDENTIFIERS_KEY)]
    with aws.errors(SERVICE, "reading parameters"):
        client = aws.client("ssm", SERVICE, requests, read_seconds=READ_SECONDS)
        reply = client.get_parameters(Names=names, WithDecryption=True)
        found = {each["Name"]: str(each["Value"]).strip() for each in reply["Parameters"]}
    key, url, url_key = (found.get(name) or None for name in names)
    if key is None:
        message = f"The SSM parameter {names[0]} is missing or empty."
        raise ParameterMissingError(message, location=names[0])
    if url is not None and url_key is None:
        message = f"The SSM parameter {names[2]} is missing or empty, though {names[1]} is there."
        raise ParameterMissingError(message, location=names[2])
    return Secrets(key, url, url_key)
