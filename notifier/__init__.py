"""The notifier: tells brokers by webhook what happened, at least once, one id per message."""
