"""DCMTK's programs, which some tests compare with or talk to."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imaging_gears.sandbox import programs
from tests.local_ports import free_port, is_listening, kill_group
from tests.waiting import until


def dcmtk(program: str) -> str:
    """Return a program of DCMTK; without it, the test is skipped."""
    path = programs.dcmtk(program)
    if path is None:
        pytest.skip(f"DCMTK's {program} is not installed")
    return path


@dataclass
class StoreScp:
    """A storescp process, which can be killed and started again at the same port.

    Attributes:
        folder: keeps what it gets.
        title: its AE title.
        prefix: a command that becomes storescp.
        nodelay: whether it does without Nagle's algorithm, as it does only if it is told to.
    """

    folder: Path
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    title: str = "SCP"
    nodelay: bool = False
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [dcmtk("storescp"), "-aet", self.title, "-od", str(self.folder), *self.options]
        environ = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
        # In a session of its own: with --fork it has children.
        self.process = subprocess.Popen(
            [*self.prefix, *command, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environ | ({"TCP_NODELAY": "1"} if self.nodelay else {}),
            start_new_session=True,
        )
        process = self.process
        until(
            lambda: is_listening(self.port) or process.poll() is not None,
            "storescp listens or ends",
        )
        assert process.poll() is None, "storescp has ended"

    def kill(self) -> None:
        """Kill it with its children, as a crash would, and wait until none of them listens."""
        if self.process is not None:
            kill_group(self.process, self.port)
            self.process = None

    @property
    def files(self) -> list[Path]:
        """What it has stored."""
        return sorted(self.folder.iterdir())
