"""Which exchange a command works on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exchange.local.addresses import NoExchange, find_exchange
from exchange.local.installation import Addresses, AlreadyRunning, Installation

HERE = Addresses("http://here", "unix:///here", "postgresql:///here", "ak_here")
THERE = Addresses("http://there", "unix:///there", "postgresql:///there", "ak_there")
SET = {"EXCHANGE_REDIS_URL": "redis://set", "EXCHANGE_DATABASE_URL": "postgresql://set"}


Start = Callable[[str, Addresses], Installation]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Plays an `exchange up` in a directory below ``tmp_path``."""
    started = []

    def start_one(name: str, addresses: Addresses) -> Installation:
        installation = Installation(tmp_path / name)
        installation.lock()
        installation.publish(addresses)
        started.append(installation)
        return installation

    yield start_one
    for installation in started:
        installation.unlock()


@pytest.fixture
def here(start: Start) -> Path:
    """The default data directory, with a running exchange."""
    return start(".data", HERE).data


def test_a_named_directory_wins_over_everything_else(here: Path, start: Start) -> None:
    there = start("there", THERE).data
    found = find_exchange(there, "redis_url", environment=SET, default_data=here)
    assert found == THERE


def test_a_named_directory_without_a_running_exchange_is_an_error(
    here: Path, tmp_path: Path
) -> None:
    nobody = tmp_path / "nobody"
    with pytest.raises(NoExchange, match=f"no exchange runs in {nobody}"):
        find_exchange(nobody, "redis_url", environment=SET, default_data=here)


def test_variables_win_over_the_exchange_that_runs_here(here: Path) -> None:
    found = find_exchange(None, "redis_url", "database_url", environment=SET, default_data=here)
    assert (found.redis_url, found.database_url) == ("redis://set", "postgresql://set")
    assert found.admin_key == "", "the key of another exchange was taken"


def test_without_variables_it_is_the_exchange_that_runs_here(here: Path) -> None:
    assert find_exchange(None, "redis_url", environment={}, default_data=here) == HERE


def test_variables_that_fit_the_exchange_here_are_completed_by_it(here: Path) -> None:
    environment = {"EXCHANGE_ADMIN_KEY": "ak_here"}
    assert find_exchange(None, "url", environment=environment, default_data=here) == HERE


def test_two_exchanges_are_never_mixed(here: Path) -> None:
    environment = {"EXCHANGE_REDIS_URL": "redis://set"}
    with pytest.raises(NoExchange, match="EXCHANGE_DATABASE_URL is not set"):
        find_exchange(None, "redis_url", "database_url", environment=environment, default_data=here)


def test_options_win_over_variables_and_over_a_directory(here: Path) -> None:
    environment = {"EXCHANGE_URL": "http://set", "EXCHANGE_ADMIN_KEY": "ak_set"}
    given = {"url": "http://given", "admin_key": ""}
    found = find_exchange(None, "url", given=given, environment=environment, default_data=here)
    assert (found.url, found.admin_key) == ("http://given", "ak_set")
    found = find_exchange(here, "url", given=given, environment=environment)
    assert (found.url, found.admin_key) == ("http://given", "ak_here")


def test_without_any_exchange_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoExchange, match=r"`exchange up`.*--data") as raised:
        find_exchange(None, "url", "admin_key", environment={}, default_data=tmp_path / "none")
    assert "EXCHANGE_URL and EXCHANGE_ADMIN_KEY are not set" in str(raised.value)


def test_addresses_that_a_killed_exchange_left_behind_do_not_count(start: Start) -> None:
    installation = start("killed", HERE)
    assert Installation(installation.data).addresses() == HERE
    installation.unlock()
    assert Installation(installation.data).addresses() is None


def test_looking_does_not_keep_an_exchange_from_starting(start: Start) -> None:
    installation = start("d", HERE)
    with pytest.raises(AlreadyRunning):
        Installation(installation.data).lock()
    installation.unlock()
    assert Installation(installation.data).addresses() is None
    installation.lock()
