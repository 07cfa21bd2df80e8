"""Orthanc, in a network of its own: what it stores is what was sent, and C-FIND finds it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dimse.orthanc_run import SYNTAXES
from tests.orthanc import found_with_orthanc


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `orthanc_run` printed."""
    return found_with_orthanc("tests.dimse.orthanc_run", tmp_path_factory.mktemp("orthanc"))


@pytest.mark.parametrize("how", ["plain", "tls"])
def test_orthanc_stores_every_syntax_byte_for_byte(found: dict[str, Any], how: str) -> None:
    """What Orthanc gives out over REST ends with the data set that was sent."""
    assert found[how]["reasons"] == [""] * len(SYNTAXES)
    assert found[how]["outcomes"] == ["sent"] * len(SYNTAXES)
    assert found[how]["equal"] == [True] * len(SYNTAXES)


def test_an_orthanc_of_another_ae_title_is_told_as_that(found: dict[str, Any]) -> None:
    """It rejects the association (PS3.8 table 9-21: called AE title not recognized)."""
    assert found["strict"] == "called-ae-title-unknown"


@pytest.mark.parametrize("how", ["plain", "tls"])
def test_orthanc_says_what_it_has(found: dict[str, Any], how: str) -> None:
    """C-FIND by series: all that were sent, and not the one that was not."""
    assert found[how]["stored"] == len(SYNTAXES)
    assert found[how]["missing"] is False
