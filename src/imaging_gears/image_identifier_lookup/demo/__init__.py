"""The demo: a walk through the gear on a local Flywheel site, for people and for programs."""
