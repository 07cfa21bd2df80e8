"""Orthanc, in a network of its own: what it stores is what was sent, and C-FIND finds it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dimse.orthanc_run import SYNTAXES

REPOSITORY = Path(__file__).resolve().parents[2]
IN_A_NETWORK = ("unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `orthanc_run` printed."""
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed")
    if subprocess.run([*IN_A_NETWORK, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here, and Orthanc listens on all addresses")
    folder = tmp_path_factory.mktemp("orthanc")
    command = (sys.executable, "-m", "tests.dimse.orthanc_run", str(folder))
    run = subprocess.run(
        [*IN_A_NETWORK, *command], cwd=REPOSITORY, capture_output=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr.decode()
    result: dict[str, Any] = json.loads(run.stdout)
    return result


@pytest.mark.parametrize("how", ["plain", "tls"])
def test_orthanc_stores_every_syntax_byte_for_byte(found: dict[str, Any], how: str) -> None:
    """What Orthanc gives out over REST ends with the data set that was sent."""
    assert found[how]["reasons"] == [""] * len(SYNTAXES)
    assert found[how]["outcomes"] == ["sent"] * len(SYNTAXES)
    assert found[how]["equal"] == [True] * len(SYNTAXES)


@pytest.mark.parametrize("how", ["plain", "tls"])
def test_orthanc_says_what_it_has(found: dict[str, Any], how: str) -> None:
    """C-FIND by series: all that were sent, and not the one that was not."""
    assert found[how]["stored"] == len(SYNTAXES)
    assert found[how]["missing"] is False
