"""Checks that belong to the repository, not to what it ships."""
