"""Settings of ingress."""

from typing import Annotated, ClassVar

import msgspec

from runtime.settings import Settings


class IngressSettings(Settings, frozen=True, kw_only=True):
    process: ClassVar[str] = "ingress"

    waiting_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 5_000
    """Commands that may wait for the log; one more is refused with 503."""
    decision_wait_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 2_000
    """How long a cancel or an amendment waits for the matcher before it answers 202."""
