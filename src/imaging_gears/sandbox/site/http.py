"""Routing and error bodies of the site."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from imaging_gears.sandbox.site.access import SYSTEM, Principal
from imaging_gears.sandbox.site.errors import ApiError, bad_request
from imaging_gears.sandbox.wire import Call, Reply, Target, strict_json

if TYPE_CHECKING:
    from imaging_gears.sandbox.site.state import Site

Json = dict[str, Any]
PREFIX = "/api"


@dataclass(slots=True)
class Context:
    """One request to the site, on its way through a handler."""

    site: Site
    call: Call
    params: dict[str, str]
    query: dict[str, str]
    principal: Principal = SYSTEM

    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the body.

        Raises:
            ApiError: 400, not JSON; NaN and Infinity are none.
        """
        try:
            return strict_json(self.call.body)
        except ValueError as error:
            msg = "The body is not valid JSON."
            raise bad_request(msg, detail=str(error)) from error

    def object(self) -> Json:
        """Return the body, which must be an object."""
        body = self.json()
        if not isinstance(body, dict):
            msg = "The body must be an object."
            raise bad_request(msg)
        return body

    def flag(self, name: str) -> bool:
        """Return a boolean parameter of the query."""
        return self.query.get(name, "").lower() in ("true", "1", "yes")

    @property
    def version(self) -> int | None:
        """The ``version`` parameter; None and 0 are the newest."""
        text = self.query.get("version") or "0"
        if not text.isdecimal():
            msg = "version must be a whole number."
            raise bad_request(msg)
        return int(text) or None


Handler = Callable[[Context], object]


class _Route(NamedTuple):
    """One method and pattern."""

    method: str
    pattern: str
    regex: re.Pattern[str]
    handler: Handler
    by_ticket: bool


class Router:
    """The routes of the site, in order: the first that matches method and path is it."""

    def __init__(self) -> None:
        self._routes: list[_Route] = []

    def route(
        self, methods: str, pattern: str, *, by_ticket: bool = False
    ) -> Callable[[Handler], Handler]:
        """Register a handler for ``"GET"`` (or ``"GET POST"``) and ``/files/{file_id}``.

        Args:
            methods: separated by blanks.
            pattern: a name in braces stands for one segment.
            by_ticket: a request with a ticket needs no key; the handler checks the ticket.
        """
        regex = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern))

        def register(handler: Handler) -> Handler:
            for method in methods.split():
                self._routes.append(_Route(method, pattern, regex, handler, by_ticket))
            return handler

        return register

    def include(self, other: Router) -> None:
        """Append the routes of another router."""
        self._routes.extend(other._routes)

    def target(self, site: Site, call: Call) -> Target:
        """Return what answers a call."""
        path = call.path.removeprefix(PREFIX).rstrip("/")
        known = False
        for route in self._routes:
            if match := route.regex.fullmatch(path):
                known = True
                if route.method == call.method:
                    params = {key: unquote(value) for key, value in match.groupdict().items()}
                    context = Context(site, call, params, call.query)
                    return Target("flywheel", route.pattern, partial(_run, route, context))
        missing = ApiError(405, "Method not allowed.") if known else ApiError(404, "No such route.")
        return Target("flywheel", path, lambda: error_reply(missing))


def _run(route: _Route, context: Context) -> Reply:
    """Authenticate, run a handler, and turn what it returns or raises into a reply."""
    try:
        if not (route.by_ticket and context.query.get("ticket")):
            header = context.call.headers.get("Authorization", "")
            context.principal = context.site.access.authenticate(header)
        value = route.handler(context)
    except ApiError as error:
        return error_reply(error, detail_only=context.site.options.detail_only_422)
    return value if isinstance(value, Reply) else Reply.json(value)


def error_reply(error: ApiError, *, detail_only: bool = False) -> Reply:
    """Return the body of a refusal; with `detail_only` a 400 becomes FastAPI's 422."""
    if detail_only and error.status == 400:  # noqa: PLR2004
        detail = [{"loc": ["body"], "msg": error.message, "type": "value_error"}]
        return Reply.json({"detail": detail}, 422)
    body = {"message": error.message, "status_code": error.status, "detail": error.detail}
    return Reply.json(body, error.status)
