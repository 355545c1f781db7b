"""The version of the exchange, in the one place where it is written.

The metadata of the package, ``exchange --version`` and the OpenAPI document all read it here.
"""

VERSION = "0.1.0"
