"""Services that fail: what a run still does, what it says, and what the next run repairs."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from imaging_gears.sandbox import Fault
from tests.gear.fault_cells import OUTAGE_SECONDS
from tests.gear.fault_runs import JOB_SECONDS, run_until_watchdog
from tests.gear.gear_helpers import BUCKET, GEAR, NACCID, NAME, PTID, QUICK, Center, Ended
from tests.waiting import LONG

PASSED = f"{GEAR}-PASS"
READ_SECONDS = {
    service: f"imaging_gears.adapters.{module}.READ_SECONDS"
    for service, module in {
        "flywheel": "flywheel",
        "s3": "s3",
        "ssm": "ssm",
        "lambda": "identifiers",
        "identifiers": "identifiers",
    }.items()
}
"""The constants that say how long a service may be silent: 10 to 20 s."""
UPLOAD = {"service": "flywheel", "method": "POST", "route": "/projects/*/files"}
SET_INFO = {"service": "flywheel", "method": "PATCH", "route": "/containers/*/info"}
ADD_TAG = {"service": "flywheel", "method": "PATCH", "route": "/files/*/tags"}
PUT_EVENT = {"service": "s3", "route": "PutObject"}
PUT_SUBJECT = {"service": "flywheel", "method": "PUT", "route": "/subjects/*"}
NONSENSE = ("<html>Please log in</html>", "", "{}", "[]", "null", '{"_id": 7')


@dataclass(frozen=True, slots=True)
class Secondary:
    """A way in which one of the outputs that don't decide over the job can't be written.

    Attributes:
        output: its name in the summary.
        code: of the warning.
        why: what the summary says of it.
        requests: the most that may be made at the place of the fault.
    """

    output: str
    code: str
    fault: Mapping[str, Any]
    why: str
    requests: int


SECONDARY = {
    "event refused": Secondary(
        "event", "event-not-captured", {**PUT_EVENT, "status": 403}, "AWS S3 refused", 1
    ),
    "event: no bucket": Secondary(
        "event",
        "event-not-captured",
        {
            **PUT_EVENT,
            "status": 404,
            "body": "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>",
        },
        "NoSuchBucket",
        1,
    ),
    "event: S3 down": Secondary(
        "event", "event-not-captured", {**PUT_EVENT, "status": 503}, "HTTP 503", 3
    ),
    "event: S3 silent": Secondary(
        "event", "event-not-captured", {**PUT_EVENT, "kind": "silent"}, "ReadTimeoutError", 3
    ),
    "event: a page instead": Secondary(
        "event",
        "event-not-captured",
        {**PUT_EVENT, "status": 200, "body": "<html>Please log in</html>"},
        "not of the form",
        1,
    ),
    "log refused": Secondary(
        "QC log", "qc-log-not-written", {**UPLOAD, "status": 403}, "Flywheel refused", 1
    ),
    "log: 500": Secondary("QC log", "qc-log-not-written", {**UPLOAD, "status": 500}, "HTTP 500", 3),
    "log: a redirect": Secondary(
        "QC log",
        "qc-log-not-written",
        {**UPLOAD, "kind": "redirect", "headers": {"Location": "/api/config"}},
        "not of the form",
        3,
    ),
    "info refused": Secondary(
        "file record",
        "file-record-not-written",
        {**SET_INFO, "status": 403},
        "Flywheel refused",
        2,
    ),
    "info: a redirect": Secondary(
        "file record",
        "file-record-not-written",
        {**SET_INFO, "kind": "redirect", "headers": {"Location": "/api/config"}},
        "",
        6,
    ),
    "tags: 500": Secondary(
        "file record", "file-record-not-written", {**ADD_TAG, "status": 500}, "HTTP 500", 3
    ),
}
OUTPUTS = {"subject", "QC log", "event", "file record"}


def at_the_fault(center: Center) -> int:
    """Return how many requests met a fault."""
    return sum(each.fault is not None for each in center.sandbox.requests.all())


def most_of_a_call(center: Center) -> int:
    """Return the length of the longest row of the same request, made again and again."""
    made = [(each.service, each.method, each.path) for each in center.sandbox.requests.all()]
    return max(len(list(group)) for _, group in itertools.groupby(made))


def failing(center: Center, fault: Mapping[str, Any], **config: Any) -> tuple[str, Ended]:  # noqa: ANN401
    """Run the gear on a new file while a fault goes on; return the file's id.

    A service that stays silent is given up after a second.
    """
    file_id = center.upload()
    center.sandbox.faults.add(Fault(times=None, **fault))
    silent = {READ_SECONDS[fault["service"]]: 1.0} if fault.get("kind") == "silent" else {}
    folder = center.folder_of(file_id, **config)
    return file_id, center.run_in(folder, patches={**QUICK, **silent})


# --- Outputs that don't decide over the job -------------------------------------------------------


@pytest.mark.parametrize("case", SECONDARY.values(), ids=SECONDARY)
def test_a_missing_output_is_named_and_repaired(center: Center, case: Secondary) -> None:
    """The job succeeds, all others are written and warn of it; the next run makes it good, once."""
    file_id, ended = failing(center, case.fault)
    assert (ended.code, ended.err) == (0, "")
    assert 1 <= at_the_fault(center) <= case.requests
    check_summary(ended.summary, case)
    check_what_was_written(center, file_id, case)

    events = center.events()
    center.sandbox.faults.clear()
    center.sandbox.requests.clear()
    assert center.run(file_id).code == 0
    check_all_is_there_once(center, file_id)
    # A run without its record does not know of its event: the put meets it, and it is read.
    at_most = {"event": 1, "QC log": 0, "file record": 2}[case.output]
    assert center.requests("s3")["s3"] <= at_most
    assert {key: center.events()[key] for key in events} == events


def check_summary(summary: str, case: Secondary) -> None:
    """Hold the last line to verdict, what was written, what was not and why."""
    verdict, written, missing, *_ = summary.split("; ")
    assert verdict == f"verdict PASS ({case.code})"
    outputs = set(written.removeprefix("written: ").split(", "))
    assert outputs == OUTPUTS - {case.output}
    assert missing.startswith(f"NOT WRITTEN: {case.output} (")
    assert case.why in missing


def check_what_was_written(center: Center, file_id: str, case: Secondary) -> None:
    """Hold the outputs that could be written to PASS, the warning, and the note of what is owed."""
    assert center.info(center.file(file_id)["parents"]["subject"])["naccid"] == NACCID
    if case.output != "QC log":
        assert center.log_verdict() == ("PASS", [case.code])
        assert center.runs() == [f"PASS  {NAME} {file_id}#1"]
    else:
        assert center.logs() == {}
    assert len(center.events()) == (0 if case.output == "event" else 1)
    if case.output != "file record":
        assert center.verdict(file_id) == ("PASS", [case.code], [PASSED])
        owed = center.file(file_id)["info"][GEAR]["unwritten"]
        kinds = {kind: len(owed[kind]) for kind in ("entries", "events")}
        is_log = case.output == "QC log"
        assert kinds == {"entries": int(is_log), "events": int(not is_log)}
    else:
        assert center.file(file_id)["tags"] == []


def check_all_is_there_once(center: Center, file_id: str) -> None:
    """Hold the site to what it would hold if nothing had ever failed."""
    assert center.verdict(file_id) == ("PASS", [], [PASSED])
    assert center.log_verdict() == ("PASS", [])
    lines = center.runs()
    assert lines[0] == f"PASS  {NAME} {file_id}#1"
    assert len(set(lines)) == len(lines)
    ((key, event),) = center.events().items()
    notes = center.file(file_id)["info"][GEAR]
    assert "unwritten" not in notes
    assert (notes["event"]["key"], notes["event"]["timestamp"]) == (key, event["timestamp"])


@pytest.mark.parametrize("name", ["event refused", "log refused", "info refused"])
def test_strict_outputs_make_it_the_job_s_failure(center: Center, name: str) -> None:
    """Exit 1; verdict and everything else stay the same."""
    case = SECONDARY[name]
    file_id, ended = failing(center, case.fault, strict_outputs=True)
    assert (ended.code, ended.err) == (1, "")
    check_summary(ended.summary, case)
    check_what_was_written(center, file_id, case)


@pytest.mark.parametrize("name", ["event refused", "log refused", "info refused"])
def test_what_is_repaired_is_not_repaired_again(center: Center, name: str) -> None:
    """The run after the repair adds its own line, and no event is even tried."""
    file_id, _ = failing(center, SECONDARY[name].fault)
    center.sandbox.faults.clear()
    center.run(file_id)
    before = center.runs()
    center.sandbox.requests.clear()
    assert center.run(file_id).code == 0
    check_all_is_there_once(center, file_id)
    assert center.runs()[:-1] == before
    assert center.requests("s3") == {"s3": 0}


def test_a_log_that_is_owed_is_written_before_the_new_line(center: Center) -> None:
    """Two runs could not write it: the third one brings three lines, in the order of the runs."""
    file_id, _ = failing(center, SECONDARY["log refused"].fault)
    center.quick(file_id)
    assert len(center.file(file_id)["info"][GEAR]["unwritten"]["entries"]) == 2
    center.sandbox.faults.clear()
    center.run(file_id)
    line = f"PASS  {NAME} {file_id}#1"
    assert center.runs() == [line, f"{line} run 2", f"{line} run 3"]
    check_all_is_there_once(center, file_id)


def test_an_event_that_is_perhaps_there_keeps_its_time(center: Center) -> None:
    """S3 did not say what it did: the repair uses the key and timestamp that were noted."""
    file_id, _ = failing(center, SECONDARY["event: S3 down"].fault)
    note = center.file(file_id)["info"][GEAR]["event"]
    assert center.events() == {}
    center.sandbox.faults.clear()
    center.run(file_id)
    ((key, event),) = center.events().items()
    assert (key, event["timestamp"]) == (note["key"], note["timestamp"])


def test_an_event_that_was_refused_gets_the_time_of_its_repair(center: Center) -> None:
    """It is not there for certain: readers want the time at which an event is first written."""
    file_id, _ = failing(center, SECONDARY["event refused"].fault)
    center.sandbox.faults.clear()
    before = dt.datetime.now(dt.UTC)
    center.run(file_id)
    ((key, event),) = center.events().items()
    moment = dt.datetime.fromisoformat(event["timestamp"])
    assert before <= moment <= dt.datetime.now(dt.UTC)
    assert f"/log-submit-{moment:%Y%m%d-%H%M%S}-" in key


def test_when_flywheel_goes_away_all_three_are_named(center: Center) -> None:
    """After the subject was written nothing else is; no event without a note of it."""
    file_id = center.upload()
    # File, subject and project, the subject again, and the write.
    center.sandbox.faults.add(Fault("flywheel", times=None, skip=5, status=503))
    ended = center.quick(file_id)
    assert (ended.code, ended.err) == (0, "")
    missing = ended.summary.partition("NOT WRITTEN: ")[2]
    assert all(f"{name} (" in missing for name in ("QC log", "event", "file record"))
    assert center.info(center.file(file_id)["parents"]["subject"])["naccid"] == NACCID
    assert center.events() == {}
    center.sandbox.faults.clear()
    center.run(file_id)
    check_all_is_there_once(center, file_id)


# --- What everything depends on -------------------------------------------------------------------

OUTAGES: Mapping[str, Mapping[str, Any]] = {
    "SSM down": {"service": "ssm", "status": 503},
    "SSM silent": {"service": "ssm", "kind": "silent"},
    "SSM resets": {"service": "ssm", "kind": "reset-before"},
    "SSM truncates": {"service": "ssm", "kind": "truncate"},
    "SSM nonsense": {"service": "ssm", "kind": "body", "body": '{"Parameters": 5}'},
    "Lambda down": {"service": "lambda", "status": 503},
    "Lambda throttles": {"service": "lambda", "status": 429},
    "Lambda silent": {"service": "lambda", "kind": "silent"},
    "Lambda drops": {"service": "lambda", "kind": "drop-after"},
    "Lambda truncates": {"service": "lambda", "kind": "truncate"},
    "project down": {"service": "flywheel", "route": "/projects/*", "status": 502},
    "subject: 500": {"service": "flywheel", "route": "/subjects/*", "status": 500},
    "subject write: 500": {**PUT_SUBJECT, "status": 500},
    "subject write: a redirect": {
        **PUT_SUBJECT,
        "kind": "redirect",
        "status": 302,
        "headers": {"Location": "/api/config"},
    },
    "subject write: nonsense": {**PUT_SUBJECT, "status": 200, "body": "{}"},
}


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES)
def test_an_outage_fails_the_job_and_leaves_a_record(
    center: Center, fault: Mapping[str, Any]
) -> None:
    """Exit 1, FAIL with service-unavailable, few requests, and no event."""
    file_id, ended = failing(center, fault)
    assert (ended.code, ended.err) == (1, "")
    (line,) = ended.lines("ERROR")
    assert line.startswith("service-unavailable: ")
    assert line.partition(": ")[2].startswith(("AWS SSM", "Flywheel", "identifier API"))
    assert most_of_a_call(center) <= 3
    assert center.verdict(file_id) == ("FAIL", ["service-unavailable"], [f"{GEAR}-FAIL"])
    assert center.events() == {}
    assert ended.seconds < OUTAGE_SECONDS


@pytest.mark.parametrize("name", ["SSM down", "Lambda down", "subject write: 500"])
def test_after_an_outage_the_job_is_done_as_if_none_had_been(center: Center, name: str) -> None:
    """PASS everywhere, its errors gone, and only this outcome is announced."""
    file_id, _ = failing(center, OUTAGES[name])
    center.sandbox.faults.clear()
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("PASS", [], [PASSED])
    assert center.log_verdict() == ("PASS", [])
    assert [each["status"] for each in center.events().values()] == ["PASS"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 500},
        {"kind": "silent"},
        {"kind": "drop-before"},
        {"status": 200, "body": "{}"},
    ],
    ids=["503", "500", "silent", "drops", "nonsense"],
)
def test_without_flywheel_nothing_is_written_anywhere(
    center: Center, fault: Mapping[str, Any]
) -> None:
    """Exit 1 and one sentence; a handful of requests; nothing there, no event."""
    file_id, ended = failing(center, {"service": "flywheel", **fault})
    assert (ended.code, ended.err) == (1, "")
    (line,) = ended.lines("ERROR")
    assert line.startswith("service-unavailable: Flywheel did not answer usably while reading file")
    made = Counter(each.service for each in center.sandbox.requests.all())
    # Three tries of the read, one more for the record, which needs the file, too.
    assert made["flywheel"] <= 4
    assert made["lambda"] == made["s3"] == 0
    assert center.file(file_id)["info"] == {}


PAGE = {"headers": {"Content-Type": "text/html"}, "body": "<html>Not Found</html>"}


@pytest.mark.parametrize(
    "fault",
    [{"status": 404, **PAGE}, {"status": 503}, {"status": 200, "body": "{}"}, {"kind": "silent"}],
    ids=["a page", "503", "nonsense", "silent"],
)
def test_the_https_transport_tells_an_outage_from_nobody_there(
    center: Center, fault: Mapping[str, Any]
) -> None:
    """A web server's own 404 page says that the URL is wrong, not that a participant is unknown."""
    prefix = center.parameters(url="{identifiers_url}", key="{identifiers_key}")
    whole = {"service": "identifiers", **fault}
    file_id, ended = failing(center, whole, apikey_path_prefix=prefix)
    assert (ended.code, ended.err) == (1, "")
    assert center.verdict(file_id) == ("FAIL", ["service-unavailable"], [f"{GEAR}-FAIL"])
    assert 1 <= center.requests("identifiers")["identifiers"] <= 3
    assert center.events() == {}


