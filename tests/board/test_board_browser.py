"""The board's page in a real browser: sorts, filters, opens an entry, and is quiet, narrow enough and legible."""

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.boards import HOSTILE, board

from vlcl_bench.board.files import board_text

REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip

pytestmark = pytest.mark.slow


def missing():
    """Why there can be no browser; empty where there is one."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    return "" if CHROMIUM and DRIVER else "there is no chromium with its chromedriver"


def do_without(why, required):
    """Fail where a browser is required, else skip."""
    if required:
        pytest.fail(f"REQUIRE_BROWSER is 1, but {why}")
    pytest.skip(f"{why}; on Debian: apt install chromium chromium-driver")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(board_text(board())["index.html"], encoding="utf-8")
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if why := missing():
        do_without(why, REQUIRED)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, address):
    """The page anew, on a desk; afterwards it must not have complained, nor asked for anything but itself."""
    look(browser, 1500, 1000)
    browser.get("about:blank")
    requests(browser)  # forget what the browser's own first page asked for
    open_page(browser, address)
    yield browser
    assert [line for line in browser.get_log("browser") if line["level"] in ("SEVERE", "WARNING")] == []
    assert requests(browser) <= {address, "data:,"}
    assert (
        browser.execute_script("return document.querySelectorAll('img, iframe, object, link[rel=stylesheet]').length")
        == 0
    )


def test_without_a_browser_the_tests_are_skipped_or_where_it_is_required_fail():
    with pytest.raises(pytest.skip.Exception, match="apt install chromium"):
        do_without("there is none", required=False)
    with pytest.raises(pytest.fail.Exception, match="REQUIRE_BROWSER is 1"):
        do_without("there is none", required=True)


def open_page(browser, address, view="mini-mtil-1"):
    browser.get("about:blank")
    browser.get(f"{address}#{view}")


def look(browser, width, height, scheme="light"):
    """Size of the window, and whether the system is light or dark."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def requests(browser):
    """Addresses that were asked for since the last call, without what follows a hash."""
    import json

    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
    return {url.split("#")[0] for url in asked} - {"about:blank"}


def find(browser, selector):
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, selector)


