"""Ingress: takes orders and cancels from brokers and appends them to the log."""
