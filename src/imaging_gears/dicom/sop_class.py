"""What PS3.3 says of the SOP classes of PS3.4 B.5: which are images, and what shows a whole one."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

# PS3.6 table A-1: the classes named "... Image Storage", volumes, maps and segmentations. Their
# IODs have the Image Pixel module, or those of floating point pixels, as mandatory (PS3.3 A.1.4).
# Pixel data are absent there only where a URL leads to them (C.7.6.3).
_IMAGES: Final = frozenset(
    f"{_STORAGE}{suffix}"
    for suffix in (
        # Radiography and mammography
        *("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1"),
        # CT, ultrasound, MR, nuclear medicine, secondary capture
        *("2", "2.1", "2.2", "3", "3.1", "4", "4.1", "4.3", "4.4", "5", "6", "6.1"),
        *("6.2", "6.3", "7", "7.1", "7.2", "7.3", "7.4"),
        # Angiography, fluoroscopy, tomosynthesis, optical coherence tomography
        *("12.1", "12.1.1", "12.2", "12.2.1", "12.3", "13.1.1", "13.1.2", "13.1.3", "13.1.4"),
        *("13.1.5", "14.1", "14.2", "20"),
        # Visible light and ophthalmology
        *("77.1.1", "77.1.1.1", "77.1.2", "77.1.2.1", "77.1.3", "77.1.4", "77.1.4.1"),
        *("77.1.5.1", "77.1.5.2", "77.1.5.4", "77.1.5.5", "77.1.5.6", "77.1.5.7", "77.1.6"),
        *("77.1.7", "77.1.8", "77.1.9"),
        # PET, radiotherapy
        *("128", "128.1", "130", "481.1"),
        # Parametric map, segmentation, label map
        *("30", "66.4", "66.7"),
    )
)


def _named(tags: tuple[int, ...], *suffixes: str) -> dict[str, frozenset[int]]:
    return {f"{_STORAGE}{suffix}": frozenset(tags) for suffix in suffixes}


# Elements of Type 1 in mandatory modules of PS3.3 annex C, named with the module, as late in the
# data set as there are such. What depends on anything that is not looked at is not here (beams),
# nor what only some editions demand: RTROIObservationsSequence was of Type 1 once, and is of Type 3
# since structure sets may be empty.
_NEAR_THE_END: Final[Mapping[str, frozenset[int]]] = {
    # EncapsulatedDocument (Encapsulated Document): PDF, CDA, STL, OBJ, MTL
    **_named((0x00420011,), "104.1", "104.2", "104.3", "104.4", "104.5"),
    # ContentSequence (SR Document Content). It is of Type 1C: there is one wherever a document has
    # any content. Templates of key objects, CAD and dose demand some; no report is void on purpose.
    **_named((0x0040A730,), *(f"88.{each}" for each in (11, 22, 33, 34, 35, 40, 50, 59, 65))),
    **_named((0x0040A730,), *(f"88.{each}" for each in range(67, 77))),
    # WaveformSequence, of the module of this name
    **_named((0x54000100,), "9.1.1", "9.1.2", "9.1.3", "9.1.4", "9.2.1", "9.3.1", "9.4.1", "9.4.2"),
    **_named((0x54000100,), "9.5.1", "9.6.1", "9.6.2", "9.7.1", "9.7.2", "9.7.3", "9.7.4", "9.8.1"),
    # SpectroscopyData (MR Spectroscopy Data)
    **_named((0x56000020,), "4.2"),
    # PresentationLUTSequence or PresentationLUTShape, one of the two (Softcopy Presentation LUT)
    **_named((0x20500010, 0x20500020), "11.1", "11.5"),
    # PresentationCreationTime (Presentation State Identification)
    **_named((0x00700083,), "11.2", "11.3"),
    # BlendingSequence (Presentation State Blending)
    **_named((0x00700402,), "11.4"),
    # BlendingDisplaySequence (Advanced Blending Presentation State Display)
    **_named((0x00701B04,), "11.8"),
    # RegistrationSequence (Spatial Registration)
    **_named((0x00700308,), "66.1"),
    # FiducialSetSequence (Spatial Fiducials)
    **_named((0x0070031C,), "66.2"),
    # DeformableRegistrationSequence (Deformable Spatial Registration)
    **_named((0x00640002,), "66.3"),
    # SurfaceSequence (Surface Mesh)
    **_named((0x00660002,), "66.5", "68.1"),
    # TrackSetSequence (Tractography Results)
    **_named((0x00660101,), "66.6"),
    # ReferencedImageRealWorldValueMappingSequence (Real World Value Mapping)
    **_named((0x00409094,), "67"),
    # AnnotationGroupSequence (Microscopy Bulk Simple Annotations)
    **_named((0x006A0002,), "91.1"),
    # DoseSummationType (RT Dose), StructureSetLabel (Structure Set)
    **_named((0x3004000A,), "481.2"),
    **_named((0x30060002,), "481.3"),
    # RTPlanGeometry (RT General Plan)
    **_named((0x300A000C,), "481.5", "481.8"),
    # TreatmentMachineSequence (RT Treatment Machine Record)
    **_named((0x300A0206,), "481.4", "481.6", "481.9"),
    # CurrentTreatmentStatus (RT Treatment Summary Record)
    **_named((0x30080200,), "481.7"),
}


def near_the_end(sop_class_uid: str) -> frozenset[int]:
    """Return the tags of elements one of which every whole instance of a class has, not empty.

    They stand near the end of the data set, so that one that is cut off lacks them mostly. None are
    known of images, whose pixels say more, and of most other classes.
    """
    return _NEAR_THE_END.get(sop_class_uid, frozenset())


def may_have_pixels(sop_class_uid: str | None) -> bool:
    """Return whether instances of a class are images; None, and what is unknown, may be."""
    return sop_class_uid is None or _WITHOUT_PIXELS.fullmatch(sop_class_uid) is None


def must_have_pixels(sop_class_uid: str) -> bool:
    """Return whether every instance of a class is an image; nothing is said of unknown ones."""
    return sop_class_uid in _IMAGES
