"""The gear: context, config, adapters, the run itself, exit code.

``python -m imaging_gears.image_identifier_lookup.run``, in the folder that FLYWHEEL names.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imaging_gears.adapters import aws
from imaging_gears.adapters.flywheel import (
    SERVICE as FLYWHEEL,
)
from imaging_gears.adapters.flywheel import (
    FlywheelSite,
    SiteKey,
    key_of_site,
)
from imaging_gears.adapters.identifiers import (
    SERVICE as IDENTIFIERS,
)
from imaging_gears.adapters.identifiers import HttpsIdentifiers, LambdaIdentifiers
from imaging_gears.adapters.s3 import S3EventStore
from imaging_gears.adapters.ssm import Secrets, read_secrets
from imaging_gears.adapters.tries import Tries
from imaging_gears.errors import (
    ConfigError,
    ImagingError,
)
from imaging_gears.gear import joblog
from imaging_gears.gear.inputs import found, own_key
from imaging_gears.gear.job import InputFile, Job, parse_config
from imaging_gears.gear.joblog import log, step
from imaging_gears.gear.start import Watchdog, now, requests_remark, started, unexpected
from imaging_gears.image_identifier_lookup import processor
from imaging_gears.image_identifier_lookup.config import INPUT, GearConfig
from imaging_gears.image_identifier_lookup.extraction import Known, complete
from imaging_gears.image_identifier_lookup.main import ImageIdentifierLookup, record_failure
from imaging_gears.image_identifier_lookup.plan import Plan, PlannedEvents, PlannedSite
from imaging_gears.image_identifier_lookup.progress import Outcome, Progress, World
from imaging_gears.ports import IdentifierRepository, Site

if TYPE_CHECKING:
    from imaging_gears.image_identifier_lookup.file_resolver import Resolved

JOB_SECONDS = 600
"""The watchdog's patience: whatever hangs, the job ends then and can be run again."""


@dataclass(slots=True)
class Gear:
    """One start of the gear in its folder."""

    job: Job
    requests: Counter[str] = field(default_factory=Counter)
    plan: Plan = field(default_factory=Plan)
    tries: dict[str, Tries] = field(default_factory=dict)

    @property
    def values(self) -> Mapping[str, Any]:
        """The config as it was given; not checked yet."""
        return self.job.config

    @property
    def file(self) -> InputFile:
        """The input."""
        return self.job.files[INPUT]

    def run(self) -> Outcome:
        """Do the job; an error that comes before the file is reached is recorded on it, too."""
        try:
            config = parse_config(GearConfig, self.values)
            joblog.configure(debug=config.debug)
            site_key = self._site_key()
            if site_key is None:
                return self._without_site()
            aws.check_environment()
            with step("SSM parameters"):
                secrets = read_secrets(config.apikey_path_prefix, self.requests)
            key = key_of_site(secrets.flywheel_key, site_key, location="the SSM parameter apikey")
            site = FlywheelSite(key, self._tries(FLYWHEEL))
            self.job = found(self.job, INPUT, site)
            if self.file.file_id is None:
                return self._without_site()
            world = self._world(config, site, secrets)
            return ImageIdentifierLookup(config, self.job, world).run()
        except ImagingError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it is recorded
            return self._failed(unexpected(error))

    def _site_key(self) -> SiteKey | None:
        """Return the job's own key, whose site is the job's; None where the run has no site."""
        if self.file.file_id is None and self.job.destination is None:
            return None
        return own_key(self.job)

    def _world(self, config: GearConfig, site: Site, secrets: Secrets) -> World:
        return World(
            site=PlannedSite(site, self.plan) if config.dry_run else site,
            identifiers=self._identifiers(secrets),
            events=PlannedEvents(config.event_environment, config.event_bucket, self.plan)
            if config.dry_run
            else S3EventStore(config.event_bucket, self.requests),
            resolve=resolve,
            now=now,
            pause=time.sleep,
        )

    def _identifiers(self, secrets: Secrets) -> IdentifierRepository:
        tries = self._tries(IDENTIFIERS)
        if secrets.identifiers_url is None:
            return LambdaIdentifiers(tries)
        return HttpsIdentifiers(secrets.identifiers_url, secrets.identifiers_key or "", tries)

    def _tries(self, service: str) -> Tries:
        return self.tries.setdefault(service, Tries(service, self.requests))

    def _failed(self, error: ImagingError) -> Outcome:
        """Record a failure with the job's own key: the gear's is missing or for another site."""
        log.error("%s: %s", error.code, error.sentence())
        if self.file.file_id is not None:
            try:
                site: Site = FlywheelSite(own_key(self.job), self._tries(FLYWHEEL))
                if self.values.get("dry_run") is True:
                    site = PlannedSite(site, self.plan)
                return record_failure(self.job, site, error, now())
            except ImagingError as refused:
                log.warning("the file record can't be written: %s", refused.message)
        at = Progress()
        at.fail(error)
        return at.outcome(strict=False)

    def _without_site(self) -> Outcome:
        """Say what the file holds: a local run has no site to look anything up in."""
        log.info("dry run: the job names no file of a Flywheel site; only the file itself is read")
        at = Progress()
        try:
            with step("header") as remarks:
                resolved = resolve(self.file.path)
                remarks.append(resolved.remark())
            at.findings += resolved.findings
            # No label, no project: what the file says of itself has to name the visit.
            itself = Known(adcid=0, ptid=None, label_naccid=None, stored_naccid=None)
            at.findings += processor.warnings_of(complete(itself, resolved.metadata))
        except ImagingError as error:
            log.error("%s: %s", error.code, error.sentence())
            at.fail(error)
        return at.outcome(strict=False)


def main() -> int:
    """Run the gear in its folder; return the exit code."""
    start = time.perf_counter()

    def run(job: Job) -> int:
        gear = Gear(job)
        outcome = gear.run()
        dry = gear.values.get("dry_run") is True
        if dry:
            log.info("dry run, nothing was written; the plan: %s", json.dumps(gear.plan.writes))
        ending = summary(outcome, gear.requests, verb="would be written" if dry else "written")
        log.info("%s; %.2f s", ending, time.perf_counter() - start)
        return outcome.exit_code

    return started(run, Watchdog(JOB_SECONDS), required=(INPUT,))


def summary(outcome: Outcome, requests: Counter[str], *, verb: str) -> str:
    """Return the log's last line: verdict, what was written, what is missing and why, requests."""
    missing = "; ".join(f"{name} ({why})" for name, why in outcome.missing.items())
    return "; ".join(
        [
            f"verdict {outcome.state}"
            + (f" ({', '.join(outcome.codes)})" if outcome.codes else ""),
            f"{verb}: {', '.join(outcome.written) or 'nothing'}",
            *([f"NOT WRITTEN: {missing}"] if missing else []),
            requests_remark(requests),
        ]
    )


def resolve(path: Path) -> Resolved:
    """Open the upload. Imported here: a run by the short cut needs none of it.

    Raises:
        ConfigError: the platform has not mounted it, or not so that it can be read.
        InputFileError: it can't be used.
    """
    from imaging_gears.image_identifier_lookup import file_resolver  # noqa: PLC0415 - see above

    try:
        return file_resolver.resolve(path)
    except OSError:
        message = "The input file is not where the platform mounts it, or can't be read there."
        raise ConfigError(message, location="inputs.input_file") from None


if __name__ == "__main__":
    sys.exit(main())
