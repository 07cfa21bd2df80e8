"""The business logic: use the known NACCID or look it up, conflicts, the subject update.

Decisions are functions of values; what they need of the world is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imaging_gears.errors import NaccidConflictError
from imaging_gears.gear.blocks import as_block
from imaging_gears.image_identifier_lookup.extraction import LookupContext
from imaging_gears.model.findings import PTID_MISMATCH, Finding
from imaging_gears.model.participant import Mode, ParticipantKey, parse_naccid
from imaging_gears.ports import IdentifierRepository, SubjectState, SubjectStore


@dataclass(frozen=True, slots=True)
class UseKnown:
    """The subject has its NACCID already."""

    naccid: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LookUp:
    """The registry has to be asked."""

    key: ParticipantKey


def next_step(context: LookupContext, mode: Mode) -> UseKnown | LookUp:
    """Return how the NACCID is to be had.

    Raises:
        NaccidInvalidError: the label's or the subject's is no NACCID of `mode`.
    """
    if context.label_naccid is not None:
        parse_naccid(context.label_naccid, mode, location="subject.label")
    stored = parse_stored(context.stored_naccid, mode)
    return LookUp(context.key) if stored is None else UseKnown(stored)


def parse_stored(value: object, mode: Mode) -> str | None:
    """Return the NACCID stored in subject.info, None where there is none.

    Raises:
        NaccidInvalidError: something is stored that is no NACCID of `mode`.
    """
    if value is None or value == "":
        return None
    return parse_naccid(value, mode, location="subject.info")


def identify(context: LookupContext, identifiers: IdentifierRepository, mode: Mode) -> str:
    """Return the participant's NACCID, known or looked up, agreeing with the label's.

    Raises:
        IdentifierNotFoundError: the registry answered: no such participant.
        NaccidInvalidError: a NACCID that was stored or given is none of `mode`.
        NaccidConflictError: the label names another NACCID.
        ServiceError: the registry did not answer.
    """
    step = next_step(context, mode)
    if isinstance(step, UseKnown):
        naccid = step.naccid
    else:
        answer = identifiers.naccid_for(step.key, mode)
        naccid = parse_naccid(answer, mode, location="the identifier API's answer")
    return _agreeing(naccid, context.label_naccid, location="subject.label")


def warnings_of(context: LookupContext) -> tuple[Finding, ...]:
    """Return the warnings that the context itself gives rise to."""
    return (PTID_MISMATCH.finding(),) if context.ptid_mismatch else ()


def subject_update(
    subject: SubjectState,
    naccid: str,
    block: Mapping[str, Any],
    *,
    field_name: str,
    mode: Mode,
) -> dict[str, Any] | None:
    """Return what is to be merged into subject.info, None where it stands there already.

    A block that a newer version of the same file left there is newer than ours and stays.

    Raises:
        NaccidConflictError: another NACCID stands there; it stays.
        NaccidInvalidError: something that is no NACCID of `mode` stands there; it stays.
    """
    stored = parse_stored(subject.info.get(field_name), mode)
    _agreeing(naccid, stored, location="subject.info")
    update: dict[str, Any] = {field_name: naccid}
    present = subject.info.get("dicom_metadata")
    if not _is_newer(present, block):
        update["dicom_metadata"] = dict(block)
    return None if _holds(subject.info, update) else update


def update_subject(
    store: SubjectStore,
    subject_id: str,
    naccid: str,
    block: Mapping[str, Any],
    *,
    field_name: str,
    mode: Mode,
) -> bool:
    """Bring subject.info up to date from a fresh read; return whether a write was needed.

    The subject is read again because the lookup took time in which another job may have stored its
    own NACCID.
    """
    update = subject_update(
        store.subject(subject_id), naccid, block, field_name=field_name, mode=mode
    )
    if update is None:
        return False
    store.merge_subject_info(subject_id, update)
    return True


def put_back(
    store: SubjectStore, subject_id: str, field_name: str, naccid: str, first: str
) -> None:
    """Store `first` again where `naccid` has replaced it."""
    if store.subject(subject_id).info.get(field_name) == naccid:
        store.merge_subject_info(subject_id, {field_name: first})


def conflict(stored: str, naccid: str, *, location: str) -> NaccidConflictError:
    """Return what there is to say where `naccid` is not the NACCID at `location`."""
    message = f"The NACCID in {location} is not the one of this participant."
    return NaccidConflictError(message, location=location, value=stored, expected=naccid)


def _agreeing(naccid: str, other: str | None, *, location: str) -> str:
    if other is not None and other != naccid:
        raise conflict(other, naccid, location=location)
    return naccid


def _holds(present: object, update: object) -> bool:
    """Return whether merging `update` into `present`, as Flywheel does, changes nothing."""
    if not isinstance(update, Mapping):
        return present == update
    return isinstance(present, Mapping) and all(
        key in present and _holds(present[key], value) for key, value in update.items()
    )


def _is_newer(present: object, update: Mapping[str, Any]) -> bool:
    source = as_block(as_block(present).get("source"))
    if source.get("file_id") != update["source"]["file_id"]:
        return False
    version = source.get("version")
    return isinstance(version, int) and version > update["source"]["version"]
