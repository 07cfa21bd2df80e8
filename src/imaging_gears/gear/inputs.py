"""What inputs of a job are on its site: its own key, and which file where config.json lacks it."""

from __future__ import annotations

import dataclasses

from imaging_gears.adapters.flywheel import SiteKey, parse_site_key
from imaging_gears.errors import ConfigError
from imaging_gears.gear.job import Job
from imaging_gears.gear.joblog import step
from imaging_gears.ports import NamedFiles


def own_key(job: Job) -> SiteKey:
    """Return the job's own key: its site is the job's, and what fails early is recorded with it.

    Raises:
        ConfigError: the job has none.
        SiteKeyError: it has something else in its place.
    """
    if job.site_key is None:
        message = "The job has no input api-key, which Flywheel gives, so its site is not known."
        raise ConfigError(message, location="inputs.api-key")
    return parse_site_key(job.site_key, location="the input api-key")


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
