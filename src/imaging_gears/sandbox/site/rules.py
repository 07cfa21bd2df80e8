"""Gear rules: whether a file satisfies one. Pure functions."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from imaging_gears.sandbox.site.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Json = dict[str, Any]
_LISTS = ("any", "all", "not")


def new_rule(body: Json, rule_id: str, project_id: str) -> Json:
    """Return a rule's document with all its fields.

    Raises:
        ApiError: 400, no gear or no name, or a condition of an unknown type.
    """
    if not body.get("gear_id") or not body.get("name"):
        msg = "A rule needs gear_id and name."
        raise bad_request(msg)
    rule = {**_BLANK, **{key: value for key, value in body.items() if value is not None}}
    for condition in (condition for key in _LISTS for condition in rule[key]):
        if condition.get("type") not in _SUBJECTS:
            msg = f"Unknown condition type {condition.get('type')}."
            raise bad_request(msg)
    return {**rule, "_id": rule_id, "project_id": project_id}


_BLANK: Json = {
    "role_id": None,
    "config": {},
    "fixed_inputs": [],
    "priority": "medium",
    "auto_update": False,
    "revision": 1,
    "any": [],
    "all": [],
    "not": [],
    "disabled": False,
    "compute_provider_id": None,
    "triggering_input": None,
    "tags": [],
}


def fires(rule: Json, before: Json | None, after: Json, others: list[Json]) -> bool:
    """Tell whether a change of a file starts the rule's gear.

    Args:
        rule: the rule.
        before: the file before the change; None for a new file or a new version.
        after: the file now.
        others: the other files of its container.
    """
    if rule["disabled"] or not satisfied(rule, after, others):
        return False
    return before is None or not satisfied(rule, before, others)


def satisfied(rule: Json, file: Json, others: list[Json]) -> bool:
    """Tell whether every condition of ``all``, one of ``any`` and none of ``not`` holds."""
    some, every, none = (
        [_holds(condition, file, others) for condition in rule[key]] for key in _LISTS
    )
    return all(every) and (any(some) or not some) and not any(none)


def _holds(condition: Json, file: Json, others: list[Json]) -> bool:
    values = list(_SUBJECTS[condition["type"]](file, others))
    wanted = condition["value"]
    wanted = wanted if isinstance(wanted, list) else [wanted]
    test = _test(condition)
    return any(test(str(value), str(item)) for value in values if value for item in wanted)


def _test(condition: Json) -> Callable[[str, str], bool]:
    if condition.get("regex"):
        return lambda value, pattern: re.search(pattern, value, re.IGNORECASE) is not None
    if condition["type"] == "file.name":
        return lambda value, pattern: fnmatch(value.lower(), pattern.lower())
    return lambda value, wanted: value.lower() == wanted.lower()


def _classes(file: Json) -> Iterable[Any]:
    return [item for items in file["classification"].values() for item in items]


_SUBJECTS: dict[str, Callable[[Json, list[Json]], Iterable[Any]]] = {
    "file.type": lambda file, _: [file["type"]],
    "file.name": lambda file, _: [file["name"]],
    "file.modality": lambda file, _: [file["modality"]],
    "file.classification": lambda file, _: _classes(file),
    "file.tags": lambda file, _: file["tags"],
    "file.parent_ref.type": lambda file, _: [file["parent_ref"]["type"]],
    "container.has-type": lambda file, others: [item["type"] for item in [file, *others]],
    "container.has-classification": lambda file, others: [
        item for each in [file, *others] for item in _classes(each)
    ],
    "gear.name": lambda file, _: [(file["gear_info"] or {}).get("name")],
    "gear.version": lambda file, _: [(file["gear_info"] or {}).get("version")],
}
