"""GearConfig, one field per entry of the manifest's config."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imaging_gears.model.participant import Mode

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
