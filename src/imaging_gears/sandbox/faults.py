"""Faults: how everything that the sandbox serves can be made to misbehave.

A `Fault` says which requests it is for (service, method, route), how often, and what happens to
them. The list is ordered: every matching ``delay`` is slept, then the first other fault that still
has something to do takes the request.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Kind = Literal[
    "status",
    "delay",
    "drop-before",
    "drop-after",
    "reset-before",
    "reset-after",
    "silent",
    "body",
    "truncate",
    "drip",
    "hold",
    "redirect",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, and the requests that it is for.

    Args:
        service: ``flywheel``, ``ssm``, ``s3``, ``lambda``, ``identifiers`` (the HTTPS route) or
            ``*``.
        method: an HTTP method or ``*``.
        route: a glob over the path (``/api/files/*``), or a route's own name as the request log
            gives it: ``/files/{file_id}`` for the site, the operation for AWS (``PutObject``,
            ``GetParameters``).
        times: how many requests are hit; None is all of them.
        skip: how many matching requests go untouched first.
        kind: what happens. ``drop`` closes the connection, ``reset`` sends a TCP reset, before or
            after the request took effect; ``silent`` never answers; ``body`` replaces the body of
            the real reply; ``truncate`` sends half of it under the full Content-Length; ``drip``
            sends a byte every `seconds`; ``hold`` waits for `Faults.release`.
        status: status of the reply, for ``status`` and ``redirect``; for ``body``, None keeps the
            real one.
        headers: headers added to the reply, such as ``Retry-After`` or ``Location``.
        body: body of the reply; None gives ``status`` an error body in the style of the service.
        seconds: length of a delay or of a drip's pause; a pair is a range to draw from.
        after: ``status``, ``redirect``, ``silent``, ``delay`` and ``hold`` come after the effect.
    """

    service: str = "*"
    method: str = "*"
    route: str = "*"
    times: int | None = 1
    skip: int = 0
    kind: Kind = "status"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    seconds: float | tuple[float, float] = 0.0
    after: bool = False

    def __post_init__(self) -> None:
        """Refuse what no request could ever obey.

        Raises:
            ValueError: an unknown kind, or a range or count below zero.
        """
        if self.kind not in get_args(Kind):
            msg = f"A fault's kind is one of {', '.join(get_args(Kind))}."
            raise ValueError(msg)
        if self.skip < 0 or (self.times is not None and self.times < 1) or min(self.span) < 0:
            msg = "A fault's times is 1 or more (or null); skip and seconds are 0 or more."
            raise ValueError(msg)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Fault:
        """Return the fault that a JSON object describes; keys are the fields' names.

        Raises:
            ValueError: an unknown key or a value that is not legal.
        """
        given = dict(value)
        if isinstance(given.get("seconds"), list):
            low, high = given["seconds"]
            given["seconds"] = (float(low), float(high))
        try:
            return cls(**given)
        except TypeError as error:
            msg = f"This is no fault: {error}"
            raise ValueError(msg) from error

    @property
    def span(self) -> tuple[float, float]:
        """The range of seconds."""
        return self.seconds if isinstance(self.seconds, tuple) else (self.seconds, self.seconds)

    @property
    def content(self) -> bytes | None:
        """The body as bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body

    def draw_seconds(self) -> float:
        """Return the seconds to wait this time."""
        return random.uniform(*self.span)  # noqa: S311 - jitter, not a secret

    def matches(self, service: str, method: str, names: Iterable[str]) -> bool:
        """Tell whether a request of `service` known by any of `names` is meant."""
        if self.service not in ("*", service) or self.method.upper() not in ("*", method):
            return False
        return any(name == self.route or fnmatchcase(name, self.route) for name in names)


@dataclass
class _Armed:
    """A fault in the list, with what it has done so far."""

    fault: Fault
    seen: int = 0
    hit: int = 0

    def takes(self) -> bool:
        """Count one matching request and tell whether the fault takes it."""
        self.seen += 1
        if self.seen <= self.fault.skip:
            return False
        if self.fault.times is not None and self.hit >= self.fault.times:
            return False
        self.hit += 1
        return True


class Faults:
    """The fault list of a sandbox. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._armed: list[_Armed] = []
        self._held: list[tuple[str, str]] = []
        self._generation = 0

    def add(self, *faults: Fault) -> None:
        """Append to the list."""
        with self._lock:
            self._armed.extend(_Armed(fault) for fault in faults)

    def clear(self) -> None:
        """Empty the list, and release every request that is held."""
        with self._lock:
            self._armed.clear()
        self.release()

    def hits(self) -> int:
        """Return how many requests the faults now in the list have hit, delays included."""
        with self._lock:
            return sum(armed.hit for armed in self._armed)

    def all(self) -> list[Fault]:
        """Return the list."""
        with self._lock:
            return [armed.fault for armed in self._armed]

    def take(self, service: str, method: str, names: Iterable[str]) -> list[Fault]:
        """Return what a request meets: any number of delays, then at most one other fault."""
        known_by = tuple(names)
        delays: list[Fault] = []
        with self._lock:
            for armed in self._armed:
                if not armed.fault.matches(service, method, known_by) or not armed.takes():
                    continue
                if armed.fault.kind != "delay":
                    return [*delays, armed.fault]
                delays.append(armed.fault)
        return delays

    # -- held requests ------------------------------------------------------------------------

    def held(self) -> list[tuple[str, str]]:
        """Return (service, route) of the requests that are held now."""
        with self._lock:
            return list(self._held)

    def wait_held(self, count: int = 1, timeout: float = 120.0) -> bool:
        """Wait until `count` requests are held; False when `timeout` seconds pass before."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self._held) >= count, timeout)

    def release(self) -> int:
        """Let every held request go on, and return how many there were."""
        with self._lock:
            count = len(self._held)
            self._held.clear()
            self._generation += 1
            self._lock.notify_all()
        return count

    def hold(self, service: str, route: str, gone: Callable[[], bool]) -> bool:
        """Block until `release`, or until the client has gone.

        Returns:
            True when released, False when `gone` said so: the client was killed while it was held.
        """
        entry = (service, route)
        with self._lock:
            generation = self._generation
            self._held.append(entry)
            self._lock.notify_all()
            try:
                while self._generation == generation:
                    if gone():
                        return False
                    self._lock.wait(0.02)
            finally:
                if self._generation == generation:
                    self._held.remove(entry)
        return not gone()


def pause(seconds: float, stopping: threading.Event) -> None:
    """Sleep, but no longer than the server lives."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not stopping.wait(min(left, 0.5)):
        pass
