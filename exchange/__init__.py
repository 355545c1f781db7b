"""The ``exchange`` command: the composition root. It may import everything, nothing imports it."""
