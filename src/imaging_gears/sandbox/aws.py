"""AWS in this process: SSM and S3 by moto, behind a list of allowed actions."""

from __future__ import annotations

import functools
import io
import json
import re
import secrets
import sys
import threading
from email.message import Message
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from imaging_gears.sandbox.wire import Call, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imaging_gears.sandbox.store import Store

REGION = "us-east-1"
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
_S3_VERBS = {
    ("GET", True): "GetObject",
    ("HEAD", True): "HeadObject",
    ("PUT", True): "PutObject",
    ("POST", True): "PostObject",
    ("DELETE", True): "DeleteObject",
    ("GET", False): "ListBucket",
    ("HEAD", False): "HeadBucket",
    ("PUT", False): "CreateBucket",
    ("POST", False): "DeleteObjects",
    ("DELETE", False): "DeleteBucket",
}
# The permission that an S3 operation needs, where it is not named like the operation.
_S3_ACTIONS = {
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
    "DeleteObjects": "DeleteObject",
    "PostObject": "PutObject",
}
_bucket_lock = threading.Lock()


def service_of(call: Call) -> str:
    """Return the AWS service that a call is signed for; an unsigned one is S3's."""
    match = _SCOPE.search(call.headers.get("Authorization", ""))
    return match[1].lower() if match else "s3"


def operation_of(service: str, call: Call) -> str:
    """Return the operation's name: ``GetParameters``, ``PutObject``, ``Invoke``."""
    if target := call.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    if service == "lambda":
        return "Invoke"
    if service != "s3":
        return call.path
    bucket, _, key = call.path.lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    return _S3_VERBS.get((call.method, bool(key)), call.method)


def action_of(service: str, operation: str) -> str:
    """Return the IAM action of an operation: ``s3:GetObject``."""
    if service == "lambda":
        return "lambda:InvokeFunction"
    return f"{service}:{_S3_ACTIONS.get(operation, operation) if service == 's3' else operation}"


def aws_error(service: str, status: int, code: str, message: str) -> Reply:
    """Return an error as the service words it: XML for S3, JSON for the others."""
    if service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return Reply(status, f"<?xml version='1.0'?>{text}".encode(), {"Content-Type": "text/xml"})
    reply = Reply.json({"__type": code, "message": message}, status)
    reply.headers.update({"x-amzn-ErrorType": code, "Content-Type": "application/x-amz-json-1.1"})
    return reply


