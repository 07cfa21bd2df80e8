"""``python -m imaging_gears.sandbox``: serve until interrupted."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from imaging_gears.gear.terminal import complain, say
from imaging_gears.sandbox.engine import EngineOptions
from imaging_gears.sandbox.seed import Seed, SeedError
from imaging_gears.sandbox.server import Sandbox
from imaging_gears.sandbox.site.errors import ApiError
from imaging_gears.sandbox.store import StateInUseError

if TYPE_CHECKING:
    from collections.abc import Sequence

STATE = Path(".sandbox")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sandbox",
        description="Serve a Flywheel site, an identifier API and AWS (S3, SSM, Lambda) locally.",
        epilog="Prints the site's key and the variables that a client needs; Ctrl-C stops it.",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port on 127.0.0.1; default: a free one"
    )
    parser.add_argument("--seed", type=Path, metavar="FILE.yaml", help="what a new site holds")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--state", type=Path, metavar="DIR", default=STATE, help=f"default: {STATE}")
    where.add_argument("--ephemeral", action="store_true", help="keep nothing")
    parser.add_argument("--workers", type=int, default=1, help="jobs that run at once; default: 1")
    parser.add_argument("--no-jobs", action="store_true", help="leave jobs pending")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Returns:
        The exit code: 0, or 1 when it could not start, with one sentence on stderr.
    """
    arguments = _parser().parse_args(argv)
    try:
        sandbox = _start(arguments)
    except (SeedError, StateInUseError, ApiError, ValueError, KeyError) as error:
        return complain(str(error))
    except OverflowError:
        return complain(f"{arguments.port} is no port: it must be 0 to 65535.")
    except OSError as error:
        return complain(f"The sandbox can't start: {error.strerror or error}.")
    with sandbox:
        # Before anything is said: who reads the last line may end it at once.
        asked = _asked_to_stop()
        _announce(sandbox, arguments)
        while not asked.wait(0.5):
            pass
    return 0


def _start(arguments: argparse.Namespace) -> Sandbox:
    seed = Seed.from_yaml(arguments.seed) if arguments.seed else None
    state = None if arguments.ephemeral else arguments.state
    return Sandbox.start(
        seed=seed,
        state_dir=state,
        port=arguments.port,
        run_jobs=not arguments.no_jobs,
        engine=EngineOptions(workers=arguments.workers),
    )


def _announce(sandbox: Sandbox, arguments: argparse.Namespace) -> None:
    kept = "nothing is kept" if arguments.ephemeral else f"state in {arguments.state}"
    lines = [f"# Sandbox at {sandbox.url} ({kept}). Stop it with Ctrl-C."]
    lines += [f"# Flywheel key: {sandbox.api_key}"]
    values = {"FLYWHEEL_API_KEY": sandbox.api_key, **sandbox.environ}
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    say("\n".join(lines))


def _asked_to_stop() -> threading.Event:
    """Return what SIGINT and SIGTERM set from now on."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    return asked


if __name__ == "__main__":
    sys.exit(main())
