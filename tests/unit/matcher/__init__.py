"""Unit tests of ``matcher``."""
