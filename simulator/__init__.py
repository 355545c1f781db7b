"""The simulator: a broker like any other, over HTTP, that reports what it saw."""
