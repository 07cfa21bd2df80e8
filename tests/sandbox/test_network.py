"""The network of tests, demo and benchmarks: nobody else reaches what listens there."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

# A process of its own: what it enters it can't leave.
PROGRAM = """
import json, os, pathlib, socket
from imaging_gears.sandbox.network import enter_loopback
if not enter_loopback():
    raise SystemExit(3)
pathlib.Path("file").touch()
with socket.create_server(("0.0.0.0", 0)) as server:
    port = server.getsockname()[1]
    socket.create_connection(("127.0.0.1", port)).close()
    print(json.dumps([port, socket.if_nameindex(), os.getuid()]), flush=True)
    input()
"""


def test_what_listens_there_is_reached_from_there_alone(tmp_path: Path) -> None:
    """It has one interface; what the process writes belongs to its user as before."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            assert process.wait() == 3  # it says so where it can't be had, and nothing else fails
            pytest.skip("no network of one's own here")
        port, interfaces, user = json.loads(said)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        process.communicate("\n")
    assert process.returncode == 0
    assert interfaces == [[1, "lo"]]
    assert (tmp_path / "file").stat().st_uid == user
