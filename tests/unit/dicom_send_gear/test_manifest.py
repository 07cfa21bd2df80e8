"""Which manifest counts in an image that has several gears."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imaging_gears.dicom_send import GEAR
from imaging_gears.errors import ConfigError
from imaging_gears.gear.context import read_job

REPOSITORY = Path(__file__).resolve().parents[3]


def folder(tmp_path: Path, supplied: str | None, *, own: bool = True) -> Path:
    """Return a gear's folder with a manifest.json of that text, and the image's of dicom-send."""
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    if supplied is not None:
        (tmp_path / "manifest.json").write_text(supplied, encoding="utf-8")
    if own:
        (tmp_path / "gears" / GEAR).mkdir(parents=True)
        write(tmp_path / "gears" / GEAR / "manifest.json", version="2.0.0")
    return tmp_path


def write(path: Path, **changes: str) -> None:
    """Write the manifest of dicom-send with other values."""
    path.write_text(manifest(**changes), encoding="utf-8")


def manifest(**changes: str) -> str:
    """Return the manifest of dicom-send with other values."""
    text = (REPOSITORY / "gears" / GEAR / "manifest.json").read_text(encoding="utf-8")
    return json.dumps({**json.loads(text), **changes})


@pytest.mark.parametrize(
    "supplied", [None, "no manifest", manifest(name="image-identifier-lookup", version="1.0.0")]
)
def test_the_image_has_its_own_where_none_of_this_gear_is_supplied(
    tmp_path: Path, supplied: str | None
) -> None:
    """The version is that of the gear that runs, not of the one whose manifest lies there."""
    assert read_job(folder(tmp_path, supplied), gear=GEAR).gear_version == "2.0.0"


def test_a_manifest_of_this_gear_that_is_supplied_counts(tmp_path: Path) -> None:
    """It is the job's."""
    given = folder(tmp_path, manifest(version="3.0.0"))
    assert read_job(given, gear=GEAR).gear_version == "3.0.0"


def test_without_a_name_or_an_own_one_what_is_supplied_counts(tmp_path: Path) -> None:
    """As for a gear that is alone in its image."""
    supplied = manifest(name="another", version="4.0.0")
    given = folder(tmp_path, supplied, own=False)
    assert read_job(given, gear=GEAR).gear_version == "4.0.0"
    assert read_job(given).gear_version == "4.0.0"


def test_without_any_manifest_the_missing_one_is_named(tmp_path: Path) -> None:
    """One sentence."""
    given = folder(tmp_path, None, own=False)
    with pytest.raises(ConfigError, match=r"There is no .*manifest\.json"):
        read_job(given, gear=GEAR)
