"""Settings of the read API."""

from typing import Annotated, ClassVar

import msgspec

from runtime.process.settings import Settings


class ReadapiSettings(Settings, frozen=True, kw_only=True):
    process: ClassVar[str] = "readapi"

    feed_sessions_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 2_000
    """Sessions of the feed at a time; one more is refused with 503."""
    feed_sessions_per_broker_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    """The same for one broker."""
    feed_hold_ms: Annotated[int, msgspec.Meta(ge=1_000, le=600_000)] = 15_000
    """How long ``cancel_on_disconnect`` waits when this process itself was killed."""
