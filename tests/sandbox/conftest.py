"""A sandbox to test, and clients of it: the real SDK and the real boto3."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import boto3
import flywheel
import pytest
from botocore.config import Config

from imaging_gears.sandbox import Sandbox
from tests.waiting import LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATH = "alpha-center/ingest-dicom/110001/visit-1/T1"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Serve the default seed, with an engine."""
    with Sandbox.start() as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Callable[[str], flywheel.Client]]:
    """Give SDK clients by key, and close them in the end."""
    clients: list[Any] = []

    def make(key: str) -> flywheel.Client:
        client = flywheel.Client(key, disable_auth_check=True)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client._fw.api_client.rest_client.session.close()  # the SDK's own shutdown leaves it open


@pytest.fixture
def fw(sandbox: Sandbox, connect: Callable[[str], flywheel.Client]) -> flywheel.Client:
    """Give the administrator's client."""
    return connect(sandbox.api_key)


@pytest.fixture
def acquisition(fw: flywheel.Client) -> flywheel.Acquisition:
    """Give the first subject's acquisition."""
    return fw.lookup(PATH)


@pytest.fixture
def aws(sandbox: Sandbox) -> Iterator[Callable[..., Any]]:
    """Give boto3 clients of a sandbox that try once, and close them in the end."""
    clients: list[Any] = []

    def make(service: str, of: Sandbox = sandbox) -> Any:  # noqa: ANN401 - boto3 has no types
        client = boto3.client(
            service,
            endpoint_url=of.environ["AWS_ENDPOINT_URL"],
            region_name=of.environ["AWS_DEFAULT_REGION"],
            aws_access_key_id=of.environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=of.environ["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                retries={"total_max_attempts": 1},
                read_timeout=LONG,
                s3={"addressing_style": "path"},
            ),
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture(autouse=True)
def _quiet_keys() -> Iterator[None]:
    """Let tests write keys with dots: the SDK warns of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Key .* contains")
        yield
