"""The gear, a site and Orthanc: ``python -m tests.gear_send.orthanc_run FOLDER``.

Leaves what Orthanc gives out in ``FOLDER/received``, and prints JSON; see `tests.orthanc`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from imaging_gears.sandbox import Sandbox
from tests.gear_send.real_files import SAMPLES, sample
from tests.gear_send.send_helpers import Archive, Session, slices, tables, zipped
from tests.orthanc import orthanc

TITLE = "PACS"
FORGOTTEN = "1.2.826.0.1.7.1.2"
"""What Orthanc takes and does not keep."""
# Of what this refuses, Orthanc's answer to C-STORE is Success all the same.
FILTER = f"""
function ReceivedInstanceFilter(dicom, origin, info)
  return dicom.SOPInstanceUID ~= "{FORGOTTEN}"
end
"""


def main(folder: Path) -> None:
    """Send every sample, then a series of which an image is lost, each time with `verify`."""
    lua = folder / "filter.lua"
    lua.write_text(FILTER, encoding="utf-8")
    with (
        orthanc(folder / "pacs", title=TITLE, LuaScripts=[str(lua)]) as pacs,
        Sandbox.start(run_jobs=False) as sandbox,
    ):
        to = Archive(folder, port=pacs.dicom)
        contents = {name: sample(name) for name in SAMPLES}
        found = {"real": _run(Session(sandbox, to, folder / "real"), *contents.values())}
        found["real"]["count"] = pacs.count()
        received = folder / "received"
        received.mkdir()
        for name, content in contents.items():
            uid = str(dcmread(DicomBytesIO(content)).SOPInstanceUID)
            (received / name).write_bytes(pacs.file(uid))
        found["lost"] = _run(Session(sandbox, to, folder / "lost"), *slices(3))
    print(json.dumps(found))  # noqa: T201 - for the test that started it


def _run(session: Session, *members: bytes) -> dict[str, Any]:
    """Run the gear on a session with a zip of `members`."""
    session.acquisition("T1", zipped(*members))
    ended = session.run_all(verify=True)
    files, instances = tables(session.reports())
    return {"code": ended.code, "out": ended.out, "files": files, "instances": instances}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
