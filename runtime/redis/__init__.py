"""Redis: connections, the log, leases, the registry, and the Functions."""
