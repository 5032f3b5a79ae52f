"""The map's page in a browser, from a file: what is on it, and that it asks for nothing."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from browser import (
    ALONE,
    DRAWN,
    PHONE,
    TILES,
    WEBGL,
    browsing,
    chromium,
    opened,
    opened_file,
    violations,
)
from made_comparison import COMPARISON
from made_comparison import HOSTILE as HOSTILE_WORK
from made_events import NOW, event
from made_images import blob_image
from map_serving import serving, write_store
from workzone.geo.compare import Comparison
from workzone.geo.event import Change, Event
from workzone.geo.pictures import Outlined, Picture
from workzone.geo.show import make_page
from workzone.geo.show_lists import make_lists_page
from workzone.report.overlay import small_jpeg

HOSTILE = "<img src=x onerror=\"document.title='gone'\"></script>B 1"
RING = ((0.1, 0.2), (0.3, 0.2), (0.3, 0.6), (0.1, 0.2))
COUNT = 20


def made() -> list[Event]:
    """Some events within a few kilometres, one of whose road names is none to trust."""
    found = []
    for number in range(COUNT):
        one = event(number)
        (x, y), *_ = one.line
        moved = tuple(
            (13.4 + (a - x) + x % 1 / 50, 52.5 + (b - y) + y % 1 / 50) for a, b in one.line
        )
        found.append(dataclasses.replace(one, line=moved, confidence=(number + 1) / 21))
    gone = Change(found[4].gone_since, "gone")
    found[4] = dataclasses.replace(found[4], history=(*found[4].history, gone))
    merged = Change(found[0].first_seen + timedelta(days=2), "merged", found[1].id)
    found[0] = dataclasses.replace(found[0], history=(*found[0].history, merged), road=HOSTILE)
    found[1] = dataclasses.replace(found[1], classes=("cone", "worker"))
    return found


EVENTS = made()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing(*WEBGL) as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "map.html"
    jpeg = small_jpeg(blob_image(1, 1))
    pictures = {name: Picture(jpeg, (Outlined("cone", (RING,)),)) for name in EVENTS[0].images}
    streets = [[(13.4, 52.5), (13.42, 52.52)]]
    make_page(EVENTS, newest=NOW, pictures=pictures, streets=streets).write(path)
    return path


ALL = "map=9/52.51/13.41"
VISITS = itertools.count()
STILL = {"reduced_motion": "reduce"}
"""The map jumps where it would fly."""


@pytest.fixture(scope="module")
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """One page for all that `visit` it."""
    with opened_file(browser, file, **STILL) as found:
        yield found


def visit(page: Page, view: str = ALL) -> None:
    """Show a view as a link to it does, until it is drawn."""
    anew = f"{view}&visit={next(VISITS)}"
    page.evaluate(f"view => {{ location.hash = view; return ({DRAWN})(false) }}", anew)


def click_middle(page: Page) -> None:
    """Click where the map's middle is."""
    box = page.locator("#map").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_events_are_in_a_list_and_filters_change_it(page: Page) -> None:
    visit(page)
    there = [one for one in EVENTS if one.state != "gone"]
    expect(page.locator("#count")).to_have_text(f"{len(there)} work zones")
    expect(page.locator("#list li")).to_have_count(len(there))
    surest = max((one for one in there if one.state == "present"), key=lambda one: one.confidence)
    expect(page.locator("#list li").first).to_contain_text(surest.road or surest.id)
    expect(page.locator("#newest")).to_contain_text("2026-06-01 12:00 UTC")
    page.get_by_label("suspected").uncheck()
    present = [one for one in there if one.state == "present"]
    expect(page.locator("#list li")).to_have_count(len(present))
    page.get_by_label("At least so sure").fill("50")
    sure = [one for one in present if one.confidence >= 0.5]
    expect(page.locator("#list li")).to_have_count(len(sure))
    page.get_by_label("gone").check()
    gone = [one for one in EVENTS if one.state == "gone"]
    expect(page.locator("#list li")).to_have_count(len(sure) + len(gone))
    expect(page.locator("#count-gone")).to_have_text(str(len(gone)))


