"""Headless Chromium, and a page of it on a service."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright

from serving import picture

NAMES = ("chromium", "chromium-browser", "google-chrome")
ALONE = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Nothing is looked up beyond this machine."""
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""What draws a map where there is no graphics card."""
DRAWN = """buffered => new Promise(done => {
  new PerformanceObserver(list => list.getEntriesByName("drawn").length && done())
    .observe({ type: "mark", buffered });
})"""
"""Until a page has drawn its map; its policy lets no test wait by the browser's own polling."""
TILES = "https://tiles.example.org/**"
"""Where pages get pictures of the ground that are told to."""
DESKTOP = {"viewport": {"width": 1200, "height": 900}}
PHONE = {"viewport": {"width": 375, "height": 750}, "is_mobile": True, "has_touch": True}


def chromium() -> str:
    """The browser that `WORKZONE_CHROMIUM` names, or one on the path."""
    named = os.environ.get("WORKZONE_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(
            "THE PAGE IS NOT TESTED: there is no Chromium (apt-get install chromium, or name one "
            "in WORKZONE_CHROMIUM)"
        )
    path = shutil.which(found)
    assert path, f"WORKZONE_CHROMIUM is {found}, which cannot be run"
    return path


@contextlib.contextmanager
def browsing(*arguments: str) -> Iterator[Browser]:
    """One browser; pages of it are opened by `opened`, and files by `opened_file`."""
    path = chromium()
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ALONE, *arguments])
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Browser, port: int, **settings: Any) -> Iterator[Page]:
    """The page of a service, with nothing remembered from before.

    It asks nobody but the service, and neither breaks its policy nor throws.
    """
    address = f"http://127.0.0.1:{port}/"
    context = browser.new_context(**DESKTOP | settings)
    page = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: "Security" in line.text and wrong.append(line.text))
    page.goto(address)
    yield page
    context.close()
    assert asked and not wrong
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


@contextlib.contextmanager
def opened_file(
    browser: Browser, path: Path, view: str = "", *, tile: bytes | None = None, **settings: Any
) -> Iterator[Page]:
    """A page that is one file, when its map is drawn; ``view`` follows its ``#``.

    It asks nobody for anything, but `TILES` where there is a ``tile`` to be had, and neither
    complains nor throws.
    """
    context = browser.new_context(**DESKTOP | settings)
    page = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: line.type == "error" and wrong.append(line.text))
    if tile is not None:
        headers = {"Access-Control-Allow-Origin": "*"}
        page.route(TILES, lambda route: route.fulfill(body=tile, headers=headers))
    page.goto(path.as_uri() + (f"#{view}" if view else ""))
    page.evaluate(DRAWN, True)
    yield page
    context.close()
    assert not wrong
    elsewhere = [url for url in asked if not url.startswith((path.as_uri(), "data:", "blob:"))]
    tiles = {url.startswith(TILES.removesuffix("**")) for url in elsewhere}
    assert tiles == (set() if tile is None else {True})


def file(name: str, data: bytes | None = None) -> FilePayload:
    """A file to choose, a small picture where nothing else is said."""
    return {
        "name": name,
        "mimeType": "image/jpeg",
        "buffer": picture(1) if data is None else data,
    }


def choose(page: Page, *files: FilePayload) -> None:
    """Choose files on the page."""
    page.locator("#files").set_input_files(list(files))


def answered(page: Page, name: str) -> str:
    """The decision on the picture that is shown."""
    expect(page.locator("#result-title")).to_have_text(name)
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#said")).to_contain_text(f"{name}: ")
    return page.locator("#decision").inner_text()


def violations(page: Page) -> str:
    """What axe-core finds, in words; nothing is empty."""
    found = Axe().run(page)
    assert len(found.response["passes"]) > 10  # it has looked
    return found.generate_report() if found.violations_count else ""
