"""What the documentation says of the gear is what the program does."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imaging_gears.adapters.dimse.tls import PROFILES
from imaging_gears.dicom_send.config import SendConfig
from imaging_gears.errors import ImagingError, subclasses
from imaging_gears.image_identifier_lookup.config import GearConfig
from imaging_gears.model.findings import WARNINGS
from tools.error_catalogue import LOOKUP, SEND, Catalogue

if TYPE_CHECKING:
    from pydantic import BaseModel

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "image-identifier-lookup.md").read_text(encoding="utf-8")
SEND_PAGE = (REPOSITORY / "docs" / "dicom-send.md").read_text(encoding="utf-8")


def section(title: str, page: str = PAGE) -> str:
    """Return the part of a gear's page under a heading."""
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("catalogue", [LOOKUP, SEND])
def test_the_error_codes_are_those_of_the_code(catalogue: Catalogue) -> None:
    """Each page's table is what the catalogue writes from the error tree and the warnings."""
    page = catalogue.page.read_text(encoding="utf-8")
    assert catalogue.page_with_table(page) == page


def test_every_code_that_can_be_reported_has_a_row() -> None:
    """No error and no warning is left out of the tables, each with a cause and a remedy."""
    row = re.compile(r"^\| `([a-z-]+)` \| .*? \| (.*) \|$", re.MULTILINE)
    rows = dict(row.findall(section("Error codes") + section("Error codes", SEND_PAGE)))
    codes = {error.code for error in subclasses(ImagingError) if not error.__subclasses__()}
    assert codes | {kind.code for kind in WARNINGS} <= set(rows)
    assert all(len(each.split(" | ")) == 2 for each in rows.values())


@pytest.mark.parametrize(("page", "model"), [(PAGE, GearConfig), (SEND_PAGE, SendConfig)])
def test_every_config_entry_is_described(page: str, model: type[BaseModel]) -> None:
    """The page's table of the configuration has each field of the gear's model, and no other."""
    found = re.findall(r"^\| `(\w+)` \|", section("Configuration", page), re.MULTILINE)
    assert found == list(model.model_fields)


@pytest.mark.parametrize(
    ("page", "path"), [(PAGE, "manifest.json"), (SEND_PAGE, "gears/dicom-send/manifest.json")]
)
def test_every_input_is_described(page: str, path: str) -> None:
    """The page's table of the inputs has each input of the manifest."""
    manifest = json.loads((REPOSITORY / path).read_text(encoding="utf-8"))
    described = re.findall(r"^\| `([\w-]+)` \|", section("Inputs", page), re.MULTILINE)
    assert set(described) == set(manifest["inputs"])


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/dicom-send.md",
        "docs/image-identifier-lookup.md",
        "docs/security.md",
    ],
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


def test_the_cipher_suites_of_each_profile_are_those_of_the_code() -> None:
    """The page lists what OpenSSL makes of each profile, in its order; and TLS 1.3's own."""
    text = section("TLS", SEND_PAGE)
    row = re.compile(r"^\| (BCP 195[a-z -]*) \| B\.\d+ \| (.*) \|$", re.MULTILINE)
    listed = {name: re.findall(r"`([^`]+)`", suites) for name, suites in row.findall(text)}
    made: dict[str, list[str]] = {}
    for name, profile in PROFILES.items():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers(profile.ciphers)
        suites = context.get_ciphers()
        made[name] = [each["name"] for each in suites if each["protocol"] == "TLSv1.2"]
        newest = [each["name"] for each in suites if each["protocol"] == "TLSv1.3"]
        assert newest == re.findall(r"`(TLS_\w+)`", text)
    assert listed == made
