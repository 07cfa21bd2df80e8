"""The gear as a process, in a folder as the platform makes it, with a file and without a site."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.send_peers import HOST

Json = dict[str, Any]

_REPOSITORY = Path(__file__).resolve().parents[1]
_MANIFEST = _REPOSITORY / "gears" / "dicom-send" / "manifest.json"
_MODULE = "imaging_gears.dicom_send.run"


@dataclass(frozen=True, slots=True)
class Start:
    """How a run is started: its command, whose program is a path, and its environment."""

    command: tuple[str, ...]
    environ: Mapping[str, str]


def start(
    folder: Path, upload: Path, port: int, command: str | None, *, associations: int = 2
) -> Start:
    """Return how the gear is started on `upload`.

    Args:
        folder: in which its own folder is made.
        upload: the file that is sent.
        port: of the server on this machine.
        command: another one than that of the gear here, with ``{file}`` and ``{port}``.
        associations: of the gear here.
    """
    if command is not None:
        program, *rest = shlex.split(command.format(file=upload, port=port))
        return Start((shutil.which(program) or program, *rest), os.environ)
    place = Path(tempfile.mkdtemp(prefix="job-", dir=folder))
    for name in ("output", "work", "tmp"):
        (place / name).mkdir()
    manifest: Json = json.loads(_MANIFEST.read_text(encoding="utf-8"))
    entries = manifest["config"].items()
    config = {name: entry["default"] for name, entry in entries if "default" in entry}
    document = {
        "config": {
            **config,
            "destination": HOST,
            "port": port,
            "called_ae": "SCP",
            "associations": associations,
        },
        "inputs": {
            "file": {"base": "file", "location": {"name": upload.name, "path": str(upload)}}
        },
        "destination": {},
        "job": {"id": "0" * 24},
    }
    (place / "config.json").write_text(json.dumps(document), encoding="utf-8")
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    environ = {
        "FLYWHEEL": str(place),
        "HOME": str(place),
        "TMPDIR": str(place / "tmp"),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        **{name: value for name, value in os.environ.items() if name == "PYTHONPATH"},
    }
    return Start((sys.executable, "-m", _MODULE), environ)