def test_events_are_filtered_by_the_objects_in_them(page: Page) -> None:
    there = [one for one in EVENTS if one.state != "gone"]
    visit(page)
    boxes = page.get_by_role("group", name="Objects")
    expect(boxes.locator("label")).to_have_text(["barrier", "cone", "worker", "not known"])
    boxes.get_by_label("not known").uncheck()
    of_known = [one for one in there if one.classes]
    expect(page.locator("#list li")).to_have_count(len(of_known))
    boxes.get_by_label("cone").uncheck()
    expect(page.locator("#list li")).to_have_count(len(of_known))  # each has another, too
    boxes.get_by_label("barrier").focus()
    page.keyboard.press("Space")
    expect(page.locator("#list li")).to_have_count(1)
    expect(page).to_have_url(re.compile("objects=worker($|&)"))
    page.locator("#list button").click()
    expect(page.locator("#facts")).to_contain_text("cone, worker")
    visit(page, f"{ALL}&objects=unknown")
    expect(page.locator("#list li")).to_have_count(len(there) - len(of_known))
    expect(boxes.get_by_role("checkbox", checked=True)).to_have_count(1)
    visit(page)
    expect(boxes.get_by_role("checkbox", checked=True)).to_have_count(4)


def test_the_slider_goes_back_to_what_was_there(page: Page) -> None:
    visit(page)
    slider = page.get_by_label("On the day")
    expect(page.locator("#day-value")).to_have_text("2026-06-01, the newest")
    slider.focus()
    page.keyboard.press("Home")
    begin = min(one.first_seen for one in EVENTS)
    expect(page.locator("#day-value")).to_have_text(f"{begin:%Y-%m-%d}")
    on_first = [one for one in EVENTS if one.first_seen.date() == begin.date()]
    expect(page.locator("#list li")).to_have_count(len(on_first))
    expect(page.locator("#list li").first).to_contain_text("suspected, since")
    expect(page.get_by_label("At least so sure")).to_be_disabled()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    day = (begin + timedelta(days=4)).replace(hour=0, minute=0, second=0)
    there = [one for one in EVENTS if one.first_seen < day]
    states = [
        "gone"
        if one.gone_since and one.gone_since < day
        else "present"
        if one.history[1].time < day
        else "suspected"
        for one in there
    ]
    expect(page.locator("#count-present")).to_have_text(str(states.count("present")))
    expect(page.locator("#count-suspected")).to_have_text(str(states.count("suspected")))


def test_what_merged_or_split_is_there_once_on_each_day(browser: Browser, tmp_path: Path) -> None:
    begin = NOW - timedelta(days=10)
    known = {"first_seen": begin, "state": "present", "gone_since": None, "classes": ()}
    seen = (Change(begin, "suspected"), Change(begin, "present"))
    merge, split = begin + timedelta(days=2), begin + timedelta(days=5)
    away = event(0, **known | {"state": "gone", "gone_since": merge})
    stays, child = event(1, **known), event(2, **known)
    away = dataclasses.replace(away, history=(*seen, Change(merge, "merged", stays.id)))
    stays = dataclasses.replace(stays, history=(*seen, Change(split, "split", child.id)))
    parts = (Change(split, "split", stays.id), Change(split, "present"))
    make_page([away, stays, dataclasses.replace(child, history=parts)]).write(tmp_path / "map.html")
    with opened_file(browser, tmp_path / "map.html", **STILL) as page:
        expect(page.locator("#objects")).to_be_hidden()  # of none of them are any known
        page.get_by_label("On the day").focus()
        page.keyboard.press("Home")
        for present in (2, 2, 1, 1, 1, 2):
            expect(page.locator("#count-suspected")).to_have_text("0")
            expect(page.locator("#count-present")).to_have_text(str(present))
            page.keyboard.press("ArrowRight")