def test_the_watchdog_ends_what_nothing_else_ends(center: Center) -> None:
    """SSM drips a byte a second: the job is over after its time, and says who was at fault."""
    file_id = center.upload()
    center.sandbox.faults.add(Fault("ssm", kind="drip", seconds=0.3, times=None))
    folder = center.folder_of(file_id)
    ended = run_until_watchdog(center, folder)
    assert (ended.code, ended.err) == (1, "")
    assert ended.seconds < LONG
    (line,) = ended.lines("CRITICAL")
    assert line.startswith("service-unavailable: ")
    assert "AWS SSM" in line
    assert f" {JOB_SECONDS} s" in line


def test_a_defect_of_the_program_is_recorded_without_values(center: Center) -> None:
    """Should one ever show: exit 1, where it was, and no text that could hold a value."""
    file_id = center.upload()
    patches = {"imaging_gears.image_identifier_lookup.outputs.UPLOADS": f"{PTID} {NACCID}"}
    ended = center.run_in(center.folder_of(file_id), patches=patches)
    assert (ended.code, ended.err) == (1, "")
    (line,) = ended.lines("ERROR")
    assert line.startswith(
        "unexpected-error: The gear met an unexpected TypeError in outputs.py, line "
    )
    assert "Traceback" not in ended.out
    assert center.verdict(file_id) == ("FAIL", ["unexpected-error"], [f"{GEAR}-FAIL"])
    assert center.events() == {}


