"""What tests share: running exchanges, builders, waiting."""
