"""Command sets of DIMSE messages (PS3.7 9.3 and E.1): always implicit VR little endian. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from imaging_gears.adapters.dimse.failures import AssociationLostError

# Tags of group 0000, PS3.7 table E.1-1; each as its element number.
GROUP_LENGTH: Final = 0x0000
AFFECTED_SOP_CLASS_UID: Final = 0x0002
COMMAND_FIELD: Final = 0x0100
MESSAGE_ID: Final = 0x0110
MESSAGE_ID_RESPONDED_TO: Final = 0x0120
PRIORITY: Final = 0x0700
DATA_SET_TYPE: Final = 0x0800
STATUS: Final = 0x0900
ERROR_COMMENT: Final = 0x0902
AFFECTED_SOP_INSTANCE_UID: Final = 0x1000

C_STORE_RQ: Final = 0x0001
C_FIND_RQ: Final = 0x0020
C_ECHO_RQ: Final = 0x0030
RESPONSE: Final = 0x8000
"""Set in the CommandField of a response."""

NO_DATA_SET: Final = 0x0101
_A_DATA_SET: Final = 0x0001
_MEDIUM: Final = 0x0000

_HEADER: Final = struct.Struct("<HHL")
_US: Final = struct.Struct("<H")


def store_request(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """Return the command set of a C-STORE-RQ (PS3.7 table 9.3-1)."""
    return _encoded(
        {
            AFFECTED_SOP_CLASS_UID: _uid(sop_class_uid),
            COMMAND_FIELD: _US.pack(C_STORE_RQ),
            MESSAGE_ID: _US.pack(message_id),
            PRIORITY: _US.pack(_MEDIUM),
            DATA_SET_TYPE: _US.pack(_A_DATA_SET),
            AFFECTED_SOP_INSTANCE_UID: _uid(sop_instance_uid),
        }
    )


def find_request(message_id: int, sop_class_uid: str) -> bytes:
    """Return the command set of a C-FIND-RQ (PS3.7 table 9.3-3)."""
    return _encoded(
        {
            AFFECTED_SOP_CLASS_UID: _uid(sop_class_uid),
            COMMAND_FIELD: _US.pack(C_FIND_RQ),
            MESSAGE_ID: _US.pack(message_id),
            PRIORITY: _US.pack(_MEDIUM),
            DATA_SET_TYPE: _US.pack(_A_DATA_SET),
        }
    )


def echo_request(message_id: int, sop_class_uid: str) -> bytes:
    """Return the command set of a C-ECHO-RQ (PS3.7 table 9.3-12)."""
    return _encoded(
        {
            AFFECTED_SOP_CLASS_UID: _uid(sop_class_uid),
            COMMAND_FIELD: _US.pack(C_ECHO_RQ),
            MESSAGE_ID: _US.pack(message_id),
            DATA_SET_TYPE: _US.pack(NO_DATA_SET),
        }
    )


def query_identifier(study_uid: str, series_uid: str) -> bytes:
    """Return a C-FIND identifier that asks for the instances of a series (PS3.4 C.4.1, C.6.2.1).

    Implicit VR little endian.
    """
    return b"".join(
        _HEADER.pack(group, element, len(value)) + value
        for group, element, value in (
            (0x0008, 0x0018, b""),  # SOPInstanceUID: all that there are
            (0x0008, 0x0052, b"IMAGE "),  # QueryRetrieveLevel
            (0x0020, 0x000D, _uid(study_uid)),
            (0x0020, 0x000E, _uid(series_uid)),
        )
    )


def parse_command(data: bytes) -> Mapping[int, bytes]:
    """Return the values of a command set by element number.

    Raises:
        AssociationLostError: it is none.
    """
    return {
        element: value for (group, element), value in parse_implicit(data).items() if group == 0
    }


def parse_implicit(data: bytes) -> Mapping[tuple[int, int], bytes]:
    """Return the values of a flat data set in implicit VR little endian by tag.

    Raises:
        AssociationLostError: it is cut off.
    """
    values: dict[tuple[int, int], bytes] = {}
    position = 0
    while position < len(data):
        try:
            group, element, length = _HEADER.unpack_from(data, position)
        except struct.error:
            raise AssociationLostError("the server sent a message that is cut off") from None
        position += _HEADER.size
        value = data[position : position + length]
        if len(value) != length:
            raise AssociationLostError("the server sent a message that is cut off")
        values[group, element] = value
        position += length
    return values


def number(command: Mapping[int, bytes], element: int) -> int:
    """Return a value of VR US.

    Raises:
        AssociationLostError: the command set has none.
    """
    value = command.get(element, b"")
    if len(value) != _US.size:
        raise AssociationLostError("the server sent a message without a part that it must have")
    return int(_US.unpack(value)[0])


def uid_text(value: bytes) -> str:
    """Return a UID without its padding."""
    return value.decode("ascii", "replace").strip("\0 ")


def _uid(text: str) -> bytes:
    value = text.encode("ascii")
    return value + b"\0" * (len(value) % 2)


def _encoded(elements: Mapping[int, bytes]) -> bytes:
    body = b"".join(
        _HEADER.pack(0, element, len(value)) + value for element, value in sorted(elements.items())
    )
    return _HEADER.pack(0, GROUP_LENGTH, 4) + struct.pack("<L", len(body)) + body
