"""Settings of ingress."""

from typing import Annotated, ClassVar

import msgspec

from runtime.process.settings import Settings


class IngressSettings(Settings, frozen=True, kw_only=True):
    process: ClassVar[str] = "ingress"

    waiting_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 5_000
    """Commands that may wait for the log; one more is refused with 503."""
    decision_wait_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 2_000
    """How long a cancel or an amendment waits for the matcher before it answers 202."""
    backlog_max: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 20_000
    """Commands of a partition that wait for the matcher; beyond it orders get 503, beyond twice as
    many cancels too."""
    unstored_max: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 100_000
    """Batches of a partition that wait to be stored and notified; the same."""
    client_ids_max: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 50_000
    """Client order ids that a partition remembers at least, unless they are older."""
    client_ids_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 24
    """How long a client order id is remembered, unless more than ``client_ids_max`` came since."""
