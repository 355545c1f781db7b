"""Unit tests of ``client``."""
