"""The page at /, in a headless browser."""

from __future__ import annotations

import glob
import os
import re
import shutil
from pathlib import Path

import pytest

from udt.serving.page import read_page

TEXT = "lovely 😀 thing, but <b>late</b> and it works"


def find_browser() -> str | None:
    """Return a Chromium of the system, or playwright's own."""
    found = [
        shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
    ]
    cache = os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright")
    found += glob.glob(f"{cache}/chromium-*/chrome-linux*/chrome")
    return next(filter(None, found), None)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    executable = find_browser()
    if executable is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield started
        started.close()


class Visit:
    """The page of a server, open; keeps what the browser complains of and asks for."""

    def __init__(self, browser, url: str, **options: object) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.problems.append(m.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)

    def fill(self, column: str, value: str) -> None:
        self.page.fill(f"[data-column={column}]", value)

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def wait_for(self, selector: str) -> None:
        self.page.wait_for_selector(selector)


@pytest.fixture
def visit(browser):
    visits: list[Visit] = []

    def go(url: str, **options: object) -> Visit:
        visits.append(Visit(browser, url, **options))
        return visits[-1]

    yield go
    for one in visits:
        one.context.close()


def brightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_typing_shows_probabilities_highlights_and_cost(visit, server):
    page = visit(f"{server.url}/")
    page.wait_for("[data-column=text]")
    page.fill("text", TEXT)
    page.fill("price", "12.5")
    page.wait_for("#why:not([hidden])")  # without a click
    assert page.text("#label") == "good"
    bars = page.page.locator(".bar").all_inner_texts()
    assert re.match(r"good\s+\d+\.\d %", bars[0])
    assert re.match(r"bad\s+(\d+\.\d|< 0\.1) %", bars[1])
    assert page.page.locator(".told").inner_text() == TEXT  # markup stays text
    marked = page.page.locator(".told mark").all_inner_texts()
    assert marked
    assert all(piece in TEXT for piece in marked)
    assert "price = 12.5" in page.text("#columns")
    assert re.search(r"Prediction: \S+ [mµnp]?g CO2e \(\S+ [mµ]?s of CPU time", page.text("#cost"))
    assert "explanation: " in page.text("#cost")
    assert "/predict" in page.page.locator("#shell").text_content()
    assert page.problems == []
    assert all(url.startswith(server.url) for url in page.asked), page.asked


def test_another_class_can_be_asked_about(visit, server):
    page = visit(f"{server.url}/")
    page.wait_for("[data-column=text]")
    page.fill("text", "lovely but broken")
    page.wait_for("#why:not([hidden])")
    first = page.text("#whom")
    page.page.click(".bar >> nth=1")
    assert page.text("#whom") != first
    assert page.page.get_attribute(".bar >> nth=1", "aria-pressed") == "true"
    assert page.problems == []


def test_the_example_fills_every_column_and_clearing_empties_them(visit, server):
    page = visit(f"{server.url}/")
    page.wait_for("[data-column=text]")
    page.page.click("#example")
    page.wait_for("#answer:not([hidden])")
    values = page.page.eval_on_selector_all("[data-column]", "all => all.map(e => e.value)")
    assert len(values) == 5
    assert all(values)
    page.page.click("button[type=reset]")
    page.wait_for("#hint:not([hidden])")
    assert not page.page.is_visible("#answer")


def test_a_cell_that_cannot_be_read_is_shown_at_its_field(visit, server):
    page = visit(f"{server.url}/")
    page.wait_for("[data-column=price]")
    page.fill("price", "cheap")
    page.wait_for("[data-column=price][aria-invalid=true]")
    assert "'cheap' is not a number" in page.text("#errors")
    assert page.page.get_attribute("[data-column=text]", "aria-invalid") == "false"
    page.fill("price", "3")
    page.wait_for("#answer:not([hidden])")
    assert page.text("#errors") == ""
    assert page.page.locator("[aria-invalid=true]").count() == 0


def test_it_follows_the_readers_dark_mode(visit, server):
    ground = {
        scheme: brightness(
            visit(f"{server.url}/", color_scheme=scheme).page.evaluate(
                "getComputedStyle(document.body).backgroundColor"
            )
        )
        for scheme in ("light", "dark")
    }
    assert ground["dark"] < 60 < 200 < ground["light"]


def test_it_fits_a_phone(visit, server):
    page = visit(f"{server.url}/", viewport={"width": 360, "height": 740}, is_mobile=True)
    page.wait_for("[data-column=text]")
    page.fill("text", "w" * 300)
    page.wait_for("#answer:not([hidden])")
    width = page.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    answer, form = (page.page.locator("section").nth(i).bounding_box() for i in (1, 0))
    assert answer["y"] >= form["y"] + form["height"]  # below, not beside


def test_it_asks_for_a_token_where_one_is_wanted(visit, serve, other_model_file):
    server = serve(other_model_file, UDT_TOKEN="s3cret")
    page = visit(f"{server.url}/")
    page.wait_for("#token-field:not([hidden])")
    page.page.fill("#token", "s3cret")
    page.page.press("#token", "Tab")
    page.wait_for("[data-column=text]")
    page.fill("text", "long yellow banana")
    page.wait_for("#answer:not([hidden])")
    assert page.text("#label") == "banana"
    assert "s3cret" not in page.page.locator("#shell").text_content()


def test_the_page_is_one_file_that_loads_nothing():
    html = read_page().html.decode()
    assert not re.findall(r"""(?:src|href)=["']?(?!data:)[^"'>\s]""", html)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert "innerHTML" not in html  # whatever a user types stays text
    assert len(html) < 30_000


def test_the_policy_allows_its_own_script_and_style_only(server):
    reply = server.ask("GET", "/")
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.body == read_page().html
    told = reply.headers["content-security-policy"]
    policy = dict(part.split(" ", 1) for part in told.split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"].startswith("'sha256-")
    assert "unsafe" not in told
