"""Unit tests of ``runtime``."""
