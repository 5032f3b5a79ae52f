"""The page in a browser: every way in, evidence, several at once, and what goes wrong."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from browser import PHONE, browsing, opened
from serving import Running, picture, running
from workzone.run import bulk
from workzone.serve.page import FOLDER

TOKEN = "a-token-of-at-least-sixteen"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def page_service() -> Iterator[Running]:
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a token, room for one picture, and a low limit."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    tokens.write_text(f"{TOKEN}\n")
    limits = {"queue": 1, "body_bytes": 100_000, "batch_bytes": 100_000, "deadline_seconds": 60}
    with running(tokens=tokens, **limits) as found:
        yield found


@pytest.fixture
def page(browser: Browser, page_service: Running) -> Iterator[Page]:
    with opened(browser, page_service.port) as found:
        yield found


def file(name: str, data: bytes | None = None) -> FilePayload:
    return {
        "name": name,
        "mimeType": "image/jpeg",
        "buffer": picture(1) if data is None else data,
    }


def choose(page: Page, *files: FilePayload) -> None:
    page.locator("#files").set_input_files(list(files))


def answered(page: Page, name: str) -> str:
    """The decision on the picture that is shown."""
    expect(page.locator("#result-title")).to_have_text(name)
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#said")).to_contain_text(f"{name}: ")
    return page.locator("#decision").inner_text()


def refuse(page: Page, path: str, code: str, status: int, *, times: int) -> None:
    """Answer the page's next requests with a problem."""
    body = json.dumps({"code": code, "detail": f"because of {code}"})
    headers = {"Retry-After": "0", "Content-Type": "application/problem+json"}

    def answer(route: Route) -> None:
        route.fulfill(status=status, headers=headers, body=body)

    page.route(path, answer, times=times)


def test_a_picture_is_chosen_and_judged(page: Page, page_service: Running) -> None:
    said = page_service.predict(picture(1)).json
    choose(page, file("street.jpg"))
    words = {"roadwork": "Road work", "none": "No road work"}[said["decision"]]
    assert answered(page, "street.jpg").startswith(f"{words}, ")
    shown = float(page.locator("#meter").get_attribute("aria-valuenow") or "nan")
    assert shown == pytest.approx(said["probability"], abs=1e-5)
    expect(page.get_by_role("meter", name="Probability of road work")).to_be_visible()
    for fact in (said["model"], f"workzone {said['version']}", " ms in all", "the picture alone"):
        expect(page.locator("#facts")).to_contain_text(fact)
    assert page.locator("#picture").evaluate("image => image.naturalWidth") == 96
    assert page.locator("#several").is_hidden()


def test_an_example_and_its_evidence_under_the_slider(page: Page) -> None:
    page.get_by_role("button", name="City").click()
    assert answered(page, "city.jpg").startswith("Road work")
    expect(page.locator("#said")).to_contain_text("strongest ")
    layer, slider = page.locator("#layer"), page.get_by_label("Evidence")
    expect(layer).to_be_visible()
    assert layer.bounding_box() == pytest.approx(page.locator("#picture").bounding_box(), abs=0.1)
    expect(layer).to_have_css("opacity", "0.6")
    slider.fill("25")
    expect(layer).to_have_css("opacity", "0.25")
    expect(page.locator("#opacity-value")).to_have_text("25 %")
    x0, y0 = (float(page.locator("#place rect").last.get_attribute(n) or "nan") for n in "xy")
    assert 0 <= x0 < 1 and 0 <= y0 < 1
    page.get_by_label("Strongest place").uncheck()
    expect(page.locator("#place")).to_be_hidden()


@pytest.mark.parametrize("example", sorted((FOLDER / "examples").iterdir()), ids=lambda p: p.stem)
def test_every_example_is_on_the_page(page: Page, example: Path) -> None:
    button = page.get_by_role("button", name=example.stem)
    expect(button).to_be_visible()
    assert button.get_attribute("data-example") == example.name
    assert example.stat().st_size < 80_000


