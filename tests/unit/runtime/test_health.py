"""When a worker says that it lives, and what it says where it cannot listen."""

from pathlib import Path

import pytest

from runtime.process.errors import SettingsError
from runtime.process.health import Health, listen_unix, serve_health
from runtime.process.settings import Settings
from tests.support.running import free_port


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every beat is too long ago as soon as it is over."""
    monkeypatch.setattr("runtime.process.health.STALE_SECONDS", -1.0)


@pytest.mark.usefixtures("stale")
def test_a_worker_is_live_until_it_was_ready_once() -> None:
    health = Health()
    assert health.live, "a first recovery may take long"
    health.ready = True
    assert not health.live
    health.ready = False
    assert not health.live


def test_a_worker_that_turns_is_live_and_ready() -> None:
    health = Health()
    assert (health.live, health.ready) == (True, False)
    health.ready = True
    assert (health.live, health.ready) == (True, True)
    assert [health.answer(path)[0] for path in ("/health", "/health/live", "/metrics")] == [200] * 3


def test_a_path_that_is_too_long_is_a_wrong_setting(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * 120))
    with pytest.raises(SettingsError, match="EXCHANGE_HEALTH_SOCKET"):
        listen_unix(path)


def test_a_port_that_is_taken_is_a_wrong_setting() -> None:
    settings = Settings(health_port=free_port())
    with (
        serve_health(settings, Health()),
        pytest.raises(SettingsError, match="EXCHANGE_HEALTH_PORT"),
        serve_health(settings, Health()),
    ):
        raise AssertionError("two listen on one port")
