"""GearConfig against manifest.json, and the job out of a config.json of a site and of fw-beta."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from fw_gear.manifest import Manifest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imaging_gears.errors import ConfigError
from imaging_gears.gear import job as gear_job
from imaging_gears.gear.job import Blocks, InputFile, Job, parse_job
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.config import INPUT, GearConfig
from imaging_gears.ports import ContainerRef

REPOSITORY = Path(__file__).resolve().parents[3]
GOLDEN = REPOSITORY / "tests" / "golden"
MANIFEST: dict[str, Any] = json.loads((REPOSITORY / "manifest.json").read_text(encoding="utf-8"))
REQUIRED = {"event_environment": "dev", "event_bucket": "nacc-event-logs"}
JSON_TYPES = {bool: "boolean", str: "string", int: "integer", float: "number"}


def parse_config(values: dict[str, Any]) -> GearConfig:
    """Return the gear's config out of that block of config.json."""
    return gear_job.parse_config(GearConfig, values)


# -- manifest --------------------------------------------------------------------------------------


def test_the_manifest_is_valid_with_its_classification() -> None:
    """For Flywheel's own check, which looks at suite and classification too."""
    Manifest(REPOSITORY / "manifest.json").validate(validate_classification=True)


def test_the_manifest_is_the_gears() -> None:
    """Name, inputs, shown job, network."""
    assert MANIFEST["name"] == GEAR == "image-identifier-lookup"
    assert set(MANIFEST["inputs"]) == {"api-key", "input_file"}
    assert MANIFEST["inputs"]["api-key"]["base"] == "api-key"
    assert MANIFEST["inputs"]["input_file"]["base"] == "file"
    assert MANIFEST["inputs"]["input_file"]["type"] == {"enum": ["dicom"]}
    assert MANIFEST["custom"]["flywheel"]["show-job"] is True
    assert MANIFEST["capabilities"] == ["networking"]
    assert MANIFEST["environment"]["FLYWHEEL"] == "/flywheel/v0"


# What the gear is asked to have, entry by entry: type, default, allowed values.
CONFIG: dict[str, tuple[str, object, list[str] | None]] = {
    "dry_run": ("boolean", False, None),
    "database_mode": ("string", "prod", ["prod", "dev"]),
    "naccid_field_name": ("string", "naccid", None),
    "event_environment": ("string", None, ["prod", "dev"]),
    "event_bucket": ("string", None, None),
    "apikey_path_prefix": ("string", "/prod/flywheel/gearbot", None),
    "event_fields": ("string", "full", ["full", "strict"]),
    "strict_outputs": ("boolean", False, None),
    "debug": ("boolean", False, None),
}


def test_the_manifest_has_exactly_the_config_that_is_asked_for() -> None:
    """Names, types, defaults, allowed values; what has no default is required."""
    found = {
        name: (entry["type"], entry.get("default"), entry.get("enum"))
        for name, entry in MANIFEST["config"].items()
    }
    assert found == CONFIG
    assert not any("optional" in entry for entry in MANIFEST["config"].values())
    assert all(entry["description"] for entry in MANIFEST["config"].values())


def test_the_model_has_the_manifests_names() -> None:
    """One field per entry, in the same order."""
    assert list(GearConfig.model_fields) == list(MANIFEST["config"])


@pytest.mark.parametrize("name", MANIFEST["config"])
def test_model_and_manifest_agree_on(name: str) -> None:
    """Type, default, enum and whether the value has to be given."""
    entry, field = MANIFEST["config"][name], GearConfig.model_fields[name]
    assert field.is_required() is ("default" not in entry)
    if "default" in entry:
        assert field.default == entry["default"]
    literals = list(get_args(field.annotation))
    assert literals == entry.get("enum", [])
    kind = type(literals[0]) if literals else field.annotation
    assert JSON_TYPES[kind] == entry["type"]  # type: ignore[index]


# -- config ----------------------------------------------------------------------------------------


