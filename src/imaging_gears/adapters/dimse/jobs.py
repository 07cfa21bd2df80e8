"""The instances of one sending: what is still to be sent, in which order, and the results."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imaging_gears.adapters.dimse.breaker import Breaker
from imaging_gears.adapters.dimse.failures import not_tried
from imaging_gears.ports import Outcome, Sendable, Sent, SyntaxPair

_AHEAD_BYTES: Final = 1024 * 1024


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

    @property
    def pair(self) -> SyntaxPair:
        """Return its SOP class and transfer syntax."""
        return self.item.sop_class_uid, self.item.transfer_syntax_uid


class Jobs:
    """What is still to be sent, shared by the workers; and exactly one result for each instance.

    Attributes:
        turn: guards the jobs, and whatever else workers wait for.
    """

    def __init__(self, items: Sequence[Sendable], breaker: Breaker) -> None:
        self.turn = threading.Condition()
        self._breaker = breaker
        self._jobs = deque(Job(item) for item in items)
        self._results: queue.SimpleQueue[Sent | BaseException] = queue.SimpleQueue()
        # What was sent before ended with failures: this shows whose they were.
        self._doubted = breaker.row if breaker.failing else None

    def __len__(self) -> int:
        return len(self._jobs)

    # --- Jobs

    def take(self) -> Job | None:
        """Return the next one; None where there is none, or the server is given up."""
        with self.turn:
            if self._breaker.given_up is not None or not self._jobs:
                return None
            if self._breaker.exhausted and self._jobs[0].row is None:
                return self._probe()
            return self._jobs.popleft()

    def take_ahead(self, workers: int) -> Job | None:
        """Return the next one to be read before it can be sent; None where nothing is gained.

        One that is long would cost memory. Of the last ones each is for whoever is free first.
        """
        with self.turn:
            if self._breaker.failing or len(self._jobs) <= workers:
                return None
            return self._jobs.popleft() if self._jobs[0].item.length <= _AHEAD_BYTES else None

    def give_back(self, job: Job) -> None:
        """Put an instance that was only read before all others again."""
        with self.turn:
            self._jobs.appendleft(job)

    def _probe(self) -> Job:
        """Return the untried instance that is least like those that failed in this row.

        What ends an association often stands side by side, and is of one kind.
        """
        failed = {job.pair for job in self._jobs if job.row == self._breaker.row}
        untried = [job for job in self._jobs if job.row is None]
        others = [job for job in untried if job.pair not in failed]
        job = (others or untried)[-1]
        self._jobs.remove(job)
        return job

    def put_back(self, job: Job, *, again: bool) -> None:
        """Put an instance behind all others, which need not have its trouble."""
        job.row = self._breaker.row
        if again:
            with self.turn:
                self._jobs.append(job)
        else:
            self.report(job, "failed", job.reason, status=job.status)

    def is_over(self) -> bool:
        """Return whether the server is given up, or all that is left has failed in this row."""
        if not self._breaker.exhausted:
            return self._breaker.given_up is not None
        # Those that have were put behind all others.
        untried = bool(self._jobs) and self._jobs[0].row != self._breaker.row
        doubted = self._doubted == self._breaker.row
        self._breaker.judge(last_chance=doubted and not untried)
        return self._breaker.given_up is not None or not untried

    def fail_rest(self) -> None:
        """Fail what is left, each instance for its own failure where it had one."""
        end = self._breaker.given_up
        while self._jobs:
            job = self._jobs.popleft()
            reason = job.reason or ("" if end is None else not_tried(end))
            self.report(job, "failed", reason, status=job.status)

    # --- Results

    def report(
        self,
        job: Job,
        outcome: Outcome,
        reason: str,
        *,
        status: int | None = None,
        syntax: str | None = None,
    ) -> None:
        """Give the result of an instance."""
        self._results.put(
            Sent(
                number=job.item.number,
                outcome=outcome,
                status=status,
                reason=reason,
                transfer_syntax_uid=syntax,
            )
        )

    def broken(self, error: BaseException) -> None:
        """Give what ended a worker, to be raised by `result`."""
        self._results.put(error)

    def result(self) -> Sent:
        """Return the next result, as soon as there is one."""
        result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        return result
