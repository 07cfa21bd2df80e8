"""Faults: each kind, as a plain client and as the SDK meet it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from imaging_gears.sandbox import Fault, Sandbox
from tests.waiting import LONG, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import flywheel

PATH = "alpha-center/ingest-dicom/110001"


@contextmanager
def connection(sandbox: Sandbox, timeout: float = LONG) -> Iterator[http.client.HTTPConnection]:
    """Open a connection and close it."""
    client = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=timeout)
    try:
        yield client
    finally:
        client.close()


def ask(
    sandbox: Sandbox,
    method: str = "GET",
    path: str = "",
    body: object = None,
    timeout: float = LONG,
) -> tuple[int, bytes, dict[str, str]]:
    """Send one request as the administrator; the path defaults to the first subject."""
    path = path or f"/api/subjects/{subject(sandbox)}"
    secret = sandbox.api_key.rpartition(":")[2]
    with connection(sandbox, timeout) as client:
        content = json.dumps(body) if body is not None else None
        client.request(method, path, content, {"Authorization": f"scitran-user {secret}"})
        reply = client.getresponse()
        return reply.status, reply.read(), dict(reply.getheaders())


def subject(sandbox: Sandbox) -> str:
    """Return the id of the first subject."""
    return str(sandbox.site.lookup(PATH)["_id"])


def write_info(sandbox: Sandbox) -> tuple[int, bytes, dict[str, str]]:
    """Send a write."""
    path = f"/api/subjects/{subject(sandbox)}/info"
    return ask(sandbox, "PATCH", path, {"set": {"a": 1}})


def written(sandbox: Sandbox) -> bool:
    """Tell whether the write took effect."""
    return sandbox.site.lookup(PATH)["info"] == {"a": 1}


@pytest.mark.parametrize("after", [False, True])
def test_status(sandbox: Sandbox, *, after: bool) -> None:
    """A status comes instead of the effect, or after it, with headers and the service's body."""
    headers = {"Retry-After": "3"}
    sandbox.faults.add(Fault(service="flywheel", status=429, headers=headers, after=after))
    status, body, received = write_info(sandbox)
    assert (status, received["Retry-After"]) == (429, "3")
    assert json.loads(body)["status_code"] == 429
    assert written(sandbox) is after


