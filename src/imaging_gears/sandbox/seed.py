"""What a sandbox starts with: a frozen model, also read from YAML (docs/sandbox.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class SeedError(ValueError):
    """A seed file that can't be used; the message is one sentence."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class FileSeed(_Model):
    """A file: its content is `text`, or that of `path`."""

    name: str
    text: str | None = None
    path: Path | None = None
    type: str | None = None
    modality: str | None = None
    tags: tuple[str, ...] = ()
    info: dict[str, Any] = Field(default_factory=dict)


class _Container(_Model):
    label: str
    info: dict[str, Any] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    files: tuple[FileSeed, ...] = ()


class AcquisitionSeed(_Container):
    """An acquisition."""


class SessionSeed(_Container):
    """A session and its acquisitions."""

    acquisitions: tuple[AcquisitionSeed, ...] = ()


class SubjectSeed(_Container):
    """A subject and its sessions."""

    sessions: tuple[SessionSeed, ...] = ()


class RuleSeed(_Model):
    """A gear rule; `gear` is the name of one of the seed's gears."""

    name: str
    gear: str
    config: dict[str, Any] = Field(default_factory=dict)
    all: tuple[dict[str, Any], ...] = ()
    any: tuple[dict[str, Any], ...] = ()
    not_: tuple[dict[str, Any], ...] = Field(default=(), alias="not")
    triggering_input: str | None = None
    priority: Literal["low", "medium", "high", "critical"] = "medium"


class ProjectSeed(_Container):
    """A project, its subjects and its gear rules."""

    subjects: tuple[SubjectSeed, ...] = ()
    rules: tuple[RuleSeed, ...] = ()


class GroupSeed(_Model):
    """A group and its projects."""

    id: str
    label: str | None = None
    projects: tuple[ProjectSeed, ...] = ()


class UserSeed(_Model):
    """A user with a key; `projects` are paths (``group/project``) that the key is limited to."""

    id: str
    role: Literal["admin", "read-write", "read-only"] = "read-write"
    projects: tuple[str, ...] | None = None


class ParameterSeed(_Model):
    """An SSM parameter.

    `value` may use ``{host}``, ``{port}``, ``{url}``, ``{key:USER}``, ``{identifiers_url}`` and
    ``{identifiers_key}``.
    """

    name: str
    value: str
    secure: bool = True


class IdentifierSeed(_Model):
    """A row of the registry."""

    mode: Literal["prod", "dev"] = "prod"
    adcid: int
    ptid: str
    naccid: str


class Seed(_Model):
    """Everything that a new sandbox holds. All paths are absolute, or relative to the YAML file."""

    groups: tuple[GroupSeed, ...] = ()
    gears: tuple[Path, ...] = ()
    users: tuple[UserSeed, ...] = ()
    identifiers: tuple[IdentifierSeed, ...] = ()
    identifiers_csv: tuple[Path, ...] = ()
    parameters: tuple[ParameterSeed, ...] = ()
    buckets: tuple[str, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def from_yaml(cls, path: Path) -> Seed:
        """Return the seed in a YAML file.

        Raises:
            SeedError: not readable, not YAML, or not a seed; the message names the place.
        """
        try:
            value = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            msg = f"The seed {path} can't be read: {type(error).__name__}."
            raise SeedError(msg) from error
        try:
            return cls.model_validate(_absolute(value or {}, path.resolve().parent))
        except ValidationError as error:
            raise SeedError(f"The seed {path} is not valid: {_first(error)}.") from error


def _absolute(value: Any, folder: Path, key: str = "") -> Any:  # noqa: ANN401 - any YAML value
    """Return `value` with the entries that are paths made absolute."""
    if isinstance(value, dict):
        return {name: _absolute(item, folder, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_absolute(item, folder, key) for item in value]
    return str(folder / value) if key in ("path", "gears", "identifiers_csv") else value


def _first(error: ValidationError) -> str:
    entry = error.errors(include_input=False)[0]
    place = ".".join(str(step) for step in entry["loc"])
    return f"{place}: {entry['msg']}"


def default_seed() -> Seed:
    """Return a small center: two participants that the registry knows, one that it does not."""
    labels = ("110001", "110002", "990001")
    subjects = [
        {"label": label, "sessions": [{"label": "visit-1", "acquisitions": [{"label": "T1"}]}]}
        for label in labels
    ]
    project = {"label": "ingest-dicom", "info": {"pipeline_adcid": 42}, "subjects": subjects}
    rows = (
        ("prod", "110001", "NACC000042"),
        ("prod", "110002", "NACC000043"),
        ("dev", "110001", "TEST000042"),
    )
    return Seed.model_validate(
        {
            "groups": [{"id": "alpha-center", "projects": [project]}],
            "users": [{"id": "gearbot", "role": "read-write"}],
            "identifiers": [
                {"mode": mode, "adcid": 42, "ptid": ptid, "naccid": naccid}
                for mode, ptid, naccid in rows
            ],
            "parameters": [{"name": "/prod/flywheel/gearbot/apikey", "value": "{key:gearbot}"}],
            "buckets": ["nacc-event-logs"],
        }
    )
