"""Settings of the matcher."""

from typing import Annotated, ClassVar

import msgspec

from runtime.process.settings import Settings


class MatcherSettings(Settings, frozen=True, kw_only=True):
    process: ClassVar[str] = "matcher"

    pace_ms: Annotated[float, msgspec.Meta(ge=0, le=100)] = 2.0
    """The least time in ms from one busy step to the next. With more time, more commands share the
    cost of a batch. An order that comes after a pause is matched at once."""
    batch_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    """Entries read from one symbol's log in one step."""
