"""The embedded default: a whole exchange on one machine."""
