"""When to wait for a server, and when to give it up: one decision for all associations."""

from __future__ import annotations

import threading
from typing import Final

from imaging_gears.adapters.dimse_failures import Failure

_INSTANCES: Final = 3


class Breaker:
    """Counts failures of a server between two successes: a row.

    Associations that break at the same moment count as one failure: each names the epoch that it
    began in. So do those that begin while another one waits; else several associations would use
    up the waits side by side.

    A failure may be due to the server or to the instance that was being sent. Behind the last wait
    a failure without an instance is the end of the server; failures with one are when three
    instances had theirs in the row. Those that had one before, and saw others pass since, prove
    nothing against the server.

    Args:
        waits: seconds to wait after the first failure of a row, the second, and so on.
    """

    def __init__(self, waits: tuple[float, ...]) -> None:
        self._waits = waits
        self._lock = threading.Lock()
        self._failures = 0
        self._epoch = 0
        self._waiting = False
        self._row = 0
        self._failed: set[str] = set()
        self._suspects: set[str] = set()
        self._last: Failure | None = None
        self._given_up: Failure | None = None

    @property
    def epoch(self) -> int:
        """Return how many failures there have been."""
        return self._epoch

    def begin(self) -> int:
        """Return the epoch of an association that is to be opened now."""
        with self._lock:
            return self._epoch - 1 if self._waiting else self._epoch

    @property
    def row(self) -> int:
        """Return the number of the row; a success after a failure begins another one."""
        return self._row

    @property
    def failing(self) -> bool:
        """Return whether the last thing that was tried failed."""
        return self._failures > 0

    @property
    def exhausted(self) -> bool:
        """Return whether the waits are over, so that nothing is tried twice in this row."""
        return self._failures > len(self._waits)

    @property
    def last(self) -> Failure | None:
        """Return the last failure, None where the server has worked since."""
        return self._last

    @property
    def given_up(self) -> Failure | None:
        """Return why nothing is tried any more, None while it is."""
        return self._given_up

    def succeeded(self) -> None:
        """Note that the server has worked."""
        if not self._failures:
            return  # For each image, so without the lock.
        with self._lock:
            self._failures = 0
            self._last = None
            self._waiting = False
            self._row += 1
            self._suspects |= self._failed
            self._failed.clear()

    def failed(self, epoch: int, failure: Failure, instance: str | None = None) -> float | None:
        """Note a failure of what began in `epoch`; return the seconds to wait, None at the end.

        Args:
            epoch: of the association.
            failure: which one.
            instance: SOP instance UID of what was being sent, None where nothing was.
        """
        with self._lock:
            if epoch == self._epoch:
                self._epoch += 1
                self._failures += 1
                self._last = failure
                self._waiting = not self.exhausted
            if instance is not None and instance not in self._suspects:
                self._failed.add(instance)
            if self.exhausted and (instance is None or len(self._failed) >= _INSTANCES):
                self._given_up = self._given_up or failure
            if self._given_up is not None:
                return None
            if self.exhausted or not self._failures:
                return 0.0
            return self._waits[self._failures - 1]

    def waited(self, epoch: int) -> None:
        """Note the end of the wait after a failure of what began in `epoch`."""
        with self._lock:
            if epoch == self._epoch - 1:
                self._waiting = False

    def give_up(self, failure: Failure) -> None:
        """Note that there is no use in trying."""
        with self._lock:
            self._given_up = self._given_up or failure