def press(browser, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def wait(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 20).until(lambda _: condition())


def names(browser):
    """Titles in the first table, top to bottom."""
    return [one.text for one in find(browser, "#tables .scroll:first-child .open")]


def column(browser, label):
    """The button that sorts by a column."""
    return next(one for one in find(browser, "thead button") if one.text == label)


def opened(browser, title):
    """Open an entry by a click."""
    next(one for one in find(browser, ".open") if one.text == title).click()
    return wait(browser, lambda: find(browser, "dialog[open]"))[0]


def test_entries_stand_in_the_boards_order_with_ties_shown_as_ties(page):
    assert names(page) == ["Strong", "Twin-B", "Twin-A", "Still", HOSTILE, "Weak", "Claimed", "Once"]
    ranks = [one.text.split("\n")[0] for one in find(page, "#tables .scroll:first-child tbody td:first-child")]
    assert ranks == ["1", "2–3", "2–3", "4–5", "4–5", "6", "–", "–"]
    assert len(find(page, "#tables .scroll")) == 2  # the open budget has a table of its own


def test_a_click_sorts_and_another_turns_the_order(page):
    column(page, "Last").click()
    head = column(page, "Last").find_element("xpath", "..")
    assert head.get_attribute("aria-sort") == "descending"
    shown = [
        float(one.text.split("\n")[0].replace("−", "-"))
        for one in find(page, "#tables .scroll:first-child tbody td:nth-child(6)")
    ]
    assert shown == sorted(shown, reverse=True)
    assert page.switch_to.active_element.text == "Last"
    column(page, "Last").click()
    assert column(page, "Last").find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    again = [
        float(one.text.split("\n")[0].replace("−", "-"))
        for one in find(page, "#tables .scroll:first-child tbody td:nth-child(6)")
    ]
    assert again == sorted(shown)
    column(page, "Entry").click()
    assert names(page) == sorted(names(page), key=str.lower)


def test_the_filter_takes_words_and_the_box_hides_what_is_unranked(page):
    (field,) = find(page, "#filter")
    field.send_keys("TWIN resc")
    assert names(page) == ["Twin-B", "Twin-A"]
    assert page.switch_to.active_element == field
    field.send_keys(" nothing like it")
    assert "No entry fits" in find(page, "#tables")[0].text
    field.clear()
    field.send_keys(" ")
    find(page, "#unranked")[0].click()
    assert not {"Once", "Claimed"} & set(names(page))


def test_columns_can_be_added_and_say_that_they_are(page):
    toggle = next(one for one in find(page, ".controls button") if one.text == "Samples")
    assert toggle.get_attribute("aria-pressed") == "false"
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "true"
    assert column(page, "Replayed")
    assert (
        next(one for one in find(page, ".controls button") if one.text == "Task-agnostic").get_attribute("aria-pressed")
        == "true"
    )


def test_an_entry_opens_with_its_matrix_curves_seeds_settings_and_sources(page):
    dialog = opened(page, "Strong")
    text = dialog.text
    for words in (
        "Unchanged from zero-shot",
        "2 of 6",
        "learning_rate",
        "submissions/strong/runs/strong-1",
        "Seed by seed",
    ):
        assert words in text
    assert len(find(page, ".heat td")) == 5 * 4
    assert len(find(page, ".heat td.own")) == 4
    assert len(find(page, "#curves svg")) == 4
    before = [one.text for one in find(page, ".heat td")]
    next(one for one in find(page, "#kind option") if one.text == "task-agnostic").click()
    assert [float(one.text) for one in find(page, ".heat td")] == pytest.approx(
        [float(x) / 2 for x in before], abs=0.11
    )
    next(one for one in find(page, "#task option") if one.text == "bells").click()
    assert len(find(page, "#curves svg")) == 1
    assert "stage 4" in find(page, "#curves svg")[0].get_attribute("aria-label")


def test_the_keyboard_alone_opens_an_entry_and_escape_closes_it_where_one_was(page):
    from selenium.webdriver.common.keys import Keys

    page.execute_script("document.querySelector('.open').focus()")
    press(page, Keys.ENTER)
    wait(page, lambda: find(page, "dialog[open]"))
    assert page.execute_script("return document.querySelector('dialog').contains(document.activeElement)")
    press(page, Keys.ESCAPE)
    wait(page, lambda: not find(page, "dialog[open]"))
    assert page.switch_to.active_element.text == "Strong"
    press(page, Keys.TAB)
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_an_entrys_address_opens_it_and_the_back_button_closes_it(page, address):
    opened(page, "Twin-A")
    link = page.current_url
    page.back()
    wait(page, lambda: not find(page, "dialog[open]"))
    page.get("about:blank")
    page.get(link)
    assert find(page, "dialog[open] h2")[0].text.startswith("Twin-A")


def test_hostile_names_are_text_everywhere(page):
    assert HOSTILE in names(page)
    dialog = opened(page, HOSTILE)
    assert "<svg onload" in dialog.text
    assert find(page, "img, dialog script") == []


def test_costs_are_drawn_with_a_lane_for_zero_and_published_rows_stand_apart(page, address):
    next(one for one in find(page, "#scatter-x option") if one.text == "Bytes kept").click()
    assert len(find(page, ".chart svg a")) == 9
    open_page(page, address, "published")
    text = find(page, "main")[0].text
    assert "Erratum" in text
    assert "−8.9" in text
    assert "not ranked" in text
    assert find(page, "[data-sort]") == []


@pytest.mark.parametrize("view", ["mini-mtil-1", "published"])
def test_a_phone_scrolls_within_tables_and_never_the_page(page, address, view):
    look(page, 360, 740)
    open_page(page, address, view)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    if view != "published":
        opened(page, "Strong")
        box = page.execute_script("const d = document.querySelector('dialog'); return [d.scrollWidth, d.clientWidth]")
        assert box[0] <= box[1]


def contrast(browser, selector):
    """The contrast ratio of an element's text with the colour behind it (WCAG 2.2, relative luminance)."""
    script = """
      let node = document.querySelector(arguments[0]), colour = getComputedStyle(node).color, behind;
      for (; node; node = node.parentElement) {
        behind = getComputedStyle(node).backgroundColor;
        if (!/, 0\\)$/.test(behind)) break;
      }
      return [colour, behind].map((x) => x.match(/[\\d.]+/g).slice(0, 3).map(Number));
    """

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    one, two = sorted(luminance(colour) for colour in browser.execute_script(script, selector))
    return (two + 0.05) / (one + 0.05)


def test_both_colour_schemes_are_legible_and_the_button_overrides_the_system(page, address):
    ground = "return getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        look(page, 1500, 1000, scheme)
        open_page(page, address)
        seen[scheme] = page.execute_script(ground)
        for selector in ("tbody td b", "tbody small", ".badge", ".open", "header p", "nav a[aria-current]"):
            assert contrast(page, selector) >= 4.5, (scheme, selector)
    assert seen["light"] != seen["dark"]
    (button,) = find(page, "#theme")
    button.click()
    assert button.text == "Theme: light"
    assert page.execute_script(ground) == seen["light"]
    button.click()
    button.click()
    assert page.execute_script(ground) == seen["dark"]


def test_the_page_works_from_a_server_too_and_asks_it_for_nothing_else(browser, tmp_path):
    (tmp_path / "index.html").write_text(board_text(board())["index.html"], encoding="utf-8")
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, form, *values):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        browser.get(f"http://127.0.0.1:{server.server_port}/index.html#mini-mtil-2")
        assert names(browser) == ["Elsewhere"]
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["/index.html"]
    requests(browser)
