"""How every process starts, turns, reports and ends."""
