"""The console in a real browser: headless Chromium against the local server, by keyboard alone."""

import http.client
import json
import os
import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from local.assembly import assemble
from moderato.retention import Keep
from moderato.review_queue import Filters, ReviewQueue
from tests.conftest import STARTER
from tests.records import logger_to
from tests.test_local_server import serving

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TEXTS = [f"what a silly comment, number {number}" for number in range(11)]
JSON = {"content-type": "application/json"}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work as root, which continuous integration often is.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A local server whose queue holds eleven reviews."""
    moderato = assemble(STARTER, tmp_path_factory.mktemp("data"), Keep.ALL, logger_to(StringIO()))
    with serving(moderato.handler) as port:
        for text in TEXTS:
            decided = ask(port, "/moderate", {"text": text})
            ask(port, "/feedback", {"decision_id": decided["results"][0]["decision_id"], "correct": False})
        yield f"http://127.0.0.1:{port}"
    moderato.store.close()


class Watch:
    """What went wrong on a page, and which hosts it asked."""

    def __init__(self, page: Page) -> None:
        """Watch a page from now on."""
        self.wrong: list[str] = []
        self.hosts: set[str | None] = set()
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("requestfailed", self._note_failure)
        page.on("response", lambda answer: self.wrong.append(answer.url) if answer.status >= 400 else None)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _note_failure(self, request: Request) -> None:
        # Whoever is quick leaves a page before its icon is there.
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(request.url)


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    """A page on which nothing goes wrong and which asks no other host, held when the test is over."""
    context = browser.new_context(base_url=origin)
    page = context.new_page()
    watch = Watch(page)
    yield page
    assert watch.wrong == []
    assert watch.hosts == {urlsplit(origin).netloc}
    context.close()


def ask(port: int, path: str, body: object) -> Any:
    """Post JSON; return the answer's."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, json.dumps(body), JSON)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def sign_in(page: Page, name: str, adjudicates: bool = False) -> None:
    """Sign in by keyboard: the field for the name has the focus."""
    page.goto("/console")
    # The focus is given with the first frame, which can be later than the page's load.
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.type(name)
    expect(page.locator("#name")).to_have_value(name)
    if adjudicates:
        page.locator("#adjudicator").check()
    press(page, "Enter")
    assert page.title() == "Queue · Moderato"


def open_next(page: Page) -> None:
    """Open the next review, ready for its keys."""
    page.goto("/console/reviews/next")
    wait_for_frame(page)


def wait_for_frame(page: Page) -> None:
    """Wait until the page was painted: Chromium drops keys before."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def press(page: Page, *keys: str) -> None:
    """Press keys, the last of which leads to another page."""
    for key in keys[:-1]:
        page.keyboard.press(key)
    with page.expect_navigation():
        page.keyboard.press(keys[-1])


def figures(page: Page) -> dict[str, str]:
    """Return the annotator's progress."""
    terms = page.locator(".progress dt").all_inner_texts()
    return dict(zip(terms, page.locator(".progress dd").all_inner_texts(), strict=True))


def text(page: Page) -> str:
    """Return the text that is shown for review."""
    return page.locator("#text").inner_text()


def test_ten_reviews_by_keyboard_alone_with_one_undone(page: Page) -> None:
    sign_in(page, "ann")
    open_next(page)
    seen = []
    for keys in ("4 Enter", "n Enter", "1 4 Enter", "1 n Enter", "s") * 2:
        seen.append(text(page))
        press(page, *keys.split())
        wait_for_frame(page)
    assert len(set(seen)) == 10
    assert figures(page) == {"Today": "8", "In all": "8", "Waiting": "11", "Agreement": "–"}
    press(page, "u")
    wait_for_frame(page)
    assert text(page) == seen[-1]
    press(page, "6", "Enter")
    wait_for_frame(page)
    press(page, "u")
    wait_for_frame(page)
    assert text(page) == seen[-1]
    assert figures(page)["Today"] == "8"
    press(page, "6", "Enter")
    page.reload()
    assert figures(page) == {"Today": "9", "In all": "9", "Waiting": "11", "Agreement": "–"}
    assert text(page) not in seen


def test_what_happened_is_announced(page: Page) -> None:
    sign_in(page, "bob")
    open_next(page)
    live = page.locator("#live")
    assert live.get_attribute("role") == "status"
    page.keyboard.press("4")
    expect(live).to_have_text("insult chosen")
    page.keyboard.press("n")
    expect(live).to_have_text("none of these chosen")
    assert page.locator("fieldset input:checked").count() == 1
    press(page, "Enter")
    expect(live).to_have_text("Answer saved. See how others answered A text is ready.")
    assert "notice" not in page.url
    first = page.url
    wait_for_frame(page)
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem")
    assert page.url == first
    assert "Choose at least one category" in page.locator("#problem").inner_text()


