"""Sending one instance over an association, and what comes of its answer (PS3.4 B.2.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from imaging_gears.adapters.dimse.association import Association, Reply
from imaging_gears.adapters.dimse.breaker import Breaker
from imaging_gears.adapters.dimse.contexts import choose, why_not
from imaging_gears.adapters.dimse.failures import AssociationLostError, Failure
from imaging_gears.adapters.dimse.jobs import Job, Jobs
from imaging_gears.adapters.dimse.requestor import Limits
from imaging_gears.adapters.dimse.status import DUPLICATE_SOP_INSTANCE, category, status_text
from imaging_gears.errors import ImagingError, OutOfResourcesError
from imaging_gears.ports import Convert, Sendable

NO_WAIT: Final = Failure("")
"""An association that ended because of an instance here, or after it had carried others: the next
one need not wait."""


@dataclass(slots=True)
class Ready:
    """An instance whose data set has begun to be read.

    Attributes:
        item: as it is sent.
        data: its data set, the first piece read.
        syntax: the transfer syntax, where it is another one than that of the file.
    """

    job: Job
    item: Sendable
    data: Iterator[bytes | memoryview]
    syntax: str | None


@dataclass(slots=True)
class Storing:
    """Sends instances, and reports them or puts them back."""

    jobs: Jobs
    convert: Convert
    breaker: Breaker
    limits: Limits

    def begin(self, association: Association, job: Job) -> Ready | None:
        """Begin to read an instance; None where it can't be sent, and has been reported."""
        chosen = choose(job.pair, association.accepted)
        if chosen is None:
            self.jobs.report(job, "failed", why_not(job.pair, association.refused))
            return None
        other = None if chosen == job.pair else chosen[1]
        try:
            item = job.item if other is None else self.convert(job.item, other)
            return Ready(job, item, _begun(item), other)
        except ImagingError as error:
            # Nothing of it was sent: the association is as good as before.
            self.jobs.report(job, "failed", error.message)
            return None

    def send(
        self, association: Association, ready: Ready, meanwhile: Callable[[], None]
    ) -> Failure | None:
        """Send one instance and report it, or put it back.

        Args:
            association: it is of no use any more where a failure is returned.
            ready: was begun for this association.
            meanwhile: is done while the answer is on its way.

        Returns:
            None while the association is good. Else it has been ended because of this.
        """
        job = ready.job
        try:
            reply = association.store(ready.item, ready.data, meanwhile)
        except ImagingError as error:
            association.abort()
            self.jobs.report(job, "failed", error.message)
            return NO_WAIT
        except AssociationLostError as error:
            association.abort()
            return self._lost(association, job, error.failure)
        return self._answered(association, job, reply, ready.syntax)

    def _answered(
        self, association: Association, job: Job, reply: Reply, syntax: str | None
    ) -> Failure | None:
        reason = status_text(reply.status, reply.comment)
        what = category(reply.status)
        if what == "retry":
            association.release()
            job.refusals += not association.worked
            job.reason, job.status = reason, reply.status
            self.jobs.put_back(job, again=job.refusals <= len(self.limits.waits))
            # What the server commented is for the report of this instance.
            return Failure(status_text(reply.status), OutOfResourcesError)
        association.worked = True
        if self.breaker.failing:
            self.breaker.succeeded()
            with self.jobs.turn:
                self.jobs.turn.notify_all()
        if reply.status == DUPLICATE_SOP_INSTANCE and job.doubtful:
            # The server had stored it before the association was lost.
            what = "warning"
        said = "" if what == "sent" else reason
        self.jobs.report(job, what, said, status=reply.status, syntax=syntax)
        return None

    def _lost(self, association: Association, job: Job, failure: Failure) -> Failure:
        """Put an instance back, or report it; return what to wait for.

        An association that has moved something shows that neither this instance nor the server
        need be at fault: some servers take so many images over one, and end it.
        """
        job.doubtful = True
        job.losses += not association.worked
        job.reason, job.status = failure.reason, None
        self.jobs.put_back(job, again=job.losses < self.limits.tries)
        return NO_WAIT if association.worked else failure


def _begun(item: Sendable) -> Iterator[bytes | memoryview]:
    """Return the data set of `item`, its first piece read.

    Raises:
        ImagingError: there is none.
    """
    chunks = item.chunks()
    return chain((next(chunks, b""),), chunks)
