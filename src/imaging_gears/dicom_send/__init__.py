"""The gear that sends DICOM from Flywheel to a DICOM server, every value as it is."""

GEAR = "dicom-send"
"""The manifest's name: the key and the prefix of everything that the gear writes."""
