"""Failpoints: nothing unless named; then a SIGKILL by chance and seed."""

import signal
import subprocess
import sys

import pytest

from runtime.process.failpoints import VARIABLE, failpoint


def test_unset_or_about_others_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert failpoint("matcher") is None
    monkeypatch.setenv(VARIABLE, "persister.send:1:1")
    assert failpoint("matcher") is None


def test_a_sure_one_kills_at_its_moment_only() -> None:
    program = (
        "from runtime.process.failpoints import failpoint\n"
        "hit = failpoint('matcher')\n"
        "hit('send')\n"
        "print('alive', flush=True)\n"
        "hit('sent')\n"
        "print('not reached', flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={VARIABLE: "matcher.sent:1:1,store.commit:1:1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "alive\n"
