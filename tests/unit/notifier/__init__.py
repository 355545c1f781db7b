"""Unit tests of ``notifier``."""
