"""Servers that fail at random, by seed: one true result for each instance, and nothing left."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from imaging_gears.adapters.dimse.association import Reply
from imaging_gears.adapters.dimse.breaker import Breaker
from imaging_gears.adapters.dimse.contexts import groups
from imaging_gears.adapters.dimse.failures import AssociationLostError, AssociationRefusedError
from imaging_gears.adapters.dimse.opening import Opening
from imaging_gears.adapters.dimse.requestor import Limits
from imaging_gears.adapters.dimse.sending import Sending
from imaging_gears.errors import OutOfResourcesError
from imaging_gears.ports import Sendable, Sent, SyntaxPair
from tests.dimse.items import EXPLICIT, MR, converted, item
from tests.waiting import until

# Thousands of sendings each, to fakes.
pytestmark = pytest.mark.slow

LIMITS = Limits(waits=(0.0005, 0.001, 0.002))
FULL = 0xA700


@dataclass
class Server:
    """A server in memory, whose troubles a seed decides.

    Attributes:
        most: associations that it takes at a time.
        poison: instances at which it aborts.
        losses: share of the requests at which it aborts, having stored the instance or not.
        full: share of the requests for which it is out of resources.
        refusals: share of the associations that it does not answer.
        slow: whether it takes its time to answer, and counts meanwhile what it is asked for.
        stored: instances.
        live: associations.
        asked: associations that it has not answered yet.
    """

    random: random.Random
    most: int
    poison: Collection[int]
    losses: float
    full: float
    refusals: float
    slow: bool
    stored: set[int] = field(default_factory=set)
    live: int = 0
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def happens(self, share: float) -> bool:
        """Whether something does that happens this often."""
        with self.lock:
            return self.random.random() < share


@dataclass
class FakeOpening:
    """An association of that server, before and after it is opened."""

    server: Server
    accepted: tuple[SyntaxPair, ...] = ((MR, EXPLICIT),)
    refused: dict[SyntaxPair, str] = field(default_factory=dict)
    hung_up: threading.Event = field(default_factory=threading.Event)
    is_open: bool = False
    worked: bool = False

    def open(self, _: object, reached: Callable[[], None]) -> FakeOpening:
        """Open it, or fail as a server that is busy or away."""
        if self.server.happens(0.9):
            reached()
        if self.hung_up.is_set() or self.server.happens(self.server.refusals):
            raise AssociationLostError("away")
        with self.server.lock:
            self.server.asked += 1
        if self.server.slow:
            # Others come in between here.
            self.hung_up.wait(0.0002)
        with self.server.lock:
            counted = self.server.live + (self.server.asked if self.server.slow else 1)
            self.server.asked -= 1
            if counted > self.server.most:
                raise AssociationRefusedError("busy", OutOfResourcesError, final=False)
            self.server.live += 1
        self.is_open = True
        return self

    def hang_up(self) -> None:
        """End it from another thread."""
        self.hung_up.set()

    def store(
        self,
        sendable: Sendable,
        data: Iterable[bytes | memoryview],
        meanwhile: Callable[[], None],
    ) -> Reply:
        """Take an instance, or not."""
        assert self.is_open
        assert b"".join(data)
        if self.server.happens(0.9):
            meanwhile()
        # Others come in between here.
        self.hung_up.wait(0.0002 if self.server.happens(0.3) else 0)
        number = sendable.number
        if self.hung_up.is_set() or number in self.server.poison:
            raise AssociationLostError("lost")
        if self.server.happens(self.server.losses):
            if self.server.happens(0.5):
                self.server.stored.add(number)
            raise AssociationLostError("lost", silent=self.server.happens(0.2))
        if self.server.happens(self.server.full):
            return Reply(FULL)
        self.server.stored.add(number)
        return Reply(0)

    def release(self) -> None:
        """End it; once."""
        assert self.is_open
        self.is_open = False
        with self.server.lock:
            self.server.live -= 1

    abort = release


def server_of(seed: int, count: int) -> Server:
    """A server with some of the troubles."""
    dice = random.Random(seed)  # noqa: S311 - nothing is kept secret with it
    share = dice.choice([0, 0, 0.1, 0.5])
    return Server(
        random=dice,
        most=dice.choice([1, 2, 3, 99]),
        poison={at for at in range(count) if dice.random() < share},
        losses=dice.choice([0, 0, 0.1, 0.4, 0.9]),
        full=dice.choice([0, 0, 0.2, 0.9]),
        refusals=dice.choice([0, 0, 0.1, 0.5]),
        slow=dice.choice([False, True]),
    )


def sent_by(server: Server, breaker: Breaker, numbers: range, associations: int) -> list[Sent]:
    """What comes of sending these, as one file."""
    (group,) = groups([(MR, EXPLICIT)])
    sending = Sending(
        group=group,
        items=[item(at, pixels=10) for at in numbers],
        convert=converted,
        begin=lambda: cast("Opening", FakeOpening(server)),
        breaker=breaker,
        limits=LIMITS,
        pause=None,
        dropped=lambda: None,
    )
    return list(sending.results(associations))


def threads() -> list[threading.Thread]:
    """Those of a sending."""
    return [each for each in threading.enumerate() if each.name.startswith("dicom-send")]


@pytest.mark.parametrize("begin", range(0, 400, 50))
def test_each_instance_has_one_true_result(begin: int) -> None:
    """Two files to each of fifty servers; one without trouble but bad images gets all others."""
    for seed in range(begin, begin + 50):
        dice = random.Random(seed + 1000)  # noqa: S311 - as above
        count, associations = dice.randint(2, 24), dice.randint(1, 8)
        server, breaker = server_of(seed, count), Breaker(LIMITS.waits)
        half = dice.randint(1, count - 1)
        for numbers in (range(half), range(half, count)):
            results = sent_by(server, breaker, numbers, associations)
            said = SimpleNamespace(seed=seed, results=results)
            assert sorted(each.number for each in results) == list(numbers), said
            taken = {each.number for each in results if each.outcome == "sent"}
            assert taken <= server.stored, said
            assert all(each.reason for each in results if each.outcome == "failed"), said
            calm = not (server.losses or server.full or server.refusals)
            if calm and breaker.given_up is None:
                assert taken == set(numbers) - set(server.poison), said
            if calm and len(server.poison) <= 3:
                assert breaker.given_up is None, said
            until(lambda: not threads(), f"no thread is left: {said}")
            assert server.live == 0, said
