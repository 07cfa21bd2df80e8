"""Which service the run waits for at this moment: what the watchdog names when it ends the job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_services: list[str] = []


@contextmanager
def waiting_for(service: str) -> Iterator[None]:
    """Say for the time of the block that the run waits for `service`."""
    _services.append(service)
    try:
        yield
    finally:
        _services.pop()


def waited_for() -> str | None:
    """Return the service that the run waits for, None where it waits for none."""
    return _services[-1] if _services else None
