"""What the contract tests share: clients of SDKs are closed, which a gear leaves to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import urllib3

# Before the SDK itself: it reads its settings, which the adapter makes, when it is imported.
from imaging_gears.adapters.flywheel import flywheel


@pytest.fixture(autouse=True)
def closed_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections of every client that a test makes, so that none is left to warn of."""
    with contextlib.ExitStack() as stack:

        def tracked(make: Callable[..., Any], close: Callable[[Any], object]) -> Callable[..., Any]:
            def made(*args: object, **options: object) -> object:
                client = make(*args, **options)
                stack.callback(close, client)
                return client

            return made

        makers: tuple[tuple[Any, str, Callable[[Any], object]], ...] = (
            (boto3, "client", lambda client: client.close()),
            (flywheel, "Client", lambda client: client.api_client.rest_client.client.close()),
            (urllib3, "PoolManager", lambda pool: pool.clear()),
        )
        for module, name, close in makers:
            monkeypatch.setattr(module, name, tracked(getattr(module, name), close))
        yield
