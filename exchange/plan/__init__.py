"""How many processes and servers a load needs."""
