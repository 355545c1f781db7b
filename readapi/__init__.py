"""The read API: order status, books, prices and balances, from Redis."""
