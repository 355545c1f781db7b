"""The functions behind the words of the ``exchange`` command. They import what they need late."""
