"""The gear as a process of its own, in a folder as the platform makes it, on the local site.

A start of Python with the SDKs costs more CPU than the run itself, so most runs are children of one
process that has imported the gear (`GearServer`): the same program, the same SDKs, the same HTTP.
`Center.start` with ``exec_=True`` starts the true command instead.

All that is uploaded here is of one person whose values are found nowhere else by chance; `leaks`
looks for them, and the fixture that makes centers does so in all that any run has printed.
"""

from __future__ import annotations

import base64
import datetime as dt
import gc
import importlib
import io
import itertools
import json
import logging
import os
import pkgutil
import re
import select
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from tests.unit.dicom.builders import dicom, element
from tests.waiting import LONG

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

Json = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = "imaging_gears.image_identifier_lookup.run"
GEAR, INPUT = "image-identifier-lookup", "input_file"
BUCKET = "nacc-event-logs"
PTID, NACCID, TEST_ID = "QZ7-4418", "NACC908172", "TEST908172"
LOG = f"{PTID}_2024-01-15_CT_qc-status.log"
NAME = "Quixote_Zelda.dicom.zip"
SECONDS = 5 * LONG
"""In which a run ends on the busiest machine, many others beside it."""
"""How long a run may take before the test kills it."""
QUICK: Mapping[str, object] = {
    "imaging_gears.adapters.tries.BACKOFF_SECONDS": [0.0, 0.0],
    "imaging_gears.image_identifier_lookup.outputs.LONGEST_PAUSE": 0.0,
}
"""Pauses between tries that a run leaves out, where waiting is not the point."""
TAGS = {
    "SpecificCharacterSet": (0x00080005, "CS"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "StudyDate": (0x00080020, "DA"),
    "SeriesDate": (0x00080021, "DA"),
    "Modality": (0x00080060, "CS"),
    "Manufacturer": (0x00080070, "LO"),
    "SeriesDescription": (0x0008103E, "LO"),
    "ManufacturerModelName": (0x00081090, "LO"),
    "PatientName": (0x00100010, "PN"),
    "PatientID": (0x00100020, "LO"),
    "PatientBirthDate": (0x00100030, "DA"),
    "MagneticFieldStrength": (0x00180087, "DS"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "SeriesNumber": (0x00200011, "IS"),
    "ImagesInAcquisition": (0x00201002, "IS"),
}
"""Tag and VR of what an `image` can be given (PS3.6, chapter 6)."""
VALUES: Mapping[str, str] = {
    "SOPInstanceUID": "1.2.840.99.7713.1.5.9",
    "PatientName": "Quixote^Zelda",
    "PatientID": PTID,
    "PatientBirthDate": "19470309",
    "StudyInstanceUID": "1.2.840.99.7713.1",
    "SeriesInstanceUID": "1.2.840.99.7713.1.5",
}
"""What an `image` has instead of the values of `tests.unit.dicom.builders.ORDINARY`."""
METADATA: Mapping[str, str | None] = {
    "patient_id": "QZ7-4418",
    "study_date": "20240115",
    "modality": "CT",
    "study_instance_uid": "1.2.840.99.7713.1",
    "series_instance_uid": "1.2.840.99.7713.1.5",
    "series_number": "5",
    "series_date": "20240116",
    "manufacturer": "Siemens",
    "manufacturer_model_name": "Skyra",
    "series_description": "Sch\xe4del",
    "magnetic_field_strength": "3.0",
    "images_in_acquisition": "176",
}
"""The twelve values of an `image` in which nothing was changed (contract outputs.md, 3)."""
MARKS: Mapping[str, str] = {
    "PTID": PTID,
    "NACCID": NACCID,
    "NACCID of dev": TEST_ID,
    "PatientName": "Quixote^Zelda",
    "family name": "Quixote",
    "given name": "Zelda",
    "PatientBirthDate": "19470309",
    "StudyDate": "20240115",
    "StudyDate, ISO": "2024-01-15",
    "SeriesDate": "20240116",
    "UID": "1.2.840.99.7713",
}
"""What no run may print, keys aside (`Center.marks` has those)."""

_ADCIDS = itertools.count(1000)


# --- What is uploaded -----------------------------------------------------------------------------


def image(**changes: str | bytes | None) -> bytes:
    """Return a DICOM of `METADATA`, with other values of some attributes; None leaves one out."""
    extra = {
        TAGS[keyword][0]: b"" if value is None else element(*TAGS[keyword], value)
        for keyword, value in {**VALUES, **changes}.items()
    }
    return dicom(extra=extra)


def zipped(*members: bytes, **named: bytes) -> bytes:
    """Return a zip of `members` as IM1, IM2, ..., and of `named` by their names, in this order."""
    content = {f"IM{number}": member for number, member in enumerate(members, 1)} | named
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return packed.getvalue()


# --- How it is run --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended.

    Attributes:
        code: exit code; minus the signal where it was killed.
        seen: what ps showed of it at each of its requests, each line once.
        left: the files in its folder, temporary files and output included.
    """

    code: int
    out: str
    err: str
    seen: str
    left: tuple[str, ...]
    seconds: float
    cpu: float = 0.0

    @property
    def left_behind(self) -> list[str]:
        """Return the files in its folder that the gear itself has made."""
        given = {"config.json", "manifest.json", "stdout", "stderr"}
        return [name for name in self.left if name not in given and not name.startswith("input/")]

    @property
    def summary(self) -> str:
        """Return the last line of the log, without time and level."""
        return self.out.rstrip("\n").rpartition("\n")[2].split(maxsplit=3)[3]

    def lines(self, level: str) -> list[str]:
        """Return the texts of the log's lines of that level."""
        parts = [line.split(maxsplit=3) for line in self.out.splitlines()]
        return [part[3] for part in parts if len(part) > 3 and part[2] == level]


class GearServer:
    """A process that has imported the gear and forks a child for each run.

    It has no thread and no connection of its own, so that a child finds what a new process would.

    Attributes:
        measured: whether coverage looks at its children, if it looks at this process.
        seconds: how long a run may take before it is killed.
    """

    def __init__(self, *, measured: bool = False, seconds: float = SECONDS) -> None:
        self.measured, self.seconds = measured, seconds
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.gear.gear_helpers"],
            cwd=REPOSITORY,
            env=_unmeasured() | self.measuring(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measuring(self) -> dict[str, str]:
        """Return the variables by which coverage looks at a process, if it is to."""
        return {
            name: value
            for name, value in os.environ.items()
            if self.measured and name.startswith("COVERAGE")
        }

    def start(self, **order: object) -> int:
        """Fork a run; return its process id."""
        return int(self._ask(order, SECONDS)["pid"])

    def wait(self, pid: int) -> Json:
        """Return exit code and CPU seconds of a run; one that takes too long is killed."""
        return self._ask({"wait": pid}, self.seconds, pid)

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _ask(self, order: Mapping[str, object], seconds: float, pid: int | None = None) -> Json:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        if pid is not None and not select.select([self._process.stdout], [], [], seconds)[0]:
            os.kill(pid, signal.SIGKILL)
        return dict(json.loads(self._process.stdout.readline()))


def _unmeasured() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def serve() -> None:
    """Fork a run for each order on standard input, or wait for one; answer on standard output."""
    from imaging_gears.image_identifier_lookup import run  # noqa: PLC0415 - the server's alone

    _warm_up()
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status, usage = os.wait4(order["wait"], 0)
            code, cpu = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
            reply = {"code": code, "cpu": cpu}
        else:
            pid = os.fork()
            if pid == 0:
                _become_the_gear(run.main, order)
            reply = {"pid": pid}
        print(json.dumps(reply), flush=True)  # noqa: T201 - the answer


def _warm_up() -> None:
    """Load what each run would load again: modules that are imported late, and what SDKs read.

    Sessions and clients are made by each run for itself, from its own variables.
    """
    import boto3  # noqa: PLC0415 - the server's alone, as all of these
    import httpx2  # noqa: PLC0415

    from tests.load_once import load_once  # noqa: PLC0415

    load_once()
    importlib.import_module("imaging_gears.image_identifier_lookup.file_resolver")
    key = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    for service in ("ssm", "lambda", "s3"):
        boto3.Session(region_name="us-east-1", **key).client(service)
    httpx2.Client().close()
    gc.freeze()  # no child has to copy what is here already, to look for garbage in it


def _become_the_gear(main: Any, order: Json) -> NoReturn:  # noqa: ANN401 - a function
    """Do in a child what ``python -m`` does from here on."""
    for descriptor, path in enumerate((os.devnull, order["out"], order["err"])):
        flags = os.O_RDWR if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(order["environ"])
    for target, value in order["patches"].items():
        owner, _, name = target.rpartition(".")
        setattr(pkgutil.resolve_name(owner), name, value)
    if (moment := order.get("moment")) is not None:
        clock = dt.datetime.fromisoformat(moment)
        pkgutil.resolve_name(MODULE).now = lambda: clock
    if (path := order.get("watched_from")) is not None:
        _let_watchdog_begin_with(Path(path))
    try:
        code = main()
    except BaseException:  # noqa: BLE001 - as the interpreter ends a program
        sys.excepthook(*sys.exc_info())
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _let_watchdog_begin_with(path: Path) -> None:
    """Let the watchdog's clock stand until there is such a file."""
    from imaging_gears.gear import start  # noqa: PLC0415 - a child's alone

    stood = 0.0

    def monotonic() -> float:
        nonlocal stood
        if not path.exists():
            stood = time.monotonic()
        return time.monotonic() - stood

    # The module's own name of it; whoever sleeps looks again soon.
    clock = SimpleNamespace(monotonic=monotonic, sleep=lambda _: time.sleep(0.02))
    vars(start)["time"] = clock


# --- What others on the machine see ---------------------------------------------------------------


def seen_by_ps(pid: int) -> set[str]:
    """Return what ps shows of a process and those below it: command lines and threads' names."""
    return {
        _read_now(path)
        for process in _family(pid)
        for path in (process / "cmdline", *process.glob("task/*/comm"))
    }


def _read_now(path: Path) -> str:
    """Return the content of a file under /proc; nothing where its process or thread has ended."""
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _family(pid: int) -> Iterator[Path]:
    """Yield the folders under /proc of a process, its children and all below them."""
    yield Path(f"/proc/{pid}")
    for children in Path("/proc").glob(f"{pid}/task/*/children"):
        for child in _read_now(children).split():
            yield from _family(int(child))


# --- Where it is run ------------------------------------------------------------------------------


@dataclass(slots=True)
class Started:
    """A run under way."""

    folder: Path
    began: float
    process: subprocess.Popen[bytes] | int
    center: Center
    seen: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        """Look at it, as ps does, whenever the site gets a request."""
        if self.center.watched:
            self.center.sandbox.requests.watch(self._look)

    def _look(self) -> None:
        self.seen.update(seen_by_ps(self.pid))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process if isinstance(self.process, int) else self.process.pid

    def is_over(self) -> bool:
        """Return whether it has ended, waited for or not."""
        state = _read_now(Path(f"/proc/{self.pid}/stat")).rpartition(")")[2].split()
        return not state or state[0] == "Z"

    def kill(self) -> Ended:
        """End it by SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> Ended:
        """Wait for its end."""
        if isinstance(self.process, int):
            ending = self.center.server.wait(self.process)
        else:
            ending = {"code": self.process.wait(SECONDS)}
        if self.center.watched:
            self.center.sandbox.requests.unwatch(self._look)
        left = [path for path in self.folder.rglob("*") if path.is_file()]
        ended = Ended(
            out=(self.folder / "stdout").read_text(encoding="utf-8"),
            err=(self.folder / "stderr").read_text(encoding="utf-8"),
            seen="\n".join(sorted(self.seen)),
            left=tuple(sorted(str(path.relative_to(self.folder)) for path in left)),
            seconds=time.monotonic() - self.began,
            **ending,
        )
        self.center.ended.append(ended)
        return ended


@dataclass(slots=True)
class Center:
    """A center of its own on the shared site: a group with one project, and its registry rows.

    The ADCID is in every event's key and every registry row, so that centers never meet.

    Attributes:
        watched: whether ps is looked at whenever the site gets a request: of each run that is under
            way, so not where there are hundreds.
    """

    sandbox: Sandbox
    server: GearServer
    root: Path
    label: str = "ingest-dicom"
    watched: bool = True
    adcid: int = field(default_factory=lambda: next(_ADCIDS))
    project: str = field(init=False)
    ended: list[Ended] = field(init=False, default_factory=list)
    _folders: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Make the project, and tell the registry its one participant."""
        self.project = self.sandbox.site.add_project(
            self.group, self.label, {"pipeline_adcid": self.adcid}
        )
        self.sandbox.identifiers.add("prod", self.adcid, PTID, NACCID)
        self.sandbox.identifiers.add("dev", self.adcid, PTID, TEST_ID)

    @property
    def group(self) -> str:
        """The id of the center's group."""
        return f"center-{self.adcid}"

    @property
    def marks(self) -> dict[str, str]:
        """What no run of this center may print: values of the person, and keys."""
        environ, key = self.sandbox.environ, self.sandbox.key
        return {
            **MARKS,
            "AWS key id": environ["AWS_ACCESS_KEY_ID"],
            "AWS secret": environ["AWS_SECRET_ACCESS_KEY"],
            "Flywheel key of the job": key("admin").rpartition(":")[2],
            "Flywheel key in SSM": key("gearbot").rpartition(":")[2],
            "identifier API's key in SSM": self.sandbox.identifiers.api_key,
            "identifier API's URL in SSM": self.sandbox.identifiers_url,
        }

    def traces(self, more: Mapping[str, str] | None = None) -> list[str]:
        """Return what its runs have told of the person or of a key, and what they left behind.

        Looked through is what each has printed, how it ended included, and what ps showed of it and
        of its children at each request. Of a file in its folders, the name is returned.

        Args:
            more: marks to look for besides `marks`.
        """
        marks = {**self.marks, **(more or {})}
        found = [(leaks(f"{e.out}{e.err}{e.seen}", marks), e.left_behind) for e in self.ended]
        return [each for told, left in found for each in (*told, *left)]

    # -- arranging ----------------------------------------------------------------------------

    def parameters(self, **values: str) -> str:
        """Write SSM parameters under a prefix of the center's own; return the prefix.

        Args:
            values: by the last part of their names; ``url`` and ``key`` are the identifier API's.
        """
        prefix = f"/center/{self.adcid}"
        names = {"apikey": "apikey", "url": "identifiers/url", "key": "identifiers/apikey"}
        for each, value in {"apikey": "{key:gearbot}", **values}.items():
            self.sandbox.put_parameter(f"{prefix}/{names[each]}", value, secure=each != "url")
        return prefix

    def subject(self, label: str = PTID, **info: object) -> str:
        """Make a subject."""
        return self.sandbox.site.add_subject(self.project, label, info)

    def upload(
        self,
        subject: str | None = None,
        data: bytes | None = None,
        *,
        name: str = NAME,
        **metadata: object,
    ) -> str:
        """Upload a file, a zip of one image, into a new acquisition; return its file id."""
        site = self.sandbox.site
        session = site.add_session(subject or self.subject(), "visit-1")
        acquisition = site.add_acquisition(session, "T1")
        content = zipped(image()) if data is None else data
        return str(site.upload(acquisition, name, content, type="dicom", **metadata)["file_id"])

    def new_version(self, file_id: str, data: bytes | None = None) -> None:
        """Upload a new version of a file."""
        file = self.file(file_id)
        content = zipped(image()) if data is None else data
        self.sandbox.site.upload(file["parent_ref"]["id"], file["name"], content, type="dicom")

    def put_log(self, text: str, name: str = LOG, **metadata: object) -> None:
        """Upload a QC log, as another gear does."""
        self.sandbox.site.upload(self.project, name, text, **metadata)

    def folder_of(self, file_id: str, version: int | None = None, **config: object) -> Path:
        """Return a new folder as the platform makes it for a job on that version of a file."""
        file = self.sandbox.site.file(file_id, version)
        folder = self._new_folder()
        path = folder / "input" / INPUT / file["name"]
        path.parent.mkdir(parents=True)
        path.write_bytes(self.sandbox.site.read(file_id, file["version"]))
        snapshot = ("type", "tags", "info", "size", "version", "file_id", "origin")
        document = {
            "config": {**defaults(), **config},
            "inputs": {
                "api-key": {"base": "api-key", "key": self.sandbox.api_key},
                INPUT: {
                    "base": "file",
                    "hierarchy": file["parent_ref"],
                    "location": {"name": file["name"], "path": str(path)},
                    "object": {key: file[key] for key in snapshot},
                },
            },
            "destination": file["parent_ref"],
            "job": {"id": f"{self.adcid:012d}{self._folders:012d}"},
        }
        write_config(folder, document)
        return folder

    def local_folder(
        self, data: bytes | None = None, destination: Json | None = None, **config: object
    ) -> Path:
        """Return a new folder as ``fw-beta gear run --prepare`` makes it (flywheel.md, 7)."""
        folder = self._new_folder()
        document = json.loads((REPOSITORY / "tests/golden/config_fw_beta.json").read_text())
        path = folder / "input" / INPUT / document["inputs"][INPUT]["location"]["name"]
        path.parent.mkdir(parents=True)
        path.write_bytes(zipped(image()) if data is None else data)
        document["inputs"]["api-key"]["key"] = self.sandbox.api_key
        document["inputs"][INPUT]["location"]["path"] = str(path)
        document["config"].update({"event_bucket": BUCKET, **config})
        if destination is not None:
            document["destination"] = destination
        write_config(folder, document)
        return folder

    def _new_folder(self) -> Path:
        self._folders += 1
        folder = self.root / f"job{self._folders}"
        for name in ("output", "work", "tmp"):
            (folder / name).mkdir(parents=True)
        manifest = (REPOSITORY / "manifest.json").read_bytes()
        (folder / "manifest.json").write_bytes(manifest)
        return folder

    # -- running ------------------------------------------------------------------------------

    def run(self, file_id: str, **config: Any) -> Ended:  # noqa: ANN401 - JSON
        """Run the gear on the newest version of a file, as a gear rule with that config does."""
        return self.run_in(self.folder_of(file_id, **config))

    def quick(self, file_id: str, **config: Any) -> Ended:  # noqa: ANN401 - JSON
        """Run the gear without the pauses between tries."""
        return self.run_in(self.folder_of(file_id, **config), patches=QUICK)

    def run_in(self, folder: Path, **options: Any) -> Ended:  # noqa: ANN401 - those of `start`
        """Run the gear in a folder."""
        return self.start(folder, **options).wait()

    def start(
        self,
        folder: Path,
        *,
        environ: Mapping[str, str | None] | None = None,
        patches: Mapping[str, object] | None = None,
        moment: dt.datetime | None = None,
        watched_from: Path | None = None,
        exec_: bool = False,
    ) -> Started:
        """Start the gear in a folder.

        Args:
            folder: what FLYWHEEL says.
            environ: variables that differ from `self.environ`; None removes one.
            patches: constants of the program to change before it runs, by dotted name.
            moment: what the program takes for the time; None is the time.
            watched_from: a file with which the watchdog's time begins; None is the program's start.
            exec_: start the manifest's command, and not a child of the server.
        """
        given = {**self.environ(folder), **(environ or {})}
        variables = {key: value for key, value in given.items() if value is not None}
        out, err, began = folder / "stdout", folder / "stderr", time.monotonic()
        if not exec_:
            order = {"environ": variables, "patches": dict(patches or {})}
            order["moment"] = None if moment is None else moment.isoformat()
            order["watched_from"] = None if watched_from is None else str(watched_from)
            pid = self.server.start(out=str(out), err=str(err), **order)
            return Started(folder, began, pid, self)
        assert not patches
        assert moment is None
        assert watched_from is None
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", MODULE], env=variables, stdout=stdout, stderr=stderr
            )
        return Started(folder, began, process, self)

    def environ(self, folder: Path) -> dict[str, str]:
        """Return the variables of a job: what the platform sets, and where AWS is."""
        here = {"FLYWHEEL": str(folder), "HOME": str(folder), "TMPDIR": str(folder / "tmp")}
        path = {"PATH": os.environ["PATH"]}
        return {**self.server.measuring(), **self.sandbox.environ, **here, **path}

    # -- looking ------------------------------------------------------------------------------

    def file(self, file_id: str) -> Json:
        """Return the newest version of a file."""
        return self.sandbox.site.file(file_id)

    def info(self, container_id: str) -> Json:
        """Return a container's info."""
        return dict(self.sandbox.site.container(container_id)["info"])

    def verdict(self, file_id: str) -> tuple[str, list[str], list[str]]:
        """Return state and codes of a file's QC record, and its tags."""
        file = self.file(file_id)
        return (*state_and_codes(file["info"]["qc"][GEAR]), file["tags"])

    def logs(self) -> dict[str, Json]:
        """Return the project's QC logs: name -> newest version, with its text under ``text``."""
        site = self.sandbox.site
        ids = [file["file_id"] for file in site.container(self.project)["files"]]
        return {
            file["name"]: {**file, "text": site.read(file["file_id"]).decode()}
            for file in map(site.file, ids)
            if file["name"].endswith("_qc-status.log")
        }

    def log(self, name: str = LOG) -> Json:
        """Return a QC log, with its text under ``text``."""
        return self.logs()[name]

    def log_verdict(self, name: str = LOG) -> tuple[str, list[str]]:
        """Return state and codes of a QC log's info."""
        return state_and_codes(self.log(name)["info"]["qc"][GEAR])

    def runs(self, name: str = LOG) -> list[str]:
        """Return the lines of a QC log that tell a run, from the verdict on."""
        text = self.log(name)["text"]
        return [line.partition(" - ")[2] for line in text.splitlines() if not line.startswith("{")]

    def events(self) -> dict[str, Json]:
        """Return this center's events: key -> body."""
        stored = self.sandbox.s3_objects(BUCKET)
        # Where it stands in a key: 2024 is the year of the visits of all others, too.
        own = re.compile(rf".*/log-submit-\d{{8}}-\d{{6}}-{self.adcid}-")
        return {key: json.loads(body) for key, body in stored.items() if own.match(key)}

    def requests(self, *services: str) -> dict[str, int]:
        """Return how many requests came since the fault list was last cleared, per service."""
        counted = self.sandbox.requests.count()
        return {each: counted.get(each, 0) for each in services} if services else counted


def leaks(text: str, marks: Mapping[str, str]) -> list[str]:
    """Return the names of the marks that are in `text`: as they are, or encoded."""
    folded = text.casefold()
    return [
        name
        for name, mark in marks.items()
        if any(form in folded for form in _folded_forms(mark))
        or any(form in text for form in _base64_forms(mark.encode()))
    ]


def _folded_forms(mark: str) -> set[str]:
    raw = mark.encode()
    forms = {mark, quote(mark, safe=""), repr(mark)[1:-1], raw.hex(), raw.hex(" "), raw.hex(":")}
    return {form.casefold() for form in forms}


def _base64_forms(raw: bytes) -> list[str]:
    """Return what base64 makes of `raw` wherever it stands in what is encoded."""
    forms = []
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw).decode()
        # The first and last characters depend on the neighbours, too.
        end = (before + len(raw)) * 8 // 6
        forms.append(coded[-(-before * 8 // 6) : end])
    return forms


def state_and_codes(entry: Json) -> tuple[str, list[str]]:
    """Return state and codes of a gear's entry in a QC record."""
    validation = entry["validation"]
    return validation["state"], [each["code"] for each in validation["data"]]


def defaults() -> Json:
    """Return the config of a job in which a user has set the required entries only."""
    manifest = json.loads((REPOSITORY / "manifest.json").read_text(encoding="utf-8"))
    entries = manifest["config"].items()
    given = {"event_environment": "prod", "event_bucket": BUCKET}
    return {name: entry["default"] for name, entry in entries if "default" in entry} | given


def write_config(folder: Path, document: Json) -> None:
    """Write config.json."""
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")


def read_config(folder: Path) -> Json:
    """Return config.json."""
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    serve()
