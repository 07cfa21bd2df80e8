"""SendConfig against the manifest, and what its values may be."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any, get_args

import pytest
from fw_gear.manifest import Manifest
from pydantic import ValidationError

from imaging_gears.dicom_send import GEAR
from imaging_gears.dicom_send.config import CA, CERT, FILE, KEY, SendConfig
from imaging_gears.errors import ConfigError
from imaging_gears.gear.job import parse_config
from tests.unit.dicom_send_gear.world import REQUIRED

PATH = Path(__file__).resolve().parents[3] / "gears" / "dicom-send" / "manifest.json"
MANIFEST: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
JSON_TYPES = {bool: "boolean", str: "string", int: "integer"}
# Names and defaults that users of gears of this name know, and what is beyond them.
CONFIG: dict[str, tuple[str, object]] = {
    "destination": ("string", None),
    "called_ae": ("string", None),
    "calling_ae": ("string", "flywheel"),
    "port": ("integer", 104),
    "file_download_retry_time": ("integer", 60),
    "group": ("string", "0x0021"),
    "identifier": ("string", "Flywheel"),
    "tag_value": ("string", "DICOM Send"),
    "tls_enabled": ("boolean", False),
    "tls_security_profile": ("string", "BCP 195"),
    "tls_require_peer_cert": ("boolean", True),
    "dry_run": ("boolean", False),
    "associations": ("integer", 2),
    "verify": ("boolean", False),
    "resend": ("boolean", True),
}


def parse(**changes: object) -> SendConfig:
    """Return a config in which these values are other ones; None leaves one out."""
    values = {**REQUIRED, **changes}
    given = {name: value for name, value in values.items() if value is not None}
    return parse_config(SendConfig, given)


def test_the_manifest_is_valid_with_its_classification() -> None:
    """For Flywheel's own check, which looks at suite and classification too."""
    Manifest(PATH).validate(validate_classification=True)


def test_the_manifest_is_the_gears() -> None:
    """Name, inputs, a key that only reads, shown job, network, command."""
    assert MANIFEST["name"] == GEAR == "dicom-send"
    assert list(MANIFEST["inputs"]) == ["api-key", FILE, KEY, CERT, CA]
    assert MANIFEST["inputs"]["api-key"] == {"base": "api-key", "read-only": True}
    assert all(MANIFEST["inputs"][name]["optional"] for name in (FILE, KEY, CERT, CA))
    assert MANIFEST["custom"]["flywheel"]["show-job"] is True
    assert MANIFEST["capabilities"] == ["networking"]
    assert MANIFEST["command"] == "python -m imaging_gears.dicom_send.run"
    assert MANIFEST["custom"]["gear-builder"]["image"].endswith(f":{MANIFEST['version']}")


def test_the_manifest_has_exactly_the_config_that_is_asked_for() -> None:
    """Names, types, defaults; what has no default is required."""
    found = {
        name: (entry["type"], entry.get("default")) for name, entry in MANIFEST["config"].items()
    }
    assert found == CONFIG
    assert all(entry["description"] for entry in MANIFEST["config"].values())


@pytest.mark.parametrize("name", MANIFEST["config"])
def test_model_and_manifest_agree_on(name: str) -> None:
    """Type, default, enum, bounds, and whether the value has to be given."""
    entry, field = MANIFEST["config"][name], SendConfig.model_fields[name]
    assert list(SendConfig.model_fields) == list(MANIFEST["config"])
    assert field.is_required() is ("default" not in entry)
    if "default" in entry:
        assert field.default == entry["default"]
    is_literal = typing.get_origin(field.annotation) is typing.Literal
    literals = list(get_args(field.annotation)) if is_literal else []
    assert literals == entry.get("enum", [])
    kind = str if literals else field.annotation
    assert JSON_TYPES[kind] == entry["type"]  # type: ignore[index]
    bounds = {key: getattr(each, key) for each in field.metadata for key in vars_of(each)}
    assert bounds == {
        short: entry[long]
        for short, long in (("ge", "minimum"), ("le", "maximum"))
        if long in entry
    }


def vars_of(constraint: object) -> list[str]:
    """Return which bounds a constraint of a field sets."""
    return [key for key in ("ge", "le") if hasattr(constraint, key)]


def test_defaults_are_filled_in() -> None:
    """Only host and AE title of the server have to be given."""
    config = parse()
    assert (config.calling_ae, config.port, config.group_number) == ("flywheel", 104, 0x0021)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"destination": None}, "destination"),
        ({"destination": ""}, "destination"),
        ({"destination": "dicom://pacs"}, "destination"),
        ({"destination": "pacs:104"}, "destination"),
        ({"destination": "pacs example"}, "destination"),
        ({"destination": "-pacs"}, "destination"),
        ({"destination": "10.0.0"}, "destination"),
        ({"destination": "fe80::1%eth0"}, "destination"),
        ({"destination": "256.1.1.1"}, "destination"),
        ({"destination": "0x7f.1"}, "destination"),
        ({"destination": "pacs.0x1"}, "destination"),
        ({"destination": "a" * 64}, "destination"),
        ({"called_ae": None}, "called_ae"),
        ({"called_ae": ""}, "called_ae"),
        ({"called_ae": " " * 3}, "called_ae"),
        ({"called_ae": "A" * 17}, "called_ae"),
        ({"called_ae": "A\\B"}, "called_ae"),
        ({"called_ae": "A\n"}, "called_ae"),
        ({"called_ae": "\u00c4E"}, "called_ae"),
        ({"calling_ae": ""}, "calling_ae"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "104"}, "port"),
        ({"group": "21"}, "group"),
        ({"group": "0x00021"}, "group"),
        ({"identifier": ""}, "identifier"),
        ({"identifier": "x" * 65}, "identifier"),
        ({"tag_value": "a\\b"}, "tag_value"),
        ({"tls_security_profile": "none"}, "tls_security_profile"),
        ({"associations": 0}, "associations"),
        ({"associations": 9}, "associations"),
        ({"file_download_retry_time": -1}, "file_download_retry_time"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_and_not_repeated(
    change: dict[str, object], named: str
) -> None:
    """The sentence names the entry."""
    with pytest.raises(ConfigError, match=named):
        parse(**change)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("pacs", "pacs"),
        ("PACS_1.example.org", "PACS_1.example.org"),
        ("10.0.0.7", "10.0.0.7"),
        (" 10.0.0.7 ", "10.0.0.7"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_hosts_are_names_and_addresses(given: str, kept: str) -> None:
    """IPv6 as well; blanks around it are a slip."""
    assert parse(destination=given).destination == kept


@pytest.mark.parametrize(("given", "number"), [("0x0021", 0x21), ("0029", 0x29), ("0X00fb", 0xFB)])
def test_a_group_is_hexadecimal(given: str, number: int) -> None:
    """With or without the prefix."""
    assert parse(group=given).group_number == number


def test_spaces_around_an_ae_title_mean_nothing() -> None:
    """PS3.5 6.2: leading and trailing spaces are not significant; those within are."""
    assert parse(called_ae=" MY PACS ").called_ae == "MY PACS"
    assert parse(called_ae="A" * 16).called_ae == "A" * 16


def test_the_config_does_not_change() -> None:
    """It is a value."""
    with pytest.raises(ValidationError):
        parse().port = 1  # type: ignore[misc]
