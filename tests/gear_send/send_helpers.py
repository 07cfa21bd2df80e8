"""The gear as a process of its own, a site with sessions, and DCMTK's server, all on loopback.

All that is uploaded is of one person whose values are found nowhere else by chance; no run may have
printed any of them.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.dcmtk import StoreScp

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from imaging_gears.sandbox import Sandbox
    from tests.pki import Identity

Json = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = "imaging_gears.dicom_send.run"
GEAR = "dicom-send"
MANIFEST: Json = json.loads(
    (REPOSITORY / "gears" / GEAR / "manifest.json").read_text(encoding="utf-8")
)
MARKS = ("Quixote", "Zelda", "QZ7-4418", "visit-of")
SECONDS = 120.0
"""In which a run ends on the busiest machine."""


def slices(count: int, series: str = "1.2.826.0.1.7.1") -> list[bytes]:
    """Return MR images of a person, each another SOP instance of the series."""
    ds = dcmread(str(get_testdata_file("MR_small.dcm")))
    ds.PatientName, ds.PatientID = "Quixote^Zelda", "QZ7-4418"
    ds.SeriesInstanceUID = series
    made = []
    for number in range(1, count + 1):
        ds.InstanceNumber = number
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
        content = io.BytesIO()
        ds.save_as(content)
        made.append(content.getvalue())
    return made


def zipped(*members: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of `members` in a folder that bears the person's name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for number, data in enumerate(members):
            archive.writestr(f"Quixote_Zelda/IM{number}", data)
    return packed.getvalue()


@dataclass
class Archive(StoreScp):
    """DCMTK's storescp, which keeps what it gets as files; a process for each association."""

    options: tuple[str, ...] = ("--fork", "+xa")
    title: str = "PACS"
    nodelay: bool = True

    def restart(self, *options: str, syntaxes: str = "+xa") -> None:
        """Begin anew with further options, or with other transfer syntaxes than all."""
        self.kill()
        self.options = ("--fork", syntaxes, *options)
        self.start()

    def speak_tls(self, identity: Identity) -> None:
        """Begin anew over TLS, for clients of the same certificate."""
        key, cert = str(identity.key), str(identity.cert)
        self.restart("+tls", key, cert, "+cf", cert, "-rc")

    def images(self) -> dict[str, Dataset]:
        """Return what arrived: SOP instance UID -> data set."""
        return {str(each.SOPInstanceUID): each for each in map(dcmread, self.files)}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: exit code (minus a signal), what it printed, seconds."""

    code: int
    out: str
    seconds: float


@dataclass(slots=True)
class Session:
    """A session on the local site, and runs of the gear on it."""

    sandbox: Sandbox
    archive: Archive
    root: Path
    project: str = ""
    subject: str = ""
    session: str = ""
    runs: list[Ended] = field(default_factory=list)
    _folders: int = 0

    def __post_init__(self) -> None:
        """Make its containers."""
        site = self.sandbox.site
        group = site.add_group(f"send{time.monotonic_ns()}")
        self.project = site.add_project(group, "ingest")
        self.subject = site.add_subject(self.project, "Quixote")
        self.session = site.add_session(self.subject, "visit-of/Zelda")

    def acquisition(self, label: str, content: bytes, name: str = "Quixote.dicom.zip") -> str:
        """Make an acquisition with a DICOM file in it; return the file's id."""
        site = self.sandbox.site
        acquisition = site.add_acquisition(self.session, label)
        return str(site.upload(acquisition, name, content, type="dicom")["file_id"])

    def folder(self, container: Json, inputs: Json | None = None, /, **config: object) -> Path:
        """Return a new folder as the platform makes it."""
        self._folders += 1
        folder = self.root / f"job{self._folders}"
        for name in ("output", "work", "tmp"):
            (folder / name).mkdir(parents=True)
        entries = MANIFEST["config"].items()
        defaults = {name: entry["default"] for name, entry in entries if "default" in entry}
        server = {"destination": "127.0.0.1", "port": self.archive.port, "called_ae": "PACS"}
        key = {"base": "api-key", "key": self.sandbox.api_key}
        document = {
            "config": {**defaults, **server, **config},
            "inputs": {"api-key": key, **(inputs or {})},
            "destination": container,
            "job": {"id": f"{self._folders:024d}"},
        }
        (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
        (folder / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
        return folder

    def file_input(self, folder: Path, file_id: str) -> Json:
        """Return the input ``file`` for config.json, mounted in `folder`."""
        file = self.sandbox.site.file(file_id)
        path = folder / file["name"]
        path.write_bytes(self.sandbox.site.read(file_id))
        return {
            "file": {
                "base": "file",
                "hierarchy": file["parent_ref"],
                "location": {"name": file["name"], "path": str(path)},
                "object": {"file_id": file_id, "version": file["version"], "type": "dicom"},
            }
        }

    def start(
        self, folder: Path, stdout: int | None = None, program: tuple[str, str] = ("-m", MODULE)
    ) -> subprocess.Popen[bytes]:
        """Start the gear, or another program, in a folder.

        What it prints goes to the file ``log`` or to `stdout`.
        """
        environ = {
            "FLYWHEEL": str(folder),
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "PATH": os.environ["PATH"],
            **{
                key: value
                for key, value in os.environ.items()
                if key.startswith(("COV", "PYTHONPATH"))
            },
        }
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *program],
                cwd=REPOSITORY,
                env=environ,
                stdout=log if stdout is None else stdout,
                stderr=subprocess.STDOUT,
            )

    def timed(self, folder: Path) -> tuple[Ended, float]:
        """Run the gear in a folder; return also the seconds from its last line to its end.

        Those in which it, or who looks at it, stood in line for a CPU do not count.
        """
        lines, last = [], 0.0
        with self.start(folder, subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in process.stdout:
                last = time.monotonic() - queued(process.pid) - queued(os.getpid())
                lines.append(line)
            # It stays a zombie, of which the system still tells this, until it is waited for.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            ended = time.monotonic() - queued(process.pid) - queued(os.getpid())
            code = process.wait(SECONDS)
        self.runs.append(Ended(code, b"".join(lines).decode(), 0.0))
        return self.runs[-1], ended - last

    def wait(self, process: subprocess.Popen[bytes], folder: Path) -> Ended:
        """Wait for the end of a run."""
        began = time.monotonic()
        code = process.wait(SECONDS)
        out = (folder / "log").read_text(encoding="utf-8")
        self.runs.append(Ended(code, out, time.monotonic() - began))
        return self.runs[-1]

    def run(self, folder: Path) -> Ended:
        """Run the gear in a folder."""
        return self.wait(self.start(folder), folder)

    def run_all(self, **config: object) -> Ended:
        """Run the gear on the session."""
        return self.run(self.folder({"type": "session", "id": self.session}, **config))

    def reports(self) -> dict[str, str]:
        """Return the CSV files attached to the session: name -> text."""
        site = self.sandbox.site
        files = site.container(self.session)["files"]
        return {each["name"]: site.read(each["file_id"]).decode() for each in files}


def queued(pid: int) -> float:
    """Return for how many seconds the main thread of a process stood in line for a CPU.

    Linux tells it (Documentation/scheduler/sched-stats.rst); elsewhere it is 0.
    """
    try:
        _, waited, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    return int(waited) / 1e9


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a run as the platform's host does that loses power."""
    process.send_signal(signal.SIGKILL)


def only(reports: Mapping[str, str], ending: str) -> str:
    """Return the one report whose name ends like that."""
    (text,) = (text for name, text in reports.items() if name.endswith(ending))
    return text


def rows(text: str) -> list[list[str]]:
    """Return the rows of a CSV file."""
    return list(csv.reader(io.StringIO(text)))


def tables(reports: Mapping[str, str]) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows of the two reports, that of the files and that of the images."""
    (name,) = (name for name in reports if not name.endswith("_instances.csv"))
    return rows(reports[name])[1:], rows(only(reports, "_instances.csv"))[1:]


def on_file(session: Session, file_id: str, **config: object) -> Path:
    """Return a folder for a job on a file."""
    parent = session.sandbox.site.file(file_id)["parent_ref"]
    return session.folder(parent, session.file_input(session.root, file_id), **config)


def mounted(path: Path) -> dict[str, object]:
    """Return an input of a job that lies at `path`."""
    return {"base": "file", "location": {"name": path.name, "path": str(path)}}
