"""What the benchmark of sending talks to: storescp, storescu, a slow line; and images to send."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from imaging_gears.sandbox.programs import dcmtk
from tests.dcmtk import StoreScp
from tests.local_ports import free_port, wait_for

HOST = "127.0.0.1"
_AT_ONCE = 1024 * 1024
_NOISE_BYTES = 16 * 1024 * 1024
_NOISE = random.Random(4)  # noqa: S311 - pixels, no secret


class PeerFailedError(Exception):
    """A server or client that is measured against did not work."""


def images(folder: Path, name: str, count: int, size: int) -> tuple[Path, Path]:
    """Write `count` MR images of about `size` bytes; return their folder and a zip of them."""
    loose = folder / name
    loose.mkdir()
    ds = dcmread(str(get_testdata_file("MR_small.dcm", download=False)))
    ds.Rows = ds.Columns = int((size / 2) ** 0.5)
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_STORED) as archive:
        for number in range(1, count + 1):
            uid = UID(f"{ds.SeriesInstanceUID[:40].rstrip('.')}.{number}")
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
            ds.InstanceNumber = number
            ds.PixelData = _noise(ds.Rows * ds.Columns * 2)
            path = loose / f"{number:05}.dcm"
            ds.save_as(path)
            archive.write(path, f"{name}/{path.name}")
    return loose, folder / f"{name}.zip"


def _noise(size: int) -> bytes:
    # `randbytes` gives less than 256 MiB at once.
    whole, rest = divmod(size, _NOISE_BYTES)
    return b"".join(_NOISE.randbytes(each) for each in [_NOISE_BYTES] * whole + [rest])


def _dcmtk(name: str) -> str:
    """Return a program of DCMTK.

    Raises:
        PeerFailedError: it is not installed.
    """
    path = dcmtk(name)
    if path is None:
        raise PeerFailedError(f"DCMTK's {name} is not installed")
    return path


@contextmanager
def storescp(*options: str, nodelay: bool) -> Iterator[int]:
    """Start a storescp that throws away what it gets; yield its port."""
    _dcmtk("storescp")
    given = ("--fork", "+xa", "-pdu", "131072", "--ignore", *options)
    with tempfile.TemporaryDirectory() as folder:
        server = StoreScp(Path(folder), given, nodelay=nodelay)
        try:
            server.start()
        except AssertionError as error:
            server.kill()
            raise PeerFailedError(str(error)) from error
        try:
            yield server.port
        finally:
            server.kill()


def storescu(port: int, folder: Path, *, nodelay: bool) -> float:
    """Send a folder with DCMTK's storescu; return the seconds.

    Raises:
        PeerFailedError: it failed.
    """
    environ = dict(os.environ)
    environ.pop("TCP_NODELAY", None)
    command = [_dcmtk("storescu"), "-aec", "SCP", "+sd", HOST, str(port), str(folder)]
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        env=environ | ({"TCP_NODELAY": "1"} if nodelay else {}),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise PeerFailedError(f"storescu failed: {done.stderr.decode()[-200:]}")
    return time.perf_counter() - begin


# --- A line with a delay


@contextmanager
def slow_line(target: int, seconds: float) -> Iterator[int]:
    """Relay to `target`, each way `seconds` late, in a process of its own; yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.send_peers", str(port), str(target), str(seconds)]
    process = subprocess.Popen(command)
    try:
        wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


async def _relay(port: int, target: int, seconds: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(HOST, target)
        await asyncio.gather(
            _pour(reader, there_writer, seconds), _pour(there_reader, writer, seconds)
        )

    server = await asyncio.start_server(serve, HOST, port, limit=_AT_ONCE)
    await server.serve_forever()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Pass bytes on, each `seconds` after it came, however many are under way."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(_AT_ONCE):
        loop.call_later(seconds, writer.write, data)
    loop.call_later(seconds, writer.close)


def main(argv: Sequence[str]) -> None:
    """Relay until killed."""
    port, target, seconds = argv
    asyncio.run(_relay(int(port), int(target), float(seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
