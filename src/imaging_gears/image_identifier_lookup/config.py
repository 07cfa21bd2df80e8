"""GearConfig, one field per entry of the manifest's config; and the job that was started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imaging_gears.errors import ConfigError
from imaging_gears.model.participant import Mode
from imaging_gears.ports import ContainerRef

INPUT = "input_file"


class GearConfig(BaseModel):
    """What a user sets for a run. Frozen; a test holds it and manifest.json together."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    dry_run: bool = False
    database_mode: Mode = "prod"
    naccid_field_name: str = Field(default="naccid", pattern=r"^[A-Za-z0-9_-]+$")
    event_environment: Literal["prod", "dev"]
    event_bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    apikey_path_prefix: str = Field(
        default="/prod/flywheel/gearbot", pattern=r"^/[A-Za-z0-9_./-]+$"
    )
    event_fields: Literal["full", "strict"] = "full"
    strict_outputs: bool = False
    debug: bool = False


def parse_config(values: Mapping[str, Any]) -> GearConfig:
    """Return the config of a run from the ``config`` block of config.json.

    Raises:
        ConfigError: a value is missing, unknown or not allowed; the sentence names each of them.
    """
    try:
        return GearConfig.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        )
        message = f"The gear's configuration is not valid ({problems})."
        raise ConfigError(message, location="config") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the platform, or a person with a prepared folder, started the gear for.

    A local run has no `id`, no `file_id` and no `version` (contract flywheel.md, 7).
    """

    gear_version: str
    path: Path = field(repr=False)
    file_name: str = field(repr=False)
    id: str | None = None
    file_id: str | None = None
    version: int | None = None
    parent: ContainerRef | None = None
    destination: ContainerRef | None = None
    site_key: str | None = field(default=None, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def info(self) -> dict[str, Any]:
        """Return the ``job_info`` block of a QC record, in the shape that fw-gear gives it."""
        parent = None if self.parent is None else {"type": self.parent.type, "id": self.parent.id}
        return {
            "version": self.gear_version,
            "job_id": self.id or "",
            "inputs": {
                INPUT: {
                    "parent": parent,
                    "file_id": self.file_id or "",
                    "version": self.version or "",
                    "file_name": self.file_name,
                }
            },
            "config": dict(self.config),
        }


def parse_job(
    inputs: object,
    destination: object,
    job: object,
    config: object,
    *,
    gear_dir: Path,
    gear_version: str,
) -> Job:
    """Return the job from the blocks of config.json (contract flywheel.md, 4.1 and 7).

    A block that is missing or of another form counts as empty: what is needed of it is missed then.

    Raises:
        ConfigError: config.json has no input file, or one whose version is none.
    """
    entry = _mapping(_mapping(inputs).get(INPUT))
    location, obj = _mapping(entry.get("location")), _mapping(entry.get("object"))
    name, file_id = location.get("name"), str(obj.get("file_id") or "") or None
    if not name:
        message = f"The job has no input {INPUT}."
        raise ConfigError(message, location=f"inputs.{INPUT}")
    return Job(
        gear_version=gear_version,
        path=_input_path(gear_dir, str(location.get("path") or ""), str(name)),
        file_name=str(name),
        id=str(_mapping(job).get("id") or "") or None,
        file_id=file_id,
        version=_version(obj.get("version")) if file_id else None,
        parent=_ref(entry.get("hierarchy")),
        destination=_ref(destination),
        site_key=_site_key(_mapping(inputs)),
        config=_mapping(config),
    )


def _input_path(gear_dir: Path, path: str, name: str) -> Path:
    """Return where the input lies: where config.json says, else where the platform mounts it."""
    said = Path(path)
    return said if path and said.is_file() else gear_dir / "input" / INPUT / name


def _version(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    message = "The input's version in config.json is not a whole number of 1 or more."
    raise ConfigError(message, location=f"inputs.{INPUT}.object.version")


def _site_key(inputs: Mapping[str, Any]) -> str | None:
    """Return the job's own key; some sites leave ``base`` out of the api-key input."""
    for name, entry in inputs.items():
        block = _mapping(entry)
        if (block.get("base") == "api-key" or name == "api-key") and block.get("key"):
            return str(block["key"])
    return None


def _ref(block: object) -> ContainerRef | None:
    entry = _mapping(block)
    if entry.get("type") and entry.get("id"):
        return ContainerRef(str(entry["type"]), str(entry["id"]))
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
