"""Many jobs at the same moment: processes of their own, on one visit, on one subject, on one file.

``python -m benchmarks.soak`` does the first of these for as long as one likes.
"""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.soak import soak
from imaging_gears.sandbox import Fault
from tests.gear.gear_helpers import (
    GEAR,
    LOG,
    NACCID,
    NAME,
    PTID,
    Center,
    image,
    zipped,
)
from tests.waiting import until

# Lines that other tests go through as well, many times over.
pytestmark = pytest.mark.no_cover

PASSED, FAILED = f"{GEAR}-PASS", f"{GEAR}-FAIL"
OTHER_NACCID = "NACC000777"
DELAYS = Fault(kind="delay", seconds=(0.0, 0.05), times=None)
"""Chance decides who comes first at every request."""
APPENDED = 4
FOREIGN = "2024-01-15 10:00:00 QC Status: FORM-CHECKER - PASS {}\n"


def run_at_once(
    center: Center, *file_ids: str, service: str = "lambda", moment: dt.datetime | None = None
) -> None:
    """Run the gear on files in processes that all ask `service` before one of them is answered.

    `moment` is what all of them take for the time.
    """
    count, faults = len(file_ids), center.sandbox.faults
    faults.add(DELAYS, Fault(service=service, kind="hold", times=count))
    runs = [center.start(center.folder_of(file_id), moment=moment) for file_id in file_ids]
    assert faults.wait_held(count)
    faults.release()
    codes = [run.wait().code for run in runs]
    faults.clear()
    assert codes == [0] * count


def assert_counted_once(center: Center, *file_ids: str) -> None:
    """Each file has one line, one record in the log, one event, its own record, and its tag."""
    assert sorted(center.runs()) == sorted(f"PASS  {NAME} {each}#1" for each in file_ids)
    assert set(center.log()["info"][GEAR]["files"]) == set(file_ids)
    assert center.log_verdict() == ("PASS", [])
    events = center.events()
    assert Counter(each["file_id"] for each in events.values()) == dict.fromkeys(file_ids, 1)
    for file_id in file_ids:
        assert center.verdict(file_id) == ("PASS", [], [PASSED])
        note = center.file(file_id)["info"][GEAR]["event"]
        event = events[note["key"]]
        assert (event["file_id"], event["timestamp"]) == (file_id, note["timestamp"])


def test_eight_jobs_of_one_visit_lose_nothing(center: Center) -> None:
    """Eight lines, eight events, though all of them are of the same second."""
    subject = center.subject()
    file_ids = [center.upload(subject) for _ in range(8)]
    run_at_once(center, *file_ids, moment=dt.datetime.now(dt.UTC))
    assert_counted_once(center, *file_ids)
    assert center.info(subject)["naccid"] == NACCID
    records = center.log()["info"][GEAR]["files"].values()
    assert len({record["timestamp"] for record in records}) == 1


@pytest.mark.slow
def test_jobs_that_run_twice_at_once_count_once(center: Center) -> None:
    """Four files of a visit, each with two copies of its job, all at the same moment."""
    subject = center.subject()
    file_ids = [center.upload(subject) for _ in range(4)]
    run_at_once(center, *file_ids, *file_ids)
    assert_counted_once(center, *file_ids)


# --- Others who write the same things -------------------------------------------------------------


@contextmanager
def meanwhile(write: Callable[[int], None]) -> Iterator[list[int]]:
    """Call `write` with 0, 1, 2, ... for as long as the block lasts; give the numbers so far."""
    ended, written, troubles = threading.Event(), list[int](), list[BaseException]()

    def go_on() -> None:
        try:
            for number in itertools.count():
                write(number)
                written.append(number)
                if ended.wait(0.01):
                    return
        except BaseException as error:  # noqa: BLE001 - told by the test's thread
            troubles.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield written
    finally:
        ended.set()
        thread.join()
    assert troubles == []


