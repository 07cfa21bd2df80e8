"""SSM, S3, Lambda and the identifier API, through the real boto3 and plain HTTP."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from imaging_gears.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FUNCTION = "Identifier-ADCID-PTID-Lambda-Function"
BUCKET = "nacc-event-logs"
KNOWN = {"mode": "prod", "adcid": 42, "ptid": "110001", "guid": None}


def code_of(call: Callable[[], object]) -> str:
    """Return the error code with which AWS refuses a call."""
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def test_parameters_of_the_seed(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """The gearbot's key stands in the parameter store, encrypted, with the site's host."""
    found = aws("ssm").get_parameters(
        Names=["/prod/flywheel/gearbot/apikey", "/none"], WithDecryption=True
    )
    (parameter,) = found["Parameters"]
    assert (parameter["Value"], parameter["Type"]) == (sandbox.key("gearbot"), "SecureString")
    assert found["InvalidParameters"] == ["/none"]


def test_put_parameter_fills_placeholders(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """A parameter can name the identifier API of this very sandbox."""
    sandbox.put_parameter("/a/url", "{identifiers_url}", secure=False)
    value = aws("ssm").get_parameter(Name="/a/url")["Parameter"]["Value"]
    assert value == f"{sandbox.url}/identifiers"


def test_conditional_put_is_first_come(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """Of sixteen puts with If-None-Match at once, one succeeds."""
    client = aws("s3")
    outcomes: list[str] = []

    def put(number: int) -> None:
        try:
            client.put_object(Bucket=BUCKET, Key="k", Body=str(number).encode(), IfNoneMatch="*")
            outcomes.append("ok")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=put, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["PreconditionFailed"] * 15 + ["ok"]
    assert len(sandbox.s3_objects(BUCKET)) == 1


def test_objects_in_the_order_of_writing(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """The objects of a bucket come back in the order in which they were put."""
    client = aws("s3")
    for key in ("b", "a/x", "c"):
        client.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    assert list(sandbox.s3_objects(BUCKET).items()) == [("b", b"b"), ("a/x", b"a/x"), ("c", b"c")]
    assert client.get_object(Bucket=BUCKET, Key="a/x")["Body"].read() == b"a/x"


def test_two_sandboxes_share_nothing(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """Buckets, objects and parameters of one sandbox are unknown to another."""
    aws("s3").put_object(Bucket=BUCKET, Key="k", Body=b"x")
    sandbox.put_parameter("/only/here", "x")
    with Sandbox.start() as other:
        assert other.s3_objects(BUCKET) == {}
        assert code_of(lambda: aws("ssm", other).get_parameter(Name="/only/here"))
        aws("s3", other).put_object(Bucket=BUCKET, Key="o", Body=b"y")
    assert list(sandbox.s3_objects(BUCKET)) == ["k"]


def test_only_allowed_actions(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """With a list of actions, everything else is refused in the service's own words."""
    sandbox.allowed_actions = {"ssm:GetParameters", "s3:PutObject", "lambda:InvokeFunction"}
    s3, ssm = aws("s3"), aws("ssm")
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    ssm.get_parameters(Names=["/a"])
    assert invoke(aws, KNOWN)["statusCode"] == 200
    assert code_of(lambda: s3.get_object(Bucket=BUCKET, Key="k")) == "AccessDenied"
    assert code_of(lambda: s3.list_objects_v2(Bucket=BUCKET)) == "AccessDenied"
    assert code_of(lambda: s3.head_bucket(Bucket=BUCKET)) == "403"
    assert code_of(lambda: ssm.get_parameter(Name="/a")) == "AccessDeniedException"
    sandbox.allowed_actions = set()
    assert code_of(lambda: invoke(aws, KNOWN)) == "AccessDeniedException"


