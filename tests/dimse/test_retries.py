"""Instances that a server never takes, among others that it does: whose fault is it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset

from imaging_gears.adapters.dimse.server import DimseServer
from imaging_gears.ports import Sent
from tests.dimse.items import CT, MR, item
from tests.dimse.peers import QUICK, Pauses, Scripted, scripted, send, server_at
from tests.waiting import LONG

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event

FULL = 0xA700
COMMENT = "no room for DOE^JOHN"
# Long enough that an association waits while another one goes on.
LIMITS = replace(QUICK, waits=(0.05, 0.1, 0.2))


def number_of(event: Event) -> int:
    """The number of the instance that a request is about."""
    return int(event.request.AffectedSOPInstanceUID.rsplit(".", 1)[1])


def full() -> Dataset:
    """Out of resources, with a comment."""
    answer = Dataset()
    answer.Status = FULL
    answer.ErrorComment = COMMENT
    return answer


def out_of_resources_for(bad: Collection[int]) -> Callable[[Scripted, Event], int | Dataset]:
    """A server that is out of resources for some instances, and takes all others."""
    return lambda _, event: full() if number_of(event) in bad else 0


def aborts_for(bad: Collection[int]) -> Callable[[Scripted, Event], int]:
    """A server that aborts at some instances, and takes all others."""

    def answer(_: Scripted, event: Event) -> int:
        if number_of(event) in bad:
            event.assoc.abort()
        return 0

    return answer


def tries(scp: Scripted) -> Counter[int]:
    """How often each instance came in."""
    return Counter(int(uid.rsplit(".", 1)[1]) for uid in scp.received)


def send_numbers(server: DimseServer, numbers: Collection[int]) -> dict[int, Sent]:
    """Send instances with these numbers."""
    return send(server, [item(at) for at in numbers])


def failed(results: dict[int, Sent]) -> set[int]:
    """The numbers that failed; the others were sent."""
    return {at for at, each in results.items() if each.outcome != "sent"}


@pytest.mark.parametrize("associations", [1, 2])
@pytest.mark.parametrize("bad", [0, 10, 19])
def test_one_image_out_of_resources_among_twenty(bad: int, associations: int) -> None:
    """It alone fails after its own tries, first, last or between; the next file is sent."""
    pauses = Pauses(waited=True)
    with scripted(out_of_resources_for({bad})) as scp:
        server = server_at(scp.port, associations=associations, limits=LIMITS, pause=pauses)
        results = send_numbers(server, range(20))
        waited = len(pauses.seconds)
        assert server.given_up is None
        assert failed(send_numbers(server, range(30, 33))) == set()
    assert failed(results) == {bad}
    assert (results[bad].status, results[bad].outcome) == (FULL, "failed")
    assert COMMENT in results[bad].reason
    # Tries that follow a success over the same association do not count: it is behind the others
    # at most twice.
    assert 0 <= tries(scp)[bad] - (len(LIMITS.waits) + 1) <= 2
    assert waited <= 2 * associations * len(LIMITS.waits)


@pytest.mark.parametrize("associations", [1, 2])
@pytest.mark.parametrize("bad", [{0, 1}, {3, 12}, {18, 19}], ids=["first", "between", "last"])
def test_two_images_that_the_server_aborts_at_among_twenty(
    bad: set[int], associations: int
) -> None:
    """Both fail after their tries, everything else is sent, and the run goes on."""
    with scripted(aborts_for(bad)) as scp:
        server = server_at(scp.port, associations=associations)
        results = send_numbers(server, range(20))
        assert server.given_up is None
        assert failed(send_numbers(server, range(30, 33))) == set()
    assert failed(results) == bad
    assert {results[at].reason for at in bad} == {"aborted by the server"}
    assert all(2 <= tries(scp)[at] <= QUICK.tries + 2 for at in bad)


@pytest.mark.parametrize("associations", [1, 2, 4])
@pytest.mark.parametrize("bad", [3, 4, 5, 8])
def test_bad_images_at_the_start_do_not_cost_the_others(bad: int, associations: int) -> None:
    """Behind the waits the server shows with an image from the end that it works."""
    with scripted(aborts_for(range(bad))) as scp:
        server = server_at(scp.port, associations=associations)
        results = send_numbers(server, range(30))
        assert server.given_up is None
    assert failed(results) == set(range(bad))


@pytest.mark.parametrize("associations", [1, 2, 4])
@pytest.mark.parametrize(("bad", "first"), [(3, 3), (4, 4), (5, 5), (8, 4), (8, 10)])
def test_bad_images_at_the_start_do_not_cost_the_next_file(
    bad: int, first: int, associations: int
) -> None:
    """Where a file has no other image, one of the next file shows that the server works."""
    with scripted(aborts_for(range(bad))) as scp:
        server = server_at(scp.port, associations=associations)
        results = send_numbers(server, range(first)) | send_numbers(server, range(first, 32))
        assert server.given_up is None
    assert failed(results) == set(range(bad))


def test_two_files_of_one_bad_image_do_not_cost_the_third() -> None:
    """Behind the waits each has its one try."""
    with scripted(aborts_for({0, 1})) as scp:
        server = server_at(scp.port)
        results = [send_numbers(server, [at])[at].outcome for at in range(3)]
        assert server.given_up is None
    assert results == ["failed", "failed", "sent"]


def test_images_of_another_kind_are_asked_first() -> None:
    """All MR images abort, and more than three stand at the end; the CT image among them counts."""
    mr, ct = [*range(8), *range(9, 16)], 8
    with scripted(aborts_for(mr)) as scp:
        server = server_at(scp.port, associations=1)
        results = send(server, [item(at, sop_class=CT if at == ct else MR) for at in range(16)])
        order = [int(uid.rsplit(".", 1)[1]) for uid in scp.received]
    assert results[ct].outcome == "sent"
    assert order.index(ct) == len(QUICK.waits) + 1


@pytest.mark.parametrize("associations", [1, 2, 4])
def test_a_server_that_aborts_each_image_is_asked_three_more_times(associations: int) -> None:
    """Behind the waits, one after the other, and without a further wait."""
    pauses = Pauses()
    with scripted(aborts_for(range(50))) as scp:
        server = server_at(scp.port, associations=associations, pause=pauses)
        results = send_numbers(server, range(50))
        assert server.given_up is not None
    assert failed(results) == set(range(50))
    attempts = len(QUICK.waits) + 1
    assert attempts + 3 <= len(scp.received) <= associations * attempts + 3
    assert set(pauses.seconds) == set(QUICK.waits)


def test_nothing_is_given_up_while_another_image_is_on_its_way() -> None:
    """The server is full until it has that one; the waits were over long before."""
    attempts, seen = len(QUICK.waits) + 1, threading.Event()

    def answer(scp: Scripted, event: Event) -> int | Dataset:
        if len(scp.received) == attempts:
            seen.set()
        return 0 if number_of(event) == 0 or tries(scp)[0] else full()

    def hold() -> None:
        assert seen.wait(LONG)
        time.sleep(0.1)

    with scripted(answer) as scp:
        server = server_at(scp.port, associations=2)
        results = send(server, [item(0, on_chunks=hold), *(item(at) for at in range(1, 10))])
        assert server.given_up is None
    assert failed(results) == set()


def test_many_bad_images_among_others_do_not_add_up_their_waits() -> None:
    """Six that are never taken: each is tried again, behind all others, in one row of waits."""
    pauses, bad = Pauses(), {2, 5, 8, 11, 14, 17}
    with scripted(out_of_resources_for(bad)) as scp:
        server = server_at(scp.port, associations=1, pause=pauses)
        results = send_numbers(server, range(20))
    assert failed(results) == bad
    assert {results[at].status for at in bad} == {FULL}
    assert {tries(scp)[at] for at in bad} == {2}
    # The first wait after each failure that a success followed, then one row of failures.
    assert pauses.seconds == [QUICK.waits[0]] * len(bad) + list(QUICK.waits)
    assert server.given_up is None


def per_association(count: int, *, then: int | None) -> Callable[[Scripted, Event], int]:
    """A server that takes so many over an association; then it says `then`, None: it aborts."""
    # By the association itself, not by its id(): a later one may get the id of one that is gone.
    taken: Counter[Association] = Counter()

    def answer(_: Scripted, event: Event) -> int:
        taken[event.assoc] += 1
        if taken[event.assoc] <= count:
            return 0
        if then is None:
            event.assoc.abort()
        return then or 0

    return answer


@pytest.mark.parametrize("associations", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_server_that_ends_each_association_gets_all_without_a_wait(
    count: int, associations: int
) -> None:
    """So many images over one, then it aborts: none of them is to blame, and it is not down."""
    pauses = Pauses()
    with scripted(per_association(count, then=None)) as scp:
        server = server_at(scp.port, associations=associations, pause=pauses)
        results = send_numbers(server, range(24))
    assert failed(results) == set()
    assert pauses.seconds == []


@pytest.mark.parametrize("count", [1, 5])
def test_a_server_with_room_for_a_few_at_a_time_gets_all(count: int) -> None:
    """Out of resources after so many over an association: the shortest wait, then it goes on."""
    pauses = Pauses()
    with scripted(per_association(count, then=FULL)) as scp:
        results = send_numbers(server_at(scp.port, associations=1, pause=pauses), range(24))
    assert failed(results) == set()
    assert set(pauses.seconds) == {QUICK.waits[0]}


@pytest.mark.parametrize("associations", [1, 2])
def test_a_full_server_is_given_up_within_the_waits(associations: int) -> None:
    """Fifty images take as long as one, and the files behind them no time at all."""
    pauses = Pauses(waited=True)
    with scripted(lambda *_: full()) as scp:
        server = server_at(scp.port, associations=associations, limits=LIMITS, pause=pauses)
        results = send_numbers(server, range(50))
        attempts, waited = len(scp.received), [*pauses.seconds]
        assert failed(send_numbers(server, range(60, 80))) == set(range(60, 80))
    assert failed(results) == set(range(50))
    assert len(LIMITS.waits) <= len(waited) <= associations * len(LIMITS.waits)
    assert set(waited) == set(LIMITS.waits)
    assert pauses.seconds == waited
    assert attempts == len(scp.received) <= associations * (len(LIMITS.waits) + 1)
    assert server.given_up is not None
    assert COMMENT not in server.given_up.sentence()


def test_what_was_tried_tells_its_own_status_when_the_server_is_given_up() -> None:
    """With the comment and the status; what was never tried says so, and has neither."""
    with scripted(lambda *_: full()) as scp:
        results = send_numbers(server_at(scp.port, associations=1), range(10))
    tried = set(tries(scp))
    assert len(tried) == len(QUICK.waits) + 1
    for at, each in results.items():
        assert each.status == (FULL if at in tried else None)
        assert (COMMENT in each.reason) == (at in tried)
        assert each.reason.startswith("not tried: the server was given up") == (at not in tried)
        assert "status 0xA700, out of resources" in each.reason


def test_a_comment_never_comes_without_its_status() -> None:
    """Who writes a log can leave out the server's words by the status alone."""
    with scripted(out_of_resources_for({0})) as scp:
        server = server_at(scp.port)
        results = [*send_numbers(server, [0]).values(), *send_numbers(server, [0, 1]).values()]
    assert [each.status for each in results if COMMENT in each.reason] == [FULL, FULL]