def test_a_picture_is_pasted(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(80, 60);
          canvas.getContext("2d").fillRect(0, 0, 40, 30);
          const blob = await canvas.convertToBlob({ type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }"""
    )
    page.keyboard.press("Control+V")
    answered(page, "image.png")
    assert page.locator("#picture").evaluate("image => image.naturalWidth") == 80


def test_a_picture_is_dropped(page: Page) -> None:
    transfer = page.evaluate_handle(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.jpg"));
          return transfer;
        }""",
        list(picture(3)),
    )
    page.dispatch_event("header", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class("over")
    page.dispatch_event("header", "drop", {"dataTransfer": transfer})
    answered(page, "dropped.jpg")
    expect(page.locator("#drop")).not_to_have_class("over")


def test_all_of_it_by_keyboard(page: Page) -> None:
    page.get_by_role("button", name="Suburb").focus()
    page.keyboard.press("Enter")
    answered(page, "suburb.jpg")
    page.get_by_label("Evidence").focus()
    page.keyboard.press("Home")
    expect(page.locator("#layer")).to_have_css("opacity", "0")
    page.get_by_text("The model", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The default model: lite")).to_be_visible()
    expect(page.locator("#card table").first).to_be_visible()
    page.locator("#files").focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    assert chooser.value.is_multiple()


def test_several_pictures_become_a_table_and_a_file(page: Page, page_service: Running) -> None:
    wanted = {f"{n}.jpg": picture(n) for n in range(1, 6)}
    files = [file(name, data) for name, data in wanted.items()]
    choose(page, *files, file('=2+3,"x".jpg', b"no picture"))
    expect(page.locator("#count")).to_have_text(
        re.compile(r"6 pictures, \d with road work, 1 without an answer")
    )
    expect(page.locator("#said")).to_contain_text("6 pictures")
    assert page.locator("#rows tr").count() == 6
    expect(page.locator("#rows tr").last).to_contain_text("This is no picture")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert [row["id"] for row in rows] == [*wanted, '\'=2+3,"x".jpg']  # no formula
    assert rows[5]["code"] == "unsupported-format" and rows[5]["probability"] == ""
    assert set(bulk._COLUMNS) <= set(rows[0])
    for row in rows[:5]:
        said = page_service.predict(wanted[row["id"]]).json
        assert float(row["probability"]) == pytest.approx(said["probability"], abs=1e-5)
        assert [float(row[side]) for side in ("x0", "y0", "x1", "y1")] == said["box"]
    page.locator("#rows button", has_text="4.jpg").click()
    expect(page.locator("#result-title")).to_have_text("4.jpg")
    expect(page.locator("#result-title")).to_be_focused()
    expect(page.locator("#layer")).to_be_visible()  # asked for when it is looked at
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#several").is_hidden() and page.locator("#result").is_hidden()


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


def test_metadata_goes_with_the_picture_where_the_model_takes_any(page: Page) -> None:
    expect(page.locator("#metadata-note")).to_contain_text("looks at the picture alone")
    expect(page.locator("#metadata-fields input").first).to_be_disabled()
    about = json.loads(page.evaluate("fetch('v1/model').then(answer => answer.text())"))
    taking = json.dumps(about | {"takes_metadata": True})
    page.route("**/v1/model", lambda route: route.fulfill(body=taking))
    page.reload()
    page.get_by_text("What is known of the pictures").click()
    page.get_by_label("Latitude").fill("40,44")
    page.get_by_label("Weather").fill("rain")
    with page.expect_request("**/v1/predict") as request:
        choose(page, file("street.jpg"))
    body = (request.value.post_data_buffer or b"").decode("latin-1")
    assert '{"latitude":40.44,"weather":"rain"}' in body
    answered(page, "street.jpg")
    page.get_by_label("Latitude").fill("north")
    choose(page, file("lost.jpg"))
    expect(page.locator("#problem-words")).to_contain_text("cannot be used")
    expect(page.locator("#problem-detail")).to_contain_text("'north'; give a number of degrees")


def test_objects_are_outlined_and_counted_where_the_model_has_masks(page: Page) -> None:
    ring = [[0.1, 0.2], [0.3, 0.2], [0.3, 0.6], [0.1, 0.2]]
    found = [
        {"name": name, "score": 0.9, "box": [0.1, 0.2, 0.3, 0.6], "rings": [ring]}
        for name in ("cone", "cone", "sign")
    ]

    def with_masks(route: Route) -> None:
        answer = route.fetch().json()
        route.fulfill(json=answer | {"options": ["explain", "masks"]})

    def with_objects(route: Route) -> None:
        body = (route.request.post_data_buffer or b"").decode("latin-1")
        assert 'name="masks"\r\n\r\ntrue' in body
        plain = route.request.post_data_buffer.replace(
            b'name="masks"\r\n\r\ntrue', b'name="masks"\r\n\r\nfalse'
        )
        route.fulfill(json=route.fetch(post_data=plain).json() | {"objects": found})

    choose(page, file("without.jpg"))
    answered(page, "without.jpg")
    assert page.get_by_label("Outlines").is_hidden()
    page.route("**/v1/model", with_masks)
    page.route("**/v1/predict", with_objects)
    page.reload()
    choose(page, file("street.jpg"))
    answered(page, "street.jpg")
    expect(page.locator("#facts")).to_contain_text("cone 2, sign 1")
    expect(page.locator("#legend li")).to_have_text(["cone", "sign"])
    first = page.locator("#outlines path:not(.under)").first
    assert first.get_attribute("d") == "M0.1 0.2L0.3 0.2L0.3 0.6L0.1 0.2Z"
    picture_box, outline = page.locator("#picture").bounding_box(), first.bounding_box()
    assert picture_box and outline
    assert outline["x"] - picture_box["x"] == pytest.approx(0.1 * picture_box["width"], abs=3)
    page.get_by_label("Outlines").uncheck()
    expect(page.locator("#outlines")).to_be_hidden()


def test_on_a_phone_nothing_is_wider_than_the_screen(
    browser: Browser, page_service: Running
) -> None:
    with opened(browser, page_service.port, **PHONE) as page:
        page.locator("[data-example='night.jpg']").tap()
        answered(page, "night.jpg")
        expect(page.locator("#result-title")).to_be_in_viewport()
        choose(page, file("a" * 60 + ".jpg"), file("b.jpg"))
        expect(page.locator("#count")).to_contain_text("3 pictures")
        page.get_by_text("The model", exact=True).tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_files_of_the_page_come_under_a_strict_policy(page_service: Running) -> None:
    for path in ("/", "/page/main.js", "/page/page.css", "/page/examples/city.jpg"):
        said = page_service.ask("GET", path)
        policy = said.headers["Content-Security-Policy"]
        assert said.status == 200 and policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in policy and "http" not in policy
        assert said.headers["Cache-Control"] == "no-cache"
        same = page_service.ask("GET", path, headers={"If-None-Match": said.headers["ETag"]})
        assert (same.status, same.body) == (
            304 if path != "/" else 200,
            b"" if path != "/" else said.body,
        )
    for path in (
        "/page/../page.py",
        "/page/%2e%2e/page.py",
        "/page/",
        "/page/examples",
        "/nowhere",
    ):
        assert page_service.ask("GET", path).code == "not-found"
    assert page_service.ask("GET", "/v1/predict").status == 405
