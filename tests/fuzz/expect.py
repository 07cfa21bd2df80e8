"""Write corpus.json: what programs of others find in each input of the corpus.

DCMTK's dcmdump reads the images, Python's `zipfile` the archives. It is the expectation of
``tests/unit/dicom/test_corpus.py``. Run it again when the corpus has other inputs::

    python -m tests.fuzz.expect

It needs dcmdump 3.6.7 or later (package dcmtk).
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile

from tests.fuzz.mutate import CORPUS, content, corpus

TABLE = CORPUS / "corpus.json"
SHOWN = {
    "0008,0020": "StudyDate",
    "0008,0060": "Modality",
    "0010,0020": "PatientID",
    "0020,000d": "StudyInstanceUID",
    "0020,000e": "SeriesInstanceUID",
}
LINE = re.compile(r"^\(([0-9a-f]{4},[0-9a-f]{4})\) \w\w \[(.*)\] +#")
DICM = slice(128, 132)


def dcmdump(data: bytes) -> dict[str, str] | None:
    """Return the values that dcmdump shows at the top level, None where it refuses the file."""
    asked = [word for tag in SHOWN for word in ("+P", tag)]
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = ["dcmdump", "-q", "-Un", "+L", "+p", *asked, file.name]
        done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        return None
    matches = map(LINE.match, done.stdout.decode("latin-1").splitlines())
    return {SHOWN[match[1]]: match[2].rstrip() for match in matches if match}


def members(data: bytes) -> list[bytes]:
    """Return the images of an archive that `zipfile` can extract, checksums included."""
    found = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                try:
                    found.append(archive.read(member))
                except Exception:  # noqa: BLE001, S112 - it has eight kinds of them
                    continue
    except (zipfile.BadZipFile, NotImplementedError):
        return []
    return [each for each in found if each[DICM] == b"DICM"]


def expected(data: bytes) -> list[dict[str, str]]:
    """Return the values of each image that can be read in an input."""
    is_archive = data.startswith(b"PK") and data[DICM] != b"DICM"
    shown = map(dcmdump, members(data) if is_archive else [data])
    return [values for values in shown if values is not None]


def main() -> None:
    """Write the table."""
    table = {path.stem: expected(content(path)) for path in corpus()}
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(table)} inputs, {sum(map(bool, table.values()))} of them readable\n")


if __name__ == "__main__":
    main()
