"""What is known of SOP classes; pydicom's dictionary has the names of PS3.6 annex A."""

from __future__ import annotations

import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import keyword_for_tag

from imaging_gears.dicom.sop_class import may_have_pixels, must_have_pixels, near_the_end

STORED = {
    uid: name
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "SOP Class" and uid.startswith("1.2.840.10008.5.1.4.") and "Storage" in name
}
WORDS = ("SR ", "Presentation State", "Waveform", "Encapsulated", "Plan ", "Record", "Protocol")


def test_no_class_that_is_called_an_image_is_taken_for_another() -> None:
    """Dose, segmentations and maps have pixels, too; nothing is said of most private classes."""
    images = [uid for uid, name in STORED.items() if "Image" in name and "Agent" not in name]
    images += [
        uid for uid, name in STORED.items() if name.endswith(("Dose Storage", "Map Storage"))
    ]
    images += ["1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.113619.4.2"]
    assert len(images) > 50
    assert [uid for uid in images if not may_have_pixels(uid)] == []
    assert may_have_pixels(None)


def test_what_must_have_pixels_may_have_them() -> None:
    """The two tables contradict each other in no class, and leave a third kind: unknown ones."""
    must = [uid for uid in STORED if must_have_pixels(uid)]
    assert len(must) > 50
    assert [uid for uid in must if not may_have_pixels(uid)] == []
    assert may_have_pixels("1.2.840.113619.4.2")
    assert not must_have_pixels("1.2.840.113619.4.2")


@pytest.mark.parametrize("word", WORDS)
def test_what_is_called_something_else_has_no_pixels(word: str) -> None:
    """Reports, states, waveforms, documents, plans."""
    others = [uid for uid, name in STORED.items() if word in name]
    assert others
    assert [uid for uid in others if may_have_pixels(uid)] == []


def test_files_that_siemens_calls_no_image_have_no_pixels() -> None:
    """CSA Non-Image."""
    assert not may_have_pixels("1.3.12.2.1107.5.9.1")


@pytest.mark.parametrize(
    ("word", "keyword"),
    [
        ("Encapsulated", "EncapsulatedDocument"),
        (" SR Storage", "ContentSequence"),
        ("Key Object", "ContentSequence"),
        ("Waveform Storage", "WaveformSequence"),
        ("Spectroscopy", "SpectroscopyData"),
        ("Treatment Record", "TreatmentMachineSequence"),
        ("RT Ion Plan", "RTPlanGeometry"),
        ("RT Dose", "DoseSummationType"),
        ("RT Structure Set", "StructureSetLabel"),
    ],
)
def test_classes_are_known_by_what_a_whole_instance_has(word: str, keyword: str) -> None:
    """All of the name; those for trial are retired, and newer ones than the table are left out."""
    tags = {
        uid: near_the_end(uid)
        for uid, name in STORED.items()
        if word in name and "Trial" not in name and "Annotation SR" not in name
    }
    assert tags
    for found in tags.values():
        assert [keyword_for_tag(tag) for tag in found] == [keyword]


def test_of_images_and_of_what_has_no_known_end_nothing_is_awaited() -> None:
    """What they must have is told by their pixels, or by nothing; doses may have none."""
    known = [uid for uid in STORED if near_the_end(uid)]
    assert {STORED[uid] for uid in known if may_have_pixels(uid)} == {
        "MR Spectroscopy Storage",
        "RT Dose Storage",
    }
    assert near_the_end("1.2.840.10008.5.1.4.1.1.66") == frozenset()
