"""Who is to blame for failures in a row: the server, or the instances."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imaging_gears.adapters.dimse_breaker import Breaker
from imaging_gears.adapters.dimse_failures import Failure

WAITS = (1.0, 2.0)
FULL = Failure("full")


def fail(breaker: Breaker, *instances: str | None) -> list[float | None]:
    """Note failures one after the other."""
    return [breaker.failed(breaker.epoch, FULL, each) for each in instances]


def test_one_instance_alone_is_no_verdict() -> None:
    """However often it fails; the waits are over then."""
    breaker = Breaker(WAITS)
    assert fail(breaker, "1", "1", "1", "1") == [1.0, 2.0, 0.0, 0.0]
    assert breaker.exhausted
    assert breaker.given_up is None


def test_three_instances_are_but_only_behind_the_waits() -> None:
    """The server may recover while it is waited for."""
    breaker = Breaker(WAITS)
    assert fail(breaker, "1", "2") == [1.0, 2.0]
    assert breaker.given_up is None
    assert fail(breaker, "3") == [None]
    assert breaker.given_up == FULL


def test_two_instances_and_a_third_later() -> None:
    """Behind the waits nothing is waited for; the third one decides."""
    breaker = Breaker(WAITS)
    assert fail(breaker, "1", "2", "1", "2", "3") == [1.0, 2.0, 0.0, 0.0, None]


def test_a_failure_without_an_instance_is_the_servers() -> None:
    """No association: behind the waits that is the end."""
    breaker = Breaker(WAITS)
    assert fail(breaker, "1", "1", None) == [1.0, 2.0, None]


def test_an_instance_that_others_passed_is_no_evidence() -> None:
    """Any number of such instances exhausts the waits and leaves the server in its place."""
    breaker = Breaker(WAITS)
    for each in "1234":
        fail(breaker, each)
        breaker.succeeded()
    assert fail(breaker, *"1234") == [1.0, 2.0, 0.0, 0.0]
    assert breaker.given_up is None
    assert fail(breaker, *"567") == [0.0, 0.0, None]


def test_a_success_begins_another_row_only_after_a_failure() -> None:
    """So that an instance can be asked whether it failed since."""
    breaker = Breaker(WAITS)
    breaker.succeeded()
    assert (breaker.row, breaker.failing) == (0, False)
    fail(breaker, "1", "1", "1")
    assert (breaker.row, breaker.failing) == (0, True)
    breaker.succeeded()
    breaker.succeeded()
    assert (breaker.row, breaker.failing, breaker.exhausted) == (1, False, False)


def test_what_begins_during_a_wait_does_not_shorten_it() -> None:
    """Its failure waits as long and counts for nothing; that of who has waited counts."""
    breaker = Breaker(WAITS)
    first = breaker.begin()
    assert breaker.failed(first, FULL, "1") == 1.0
    second = breaker.begin()
    assert breaker.failed(second, FULL, "2") == 1.0
    breaker.waited(first)
    third = breaker.begin()
    breaker.waited(second)
    assert breaker.failed(third, FULL, "1") == 2.0
    breaker.waited(second)
    assert breaker.failed(breaker.begin(), FULL, "2") == 2.0
    breaker.waited(third)
    assert breaker.failed(breaker.begin(), FULL, "3") is None


def test_a_success_during_a_wait_ends_it_for_others() -> None:
    """What begins then and fails is the first failure of another row."""
    breaker = Breaker(WAITS)
    breaker.failed(breaker.begin(), FULL, "1")
    breaker.succeeded()
    assert breaker.failed(breaker.begin(), FULL, "2") == 1.0
    assert breaker.row == 1
    assert breaker.epoch == 2


@given(st.lists(st.sampled_from(["1", "2", "3", "4", "+"]), max_size=40))
def test_it_is_given_up_exactly_at_the_third_fresh_instance_of_a_row(events: list[str]) -> None:
    """Against the rule in words: of one row, behind its waits, not suspected before."""
    breaker = Breaker(WAITS)
    rows: list[list[str]] = [[]]
    for event in events:
        if event == "+":
            breaker.succeeded()
            rows.append([])
            continue
        rows[-1].append(event)
        fail(breaker, event)
        before = {each for row in rows[:-1] for each in row}
        over = len(rows[-1]) > len(WAITS) and len(set(rows[-1]) - before) >= 3
        assert (breaker.given_up is not None) == over
        if over:
            return
