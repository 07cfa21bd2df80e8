"""A server whose certificate nobody vouches for gets no key, Flywheel's or the registry's."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from imaging_gears.adapters.flywheel import FlywheelSite, parse_site_key
from imaging_gears.adapters.identifiers import HttpsIdentifiers
from imaging_gears.adapters.tries import TRIES, Tries
from imaging_gears.errors import ServiceError
from imaging_gears.model.participant import ParticipantKey
from tests.pki import self_signed

KEY = ParticipantKey(adcid=42, ptid="110001")


class Listener(HTTPServer):
    """An HTTPS server that keeps what it was sent."""

    heard: list[str]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a refused handshake is what is wanted."""


class Handler(BaseHTTPRequestHandler):
    """Answers every request and notes its headers."""

    server: Listener

    def do_GET(self) -> None:
        """Note the request."""
        self.server.heard.append(str(self.headers))
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        """Note the request."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """Give a server with a self-signed certificate, on loopback."""
    server = Listener(("127.0.0.1", 0), Handler)
    server.heard = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity = self_signed(tmp_path, "server")
    context.load_cert_chain(identity.cert, identity.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def tries(service: str) -> Tries:
    """Return tries that do not wait."""
    return Tries(service, Counter(), lambda _: None)


def test_flywheels_key_is_not_sent_to_a_self_signed_server(listener: Listener) -> None:
    """The handshake ends it: a service that does not answer, and nothing was heard."""
    port = listener.server_address[1]
    key = parse_site_key(f"localhost:{port}:SECRET", location="test")
    calls = tries("Flywheel")
    with pytest.raises(ServiceError):
        FlywheelSite(key, calls).file("65f000000000000000000001")
    assert calls.requests["Flywheel"] == TRIES
    assert listener.heard == []


def test_the_registrys_key_is_not_sent_to_a_self_signed_server(listener: Listener) -> None:
    """The same over HTTPS to the identifier API."""
    port = listener.server_address[1]
    api = HttpsIdentifiers(f"https://localhost:{port}/ids", "SECRET", tries("identifier API"))
    with pytest.raises(ServiceError):
        api.naccid_for(KEY, "prod")
    assert listener.heard == []


def test_the_listener_would_hear_who_trusts_it(listener: Listener) -> None:
    """The check can fail: a client that does not verify is heard."""
    import urllib3  # noqa: PLC0415 - only this client does what must never be done

    port = listener.server_address[1]
    with (
        urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False) as pool,
        pytest.warns(urllib3.exceptions.InsecureRequestWarning),
    ):
        pool.request("GET", f"https://localhost:{port}/", headers={"x-api-key": "SECRET"})
    assert len(listener.heard) == 1
    assert "SECRET" in listener.heard[0]
