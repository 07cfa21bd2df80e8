"""Bounded tries of the calls to one service: one owner of repetition, with backoff and jitter."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from imaging_gears.adapters.waiting import waiting_for
from imaging_gears.errors import ServiceError

log = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 3
"""Requests of one logical call in an outage."""
LAST_TRIES = 2
"""Calls that still get one request each after one has used up its tries; later ones get none."""
BACKOFF_SECONDS = (0.5, 2.0)
"""The longest wait before the second and the third try."""
RETRY_AFTER_SECONDS = 10.0
"""The longest wait that a service may ask for."""
OUTAGE_SECONDS = 50.0
"""How long a service may keep a run waiting in vain; no try begins after that."""

NONSENSE = "its answer is not of the form that was agreed"


class TransientError(Exception):
    """A try failed in a way that another try may mend. Never leaves this package.

    Args:
        problem: what the service did, without its own text.
        retry_after: seconds that the service asked to wait, None where it did not.
    """

    def __init__(self, problem: str, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.retry_after = retry_after


@dataclass(slots=True)
class Tries:
    """The calls of one run to one service.

    Once a call has failed in all its tries, the service counts as down: later calls get one try
    each, and after two more failures none at all, so that an outage costs a run a minute, not ten.
    Neither does any try begin once the service has cost the run so much time.

    Attributes:
        service: its name in errors and in `requests`.
        requests: how many requests were made per service.
    """

    service: str
    requests: Counter[str]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    failures: int = field(init=False, default=0)
    waited: float = field(init=False, default=0.0)

    def call(self, doing: str, attempt: Callable[[], T], *, repeatable: bool = True) -> T:
        """Return what `attempt` returns, after as many tries as are safe and sensible.

        Args:
            doing: what for, for the error's sentence: ``reading the project``.
            attempt: makes one request; raises `TransientError` where another may succeed.
            repeatable: whether a second request is safe after one of unknown effect.

        Raises:
            ServiceError: no try succeeded.
        """
        tries = self._tries_left() if repeatable else min(1, self._tries_left())
        problem, pause = "it has failed before in this run", 0.0
        for number in range(tries):
            if number and self.waited + pause > OUTAGE_SECONDS:
                break
            begin = self.clock()
            if number:
                self.sleep(pause)
            self.requests[self.service] += 1
            try:
                with waiting_for(self.service):
                    result = attempt()
            except TransientError as error:
                problem = error.problem
                self.waited += self.clock() - begin
                pause = _pause(number, error.retry_after)
                log.debug("%s: try %d of %s: %s", self.service, number + 1, doing, problem)
            else:
                self.failures, self.waited = 0, 0.0
                log.debug("%s: %s", self.service, doing)
                return result
        self.failures += 1
        raise ServiceError(self.service, problem, while_=doing)

    def _tries_left(self) -> int:
        if self.waited > OUTAGE_SECONDS:
            return 0
        if self.failures == 0:
            return TRIES
        return 1 if self.failures <= LAST_TRIES else 0


def _pause(number: int, asked: float | None) -> float:
    if asked is not None:
        return min(asked, RETRY_AFTER_SECONDS)
    longest = BACKOFF_SECONDS[min(number, len(BACKOFF_SECONDS) - 1)]
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, None where it has none."""
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    return seconds if seconds is None or seconds >= 0 else None
