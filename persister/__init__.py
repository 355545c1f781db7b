"""The persister: writes what the matchers committed to PostgreSQL, exactly once."""