def test_writers_of_other_keys_lose_nothing(center: Center) -> None:
    """Somebody keeps setting keys of subject and file, and tags, while two jobs run."""
    subject, site = center.subject(), center.sandbox.site
    file_ids = [center.upload(subject) for _ in range(2)]

    def write(number: int) -> None:
        site.hierarchy.change_info(subject, {"set": {f"other{number}": number}})
        for file_id in file_ids:
            site.files.change_info(file_id, {"set": {f"other{number}": number}})
            site.change_tags(file_id, add=[f"other{number}"], remove=[])

    with meanwhile(write) as written:
        until(lambda: written, "the first keys are set")
        run_at_once(center, *file_ids)
        until(lambda: len(written) > 10, "more keys are set")
    keys = {f"other{number}" for number in written}
    assert keys < center.info(subject).keys()
    assert center.info(subject)["naccid"] == NACCID
    for file_id in file_ids:
        file = center.file(file_id)
        assert keys < file["info"].keys()
        assert set(file["tags"]) == {*keys, PASSED}
    assert len(center.events()) == 2


@pytest.mark.slow
def test_a_gear_that_appends_naively_is_made_good(center: Center) -> None:
    """It reads the log, adds a line, uploads all of it, and drops what came between.

    The next job repairs our lines and keeps every one of its own.
    """
    subject, site = center.subject(), center.sandbox.site
    first, last, *file_ids = [center.upload(subject) for _ in range(6)]
    assert center.run(first).code == 0
    log_id = center.log()["file_id"]

    def append() -> None:
        for number in range(APPENDED):
            read = site.file(log_id)
            text = site.read(log_id, read["version"]).decode()
            time.sleep(0.3)
            # Every other time it forgets the info, too.
            kept = {"info": read["info"], "tags": read["tags"]} if number % 2 else {}
            center.put_log(text + FOREIGN.format(number), **kept)

    foreign = threading.Thread(target=append)
    foreign.start()
    run_at_once(center, *file_ids, service="ssm")
    foreign.join()
    assert center.run(last).code == 0
    text = center.log()["text"]
    ours = [first, last, *file_ids]
    assert [text.count(f"{file_id}#1\n") for file_id in ours] == [1] * len(ours)
    assert [text.count(FOREIGN.format(number)) for number in range(APPENDED)] == [1] * APPENDED
    assert set(center.log()["info"][GEAR]["files"]) == set(ours)


# --- Two answers for one subject ------------------------------------------------------------------


def test_of_two_answers_for_a_subject_the_stored_one_stays(center: Center) -> None:
    """The registry is corrected while a job holds the old answer in its hands."""
    subject = center.subject()
    late, early = center.upload(subject), center.upload(subject)
    faults = center.sandbox.faults
    faults.add(Fault(service="lambda", kind="hold", after=True))
    started = center.start(center.folder_of(late))
    assert faults.wait_held()
    center.sandbox.identifiers.add("prod", center.adcid, PTID, OTHER_NACCID)
    assert center.run(early).code == 0
    faults.release()
    assert started.wait().code == 0
    assert center.info(subject)["naccid"] == OTHER_NACCID
    assert center.verdict(early) == ("PASS", [], [PASSED])
    assert center.verdict(late) == ("FAIL", ["naccid-conflict"], [FAILED])
    assert center.log_verdict() == ("FAIL", ["naccid-conflict"])
    assert {each["file_id"]: each["status"] for each in center.events().values()} == {
        early: "PASS",
        late: "FAIL",
    }


