"""A small market to look at: brokers who quote and trade around prices that walk."""