def test_defaults_are_filled_in() -> None:
    """Only environment and bucket have to be given."""
    assert parse_config(REQUIRED).model_dump() == {
        "dry_run": False,
        "database_mode": "prod",
        "naccid_field_name": "naccid",
        "event_environment": "dev",
        "event_bucket": "nacc-event-logs",
        "apikey_path_prefix": "/prod/flywheel/gearbot",
        "event_fields": "full",
        "strict_outputs": False,
        "debug": False,
    }


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"event_environment": None}, "event_environment"),
        ({"event_environment": "stage"}, "event_environment"),
        ({"event_bucket": None}, "event_bucket"),
        ({"event_bucket": ""}, "event_bucket"),
        ({"event_bucket": "s3://bucket"}, "event_bucket"),
        ({"database_mode": "PROD"}, "database_mode"),
        ({"event_fields": "all"}, "event_fields"),
        ({"naccid_field_name": ""}, "naccid_field_name"),
        ({"naccid_field_name": "a.b"}, "naccid_field_name"),
        ({"apikey_path_prefix": "prod"}, "apikey_path_prefix"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"strict_outputs": 1}, "strict_outputs"),
        ({"debug": None}, "debug"),
        ({"dryrun": True}, "dryrun"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(change: dict[str, object], named: str) -> None:
    """One clear sentence that names the entry."""
    with pytest.raises(ConfigError) as raised:
        parse_config({**REQUIRED, **change})
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.location == "config"
    assert raised.value.disposition == "fail-job"


@pytest.mark.parametrize("name", REQUIRED)
def test_environment_and_bucket_are_both_needed(name: str) -> None:
    """Without one of them there is no run."""
    with pytest.raises(ConfigError, match=name):
        parse_config({key: value for key, value in REQUIRED.items() if key != name})


def test_all_problems_are_named_at_once() -> None:
    """Nobody corrects a rule three times."""
    with pytest.raises(ConfigError) as raised:
        parse_config({"debug": "maybe", "database_mode": "x"})
    assert all(
        name in str(raised.value)
        for name in ("debug", "database_mode", "event_environment", "event_bucket")
    )


def test_the_config_does_not_change() -> None:
    """It is a value."""
    with pytest.raises(ValidationError):
        parse_config(REQUIRED).dry_run = True  # type: ignore[misc]


# -- config.json -----------------------------------------------------------------------------------


def read_job(name: str, gear_dir: Path) -> Job:
    """Return the job of a golden config.json, with the input mounted in `gear_dir`."""
    blocks = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    folder = gear_dir / "input" / "input_file"
    folder.mkdir(parents=True)
    (folder / "T1.dicom.zip").write_bytes(b"")
    keys = ("inputs", "destination", "job", "config")
    return parse_job(
        Blocks(**{key: blocks.get(key) for key in keys}),
        gear_dir=gear_dir,
        gear_version="0.1.0",
        required=(INPUT,),
    )


def test_the_config_json_of_a_site(tmp_path: Path) -> None:
    """File, version, container, destination, job and the job's own key are taken from it."""
    job = read_job("config_site.json", tmp_path)
    assert job == Job(
        gear_version="0.1.0",
        files={
            "input_file": InputFile(
                path=tmp_path / "input" / "input_file" / "T1.dicom.zip",
                name="T1.dicom.zip",
                file_id="65f000000000000000000002",
                version=3,
                parent=ContainerRef("acquisition", "65f000000000000000000003"),
            )
        },
        id="65f000000000000000000001",
        destination=ContainerRef("acquisition", "65f000000000000000000003"),
        site_key="site.example.org:golden-key",
        config={"event_environment": "prod", "event_bucket": "nacc-event-logs", "debug": False},
    )
    assert "golden-key" not in repr(job)
    assert "T1" not in repr(job)


def test_the_config_json_of_fw_beta(tmp_path: Path) -> None:
    """No job, no hierarchy, an empty file_id: the version written there counts for nothing."""
    job = read_job("config_fw_beta.json", tmp_path)
    file = job.files[INPUT]
    assert (job.id, file.file_id, file.version, file.parent) == (None, None, None, None)
    assert job.destination is None
    assert job.site_key == "site.example.org:golden-key"
    assert file.name == "T1.dicom.zip"


def test_job_info_has_the_shape_that_fw_gear_gives_it(tmp_path: Path) -> None:
    """Readers of ``qc.{gear}.job_info`` know it from other gears."""
    assert read_job("config_site.json", tmp_path).info(GearConfig) == {
        "version": "0.1.0",
        "job_id": "65f000000000000000000001",
        "inputs": {
            "input_file": {
                "parent": {"type": "acquisition", "id": "65f000000000000000000003"},
                "file_id": "65f000000000000000000002",
                "version": 3,
                "file_name": "T1.dicom.zip",
            }
        },
        "config": {
            "event_environment": "prod",
            "event_bucket": "nacc-event-logs",
            "debug": False,
        },
    }


def test_job_info_of_a_local_run_has_empty_ids(tmp_path: Path) -> None:
    """What is not there is an empty text, and no key of the site is in it."""
    info = read_job("config_fw_beta.json", tmp_path).info(GearConfig)
    assert info["job_id"] == ""
    assert info["inputs"]["input_file"] == {
        "parent": None,
        "file_id": "",
        "version": "",
        "file_name": "T1.dicom.zip",
    }
    assert "golden-key" not in json.dumps(info)


def test_job_info_has_no_config_that_the_gear_does_not_know() -> None:
    """A key that somebody put there would stand where everybody can read it."""
    config = {"event_environment": "prod", "debug": "odd", "identifiers_apikey": "s3cr3t"}
    job = Job(gear_version="0.1.0", config=config)
    assert job.info(GearConfig)["config"] == {"event_environment": "prod", "debug": "odd"}


def test_the_path_in_config_json_counts_where_it_leads_to_a_file(tmp_path: Path) -> None:
    """Else the file is looked for where the platform mounts it."""
    elsewhere = tmp_path / "x.dcm"
    elsewhere.write_bytes(b"")
    inputs = {"input_file": {"location": {"name": "x.dcm", "path": str(elsewhere)}}}
    job = parse_job(Blocks(inputs=inputs), gear_dir=tmp_path, gear_version="1", required=(INPUT,))
    assert job.files[INPUT].path == elsewhere


def test_a_key_is_found_without_its_base(tmp_path: Path) -> None:
    """Some sites leave ``base`` out of the api-key input."""
    (tmp_path / "x.dcm").write_bytes(b"")
    location = {"name": "x.dcm", "path": str(tmp_path / "x.dcm")}
    entry = {"input_file": {"location": location}}
    for key in ({"api-key": {"key": "h:k"}}, {"k": {"base": "api-key", "key": "h:k"}}):
        blocks = Blocks(inputs={**entry, **key})
        job = parse_job(blocks, gear_dir=tmp_path, gear_version="1", required=(INPUT,))
        assert job.site_key == "h:k"


@pytest.mark.parametrize(
    "inputs",
    [
        None,
        {},
        {"input_file": None},
        {"input_file": {"location": {}}},
    ],
)
def test_a_job_without_input_is_set_up_wrongly(inputs: object, tmp_path: Path) -> None:
    """config.json does not name it: the job can't be done."""
    with pytest.raises(ConfigError, match="input") as raised:
        parse_job(Blocks(inputs=inputs), gear_dir=tmp_path, gear_version="1", required=(INPUT,))
    assert raised.value.location == "inputs.input_file"


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["input_file", "api-key", "type", "id", "key", "base", "x"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=10,
)


@given(JSON, JSON, JSON, JSON)
def test_blocks_of_another_form_are_a_config_error_at_worst(
    inputs: object, destination: object, job: object, config: object
) -> None:
    """config.json is read tolerantly; what is missed in it is named."""
    blocks = Blocks(inputs=inputs, destination=destination, job=job, config=config)
    with pytest.raises(ConfigError, match=re.escape("no input input_file")):
        parse_job(blocks, gear_dir=Path("/nowhere"), gear_version="1", required=(INPUT,))
