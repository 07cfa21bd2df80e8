"""The job that the platform started, out of config.json; and the check of a gear's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from imaging_gears.errors import ConfigError
from imaging_gears.gear.blocks import as_block
from imaging_gears.ports import ContainerRef

C = TypeVar("C", bound=BaseModel)

_OURS = "Value error, "
"""What pydantic puts before the sentence of a validator of ours."""


def parse_config(model: type[C], values: Mapping[str, Any]) -> C:
    """Return the config of a run from the ``config`` block of config.json.

    Raises:
        ConfigError: a value is missing, unknown or not allowed; the sentence names each of them.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix(_OURS)}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        )
        message = f"The gear's configuration is not valid ({problems})."
        raise ConfigError(message, location="config") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file that a job was given.

    In a local run it has no `file_id` and no `version` (contract flywheel.md, 7).
    """

    path: Path = field(repr=False)
    name: str = field(repr=False)
    file_id: str | None = None
    version: int | None = None
    parent: ContainerRef | None = None

    def info(self) -> dict[str, Any]:
        """Return its entry in ``job_info``."""
        parent = None if self.parent is None else {"type": self.parent.type, "id": self.parent.id}
        return {
            "parent": parent,
            "file_id": self.file_id or "",
            "version": self.version or "",
            "file_name": self.name,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the platform, or a person with a prepared folder, started a gear for.

    A local run has no `id`. `files` maps names of inputs to the files that were given.
    """

    gear_version: str
    files: Mapping[str, InputFile] = field(default_factory=dict)
    id: str | None = None
    destination: ContainerRef | None = None
    site_key: str | None = field(default=None, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def info(self, config: type[BaseModel]) -> dict[str, Any]:
        """Return the ``job_info`` block of a QC record, in the shape that fw-gear gives it.

        Of the config as it was given, what the gear's own config model `config` names: whatever
        else somebody put there may be a key, and everybody who sees the file can read the block.
        """
        return {
            "version": self.gear_version,
            "job_id": self.id or "",
            "inputs": {name: file.info() for name, file in self.files.items()},
            "config": {k: v for k, v in self.config.items() if k in config.model_fields},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """What config.json holds, as it stands there; nothing is known of its form."""

    inputs: object = None
    destination: object = None
    job: object = None
    config: object = None


def parse_job(
    blocks: Blocks,
    *,
    gear_dir: Path,
    gear_version: str,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Job:
    """Return the job from the blocks of config.json (contract flywheel.md, 4.1 and 7).

    A block that is missing or of another form counts as empty: what is needed of it is missed then.

    Args:
        blocks: of config.json.
        gear_dir: where the platform mounts inputs.
        gear_version: of the gear's manifest.
        required: names of the file inputs that a job must have.
        optional: names of those that it may have.

    Raises:
        ConfigError: config.json lacks a required file, or has one whose version is none.
    """
    inputs, files = as_block(blocks.inputs), {}
    for name in (*required, *optional):
        file = _input_file(name, as_block(inputs.get(name)), gear_dir)
        if file is not None:
            files[name] = file
        elif name in required:
            message = f"The job has no input {name}."
            raise ConfigError(message, location=f"inputs.{name}")
    return Job(
        gear_version=gear_version,
        files=files,
        id=str(as_block(blocks.job).get("id") or "") or None,
        destination=_ref(blocks.destination),
        site_key=_site_key(inputs),
        config=as_block(blocks.config),
    )


def _input_file(input_: str, entry: Mapping[str, Any], gear_dir: Path) -> InputFile | None:
    location, obj = as_block(entry.get("location")), as_block(entry.get("object"))
    name, file_id = location.get("name"), str(obj.get("file_id") or "") or None
    if not name:
        return None
    said = str(location.get("path") or "")
    # Where config.json says, else where the platform mounts it.
    mounted = gear_dir / "input" / input_ / str(name)
    return InputFile(
        path=Path(said) if said and Path(said).is_file() else mounted,
        name=str(name),
        file_id=file_id,
        version=_version(obj.get("version"), input_) if file_id else None,
        parent=_ref(entry.get("hierarchy")),
    )


def _version(value: object, input_: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    message = "The input's version in config.json is not a whole number of 1 or more."
    raise ConfigError(message, location=f"inputs.{input_}.object.version")


def _site_key(inputs: Mapping[str, Any]) -> str | None:
    """Return the job's own key; some sites leave ``base`` out of the api-key input."""
    for name, entry in inputs.items():
        given = as_block(entry)
        if (given.get("base") == "api-key" or name == "api-key") and given.get("key"):
            return str(given["key"])
    return None


def _ref(value: object) -> ContainerRef | None:
    entry = as_block(value)
    if entry.get("type") and entry.get("id"):
        return ContainerRef(str(entry["type"]), str(entry["id"]))
    return None
