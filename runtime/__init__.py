"""How every process of the exchange runs: the plumbing they share, and the ``exchange`` command."""