def test_two_answers_stored_at_the_same_moment_end_as_a_conflict(center: Center) -> None:
    """Both jobs have read the subject before either writes it: Flywheel takes both writes.

    It has no conditional write; the order of the QC log's versions says which came first. The other
    one ends as a conflict, and the first one's NACCID stays whichever was written last.
    """
    subject = center.subject()
    file_ids = [center.upload(subject), center.upload(subject)]
    faults, runs = center.sandbox.faults, []
    faults.add(Fault(service="flywheel", method="PUT", route="/subjects/*", kind="hold", times=2))
    for number, file_id in enumerate(file_ids, 1):
        runs.append(center.start(center.folder_of(file_id)))
        assert faults.wait_held(number)
        center.sandbox.identifiers.add("prod", center.adcid, PTID, OTHER_NACCID)
    faults.release()
    assert [run.wait().code for run in runs] == [0, 0]
    verdicts = {file_id: center.verdict(file_id) for file_id in file_ids}
    conflict = ("FAIL", ["naccid-conflict"], [FAILED])
    assert sorted(verdicts.values()) == [conflict, ("PASS", [], [PASSED])]
    [passed] = [file_id for file_id in file_ids if verdicts[file_id] != conflict]
    stored = center.info(subject)["naccid"]
    assert stored == {file_ids[0]: NACCID, file_ids[1]: OTHER_NACCID}[passed]
    assert center.file(passed)["info"]["data_identification"]["naccid"] == stored
    assert center.log()["info"]["visit"]["naccid"] == stored
    assert center.log_verdict() == ("FAIL", ["naccid-conflict"])
    assert {each["file_id"]: each["status"] for each in center.events().values()} == {
        file_id: verdict[0] for file_id, verdict in verdicts.items()
    }


OTHER_LOG = LOG.replace("2024-01-15", "2023-01-15")


def hold_writes_of_the_subject(center: Center, count: int) -> None:
    """Hold so many writes of a subject, until they are released."""
    center.sandbox.faults.add(
        Fault(service="flywheel", method="PUT", route="/subjects/*", kind="hold", times=count)
    )


def two_visits(center: Center) -> tuple[str, str, str]:
    """Return a subject and two files of it, of two visits."""
    subject = center.subject()
    other = zipped(image(StudyDate="20230115"))
    return subject, center.upload(subject), center.upload(subject, data=other)


def test_a_late_write_of_another_visits_job_gives_way(center: Center) -> None:
    """It was under way while the whole job of another visit ran, and was given another answer."""
    subject, late, early = two_visits(center)
    hold_writes_of_the_subject(center, 1)
    started = center.start(center.folder_of(late))
    assert center.sandbox.faults.wait_held()
    center.sandbox.identifiers.add("prod", center.adcid, PTID, OTHER_NACCID)
    assert center.run(early).code == 0
    center.sandbox.faults.release()
    assert started.wait().code == 0
    assert center.verdict(early) == ("PASS", [], [PASSED])
    assert center.verdict(late) == ("FAIL", ["naccid-conflict"], [FAILED])
    assert center.info(subject)["naccid"] == OTHER_NACCID
    assert center.log_verdict() == ("FAIL", ["naccid-conflict"])
    assert center.log_verdict(OTHER_LOG) == ("PASS", [])
    assert {each["file_id"]: each["status"] for each in center.events().values()} == {
        early: "PASS",
        late: "FAIL",
    }


def test_two_visits_never_pass_with_two_answers(center: Center) -> None:
    """Both jobs have read the subject before either writes it, and then write at once.

    They share no log, so each gives way to the other that it sees: one at least does.
    """
    subject, *file_ids = two_visits(center)
    hold_writes_of_the_subject(center, 2)
    runs = []
    for number, file_id in enumerate(file_ids, 1):
        runs.append(center.start(center.folder_of(file_id)))
        assert center.sandbox.faults.wait_held(number)
        center.sandbox.identifiers.add("prod", center.adcid, PTID, OTHER_NACCID)
    time.sleep(0.1)
    center.sandbox.faults.release()
    assert [run.wait().code for run in runs] == [0, 0]
    passed = [each for each in file_ids if center.verdict(each) == ("PASS", [], [PASSED])]
    conflicts = [
        each for each in file_ids if center.verdict(each) == ("FAIL", ["naccid-conflict"], [FAILED])
    ]
    assert len(conflicts) >= 1
    assert len(passed) + len(conflicts) == 2
    stored = center.info(subject)["naccid"]
    assert stored in (NACCID, OTHER_NACCID)
    for file_id in passed:
        assert center.file(file_id)["info"]["data_identification"]["naccid"] == stored


# --- For longer -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_twenty_rounds_of_sixteen_processes_lose_nothing() -> None:
    """`make soak` does it for as long as one likes."""
    tally = soak(20, jobs=16, copies=1, at_once=10)
    assert tally.lost == []
    assert (tally.rounds, tally.lines, tally.events) == (20, 320, 320)
