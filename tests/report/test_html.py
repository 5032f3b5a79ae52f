from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from workzone.errors import UsageError
from workzone.report.html import EvaluationReport, Mistake, headlines, write_report
from workzone.report.metrics import FIGURES, summarise, summarise_by
from workzone.report.overlay import thumbnail

HOSTILE = "<script>alert('x')</script>\"><img src=http://evil.example/x.png>"
BOXES = np.array([[0, 0, 1, 1], [0, 0, 0.4, 0.4], [0.6, 0.6, 1, 1]])
VOID = {"meta", "img", "br", "rect", "path", "use"}


class Page(HTMLParser):
    """Every element with its attributes, the text, and whether the tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self.balanced = [], [], [], True
        self.feed(text)
        self.balanced &= not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            self.balanced &= bool(self.open) and self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())

    @property
    def text(self):
        return " ".join(text for text in self.texts if text)


def made_report(**changes):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    probabilities = np.clip(0.3 * labels + 0.7 * random.random(60), 0, 1)
    groups = [f"clip-{row // 3}" for row in range(60)]
    picture = thumbnail(np.full((60, 80, 3), 90, dtype=np.uint8))
    report = EvaluationReport(
        title="Held-out cities",
        metrics=summarise(labels, probabilities, groups, resamples=50),
        labels=labels,
        probabilities=probabilities,
        slices={
            "daytime": summarise_by(
                labels, probabilities, groups, ["day"] * 40 + [None] * 20, resamples=20
            )
        },
        manifest_facts={"rows": 60, "splits": ["train", "test"]},
        model_facts={"backbone": "lite0", "threshold": {"value": 0.43215}, "made": None},
        warnings=["The image-only score is far below."],
        mistakes=[
            Mistake("clip-3/0007.jpg", 0, 0.91, picture, np.array([0.2, 0.1, 0.7]), BOXES, "cones")
        ],
    )
    return dataclasses.replace(report, **changes)


OUTLINED = Mistake(
    "a.jpg",
    1,
    0.2,
    thumbnail(np.zeros((8, 8, 3), np.uint8)),
    np.ones(1),
    np.array([[0, 0, 1, 1]]),
    objects="4 cones, 1 sign, on the right",
)


@pytest.fixture
def written(tmp_path):
    def write(report):
        path = tmp_path / "deep" / "report.html"
        write_report(path, report)
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert page.balanced
        return text, page

    return write


def assert_self_contained(text, page):
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}, tag
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/jpeg;base64,", "#")), value
        assert not any(name.startswith("on") for name in attributes)
    assert all(reference.startswith("#") for reference in re.findall(r"url\(['\"]?([^)]*)", text))
    assert "@import" not in text
    policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_page_loads_nothing(written):
    assert_self_contained(*written(made_report()))


def test_hostile_text_stays_text(written):
    mistake = dataclasses.replace(made_report().mistakes[0], id=HOSTILE, note=HOSTILE)
    facts = {HOSTILE: HOSTILE}
    slices = {HOSTILE: summarise_by([0, 1], [0.2, 0.4], None, [HOSTILE] * 2, resamples=0)}
    text, page = written(
        made_report(
            title=HOSTILE,
            mistakes=[mistake],
            warnings=[HOSTILE],
            slices=slices,
            model_facts=facts,
            manifest_facts=facts,
        )
    )
    assert_self_contained(text, page)
    assert sum(tag == "img" for tag, _ in page.elements) == 1
    assert page.text.count("<script>alert('x')</script>") == 11  # each place but alt


def test_figures_warnings_facts_and_slices_are_there(written):
    report = made_report()
    _, page = written(report)
    mcc = report.metrics.figures["mcc"]
    assert f"{mcc.value:.3f}" in page.text
    assert f"95% interval {mcc.low:.3f} to {mcc.high:.3f}" in page.text
    counts = report.metrics.confusion
    assert f"{counts.true_positives} found" in page.text
    assert f"{counts.false_positives} false alarms" in page.text
    assert "The image-only score is far below." in page.text
    assert "threshold.value 0.4321" in page.text  # four digits
    assert "made not recorded" in page.text
    assert "splits train, test" in page.text
    assert all(title in page.text for title in FIGURES.values())
    assert "day 40" in page.text
    assert "not recorded 20" in page.text
    assert "with metadata" not in page.text.lower()
    assert sum(tag == "figure" for tag, _ in page.elements) == 4


def test_the_score_with_metadata_stands_beside(written):
    report = made_report()
    other = summarise(report.labels, np.where(report.labels == 1, 0.9, 0.1), resamples=20)
    _, page = written(dataclasses.replace(report, metadata_metrics=other))
    assert "image alone with metadata" in page.text
    assert 'Under "All figures" the score with metadata stands beside it.' in page.text
    assert "those of which it says nothing keep their image-only score" in page.text
    alone = report.metrics.figures["mcc"]
    assert f"MCC {alone.value:.3f} {alone.low:.3f} to {alone.high:.3f} 1.000" in page.text


def test_a_mistake_shows_its_heaviest_views(written):
    _, page = written(made_report())
    outlines = [a for t, a in page.elements if t == "rect" and "line" in a.get("class", "")]
    heaviest = outlines[-1]  # drawn last, on top
    assert heaviest["class"] == "line rank-0"
    corner = [float(heaviest[name]) for name in ("x", "y", "width", "height")]
    assert corner == [600, 600, 400, 400]
    assert [a["title"] for t, a in page.elements if t == "li"] == [
        "view 0: 20%",
        "view 1: 10%",
        "view 2: 70%",
    ]
    assert "said road work 0.91 is none clip-3/0007.jpg cones" in page.text


def test_many_slices_are_cut_short(written):
    labels, probabilities = [0, 1] * 15, [0.2, 0.8] * 15
    values = [f"clip-{row:02}" for row in range(30)]
    slices = {"group": summarise_by(labels, probabilities, None, values, resamples=0)}
    _, page = written(made_report(slices=slices))
    assert "clip-11" in page.text
    assert "clip-12" not in page.text
    assert "and 18 more with fewer images each" in page.text


def test_one_class_and_nothing_else(written):
    metrics = summarise([0, 0, 0], [0.1, 0.2, 0.3])
    _, page = written(
        EvaluationReport("Empty street", metrics, np.zeros(3, int), np.array([0.1, 0.2, 0.3]))
    )
    assert "not defined" in page.text
    assert "need images of both classes" in page.text
    assert "nan" not in page.text.lower().split()
    assert "The worst mistakes" not in page.text
    assert [headline.meaning for headline in headlines(metrics)[1:]] == [
        "No image shows road work.",
        "No image was called road work.",
        "Images of both classes are needed.",
    ]


def test_headlines_in_plain_words():
    metrics = summarise([1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.1, 0.1])
    texts = {headline.title: headline.meaning for headline in headlines(metrics)}
    assert texts["recall"] == "2 of 3 images with road work are found."
    assert texts["precision"] == "2 of 3 images called road work show it."
    assert "In 93 of 100 random pairs" in texts["ROC AUC"]


def test_broken_mistakes_are_refused(tmp_path):
    (mistake,) = made_report().mistakes
    no_jpeg = dataclasses.replace(mistake, thumbnail=b"GIF89a")
    with pytest.raises(UsageError, match=r"'clip-3/0007\.jpg': its thumbnail is not a JPEG"):
        write_report(tmp_path / "a.html", made_report(mistakes=[no_jpeg]))
    no_fit = dataclasses.replace(mistake, view_weights=np.ones(2))
    with pytest.raises(UsageError, match=r"view weights of shape \(2,\) and boxes of shape \(3, 4"):
        write_report(tmp_path / "a.html", made_report(mistakes=[no_fit]))
    assert not (tmp_path / "a.html").exists()


def test_objects_stand_on_the_mistakes_in_place_of_views(written):
    text, page = written(made_report(mistakes=[OUTLINED]))
    assert_self_contained(text, page)
    assert "4 cones, 1 sign, on the right" in page.text
    assert "Outlined are the objects that were found" in page.text
    swatches = [a["style"] for tag, a in page.elements if a.get("class") == "swatch"]
    assert len(swatches) == 6 and swatches[0] == "background: rgb(230, 159, 0)"
    assert 'class="halo"' not in text
