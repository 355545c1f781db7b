"""The matcher: consumes the logs of its partitions, matches in memory, commits the results."""
