"""Recorded markets, replayed against an exchange."""
