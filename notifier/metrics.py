"""Metrics of the notifier."""

from prometheus_client import Counter

MESSAGES = Counter("exchange_notifier_messages_total", "Messages put into queues.")
ATTEMPTS = Counter("exchange_notifier_attempts_total", "Calls made, by outcome.", ["outcome"])
DEAD = Counter("exchange_notifier_dead_letters_total", "Messages given up.")
