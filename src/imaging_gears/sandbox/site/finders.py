"""The finders' query: ``filter``, ``sort``, ``limit``, ``after_id``, ``page``, ``skip``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from imaging_gears.sandbox.site.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Json = dict[str, Any]
_CONDITION = re.compile(
    r"\s*(?P<field>[\w.\-]+)\s*(?P<op>=\||=~|!=|<=|>=|=|<|>)(?P<value>.*)", re.DOTALL
)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: a dotted path, an operator, a value (a list for ``=|``)."""

    field: str
    op: str
    value: Any

    def holds(self, doc: Json) -> bool:
        """Tell whether any value at the path satisfies the condition (for ``!=``: none equals)."""
        values = list(_values(doc, self.field.split(".")))
        if self.op == "!=":
            return all(not _equal(value, self.value) for value in values)
        return any(_OPERATORS[self.op](value, self.value) for value in values)


def parse_filter(text: str) -> list[Condition]:
    r"""Return the conditions of a filter; all of them must hold.

    Conditions are joined by commas; a comma within a value is written ``\,``, or stands in quotes
    or in the brackets of ``=|[a,b]``.

    Raises:
        ApiError: 400, not a filter.
    """
    return [_condition(part) for part in _split(text) if part.strip()]


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        msg = f"Invalid filter condition: {text.strip()}"
        raise bad_request(msg)
    field, op, raw = match["field"], match["op"], match["value"].strip()
    field = {"id": "_id"}.get(field, field)
    if op == "=|":
        return Condition(field, op, [_literal(item) for item in _split(raw.strip("[]"))])
    if op == "=~":
        return Condition(field, op, _pattern(raw))
    return Condition(field, op, _literal(raw))


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        msg = f"Invalid regular expression: {error}"
        raise bad_request(msg) from error


def _split(text: str) -> list[str]:
    parts, current, depth, quote, position = [], "", 0, "", 0
    while position < len(text):
        char = text[position]
        if char == "\\" and text[position + 1 : position + 2] == ",":
            current, position = current + ",", position + 2
            continue
        if char == '"':
            quote = "" if quote else char
        elif not quote and char in "[]":
            depth += 1 if char == "[" else -1
        if char == "," and not quote and depth <= 0:
            parts.append(current)
            current = ""
        else:
            current += char
        position += 1
    return [*parts, current]


def _literal(text: str) -> Any:  # noqa: ANN401 - str, number, bool or None
    """Read a value: quoted it is text, unquoted it may be a number, a boolean or null."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return _WORDS.get(text.lower(), text)


def _values(doc: Any, path: list[str]) -> Iterable[Any]:  # noqa: ANN401 - any JSON value
    if isinstance(doc, list):
        for item in doc:
            yield from _values(item, path)
        if not doc and not path:
            yield None
    elif not path:
        yield doc
    else:
        yield from _values(doc.get(path[0]) if isinstance(doc, dict) else None, path[1:])


def _equal(stored: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON value
    return bool(stored == wanted) and isinstance(stored, bool) == isinstance(wanted, bool)


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(stored: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON value
        try:
            return test(stored, wanted)
        except TypeError:  # None, or text against a number: not comparable is not true
            return False

    return compare


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": _equal,
    "=|": lambda stored, wanted: any(_equal(stored, item) for item in wanted),
    "=~": lambda stored, wanted: isinstance(stored, str) and wanted.search(stored) is not None,
    "<": _compare(lambda a, b: bool(a < b)),
    ">": _compare(lambda a, b: bool(a > b)),
    "<=": _compare(lambda a, b: bool(a <= b)),
    ">=": _compare(lambda a, b: bool(a >= b)),
}


def select(docs: Iterable[Json], query: Mapping[str, str], *, key: str = "_id") -> list[Json]:
    """Return the page of `docs` that `query` asks for.

    Args:
        docs: candidates, oldest first.
        query: parameters of the request.
        key: the field that ``after_id`` speaks of.

    Raises:
        ApiError: 400, a malformed parameter.
    """
    chosen = matching(docs, query)
    if sort := query.get("sort"):
        chosen = _sorted(chosen, sort)
    if after := query.get("after_id"):
        chosen = [doc for doc in sorted(chosen, key=lambda doc: str(doc[key])) if doc[key] > after]
    limit = _integer(query, "limit", 0)
    skip = _integer(query, "skip", 0) + max(_integer(query, "page", 1) - 1, 0) * limit
    return chosen[skip : skip + limit] if limit else chosen[skip:]


def matching(docs: Iterable[Json], query: Mapping[str, str]) -> list[Json]:
    """Return those of `docs` that satisfy the ``filter`` of `query`."""
    conditions = parse_filter(query.get("filter", ""))
    return [doc for doc in docs if all(condition.holds(doc) for condition in conditions)]


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name) or str(default)
    if not text.isdecimal():
        msg = f"{name} must be a whole number."
        raise bad_request(msg)
    return int(text)


def _sorted(docs: list[Json], sort: str) -> list[Json]:
    for part in reversed(sort.split(",")):
        field, _, order = part.strip().partition(":")
        key = partial(_order, path=field.split("."))
        docs = sorted(docs, key=key, reverse=order.lower() == "desc")
    return docs


def _order(doc: Json, *, path: list[str]) -> tuple[int, Any]:
    value = next(iter(_values(doc, path)), None)
    if value is None:
        return (0, 0)
    return (1, value) if isinstance(value, (int, float)) else (2, str(value))
