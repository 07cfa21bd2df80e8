"""Event store, registry and secrets: fakes and adapters alike, and what is the adapters' own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from imaging_gears.adapters import aws
from imaging_gears.adapters.flywheel import SiteKey, key_of_site, parse_site_key
from imaging_gears.adapters.identifiers import HttpsIdentifiers, LambdaIdentifiers, request_body
from imaging_gears.adapters.s3 import S3EventStore
from imaging_gears.adapters.ssm import read_secrets
from imaging_gears.adapters.tries import Tries
from imaging_gears.errors import (
    ConfigError,
    CredentialsError,
    IdentifierNotFoundError,
    ImagingError,
    NotFoundError,
    ParameterMissingError,
    PermissionDeniedError,
    SiteKeyError,
)
from imaging_gears.model.participant import ParticipantKey
from imaging_gears.ports import EventStore, IdentifierRepository
from tests.fakes import InMemoryEvents, InMemoryRegistry

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

BUCKET = "nacc-event-logs"
KNOWN = ParticipantKey(adcid=42, ptid="110001")


# -- events ----------------------------------------------------------------------------------------


@pytest.fixture(params=["in memory", "sandbox"])
def events(request: pytest.FixtureRequest) -> EventStore:
    """An event store."""
    if request.param == "in memory":
        return InMemoryEvents()
    request.getfixturevalue("sandbox")
    return S3EventStore(BUCKET, Counter())


def test_an_object_is_written_once(events: EventStore, request: pytest.FixtureRequest) -> None:
    """The first put writes, every later one gets what is there, and changes nothing."""
    key = f"prod/{request.node.name}.json"
    assert events.put_if_absent(key, b'{"a":1}') is None
    assert events.put_if_absent(key, b'{"a":2}') == b'{"a":1}'
    assert events.put_if_absent(key, b'{"a":1}') == b'{"a":1}'


def test_keys_are_told_apart_to_the_last_character(
    events: EventStore, request: pytest.FixtureRequest
) -> None:
    """Another environment, another letter case: another object."""
    name = request.node.name
    keys = (f"prod/{name}", f"dev/{name}", f"prod/{name}X", f"prod/{name}x")
    assert [events.put_if_absent(key, key.encode()) for key in keys] == [None] * 4
    assert [events.put_if_absent(key, b"") for key in keys] == [key.encode() for key in keys]


def test_a_put_is_one_request_and_a_lost_race_two(sandbox: Sandbox) -> None:
    """Put; and where something is there, get. The body arrives byte for byte."""
    requests: Counter[str] = Counter()
    store = S3EventStore(BUCKET, requests)
    store.put_if_absent("prod/counted.json", b'{"p":"\xc3\xa9"}')
    assert requests == {"AWS S3": 1}
    assert sandbox.requests.count() == {"s3": 1}
    store.put_if_absent("prod/counted.json", b"{}")
    assert requests == {"AWS S3": 3}
    assert [each.method for each in sandbox.requests.all()] == ["PUT", "PUT", "GET"]
    assert sandbox.s3_objects(BUCKET)["prod/counted.json"] == b'{"p":"\xc3\xa9"}'


def test_a_bucket_that_does_not_exist_is_not_found(sandbox: Sandbox) -> None:
    """The configuration names it wrongly."""
    with pytest.raises(NotFoundError) as raised:
        S3EventStore("no-such-bucket", Counter()).put_if_absent("prod/110001.json", b"{}")
    assert "110001" not in str(raised.value)


def test_the_least_privileges_are_enough(sandbox: Sandbox) -> None:
    """Put and get of objects, get of parameters, invocation of the function; nothing else."""
    sandbox.allowed_actions = {
        "s3:PutObject",
        "s3:GetObject",
        "ssm:GetParameters",
        "lambda:InvokeFunction",
    }
    try:
        store = S3EventStore(BUCKET, Counter())
        for _ in range(2):
            store.put_if_absent("prod/least.json", b"{}")
        read_secrets("/prod/flywheel/gearbot", Counter())
        registry = LambdaIdentifiers(Tries("identifier API", Counter()))
        assert registry.naccid_for(KNOWN, "prod") == "NACC000042"
    finally:
        sandbox.allowed_actions = None


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:GetObject"])
def test_a_missing_permission_on_the_bucket_is_told(sandbox: Sandbox, action: str) -> None:
    """A configuration fault, found at one request."""
    store = S3EventStore(BUCKET, Counter())
    key = f"prod/denied-{action[3:]}.json"
    store.put_if_absent(key, b"{}")
    sandbox.requests.clear()
    sandbox.allowed_actions = {"s3:PutObject", "s3:GetObject"} - {action}
    try:
        with pytest.raises(PermissionDeniedError, match="AccessDenied"):
            store.put_if_absent(key, b"{}")
    finally:
        sandbox.allowed_actions = None
    assert sandbox.requests.count()["s3"] == (1 if action == "s3:PutObject" else 2)


# -- registry --------------------------------------------------------------------------------------


@pytest.fixture(params=["in memory", "lambda", "https"])
def registry(request: pytest.FixtureRequest) -> IdentifierRepository:
    """A registry that knows participant 110001 of center 42 in both modes."""
    if request.param == "in memory":
        return InMemoryRegistry(
            {("prod", 42, "110001"): "NACC000042", ("dev", 42, "110001"): "TEST000042"}
        )
    sandbox = request.getfixturevalue("sandbox")
    tries = Tries("identifier API", Counter(), lambda _: None)
    if request.param == "lambda":
        return LambdaIdentifiers(tries)
    return HttpsIdentifiers(sandbox.identifiers_url, sandbox.identifiers.api_key, tries)


def test_a_known_participant_has_a_naccid_in_each_mode(registry: IdentifierRepository) -> None:
    """Mode prod and mode dev are two databases."""
    assert registry.naccid_for(KNOWN, "prod") == "NACC000042"
    assert registry.naccid_for(KNOWN, "dev") == "TEST000042"


@pytest.mark.parametrize(
    "key",
    [
        ParticipantKey(adcid=42, ptid="999999"),
        ParticipantKey(adcid=43, ptid="110001"),
        ParticipantKey(adcid=42, ptid='"\\{}é'),
    ],
    ids=["another participant", "another center", "odd characters"],
)
def test_an_unknown_participant_is_told_from_a_fault(
    registry: IdentifierRepository, key: ParticipantKey
) -> None:
    """The registry answered: no such participant."""
    with pytest.raises(IdentifierNotFoundError) as raised:
        registry.naccid_for(key, "prod")
    assert key.ptid not in str(raised.value)


def test_the_request_is_the_contracts() -> None:
    """Mode, adcid, ptid, guid null."""
    assert json.loads(request_body(KNOWN, "dev")) == {
        "mode": "dev",
        "adcid": 42,
        "ptid": "110001",
        "guid": None,
    }


def test_a_lookup_is_one_request(sandbox: Sandbox) -> None:
    """In either transport, counted under one name."""
    requests: Counter[str] = Counter()
    tries = Tries("identifier API", requests)
    LambdaIdentifiers(tries).naccid_for(KNOWN, "prod")
    url, key = sandbox.identifiers_url, sandbox.identifiers.api_key
    HttpsIdentifiers(url, key, tries).naccid_for(KNOWN, "prod")
    assert requests == {"identifier API": 2}
    assert sandbox.requests.count() == {"lambda": 1, "identifiers": 1}


def test_a_key_that_the_identifier_api_refuses_is_a_configuration_fault(sandbox: Sandbox) -> None:
    """401 and 403; never tried again, the key in no sentence."""
    tries = Tries("identifier API", Counter())
    api = HttpsIdentifiers(sandbox.identifiers_url, "wrong-key", tries)
    with pytest.raises(PermissionDeniedError) as raised:
        api.naccid_for(KNOWN, "prod")
    assert "wrong-key" not in str(raised.value)
    assert sandbox.requests.count() == {"identifiers": 1}


@pytest.mark.parametrize(
    "url",
    [
        "http://identifiers.example.org/",
        "ftp://127.0.0.1/",
        "identifiers.example.org",
        "https://",
        "",
        "//127.0.0.1/x",
        "https://[broken/",
    ],
)
def test_a_url_that_would_send_the_key_in_clear_is_refused(url: str) -> None:
    """https, or http on this machine; anything else is a configuration fault."""
    with pytest.raises(ConfigError) as raised:
        HttpsIdentifiers(url, "secret-key", Tries("identifier API", Counter()))
    assert raised.value.location == "identifiers/url"
    assert "secret-key" not in str(raised.value)


# -- secrets ---------------------------------------------------------------------------------------


def test_one_request_reads_all_parameters(sandbox: Sandbox) -> None:
    """Without a URL the Lambda function is the API."""
    requests: Counter[str] = Counter()
    secrets = read_secrets("/prod/flywheel/gearbot", requests)
    assert secrets.flywheel_key == sandbox.key("gearbot")
    assert (secrets.identifiers_url, secrets.identifiers_key) == (None, None)
    assert requests == {"AWS SSM": 1}
    assert sandbox.requests.count() == {"ssm": 1}
    assert sandbox.key("gearbot") not in repr(secrets)


def test_url_and_key_of_the_api_are_read_where_they_are(sandbox: Sandbox) -> None:
    """A slash at the end of the prefix is no other prefix."""
    sandbox.put_parameter("/https/apikey", "site:key")
    sandbox.put_parameter("/https/identifiers/url", "https://api.example.org", secure=False)
    sandbox.put_parameter("/https/identifiers/apikey", "secret-key")
    secrets = read_secrets("/https/", Counter())
    assert secrets.flywheel_key == "site:key"
    assert secrets.identifiers_url == "https://api.example.org"
    assert secrets.identifiers_key == "secret-key"
    assert "secret-key" not in repr(secrets)


def test_a_line_end_behind_a_secret_is_not_part_of_it(sandbox: Sandbox) -> None:
    """Whoever pastes a key into SSM pastes a newline with it: no header may hold one."""
    sandbox.put_parameter("/newline/apikey", "site:key\n")
    sandbox.put_parameter("/newline/identifiers/url", f"{sandbox.identifiers_url}\n", secure=False)
    sandbox.put_parameter("/newline/identifiers/apikey", f"{sandbox.identifiers.api_key}\n")
    secrets = read_secrets("/newline", Counter())
    api = HttpsIdentifiers(
        secrets.identifiers_url or "",
        secrets.identifiers_key or "",
        Tries("identifier API", Counter()),
    )
    assert api.naccid_for(KNOWN, "prod") == "NACC000042"


@pytest.mark.parametrize("key", ["secret\nkey", "secret\rkey", "secret\u2028key"])
def test_a_key_that_no_header_can_hold_is_a_clean_error(sandbox: Sandbox, key: str) -> None:
    """One of the project's own, whose text does not repeat the key."""

    def look_up() -> object:
        tries = Tries("identifier API", Counter(), lambda _: None)
        return HttpsIdentifiers(sandbox.identifiers_url, key, tries).naccid_for(KNOWN, "prod")

    with pytest.raises(ImagingError) as raised:
        look_up()
    assert "secret" not in str(raised.value)