# --- What passes by itself ------------------------------------------------------------------------

CALLS: Mapping[str, Mapping[str, Any]] = {
    "parameters": {"service": "ssm"},
    "file": {"service": "flywheel", "route": "/files/{file_id}"},
    "subject": {"service": "flywheel", "method": "GET", "route": "/subjects/*"},
    "project": {"service": "flywheel", "method": "GET", "route": "/projects/*"},
    "lookup": {"service": "lambda"},
    "subject write": PUT_SUBJECT,
    "log": UPLOAD,
    "event": PUT_EVENT,
    "info": SET_INFO,
    "tag": ADD_TAG,
}


ONCE: Mapping[str, Mapping[str, Any]] = {
    "500": {"status": 500},
    "503": {"status": 503},
    "reset before": {"kind": "reset-before"},
    "dropped after": {"kind": "drop-after"},
    "truncated": {"kind": "truncate"},
}


@pytest.mark.parametrize("how", ONCE.values(), ids=ONCE)
def test_what_fails_once_leaves_no_trace(center: Center, how: Mapping[str, Any]) -> None:
    """Every call of the run fails once, some after their effect: all is there once, no warning."""
    file_id = center.upload()
    # A 200 whose JSON botocore can't parse is not repeated: that is an outage of SSM, see above.
    calls = [
        call for name, call in CALLS.items() if how != ONCE["truncated"] or name != "parameters"
    ]
    center.sandbox.faults.add(*(Fault(**{**call, **how}) for call in calls))
    ended = center.quick(file_id)
    assert center.sandbox.faults.hits() == len(calls)
    assert (ended.code, ended.err) == (0, "")
    assert ended.summary.startswith("verdict PASS; written: subject, QC log, event, file record;")
    check_all_is_there_once(center, file_id)
    assert center.runs() == [f"PASS  {NAME} {file_id}#1"]


