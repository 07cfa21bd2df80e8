"""The fault matrix as data: every external call of a run, every way to fail, and how the job ends.

The ends follow from rules, one per kind of call, so that each can be read against the table of
errors in docs/image-identifier-lookup.md; nothing here was taken from what a run did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SUBJECT, LOG, EVENT, RECORD = "subject", "QC log", "event", "file record"
ALL = frozenset({SUBJECT, LOG, EVENT, RECORD})
OUTAGE = "service-unavailable"

Stage = Literal[
    "secrets",
    "input",
    "context",
    "lookup",
    "identity",
    "label",
    "log",
    "look",
    "note",
    "event",
    "record",
]
Arrangement = Literal[
    "plain", "old log", "old tag", "https", "other PatientID", "lost reply", "slow write"
]


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a run makes for one purpose.

    Attributes:
        name: as the table has it.
        service: in the words of `imaging_gears.sandbox.Fault`, as are method and route.
        route: a glob of the path; ``{file}``, ``{subject}``, ... stand for ids.
        stage: what the run is about.
        before: how many requests of its service precede it, one that `given` loses aside.
        same: how many of them are the same request, made for another purpose.
        given: what the site holds before the run, so that the call is made at all.
        effect: the output that the call itself writes, if it does.
    """

    name: str
    service: str
    stage: Stage
    method: str = "*"
    route: str = "*"
    before: int = 0
    same: int = 0
    given: Arrangement = "plain"
    effect: str | None = None


_FW = "flywheel"
CALLS = (
    Call("SSM GetParameters", "ssm", "secrets"),
    Call("GET file", _FW, "input", "GET", "/files/{file}"),
    Call("GET subject", _FW, "context", "GET", "/subjects/*", 1),
    Call("GET project", _FW, "context", "GET", "/projects/{project}", 2),
    Call("identifier API, Lambda", "lambda", "lookup"),
    Call("identifier API, HTTPS", "identifiers", "lookup", given="https"),
    Call("GET subject, fresh", _FW, "identity", "GET", "/subjects/*", 3, same=1),
    Call("PUT subject", _FW, "identity", "PUT", "/subjects/*", 4, effect=SUBJECT),
    Call("GET session", _FW, "label", "GET", "/sessions/*", 5, given="other PatientID"),
    Call("GET acquisition", _FW, "label", "GET", "/acquisitions/*", 6, given="other PatientID"),
    Call("GET log", _FW, "log", "GET", "/files/{log}", 5, given="old log"),
    Call("GET log content", _FW, "log", "GET", "/projects/*/files/*", 6, given="old log"),
    Call("GET log, as it was", _FW, "look", "GET", "/files/{log}", 8, same=1, given="old log"),
    Call("POST log", _FW, "log", "POST", "/projects/*/files", 5, effect=LOG),
    Call(
        "GET project, for other visits",
        _FW,
        "look",
        "GET",
        "/projects/{project}",
        6,
        same=1,
        given="slow write",
    ),
    Call("PATCH event note", _FW, "note", "PATCH", "/containers/*/info", 6),
    Call("S3 PutObject", "s3", "event", route="PutObject", effect=EVENT),
    Call("S3 GetObject", "s3", "event", route="GetObject", before=1, given="lost reply"),
    Call("GET file, fresh", _FW, "record", "GET", "/files/{file}", 7, same=1),
    Call("PATCH file info", _FW, "record", "PATCH", "/containers/*/info", 8, same=1),
    Call("PATCH tags", _FW, "record", "PATCH", "/files/*/tags", 9, effect=RECORD),
    Call(
        "DELETE tags", _FW, "record", "DELETE", "/files/*/tags", 10, given="old tag", effect=RECORD
    ),
)
"""The calls of a run. No HEAD is among them: S3 would want another permission for it."""

