"""The pages need plotly, which is not installed with everything."""

from importlib.util import find_spec

from simulator.errors import MissingExtra


def require_plotly() -> None:
    """Raises :class:`~simulator.errors.MissingExtra` when no page can be drawn. To be called
    before the load, so that nobody waits for a report that cannot be written."""
    if find_spec("plotly") is None:
        raise MissingExtra(
            "A report needs plotly, which is not installed. Install the extra `report`:"
            ' pip install "mini-exchange[report]". Without --report nothing else is needed.'
        )
