"""HTTP/1.1 on a loopback socket: requests, replies, and misbehaving when a fault says so.

Kept below any framework, because a fault acts on the socket itself: it resets it, leaves it silent,
or sends half of what Content-Length promises.
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from imaging_gears.sandbox.faults import Fault, Faults, pause
from imaging_gears.sandbox.requests import Request, RequestLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

_log = logging.getLogger(__name__)
_NO_BODY = {204, 304}


def strict_json(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a JSON text holds.

    Raises:
        ValueError: it is none; NaN and Infinity, which Python's parser takes, are none either.
    """
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    msg = f"Out of range float values are not JSON compliant: {constant}"
    raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came: `path` still percent-encoded, `body` whole."""

    method: str
    path: str
    query_string: str
    headers: Message
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one, the last counts."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))


@dataclass(slots=True)
class Reply:
    """A reply; Content-Length and Connection are the wire's own business."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200) -> Reply:
        """Return `value` as a JSON reply."""
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


class Target(NamedTuple):
    """Where a request goes; `service` None is the sandbox's administration: no log, no faults."""

    service: str | None
    route: str
    run: Callable[[], Reply]


class WireServer(ThreadingHTTPServer):
    """The listening socket, and a thread for each connection.

    Args:
        port: 0 picks a free one.
        resolve: finds the target of a call.
        error: makes an error reply in the style of a service, from (service, status).
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self, port: int, resolve: Callable[[Call], Target], error: Callable[[str, int], Reply]
    ) -> None:
        self.resolve = resolve
        self.error = error
        self.faults = Faults()
        self.log = RequestLog()
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def track(self, connection: socket.socket, *, is_open: bool) -> None:
        """Remember the open connections, so that `stop` can end them."""
        with self._open_lock:
            (self._open.add if is_open else self._open.discard)(connection)

    def stop(self) -> None:
        """Stop listening, end all connections."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away in the middle."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: WireServer

    def setup(self) -> None:
        super().setup()
        self.server.track(self.connection, is_open=True)

    def finish(self) -> None:
        self.server.track(self.connection, is_open=False)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing: the request log is the record."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Serve every method alike."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    # -- a request ----------------------------------------------------------------------------

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        call = Call(self.command, path, query, self.headers, self._body())
        target = self.server.resolve(call)
        self._before_send: Callable[[], None] | None = None
        self._status: int | None = None
        self._sent = 0
        if target.service is None:
            self._send(_guarded(target))
            return
        self._record(call, target, target.service)

    def _record(self, call: Call, target: Target, service: str) -> None:
        path = unquote(call.path)
        log = self.server.log
        size = len(call.body)
        number = log.begin(
            Request(service, call.method, path, target.route, None, time.time(), None, size, 0)
        )
        names = {path, path.removeprefix("/api"), target.route}
        faults = self.server.faults.take(service, call.method, names)
        kind = faults[-1].kind if faults else None
        try:
            self._answer(
                target, service, faults, lambda: log.finish(number, self._status, self._sent, kind)
            )
        finally:
            log.finish(number, self._status, self._sent, kind)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    # -- a reply ------------------------------------------------------------------------------

    def _answer(
        self, target: Target, service: str, faults: list[Fault], before_send: Callable[[], None]
    ) -> None:
        self._before_send = before_send
        delays = [fault for fault in faults if fault.kind == "delay"]
        for delay in delays:
            if not delay.after:
                pause(delay.draw_seconds(), self.server.stopping)

        def run() -> Reply:
            reply = _guarded(target)
            for delay in delays:
                if delay.after:
                    pause(delay.draw_seconds(), self.server.stopping)
            return reply

        if faults and faults[-1].kind != "delay":
            self._misbehave(faults[-1], Target(service, target.route, run))
        else:
            self._send(run())

    def _send(self, reply: Reply, *, body: bytes | None = None, claim: int | None = None) -> None:
        """Send `reply`; `body` and `claim` replace what is sent and what Content-Length says."""
        content = reply.body if body is None else body
        if self.command == "HEAD" or reply.status in _NO_BODY:
            content = b""
        head = self._head(reply, len(reply.body) if claim is None else claim)
        self._status, self._sent = reply.status, len(content)
        if self._before_send is not None:
            self._before_send()  # the log is complete before the client can see the reply
        self.connection.sendall(head + content)

    def _head(self, reply: Reply, length: int) -> bytes:
        phrase = HTTPStatus(reply.status).phrase if reply.status in _PHRASES else "Unknown"
        lines = [f"HTTP/1.1 {reply.status} {phrase}"]
        names = {name.lower() for name in reply.headers}
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        if "content-length" not in names and reply.status not in _NO_BODY:
            lines.append(f"Content-Length: {length}")
        if "date" not in names:
            lines.append(f"Date: {self.date_time_string()}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _gone(self) -> bool:
        """Tell whether the client has closed its side, or the server is stopping."""
        if self.server.stopping.is_set():
            return True
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    # -- faults -------------------------------------------------------------------------------

    def _misbehave(self, fault: Fault, target: Target) -> None:
        effects: dict[str, Callable[[Fault, Target], None]] = {
            "status": self._replace,
            "redirect": self._replace,
            "drop-before": self._drop,
            "drop-after": self._drop,
            "reset-before": self._reset,
            "reset-after": self._reset,
            "silent": self._silent,
            "body": self._rewrite,
            "truncate": self._truncate,
            "drip": self._drip,
            "hold": self._hold,
        }
        effects[fault.kind](fault, target)

    def _drop(self, fault: Fault, target: Target) -> None:
        if fault.kind == "drop-after":
            target.run()
        self.close_connection = True

    def _reset(self, fault: Fault, target: Target) -> None:
        if fault.kind == "reset-after":
            target.run()
        # SO_LINGER of zero seconds turns close into a TCP reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.track(self.connection, is_open=False)
        self.rfile.close()
        self.connection.close()
        self.close_connection = True

    def _silent(self, fault: Fault, target: Target) -> None:
        if fault.after:
            target.run()
        while not self._gone():
            pause(0.02, self.server.stopping)
        self.close_connection = True

    def _replace(self, fault: Fault, target: Target) -> None:
        default = 302 if fault.kind == "redirect" else 503
        reply = self.server.error(target.service or "", fault.status or default)
        if fault.after:
            target.run()
        if fault.content is not None:
            reply.body = fault.content
        reply.headers.update(fault.headers)
        self._send(reply)

    def _rewrite(self, fault: Fault, target: Target) -> None:
        reply = target.run()
        headers = {k: v for k, v in reply.headers.items() if k.lower() != "content-length"}
        headers.update(fault.headers)
        self._send(Reply(fault.status or reply.status, fault.content or b"", headers))

    def _truncate(self, _fault: Fault, target: Target) -> None:
        reply = target.run()
        size = len(reply.body)
        self._send(reply, body=reply.body[: size // 2], claim=max(size, 16))
        self.close_connection = True

    def _drip(self, fault: Fault, target: Target) -> None:
        reply = target.run()
        self._send(reply, body=b"")
        for position in range(len(reply.body)):
            pause(fault.draw_seconds(), self.server.stopping)
            if self._gone():
                break
            self.connection.sendall(reply.body[position : position + 1])
            self._sent += 1
        else:
            return
        self.close_connection = True

    def _hold(self, fault: Fault, target: Target) -> None:
        hold = self.server.faults.hold
        service = target.service or ""
        reply = target.run() if fault.after else None
        if not hold(service, target.route, self._gone):
            self.close_connection = True  # killed while held: what had not happened, does not
            return
        self._send(reply or target.run())


def _guarded(target: Target) -> Reply:
    """Run a target; a defect of the sandbox is a 500 that says so, and stands in the log."""
    try:
        return target.run()
    except Exception as error:  # noqa: BLE001 - whatever it is
        _log.exception("The sandbox failed to serve %s", target.route)
        return Reply.json({"message": f"Sandbox: {type(error).__name__}", "status_code": 500}, 500)


_PHRASES = {status.value for status in HTTPStatus}
