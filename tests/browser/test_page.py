"""The page on a stage: what it shows, to whom, and what it does when something is wrong."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from readapi.page.assets import INDEX, STATIC
from tests.browser.stage import Stage, book, stamp, stock
from tests.support.eventually import eventually

MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>'


def text(page: Page, selector: str) -> str:
    return page.locator(selector).inner_text()


def test_it_shows_the_most_traded_symbol_with_its_book_and_its_trades(
    stage: Stage, page: Page
) -> None:
    stage.open()
    expect(page.locator("#quote-symbol")).to_have_text("PETR4")
    expect(page.locator("#quote-name")).to_have_text("Petrobras PN")
    expect(page.locator("#quote-change")).to_have_text("▲ +1.19 %")
    rows = page.locator("#symbols button .symbol").all_inner_texts()
    assert rows == list(stage.stocks)
    last = stage.trades[-1]
    best = book(last["price"])["asks"][0]
    expect(page.locator("#asks tr").last).to_contain_text(f"{best[0] / 100:.2f}")
    expect(page.locator("#asks tr").last).to_contain_text(f"{best[1]:,}")


def test_a_trade_and_a_change_of_the_book_are_shown_as_they_come(stage: Stage, page: Page) -> None:
    stage.open()
    expect(page.locator("#bids tr").first).not_to_contain_text("77,700")
    stage.tell(
        channel="trades:PETR4",
        type="trade",
        **stage.trades[-1] | {"sequence": 401, "price": 3199, "executed_at": stamp(361)},
    )
    expect(page.locator("#tape tr").first).to_contain_text("31.99")
    expect(page.locator("#middle-last")).to_contain_text("31.99")
    bid = book(stage.trades[-1]["price"])["bids"][0][0] + 1
    news = {"first_sequence": 901, "sequence": 902, "bids": [[bid, 77_700, 3]], "asks": []}
    stage.tell(channel="book:PETR4", type="update", **news)
    expect(page.locator("#bids tr").first).to_contain_text("77,700")
    gone = {"first_sequence": 903, "sequence": 903, "bids": [[bid, 0, 0]], "asks": []}
    stage.tell(channel="book:PETR4", type="update", **gone)
    expect(page.locator("#bids tr").first).not_to_contain_text("77,700")


def test_a_gap_in_the_feed_is_mended_by_a_new_snapshot(stage: Stage, page: Page) -> None:
    stage.open()
    expect(page.locator("#bids tr").first).to_contain_text(".")
    stage.asked.clear()
    news: dict[str, Any] = {"sequence": 950, "bids": [[1, 5, 1]], "asks": []}
    stage.tell(channel="book:PETR4", type="update", first_sequence=950, **news)
    expected = [("unsubscribe", ["book:PETR4"]), ("subscribe", ["book:PETR4"])]

    def asked() -> bool:
        page.wait_for_timeout(10)  # Playwright hears of messages while it waits.
        return [(m["op"], m.get("channels")) for m in stage.asked] == expected

    eventually(asked, what="a new subscription")


def test_names_full_of_markup_are_shown_as_they_are(stage: Stage, page: Page) -> None:
    stage.stocks["PETR4"] = stock("PETR4", MARKUP, status="halted", status_reason=MARKUP)
    stage.health["complaints"] = [f"{MARKUP} has been silent for 3 s."]
    stage.health["state"]["workers"][0]["instance"] = MARKUP
    stage.health["state"]["partitions"][0]["owners"]["matcher"] = MARKUP
    stage.open()
    for selector in ("#quote-name", "#auction-text", "#symbols", "#trouble", "#workers", "#owners"):
        expect(page.locator(selector)).to_contain_text(MARKUP)
    assert page.locator("main img, main b >> text=bold").count() == 0
    assert page.title() == "Mini exchange"


def test_no_script_of_the_page_makes_markup_out_of_text() -> None:
    for path in STATIC.glob("*.js"):
        source = path.read_text()
        for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
            assert way not in source, f"{path.name} uses {way}"
    assert " style=" not in (STATIC / INDEX).read_text(), "the policy forbids it"
    assert "//" not in (STATIC / INDEX).read_text().replace("<!doctype html>", "")


def test_an_auction_says_what_would_trade(stage: Stage, page: Page) -> None:
    stage.stocks["PETR4"] = stock(
        "PETR4",
        "Petrobras PN",
        status="auction",
        status_reason="opening auction",
        indicative_price=3150,
        indicative_quantity=12_300,
        auction_ends_at="2999-01-01T00:00:00Z",
    )
    stage.open()
    expect(page.locator("#auction-title")).to_have_text("In auction")
    expect(page.locator("#auction-text")).to_contain_text("12,300 shares would trade at 31.50")
    expect(page.locator("#auction-clock")).to_contain_text("ends in")


def test_what_is_wrong_is_said_in_a_sentence_until_it_is_over(stage: Stage, page: Page) -> None:
    stage.open()
    expect(page.locator("#pill")).to_have_text("All is well")
    expect(page.locator("#trouble")).to_be_hidden()
    stage.health["complaints"] = ["No matcher works for p00-p15."]
    expect(page.locator("#trouble li")).to_have_text("No matcher works for p00-p15.")
    expect(page.locator("#pill")).to_have_text("One thing is wrong")
    stage.is_away = True
    expect(page.locator("#trouble li")).to_contain_text("The exchange does not answer")
    stage.is_away, stage.health["complaints"] = False, []
    expect(page.locator("#pill")).to_have_text("All is well")
    expect(page.locator("#announcer")).to_have_text("All is well again.")


def test_a_lost_feed_is_said_and_connected_again(stage: Stage, page: Page) -> None:
    stage.open()
    (socket,) = stage.sockets
    stage.sockets.clear()
    socket.close(code=1011)
    expect(page.locator("#announcer")).to_contain_text("The feed is interrupted")
    expect(page.locator("#trouble")).to_be_hidden()
    assert len(stage.sockets) == 1


def test_outside_of_development_it_asks_for_the_admin_key(stage: Stage, page: Page) -> None:
    stage.is_development = False
    stage.open()
    expect(page.locator("#door")).to_be_visible()
    expect(page.locator("#street")).to_be_hidden()
    page.fill("#door-key", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#door-wrong")).to_have_text("The exchange does not know this key.")
    page.fill("#door-key", stage.admin_key)
    page.keyboard.press("Enter")
    expect(page.locator("#quote-symbol")).to_have_text("PETR4")
    assert page.evaluate("Object.values(localStorage)") == []
    page.reload()
    expect(page.locator("#quote-symbol")).to_have_text("PETR4")
    expect(page.locator("#door")).to_be_hidden()


def test_the_keyboard_reaches_everything(stage: Stage, page: Page) -> None:
    stage.open()
    seen: list[str] = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    wanted = ["pill", "street-percent", "street-button", "theme", "filter", "candles"]
    assert [name for name in seen if name in wanted][: len(wanted)] == wanted
    page.focus("#symbols button[tabindex='0']")
    for key in ("Home", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#quote-symbol")).to_have_text("VALE3")
    assert page.url.endswith("?symbol=VALE3")
    page.focus("#candles")
    before = text(page, "#candles-readout")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#candles-readout")).not_to_have_text(before)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (820, 1180), (1440, 900)])
def test_nothing_is_wider_than_the_window(
    stage: Stage, page: Page, scheme: str, width: int, height: int
) -> None:
    stage.health["complaints"] = ["w" * 300]
    stage.stocks["PETR4"] = stock("PETR4", "n" * 60, status="halted", status_reason="r" * 200)
    stage.open(scheme, width, height)
    expect(page.locator("#trouble")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


CONTRAST = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = numbers(color).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = getComputedStyle(at).backgroundColor;
      if (numbers(found).length < 4) return found;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) poor.push([element.outerHTML.slice(0, 80), ratio.toFixed(2)]);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_text_has_enough_contrast(stage: Stage, page: Page, scheme: str) -> None:
    stage.health["complaints"] = ["Something is wrong."]
    stage.health["state"]["workers"][1] |= {"alive": False, "seen_ms_ago": 5000}
    stage.stocks["PETR4"] = stock("PETR4", "Petrobras PN", status="halted", status_reason="news")
    stage.open(scheme)
    expect(page.locator("#trouble")).to_be_visible()
    assert page.evaluate(CONTRAST) == []


def test_nothing_moves_for_those_who_want_it_calm(stage: Stage, page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    stage.open()
    stage.tell(channel="ticker:*", type="update", symbol="PETR4", last_price=3999)
    expect(page.locator("#quote-last")).to_have_text("39.99")
    assert page.locator("[data-flash]").count() == 0


def test_the_theme_can_be_chosen_and_is_kept(stage: Stage, page: Page) -> None:
    stage.open("dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    painted = 'import("/page/paint.js").then((paint) => paint.color("bid"))'
    dark, dark_on_canvas = page.evaluate(ground), page.evaluate(painted)
    assert dark_on_canvas.startswith("rgb(")
    page.click("#theme")
    page.click("#theme")
    expect(page.locator("#theme")).to_have_text("Theme: light")
    assert page.evaluate(ground) != dark
    assert page.evaluate(painted) != dark_on_canvas
    page.reload()
    assert page.evaluate(ground) != dark
    page.evaluate("localStorage.clear()")


def test_a_busy_day_leaves_the_page_as_big_as_it_was(stage: Stage, page: Page) -> None:
    stage.open()
    for number in range(401, 8_401):
        stage.tell(channel="trades:PETR4", type="trade", **stage.trades[-1] | {"sequence": number})
    expect(page.locator("#tape tr").first).to_have_attribute("data-trade", "8400", timeout=30_000)
    kept = page.evaluate("window.page.trades.list.length")
    assert kept <= 1200
    assert page.locator("#tape tr").count() == 25
