from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from workzone.errors import UsageError
from workzone.report.charts import draw_charts

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 0])
PROBABILITIES = np.array([0.1, 0.15, 0.3, 0.6, 0.7, 0.95, 0.4, 0.12])


@pytest.fixture(scope="module")
def charts():
    return {chart.title: chart for chart in draw_charts(LABELS, PROBABILITIES)}


def texts(chart):
    return [element.text for element in ET.fromstring(chart.svg).iter() if element.text]


def test_both_classes_give_four_charts(charts):
    assert list(charts) == [
        "ROC curve",
        "Precision and recall",
        "Reliability",
        "Probabilities by label",
    ]
    assert "Area 0.933" in charts["ROC curve"].caption  # 14 of 15 pairs
    assert "share of images with road work, 0.375" in charts["Precision and recall"].caption
    labels = texts(charts["Probabilities by label"])
    assert "none (5)" in labels
    assert "road work (3)" in labels


def test_reliability_counts_the_images_of_each_bin(charts):
    counts = [text for text in texts(charts["Reliability"]) if re.fullmatch(r"\d+", text.strip())]
    assert counts == ["3", "1", "1", "1", "1", "1"]  # 0.1, 0.12 and 0.15 share a bin


def test_charts_are_svg_elements_that_take_the_page_s_colours(charts):
    for chart in charts.values():
        assert ET.fromstring(chart.svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(--ink)" in chart.svg
        assert "var(--roadwork)" in chart.svg
        assert not re.search(r"#0[1-4]0[1-4]0[1-4]", chart.svg)  # no stand-in is left
        assert "<style" not in chart.svg  # a style element would apply to the whole page
        assert "<metadata" not in chart.svg


def test_ids_are_unique_over_all_charts_and_references_resolve(charts):
    page = "".join(chart.svg for chart in charts.values())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)


def test_equal_rows_give_equal_bytes(charts):
    assert [c.svg for c in draw_charts(LABELS, PROBABILITIES)] == [c.svg for c in charts.values()]


def test_one_class_leaves_out_what_is_not_defined():
    titles = [chart.title for chart in draw_charts([1, 1], [0.2, 0.9])]
    assert titles == ["Reliability", "Probabilities by label"]
    assert draw_charts([], []) == []


def test_many_rows_do_not_make_a_large_file():
    random = np.random.default_rng(0)
    charts = draw_charts(random.integers(0, 2, 20_000), random.random(20_000))
    assert max(len(chart.svg) for chart in charts) < 60_000


def test_wrong_scores_are_refused():
    with pytest.raises(UsageError, match=r"row 1: probability 1\.5"):
        draw_charts([0, 1], [0.5, 1.5])
