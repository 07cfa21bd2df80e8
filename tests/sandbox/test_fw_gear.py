"""A gear written with fw-gear, run by the engine."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from imaging_gears.sandbox import Sandbox

GEAR = """
import logging, os, pathlib
from fw_gear import GearContext

here = pathlib.Path(os.environ["FLYWHEEL"])
paths = {"manifest_path": here / "manifest.json", "config_path": here / "config.json"}
with GearContext(gear_path=here, **paths) as context:
    scan = context.config.get_input("scan")
    text = pathlib.Path(context.config.get_input_path("scan")).read_text()
    parent = context.config.get_destination_container()
    parent.update_info({"seen": text})
    context.metadata.add_qc_result(scan, "check", "PASS", data={"length": len(text)})
    context.metadata.add_file_tags(scan, "checked")
    with context.open_output("report.txt") as report:
        report.write(text.upper())
"""


def test_fw_gear_context_and_metadata(sandbox: Sandbox, tmp_path: Path) -> None:
    """Inputs, destination, SDK client, QC results, tags and outputs of fw-gear all arrive."""
    program = tmp_path / "gear.py"
    program.write_text(textwrap.dedent(GEAR))
    site = sandbox.site
    site.add_gear(
        {
            "name": "written-with-fw-gear",
            "version": "1",
            "inputs": {"api-key": {"base": "api-key"}, "scan": {"base": "file"}},
            "config": {},
            "custom": {"flywheel": {"show-job": True}},
            "command": f"python {program}",
        }
    )
    acquisition = site.lookup("alpha-center/ingest-dicom/110001/visit-1/T1")["_id"]
    rule = {"gear_id": "written-with-fw-gear", "name": "r"}
    rule |= {"all": [{"type": "file.name", "value": "*.dcm"}]}
    site.add_rule(site.lookup("alpha-center/ingest-dicom")["_id"], rule)
    site.upload(acquisition, "a.dcm", "pixels")
    (job,) = sandbox.wait_for_jobs()
    assert job["state"] == "complete", site.queue.log(job["_id"])
    found = {
        file["name"]: site.file(file["file_id"]) for file in site.container(acquisition)["files"]
    }
    qc = found["a.dcm"]["info"]["qc"]["written-with-fw-gear"]
    assert (qc["check"]["state"], qc["job_info"]["job_id"]) == ("PASS", job["_id"])
    assert found["a.dcm"]["tags"] == ["checked"]
    assert site.read(found["report.txt"]["file_id"]) == b"PIXELS"
    assert site.container(acquisition)["info"] == {"seen": "pixels"}
