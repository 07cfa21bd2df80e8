"""Which file of the site an input is, where config.json does not say it."""

from __future__ import annotations

import dataclasses

from imaging_gears.gear.job import Job
from imaging_gears.gear.joblog import step
from imaging_gears.ports import NamedFiles


def found(job: Job, name: str, site: NamedFiles) -> Job:
    """Return the job with the file of its name in its destination, where it has no file_id.

    Args:
        job: with that input.
        name: of the input.
        site: where the destination is.
    """
    given = job.files[name]
    if given.file_id is not None or job.destination is None:
        return job
    with step(f"{job.destination.type} {job.destination.id}") as remarks:
        file = site.named_file(job.destination, given.name)
        remarks.append("has no file of the input's name" if file is None else "has the input")
    if file is None:
        return job
    known = dataclasses.replace(
        given, file_id=file.file_id, version=file.version, parent=file.parent
    )
    return dataclasses.replace(job, files={**job.files, name: known})
