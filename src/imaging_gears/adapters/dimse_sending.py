"""Sending a list of instances over several associations: a queue, workers, and one result each."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from imaging_gears.adapters.dimse_association import Association, Reply
from imaging_gears.adapters.dimse_breaker import Breaker
from imaging_gears.adapters.dimse_contexts import Group, choose, why_not
from imaging_gears.adapters.dimse_failures import (
    AssociationLostError,
    AssociationRefusedError,
    Failure,
)
from imaging_gears.adapters.dimse_opening import Opening
from imaging_gears.adapters.dimse_requestor import Limits
from imaging_gears.adapters.dimse_status import DUPLICATE_SOP_INSTANCE, category, status_text
from imaging_gears.errors import ImagingError, OutOfResourcesError
from imaging_gears.ports import Convert, Outcome, Sendable, Sent, SyntaxPair

log = logging.getLogger(__name__)

_JOIN_SECONDS: Final = 2.0

_NO_WAIT: Final = Failure("")
"""An association that ended because of an instance here, or after it had carried others: the next
one need not wait."""

Pause = Callable[[float], None]


@dataclass(slots=True, eq=False)
class Job:
    """An instance to be sent.

    Attributes:
        doubtful: whether an association was lost while it was sent, so that the server may have it.
        losses: associations that were lost while it was sent, before anything else.
        refusals: answers that the server was out of resources for it, before anything else.
        row: of failures, in which it failed last.
        reason: of that failure.
        status: of that failure, None where there was none.
    """

    item: Sendable
    doubtful: bool = False
    losses: int = 0
    refusals: int = 0
    row: int | None = None
    reason: str = ""
    status: int | None = None


@dataclass(slots=True)
class Worker:
    """A thread with one association at a time.

    Attributes:
        established: whether it has one now.
        worked: whether the server has taken or finally refused an instance over that one.
        busy: whether it opens or uses one, and has not noted yet how that ended.
    """

    thread: threading.Thread | None = None
    opening: Opening | None = None
    established: bool = False
    worked: bool = False
    busy: bool = False


@dataclass(slots=True)
class Sending:
    """The sending of the instances of one group of presentation contexts.

    Attributes:
        begin: returns an association that is not opened yet.
        pause: waits; None for a wait that ends with the sending.
        dropped: is told when the server wants no further association.
    """

    group: Group
    items: Sequence[Sendable]
    convert: Convert
    begin: Callable[[], Opening]
    breaker: Breaker
    limits: Limits
    pause: Pause | None
    dropped: Callable[[], None]
    _doubted: int | None = field(init=False, default=None)
    _jobs: deque[Job] = field(init=False, default_factory=deque)
    _results: queue.SimpleQueue[Sent | BaseException] = field(
        init=False, default_factory=queue.SimpleQueue
    )
    _workers: list[Worker] = field(init=False, default_factory=list)
    _stopping: threading.Event = field(init=False, default_factory=threading.Event)
    _first: threading.Event = field(init=False, default_factory=threading.Event)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    # Of the jobs, and of who is busy.
    _turn: threading.Condition = field(init=False, default_factory=threading.Condition)

    def results(self, associations: int) -> Iterator[Sent]:
        """Send; return one result per instance. Closing the iterator ends all associations."""
        self._jobs.extend(Job(item) for item in self.items)
        if self.breaker.failing:
            # What was sent before ended with failures: this shows whose they were.
            self._doubted = self.breaker.row
        try:
            self._start(min(associations, len(self.items)))
            for _ in self.items:
                yield self._next()
        except BaseException:
            self._end(cut=True)
            raise
        self._end(cut=False)

    def _next(self) -> Sent:
        result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def _start(self, count: int) -> None:
        self._workers = [Worker() for _ in range(count)]
        for at, worker in enumerate(self._workers):
            worker.thread = threading.Thread(
                target=self._run, args=(worker, at > 0), name=f"dicom-send-{at}", daemon=True
            )
            worker.thread.start()

    def _end(self, *, cut: bool) -> None:
        """End all workers: those that have an association in order, unless `cut`."""
        with self._lock:
            self._stopping.set()
            self._first.set()
            for worker in self._workers:
                if worker.opening is not None and (cut or not worker.established):
                    worker.opening.hang_up()
        for worker in self._workers:
            # One that a signal has kept from being started ends by itself.
            with suppress(RuntimeError):
                if worker.thread is not None:
                    worker.thread.join(_JOIN_SECONDS)

    # --- In the threads of the workers

    def _run(self, worker: Worker, further: bool) -> None:  # noqa: FBT001 - of a thread
        try:
            if further:
                # A server that is down, or wants none of us, is asked once.
                self._first.wait()
            while self._enter(worker):
                epoch = self.breaker.begin()
                try:
                    association = self._open(worker)
                except (AssociationRefusedError, AssociationLostError) as error:
                    if self._is_dropped(worker, error):
                        return
                    self._wait(worker, epoch, error.failure)
                    continue
                if association is not None:
                    self._first.set()
                    self._use(worker, association, epoch)
        except BaseException as error:  # noqa: BLE001 - it is raised again, by who reads results
            self._results.put(error)
        finally:
            self._rest(worker)

    def _enter(self, worker: Worker) -> bool:
        """Return whether there is something to send, and a server to send it to.

        Behind the last wait the workers go on one at a time, so that what one finds out counts for
        all, and nothing is given up while another one may be sending.
        """
        with self._turn:
            self._rest(worker)
            # It ends with the sending, too: that ends whoever is busy.
            self._turn.wait_for(lambda: not (self.breaker.exhausted and self._others_busy(worker)))
            if self._stopping.is_set():
                return False
            if self._is_over():
                self._fail_rest()
            worker.busy = bool(self._jobs)
            return worker.busy

    def _rest(self, worker: Worker) -> None:
        with self._turn:
            worker.busy = False
            self._turn.notify_all()

    def _others_busy(self, worker: Worker) -> bool:
        return any(other.busy for other in self._workers if other is not worker)

    def _is_over(self) -> bool:
        """Return whether the server is given up, or all that is left has failed in this row."""
        if not self.breaker.exhausted:
            return self.breaker.given_up is not None
        # Those that have were put behind all others.
        untried = bool(self._jobs) and self._jobs[0].row != self.breaker.row
        doubted = self._doubted == self.breaker.row
        self.breaker.judge(last_chance=doubted and not untried)
        return self.breaker.given_up is not None or not untried

    def _open(self, worker: Worker) -> Association | None:
        """Return an association; None where the sending has ended.

        Raises:
            AssociationRefusedError: the server does not want it.
            AssociationLostError: it could not be opened.
        """
        opening = self.begin()
        with self._lock:
            if self._stopping.is_set():
                return None
            worker.opening = opening
        return self._admit(worker, opening.open(list(self.group.contexts)))

    def _is_dropped(
        self, worker: Worker, error: AssociationRefusedError | AssociationLostError
    ) -> bool:
        """Return whether a worker ends because no association could be opened for it."""
        rejected = isinstance(error, AssociationRefusedError)
        if self._stopping.is_set() or self._others_live(worker):
            self._drop(rejected=rejected)
            return True
        if isinstance(error, AssociationRefusedError) and error.final:
            self.breaker.give_up(error.failure)
        return False

    def _admit(self, worker: Worker, association: Association) -> Association | None:
        with self._lock:
            if not self._stopping.is_set():
                worker.established = True
                return association
        association.abort()
        return None

    def _others_live(self, worker: Worker) -> bool:
        return any(other.established for other in self._workers if other is not worker)

    def _drop(self, *, rejected: bool) -> None:
        if rejected and not self._stopping.is_set():
            log.info("The DICOM server accepts no further association; going on with fewer.")
            self.dropped()

    def _use(self, worker: Worker, association: Association, epoch: int) -> None:
        """Send over an association until there is nothing left, or it ends."""
        failure: Failure | None = None
        instance = ""
        worker.worked = False
        try:
            while failure is None and (job := self._take()) is not None:
                instance = job.item.sop_instance_uid
                failure = self._send(worker, association, job)
        except BaseException:
            association.abort()
            raise
        if failure is None:
            association.release()
        with self._lock:
            worker.established = False
        if failure is not None and failure is not _NO_WAIT:
            self._wait(worker, epoch, failure, instance)

    def _take(self) -> Job | None:
        with self._turn:
            if self._stopping.is_set() or self.breaker.given_up is not None or not self._jobs:
                return None
            if self.breaker.exhausted and self._jobs[0].row is None:
                return self._probe()
            return self._jobs.popleft()

    def _probe(self) -> Job:
        """Return the untried instance that is least like those that failed in this row.

        What ends an association often stands side by side, and is of one kind.
        """
        failed = {_pair(job) for job in self._jobs if job.row == self.breaker.row}
        untried = [job for job in self._jobs if job.row is None]
        others = [job for job in untried if _pair(job) not in failed]
        job = (others or untried)[-1]
        self._jobs.remove(job)
        return job

    def _send(self, worker: Worker, association: Association, job: Job) -> Failure | None:
        """Send one instance and report it, or put it back.

        Returns:
            None while the association is good. Else it has been ended because of this.
        """
        pair = _pair(job)
        chosen = choose(pair, association.accepted)
        if chosen is None:
            self._report(job, "failed", why_not(pair, association.refused))
            return None
        other = None if chosen == pair else chosen[1]
        try:
            item = job.item if other is None else self.convert(job.item, other)
            data = _begun(item)
        except ImagingError as error:
            # Nothing of it was sent: the association is as good as before.
            self._report(job, "failed", error.message)
            return None
        try:
            reply = association.store(item, data)
        except ImagingError as error:
            association.abort()
            self._report(job, "failed", error.message)
            return _NO_WAIT
        except AssociationLostError as error:
            association.abort()
            return self._lost(worker, job, error.failure)
        return self._answered(worker, association, job, reply, other)

    def _answered(
        self, worker: Worker, association: Association, job: Job, reply: Reply, syntax: str | None
    ) -> Failure | None:
        reason = status_text(reply.status, reply.comment)
        what = category(reply.status)
        if what == "retry":
            association.release()
            job.refusals += not worker.worked
            job.reason, job.status = reason, reply.status
            self._put_back(job, again=job.refusals <= len(self.limits.waits))
            # What the server commented is for the report of this instance.
            return Failure(status_text(reply.status), OutOfResourcesError)
        worker.worked = True
        if self.breaker.failing:
            self.breaker.succeeded()
            with self._turn:
                self._turn.notify_all()
        if reply.status == DUPLICATE_SOP_INSTANCE and job.doubtful:
            # The server had stored it before the association was lost.
            what = "warning"
        said = "" if what == "sent" else reason
        self._report(job, what, said, status=reply.status, syntax=syntax)
        return None

    def _lost(self, worker: Worker, job: Job, failure: Failure) -> Failure:
        """Put an instance back, or report it; return what to wait for.

        An association that has moved something shows that neither this instance nor the server
        need be at fault: some servers take so many images over one, and end it.
        """
        job.doubtful = True
        job.losses += not worker.worked
        job.reason, job.status = failure.reason, None
        self._put_back(job, again=job.losses < self.limits.tries)
        return _NO_WAIT if worker.worked else failure

    def _put_back(self, job: Job, *, again: bool) -> None:
        """Put an instance behind all others, which need not have its trouble."""
        job.row = self.breaker.row
        if again:
            with self._turn:
                self._jobs.append(job)
        else:
            self._report(job, "failed", job.reason, status=job.status)

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
        if self._stopping.is_set():
            return
        seconds = self.breaker.failed(epoch, failure, instance)
        self._rest(worker)
        if seconds and (instance is None or self._jobs):
            log.warning("The DICOM server failed: %s. Waiting %g s.", failure.reason, seconds)
            if self.pause is None:
                self._stopping.wait(seconds)
            else:
                self.pause(seconds)
        self.breaker.waited(epoch)

    def _fail_rest(self) -> None:
        """Fail what is left, each instance for its own failure where it had one."""
        end = self.breaker.given_up
        while self._jobs:
            job = self._jobs.popleft()
            reason = job.reason or ("" if end is None else end.reason)
            self._report(job, "failed", reason, status=job.status)

    def _report(
        self,
        job: Job,
        outcome: Outcome,
        reason: str,
        *,
        status: int | None = None,
        syntax: str | None = None,
    ) -> None:
        self._results.put(
            Sent(
                number=job.item.number,
                outcome=outcome,
                status=status,
                reason=reason,
                transfer_syntax_uid=syntax,
            )
        )


def _begun(item: Sendable) -> Iterator[bytes | memoryview]:
    """Return the data set of `item`, its first piece read.

    Raises:
        ImagingError: there is none.
    """
    chunks = item.chunks()
    return chain((next(chunks, b""),), chunks)


def _pair(job: Job) -> SyntaxPair:
    return job.item.sop_class_uid, job.item.transfer_syntax_uid
