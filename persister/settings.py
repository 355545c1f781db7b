"""Settings of the persister."""

from typing import Annotated, ClassVar

import msgspec

from runtime.process.settings import Settings


class PersisterSettings(Settings, frozen=True, kw_only=True):
    process: ClassVar[str] = "persister"

    pace_ms: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 100.0
    """Least time from one busy step to the next; a transaction costs the same for more rows."""
    listened_pace_ms: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 15.0
    """The same while somebody is told execution reports as they come, because nobody is told what
    is not stored: a webhook endpoint is enabled, or a process says that it has listeners."""
    batches_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    """Batches of one partition that are stored in one transaction."""
    closed_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 600
    """How long a closed order stays in Redis after PostgreSQL has it."""
