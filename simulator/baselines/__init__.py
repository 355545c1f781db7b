"""The three earlier versions of this exchange, small and honest, for ``exchange compare``."""
