"""``python -m imaging_gears.dicom_send.cli``: watch the gear send a session to a real DICOM server.

The Flywheel site is the local one, the DICOM server is DCMTK's storescp, the images are those that
pydicom brings along. The gear's image has this module and not the sandbox.
"""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imaging_gears.dicom.samples import CT_LIGHTSPEED_ULTRA, MR_ECLIPSE, sample
from imaging_gears.dicom_send import GEAR
from imaging_gears.gear.terminal import CannotRunError, complain, needing_the_sandbox, say

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

Json = dict[str, Any]

MANIFEST = Path(__file__).resolve().parents[3] / "gears" / GEAR / "manifest.json"
JOB_SECONDS = 120.0
START_SECONDS = 60.0
AE_TITLE = "PACS"
USER = "coordinator"
PROJECT, SESSION = "demo-center/ingest", "demo-center/ingest/110001/visit-1"
CUT = "MR_truncated.dcm"
"""Its pixel data are cut short."""
# Acquisition -> pydicom's sample files in its zip.
SAMPLES: Mapping[str, tuple[str, ...]] = {
    "CT5N": CT_LIGHTSPEED_ULTRA,
    "MR700": MR_ECLIPSE,
    "compressed": ("JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "image_dfl.dcm", "JPEG-lossy.dcm"),
    "damaged": ("MR_small.dcm", CUT),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Show the demo.

    Returns:
        0; 1 where something turned out otherwise than the gear promises; 2 where it can't be shown.
    """
    if list(sys.argv[1:] if argv is None else argv) not in ([], ["demo"]):
        complain("usage: python -m imaging_gears.dicom_send.cli [demo]")
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="demo-") as name:
            return _demo(Path(name))
    except CannotRunError as error:
        complain(str(error))
    except OSError as error:
        complain(f"The demo can't go on: {error}")
    return 2


def _demo(folder: Path) -> int:
    program = _program()
    archive = folder / "archive"
    archive.mkdir()
    with _storescp(program, archive) as port, _site() as sandbox:
        count = _upload(sandbox)
        say(f"A session with {len(SAMPLES)} acquisitions, {count} DICOM images in four zips.")
        say(f"A DICOM server: storescp, AE title {AE_TITLE}, 127.0.0.1:{port}.\n")
        job = _run(sandbox, port)
        say("The gear's log:\n\n" + _indented(str(job["log"])))
        for title, text in _reports(sandbox).items():
            say(f"\n{title}, attached to the session:\n\n{_indented(text)}")
        return _looked_at(archive, count)


def _program() -> str:
    """Return the DICOM server's program.

    Raises:
        CannotRunError: there is none.
    """
    with needing_the_sandbox():
        from imaging_gears.sandbox.programs import dcmtk  # noqa: PLC0415 - as in _site
    program = dcmtk("storescp")
    if program is None:
        message = (
            "The demo needs a DICOM server: storescp of DCMTK is not installed (Debian and Ubuntu:"
            " apt-get install dcmtk; macOS: brew install dcmtk)."
        )
        raise CannotRunError(message)
    return program


@contextmanager
def _storescp(program: str, archive: Path) -> Iterator[int]:
    """Start a DICOM server that keeps what it gets in `archive`; give its port."""
    with socket.socket() as kept:
        # While it is bound here, nobody else is given the port; storescp may listen at it.
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = int(kept.getsockname()[1])
        options = ["--fork", "-aet", AE_TITLE, "-od", str(archive), "+xa", str(port)]
        process = subprocess.Popen(  # noqa: S603 - the program that was looked for
            [program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    message = "The demo can't go on: storescp does not listen."
    raise CannotRunError(message)


@contextmanager
def _site() -> Iterator[Sandbox]:
    """Start a Flywheel site with a session, and the gear."""
    with needing_the_sandbox():
        from imaging_gears.sandbox import Sandbox, Seed  # noqa: PLC0415 - not in the gear's image
        from imaging_gears.sandbox.network import ask_no_proxy  # noqa: PLC0415 - as above

    ask_no_proxy()
    acquisitions = [{"label": label} for label in SAMPLES]
    session = {"label": "visit-1", "acquisitions": acquisitions}
    project = {"label": "ingest", "subjects": [{"label": "110001", "sessions": [session]}]}
    seed = {
        "groups": [{"id": "demo-center", "projects": [project]}],
        "gears": [str(MANIFEST)],
        "users": [{"id": USER}],
    }
    with Sandbox.start(seed=Seed.model_validate(seed)) as sandbox:
        yield sandbox


def _upload(sandbox: Sandbox) -> int:
    """Upload the samples; return how many images there are."""
    for label, names in SAMPLES.items():
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(f"images/{Path(name).name}", sample(name).read_bytes())
        acquisition = sandbox.site.lookup(f"{SESSION}/{label}")["_id"]
        sandbox.site.upload(acquisition, f"{label}.zip", content.getvalue(), type="dicom")
    return sum(map(len, SAMPLES.values()))


def _run(sandbox: Sandbox, port: int) -> Json:
    """Run the gear on the session, as somebody who works at the site does; return the job."""
    from imaging_gears.sandbox.person import Person  # noqa: PLC0415 - not in the gear's image

    config = {"destination": "127.0.0.1", "port": port, "called_ae": AE_TITLE}
    with Person(sandbox.key(USER)) as person:
        job_id = person.run_gear_on(GEAR, SESSION, config)
        sandbox.wait_for_jobs(JOB_SECONDS)
        return person.job(job_id)


def _reports(sandbox: Sandbox) -> dict[str, str]:
    site = sandbox.site
    files = site.container(site.lookup(SESSION)["_id"])["files"]
    return {each["name"]: site.read(each["file_id"]).decode() for each in files}


def _looked_at(archive: Path, count: int) -> int:
    """Say what arrived, and compare it with what was uploaded."""
    from pydicom import dcmread  # noqa: PLC0415 - as above

    arrived = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, sorted(archive.iterdir()))}
    wanted = {
        str(ds.SOPInstanceUID): ds
        for names in SAMPLES.values()
        for ds in (dcmread(sample(name)) for name in names if name != CUT)
    }
    # Some of these scanners use the group themselves: the tag is in a block of its own then.
    marked = sum(
        any(each.value == "DICOM Send" for each in ds.group_dataset(0x0021))
        for ds in arrived.values()
    )
    pixels = sum(
        ds.PixelData == wanted[uid].PixelData for uid, ds in arrived.items() if uid in wanted
    )
    facts = {"images": count, "arrived": len(arrived), "tag": marked, "same pixels": pixels}
    say(f"\nWhat the server has: {json.dumps(facts)}")
    good = arrived.keys() == wanted.keys() and marked == pixels == len(wanted)
    say(
        "Every whole image arrived, with the tag and its own pixel data; the one that is cut short"
        " was not sent, and the job failed because of it, as it should."
        if good
        else "This is NOT what the gear promises."
    )
    return 0 if good else 1


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip("\n").splitlines())


def _enter_loopback() -> None:
    """Let nobody else reach storescp, which listens on all addresses, where the system permits."""
    try:
        from imaging_gears.sandbox.network import enter_loopback  # noqa: PLC0415 - as in _site
    except ModuleNotFoundError:
        return  # the demo says what it needs
    enter_loopback()


if __name__ == "__main__":
    _enter_loopback()
    sys.exit(main())