@pytest.mark.parametrize("kind", ["drop", "reset"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_drop_and_reset(sandbox: Sandbox, kind: str, when: str) -> None:
    """The connection ends without a reply; the write has happened or has not."""
    sandbox.faults.add(Fault(kind=f"{kind}-{when}"))  # type: ignore[arg-type]
    error = ConnectionResetError if kind == "reset" else http.client.RemoteDisconnected
    with pytest.raises(error) as caught:
        write_info(sandbox)
    assert isinstance(caught.value, http.client.RemoteDisconnected) is (kind == "drop")
    assert written(sandbox) is (when == "after")
    assert sandbox.requests.all()[-1].status is None


def test_silent(sandbox: Sandbox) -> None:
    """A silent server leaves the client to its time-out."""
    sandbox.faults.add(Fault(kind="silent"))
    with pytest.raises(TimeoutError):
        ask(sandbox, timeout=0.3)
    assert ask(sandbox)[0] == 200


def test_body_replaces_what_the_real_reply_said(sandbox: Sandbox) -> None:
    """The effect happens, the status stays, the body is another."""
    sandbox.faults.add(Fault(kind="body", method="PATCH", body="<html>"))
    status, body, _ = write_info(sandbox)
    assert (status, body) == (200, b"<html>")
    assert written(sandbox)


def test_truncate(sandbox: Sandbox) -> None:
    """The body ends before its Content-Length."""
    sandbox.faults.add(Fault(kind="truncate"))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(sandbox)
    assert len(caught.value.partial) > 0


def test_drip(sandbox: Sandbox) -> None:
    """The whole body comes, byte by byte, and takes its time."""
    sandbox.faults.add(Fault(kind="drip", route="/api/version", seconds=0.01))
    started = time.monotonic()
    status, body, _ = ask(sandbox, path="/api/version")
    assert (status, json.loads(body)["release"]) == (200, "sandbox")
    assert time.monotonic() - started > 0.01 * (len(body) - 1)


def test_redirect(sandbox: Sandbox) -> None:
    """A redirect names another place, and does nothing."""
    sandbox.faults.add(Fault(kind="redirect", headers={"Location": "/api/version"}))
    status, _, headers = write_info(sandbox)
    assert (status, headers["Location"]) == (302, "/api/version")
    assert not written(sandbox)


def test_delay_goes_with_another_fault(sandbox: Sandbox) -> None:
    """A delay from a range is slept, and the next fault still comes."""
    sandbox.faults.add(Fault(kind="delay", seconds=(0.1, 0.2), times=None), Fault(status=500))
    started = time.monotonic()
    assert [ask(sandbox)[0], ask(sandbox)[0]] == [500, 200]
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("after", [False, True])
def test_hold_and_release(sandbox: Sandbox, *, after: bool) -> None:
    """A held request waits before or after its effect, and is answered when it is released."""
    sandbox.faults.add(Fault(kind="hold", after=after))
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(write_info(sandbox)[0]))
    thread.start()
    assert sandbox.faults.wait_held()
    assert written(sandbox) is after
    assert sandbox.faults.held() == [("flywheel", "/{kind}/{id}/info")]
    assert sandbox.faults.release() == 1
    assert sandbox.faults.held() == []
    thread.join()
    assert statuses == [200]
    assert written(sandbox)


def test_what_is_killed_while_held_never_happens(sandbox: Sandbox) -> None:
    """A client that goes away before the effect leaves no effect."""
    sandbox.faults.add(Fault(kind="hold"))
    secret = sandbox.api_key.rpartition(":")[2]
    with connection(sandbox) as client:
        path = f"/api/subjects/{subject(sandbox)}/info"
        headers = {"Authorization": f"scitran-user {secret}"}
        client.request("PATCH", path, '{"set": {"a": 1}}', headers)
        assert sandbox.faults.wait_held()
    until(lambda: not sandbox.faults.held(), "nothing is held")
    sandbox.faults.release()
    assert not written(sandbox)


def test_times_and_skip(sandbox: Sandbox) -> None:
    """A fault leaves the first requests alone, hits as many as it says, and is spent."""
    sandbox.faults.add(Fault(status=500, skip=1, times=2))
    assert [ask(sandbox)[0] for _ in range(4)] == [200, 500, 500, 200]
    assert sandbox.faults.hits() == 2


@pytest.mark.parametrize(
    ("fault", "hit"),
    [
        (Fault(status=500, route="/api/subjects/*"), True),
        (Fault(status=500, route="/subjects/*"), True),
        (Fault(status=500, route="/{kind}/{id}"), True),
        (Fault(status=500, route="/files/*"), False),
        (Fault(status=500, method="PUT"), False),
        (Fault(status=500, service="s3"), False),
    ],
)
def test_which_requests_a_fault_is_for(sandbox: Sandbox, fault: Fault, *, hit: bool) -> None:
    """Service, method and route (as path, without /api, or as pattern) select."""
    sandbox.faults.add(fault)
    assert ask(sandbox)[0] == (500 if hit else 200)


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [("s3", "PutObject", "ServiceUnavailable"), ("ssm", "GetParameters", "ServiceUnavailable")],
)
def test_aws_faults_look_like_the_service(
    sandbox: Sandbox, aws: Callable[..., Any], service: str, operation: str, code: str
) -> None:
    """boto3 reads the error code of a fault in both of AWS's wordings."""
    sandbox.faults.add(Fault(service=service, route=operation, status=503))
    calls = {
        "s3": lambda client: client.put_object(Bucket="nacc-event-logs", Key="k", Body=b"x"),
        "ssm": lambda client: client.get_parameters(Names=["/a"]),
    }
    with pytest.raises(ClientError) as caught:
        calls[service](aws(service))
    assert caught.value.response["Error"]["Code"] == code