def test_an_event_opens_by_keyboard_and_tells_its_history(page: Page) -> None:
    visit(page)
    first = page.locator("#list button").first
    first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#list button").nth(1)).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    expect(first).to_be_focused()
    wanted = first.get_attribute("data-event")
    (one,) = [one for one in EVENTS if one.id == wanted]
    page.keyboard.press("Enter")
    expect(page.locator("#event-title")).to_be_focused()
    expect(page.locator("#event-state")).to_contain_text("present, ")
    facts = page.locator("#facts")
    expect(facts).to_contain_text(f"{one.sightings} of {one.passes} that passed saw it")
    expect(facts).to_contain_text(f"{one.first_seen:%Y-%m-%d %H:%M} UTC")
    expect(facts).to_contain_text(one.images[0])  # where its frames are
    expect(page.locator("#history li")).to_have_count(len(one.history))
    expect(page.locator("#history li").first).to_contain_text("First seen, not yet sure")
    assert page.url.endswith(f"event={wanted}")
    page.keyboard.press("Escape")
    expect(page.locator("#event")).to_be_hidden()
    expect(page.locator(f"[data-event='{wanted}']")).to_be_focused()


def test_pictures_have_outlines_and_names_stay_text(page: Page) -> None:
    visit(page, f"event={EVENTS[0].id}")
    expect(page.locator("#event-title")).to_have_text(HOSTILE)
    assert page.title() == "Work zones, 2026-06-01"
    expect(page.locator("#picture")).to_be_visible()
    assert page.locator("#picture").evaluate("image => image.naturalWidth") > 50
    expect(page.locator("#legend li")).to_have_text(["cone"])
    path = page.locator("#outlines path:not(.under)")
    assert path.get_attribute("d") == "M0.1 0.2L0.3 0.2L0.3 0.6L0.1 0.2Z"
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#picture-name")).to_have_text(f"{EVENTS[0].images[1]} (2 of 2)")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("button", name=EVENTS[1].id).click()  # what it was merged with
    expect(page.locator("#event-title")).to_contain_text(EVENTS[1].road)
    expect(page.locator("#pictures")).to_be_hidden()


def test_a_link_leads_to_the_same_view(browser: Browser, file: Path, page: Page) -> None:
    visit(page)
    page.get_by_label("gone").check()
    page.get_by_label("At least so sure").fill("30")
    page.get_by_label("On the day").focus()
    page.keyboard.press("ArrowLeft")
    page.locator("#list button").nth(2).click()
    expect(page.locator("#event")).to_be_visible()
    expect(page).to_have_url(re.compile("map=1[456]"))
    title, address = page.locator("#event-title").inner_text(), page.url
    page.get_by_role("button", name="Copy a link").click()
    expect(page.locator("#said")).to_have_text(re.compile("copied|address bar"))
    with opened_file(browser, file, address.partition("#")[2], **STILL) as other:
        expect(other.locator("#event-title")).to_have_text(title)
        expect(other.locator("#day-value")).to_have_text("2026-05-31")
        expect(other.locator("#sure-value")).to_have_text("30\u00a0%")
        expect(other.get_by_label("gone")).to_be_checked()
        assert other.url == address


def test_axe_finds_nothing(page: Page) -> None:
    visit(page)
    assert violations(page) == ""
    visit(page, f"event={EVENTS[0].id}&day=2026-05-30")
    assert violations(page) == ""


def test_addresses_that_make_no_sense_are_taken_as_far_as_they_do(page: Page) -> None:
    visit(page, "map=3/0/0")
    expect(page.locator("#count")).to_contain_text(", 0 in view")
    expect(page.locator("#day-value")).to_contain_text("the newest")
    visit(page, "map=a/b&day=1999-01-01&states=none&sure=x&event=wz-x")
    expect(page.locator("#said")).to_have_text("There is no event wz-x on this map.")
    expect(page.locator("#count")).to_have_text("0 work zones")


