"""Custom information (``info``): its verbs and its keys. Pure functions."""

from __future__ import annotations

import math
from typing import Any

from imaging_gears.sandbox.site.errors import bad_request

Json = dict[str, Any]
_VERBS = {"set", "replace", "delete"}


def clean(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return `value` with ``.`` as ``_`` and ``$`` as ``-`` in all keys, as the site stores them.

    Raises:
        ApiError: 400, a number that JSON does not have.
    """
    if isinstance(value, dict):
        return {clean_key(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        msg = "Out of range float values are not JSON compliant."
        raise bad_request(msg)
    return value


def clean_key(key: str) -> str:
    """Return `key` as the site stores it."""
    return key.replace(".", "_").replace("$", "-")


def deep_merge(old: Json, new: Json) -> Json:
    """Return `old` with `new` laid over it, object by object; no key of `old` goes away."""
    merged = dict(old)
    for key, value in new.items():
        stored = merged.get(key)
        both = isinstance(stored, dict) and isinstance(value, dict)
        merged[key] = deep_merge(stored, value) if both else value  # type: ignore[arg-type]
    return merged


def apply_verbs(info: Json, body: object) -> Json:
    """Return `info` after ``{"set": {...}}``, ``{"replace": {...}}`` or ``{"delete": [...]}``.

    ``set`` is shallow: each of its keys is replaced whole. ``set`` and ``delete`` may come
    together.

    Raises:
        ApiError: 400, no verb, an unknown one, ``replace`` with another, or a value of the wrong
            type.
    """
    if not isinstance(body, dict) or not body or set(body) - _VERBS:
        msg = "The body must be an object with set, replace or delete."
        raise bad_request(msg)
    _check(body)
    if "replace" in body:
        return _as_object(clean(body["replace"]))
    changed = {**info, **_as_object(clean(body.get("set") or {}))}
    gone = {clean_key(str(key)) for key in body.get("delete") or ()}
    return {key: value for key, value in changed.items() if key not in gone}


def _check(body: Json) -> None:
    if "replace" in body and len(body) > 1:
        msg = "Cannot combine replace with set or delete."
        raise bad_request(msg)
    if not isinstance(body.get("delete") or [], list):
        msg = "delete takes a list of keys."
        raise bad_request(msg)


def _as_object(value: object) -> Json:
    if not isinstance(value, dict):
        msg = "set and replace take an object."
        raise bad_request(msg)
    return value
