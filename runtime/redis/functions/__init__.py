"""The Redis Functions of the exchange: one file of Lua per contract, and one of Python beside it.

The Python function builds the keys and arguments that its Lua neighbour takes, and reads the reply.
Nobody else counts positions.
"""
