"""docs/reference/settings.md names every setting of every process, with its default."""

import re
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.calendar.settings import CalendarSettings
from ingress.settings import IngressSettings
from matcher.settings import MatcherSettings
from notifier.settings import NotifierSettings
from persister.settings import PersisterSettings
from readapi.settings import ReadapiSettings
from runtime.process.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"
ROWS = dict(re.findall(r"^\| `(EXCHANGE_\w+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))
WORKERS = (
    CalendarSettings,
    IngressSettings,
    MatcherSettings,
    NotifierSettings,
    PersisterSettings,
    ReadapiSettings,
)


def settings_of(cls: type[Settings]) -> dict[str, Any]:
    """Variable → default; ``msgspec.NODEFAULT`` where the default is computed."""
    shared = {field.name for field in msgspec.structs.fields(Settings)}
    prefix = f"EXCHANGE_{cls.process.upper()}_"
    return {
        f"{'EXCHANGE_' if field.name in shared else prefix}{field.name.upper()}": field.default
        for field in msgspec.structs.fields(cls)
    }


def spelled(default: Any) -> str:
    match default:
        case None:
            return "not set"
        case "":
            return "empty"
        case Enum():
            return f"`{default.value}`"
        case bool():
            return f"`{str(default).lower()}`"
        case _:
            return f"`{default}`"


@pytest.mark.parametrize("cls", WORKERS)
def test_every_setting_is_on_the_page_with_its_default(cls: type[Settings]) -> None:
    for variable, default in settings_of(cls).items():
        assert variable in ROWS, f"{variable} is missing"
        if default is not msgspec.NODEFAULT:
            assert ROWS[variable] == spelled(default), variable


def test_the_page_names_no_setting_that_a_worker_would_refuse() -> None:
    known = {variable for cls in WORKERS for variable in settings_of(cls)}
    prefixes = tuple(f"EXCHANGE_{cls.process.upper()}_" for cls in WORKERS)
    assert {variable for variable in ROWS if variable.startswith(prefixes)} <= known
