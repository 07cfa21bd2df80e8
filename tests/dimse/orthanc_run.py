"""Send to Orthanc and ask it what it has: ``python -m tests.dimse.orthanc_run FOLDER``.

Orthanc listens on all addresses, so this runs in a network namespace of its own (``unshare -n``),
where there is only the loopback interface. Prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
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
from tests.dimse.peers import free_port, send, server_at, wait_for
from tests.dimse.pki import Authority

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
    found = {
        "plain": _with_orthanc(folder / "plain", {}, None),
        "tls": _with_orthanc(folder / "tls", tls, files),
    }
    print(json.dumps(found))  # noqa: T201 - for the test that started it


def _with_orthanc(folder: Path, options: dict[str, Any], tls: TlsFiles | None) -> dict[str, Any]:
    folder.mkdir()
    http, dicom = free_port(), free_port()
    config = folder / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder),
                "IndexDirectory": str(folder),
                "Plugins": [],
                "HttpPort": http,
                "DicomPort": dicom,
                "DicomAet": "SCP",
                "AuthenticationEnabled": False,
                "RemoteAccessAllowed": False,
                "OverwriteInstances": True,
                "SyncStorageArea": False,
                "DicomAlwaysAllowFind": True,
                **options,
            }
        ),
        encoding="utf-8",
    )
    process = subprocess.Popen(
        ["Orthanc", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(http)
        wait_for(dicom)
        return _sent(http, dicom, tls)
    finally:
        process.kill()
        process.wait()


def _sent(http: int, dicom: int, tls: TlsFiles | None) -> dict[str, Any]:
    items = [item(at, syntax, pixels=50_000) for at, syntax in enumerate(SYNTAXES)]
    server = server_at(dicom, tls=tls)
    server.echo()
    results = send(server, items)
    missing = item(99)
    stored = server.stored([*items, missing]) or frozenset()
    return {
        "outcomes": [results[at].outcome for at in range(len(items))],
        "reasons": [results[at].reason for at in range(len(items))],
        "stored": len(stored),
        "missing": missing.sop_instance_uid in stored,
        "equal": [
            _is_of(_get(http, f"/instances/{_lookup(http, each.sop_instance_uid)}/file"), each)
            for each in items
        ],
    }


def _is_of(content: bytes, sent: Item) -> bool:
    """Whether a file holds the data set of `sent`; Orthanc deflates anew, so that is undone."""
    syntax, stored = split(content)
    if syntax == DEFLATED:
        return zlib.decompress(stored, -15) == zlib.decompress(sent.data, -15)
    return (syntax, stored) == (sent.transfer_syntax_uid, sent.data)


def _lookup(http: int, uid: str) -> str:
    reply = _get(http, "/tools/lookup", uid.encode())
    return str(json.loads(reply)[0]["ID"])


def _get(http: int, path: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", body, timeout=5) as reply:
        return bytes(reply.read())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
