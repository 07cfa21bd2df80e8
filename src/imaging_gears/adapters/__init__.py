"""The world: the only places that know Flywheel's SDK, AWS and HTTP. Vendor errors end here."""
