"""Orthanc as tests start it: in a network of its own, because it listens on all addresses.

A program that talks to it runs in a network namespace (``unshare -n``) with only the loopback
interface in it, and prints what it found as JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.local_ports import free_port, wait_for
from tests.waiting import LONG

REPOSITORY = Path(__file__).resolve().parents[1]
IN_A_NETWORK = ("unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc: the ports of its REST interface and of DICOM."""

    http: int
    dicom: int

    def get(self, path: str, body: bytes | None = None) -> bytes:
        """Return what its REST interface answers."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.http}{path}", body, timeout=LONG
        ) as reply:
            return bytes(reply.read())

    def file(self, sop_instance_uid: str) -> bytes:
        """Return an instance as the file that it gives out."""
        (found,) = json.loads(self.get("/tools/lookup", sop_instance_uid.encode()))
        return self.get(f"/instances/{found['ID']}/file")

    def count(self) -> int:
        """Return how many instances it has."""
        return int(json.loads(self.get("/statistics"))["CountInstances"])


@contextmanager
def orthanc(folder: Path, *, title: str, **options: object) -> Iterator[Orthanc]:
    """Start an Orthanc with an AE title and further `options`, which keeps its files in `folder`.

    Anybody may ask it by C-FIND.
    """
    folder.mkdir()
    server = Orthanc(free_port(), free_port())
    given = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [],
        "HttpPort": server.http,
        "DicomPort": server.dicom,
        "DicomAet": title,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "OverwriteInstances": True,
        "SyncStorageArea": False,
        "DicomAlwaysAllowFind": True,
        **options,
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(given), encoding="utf-8")
    process = subprocess.Popen(
        ["Orthanc", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(server.http)
        wait_for(server.dicom)
        yield server
    finally:
        process.kill()
        process.wait()


def found_with_orthanc(program: str, folder: Path) -> dict[str, Any]:
    """Run the module `program` with `folder` where Orthanc can run; return what it printed.

    Without Orthanc, or where there are no network namespaces, the test is skipped.
    """
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed")
    if subprocess.run([*IN_A_NETWORK, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here, and Orthanc listens on all addresses")
    command = (sys.executable, "-m", program, str(folder))
    run = subprocess.run(
        [*IN_A_NETWORK, *command],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
        timeout=5 * LONG,
    )
    assert run.returncode == 0, run.stderr.decode()
    result: dict[str, Any] = json.loads(run.stdout)
    return result