@pytest.mark.parametrize("call", ["log", "event"])
def test_a_lost_reply_doubles_nothing(center: Center, call: str) -> None:
    """The upload or the put took effect, and nobody said so: one line, one event, one version."""
    file_id = center.upload()
    center.sandbox.faults.add(Fault(**CALLS[call], kind="reset-after"))
    assert center.quick(file_id).code == 0
    check_all_is_there_once(center, file_id)
    assert center.runs() == [f"PASS  {NAME} {file_id}#1"]
    assert center.log()["version"] == 1


@pytest.mark.parametrize("body", NONSENSE)
def test_a_200_with_nonsense_is_no_answer(center: Center, body: str) -> None:
    """Once, from each service that is read: the call is made again, and all is well."""
    file_id = center.upload()
    names = ("file", "subject", "project", "lookup", "subject write", "info", "tag")
    center.sandbox.faults.add(*(Fault(**CALLS[name], kind="body", body=body) for name in names))
    assert center.quick(file_id).code == 0
    assert center.sandbox.faults.hits() == len(names)
    check_all_is_there_once(center, file_id)


def test_a_log_that_can_t_be_read_is_not_written(center: Center) -> None:
    """An error page in place of the log must not become the log; what it held is still there."""
    line = "2024-01-15 09:00:00 QC Status: OTHER-GEAR - PASS\n"
    center.put_log(line)
    before = center.log()
    route = "/projects/*/files/*"
    page = {"service": "flywheel", "method": "GET", "route": route, "status": 200}
    file_id, ended = failing(center, {**page, "body": "<html>Please log in</html>"})
    assert ended.code == 0
    assert center.log() == before
    assert center.verdict(file_id) == ("PASS", ["qc-log-not-written"], [PASSED])
    assert center.requests()["flywheel"] < 20
    center.sandbox.faults.clear()
    center.run(file_id)
    assert center.log()["text"].startswith(line)
    check_all_is_there_once_beside(center, file_id, others=1)


