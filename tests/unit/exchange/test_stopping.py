"""How `exchange up` is told to stop, and how it stops what it has started."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.local import supervisor as supervisor_module
from exchange.local.supervisor import Child, Supervisor
from exchange.up import Stopped, StopSignal
from tests.support.eventually import eventually

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('deaf', flush=True); time.sleep(60)"
)


@pytest.fixture
def stop_signal() -> Iterator[StopSignal]:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield StopSignal()
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_start_at_once(stop_signal: StopSignal, number: int) -> None:
    with pytest.raises(Stopped):
        signal.raise_signal(number)
    assert stop_signal.arrived


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_later_a_signal_interrupts_nothing(stop_signal: StopSignal, number: int) -> None:
    stop_signal.only_note()
    assert not stop_signal.arrived
    signal.raise_signal(number)
    assert stop_signal.arrived


def test_all_that_do_not_stop_are_killed_after_one_time_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "STOP_SECONDS_MAX", 0.5)
    logs = [tmp_path / f"{number}.log" for number in range(4)]
    supervisor = Supervisor([])
    for log in logs:
        supervisor.add(Child(log.stem, [sys.executable, "-c", STUBBORN], {}, log))
    eventually(lambda: all("deaf" in log.read_text() for log in logs), what="all to be deaf")
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 4 * 0.5
    assert [child.pid for child in supervisor.children] == [None] * 4
