"""Unit tests of ``exchange``."""