def check_all_is_there_once_beside(center: Center, file_id: str, others: int) -> None:
    """As `check_all_is_there_once`, where the log has lines of other gears, too."""
    assert center.verdict(file_id) == ("PASS", [], [PASSED])
    line = f"PASS  {NAME} {file_id}#1"
    assert center.runs()[others:] == [line, f"{line} run 2"]


def test_the_pause_that_a_service_asks_for_is_kept(center: Center) -> None:
    """429 with Retry-After of a second: the next try comes after that, not before."""
    file_id = center.upload()
    center.sandbox.faults.add(Fault(**CALLS["file"], status=429, headers={"Retry-After": "1"}))
    ended = center.quick(file_id)
    assert ended.code == 0
    first, second = [
        each.started for each in center.sandbox.requests.all() if each.route == "/files/{file_id}"
    ][:2]
    assert second - first >= 1.0


def test_tries_are_spaced_where_nothing_is_changed(center: Center) -> None:
    """The program's own pauses: 0.25 s or more before the second try, a second before the third."""
    file_id = center.upload()
    center.sandbox.faults.add(Fault(**CALLS["file"], times=2, status=503))
    assert center.run(file_id).code == 0
    times = [
        each.started for each in center.sandbox.requests.all() if each.route == "/files/{file_id}"
    ]
    assert times[1] - times[0] >= 0.25
    assert times[2] - times[1] >= 1.0


def test_other_objects_of_the_bucket_are_left_alone(center: Center) -> None:
    """An event that can't be written replaces nothing: the bucket is as before."""
    before = center.sandbox.s3_objects(BUCKET)
    failing(center, SECONDARY["event refused"].fault)
    assert center.sandbox.s3_objects(BUCKET) == before
