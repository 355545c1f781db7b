"""How every process starts, runs, reports and ends."""
