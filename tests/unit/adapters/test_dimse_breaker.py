"""Who is to blame for failures in a row: the server, or the instances."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging_gears.adapters.dimse.breaker import Breaker
from imaging_gears.adapters.dimse.failures import Failure
from imaging_gears.errors import OutOfResourcesError

WAITS = (1.0, 2.0)
FULL = Failure("full", OutOfResourcesError)
SILENT = Failure("no progress", silent=True)
LOST = Failure("lost")


def fail(breaker: Breaker, *instances: str | None, failure: Failure = FULL) -> list[float]:
    """Note failures one after the other."""
    return [breaker.failed(breaker.epoch, failure, each) for each in instances]


def verdict(breaker: Breaker, *, last_chance: bool = False) -> Failure | None:
    """Why it is given up, asked now."""
    breaker.judge(last_chance=last_chance)
    return breaker.given_up


@pytest.mark.parametrize("failure", [FULL, SILENT, LOST])
def test_one_instance_alone_is_no_verdict(failure: Failure) -> None:
    """However often it fails; the waits are over then."""
    breaker = Breaker(WAITS)
    assert fail(breaker, "1", "1", "1", "1", failure=failure) == [1.0, 2.0, 0.0, 0.0]
    assert breaker.exhausted
    assert verdict(breaker) is None


@pytest.mark.parametrize("failure", [FULL, SILENT])
def test_three_instances_are_but_only_behind_the_waits(failure: Failure) -> None:
    """The server may recover while it is waited for."""
    breaker = Breaker(WAITS)
    assert fail(breaker, "1", "2", failure=failure) == [1.0, 2.0]
    assert verdict(breaker) is None
    assert fail(breaker, "3", failure=failure) == [0.0]
    assert verdict(breaker) == failure


def test_two_instances_and_a_third_later() -> None:
    """Behind the waits nothing is waited for; the third one decides."""
    breaker = Breaker(WAITS)
    assert fail(breaker, "1", "2", "1", "2") == [1.0, 2.0, 0.0, 0.0]
    assert verdict(breaker) is None
    fail(breaker, "3")
    assert verdict(breaker) == FULL


def test_lost_associations_are_a_verdict_when_three_more_instances_had_theirs() -> None:
    """Those of the waits, and those that are tried once more, do not count."""
    breaker = Breaker(WAITS)
    fail(breaker, *"123", *"123", *"45", *"45", failure=LOST)
    assert verdict(breaker) is None
    assert verdict(breaker, last_chance=True) is None
    fail(breaker, "6", failure=LOST)
    assert verdict(breaker) == LOST


def test_associations_lost_at_the_same_moment_are_no_further_tries() -> None:
    """They began before the last wait was over."""
    breaker = Breaker(WAITS)
    fail(breaker, "1", "2", failure=LOST)
    breaker.waited(breaker.epoch - 1)
    epoch = breaker.begin()
    for each in "34567":
        assert breaker.failed(epoch, LOST, each) == 0.0
    assert verdict(breaker) is None


def test_a_success_before_the_verdict_clears_the_server() -> None:
    """It came from another association, over which an instance was on its way."""
    breaker = Breaker(WAITS)
    fail(breaker, *"123")
    breaker.succeeded()
    assert verdict(breaker) is None


@pytest.mark.parametrize(("failure", "ends"), [(FULL, True), (SILENT, True), (LOST, False)])
def test_the_last_chance_to_clear_a_server(failure: Failure, *, ends: bool) -> None:
    """A single image that fails behind others: enough of a full server, not of a lost one."""
    breaker = Breaker(WAITS)
    fail(breaker, "1", "1", "1", "2", failure=failure)
    assert (verdict(breaker, last_chance=True) is not None) == ends


def test_a_failure_without_an_instance_is_the_servers() -> None:
    """No association: behind the waits that is the end."""
    breaker = Breaker(WAITS)
    assert fail(breaker, "1", "1", None, failure=LOST) == [1.0, 2.0, 0.0]
    assert verdict(breaker) == LOST


@pytest.mark.parametrize("failure", [FULL, LOST])
def test_an_instance_that_others_passed_is_no_evidence(failure: Failure) -> None:
    """Any number of such instances exhausts the waits and leaves the server in its place."""
    breaker = Breaker(WAITS)
    for each in "1234":
        fail(breaker, each, failure=failure)
        breaker.succeeded()
    assert fail(breaker, *"1234", failure=failure) == [1.0, 2.0, 0.0, 0.0]
    assert verdict(breaker) is None
    fail(breaker, *"567", failure=failure)
    assert verdict(breaker) == failure


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
    assert breaker.failed(breaker.begin(), FULL, "3") == 0.0
    assert verdict(breaker) == FULL


def test_a_success_during_a_wait_ends_it_for_others() -> None:
    """What begins then and fails is the first failure of another row."""
    breaker = Breaker(WAITS)
    breaker.failed(breaker.begin(), FULL, "1")
    breaker.succeeded()
    assert breaker.failed(breaker.begin(), FULL, "2") == 1.0
    assert breaker.row == 1
    assert breaker.epoch == 2


@given(
    st.sampled_from([FULL, SILENT, LOST]),
    st.lists(st.sampled_from(["1", "2", "3", "4", "5", "6", "+"]), max_size=40),
)
def test_it_is_given_up_exactly_at_the_third_fresh_instance_of_a_row(
    failure: Failure, events: list[str]
) -> None:
    """Against the rule in words: of one row, behind its waits, not suspected before.

    Of lost associations those instances count that failed behind the waits for the first time.
    """
    breaker = Breaker(WAITS)
    rows: list[list[str]] = [[]]
    for event in events:
        if event == "+":
            breaker.succeeded()
            rows.append([])
            continue
        rows[-1].append(event)
        fail(breaker, event, failure=failure)
        known = {each for row in rows[:-1] for each in row}
        if failure is LOST:
            known |= set(rows[-1][: len(WAITS) + 1])
        over = len(rows[-1]) > len(WAITS) and len(set(rows[-1]) - known) >= 3
        assert (verdict(breaker) is not None) == over
        if over:
            return