def test_a_missing_flywheel_key_names_the_parameter(sandbox: Sandbox) -> None:
    """Somebody has to create it."""
    with pytest.raises(ParameterMissingError, match="/nowhere/apikey") as raised:
        read_secrets("/nowhere", Counter())
    assert raised.value.location == "/nowhere/apikey"


def test_a_url_without_its_key_is_a_configuration_fault(sandbox: Sandbox) -> None:
    """It is not silently answered by the Lambda function."""
    sandbox.put_parameter("/half/apikey", "site:key")
    sandbox.put_parameter("/half/identifiers/url", "https://api.example.org", secure=False)
    with pytest.raises(ParameterMissingError) as raised:
        read_secrets("/half", Counter())
    assert raised.value.location == "/half/identifiers/apikey"


def test_parameters_that_may_not_be_read_are_told(sandbox: Sandbox) -> None:
    """The credentials may not call ssm:GetParameters."""
    sandbox.allowed_actions = {"s3:PutObject"}
    try:
        with pytest.raises(PermissionDeniedError, match="AWS SSM refused reading parameters"):
            read_secrets("/prod/flywheel/gearbot", Counter())
    finally:
        sandbox.allowed_actions = None
    assert sandbox.requests.count() == {"ssm": 1}


@pytest.mark.parametrize(
    "missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"]
)
@pytest.mark.parametrize("left", [None, ""], ids=["unset", "empty"])
def test_missing_aws_variables_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, missing: str, left: str | None
) -> None:
    """It names the variable."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "secret-value")
    aws.check_environment()
    if left is None:
        monkeypatch.delenv(missing)
    else:
        monkeypatch.setenv(missing, left)
    with pytest.raises(CredentialsError, match=missing) as raised:
        aws.check_environment()
    assert raised.value.location == missing
    assert "secret-value" not in str(raised.value)


# -- keys of a site --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port", "insecure"),
    [
        ("site.example.org:S3CRET", "site.example.org", 443, False),
        (" Site.Example.org:S3CRET\n", "site.example.org", 443, False),
        ("site.example.org:8443:S3CRET", "site.example.org", 8443, False),
        ("127.0.0.1:8080:__force_insecure:S3CRET", "127.0.0.1", 8080, True),
        ("localhost:8080:__force_insecure:S3CRET", "localhost", 8080, True),
    ],
)
def test_a_site_key_is_taken_apart(text: str, host: str, port: int, *, insecure: bool) -> None:
    """Host, port and scheme; the secret is not in its repr."""
    key = parse_site_key(text, location="here")
    assert key == SiteKey(text.strip(), host, port, insecure)
    assert "S3CRET" not in repr(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S3CRET",
        ":S3CRET",
        "site.example.org:",
        "site.example.org:port:S3CRET",
        "site.example.org:1:2:S3CRET",
        "https://site.example.org:S3CRET",
        "site.example.org:80:__force_insecure:S3CRET",
        "site.example.org:__force_insecure:S3CRET",
        "site.example.org:__force_insecure",
        "127.0.0.1.example.org:80:__force_insecure:S3CRET",
    ],
)
def test_a_key_of_another_form_or_in_clear_is_refused(text: str) -> None:
    """The sentence says where it stands, not what it is."""
    with pytest.raises(SiteKeyError) as raised:
        parse_site_key(text, location="the input api-key")
    assert raised.value.location == "the input api-key"
    assert "S3CRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("site.example.org:OTHER", True),
        ("SITE.example.org:443:OTHER", True),
        ("site.example.org:8443:OTHER", False),
        ("site.example.org.evil.org:OTHER", False),
        ("xsite.example.org:OTHER", False),
    ],
)
def test_a_key_is_used_for_the_jobs_own_site_only(other: str, *, same: bool) -> None:
    """Host and port are compared whole."""
    site = parse_site_key("site.example.org:S3CRET", location="here")
    use: Callable[[], SiteKey] = lambda: key_of_site(other, site, location="SSM")  # noqa: E731
    if same:
        assert use().text == other
    else:
        with pytest.raises(SiteKeyError, match="another site"):
            use()


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL": "http://198.51.100.1:81"},
        {"AWS_ENDPOINT_URL_SSM": "http://endpoint.example"},
    ],
)
def test_an_endpoint_elsewhere_that_is_not_encrypted_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """SSM answers with keys: no client is made that would ask for them in the open."""
    for name, value in {**KEYS, **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsError, match="is not https"):
        aws.client("ssm", "AWS SSM", Counter(), read_seconds=1)


@pytest.mark.parametrize("endpoint", ["https://endpoint.example", "http://127.0.0.1:81"])
def test_an_endpoint_that_is_encrypted_or_here_is_taken(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Nothing is asked of it yet."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    assert aws.client("ssm", "AWS SSM", Counter(), read_seconds=1) is not None


KEYS = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
}