class Aws:
    """The AWS account of one sandbox.

    moto keeps its state per account in this process, so that every sandbox has an account id of its
    own. Changing calls are kept in the store and repeated after a restart.

    Attributes:
        allowed_actions: IAM actions that may be used; None allows all.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.account = f"{secrets.randbelow(10**12):012d}"
        self.allowed_actions: set[str] | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._app: Any = None
        self._loader: threading.Thread | None = None

    def begin(self, buckets: Iterable[str], parameters: Iterable[tuple[str, str, bool]]) -> None:
        """Load moto, make buckets and parameters, then repeat what was kept; returns at once.

        Args:
            buckets: names.
            parameters: name, value, and whether it is a SecureString.
        """
        planted = [make_bucket_call(name) for name in buckets]
        planted += [parameter_call(*parameter) for parameter in parameters]
        self._loader = threading.Thread(
            target=self._load, args=(planted,), daemon=True, name="moto"
        )
        self._loader.start()

    def _load(self, planted: list[Call]) -> None:
        """Import moto while the rest starts: it takes longer than everything else together."""
        try:
            from moto.moto_server import werkzeug_app  # noqa: PLC0415 - see above

            make_app = werkzeug_app.create_backend_app
            app: Any = werkzeug_app.DomainDispatcherApplication(make_app)
            # It would list moto's folders for every request.
            app.get_backend_for_host = functools.cache(app.get_backend_for_host)
            self._app = app
            for call in [*planted, *self._kept_calls()]:
                self._forward(call)
        except Exception as error:  # noqa: BLE001 - handed to whoever calls next
            self._failure = error
        finally:
            self._ready.set()

    def close(self) -> None:
        """Give back what moto holds for this account: it keeps S3 objects in temporary files."""
        if self._loader is not None:
            self._loader.join()
        if self._app is not None:
            from moto.s3.models import FakeKey, s3_backends  # noqa: PLC0415 - slow to import

            s3_backends.pop(self.account, None)
            tracked: Any = FakeKey  # its metaclass adds the list of instances
            for key in list(tracked.instances_tracked):
                if key.account_id == self.account:
                    key.dispose()

    def wait(self) -> None:
        """Wait until moto is loaded and what was kept is back.

        Raises:
            RuntimeError: it could not be loaded.
        """
        self._ready.wait()
        if self._failure is not None:
            msg = "The AWS services could not be started."
            raise RuntimeError(msg) from self._failure

    # -- calls --------------------------------------------------------------------------------

    def serve(self, service: str, operation: str, call: Call) -> Reply:
        """Answer a call, if its action is allowed."""
        if (refusal := self.refuse(service, operation)) is not None:
            return refusal
        return self.perform(call, keep=True)

    def refuse(self, service: str, operation: str) -> Reply | None:
        """Return an AccessDenied when the action is not allowed."""
        action = action_of(service, operation)
        if self.allowed_actions is None or action in self.allowed_actions:
            return None
        code = "AccessDenied" if service == "s3" else "AccessDeniedException"
        status = 403 if service in ("s3", "lambda") else 400
        return aws_error(service, status, code, f"User is not authorized to perform: {action}")

    def perform(self, call: Call, *, keep: bool) -> Reply:
        """Let moto answer; with `keep`, a change is repeated after a restart."""
        self.wait()
        reply = self._forward(call)
        read = (
            call.headers.get("X-Amz-Target", "").rpartition(".")[2].startswith(("Get", "Describe"))
        )
        if keep and reply.status < 300 and call.method not in ("GET", "HEAD") and not read:  # noqa: PLR2004
            headers = json.dumps(dict(call.headers.items()))
            sql = "INSERT INTO aws_calls (method, path, query, headers, body) VALUES (?,?,?,?,?)"
            self._store.query(sql, call.method, call.path, call.query_string, headers, call.body)
        return reply

    def _kept_calls(self) -> Iterator[Call]:
        sql = "SELECT method, path, query, headers, body FROM aws_calls ORDER BY number"
        for method, path, query, headers, body in self._store.query(sql):
            yield make_call(method, path, json.loads(headers), body, query)

    def _forward(self, call: Call) -> Reply:
        if call.method != "PUT" or call.path.strip("/").count("/") or len(call.path) <= 1:
            return self._run(call)
        with (
            _bucket_lock
        ):  # CreateBucket: bucket names are this account's own here, not the world's
            return self._create_bucket(call)

    def _create_bucket(self, call: Call) -> Reply:
        from moto.s3.models import s3_backends  # noqa: PLC0415 - slow to import

        name = call.path.strip("/")
        if not call.query_string and name in s3_backends[self.account]["aws"].buckets:
            return aws_error("s3", 409, "BucketAlreadyOwnedByYou", "The bucket is yours already.")
        reply = self._run(call)
        s3_backends.bucket_accounts.pop(name, None)
        return reply

    def _run(self, call: Call) -> Reply:
        """Run moto's WSGI application."""
        started: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            started.update(status=int(status.split(maxsplit=1)[0]), headers=dict(headers))

        chunks = self._app(self._environ(call), start_response)
        body = b"".join(chunks)
        if close := getattr(chunks, "close", None):
            close()
        headers = {k: v for k, v in started["headers"].items() if k.lower() != "connection"}
        if call.method != "HEAD":
            headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
        return Reply(started["status"], body, headers)

    def _environ(self, call: Call) -> dict[str, Any]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": call.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(call.path).encode().decode("latin-1"),
            "QUERY_STRING": call.query_string,
            "RAW_URI": f"{call.path}?{call.query_string}" if call.query_string else call.path,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(call.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(call.body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "HTTP_X_MOTO_ACCOUNT_ID": self.account,
        }
        for name, value in call.headers.items():
            key = name.upper().replace("-", "_")
            if key == "CONTENT_TYPE":
                environ[key] = value
            elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
                environ[f"HTTP_{key}"] = value
        return environ

    # -- direct access ------------------------------------------------------------------------

    def put_parameter(self, name: str, value: str, *, secure: bool = True) -> None:
        """Write an SSM parameter, SecureString or String."""
        self.perform(parameter_call(name, value, secure), keep=True)

    def delete_parameter(self, name: str) -> None:
        """Delete an SSM parameter."""
        self.perform(_ssm_call("DeleteParameter", {"Name": name}), keep=True)

    def make_bucket(self, name: str) -> None:
        """Make an S3 bucket; one that is there stays."""
        self.perform(make_bucket_call(name), keep=True)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Return all objects of a bucket, in the order in which their keys came.

        Raises:
            KeyError: no such bucket.
        """
        self.wait()
        from moto.s3.models import FakeKey, s3_backends  # noqa: PLC0415 - slow to import

        keys = s3_backends[self.account]["aws"].buckets[bucket].keys
        found = [(name, keys[name]) for name in list(keys)]
        return {name: key.value for name, key in found if isinstance(key, FakeKey)}


def _signed(service: str) -> dict[str, str]:
    """Return headers by which moto knows the service; it checks no signature."""
    scope = f"Credential=sandbox/20200101/{REGION}/{service}/aws4_request"
    signature = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"
    return {"Host": "127.0.0.1", "Authorization": signature}


def make_bucket_call(name: str) -> Call:
    """Return the call that makes a bucket."""
    return make_call("PUT", f"/{name}", _signed("s3"), b"")


def parameter_call(name: str, value: str, secure: bool) -> Call:  # noqa: FBT001 - a triple's third
    """Return the call that writes a parameter."""
    kind = "SecureString" if secure else "String"
    return _ssm_call(
        "PutParameter", {"Name": name, "Value": value, "Type": kind, "Overwrite": True}
    )


def _ssm_call(operation: str, body: object) -> Call:
    headers = {**_signed("ssm"), "X-Amz-Target": f"AmazonSSM.{operation}"}
    headers["Content-Type"] = "application/x-amz-json-1.1"
    return make_call("POST", "/", headers, json.dumps(body).encode())


def make_call(
    method: str, path: str, headers: dict[str, str], body: bytes, query: str = ""
) -> Call:
    """Return a call that did not come over the wire."""
    message = Message()
    for name, value in headers.items():
        message[name] = value
    return Call(method, path, query, message, body)
