"""Software that takes a DICOM image from the scanner to the research archive around Flywheel."""
