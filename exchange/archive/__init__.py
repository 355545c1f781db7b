"""Whole days in files: written, verified, and only then dropped from PostgreSQL."""
