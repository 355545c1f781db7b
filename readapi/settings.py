"""Settings of the read API."""

from typing import ClassVar

from runtime.process.settings import Settings


class ReadapiSettings(Settings, frozen=True, kw_only=True):
    process: ClassVar[str] = "readapi"
