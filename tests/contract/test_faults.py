"""What adapters make of a peer that misbehaves: one class of error, few requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from imaging_gears.adapters.flywheel import FlywheelSite, parse_site_key
from imaging_gears.adapters.identifiers import HttpsIdentifiers, LambdaIdentifiers
from imaging_gears.adapters.s3 import S3EventStore
from imaging_gears.adapters.ssm import read_secrets
from imaging_gears.adapters.tries import Tries
from imaging_gears.errors import (
    IdentifierNotFoundError,
    ImagingError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
)
from imaging_gears.model.participant import ParticipantKey
from imaging_gears.ports import ContainerRef
from imaging_gears.sandbox import Fault
from tests.contract.peers import OnSandbox
from tests.waiting import until

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

PTID = "110001"
KNOWN = ParticipantKey(adcid=42, ptid=PTID)
LOG = "110001_2024-01-15_MR_qc-status.log"


@dataclass
class Call:
    """One logical call of an adapter: to which service, whether it may be repeated."""

    service: str
    run: Callable[[], object]
    repeatable: bool = True


@pytest.fixture
def there(sandbox: Sandbox) -> OnSandbox:
    """The adapter before the local site."""
    return OnSandbox(sandbox)


def calls(there: OnSandbox) -> dict[str, Call]:
    """Return every call that a run makes."""
    site, sandbox = there.site, there.sandbox
    log = there.upload(there.project, LOG, b"line\n")
    state = site.file(there.file_id)
    sandbox.requests.clear()
    lookups = Tries("identifier API", Counter(), there.waits.append)
    https = HttpsIdentifiers(sandbox.identifiers_url, sandbox.identifiers.api_key, lookups)
    flywheel: dict[str, Callable[[], object]] = {
        "file": lambda: site.file(there.file_id),
        "file_version": lambda: site.file_version(there.file_id, 1),
        "subject": lambda: site.subject(there.subject),
        "project": lambda: site.project(there.project),
        "label": lambda: site.label(ContainerRef("session", there.session)),
        "merge_subject_info": lambda: site.merge_subject_info(there.subject, {"naccid": "N"}),
        "read_project_file": lambda: site.read_project_file(there.project, log),
        "set_file_info": lambda: site.set_file_info(state, {"a": 1}),
        "add_file_tag": lambda: site.add_file_tag(there.file_id, "gear-PASS"),
        "remove_file_tags": lambda: site.remove_file_tags(there.file_id, ("theirs",)),
    }
    upload = Call(
        "flywheel",
        lambda: site.upload_project_file(there.project, LOG, b"more\n", {}, ()),
        repeatable=False,
    )
    return {
        **{name: Call("flywheel", run) for name, run in flywheel.items()},
        "upload_project_file": upload,
        "lambda": Call("lambda", lambda: LambdaIdentifiers(lookups).naccid_for(KNOWN, "prod")),
        "https": Call("identifiers", lambda: https.naccid_for(KNOWN, "prod")),
        "s3": Call(
            "s3",
            lambda: S3EventStore("nacc-event-logs", Counter()).put_if_absent(
                f"prod/{PTID}-{there.project}.json", b"{}"
            ),
        ),
        "ssm": Call("ssm", lambda: read_secrets("/prod/flywheel/gearbot", Counter())),
    }


FLYWHEEL = [
    "file",
    "file_version",
    "subject",
    "project",
    "label",
    "merge_subject_info",
    "read_project_file",
    "set_file_info",
    "add_file_tag",
    "remove_file_tags",
    "upload_project_file",
]
LOOKUPS = ["lambda", "https"]
ALL = [*FLYWHEEL, *LOOKUPS, "s3", "ssm"]
WRITES = ["merge_subject_info", "set_file_info", "add_file_tag", "remove_file_tags"]


def fails(there: OnSandbox, name: str, *faults: Fault) -> tuple[ImagingError, int, Call]:
    """Make a call that meets the faults; return its error and how many requests it made."""
    call = calls(there)[name]
    there.sandbox.faults.add(*faults)
    with pytest.raises(ImagingError) as raised:
        call.run()
    assert PTID not in str(raised.value)
    # Nothing of a vendor's error, whose text may hold values, is printed with ours.
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return raised.value, there.sandbox.requests.count().get(call.service, 0), call


# -- answers that say no ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("name", ALL)
def test_a_refused_key_is_told_at_the_first_request(
    there: OnSandbox, name: str, status: int
) -> None:
    """Never tried again; the sentence names the service."""
    error, count, _ = fails(there, name, Fault(status=status, times=None))
    assert type(error) is PermissionDeniedError
    assert count == 1
    assert any(who in str(error) for who in ("Flywheel", "AWS", "identifier API"))


@pytest.mark.parametrize("name", FLYWHEEL)
def test_what_flywheel_has_not_is_not_found(there: OnSandbox, name: str) -> None:
    """404: at the first request."""
    error, count, _ = fails(there, name, Fault(status=404, times=None))
    assert type(error) is NotFoundError
    assert count == 1


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize("name", FLYWHEEL)
def test_a_request_that_flywheel_refuses_is_not_repeated(
    there: OnSandbox, name: str, status: int
) -> None:
    """It would be refused again."""
    error, count, _ = fails(there, name, Fault(status=status, times=None))
    assert type(error) is ServiceError
    assert (count, f"HTTP {status}" in str(error)) == (1, True)


# -- outages ---------------------------------------------------------------------------------------

OUTAGES: dict[str, Fault] = {
    "429": Fault(status=429, headers={"Retry-After": "0"}, times=None),
    "500": Fault(status=500, times=None),
    "503": Fault(status=503, times=None),
    "dropped before": Fault(kind="drop-before", times=None),
    "dropped after": Fault(kind="drop-after", times=None),
    "reset": Fault(kind="reset-before", times=None),
}


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore's own waits between its tries take no time."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("name", ALL)
def test_an_outage_is_a_service_error_after_three_requests(
    there: OnSandbox, name: str, outage: str
) -> None:
    """At most three for what may be repeated, one for the upload."""
    error, count, call = fails(there, name, OUTAGES[outage])
    assert type(error) is ServiceError
    assert count == (3 if call.repeatable else 1)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("kind", ["status", "drop-before", "drop-after", "reset-before"])
@pytest.mark.parametrize("name", [name for name in ALL if name != "upload_project_file"])
def test_one_fault_is_outlived(there: OnSandbox, name: str, kind: str) -> None:
    """500 once, a lost reply: the second request succeeds, and twice done is once done."""
    call = calls(there)[name]
    status = 500 if kind == "status" else None
    there.sandbox.faults.add(Fault(kind=kind, status=status))  # type: ignore[arg-type]
    call.run()
    # A put whose effect was lost from sight is met again: 412, and a get that shows it.
    extra = 1 if (name, kind) == ("s3", "drop-after") else 0
    assert there.sandbox.requests.count()[call.service] == 2 + extra


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "reset-after", "status"])
def test_an_upload_is_never_repeated(there: OnSandbox, kind: str) -> None:
    """After a lost reply nobody knows what happened: the caller looks, the adapter does not try."""
    status = 503 if kind == "status" else None
    error, count, _ = fails(
        there,
        "upload_project_file",
        Fault(kind=kind, status=status),  # type: ignore[arg-type]
    )
    assert type(error) is ServiceError
    assert count == 1
    versions = 2 if kind.endswith("after") else 1
    file_id = there.site.project(there.project).files[LOG]
    assert there.site.file(file_id).version == versions


@pytest.mark.parametrize("name", ["file", "https"])
def test_retry_after_is_honoured_up_to_ten_seconds(there: OnSandbox, name: str) -> None:
    """Of 429 and 503, within bounds."""
    call = calls(there)[name]
    there.sandbox.faults.add(
        Fault(status=429, headers={"Retry-After": "2"}),
        Fault(status=503, headers={"Retry-After": "120"}),
    )
    call.run()
    assert there.waits == [2.0, 10.0]


# -- answers that make no sense --------------------------------------------------------------------

NONSENSE: dict[str, Fault] = {
    "html": Fault(
        kind="body",
        status=200,
        body="<html>110001</html>",
        headers={"Content-Type": "text/html"},
        times=None,
    ),
    "empty": Fault(kind="body", status=200, body="", times=None),
    "truncated": Fault(kind="truncate", times=None),
    "list": Fault(kind="body", status=200, body="[]", times=None),
    "object": Fault(kind="body", status=200, body="{}", times=None),
    "text": Fault(kind="body", status=200, body='"110001"', times=None),
    "deep": Fault(kind="body", status=200, body="[" * 100_000, times=None),
}
# S3 answers a put by a header, the ETag, and the SDK hands on nothing of the reply to a delete.
WITH_CONTENT = [name for name in ALL if name not in {"s3", "remove_file_tags"}]


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize("name", WITH_CONTENT)
def test_a_200_that_makes_no_sense_is_a_failure(there: OnSandbox, name: str, kind: str) -> None:
    """An error page, half a reply, another shape: a failed service, whatever the status says."""
    error, count, call = fails(there, name, NONSENSE[kind])
    assert type(error) is ServiceError
    assert 1 <= count <= (3 if call.repeatable else 1)


@pytest.mark.usefixtures("no_backoff")
def test_a_put_that_gives_no_etag_has_stored_nothing(there: OnSandbox) -> None:
    """A page of a proxy with status 200 is no S3."""
    page = Fault(service="s3", status=200, body="<html>", times=None)
    error, count, _ = fails(there, "s3", page)
    assert type(error) is ServiceError
    assert count <= 3


@pytest.mark.usefixtures("no_backoff")
def test_a_truncated_event_is_not_taken_for_what_is_there(there: OnSandbox) -> None:
    """Put, 412, and a get that breaks off."""
    calls(there)["s3"].run()
    there.sandbox.faults.add(Fault(service="s3", method="GET", kind="truncate", times=None))
    with pytest.raises(ServiceError):
        S3EventStore("nacc-event-logs", Counter()).put_if_absent(
            f"prod/{PTID}-{there.project}.json", b"{}"
        )


@pytest.mark.parametrize("times", [1, 2, None], ids=["once", "twice", "always"])
def test_another_put_under_way_is_waited_out(there: OnSandbox, times: int | None) -> None:
    """409: tried again, three requests at most."""
    call = calls(there)["s3"]
    there.sandbox.faults.add(Fault(service="s3", status=409, times=times))
    if times is None:
        with pytest.raises(ServiceError, match="ConditionalRequestConflict"):
            call.run()
    else:
        assert call.run() is None
    assert there.sandbox.requests.count()["s3"] == (times or 2) + 1


@pytest.mark.parametrize("status", [302, 303])
@pytest.mark.parametrize("name", [*WRITES, "upload_project_file"])
def test_a_write_that_a_redirect_turned_into_a_read_is_a_failure(
    there: OnSandbox, name: str, status: int
) -> None:
    """The reply looks like success and nothing was written."""
    target = {"Location": f"{there.sandbox.url}/api/files/{there.file_id}"}
    before = there.sandbox.site.file(there.file_id)
    error, count, call = fails(
        there,
        name,
        *(
            Fault(kind="redirect", method=method, status=status, headers=target, times=None)
            for method in ("PUT", "PATCH", "POST", "DELETE")
        ),
    )
    assert type(error) is ServiceError
    # Each try is the write and the read that it became.
    assert count == (6 if call.repeatable else 2)
    assert there.sandbox.site.file(there.file_id) == before


def test_a_lookup_follows_no_redirect(there: OnSandbox) -> None:
    """Its key goes nowhere else."""
    away = Fault(
        kind="redirect",
        status=307,
        headers={"Location": f"{there.sandbox.url}/elsewhere"},
        times=None,
    )
    error, count, _ = fails(there, "https", away)
    assert type(error) is ServiceError
    assert count == 1
    assert [each.path for each in there.sandbox.requests.all()] == ["/identifiers"]


# -- identifier API --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        '{"statusCode": 200}',
        '{"statusCode": 200, "body": null}',
        '{"statusCode": 200, "body": "{}"}',
        '{"statusCode": 200, "body": "<html>"}',
        '{"statusCode": [200], "body": "{}"}',
        '{"statusCode": {}, "body": "{}"}',
        '{"statusCode": "200", "body": "{}"}',
        '{"statusCode": 302, "body": "{}"}',
        '{"statusCode": 500, "body": "{}"}',
        '{"errorMessage": "2026-11-20 Task timed out after 3.00 seconds"}',
    ],
)
def test_an_answer_of_the_function_without_naccid_is_no_result(
    there: OnSandbox, payload: str
) -> None:
    """A failed service, never "no such participant"."""
    error, count, _ = fails(there, "lambda", Fault(kind="body", body=payload, times=None))
    assert type(error) is ServiceError
    assert count <= 3


@pytest.mark.parametrize(
    "body",
    [
        '{"errorMessage": "boom 110001", "errorType": "KeyError", "stackTrace": ["110001"]}',
        '{"errorMessage": "2026-11-20 Task timed out after 3.00 seconds"}',
        "",
    ],
)
def test_a_function_error_is_a_failed_service(there: OnSandbox, body: str) -> None:
    """FunctionError is set; errorType and stackTrace may be missing; nothing of it is repeated."""
    failed = Fault(
        kind="body", body=body, headers={"X-Amz-Function-Error": "Unhandled"}, times=None
    )
    error, count, _ = fails(there, "lambda", failed)
    assert type(error) is ServiceError
    assert "boom" not in str(error)
    assert count == 3


def test_an_unknown_participant_needs_no_body(there: OnSandbox) -> None:
    """``statusCode`` 404 is the answer."""
    fault = Fault(kind="body", body='{"statusCode": 404}', times=None)
    error, count, _ = fails(there, "lambda", fault)
    assert (type(error), count) == (IdentifierNotFoundError, 1)


def test_a_lambda_function_that_is_not_there_is_not_found(there: OnSandbox) -> None:
    """404 of AWS itself: the function, not the participant, is unknown."""
    fault = Fault(
        status=404,
        body='{"Type": "User", "Message": "Function not found"}',
        headers={"x-amzn-ErrorType": "ResourceNotFoundException"},
        times=None,
    )
    error, count, _ = fails(there, "lambda", fault)
    assert (type(error), count) == (NotFoundError, 1)


def test_a_web_page_with_404_is_not_an_unknown_participant(there: OnSandbox) -> None:
    """The URL is wrong; the registry said nothing."""
    page = Fault(status=404, body="<html>", headers={"Content-Type": "text/html"}, times=None)
    error, _, _ = fails(there, "https", page)
    assert type(error) is ServiceError


@pytest.mark.parametrize("name", LOOKUPS)
def test_any_naccid_is_handed_on_as_it_is(there: OnSandbox, name: str) -> None:
    """Unknown keys are ignored; whether it is a NACCID is judged by the one who asked."""
    inner = '{"naccid": 7, "new": true}'
    quoted = '{"statusCode": 200, "body": "{\\"naccid\\": 7, \\"new\\": true}"}'
    body = inner if name == "https" else quoted
    call = calls(there)[name]
    there.sandbox.faults.add(Fault(kind="body", body=body))
    assert call.run() == 7


def test_a_service_that_is_not_there_at_all(there: OnSandbox) -> None:
    """Nobody listens on the port: three tries, one sentence."""
    waits: list[float] = []
    key = parse_site_key("127.0.0.1:9:__force_insecure:key", location="here")
    requests: Counter[str] = Counter()
    with pytest.raises(ServiceError, match="Flywheel did not answer"):
        FlywheelSite(key, Tries("Flywheel", requests, waits.append)).subject("x")
    lookups = Tries("identifier API", requests, waits.append)
    with pytest.raises(ServiceError, match="identifier API did not answer"):
        HttpsIdentifiers("http://127.0.0.1:9/", "k", lookups).naccid_for(KNOWN, "prod")
    assert requests == {"Flywheel": 3, "identifier API": 3}
    assert len(waits) == 4


# -- the file that fw-beta means -------------------------------------------------------------------


@pytest.mark.parametrize("level", ["project", "subject", "session", "acquisition"])
def test_a_file_is_found_by_its_name_in_a_container(there: OnSandbox, level: str) -> None:
    """In the destination of a local run; None where it has none of that name."""
    container = getattr(there, level)
    state = there.upload(container, "wanted.zip", b"x", info={"a": 1})
    assert isinstance(there.site, FlywheelSite)
    found = there.site.named_file(ContainerRef(level, container), "wanted.zip")
    assert found is not None
    assert (found.file_id, found.version, found.info) == (state.file_id, 1, {"a": 1})
    assert there.site.named_file(ContainerRef(level, container), "other.zip") is None


# -- silence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["flywheel", "https"])
def test_a_peer_that_never_answers_is_given_up_on(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Three tries, each within its time; the sentence says that it timed out."""
    monkeypatch.setattr("imaging_gears.adapters.flywheel.READ_SECONDS", 0.1)
    monkeypatch.setattr("imaging_gears.adapters.identifiers.READ_SECONDS", 0.1)
    there = OnSandbox(sandbox)
    tries = Tries("identifier API", Counter(), there.waits.append)
    https = HttpsIdentifiers(sandbox.identifiers_url, sandbox.identifiers.api_key, tries)
    sandbox.faults.add(Fault(kind="silent", times=None))
    ask: dict[str, Callable[[], object]] = {
        "flywheel": lambda: there.site.file(there.file_id),
        "https": lambda: https.naccid_for(KNOWN, "prod"),
    }
    with pytest.raises(ServiceError, match="timed out"):
        ask[name]()
    # The site may come to the last one when nobody waits for it any more.
    until(lambda: len(sandbox.requests.all()) >= 3, "three requests have come")
    assert len(sandbox.requests.all()) == 3
