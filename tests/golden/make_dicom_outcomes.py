"""Write dicom_outcomes.json: what DCMTK's dcmdump finds in pydicom's bundled files.

The table is the expectation of ``tests/unit/dicom/test_real_files.py``. It is made with another
program on purpose: neither pydicom nor `imaging_gears` takes part. Run it again when pydicom brings
other files::

    python tests/golden/make_dicom_outcomes.py PATH_OF_PYDICOM/data

It needs dcmdump 3.6.7 or later (package dcmtk) with character set conversion.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

DCMDUMP = "/usr/bin/dcmdump"
ATTRIBUTES = {
    "0002,0002": "MediaStorageSOPClassUID",
    "0002,0010": "TransferSyntaxUID",
    "0008,0020": "StudyDate",
    "0008,0060": "Modality",
    "0010,0010": "PatientName",
    "0010,0020": "PatientID",
    "0020,000d": "StudyInstanceUID",
}
HEADER_ONLY = ("+sb", "0020,1003")  # stop behind ImagesInAcquisition, the last one asked for
LINE = re.compile(r"^\(([0-9a-f]{4},[0-9a-f]{4})\) \w\w (?:\[(.*)\]|\(no value available\)) +#")
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

# dcmdump reads the whole file. These are cut off behind all that is asked for.
CUT_OFF_BEHIND_THE_HEADER = {
    "test_files/rtplan_truncated.dcm": "cut off in a sequence of group 300a; read with +sb",
    "test_files/MR_truncated.dcm": "cut off in the pixels; read with +sb",
}
NO_SERIES = "PS3.3 C.7.3.1: every instance has SeriesNumber; this one ends in group 0008"
# Where the rules of this project are stricter than dcmdump.
STRICTER = {
    "palettes/winter.dcm": (
        "HeaderError",
        "PS3.5 7.1: each tag once. SOPInstanceUID is there twice; dcmdump ignores the second",
    ),
    "test_files/empty_charset_LEI.dcm": ("HeaderError", NO_SERIES),
    "test_files/no_meta_group_length.dcm": ("HeaderError", NO_SERIES),
}
NOT_CONVERTED = "dcmdump can't convert the texts of this file: no PatientName here"


def dcmdump(path: Path, *options: str) -> tuple[int, dict[str, str]]:
    """Return exit code and the top-level values of `path`, none where an attribute is absent."""
    printed = [argument for tag in ATTRIBUTES for argument in ("+P", tag)]
    fixed = ("-q", "-Un", "+uc", "+L", "+p")
    result = subprocess.run(
        [DCMDUMP, *fixed, *options, *printed, str(path)], capture_output=True, check=False
    )
    values = {}
    for line in result.stdout.decode("utf-8", errors="replace").splitlines():
        # Nested ones are printed as "(gggg,eeee).(gggg,eeee) ...", and so do not match.
        if match := LINE.match(line):
            values[ATTRIBUTES[match[1]]] = (match[2] or "").strip()
    return result.returncode, values


def outcome(path: Path, name: str) -> dict[str, object]:
    """Return the row of one file."""
    data = path.read_bytes()
    if name in STRICTER:
        error, note = STRICTER[name]
        return {"error": error, "note": note}
    if data.startswith(b"\x1f\x8b"):
        return {"error": "ArchiveError", "note": "gzip"}
    has_preamble = data[128:132] == b"DICM"
    cut_off = CUT_OFF_BEHIND_THE_HEADER.get(name)
    options = HEADER_ONLY if cut_off else ()
    code, values = dcmdump(path, *options)
    if code:
        return {"error": "HeaderError" if has_preamble else "NotDicomError"}
    if values.get("MediaStorageSOPClassUID") == MEDIA_STORAGE_DIRECTORY:
        return {"error": "NotDicomError", "note": "a DICOMDIR lists images and is none"}
    # Names again, as UTF-8: dcmdump gives up on the file where it can't convert one.
    code, converted = dcmdump(path, "+U8", *options)
    values["PatientName"] = converted.get("PatientName", "")
    found = {keyword: values.get(keyword, "") for keyword in ATTRIBUTES.values()}
    row: dict[str, object] = {"preamble": has_preamble, **found}
    if cut_off:
        row["note"] = cut_off
    if code:
        row |= {"PatientName": None, "note": NOT_CONVERTED}
    return row


def main() -> None:
    """Write the table for the folder that is given."""
    folder = Path(sys.argv[1])
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    table = {
        name: outcome(path, name)
        for name, path in names.items()
        if path.suffix not in {".py", ".pyc"}
    }
    text = json.dumps(table, indent=1, ensure_ascii=False, sort_keys=True)
    Path(__file__).with_name("dicom_outcomes.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
