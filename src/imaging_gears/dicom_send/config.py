"""SendConfig, one field per entry of the manifest's config, and what its values mean."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from imaging_gears.ports import TlsProfile

FILE, KEY, CERT, CA = "file", "key", "cert", "add_cert_file"

_HOST = re.compile(
    r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?"
)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_GROUP = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{4})")
_AE = re.compile(r"[\x20-\x5B\x5D-\x7E]{1,16}")
_TEXT = re.compile(r"[\x20-\x5B\x5D-\x7E]{1,64}")


def _ae_title(value: str) -> str:
    """Return an AE title without the spaces around it, which mean nothing (PS3.5 6.2, VR AE)."""
    if not _AE.fullmatch(value) or not value.strip(" "):
        message = "an AE title has 1 to 16 ASCII characters, no backslash, and not only spaces"
        raise ValueError(message)
    return value.strip(" ")


def _host(value: str) -> str:
    value = value.strip()
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        pass
    else:
        if getattr(address, "scope_id", None):
            message = "an address without a scope (the % and what follows it)"
            raise ValueError(message)
        return str(address)
    # What ends in a number is an address with a slip in it, and no name; yet the system would take
    # some of those for an address (0x7f.1 for 127.0.0.1).
    if not _HOST.fullmatch(value) or _NUMBER.fullmatch(value.rstrip(".").rpartition(".")[2]):
        message = "a host name or IP address, without scheme, port or path"
        raise ValueError(message)
    return value


def _group(value: str) -> str:
    match = _GROUP.fullmatch(value.strip())
    if match is None:
        message = "a group is four hexadecimal digits, such as 0x0021"
        raise ValueError(message)
    return f"0x{match[1].lower()}"


def _long_string(value: str) -> str:
    """Return the text of a private element: what VR LO takes (PS3.5 6.2) in ASCII."""
    if not _TEXT.fullmatch(value) or value != value.strip(" "):
        message = "1 to 64 ASCII characters, no backslash, no space at the ends"
        raise ValueError(message)
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
LongString = Annotated[str, AfterValidator(_long_string)]


class SendConfig(BaseModel):
    """What a user sets for a run. Frozen; a test holds it and the manifest together."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    destination: Annotated[str, AfterValidator(_host)]
    called_ae: AeTitle
    calling_ae: AeTitle = "flywheel"
    port: int = Field(default=104, ge=1, le=65535)
    file_download_retry_time: int = Field(default=60, ge=0, le=3600)
    group: Annotated[str, AfterValidator(_group)] = "0x0021"
    identifier: LongString = "Flywheel"
    tag_value: LongString = "DICOM Send"
    tls_enabled: bool = False
    tls_security_profile: TlsProfile = "BCP 195"
    tls_require_peer_cert: bool = True
    dry_run: bool = False
    associations: int = Field(default=2, ge=1, le=8)
    verify: bool = False
    resend: bool = True

    @property
    def group_number(self) -> int:
        """The group of the private tag."""
        return int(self.group, 16)
