"""What the documentation says of the gear is what the program does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from imaging_gears.errors import ImagingError, subclasses
from imaging_gears.image_identifier_lookup.config import GearConfig
from imaging_gears.model.findings import WARNINGS
from tools import error_catalogue

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "image-identifier-lookup.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return the part of the gear's page under a heading."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_error_codes_are_those_of_the_code() -> None:
    """The page's table is what the catalogue writes from the error tree and the warnings."""
    assert error_catalogue.page_with_table(PAGE) == PAGE


def test_every_code_that_can_be_reported_has_a_row() -> None:
    """No error and no warning is left out of the table, each with a cause and a remedy."""
    row = re.compile(r"^\| `([a-z-]+)` \| .*? \| (.*) \|$", re.MULTILINE)
    rows = dict(row.findall(section("Error codes")))
    codes = {error.code for error in subclasses(ImagingError) if not error.__subclasses__()}
    assert codes | {kind.code for kind in WARNINGS} <= set(rows)
    assert all(len(each.split(" | ")) == 2 for each in rows.values())


def test_every_config_entry_is_described() -> None:
    """The page's table of the configuration has each field of GearConfig, and no other."""
    assert re.findall(r"^\| `(\w+)` \|", section("Configuration"), re.MULTILINE) == list(
        GearConfig.model_fields
    )


def test_every_input_is_described() -> None:
    """The page's table of the inputs has each input of the manifest."""
    manifest = json.loads((REPOSITORY / "manifest.json").read_text(encoding="utf-8"))
    described = re.findall(r"^\| `([\w-]+)` \|", section("Inputs"), re.MULTILINE)
    assert set(described) == set(manifest["inputs"])


@pytest.mark.parametrize(
    "page", ["README.md", "docs/image-identifier-lookup.md", "docs/security.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    """Each relative link of the page is a file of the repository."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in link]
    folder = (REPOSITORY / page).parent
    assert [link for link in links if not (folder / link).exists()] == []


def test_the_policy_grants_what_the_gear_asks_of_aws_and_no_more() -> None:
    """The IAM policy's actions are the four calls that the gear makes, and the key's decryption."""
    policy = json.loads((REPOSITORY / "docs" / "iam-policy.json").read_text(encoding="utf-8"))
    granted = [action for row in policy["Statement"] for action in _listed(row["Action"])]
    assert sorted(granted) == [
        "kms:Decrypt",
        "lambda:InvokeFunction",
        "s3:GetObject",
        "s3:PutObject",
        "ssm:GetParameters",
    ]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
