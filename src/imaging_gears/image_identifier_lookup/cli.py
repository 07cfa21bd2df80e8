"""``image-identifier-lookup``: the gear without a site (inspect), or with its own (demo, sandbox).

The gear's image has this module and not the sandbox, so nothing of that is imported before it is
asked for.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imaging_gears.gear.terminal import (
    DISTRIBUTION,
    CannotRunError,
    complain,
    needing_the_sandbox,
    say,
)

if TYPE_CHECKING:
    from imaging_gears.image_identifier_lookup.demo.result import Result
    from imaging_gears.sandbox import Sandbox

PROGRAM = "image-identifier-lookup"
INTERRUPTED = 130
_CHECKOUT = Path(__file__).resolve().parents[3]


if TYPE_CHECKING:
    # argparse has no public name for what add_subparsers returns.
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks.

    Returns:
        The exit code: 0; 1 where a file can't be used or something did not turn out as it should;
        2 where the command line is wrong (argparse ends the program itself then).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be text
    options = _parser().parse_args(words)
    try:
        code: int = options.run(options, words)
        sys.stdout.flush()
    except CannotRunError as error:
        return complain(str(error))
    except BrokenPipeError:
        # Whoever read the output has gone; let the interpreter's last flush find somebody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


# --- The command line -----------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Find out whose a DICOM upload is. On a Flywheel site this is a gear; here\n"
        "you can look at what it sees in a file, and watch it work on a site on this machine.",
        epilog=_examples("demo", "inspect T1.dicom.zip", "sandbox --ephemeral"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_inspect(commands)
    _add_demo(commands)
    _add_sandbox(commands)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import (  # noqa: PLC0415 - only here, and slow
            PackageNotFoundError,
            version,
        )

        try:
            found = version(DISTRIBUTION)
        except PackageNotFoundError:
            found = "(a checkout that is not installed)"
        say(f"{PROGRAM} {found}")
        parser.exit()


def _examples(*lines: str) -> str:
    return "\n".join(["examples:", *(f"  {PROGRAM} {line}" for line in lines)])


def _command(
    commands: _Commands, name: str, summary: str, description: str, *examples: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=_examples(*(f"{name} {example}".rstrip() for example in examples)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_inspect(commands: _Commands) -> None:
    parser = _command(
        commands,
        "inspect",
        "show what the gear sees in a file",
        "Show which DICOM of an upload counts and what was passed over, the twelve values that\n"
        "the gear keeps, and the names of the QC log and the event. Nothing leaves this machine.\n"
        "It shows the patient's values. Ends with 1 when the gear would fail one of the files.",
        "T1.dicom.zip",
        "--json --adcid 42 --project-label ingest-dicom --environment prod T1.dicom.zip",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a DICOM or a zip")
    parser.add_argument("--json", action="store_true", help="one JSON object per file, a line each")
    parser.add_argument(
        "--adcid", type=_whole_number, metavar="N", help="the project's center; default: {adcid}"
    )
    parser.add_argument(
        "--project-label", metavar="LABEL", help="the project; default: {project-label}"
    )
    parser.add_argument(
        "--environment", choices=("prod", "dev"), help="of the event; default: {environment}"
    )
    parser.set_defaults(run=_inspect)


def _add_demo(commands: _Commands) -> None:
    parser = _command(
        commands,
        "demo",
        "watch the gear work on a Flywheel site on this machine",
        "Start a Flywheel site, an identifier API and AWS on this machine, upload scanners'\n"
        "series to it, and show what the gear makes of them: five scenes, about ten seconds.\n"
        "Nothing is kept and nothing leaves this machine. Ends with 1 when a scene goes wrong.",
        "",
        "--json > outcome.json",
    )
    parser.add_argument("--json", action="store_true", help="the whole outcome as one JSON list")
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        default=_CHECKOUT / "manifest.json",
        help="the gear's manifest; default: that of the checkout",
    )
    parser.set_defaults(run=_demo)


def _add_sandbox(commands: _Commands) -> None:
    parser = _command(
        commands,
        "sandbox",
        "serve a Flywheel site on this machine",
        "Serve a Flywheel site, an identifier API and AWS (S3, SSM, Lambda) on this machine until\n"
        "Ctrl-C. It prints the site's key and the variables that a client needs.",
        "--ephemeral",
        "--port 8080 --seed site.yaml",
    )
    parser.add_argument("--port", type=int, metavar="N", help="on 127.0.0.1; default: a free one")
    parser.add_argument("--seed", metavar="FILE.yaml", help="what a new site holds")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--state", metavar="DIR", help="where it is kept; default: .sandbox")
    where.add_argument("--ephemeral", action="store_true", help="keep nothing")
    parser.add_argument("--workers", type=int, metavar="N", help="jobs at once; default: 1")
    parser.add_argument("--no-jobs", action="store_true", help="leave jobs pending")
    parser.set_defaults(run=_serve)


def _whole_number(text: str) -> int:
    # Not int() alone: that takes "1_000" and digits of other scripts.
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


# --- inspect --------------------------------------------------------------------------------------


def _inspect(options: argparse.Namespace, _words: Sequence[str]) -> int:
    from imaging_gears.image_identifier_lookup.inspect_file import (  # noqa: PLC0415 - as in _demo
        Place,
        inspect,
    )
    from imaging_gears.image_identifier_lookup.inspect_text import (  # noqa: PLC0415 - as above
        inspection_text,
        printable,
    )

    place = Place(
        adcid=options.adcid, project_label=options.project_label, environment=options.environment
    )
    code = 0
    for path in options.files:
        seen = inspect(path, place)
        if options.json:
            say(json.dumps(seen))
        elif seen["bytes_read"] is not None:
            say(inspection_text(seen))
        if seen["error"]:
            code = complain(f"{printable(str(path))}: {seen['error']['message']}")
    return code


# --- demo -----------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace, _words: Sequence[str]) -> int:
    with needing_the_sandbox():
        import imaging_gears.sandbox.__main__  # noqa: F401, PLC0415 - not in the image
    from imaging_gears.image_identifier_lookup.demo.text import (  # noqa: PLC0415 - after the check
        Paint,
        closing_table,
        scene_text,
    )

    paint = Paint.for_stream(sys.stdout)
    results: list[Result] = []
    try:
        for result in _results(options.manifest):
            results.append(result)
            if not options.json:
                say(scene_text(result, paint) + "\n")
    except (OSError, RuntimeError, ValueError) as error:
        raise CannotRunError(f"The demo can't go on: {error}") from error
    if options.json:
        say(json.dumps([dataclasses.asdict(result) for result in results], indent=2))
    else:
        say(closing_table(results, paint))
    return int(any(result.unexpected for result in results))


def _results(manifest: Path) -> Iterator[Result]:
    from imaging_gears.image_identifier_lookup.demo.scenes import UPLOADER  # noqa: PLC0415
    from imaging_gears.image_identifier_lookup.demo.text import waiting  # noqa: PLC0415
    from imaging_gears.image_identifier_lookup.demo.walk import Demo  # noqa: PLC0415 - as in _demo
    from imaging_gears.sandbox.person import Person  # noqa: PLC0415

    # Whoever ends the demo wants the site and its running job gone, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with waiting("a Flywheel site is starting on this machine"):
        sandbox = _started(manifest)
    with sandbox, Person(sandbox.key(UPLOADER)) as person:
        # The gear would ask a second time, were its first request to wait for that.
        with waiting("its AWS services are loading"):
            sandbox.aws.wait()
        yield from Demo(sandbox, person, waiting).walk()


def _started(manifest: Path) -> Sandbox:
    from imaging_gears.image_identifier_lookup.demo.scenes import site_seed  # noqa: PLC0415
    from imaging_gears.sandbox import Sandbox, Seed  # noqa: PLC0415 - not in the image
    from imaging_gears.sandbox.network import ask_no_proxy  # noqa: PLC0415 - as above

    if not manifest.is_file():
        raise CannotRunError(f"There is no {manifest}: run the demo in a clone, or use --manifest.")
    ask_no_proxy()
    return Sandbox.start(seed=Seed.model_validate(site_seed(manifest)))


# --- sandbox --------------------------------------------------------------------------------------


def _serve(_options: argparse.Namespace, words: Sequence[str]) -> int:
    with needing_the_sandbox():
        import imaging_gears.sandbox.__main__  # noqa: F401, PLC0415 - not in the image
    from imaging_gears.sandbox.__main__ import main as serve  # noqa: PLC0415 - not in the image

    return serve(words[words.index("sandbox") + 1 :])


if __name__ == "__main__":
    sys.exit(main())