def invoke(aws: Callable[..., Any], request: object, **options: str) -> dict[str, Any]:
    """Invoke the identifier function and return its payload."""
    names = {"FunctionName": FUNCTION, "Qualifier": "prod", **options}
    reply = aws("lambda").invoke(Payload=json.dumps(request).encode(), **names)
    return json.loads(reply["Payload"].read())


def test_lambda_knows_a_participant(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """A known participant is a 200 within the payload, with the whole success body."""
    payload = invoke(aws, KNOWN)
    body = json.loads(payload["body"])
    assert (payload["statusCode"], body["naccid"]) == (200, "NACC000042")
    assert set(body) == {"adcid", "ptid", "guid", "naccadc", "naccid", "active", "created_on"}


@pytest.mark.parametrize(
    ("change", "status"),
    [({"ptid": "990001"}, 404), ({"mode": "dev", "ptid": "110002"}, 404), ({"adcid": None}, 400)],
)
def test_lambda_says_who_is_unknown(
    aws: Callable[..., Any], change: dict[str, Any], status: int
) -> None:
    """Another mode or person is a 404 within the payload, a broken request a 400."""
    assert invoke(aws, {**KNOWN, **change})["statusCode"] == status


@pytest.mark.parametrize("names", [{"FunctionName": "Other"}, {"Qualifier": "test"}])
def test_unknown_function_is_an_error(aws: Callable[..., Any], names: dict[str, str]) -> None:
    """Another function or alias does not exist."""
    assert code_of(lambda: invoke(aws, KNOWN, **names)) == "ResourceNotFoundException"


def test_function_error_by_fault(sandbox: Sandbox, aws: Callable[..., Any]) -> None:
    """A fault can make the function end with an error of its own."""
    payload = {"errorMessage": "Task timed out after 3.00 seconds"}
    headers = {"X-Amz-Function-Error": "Unhandled"}
    body = json.dumps(payload)
    sandbox.faults.add(Fault(service="lambda", status=200, headers=headers, body=body))
    reply = aws("lambda").invoke(FunctionName=FUNCTION, Payload=b"{}")
    assert (reply["FunctionError"], json.loads(reply["Payload"].read())) == ("Unhandled", payload)


def post(sandbox: Sandbox, request: object, key: str | None) -> tuple[int, Any]:
    """Ask the identifier API over HTTP."""
    headers = {"Content-Type": "application/json"} | ({"x-api-key": key} if key else {})
    wanted = urllib.request.Request(  # noqa: S310 - loopback
        sandbox.identifiers_url, json.dumps(request).encode(), headers
    )
    try:
        with urllib.request.urlopen(wanted) as reply:  # noqa: S310 - loopback
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_https_transport(sandbox: Sandbox) -> None:
    """The other transport answers from the same table, with HTTP statuses and a key."""
    key = sandbox.identifiers.api_key
    assert post(sandbox, KNOWN, key)[1]["naccid"] == "NACC000042"
    assert post(sandbox, {**KNOWN, "ptid": "990001"}, key)[0] == 404
    assert post(sandbox, KNOWN, None)[0] == 401
    assert post(sandbox, KNOWN, "wrong")[0] == 403
    sandbox.identifiers.add("prod", 42, "990001", "NACC000099")
    assert post(sandbox, {**KNOWN, "ptid": "990001"}, key)[1]["naccid"] == "NACC000099"
    assert sandbox.requests.count() == {"identifiers": 5}


def test_table_from_csv(sandbox: Sandbox, tmp_path: Path) -> None:
    """A CSV with the four columns fills the table; another is refused."""
    path = tmp_path / "table.csv"
    path.write_text("mode,adcid,ptid,naccid\nprod,7,A1,NACC000007\n", "utf-8")
    assert sandbox.identifiers.from_csv(path) == 1
    assert sandbox.identifiers.get("prod", 7, "A1") == "NACC000007"
    path.write_text("adcid,ptid\n1,2\n", "utf-8")
    with pytest.raises(ValueError, match="needs the columns"):
        sandbox.identifiers.from_csv(path)
