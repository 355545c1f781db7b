"""Unit tests of the fault driver."""
