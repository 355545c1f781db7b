"""The page on a real exchange: it shows a trade at once, survives restarts, and does not grow."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange, order_body

OWNERS = ("matcher", "persister", "notifier")
WORKERS = ("http-1", *(f"{kind}-1" for kind in OWNERS))
GROWTH_BYTES_MAX = 4_000_000
# Playwright's own wait_for_function evaluates text in the page, which the policy forbids.
UNTIL = """what => new Promise((resolve) => {
  const look = () => (%s ? resolve() : setTimeout(look, 5));
  look();
})"""
SHOWN = UNTIL % 'document.querySelector("#tape tr td.price").textContent.includes(what)'
SAID = UNTIL % "said.some((sentence) => sentence.includes(what))"


@pytest.fixture(scope="module")
def running(short_dir: Path) -> Iterator[RunningExchange]:
    """One of its own, because its workers are killed."""
    exchange = RunningExchange(short_dir / "live")
    exchange.start()
    yield exchange
    assert exchange.stop() == 0


@pytest.fixture
def brokers(running: RunningExchange) -> Iterator[tuple[BrokerClient, BrokerClient]]:
    pair = running.register("Alvorada"), running.register("Boreal")
    yield pair
    for broker in pair:
        broker.close()


def trade(brokers: tuple[BrokerClient, BrokerClient], symbol: str, price: int) -> None:
    """Two orders that meet. It returns when they are acknowledged."""
    for broker, side in zip(brokers, ("ask", "bid"), strict=True):
        order = order_body(symbol=symbol, side=side, price=price, quantity=100)
        assert broker.http.post("/orders", json=order).status_code == 201


def test_a_newcomer_presses_the_button_and_sees_a_market_move_within_ten_seconds(
    running: RunningExchange, page: Page
) -> None:
    page.goto(running.url)
    expect(page.locator("#symbols-empty")).to_be_visible()
    page.click("#street-button")
    moved = page.locator("#tape tr[data-trade]").first
    expect(moved).not_to_have_attribute("data-trade", "", timeout=10_000)
    first = moved.get_attribute("data-trade")
    assert first is not None
    expect(moved).not_to_have_attribute("data-trade", first, timeout=10_000)
    expect(page.locator("#street-button")).to_contain_text("Stop the market")
    page.click("#street-button")
    expect(page.locator("#street-button")).to_have_text("Start a small market")


def test_a_trade_is_on_the_page_within_a_second_of_the_order(
    running: RunningExchange, page: Page, brokers: tuple[BrokerClient, BrokerClient]
) -> None:
    trade(brokers, "LIVE", 1000)
    page.goto(f"{running.url}/?symbol=LIVE")
    page.evaluate(SHOWN, "10.00")
    expect(page.locator("#pill")).to_have_text("All is well")
    for price in range(1001, 1006):
        began = time.monotonic()
        trade(brokers, "LIVE", price)
        page.evaluate(SHOWN, f"{price / 100:.2f}")
        assert time.monotonic() - began < 1.0


def test_it_survives_a_restart_of_every_worker_and_says_meanwhile_what_is_wrong(
    running: RunningExchange, page: Page, brokers: tuple[BrokerClient, BrokerClient]
) -> None:
    trade(brokers, "LIVE", 1100)
    page.goto(f"{running.url}/?symbol=LIVE")
    page.evaluate(SHOWN, "11.00")
    frozen = [running.pid(f"{kind}-1") for kind in OWNERS]
    try:
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        for kind in OWNERS:
            expect(page.locator("#trouble")).to_contain_text(
                f"No {kind} works for p00-p15.", timeout=15_000
            )
    finally:
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):  # It hung so long that it was replaced.
                os.kill(pid, signal.SIGCONT)
    expect(page.locator("#pill")).to_have_text("All is well", timeout=15_000)
    page.evaluate(
        "window.said = []; new MutationObserver(() => said.push(announcer.textContent))"
        ".observe(announcer, { childList: true })"
    )
    for worker in WORKERS:
        running.kill(worker)
    page.evaluate(SAID, "The feed is interrupted")

    eventually(lambda: is_ready(running), 30, "the exchange to be back")
    expect(page.locator("#pill")).to_have_text("All is well", timeout=20_000)
    trade(brokers, "LIVE", 1200)
    page.evaluate(SHOWN, "12.00")


def is_ready(running: RunningExchange) -> bool:
    try:
        with running.client() as client:
            return client.get("/health/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False  # Its processes begin anew.


def test_a_busy_market_does_not_make_the_page_grow(running: RunningExchange, page: Page) -> None:
    page.goto(running.url)
    page.select_option("#street-percent", "30")
    page.click("#street-button")
    # Not the symbol that is shown first: that may be one of the tests before, and nobody trades it.
    page.click("#symbols button[data-symbol='PETR4']")
    expect(page.locator("#tape tr").last).not_to_have_attribute("data-trade", "", timeout=30_000)
    devtools = page.context.new_cdp_session(page)
    nodes = eventually(lambda: settled(page), 60, "the list of symbols to be whole")
    before = used(devtools)
    page.wait_for_timeout(12_000)
    assert used(devtools) - before < GROWTH_BYTES_MAX
    assert abs(page.locator("*").count() - nodes) < 50
    page.click("#street-button")


def settled(page: Page) -> int:
    """How many nodes the page has, when they are as many as three seconds ago; else 0."""
    before = page.locator("*").count()
    page.wait_for_timeout(3_000)
    return before if page.locator("*").count() == before else 0


def used(devtools: CDPSession) -> int:
    """Bytes of the heap after everything that nobody needs was put away."""
    devtools.send("HeapProfiler.collectGarbage")
    size: int = devtools.send("Runtime.getHeapUsage")["usedSize"]
    return size
