"""Sending instances over several associations: a worker for each, and one result an instance."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from imaging_gears.adapters.dimse.association import Association
from imaging_gears.adapters.dimse.breaker import Breaker
from imaging_gears.adapters.dimse.contexts import Group
from imaging_gears.adapters.dimse.failures import (
    AssociationLostError,
    AssociationRefusedError,
    Failure,
)
from imaging_gears.adapters.dimse.jobs import Jobs
from imaging_gears.adapters.dimse.opening import Opening
from imaging_gears.adapters.dimse.requestor import Limits
from imaging_gears.adapters.dimse.storing import NO_WAIT, Ready, Storing
from imaging_gears.adapters.dimse.workers import Worker, Workers
from imaging_gears.ports import Convert, Sendable, Sent

log = logging.getLogger(__name__)

_NEAR_SECONDS: Final = 0.002
"""How soon a server answers where several associations keep both sides at work."""

Pause = Callable[[float], None]


class Sending:
    """The sending of the instances of one group of presentation contexts.

    Args:
        begin: returns an association that is not opened yet.
        pause: waits; None for a wait that ends with the sending.
        dropped: is told when the server wants no further association.
    """

    def __init__(
        self,
        *,
        group: Group,
        items: Sequence[Sendable],
        convert: Convert,
        begin: Callable[[], Opening],
        breaker: Breaker,
        limits: Limits,
        pause: Pause | None,
        dropped: Callable[[], None],
    ) -> None:
        self._contexts = list(group.contexts)
        self._count = len(items)
        self._begin = begin
        self._breaker = breaker
        self._pause = pause
        self._dropped = dropped
        self._jobs = Jobs(items, breaker)
        self._storing = Storing(self._jobs, convert, breaker, limits)
        self._turn = self._jobs.turn
        self._workers = Workers(self._turn, breaker)

    def results(self, associations: int) -> Iterator[Sent]:
        """Send; return one result per instance. Closing the iterator ends all associations."""
        try:
            self._workers.start(min(associations, self._count), self._run)
            for _ in range(self._count):
                yield self._jobs.result()
        except BaseException:
            self._workers.end(cut=True)
            raise
        self._workers.end(cut=False)

    # --- In the threads of the workers

    def _run(self, worker: Worker) -> None:
        try:
            if worker.further:
                # A server that can't be reached is tried once. For its handshake, or its answer to
                # the first association, none waits: on a long way that takes as long as an image.
                self._workers.reached.wait()
            while self._enter(worker):
                epoch = self._breaker.begin()
                try:
                    association = self._open(worker)
                except (AssociationRefusedError, AssociationLostError) as error:
                    if self._is_dropped(worker, error):
                        return
                    self._go_on(worker, epoch, error)
                    continue
                if association is not None:
                    self._use(worker, association, epoch)
        except BaseException as error:  # noqa: BLE001 - it is raised again, by who reads results
            self._jobs.broken(error)
        finally:
            self._workers.rest(worker)

    def _enter(self, worker: Worker) -> bool:
        """Return whether there is something to send, and a server to send it to.

        Behind the last wait the workers go on one at a time, so that what one finds out counts for
        all, and nothing is given up while another one may be sending.
        """
        with self._turn:
            worker.busy = False
            self._turn.notify_all()
            # It ends with the sending, too: that ends whoever is busy.
            self._turn.wait_for(
                lambda: not (self._breaker.exhausted and self._workers.others_busy(worker))
            )
            if self._workers.stopping.is_set():
                return False
            if self._jobs.is_over():
                self._jobs.fail_rest()
            worker.busy = bool(self._jobs)
            return worker.busy

    # --- Opening

    def _open(self, worker: Worker) -> Association | None:
        """Return an association; None where the sending has ended.

        Raises:
            AssociationRefusedError: the server does not want it.
            AssociationLostError: it could not be opened.
        """
        opening = self._begin()
        if not self._workers.opens(worker, opening):
            return None
        try:
            association = opening.open(self._contexts, self._workers.reached.set)
            if self._workers.has(worker):
                return association
        finally:
            self._workers.answered(worker)
        association.abort()
        return None

    def _is_dropped(
        self, worker: Worker, error: AssociationRefusedError | AssociationLostError
    ) -> bool:
        """Return whether a worker ends because no association could be opened for it."""
        rejected = isinstance(error, AssociationRefusedError)
        with self._turn:
            if worker.together:
                self._turn.wait_for(lambda: self._workers.others_told(worker))
            if self._workers.stopping.is_set():
                return True
            if self._workers.others_live(worker):
                if rejected:
                    log.info(
                        "No further association: %s. Going on with fewer.", error.failure.reason
                    )
                    self._dropped()
                return True
        if isinstance(error, AssociationRefusedError) and error.final:
            self._breaker.give_up(error.failure)
        return False

    def _go_on(
        self, worker: Worker, epoch: int, error: AssociationRefusedError | AssociationLostError
    ) -> None:
        """Wait as long as it takes until a worker is to try again.

        A server may count the associations that it is asked for, and reject all of several that
        come at once. So the first worker tries again at once, the others when it has one.
        """
        together = (
            worker.together and self._workers.reached.is_set() and self._breaker.given_up is None
        )
        worker.together = False
        if together and worker.further:
            self._workers.rest(worker)
            self._workers.taken.wait()
        elif not (together and isinstance(error, AssociationRefusedError)):
            self._wait(worker, epoch, error.failure)

    # --- Using

    def _use(self, worker: Worker, association: Association, epoch: int) -> None:
        """Send over an association until there is nothing left, or it ends."""
        failure: Failure | None = None
        instance = ""
        ahead: list[Ready] = []
        sent = waited = 0.0

        def look_ahead() -> None:
            nonlocal sent
            sent = time.monotonic()
            if waited < _NEAR_SECONDS and len(self._workers) > 1:
                return  # Others are at work meanwhile.
            job = self._jobs.take_ahead(len(self._workers))
            if job is not None and (found := self._storing.begin(association, job)) is not None:
                ahead.append(found)

        try:
            while failure is None:
                ready = ahead.pop() if ahead else self._next(association)
                if ready is None or self._workers.stopping.is_set():
                    break
                instance = ready.job.item.sop_instance_uid
                failure = self._storing.send(association, ready, look_ahead)
                waited = time.monotonic() - sent
        except BaseException:
            association.abort()
            raise
        finally:
            for each in ahead:
                self._jobs.give_back(each.job)
        if failure is None:
            association.release()
        self._workers.has_none(worker)
        if failure is not None and failure is not NO_WAIT:
            self._wait(worker, epoch, failure, instance)

    def _next(self, association: Association) -> Ready | None:
        """Return the next instance that can be sent over an association, None behind the last."""
        while not self._workers.stopping.is_set() and (job := self._jobs.take()) is not None:
            ready = self._storing.begin(association, job)
            if ready is not None:
                return ready
        return None

    def _wait(
        self, worker: Worker, epoch: int, failure: Failure, instance: str | None = None
    ) -> None:
        """Note a failure, and wait before the next association.

        Args:
            worker: whose association it is.
            epoch: in which the one before began.
            failure: of that.
            instance: SOP instance UID of what it was sending, None where it was never opened.
        """
        if self._workers.stopping.is_set():
            return
        seconds = self._breaker.failed(epoch, failure, instance)
        self._workers.rest(worker)
        if seconds and (instance is None or self._jobs):
            log.warning("The DICOM server failed: %s. Waiting %g s.", failure.reason, seconds)
            if self._pause is None:
                self._workers.stopping.wait(seconds)
            else:
                self._pause(seconds)
        self._breaker.waited(epoch)
