"""Unit tests of ``readapi``."""
