"""The worker that opens and closes the trading day by the clock."""
