"""What in an upload is no DICOM: whether it may be passed over, or hides a missing image."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.members import ARCHIVES
from imaging_gears.dicom.recognition import DICM, PREAMBLE_SIZE, kind_of

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

NESTED: Final = (
    "It is an archive inside the archive that may hold images, and is not sent: unpack it."
)

_SHORTEST: Final = PREAMBLE_SIZE + len(DICM)  # PS3.10 7.1: less is the start of any DICOM, or none
_SUFFIXES: Final = frozenset({".dcm", ".dicom", ".ima"})
# PS3.10 8.6, and what exporting programs and discs bring along, in whatever case.
_NO_IMAGES: Final = frozenset({"DICOMDIR", "VERSION", "LOCKFILE", "README", "LICENSE", "AUTORUN"})
# Documents and programs that are zips, and volumes that are packed: a viewer on a disc brings some.
_PACKED: Final = frozenset(
    {".docx", ".epub", ".jar", ".nii", ".odp", ".ods", ".odt", ".pptx", ".xlsx"}
)


def holds_others(prefix: bytes, name: str | None) -> bool:
    """Return whether a member that begins with `prefix` is an archive that may hold images."""
    packed = {each.lower() for each in _path(name).suffixes} & _PACKED
    return kind_of(prefix) in ARCHIVES and not packed


def folder_of(name: str | None) -> str:
    """Return the folder that a member lies in."""
    return str(_path(name).parent)


def lost_image(prefix: bytes, name: str | None, folders: AbstractSet[str]) -> str | None:
    """Return why a member that is no DICOM counts as one all the same; None where it does not.

    Args:
        prefix: its first `PREFIX_SIZE` bytes, all of them where there are fewer. What could show
            that it is DICOM begins behind the first 128.
        name: as the archive has it; None for the upload itself, which is seen to be no image.
        folders: that hold DICOM. There an image needs no suffix; digits behind a dot are none,
            because files are named by their UIDs.
    """
    path = _path(name)
    bare = not path.suffix or path.suffix[1:].isdigit()
    beside = bare and not path.name.startswith(".") and folder_of(name) in folders
    has_suffix = path.suffix.lower() in _SUFFIXES
    if name is None or not (has_suffix or (beside and path.name.upper() not in _NO_IMAGES)):
        return None
    if not prefix:
        return "It is empty, and named as images are: cut off."
    if len(prefix) < _SHORTEST:
        if not has_suffix and _is_text(prefix):
            return None  # A note, a checksum. What is left of a DICOM has NUL bytes as a rule.
        return "It is shorter than the start of any DICOM, and named as images are: cut off."
    if not any(prefix[:_SHORTEST]):
        return "It begins with NUL bytes only, and is named as images are: zeroed, or not written."
    return "It is no DICOM, and named as images are." if has_suffix else None


def _is_text(data: bytes) -> bool:
    """Return whether there are no control characters, in whatever extension of ASCII."""
    return all(each >= ord(" ") for each in data.translate(None, b"\t\r\n"))


def _path(name: str | None) -> PurePosixPath:
    return PurePosixPath((name or "").replace("\\", "/"))
