"""The gear that finds out whose an uploaded DICOM image is, and says so where it is looked for."""

GEAR = "image-identifier-lookup"
"""The manifest's name: the key and the prefix of everything that the gear writes."""
