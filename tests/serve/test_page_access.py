"""axe-core finds nothing on the page, in any of its states: light and dark, desktop and phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from browser import DESKTOP, PHONE, choose, file, opened, violations
from serving import Running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(browser: Browser, service: Running, screen: dict, scheme: str) -> None:
    with opened(browser, service.port, **screen, color_scheme=scheme) as page:
        expect(page.locator("#state")).to_contain_text("Model ")
        page.get_by_text("What is known of the pictures").click()
        page.get_by_role("button", name="City").click()
        expect(page.locator("#verdict")).to_be_visible()
        assert violations(page) == ""
        choose(page, file("a.jpg"), file("bad.jpg", b"no picture"))
        expect(page.locator("#count")).to_contain_text("1 without an answer")
        page.locator("#rows button").last.click()
        expect(page.locator("#problem")).to_be_visible()
        page.get_by_text("The model", exact=True).click()
        page.locator("#token-form").evaluate("form => { form.hidden = false; }")
        assert violations(page) == ""


def test_axe_sees_what_is_wrong(browser: Browser, service: Running) -> None:
    with opened(browser, service.port) as page:
        expect(page.locator("#state")).to_contain_text("Model ")
        page.locator("#files").evaluate("input => input.labels[0].remove()")
        page.locator("#limits").evaluate("text => { text.style.color = '#ddd'; }")
        report = violations(page)
        assert "label" in report and "color-contrast" in report
