"""The request log: every request that the sandbox got, counted per service."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        service: ``flywheel``, ``ssm``, ``s3``, ``lambda``, ``identifiers`` or another AWS service's
            name.
        method: HTTP method.
        path: decoded path, without the query.
        route: pattern that the path matched, or the operation's name for AWS.
        status: status of the reply; None where no status was sent (yet).
        started: seconds since the epoch.
        seconds: from the last byte of the request to the last of the reply; None while under way.
        bytes_in: length of the request's body.
        bytes_out: length of the reply's body, as sent.
        fault: kind of the fault that took the request, if one did.
    """

    service: str
    method: str
    path: str
    route: str
    status: int | None
    started: float
    seconds: float | None
    bytes_in: int
    bytes_out: int
    fault: str | None = None


class RequestLog:
    """What was asked, in the order of arrival. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[int, Request] = {}
        self._watchers: list[Callable[[], None]] = []
        self._next = 0

    def watch(self, look: Callable[[], None]) -> None:
        """Call `look` whenever a request has arrived, before anything comes of it.

        It is called in the thread of the connection; the client waits meanwhile.
        """
        with self._lock:
            self._watchers.append(look)

    def unwatch(self, look: Callable[[], None]) -> None:
        """Call `look` no more."""
        with self._lock:
            self._watchers.remove(look)

    def begin(self, request: Request) -> int:
        """Record a request that has arrived, and return its number for `finish`."""
        with self._lock:
            self._next += 1
            number = self._next
            self._requests[number] = request
            watchers = list(self._watchers)
        for look in watchers:
            look()
        return number

    def finish(self, number: int, status: int | None, bytes_out: int, fault: str | None) -> None:
        """Record how request `number` ended; unknown after a `clear`."""
        with self._lock:
            request = self._requests.get(number)
            if request is not None:
                seconds = time.time() - request.started
                self._requests[number] = replace(
                    request, status=status, seconds=seconds, bytes_out=bytes_out, fault=fault
                )

    def all(self) -> list[Request]:
        """Return all requests, those under way included."""
        with self._lock:
            return list(self._requests.values())

    def count(self) -> dict[str, int]:
        """Return the number of requests per service."""
        return dict(Counter(request.service for request in self.all()))

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._requests.clear()
