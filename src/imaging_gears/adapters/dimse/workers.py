"""The workers of one sending: which of them ask for, have or use an association, and their end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from imaging_gears.adapters.dimse.breaker import Breaker
from imaging_gears.adapters.dimse.opening import Opening

_JOIN_SECONDS: Final = 2.0


@dataclass(slots=True)
class Worker:
    """A thread with one association at a time.

    Attributes:
        further: whether it is not the first one.
        together: whether it asks for its first association, while others ask for theirs.
        asking: whether the server has not said yet if it takes that one.
        established: whether it has one now.
        busy: whether it opens or uses one, and has not noted yet how that ended.
    """

    further: bool
    together: bool
    asking: bool = True
    thread: threading.Thread | None = None
    opening: Opening | None = None
    established: bool = False
    busy: bool = False


class Workers:
    """All workers of one sending.

    Args:
        turn: guards who is busy and who is asking.
        breaker: of the server.

    Attributes:
        stopping: is set when the sending ends.
        reached: is set when the server was reached, or the sending ends.
        taken: is set when an association was established, or the sending ends.
    """

    def __init__(self, turn: threading.Condition, breaker: Breaker) -> None:
        self.stopping = threading.Event()
        self.reached = threading.Event()
        self.taken = threading.Event()
        self._turn = turn
        self._breaker = breaker
        self._workers: list[Worker] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._workers)

    # --- Begin and end

    def start(self, count: int, run: Callable[[Worker], None]) -> None:
        """Start `count` threads, each of which does `run` with its worker."""
        self._workers = [Worker(further=at > 0, together=count > 1) for at in range(count)]
        for at, worker in enumerate(self._workers):
            worker.thread = threading.Thread(
                target=run, args=(worker,), name=f"dicom-send-{at}", daemon=True
            )
            worker.thread.start()

    def end(self, *, cut: bool) -> None:
        """End all workers: those that have an association in order, unless `cut`."""
        with self._lock:
            self.stopping.set()
            for worker in self._workers:
                if worker.opening is not None and (cut or not worker.established):
                    worker.opening.hang_up()
        self.reached.set()
        self.taken.set()
        with self._turn:
            self._turn.notify_all()
        for worker in self._workers:
            # One that a signal has kept from being started ends by itself.
            with suppress(RuntimeError):
                if worker.thread is not None:
                    worker.thread.join(_JOIN_SECONDS)

    # --- What a worker does

    def opens(self, worker: Worker, opening: Opening) -> bool:
        """Note what a worker is going to open; return whether the sending goes on."""
        with self._lock:
            if not self.stopping.is_set():
                worker.opening = opening
            return not self.stopping.is_set()

    def has(self, worker: Worker) -> bool:
        """Note that a worker has an association; return whether the sending goes on."""
        with self._lock:
            worker.established = not self.stopping.is_set()
        if worker.established:
            worker.together = False
            self.taken.set()
        return worker.established

    def has_none(self, worker: Worker) -> None:
        """Note that a worker's association has ended."""
        with self._lock:
            worker.established = False

    def answered(self, worker: Worker) -> None:
        """Note that the server has answered the request of a worker, or never will."""
        with self._turn:
            worker.asking = False
            self._turn.notify_all()

    def rest(self, worker: Worker) -> None:
        """Note that a worker neither opens nor uses an association."""
        with self._turn:
            worker.busy = worker.asking = False
            self._turn.notify_all()

    # --- What the others do

    def others_busy(self, worker: Worker) -> bool:
        """Return whether another one opens or uses an association."""
        return any(other.busy for other in self._others(worker))

    def others_live(self, worker: Worker) -> bool:
        """Return whether another one has an association."""
        return any(other.established for other in self._others(worker))

    def others_told(self, worker: Worker) -> bool:
        """Return whether the server takes another one of those asked for at once, or none."""
        # Behind the last wait nobody asks while another one does.
        asked = self.reached.is_set() and not self._breaker.exhausted
        return (
            self.stopping.is_set()
            or self.others_live(worker)
            or not (asked and any(other.asking for other in self._others(worker)))
        )

    def _others(self, worker: Worker) -> Iterator[Worker]:
        return (other for other in self._workers if other is not worker)