def test_a_click_on_the_map_opens_what_is_there(page: Page) -> None:
    (x, y), *_ = EVENTS[0].line
    visit(page, f"map=17/{y}/{x}")
    click_middle(page)
    expect(page.locator("#event-title")).to_have_text(HOSTILE)
    visit(page, f"map=4/{y}/{x}")  # all of them in one circle
    click_middle(page)
    expect(page).to_have_url(re.compile(r"map=([789]|1\d)"))


def test_dark_and_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, file: Path) -> None:
    view = f"event={EVENTS[0].id}"
    with opened_file(browser, file, view, **PHONE, color_scheme="dark") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        expect(page.locator("#panel")).to_have_css("background-color", "rgb(30, 33, 36)")
        light = "getComputedStyle(document.documentElement).getPropertyValue('--land')"
        assert page.evaluate(light) == "#1f2428"
        assert violations(page) == ""
        page.emulate_media(color_scheme="light")
        assert page.evaluate(light) == "#f4f3ef"
        expect(page.locator("#event")).to_be_visible()


def test_tiles_are_asked_for_where_they_are(browser: Browser, tmp_path: Path) -> None:
    tiles = TILES.replace("**", "{z}/{x}/{y}.png")
    make_page(EVENTS[:3], tiles=tiles, attribution="© Somebody").write(tmp_path / "map.html")
    buffer = io.BytesIO()
    Image.new("RGB", (256, 256), "#808080").save(buffer, "PNG")
    with opened_file(browser, tmp_path / "map.html", ALL, tile=buffer.getvalue()) as page:
        expect(page.locator("#attribution")).to_have_text("© Somebody · Outlines: Natural Earth")


def test_without_events_it_says_so(browser: Browser, tmp_path: Path) -> None:
    make_page([]).write(tmp_path / "map.html")
    with opened_file(browser, tmp_path / "map.html") as page:
        expect(page.locator("#newest")).to_have_text("There are no work zones on this map yet.")
        expect(page.locator("#choose")).to_be_hidden()
        expect(page.locator("#list")).to_be_hidden()


def test_without_webgl_the_list_has_all(browser: Browser, file: Path) -> None:
    arguments = [*ALONE, "--disable-3d-apis"]
    plain = browser.browser_type.launch(executable_path=chromium(), args=arguments)
    with opened_file(plain, file) as page:
        expect(page.locator("#no-map")).to_contain_text("as it has no WebGL")
        expect(page.locator("#list li")).to_have_count(sum(one.state != "gone" for one in EVENTS))
        page.locator("#list button").first.click()
        expect(page.locator("#event-title")).to_be_visible()
    plain.close()


def test_it_is_the_same_page_where_it_is_served(browser: Browser, tmp_path: Path) -> None:
    store = write_store(tmp_path / "zones.gpkg", EVENTS)
    with serving(store) as city, opened(browser, city.port, **STILL) as page:
        page.evaluate(DRAWN, True)
        there = [one for one in EVENTS if one.state != "gone"]
        expect(page.locator("#count")).to_have_text(f"{len(there)} work zones")