Severity = Literal["gone", "down", "unconfirmed", "refused", "missing", "conflict", "passes"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail.

    Attributes:
        severity: what it amounts to. ``gone``: the service, from that call on. ``down``: the call,
            each time. ``unconfirmed``: it takes effect, and no answer says so, each time.
            ``refused``, ``missing``, ``conflict``: an answer that no second try would change.
            ``passes``: once or twice.
        fault: of the sandbox.
    """

    name: str
    severity: Severity
    fault: Mapping[str, Any] = field(default_factory=dict)


OUTAGE_SECONDS = 90
"""How long a job may go on when one of its services is silent."""
LATE_SECONDS = 1.5
"""What 20 s are to a run whose patience of 10 to 20 s is cut to `PATIENCE`."""
PATIENCE = 0.75
PAGE = {"headers": {"Content-Type": "text/html"}, "body": "<html>Please log in</html>"}
FAILURES = (
    Failure("does not connect", "gone"),
    Failure("never answers", "down", {"kind": "silent"}),
    Failure("reset", "down", {"kind": "reset-before"}),
    Failure("drops after the effect", "passes", {"kind": "drop-after", "times": 1}),
    Failure("401", "refused", {"status": 401}),
    Failure("403", "refused", {"status": 403}),
    Failure("404", "missing", {"status": 404}),
    Failure("409", "conflict", {"status": 409}),
    Failure(
        "429 twice, Retry-After",
        "passes",
        {"status": 429, "times": 2, "headers": {"Retry-After": "30"}},
    ),
    Failure("429", "down", {"status": 429}),
    Failure("500 once", "passes", {"status": 500, "times": 1}),
    Failure("500", "down", {"status": 500}),
    Failure("503 twice", "passes", {"status": 503, "times": 2}),
    Failure("truncated body", "unconfirmed", {"kind": "truncate"}),
    Failure("not JSON", "down", {"status": 200, **PAGE}),
    Failure(
        "JSON of the wrong shape",
        "unconfirmed",
        {"status": 200, "body": '{"answer": 42}', "after": True},
    ),
    Failure(
        "answers after 20 s",
        "passes",
        {"kind": "delay", "seconds": LATE_SECONDS, "after": True, "times": 1},
    ),
)


@dataclass(frozen=True, slots=True)
class End:
    """How a job ends.

    Attributes:
        outputs: what is there then, whole: a file record is there when its one tag is.
        codes: in the QC record, that is in the file record or in the QC log.
    """

    exit_code: int
    outputs: frozenset[str]
    codes: frozenset[str] = frozenset()

    def text(self) -> str:
        """Return it as the table has it: ``0 SLEF event-not-captured``."""
        order = (SUBJECT, LOG, EVENT, RECORD)
        letters = "".join(
            letter if output in self.outputs else "-"
            for letter, output in zip("SLEF", order, strict=True)
        )
        return " ".join([str(self.exit_code), letters, *sorted(self.codes)])


@dataclass(frozen=True, slots=True)
class Cell:
    """A call that fails in a way."""

    call: Call
    failure: Failure

    @property
    def name(self) -> str:
        """Its name."""
        return f"{self.call.name}: {self.failure.name}"

    @property
    def end(self) -> End:
        """How the job ends."""
        return end_of(self.call, self.failure)

    @property
    def most_requests(self) -> int:
        """How many requests may meet the fault, in all tries of the call.

        What belongs to the record of a failure or of a finding is asked for once more: what could
        not be read may be needed there, too. Of containers that were refused nothing is.
        """
        final = self.failure.severity in ("refused", "missing", "conflict")
        if self.failure.severity == "gone":
            return TRIES + LAST_TRIES
        # Two puts of one key at once, or an upload that perhaps was done: looked at, done again.
        looks = self.failure.severity == "conflict" and self.call.name in _LOOKED_AT
        tries = 1 if final and not looks else TRIES
        if self.call.stage == "context" and self.failure.severity in ("refused", "missing"):
            return 1
        return tries * (2 if self.call.stage in ("input", "context", "label") else 1)


TRIES, LAST_TRIES = 3, 2
_LOOKED_AT = ("POST log", "S3 PutObject", "S3 GetObject")


# --- The rules ------------------------------------------------------------------------------------


def end_of(call: Call, failure: Failure) -> End:
    """Return how a job ends in which `call` fails like that, and nothing else does."""
    warned = frozenset({"ptid-mismatch"} if call.stage == "label" else ())
    if failure.severity == "passes":
        return End(0, ALL, warned)
    if failure.severity == "gone" and call.before and call.service == _FW:
        return _without_flywheel(call)
    if call.stage in _PASSED_OVER or _is_looked_at(call, failure):
        return End(0, ALL, warned)
    done = {call.effect} if failure.severity == "unconfirmed" and call.effect else set()
    if call.stage in _WARNINGS:
        missing, code = _WARNINGS[call.stage]
        # The put whose reply was lost has written the event that could not be read then.
        done |= {EVENT} if call.given == "lost reply" else set()
        return End(0, (ALL - {missing}) | done, frozenset({code}))
    if call.given == "https" and failure.severity == "missing":
        # An answer, not a failure: the registry has no such participant.
        return End(0, ALL - {SUBJECT}, frozenset({"identifier-not-found"}))
    return _failed_job(call, failure, done)


_PASSED_OVER = ("label", "look", "note")
"""A finding can do without its path, a look at what others have written meanwhile finds nothing
where nobody has, and the QC log has the note of the event as well."""
_WARNINGS = {
    "log": (LOG, "qc-log-not-written"),
    "event": (EVENT, "event-not-captured"),
    "record": (RECORD, "file-record-not-written"),
}


def _is_looked_at(call: Call, failure: Failure) -> bool:
    """Return whether the gear knows all the same that all is well."""
    return (call.name, failure.name) in {
        # An upload whose answer says nothing is looked for in the project.
        ("POST log", "truncated body"),
        ("POST log", "JSON of the wrong shape"),
        # S3 answers a put by a header, the ETag; the body is empty anyway.
        ("S3 PutObject", "truncated body"),
        # No form was agreed for what Flywheel says to a DELETE.
        ("DELETE tags", "JSON of the wrong shape"),
    }


def _failed_job(call: Call, failure: Failure, done: set[str]) -> End:
    """Before the subject is written every failure is the job's, and is recorded where it can be."""
    if call.stage == "input":
        return End(1, frozenset())
    code = {"refused": "permission-denied", "missing": "not-found"}.get(failure.severity, OUTAGE)
    # Whose visit it is must be known before there is a log to write to.
    log = {LOG} if call.stage in ("lookup", "identity") else set()
    return End(1, frozenset(log | {RECORD} | done), frozenset({code}))


def _without_flywheel(call: Call) -> End:
    """From the call on nothing is written to Flywheel, and no event without a note of it there."""
    if call.stage in ("context", "identity"):
        return End(1, frozenset())
    if call.stage in ("label", "log"):
        return End(0, frozenset({SUBJECT}))
    return End(0, ALL - {RECORD})


CELLS = tuple(Cell(call, failure) for call in CALLS for failure in FAILURES)
SAMPLE = tuple(
    Cell(call, failure)
    for row, call in enumerate(CALLS)
    for column, failure in enumerate(FAILURES)
    if (row + column) % 7 == 0
)
"""A seventh of the cells: each call, each failure, and of each call an answer that is final."""
