"""The page when something goes wrong: bad files, overload, no connection, no token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from browser import answered, choose, file, opened
from serving import Running, picture, running

TOKEN = "a-token-of-at-least-sixteen"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a token, room for one picture, and a low limit."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    tokens.write_text(f"{TOKEN}\n")
    limits = {"queue": 1, "body_bytes": 100_000, "batch_bytes": 100_000, "deadline_seconds": 60}
    with running(tokens=tokens, **limits) as found:
        yield found


def refuse(page: Page, path: str, code: str, status: int, *, times: int) -> None:
    """Answer the page's next requests with a problem."""
    body = json.dumps({"code": code, "detail": f"because of {code}"})
    headers = {"Retry-After": "0", "Content-Type": "application/problem+json"}

    def answer(route: Route) -> None:
        route.fulfill(status=status, headers=headers, body=body)

    page.route(path, answer, times=times)


def test_a_bad_file_is_told_in_words(page: Page) -> None:
    choose(page, file("notes.jpg", b"shopping list"))
    expect(page.locator("#problem-words")).to_contain_text("This is no picture")
    expect(page.locator("#said")).to_contain_text("notes.jpg: This is no picture")
    assert page.locator("#verdict").is_hidden() and page.locator("#stack").is_hidden()
    choose(page, file("cut.jpg", picture(1)[:300]))
    expect(page.locator("#result-title")).to_have_text("cut.jpg")
    expect(page.locator("#problem-words")).to_contain_text("This picture cannot be used")


def test_a_lost_connection_and_answers_of_others(page: Page) -> None:
    expect(page.locator("#state")).to_contain_text("Model ")
    page.context.set_offline(True)
    choose(page, file("street.jpg"))
    expect(page.locator("#problem-words")).to_contain_text("The service cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    answered(page, "street.jpg")
    page.route("**/v1/predict", lambda route: route.fulfill(status=502, body="<h1>Proxy</h1>"))
    choose(page, file("other.jpg"))
    expect(page.locator("#problem-words")).to_contain_text("no answer of this service")


def test_a_service_that_is_not_ready_is_waited_for(page: Page) -> None:
    refuse(page, "**/v1/model", "not-ready", 503, times=2)
    page.reload()
    expect(page.locator("#state")).to_contain_text("Model ")
    refuse(page, "**/v1/predict", "not-ready", 503, times=2)
    choose(page, file("street.jpg"))
    answered(page, "street.jpg")


def test_a_service_that_stays_busy_is_not_asked_for_ever(page: Page) -> None:
    refuse(page, "**/v1/predict", "overloaded", 429, times=5)
    choose(page, file("street.jpg"))
    expect(page.locator("#problem-words")).to_have_text("The service is busy.")
    expect(page.locator("#problem-detail")).to_have_text("because of overloaded")
    page.get_by_role("button", name="Try again").click()
    answered(page, "street.jpg")


def test_a_token_is_asked_for_and_overload_is_waited_out(browser: Browser, strict: Running) -> None:
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    with opened(browser, strict.port) as page, ThreadPoolExecutor(2) as threads:
        expect(page.get_by_label("Token")).to_be_focused()
        choose(page, file("street.jpg"))
        page.get_by_label("Token").fill("not-this-one-not-this-one")
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_contain_text("needs a token")
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        answered(page, "street.jpg")
        assert page.locator("#token-form").is_hidden()
        with strict.halted():
            waiting = [threads.submit(strict.predict, picture(1), **allowed)]
            strict.until(lambda: strict.service.workers.queue.busy == 1)
            waiting.append(threads.submit(strict.predict, picture(1), **allowed))
            strict.until(lambda: len(strict.service.workers.queue) == 1)
            choose(page, file("more.jpg"))
            expect(page.locator("#wait")).to_contain_text("The service is busy. Asking again in ")
            expect(page.locator("#said")).to_contain_text("The service is busy.")
        answered(page, "more.jpg")
        assert [one.result().status for one in waiting] == [200, 200]
        choose(page, file("large.jpg", picture(1) + bytes(100_000)))
        expect(page.locator("#problem-words")).to_have_text("The file is too large.")
        expect(page.locator("#problem-detail")).to_contain_text("100 KB are taken")
