"""What runs an image: a Docker engine, or the container tool on a machine that has none."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Completed = subprocess.CompletedProcess[str]


def _volumes(mounts: Mapping[Path, str]) -> list[str]:
    return [word for host, path in mounts.items() for word in ("-v", f"{host}:{path}")]


def _variables(environ: Mapping[str, str]) -> list[str]:
    return [word for name, value in environ.items() for word in ("-e", f"{name}={value}")]


def _call(*command: str) -> Completed:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@dataclass(frozen=True)
class Docker:
    """The ordinary engine; containers share the network of the machine."""

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
        options = ["--rm", "--network", "host", *_volumes(mounts or {}), *_variables(environ or {})]
        return _call("docker", "run", *options, *entry, image, *command[1:])


@dataclass(frozen=True)
class ContainerTool:
    """The script that builds and runs images without an engine."""

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
        return _call(self.program, "run", image, *options, *words)


Engine = Docker | ContainerTool