@pytest.fixture(scope="module")
def lists(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Seen against permitted, for all that `visit` it."""
    path = tmp_path_factory.mktemp("lists") / "lists.html"
    make_lists_page(COMPARISON, streets=[[(13.4, 52.5), (13.42, 52.52)]]).write(path)
    with opened_file(browser, path, **STILL) as found:
        yield found


NEAR = "map=14/52.5/13.4"


def test_findings_are_filtered_by_verdict(lists: Page) -> None:
    visit(lists, NEAR)
    expect(lists.get_by_role("heading", level=1)).to_have_text("Seen against permitted")
    expect(lists.locator("#newest")).to_contain_text("2026-06-01 12:00 UTC")
    expect(lists.locator("#newest")).to_contain_text("2 works still to begin")
    expect(lists.locator("#count")).to_have_text("6 findings")  # the long work is in view, too
    for entry, words in enumerate(("over its end date, by 12.4 days", "seen and not permitted")):
        expect(lists.locator("#list li").nth(entry)).to_contain_text(words)
    for hidden in ("#sureness", "#days"):
        expect(lists.locator(hidden)).to_be_hidden()
    assert violations(lists) == ""
    expect(lists.locator("#count-permitted_not_seen")).to_have_text("3")
    lists.get_by_label("permitted and not seen").uncheck()
    expect(lists.locator("#list li")).to_have_count(3)
    expect(lists).to_have_url(re.compile("states=over_end_date.seen_not_permitted.permitted_and"))
    visit(lists, f"{NEAR}&states=permitted_not_seen&sure=90&day=2026-01-01")
    expect(lists.locator("#list li")).to_have_count(3)
    expect(lists.locator("#list li").nth(1)).to_contain_text("nobody drove by")


def test_a_finding_tells_what_is_beside_its_verdict(lists: Page) -> None:
    visit(lists, NEAR)
    lists.locator("#list button").first.focus()
    lists.keyboard.press("Enter")
    expect(lists.locator("#event-title")).to_have_text("Mill Road")
    expect(lists.locator("#event-state")).to_have_text("over its end date")
    for words in ("12.4 days", "wz-00000", "present, 95\u00a0% sure", "of 7 that passed"):
        expect(lists.locator("#facts")).to_contain_text(words)
    (permit,) = lists.locator("#history li").all()
    for words in ("P-1, Mill Road", "2026-04-22 12:00 UTC to 2026-05-12", "permits.geojson"):
        expect(permit).to_contain_text(words)
    assert violations(lists) == ""
    lists.keyboard.press("Escape")
    expect(lists.locator("#list button").first).to_be_focused()


def test_a_link_leads_to_a_work_whose_text_stays_text(lists: Page) -> None:
    visit(lists, "event=P-2%20(2)")
    expect(lists.locator("#event-title")).to_have_text("Work P-2")
    visit(lists, f"event={quote(HOSTILE_WORK)}")
    expect(lists.locator("#event-title")).to_have_text(HOSTILE_WORK)
    expect(lists.locator("#facts")).to_contain_text("nobody drove by")
    expect(lists.locator("#history li")).to_contain_text("begin not told to end not told")
    assert lists.title() == "Seen against permitted, 2026-06-01"
    visit(lists, "event=P-9")
    expect(lists.locator("#said")).to_have_text("There is no finding P-9 on this map.")


def test_works_are_clicked_where_they_are_not_where_they_begin(lists: Page) -> None:
    (x, y), _ = COMPARISON.rows[2].works[0].parts[1]
    visit(lists, f"map=17/{y}/{x - 0.0008}")  # in the gap between its parts, 40 km from its begin
    click_middle(lists)
    expect(lists.locator("#event")).to_be_hidden()
    visit(lists, f"map=17/{y}/{x + 0.0008}")
    click_middle(lists)
    expect(lists.locator("#event-title")).to_have_text("Work P-2")
    lists.keyboard.press("Escape")
    ((place,),) = COMPARISON.rows[3].works[0].parts
    visit(lists, f"map=17/{place[1]}/{place[0]}")
    click_middle(lists)
    expect(lists.locator("#event-title")).to_have_text(HOSTILE_WORK)


def test_nothing_to_compare_is_said(browser: Browser, tmp_path: Path) -> None:
    make_lists_page(Comparison((), 0, NOW)).write(tmp_path / "lists.html")
    with opened_file(browser, tmp_path / "lists.html") as page:
        expect(page.locator("#newest")).to_contain_text("and no works are permitted now")
        expect(page.locator("#choose")).to_be_hidden()
