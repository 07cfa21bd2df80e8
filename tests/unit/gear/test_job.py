"""Inputs of a job that may be missing, and what is wrong with one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, field_validator

from imaging_gears.errors import ConfigError
from imaging_gears.gear.job import Blocks, Job, parse_config, parse_job

HERE = Path("/nowhere")


def parse(**inputs: object) -> Job:
    """Return the job with these inputs, of which ``file`` is needed and ``key`` is not."""
    return parse_job(
        Blocks(inputs=inputs),
        gear_dir=HERE,
        gear_version="1",
        required=("file",),
        optional=("key",),
    )


def given(name: str, **about: object) -> dict[str, object]:
    """Return an input as it stands in config.json."""
    return {"base": "file", "location": {"name": name}, "object": about}


def test_an_optional_input_may_be_missing() -> None:
    """It is not among the files then."""
    assert list(parse(file=given("a.zip")).files) == ["file"]


def test_each_input_is_looked_for_where_the_platform_mounts_it() -> None:
    """In the folder of its own name."""
    files = parse(file=given("a.zip"), key=given("k.pem")).files
    assert {name: file.path for name, file in files.items()} == {
        "file": HERE / "input" / "file" / "a.zip",
        "key": HERE / "input" / "key" / "k.pem",
    }


@pytest.mark.parametrize("version", [None, 0, True, "3", 1.5])
def test_a_version_that_is_none_is_told_with_its_input(version: object) -> None:
    """Where a file has an id, its version is a whole number of 1 or more."""
    with pytest.raises(ConfigError, match="version") as raised:
        parse(file=given("a.zip", file_id="65f0", version=version))
    assert raised.value.location == "inputs.file.object.version"


class Limited(BaseModel):
    """A config with a rule of pydantic's and one of ours."""

    port: int
    title: str

    @field_validator("title")
    @classmethod
    def short(cls, value: str) -> str:
        """Return a title of no more than four characters."""
        if len(value) > 4:
            message = "a title has at most 4 characters"
            raise ValueError(message)
        return value


def test_a_config_that_is_not_valid_is_told_in_our_words() -> None:
    """Each value with what is wrong with it, and nothing of the library's own wording around it."""
    with pytest.raises(ConfigError) as raised:
        parse_config(Limited, {"port": "none", "title": "too long"})
    assert "; title: a title has at most 4 characters)." in raised.value.message
    assert "(port: " in raised.value.message
    assert "error," not in raised.value.message
