"""Settings of the notifier."""

from typing import Annotated, ClassVar

import msgspec

from runtime.process.settings import Settings


class NotifierSettings(Settings, frozen=True, kw_only=True):
    process: ClassVar[str] = "notifier"

    batches_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    """Batches of one partition whose messages are put into the queues in one step."""
    endpoint_calls_max: Annotated[int, msgspec.Meta(ge=1, le=100)] = 8
    """Calls in flight to one endpoint, so that a slow endpoint delays only itself."""
    calls_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500
    """Calls in flight of this process, to all endpoints."""
