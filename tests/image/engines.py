"""What runs an image: a Docker engine, or the container tool on a machine that has none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Completed = subprocess.CompletedProcess[str]
CONTAINERS_CONF = Path(__file__).with_name("containers.conf")
WITHOUT_RIGHTS = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)
"""What a careful site gives the engine; a mount of work/ or output/ stays writable."""


def _volumes(mounts: Mapping[Path, str]) -> list[str]:
    return [word for host, path in mounts.items() for word in ("-v", f"{host}:{path}")]


def _variables(environ: Mapping[str, str]) -> list[str]:
    return [word for name, value in environ.items() for word in ("-e", f"{name}={value}")]


def _call(*command: str, environ: Mapping[str, str] | None = None) -> Completed:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **(environ or {})},
    )


@dataclass(frozen=True)
class Docker:
    """The ordinary engine; containers share the network of the machine, and get no rights."""

    base: str = "python:3.12-slim"

    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        mounts: Mapping[Path, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run `command`, or the image's entry point, as the image's user.

        Args:
            image: name of the image.
            command: words of the command; empty for the entry point.
            mounts: what to mount: path on this machine to path in the container.
            environ: variables on top of those of the image.
        """
        entry = ["--entrypoint", command[0]] if command else []
        given = [*_volumes(mounts or {}), *_variables(environ or {})]
        options = ["--rm", "--network", "host", *WITHOUT_RIGHTS, *given, *entry]
        return _call("docker", "run", *options, image, *command[1:])


@dataclass(frozen=True)
class ContainerTool:
    """The script that builds and runs images without an engine.

    It has no option for a read-only root: what the user may write to is found by looking.
    """

    program: str
    base: str = "gear-base"

    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        mounts: Mapping[Path, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run as `Docker.run` does."""
        options = [*_volumes(mounts or {}), *_variables(environ or {})]
        words = ["--", *command] if command else []
        rights = {"CONTAINERS_CONF": str(CONTAINERS_CONF)}
        return _call(self.program, "run", image, *options, *words, environ=rights)


Engine = Docker | ContainerTool
