"""The words every process shares: pure data and pure functions, no I/O of any kind."""