def test_sdk_repeats_a_dropped_patch(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """The SDK sends a PATCH again whose reply was lost; set makes that harmless."""
    found = fw.lookup(PATH)
    sandbox.requests.clear()
    sandbox.faults.add(Fault(method="PATCH", kind="drop-after"))
    found.update_info({"a": 1})
    assert [request.fault for request in sandbox.requests.all()] == ["drop-after", None]
    assert written(sandbox)


def test_a_watcher_is_called_before_anything_comes_of_a_request(sandbox: Sandbox) -> None:
    """Once for each request, whatever a fault does to it; after `unwatch` no more."""
    sandbox.faults.add(Fault(kind="drop-before"))
    statuses: list[int | None] = []

    def look() -> None:
        statuses.append(sandbox.requests.all()[-1].status)

    sandbox.requests.watch(look)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(sandbox)
    ask(sandbox)
    sandbox.requests.unwatch(look)
    ask(sandbox)
    assert statuses == [None, None]


def test_requests_are_recorded_and_counted(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """Each request has service, route, status and sizes, faults included."""
    sandbox.requests.clear()
    sandbox.faults.add(Fault(status=500))
    ask(sandbox)
    ask(sandbox, path="/api/nothing/at/all")
    aws("s3").put_object(Bucket="nacc-event-logs", Key="a/b.json", Body=b"12345")
    assert sandbox.requests.count() == {"flywheel": 2, "s3": 1}
    first, second, third = sandbox.requests.all()
    assert (first.status, first.fault, first.route) == (500, "status", "/{kind}/{id}")
    assert second.status == 404
    assert (third.route, third.path) == ("PutObject", "/nacc-event-logs/a/b.json")
    assert third.bytes_in >= 5
    assert third.seconds is not None


def test_admin_routes(sandbox: Sandbox) -> None:
    """Faults, requests, state, options and release can be reached over HTTP, unrecorded."""
    fault = {"service": "flywheel", "status": 418, "seconds": [0, 1]}
    assert ask(sandbox, "POST", "/_sandbox/faults", fault)[0] == 200
    assert json.loads(ask(sandbox, "GET", "/_sandbox/faults")[1])[0]["status"] == 418
    assert ask(sandbox)[0] == 418
    ask(sandbox, "POST", "/_sandbox/faults", [fault])
    ask(sandbox, "DELETE", "/_sandbox/faults")
    assert ask(sandbox)[0] == 200
    counted = json.loads(ask(sandbox, "GET", "/_sandbox/requests")[1])
    assert counted["count"] == {"flywheel": 2}
    state = json.loads(ask(sandbox, "GET", "/_sandbox/state")[1])
    assert "alpha-center/ingest-dicom/110001/visit-1/T1" in state["containers"]
    ask(sandbox, "POST", "/_sandbox/options", {"signed_url": True})
    assert sandbox.site.options.signed_url
    assert ask(sandbox, "POST", "/_sandbox/release", {})[0] == 200


@pytest.mark.parametrize(
    "body", [{"kind": "explode"}, {"unknown": 1}, {"times": 0}, {"skip": -1}, 3, {"seconds": -1}]
)
def test_what_is_no_fault_is_refused(sandbox: Sandbox, body: object) -> None:
    """A fault that can't be is a 400, and none is added."""
    assert ask(sandbox, "POST", "/_sandbox/faults", body)[0] == 400
    assert sandbox.faults.all() == []


def test_stop_ends_a_silent_request() -> None:
    """A server that stops lets go of the requests it was silent to."""
    ended = threading.Event()

    def wait(running: Sandbox) -> None:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            ask(running)
        ended.set()

    with Sandbox.start() as running:
        running.faults.add(Fault(kind="silent", times=None))
        thread = threading.Thread(target=wait, args=(running,))
        thread.start()
        until(running.requests.all, "the request has come")
    thread.join()
    assert ended.is_set()


def test_a_defect_of_the_sandbox_is_a_500_and_logged(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails inside the server is answered, and its traceback stands in the log."""
    monkeypatch.setattr(sandbox.site.hierarchy, "get", lambda *_: 1 / 0)
    status, body, _ = ask(sandbox, path="/api/subjects/1")
    assert (status, json.loads(body)["message"]) == (500, "Sandbox: ZeroDivisionError")
    assert "ZeroDivisionError" in caplog.text
