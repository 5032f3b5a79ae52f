from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from workzone.report.charts import MOST_POINTS
from workzone.report.curves import binned, draw_curves


def made_log(*, chosen: bool = True, experts: bool = True) -> list[dict[str, Any]]:
    """Two folds of 3 epochs of 4 steps, and a final training of 2."""
    records: list[dict[str, Any]] = []
    for stage, epochs in (("fold-1-of-2", 3), ("fold-2-of-2", 3), ("everything", 2)):
        for step in range(4 * epochs):
            record = {
                "event": "step",
                "stage": stage,
                "epoch": step // 4,
                "step": step,
                "loss": 1 / (step + 1),
                "learning_rate": 0.001,
                "gradient_norm": None if step == 2 else 2.0,
                "expert_load": [[0.1, 0.9], [0.6, 0.4]] if experts else None,
                "kept_views": [1.0, 0.5, float(step // 4 == epochs - 1)] if chosen else [1.0] * 3,
            }
            records.append(record)
            if step % 4 == 3:
                told = {"event": "epoch", "stage": stage, "epoch": step // 4, "step": step}
                if stage != "everything":
                    told |= {"validation_loss": 0.5, "validation_auc": None, "validation_mcc": 0.25}
                records.append(told)
    return records


def texts(svg: str) -> list[str]:
    return [element.text for element in ET.fromstring(svg).iter() if element.text]


def test_each_figure_of_the_log_has_its_chart() -> None:
    charts = {chart.title: chart for chart in draw_curves(made_log())}
    assert list(charts) == [
        "Loss",
        "Validation loss",
        "Validation MCC",  # no AUC was told
        "Learning rate",
        "Gradient norm",
        "Load of the experts",
        "Views kept",
    ]
    assert {"validation folds", "final training"} <= set(texts(charts["Loss"].svg))
    assert "final training" not in texts(charts["Validation loss"].svg)  # it has none
    page = "".join(chart.svg for chart in charts.values())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert not re.search(r"#0[1-4]0[1-4]0[1-4]", page)  # colours are the page's


def test_what_was_not_told_is_not_drawn() -> None:
    assert draw_curves([]) == []
    titles = [chart.title for chart in draw_curves(made_log(chosen=False, experts=False))]
    assert "Views kept" not in titles
    assert "Load of the experts" not in titles


def heights(svg: str) -> list[float]:
    """Of the bars, in the picture's units."""
    found = re.findall(r"M \S+ (\S+) \nL \S+ \S+ \nL \S+ (\S+) \nL \S+ \S+ \nz\n\" clip", svg)
    return [float(low) - float(high) for low, high in found]


def test_views_are_counted_over_the_last_epoch() -> None:
    (chart,) = [chart for chart in draw_curves(made_log()) if chart.title == "Views kept"]
    folds, final = np.array(heights(chart.svg)).reshape(2, 3)
    assert folds / folds[0] == pytest.approx([1.0, 0.5, 1.0], abs=1e-4)
    assert final == pytest.approx(folds)


def test_long_curves_are_means_over_stretches() -> None:
    points = np.stack([np.arange(10_000.0), np.arange(10_000.0) % 2], axis=1)
    x, y = binned(points)
    assert len(x) == MOST_POINTS
    stretch = 10_000 // MOST_POINTS
    np.testing.assert_allclose(x, (stretch - 1) / 2 + stretch * np.arange(MOST_POINTS))
    np.testing.assert_allclose(y, 0.5)
    short = binned(points[:7])
    np.testing.assert_array_equal(np.stack(short, axis=1), points[:7])