def test_a_note_is_typed_without_its_letters_being_shortcuts(page: Page) -> None:
    sign_in(page, "cid")
    open_next(page)
    first = page.url
    page.keyboard.press("4")
    page.locator("summary", has_text="Add a note").click()
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type("sun 1/2?\nu")
    assert page.url == first
    press(page, "Control+Enter")
    page.goto(first)
    assert page.locator(".quoted").inner_text() == "sun 1/2?\nu"


def test_help_search_and_the_switch_for_shortcuts(page: Page) -> None:
    sign_in(page, "dee", adjudicates=True)
    assert page.locator("nav a", has_text="Disputes").is_visible()
    open_next(page)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#search")).not_to_be_focused()
    for chosen in (0, 1):
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        # The first field is the switch. Not by the space bar: on a busy machine Chromium drops one now and then.
        expect(page.locator("#shortcuts")).to_be_focused()
        page.locator("#shortcuts").set_checked(bool(chosen))
        page.keyboard.press("Escape")
        expect(page.locator("#help")).to_be_hidden()
        # With the next frame the focus leaves what is hidden; until then keys are the dialog's.
        expect(page.locator("#shortcuts")).not_to_be_focused()
        page.keyboard.press("4")
        expect(page.locator("fieldset input:checked")).to_have_count(chosen)


def test_everything_works_without_scripts(browser: Browser, origin: str) -> None:
    context = browser.new_context(base_url=origin, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, "eve")
    page.get_by_role("link", name="Start reviewing").click()
    first = text(page)
    page.get_by_role("checkbox", name="insult", exact=True).check()
    page.get_by_role("button", name="Submit").click()
    assert text(page) != first
    assert page.locator(".notice").inner_text().startswith("Answer saved.")
    page.get_by_role("button", name="Undo last").click()
    assert text(page) == first
    context.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_is_wider_than_the_screen(browser: Browser, origin: str, width: int) -> None:
    context = browser.new_context(base_url=origin, viewport={"width": width, "height": 800})
    page = context.new_page()
    sign_in(page, "fay", adjudicates=True)
    for address in ("reviews", "reviews/next", "disputes", "decisions", "loop"):
        page.goto(f"/console/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
    context.close()


@pytest.mark.parametrize(("width", "height"), [(320, 568), (390, 667), (390, 844)])
def test_nothing_lies_over_a_choice_on_a_phone(browser: Browser, origin: str, width: int, height: int) -> None:
    context = browser.new_context(base_url=origin, viewport={"width": width, "height": height})
    page = context.new_page()
    sign_in(page, "gil")
    page.goto("/console/reviews/next")
    covered = """() => [...document.querySelectorAll(".choice")].filter((choice) => {
        const { left, bottom } = choice.getBoundingClientRect();
        const seen = document.elementFromPoint(left + 20, bottom - 2);
        return seen && !choice.contains(seen);
    }).map((choice) => choice.innerText)"""
    for top in range(0, 400, 50):
        page.evaluate("(top) => window.scrollTo(0, top)", top)
        assert page.evaluate(covered) == []
    context.close()


def test_a_dispute_with_nothing_chosen_is_not_sent(browser: Browser, tmp_path: Path) -> None:
    moderato = assemble(STARTER, tmp_path, Keep.ALL, logger_to(StringIO()))
    with serving(moderato.handler) as port:
        ask(port, "/feedback", {"text": "you fool", "labels": {"insult": True}})
        queue = ReviewQueue(moderato.store, moderato.manifest.category_names)
        [review] = queue.waiting(Filters(), 10).records
        for name, labels in {"ann": ["insult"], "bob": ["insult"], "cid": []}.items():
            queue.annotate(review.review_id, name, labels)
        page = browser.new_page(base_url=f"http://127.0.0.1:{port}")
        sign_in(page, "boss", adjudicates=True)
        page.goto(f"/console/disputes/{review.review_id}")
        wait_for_frame(page)
        page.keyboard.press("Enter")
        expect(page.locator("#problem")).to_contain_text("Choose at least one category")
        page.keyboard.press("n")
        press(page, "Enter")
        assert page.locator(".notice").inner_text() == "Decided. The review is settled."
        page.close()
    moderato.store.close()


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a\r\nb\rc", "\u202ea\u2028b", "\n\n x"])
def test_a_browser_shows_each_character(browser: Browser, tmp_path: Path, text: str) -> None:
    moderato = assemble(STARTER, tmp_path, Keep.ALL, logger_to(StringIO()))
    with serving(moderato.handler) as port:
        decided = ask(port, "/moderate", {"text": text})
        page = browser.new_page(base_url=f"http://127.0.0.1:{port}")
        sign_in(page, "ann")
        page.goto(f"/console/decisions/{decided['results'][0]['decision_id']}")
        assert page.locator("#text").text_content() == text
        page.close()
    moderato.store.close()
