"""Send to Orthanc and ask it what it has: ``python -m tests.dimse.orthanc_run FOLDER``.

Prints JSON; see `tests.orthanc`.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

from imaging_gears.ports import TlsFiles
from tests.dimse.items import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    RLE,
    Item,
    item,
    split,
)
from tests.dimse.peers import send, server_at
from tests.orthanc import Orthanc, orthanc
from tests.pki import Authority

SYNTAXES = (IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG, JPEG_2000, RLE)


def main(folder: Path) -> None:
    """Send over plain TCP and over TLS."""
    authority = Authority(folder, "authority")
    server, client = authority.issue("server"), authority.issue("client")
    tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(server.cert),
        "DicomTlsPrivateKey": str(server.key),
        "DicomTlsTrustedCertificates": str(authority.cert),
        "DicomTlsRemoteCertificateRequired": True,
    }
    files = TlsFiles(key=client.key, cert=client.cert, ca=authority.cert)
    with orthanc(folder / "plain", title="SCP") as plain:
        found = {"plain": _sent(plain, None)}
    with orthanc(folder / "tls", title="SCP", **tls) as secure:
        found["tls"] = _sent(secure, files)
    with orthanc(folder / "strict", title="OTHER", DicomCheckCalledAet=True) as strict:
        found["strict"] = _refusal(strict)
    print(json.dumps(found))  # noqa: T201 - for the test that started it


def _sent(scp: Orthanc, tls: TlsFiles | None) -> dict[str, Any]:
    items = [item(at, syntax, pixels=50_000) for at, syntax in enumerate(SYNTAXES)]
    server = server_at(scp.dicom, tls=tls)
    server.echo()
    results = send(server, items)
    missing = item(99)
    stored = server.stored([*items, missing]) or {}
    return {
        "outcomes": [results[at].outcome for at in range(len(items))],
        "reasons": [results[at].reason for at in range(len(items))],
        "stored": sum(stored.values()),
        "missing": stored.get(missing.sop_instance_uid),
        "equal": [_is_of(scp.file(each.sop_instance_uid), each) for each in items],
    }


def _refusal(scp: Orthanc) -> str:
    """Return the code of the error that ends a run against an Orthanc of another AE title."""
    server = server_at(scp.dicom)
    results = send(server, [item(at) for at in range(3)])
    assert {each.outcome for each in results.values()} == {"failed"}
    assert scp.count() == 0
    return server.given_up.code if server.given_up else ""


def _is_of(content: bytes, sent: Item) -> bool:
    """Whether a file holds the data set of `sent`; Orthanc deflates anew, so that is undone."""
    syntax, stored = split(content)
    if syntax == DEFLATED:
        return zlib.decompress(stored, -15) == zlib.decompress(sent.data, -15)
    return (syntax, stored) == (sent.transfer_syntax_uid, sent.data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
