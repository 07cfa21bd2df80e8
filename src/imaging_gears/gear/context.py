"""The folder that a gear is started in: config.json and manifest.json, read with fw-gear."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from fw_gear.config import Config, ConfigValidationError
from fw_gear.manifest import Manifest, ManifestValidationError

from imaging_gears.errors import ConfigError
from imaging_gears.gear.job import Blocks, Job, parse_job

GEAR_DIR = "/flywheel/v0"
# What JSON of another shape makes fw-gear raise; the last one where it is nested deeply.
_MALFORMED = (ValueError, TypeError, AttributeError, KeyError, RecursionError)


def gear_folder() -> Path:
    """Return the folder that FLYWHEEL names, else the one of the platform."""
    return Path(os.environ.get("FLYWHEEL") or GEAR_DIR)


def read_job(
    gear_dir: Path,
    *,
    gear: str | None = None,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Job:
    """Return the job in a gear's folder.

    Args:
        gear_dir: with config.json and manifest.json in it.
        gear: the running gear's name. An image of several gears has one manifest.json and those of
            the others below gears/; without a name the former counts.
        required: names of the file inputs that the gear can't do without.
        optional: names of its other file inputs.

    Raises:
        ConfigError: one of the two files is missing or can't be used.
    """
    blocks = _blocks(gear_dir / "config.json")
    version = _gear_version(_manifest(gear_dir, gear))
    return parse_job(
        blocks, gear_dir=gear_dir, gear_version=version, required=required, optional=optional
    )


def _blocks(path: Path) -> Blocks:
    try:
        config = Config(None, json.loads(path.read_text()))
    except FileNotFoundError:
        message = f"There is no {path}."
        raise ConfigError(message, location="config.json") from None
    except (OSError, ConfigValidationError, *_MALFORMED):
        # Their texts may repeat what the file holds: keys.
        message = f"{path} can't be read as a job's configuration."
        raise ConfigError(message, location="config.json") from None
    return Blocks(
        inputs=config.inputs, destination=config.destination, job=config.job, config=config.opts
    )


def _manifest(gear_dir: Path, gear: str | None) -> Path:
    """Return the manifest of a gear: what the platform supplies, else what the image has of it."""
    supplied = gear_dir / "manifest.json"
    own = gear_dir / "gears" / (gear or "") / "manifest.json"
    if gear is None or not own.is_file():
        return supplied
    try:
        return supplied if Manifest(supplied).name == gear else own
    except (OSError, ManifestValidationError, *_MALFORMED):
        return own


def _gear_version(path: Path) -> str:
    try:
        version = Manifest(path).version
    except FileNotFoundError:
        message = f"There is no {path}."
        raise ConfigError(message, location="manifest.json") from None
    except (OSError, ManifestValidationError, *_MALFORMED):
        version = None
    if not isinstance(version, str) or not version:
        message = f"{path} can't be read as a gear's manifest with a version."
        raise ConfigError(message, location="manifest.json")
    return version
