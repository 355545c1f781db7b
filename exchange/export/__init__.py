"""The files of a trading day."""
