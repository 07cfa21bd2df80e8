"""Putting a seed into a new sandbox."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from imaging_gears.sandbox.seed import FileSeed, ProjectSeed, RuleSeed, Seed
    from imaging_gears.sandbox.site.state import Site

Json = dict[str, Any]
_PLACEHOLDER = re.compile(r"\{(host|port|url|identifiers_url|identifiers_key|key:[^{}]+)\}")
_BELOW = {"project": "subjects", "subject": "sessions", "session": "acquisitions"}


def plant_site(site: Site, seed: Seed) -> None:
    """Make the containers, files, gears, rules and users of `seed`, all or nothing."""
    with site.store.transaction():
        for manifest in seed.gears:
            site.add_gear(manifest)
        for group in seed.groups:
            site.add_group(group.id, group.label)
            for project in group.projects:
                _plant_project(site, group.id, project)
        for user in seed.users:
            limits = [site.lookup(path)["_id"] for path in user.projects or ()]
            site.access.add_user(user.id, user.role, None if user.projects is None else limits)


def _plant_project(site: Site, group: str, project: ProjectSeed) -> None:
    id_ = site.add_project(group, project.label, project.info)
    _fill(site, id_, project)
    _plant_below(site, id_, "project", project)
    for rule in project.rules:
        site.add_rule(id_, _rule(rule))


def _plant_below(site: Site, parent: str, kind: str, seed: Any) -> None:  # noqa: ANN401 - any level
    plural = _BELOW.get(kind)
    for child in getattr(seed, plural) if plural else ():
        below = str(plural)[:-1]
        id_ = getattr(site, f"add_{below}")(parent, child.label, child.info)
        _fill(site, id_, child)
        _plant_below(site, id_, below, child)


def _fill(site: Site, id_: str, seed: Any) -> None:  # noqa: ANN401 - any level
    if seed.tags:
        site.hierarchy.change_tags(id_, list(seed.tags), [])
    for file in seed.files:
        site.upload(id_, file.name, _content(file), **_metadata(file))


def _content(file: FileSeed) -> bytes:
    return file.path.read_bytes() if file.path else (file.text or "").encode()


def _metadata(file: FileSeed) -> Json:
    given = {"type": file.type, "modality": file.modality}
    return {**given, "tags": list(file.tags), "info": file.info}


def _rule(rule: RuleSeed) -> Json:
    return {
        "name": rule.name,
        "gear_id": rule.gear,
        "config": rule.config,
        "all": list(rule.all),
        "any": list(rule.any),
        "not": list(rule.not_),
        "triggering_input": rule.triggering_input,
        "priority": rule.priority,
    }


def expand(template: str, values: dict[str, str], keys: Callable[[str], str]) -> str:
    """Return `template` with its placeholders filled.

    Args:
        template: text with ``{host}`` and the like.
        values: what the plain placeholders stand for.
        keys: gives the key of a user, for ``{key:USER}``.

    Raises:
        KeyError: no such user.
    """

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        return keys(name[4:]) if name.startswith("key:") else values[name]

    return _PLACEHOLDER.sub(fill, template)
