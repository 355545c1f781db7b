"""The live page at ``/``: what is traded, and how the exchange is. ``static/`` is what a browser
gets, as it is; there is no build step."""
