"""When to wait for a server, and when to give it up: one decision for all associations."""

from __future__ import annotations

import threading
from typing import Final

from imaging_gears.adapters.dimse.failures import Failure
from imaging_gears.errors import OutOfResourcesError

_INSTANCES: Final = 3


class Breaker:
    """Counts failures of a server between two successes: a row.

    Associations that break at the same moment count as one failure: each names the epoch that it
    began in. So do those that begin while another one waits; else several associations would use
    up the waits side by side.

    A failure may be due to the server or to the instance that was being sent. Behind the last wait
    a failure without an instance is the server's. So are those of a server that is out of resources
    or does not answer, when three instances had theirs in the row. An association that was lost
    while an instance was sent over it may be that instance's doing, and so may those before: then
    three further ones, not tried before, have to fail behind the last wait. Instances that failed
    before, and saw others pass since, prove nothing against the server.

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
        self._probed: set[str] = set()
        self._suspects: set[str] = set()
        self._proof: Failure | None = None
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
            self._probed.clear()
            self._proof = None

    def failed(self, epoch: int, failure: Failure, instance: str | None = None) -> float:
        """Note a failure of what began in `epoch`; return the seconds to wait.

        Args:
            epoch: of the association.
            failure: which one.
            instance: SOP instance UID of what was being sent, None where nothing was.
        """
        with self._lock:
            behind = self.exhausted
            if epoch == self._epoch:
                self._epoch += 1
                self._failures += 1
                self._last = failure
                self._waiting = not self.exhausted
                if behind and instance is not None and instance not in self._failed:
                    self._probed |= {instance} - self._suspects
            if instance is not None:
                self._failed |= {instance} - self._suspects
            if self.exhausted and self._is_proven(failure, instance):
                self._proof = failure
            if self.exhausted or self._given_up is not None or not self._failures:
                return 0.0
            return self._waits[self._failures - 1]

    def _is_proven(self, failure: Failure, instance: str | None) -> bool:
        against = self._failed if _is_the_servers(failure) else self._probed
        return instance is None or len(against) >= _INSTANCES

    def waited(self, epoch: int) -> None:
        """Note the end of the wait after a failure of what began in `epoch`."""
        with self._lock:
            if epoch == self._epoch - 1:
                self._waiting = False

    def judge(self, *, last_chance: bool) -> None:
        """Give the server up if that is proven; to be asked while nothing is on its way to it.

        Args:
            last_chance: all that was there to clear the server of earlier failures has failed. Of
                one that is out of resources or does not answer, that is enough.
        """
        with self._lock:
            if last_chance and self._last is not None and _is_the_servers(self._last):
                self._proof = self._proof or self._last
            if self.exhausted:
                self._given_up = self._given_up or self._proof

    def give_up(self, failure: Failure) -> None:
        """Note that there is no use in trying."""
        with self._lock:
            self._given_up = self._given_up or failure


def _is_the_servers(failure: Failure) -> bool:
    """Return whether a failure with an instance is one that instances seldom cause."""
    return failure.silent or failure.kind is OutOfResourcesError
