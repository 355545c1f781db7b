"""Unit tests of ``simulator``."""
