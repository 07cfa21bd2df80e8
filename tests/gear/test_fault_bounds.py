"""What a failing service may cost: time, requests, repetitions; and calls that nobody listed."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from imaging_gears.adapters import aws, flywheel, identifiers, s3, ssm, tries
from imaging_gears.image_identifier_lookup import outputs, run
from imaging_gears.sandbox import Fault
from tests.gear.fault_cells import CALLS, FAILURES, OUTAGE_SECONDS, Cell, Failure
from tests.gear.fault_runs import (
    SERVICES,
    fail_request,
    https,
    is_whole,
    run_cell,
    run_until_watchdog,
)
from tests.gear.gear_helpers import Center
from tests.waiting import LONG

# Lines that other tests go through as well, many times over.
pytestmark = pytest.mark.no_cover

# --- Calls that nobody listed ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES, ids=[failure.name for failure in FAILURES])
def test_whichever_request_fails_the_next_run_makes_all_good(
    make_center: Callable[[], Center], failure: Failure
) -> None:
    """The first, second, third, ... request of any service, until a run comes through untouched."""
    met, number = True, 0
    while met:
        center = make_center()
        center.root /= str(number)
        met, wrong = fail_request(center, failure, number)
        assert wrong == [], f"request {number + 1}"
        number += 1
    # SSM, three reads, the lookup, the subject again and its write, the log, note and event, the
    # file again, its info and tag: 13 requests, and a run that meets no fault.
    assert number >= 14


# --- Time -----------------------------------------------------------------------------------------


def test_no_silent_service_can_hold_a_job_for_90_seconds() -> None:
    """The sum of all waits that the program's constants allow for, per service."""
    # Just before the time that an outage may take is over a last try begins; and there are the
    # pauses before the second and the third upload of a log that nobody confirms.
    uploads = sum(2**number for number in range(1, outputs.LOST_UPLOADS))
    for adapter, more in ((flywheel, uploads), (identifiers, 0)):
        a_try = adapter.CONNECT_SECONDS + adapter.READ_SECONDS
        assert tries.OUTAGE_SECONDS + a_try + more < OUTAGE_SECONDS
    # botocore pauses for less than a second in all between three tries. Before a put it waits for
    # a second to be told to go on. Two events may be owed by earlier runs, or one and this run's.
    assert tries.TRIES * ssm.READ_SECONDS + 1 < OUTAGE_SECONDS
    assert 2 * (tries.TRIES * (s3.READ_SECONDS + 1) + 1) < OUTAGE_SECONDS


def test_no_unreachable_service_can_hold_a_job_for_90_seconds() -> None:
    """Nor can one to which no connection comes about, or one that asks for patience each time."""
    pauses = sum(tries.BACKOFF_SECONDS)
    requests = tries.TRIES + tries.LAST_TRIES
    assert requests * flywheel.CONNECT_SECONDS + pauses < OUTAGE_SECONDS
    assert tries.TRIES * identifiers.CONNECT_SECONDS + pauses < OUTAGE_SECONDS
    assert 2 * (tries.TRIES * aws.CONNECT_SECONDS + 1) < OUTAGE_SECONDS
    # Only the first call of an outage is made more than once, and so waits as long as it is asked.
    assert (tries.TRIES - 1) * tries.RETRY_AFTER_SECONDS < OUTAGE_SECONDS
    assert run.JOB_SECONDS == 600


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_drips_is_named_when_the_job_is_ended(center: Center, service: str) -> None:
    """A byte now and then keeps every time-out from passing: the watchdog ends the job."""
    config = https(center) if service == "identifiers" else {}
    file_id = center.upload()
    # A put of S3 is answered by a header, at once: what drips is the reading of an event.
    if service == "s3":
        center.sandbox.faults.add(Fault("s3", route="PutObject", kind="drop-after"))
    center.sandbox.faults.add(Fault(service, kind="drip", seconds=0.2, times=None))
    ended = run_until_watchdog(center, center.folder_of(file_id, **config))
    assert (ended.code, ended.err) == (1, "")
    assert ended.seconds < LONG
    (line,) = ended.lines("CRITICAL")
    assert line.startswith(f"service-unavailable: {SERVICES[service]} did not come to an end")


# --- Requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reset", "500", "drops after the effect", "truncated body"])
def test_an_upload_is_not_repeated_before_the_project_was_looked_at(
    center: Center, name: str
) -> None:
    """Between two POSTs of the log there is a read that says whether the first one took effect."""
    cell = _cell("POST log", name)
    assert run_cell(center, cell).end == cell.end
    made = [each.method for each in center.sandbox.requests.all() if each.service == "flywheel"]
    posts = [number for number, method in enumerate(made) if method == "POST"]
    assert 1 <= len(posts) <= 3
    for first, second in itertools.pairwise(posts):
        assert "GET" in made[first:second]


@pytest.mark.parametrize("name", ["not JSON", "JSON of the wrong shape"])
def test_a_page_in_place_of_an_event_is_no_other_event(center: Center, name: str) -> None:
    """The put was done and not confirmed; what S3 shows then must not bring a second event."""
    result = run_cell(center, _cell("S3 GetObject", name))
    before = center.events()
    assert len(before) == 1
    center.sandbox.faults.clear()
    center.run(result.file_id)
    assert center.events() == before
    assert is_whole(center, result.file_id) == []


def _cell(call: str, failure: str) -> Cell:
    (first,) = [each for each in CALLS if each.name == call]
    (second,) = [each for each in FAILURES if each.name == failure]
    return Cell(first, second)
