"""Which SOP classes are images: those of PS3.4 B.5 whose IOD (PS3.3) has pixel data, or spectra."""

from __future__ import annotations

import re
from typing import Final

# What stands in the table beside the images. It is listed, and not the images, so that a class
# which is not known here, a private one mostly, counts as an image.
_WITHOUT_PIXELS: Final = re.compile(
    r"1\.2\.840\.10008\.5\.1\.4\.(?:1\.1\.(?:"
    r"(?:8|9|10|11)(?:\..+)?"  # overlays, curves and waveforms, lookup tables, presentation states
    r"|66(?:\.[12356])?"  # raw data, registrations, fiducials, surfaces, tracts; 66.4 is pixels
    r"|6[78](?:\..+)?"  # mappings of values, surface scans
    r"|77\.1\.5\.3|7[89]\..+|80\.1"  # measurements of eyes
    r"|(?:88|90|91|104)\..+"  # structured reports and key objects, results, encapsulated documents
    r"|129|131|20[01]\..+"  # curves of PET, displays, protocols, inventories
    r"|481\.(?:[3-9]|1\d|2[0-25])"  # plans and records of radiotherapy; the others are images, dose
    r")|(?:34|38|39|43|44|45)\..+)"  # instructions, hanging protocols, palettes, implants
    r"|1\.3\.12\.2\.1107\.5\.9\.1"  # Siemens "CSA Non-Image"
)


def has_pixels(sop_class_uid: str | None) -> bool:
    """Return whether instances of a class are images; None, and what is unknown, may be."""
    return sop_class_uid is None or _WITHOUT_PIXELS.fullmatch(sop_class_uid) is None
