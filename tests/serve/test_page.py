"""The page in a browser: every way in, evidence, objects, metadata, several at once."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from browser import PHONE, answered, choose, file, opened
from serving import Running, picture
from workzone.run.result_rows import COLUMNS
from workzone.serve.page import FOLDER


def test_a_picture_is_chosen_and_judged(page: Page, service: Running) -> None:
    said = service.predict(picture(1)).json
    choose(page, file("street.jpg"))
    words = {"roadwork": "Road work", "none": "No road work"}[said["decision"]]
    assert answered(page, "street.jpg").startswith(f"{words}, ")
    shown = float(page.locator("#meter").get_attribute("aria-valuenow") or "nan")
    assert shown == pytest.approx(said["probability"], abs=1e-5)
    expect(page.get_by_role("meter", name="Probability of road work")).to_be_visible()
    for fact in (said["model"], f"workzone {said['version']}", "in all", "the picture alone"):
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
    expect(page.locator("#files")).to_be_focused()  # the browser opens its own dialogue from there


def test_several_pictures_become_a_table_and_a_file(page: Page, service: Running) -> None:
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
    assert set(COLUMNS) <= set(rows[0])
    for row in rows[:5]:
        said = service.predict(wanted[row["id"]]).json
        assert float(row["probability"]) == pytest.approx(said["probability"], abs=1e-5)
        assert [float(row[side]) for side in ("x0", "y0", "x1", "y1")] == said["box"]
    page.locator("#rows button", has_text="4.jpg").click()
    expect(page.locator("#result-title")).to_have_text("4.jpg")
    expect(page.locator("#result-title")).to_be_focused()
    expect(page.locator("#layer")).to_be_visible()  # asked for when it is looked at
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#several").is_hidden() and page.locator("#result").is_hidden()


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
    assert page.get_by_label("Outlines", exact=True).is_hidden()
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
    middle = outline["x"] + outline["width"] / 2 - picture_box["x"]  # its stroke lies on both sides
    assert middle == pytest.approx(0.2 * picture_box["width"], abs=1)
    page.get_by_label("Outlines", exact=True).uncheck()
    expect(page.locator("#outlines")).to_be_hidden()


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, service: Running) -> None:
    with opened(browser, service.port, **PHONE) as page:
        page.locator("[data-example='night.jpg']").tap()
        answered(page, "night.jpg")
        expect(page.locator("#result-title")).to_be_in_viewport()
        choose(page, file("a" * 60 + ".jpg"), file("b.jpg"))
        expect(page.locator("#count")).to_contain_text("3 pictures")
        page.get_by_text("The model", exact=True).tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_files_of_the_page_come_under_a_strict_policy(service: Running) -> None:
    for path in ("/", "/page/main.js", "/page/page.css", "/page/examples/city.jpg"):
        said = service.ask("GET", path)
        policy = said.headers["Content-Security-Policy"]
        assert said.status == 200 and policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in policy and "http" not in policy
        assert said.headers["Cache-Control"] == "no-cache"
        same = service.ask("GET", path, headers={"If-None-Match": said.headers["ETag"]})
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
        assert service.ask("GET", path).code == "not-found"
    assert service.ask("GET", "/v1/predict").status == 405
