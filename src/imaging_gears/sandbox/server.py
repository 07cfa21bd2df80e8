"""The sandbox itself: everything assembled behind one port, and its life."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import threading
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from imaging_gears.sandbox import aws
from imaging_gears.sandbox.aws import Aws
from imaging_gears.sandbox.engine import Engine, EngineOptions
from imaging_gears.sandbox.faults import Fault, Faults
from imaging_gears.sandbox.identifiers import PATH, IdentifierTable
from imaging_gears.sandbox.planting import expand, plant_site
from imaging_gears.sandbox.requests import RequestLog
from imaging_gears.sandbox.seed import Seed, SeedError, default_seed
from imaging_gears.sandbox.site import Site, SiteOptions
from imaging_gears.sandbox.site.errors import ApiError
from imaging_gears.sandbox.site.http import error_reply
from imaging_gears.sandbox.site.routes import site_target
from imaging_gears.sandbox.store import Store
from imaging_gears.sandbox.wire import Call, Reply, Target, WireServer

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
HOST = "127.0.0.1"
ADMIN = "admin"
_LAMBDA = "/2015-03-31/functions/"


class Sandbox:
    """A Flywheel site, an identifier API and AWS on one loopback port; a context manager too."""

    def __init__(self, store: Store, *, port: int, engine: EngineOptions) -> None:
        self._store = store
        self._undo = contextlib.ExitStack()
        self.aws = Aws(store)
        self.site = Site(store)
        self.identifiers = IdentifierTable(store)
        self._wire = WireServer(port, self._resolve, self._error)
        self.port: int = self._wire.server_address[1]
        self.url = f"http://{HOST}:{self.port}"
        self.engine = Engine(self.site, engine, f"{HOST}:{self.port}", self.environ)
        self._thread = threading.Thread(
            target=self._wire.serve_forever,
            kwargs={"poll_interval": 0.05},
            daemon=True,
            name="sandbox",
        )

    @classmethod
    def start(
        cls,
        *,
        seed: Seed | None = None,
        state_dir: Path | None = None,
        port: int = 0,
        run_jobs: bool = True,
        engine: EngineOptions | None = None,
    ) -> Sandbox:
        """Start serving.

        Args:
            seed: what a new site holds; None is `default_seed`. A state that is there already wins.
            state_dir: where the state is kept over a restart; None is a temporary directory that
                goes with `stop`.
            port: 0 picks a free one.
            run_jobs: False leaves jobs pending.
            engine: how jobs are run.

        Raises:
            OSError: the port is taken.
            StateInUseError: another sandbox uses `state_dir`.
        """
        directory = state_dir or Path(tempfile.mkdtemp(prefix="sandbox-"))
        store = Store(directory, durable=state_dir is not None)
        with contextlib.ExitStack() as undo:
            if state_dir is None:
                undo.callback(shutil.rmtree, directory, ignore_errors=True)
            undo.callback(store.close)
            sandbox = cls(store, port=port, engine=engine or EngineOptions())
            undo.callback(sandbox._wire.server_close)
            sandbox._begin(seed or default_seed(), run_jobs=run_jobs)
            sandbox._undo = undo.pop_all()
        return sandbox

    def _begin(self, seed: Seed, *, run_jobs: bool) -> None:
        with self._store.transaction():  # a seed that can't be used leaves no half of it behind
            planted = self._store.get("meta", "planted") or self._plant(seed)
            self._change_options(planted["options"])
            parameters = self._parameters(planted["parameters"])
        self.aws.begin(planted["buckets"], parameters)
        self._thread.start()
        if run_jobs:
            self.engine.start()

    def _plant(self, seed: Seed) -> Json:
        """Put the seed into the store, and return what every start needs of it."""
        self.site.access.add_user(ADMIN, "admin")
        plant_site(self.site, seed)
        for row in seed.identifiers:
            self.identifiers.add(row.mode, row.adcid, row.ptid, row.naccid)
        for path in seed.identifiers_csv:
            self.identifiers.from_csv(path)
        parameters = [parameter.model_dump() for parameter in seed.parameters]
        planted = {"parameters": parameters, "buckets": seed.buckets, "options": seed.options}
        self._store.put("meta", "planted", planted)
        return planted

    def _parameters(self, templates: list[Json]) -> list[tuple[str, str, bool]]:
        """Return the seed's parameters as they are now: keys and URLs hold the port.

        Raises:
            SeedError: a parameter speaks of the key of an unknown user.
        """
        try:
            return [
                (
                    item["name"],
                    expand(item["value"], self._placeholders(), self.key),
                    item["secure"],
                )
                for item in templates
            ]
        except KeyError as error:
            msg = f"The seed's parameters want the key of {error.args[0]}, who is no user."
            raise SeedError(msg) from error

    def _placeholders(self) -> dict[str, str]:
        return {
            "host": HOST,
            "port": str(self.port),
            "url": self.url,
            "identifiers_url": self.identifiers_url,
            "identifiers_key": self.identifiers.api_key,
        }

    def stop(self) -> None:
        """Stop serving, kill the processes of running jobs, and remove an ephemeral state."""
        self.engine.stop()
        self._wire.stop()
        self._thread.join()
        self.aws.close()
        self._undo.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    # -- what clients need --------------------------------------------------------------------

    @property
    def api_key(self) -> str:
        """An administrator's key."""
        return self.key(ADMIN)

    def key(self, user: str) -> str:
        """Return a user's key, in the form that the SDK takes.

        Raises:
            KeyError: no such user.
        """
        return f"{HOST}:{self.port}:__force_insecure:{self.site.access.secret_of(user)}"

    @property
    def identifiers_url(self) -> str:
        """URL of the identifier API over HTTP."""
        return f"{self.url}{PATH}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables with which boto3 (and every HTTP client) finds this sandbox."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIASANDBOX000000000",
            "AWS_SECRET_ACCESS_KEY": "sandbox-secret-access-key",
            "AWS_DEFAULT_REGION": aws.REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }

    # -- what tests need ----------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """The fault list."""
        return self._wire.faults

    @property
    def requests(self) -> RequestLog:
        """The request log."""
        return self._wire.log

    def s3_objects(self, bucket: str) -> dict[str, bytes]:
        """Return the objects of a bucket, in the order in which they were first written.

        Raises:
            KeyError: no such bucket.
        """
        return self.aws.objects(bucket)

    def put_parameter(self, name: str, value: str, *, secure: bool = True) -> None:
        """Write an SSM parameter; `value` may use the placeholders of a seed."""
        self.aws.put_parameter(name, expand(value, self._placeholders(), self.key), secure=secure)

    @property
    def allowed_actions(self) -> set[str] | None:
        """IAM actions that may be used, such as ``s3:PutObject``; None allows all."""
        return self.aws.allowed_actions

    @allowed_actions.setter
    def allowed_actions(self, actions: set[str] | None) -> None:
        self.aws.allowed_actions = actions

    def engine_directory(self, job_id: str) -> Path:
        """Return the directory in which a job runs or ran; ``.log`` in it is what it prints."""
        return self._store.directory / "jobs" / job_id

    def wait_for_jobs(self, timeout: float = 120.0) -> list[Json]:
        """Wait until no job is pending or running, and return all jobs.

        Raises:
            TimeoutError: some job has not ended after `timeout` seconds.
        """
        queue, end = self.site.queue, time.monotonic() + timeout
        while left := queue.unfinished():
            if time.monotonic() > end:
                msg = f"{len(left)} jobs have not ended after {timeout:g} s."
                raise TimeoutError(msg)
            queue.wait_change(0.05)
        return self.site.jobs()

    # -- dispatch -----------------------------------------------------------------------------

    def _resolve(self, call: Call) -> Target:
        path = call.path
        if path == "/api" or path.startswith("/api/"):
            return site_target(self.site, call)
        if path.startswith("/_sandbox/"):
            return Target(None, path, lambda: self._admin(call))
        if path == PATH:
            return Target("identifiers", PATH, lambda: self.identifiers.https(call))
        if path.startswith(_LAMBDA) and path.endswith("/invocations"):
            name = path.removeprefix(_LAMBDA).removesuffix("/invocations")
            return Target("lambda", "Invoke", lambda: self._invoke(name, call))
        service = aws.service_of(call)
        operation = aws.operation_of(service, call)
        return Target(service, operation, lambda: self._aws(service, operation, call))

    def _aws(self, service: str, operation: str, call: Call) -> Reply:
        return self.aws.serve(service, operation, call)

    def _invoke(self, name: str, call: Call) -> Reply:
        function = name.rpartition(":function:")[2]
        return self.aws.refuse("lambda", "Invoke") or self.identifiers.invoke(function, call)

    @staticmethod
    def _error(service: str, status: int) -> Reply:
        if service == "flywheel":
            return error_reply(ApiError(status, "Fault injected by the sandbox."))
        if service == "identifiers":
            return Reply.json({"message": "Fault injected by the sandbox."}, status)
        code = _AWS_CODES.get(status, "InternalError")
        return aws.aws_error(service, status, code, "Fault injected by the sandbox.")

    # -- administration -----------------------------------------------------------------------

    def _admin(self, call: Call) -> Reply:
        name = call.path.removeprefix("/_sandbox/").strip("/")
        handler = self._admin_routes().get((call.method, name))
        if handler is None:
            return Reply.json({"message": "No such route."}, 404)
        try:
            return Reply.json(handler(call))
        except (ValueError, TypeError, KeyError) as error:
            return Reply.json({"message": str(error)}, 400)

    def _admin_routes(self) -> dict[tuple[str, str], Callable[[Call], object]]:
        return {
            ("GET", "health"): lambda _: {"status": "ok", "url": self.url},
            ("GET", "faults"): lambda _: [_fault_json(fault) for fault in self.faults.all()],
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "held"): lambda _: self.faults.held(),
            ("POST", "release"): lambda _: {"released": self.faults.release()},
            ("GET", "requests"): lambda _: self._requests(),
            ("DELETE", "requests"): self._clear_requests,
            ("GET", "state"): lambda _: self.site.dump(),
            ("GET", "options"): lambda _: asdict(self.site.options),
            ("POST", "options"): self._set_options,
        }

    def _clear_faults(self, _call: Call) -> object:
        self.faults.clear()
        return {"cleared": True}

    def _clear_requests(self, _call: Call) -> object:
        self.requests.clear()
        return {"cleared": True}

    def _add_faults(self, call: Call) -> object:
        given = json.loads(call.body)
        faults = [Fault.from_json(item) for item in (given if isinstance(given, list) else [given])]
        self.faults.add(*faults)
        return {"added": len(faults)}

    def _requests(self) -> Json:
        requests = [asdict(request) for request in self.requests.all()]
        return {"count": self.requests.count(), "requests": requests}

    def _set_options(self, call: Call) -> object:
        given = json.loads(call.body)
        self._change_options(given)
        return asdict(self.site.options)

    def _change_options(self, given: Json) -> None:
        unknown = set(given) - {field.name for field in fields(SiteOptions)}
        if unknown:
            msg = f"Unknown options: {', '.join(sorted(unknown))}."
            raise SeedError(msg)
        self.site.options = replace(self.site.options, **given)


_AWS_CODES = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDenied",
    404: "NotFound",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    429: "ThrottlingException",
    503: "ServiceUnavailable",
}


def _fault_json(fault: Fault) -> Json:
    body = fault.content
    return {**asdict(fault), "body": None if body is None else body.decode("utf-8", "replace")}
