"""What the other rings offer to the ``exchange`` command, found by entry point.

The command lives in ``runtime``, which imports no process; the processes announce themselves in
pyproject.toml, and only the one that is asked for gets imported.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any


def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of ``exchange.<group>`` by name."""
    return {entry.name: entry for entry in entry_points(group=f"exchange.{group}")}


def load_plugin(group: str, name: str) -> Any:
    return plugins(group)[name].load()
