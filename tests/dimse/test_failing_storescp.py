"""DCMTK's storescp in trouble of its own: without room, and without an answer."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dcmtk import StoreScp
from tests.dimse.items import item
from tests.dimse.peers import QUICK, send, server_at

# Ignored, the signal becomes a write that fails, which storescp answers as out of resources. Only
# the soft limit: that of a running process can be raised again.
NO_ROOM = ("sh", "-c", 'trap "" XFSZ; ulimit -S -f 0; exec "$0" "$@"')
LONGER = 200_000
"""Bytes of pixels; storescp says success of what fits into its buffer, though closing fails."""
OUT_OF_RESOURCES = 0xA700


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no limits of other processes here")
@pytest.mark.parametrize("associations", [1, 4])
def test_a_storescp_that_gets_room_behind_the_second_wait_takes_all(
    tmp_path: Path, associations: int
) -> None:
    """Out of resources twice, then fine: each instance arrives, and is counted once."""
    scp = StoreScp(tmp_path, ("--fork",), NO_ROOM)
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if seconds == QUICK.waits[1] and scp.process is not None:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(scp.process.pid, resource.RLIMIT_FSIZE, unlimited)

    scp.start()
    try:
        server = server_at(scp.port, associations=associations, pause=pause)
        results = send(server, [item(at, pixels=LONGER) for at in range(12)])
    finally:
        scp.kill()
    assert {each.outcome for each in results.values()} == {"sent"}
    assert set(QUICK.waits[:2]) <= set(waits) <= set(QUICK.waits)
    assert len([path for path in scp.files if path.stat().st_size]) == len(results)
    assert server.given_up is None


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no limits of other processes here")
def test_a_storescp_that_stays_without_room_is_given_up(tmp_path: Path) -> None:
    """One row of waits for all, and each instance has the status."""
    scp = StoreScp(tmp_path, ("--fork",), NO_ROOM)
    waits: list[float] = []
    scp.start()
    try:
        server = server_at(scp.port, associations=1, pause=waits.append)
        results = send(server, [item(at, pixels=LONGER) for at in range(12)])
    finally:
        scp.kill()
    assert {each.outcome for each in results.values()} == {"failed"}
    assert OUT_OF_RESOURCES in {each.status for each in results.values()}
    assert waits == list(QUICK.waits)
    assert server.given_up is not None
    assert server.given_up.code == "dicom-server-out-of-resources"


def test_a_storescp_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """It sleeps in the middle of each instance, for longer than any wait."""
    scp = StoreScp(tmp_path, ("--fork", "--sleep-during", "600"))
    scp.start()
    try:
        server = server_at(scp.port, associations=2, limits=replace(QUICK, progress=0.2))
        results = send(server, [item(at) for at in range(6)])
    finally:
        scp.kill()
    assert {each.outcome for each in results.values()} == {"failed"}
    assert "no progress in 0.2 s" in {each.reason for each in results.values()}
    assert server.given_up is not None