def test_a_single_image_out_of_resources_does_not_decide_about_the_next_file() -> None:
    """It fails after the waits; the next one is tried, and sent, and the waits begin anew."""
    pauses = Pauses()
    with scripted(out_of_resources_for({0})) as scp:
        server = server_at(scp.port, pause=pauses)
        results = send_numbers(server, [0])
        assert server.given_up is None
        assert pauses.seconds == list(QUICK.waits)
        assert failed(send_numbers(server, [1])) == set()
        assert failed(send_numbers(server, [0, 2, 3])) == {0}
    assert (results[0].status, results[0].outcome) == (FULL, "failed")
    assert server.given_up is None


def test_files_of_one_image_to_a_full_server() -> None:
    """The second file has one attempt without a wait, the third none."""
    pauses = Pauses()
    with scripted(lambda *_: full()) as scp:
        server = server_at(scp.port, pause=pauses)
        results = [send_numbers(server, [at])[at] for at in range(3)]
    assert tries(scp) == {0: len(QUICK.waits) + 1, 1: 1}
    assert pauses.seconds == list(QUICK.waits)
    assert [each.status for each in results] == [FULL, FULL, None]
    assert server.given_up is not None


def test_a_file_behind_one_that_failed_has_three_images_to_show_that_the_server_works() -> None:
    """Its first ones are bad too: they fail, the third is taken, and all others are sent."""
    with scripted(out_of_resources_for({0, 1})) as scp:
        server = server_at(scp.port, associations=1)
        send_numbers(server, [0])
        results = send_numbers(server, range(1, 12))
    assert failed(results) == {1}
    assert server.given_up is None


def test_a_server_that_dies_after_a_bad_image_is_given_up() -> None:
    """An image that no association could be had for is not what the server is judged by."""
    with scripted(out_of_resources_for({0})) as scp:
        server = server_at(scp.port)
        send_numbers(server, [0])
    results = send_numbers(server, range(1, 10))
    assert {each.reason for each in results.values()} == {
        "not tried: the server was given up (the connection was refused)"
    }
    assert server.given_up is not None
