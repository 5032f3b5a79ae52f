"""How well a map follows work zones by how often streets are passed, as a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workzone.errors import UsageError, nearest
from workzone.files import write_text, writing
from workzone.report.charts import FAINT, INK, NONE, ROADWORK, STYLE, Chart, to_svg
from workzone.report.html import template

Row = Mapping[str, float | None]
SUFFIXES = (".html", ".png", ".svg")

SHARES = {"recall": "recall", "precision": "precision"}
DELAYS = {"days_to_present": "until it is present", "days_to_gone": "until it is gone"}
"""Figures of `workzone.geo.simulate.figures_of` that are drawn, and what the legend calls them."""

# What the style sheet's names are on a light page, for files that have none.
_PLAIN = {INK: "#1c2128", FAINT: "#8a939e", ROADWORK: "#c85a00", NONE: "#0072b2"}


def check_suffix(path: Path) -> None:
    """Make sure of a file that `write_passes` can write.

    Raises:
        UsageError: another suffix than those of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: {nearest(path.suffix, SUFFIXES)}")


def write_passes(path: Path, rows: Sequence[Row], title: str) -> None:
    """Write a chart of recall, precision and delays, whole or not at all; a page has a table too.

    Args:
        path: ``.svg``, ``.png`` or ``.html``.
        rows: ``passes_a_day``, above 0, with figures; those that are None are left out.
        title: what was simulated.

    Raises:
        UsageError: another suffix.
        WorkzoneError: the file cannot be written.
    """
    check_suffix(path)
    suffix = path.suffix.lower()
    ordered = sorted(rows, key=lambda row: row["passes_a_day"] or 0.0)
    if suffix == ".html":
        with mpl.rc_context(STYLE):
            svg = to_svg(_draw(ordered, ROADWORK, NONE), "passes")
        chart = Chart(title, "Read off from how many passes a day on it is good enough.", svg)
        write_text(path, template("passes.html.j2").render(chart=chart, rows=ordered))
        return
    with mpl.rc_context({key: _PLAIN.get(value, value) for key, value in STYLE.items()}):
        figure = _draw(ordered, _PLAIN[ROADWORK], _PLAIN[NONE])
        figure.suptitle(title, fontsize=10)
        with writing(path) as aside:
            figure.savefig(aside, format=suffix[1:], dpi=120, metadata=_UNDATED[suffix])


_UNDATED: Mapping[str, Mapping[str, str | None]] = {
    ".svg": {"Date": None},
    ".png": {"Software": None},
}
"""So that equal figures give equal bytes."""


def _draw(rows: Sequence[Row], first: str, second: str) -> Figure:
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    shares, delays = figure.subplots(1, 2)
    for axes, names in ((shares, SHARES), (delays, DELAYS)):
        _lines(axes, rows, names, (first, second))
    shares.set(ylabel="share", ylim=(0, 1.02))
    delays.set(ylabel="days, median")
    delays.set_ylim(bottom=0)
    return figure


def _lines(
    axes: Axes, rows: Sequence[Row], names: Mapping[str, str], colours: Sequence[str]
) -> None:
    """Figures over passes a day, which are spread as powers are."""
    rates = np.array([row["passes_a_day"] for row in rows], np.float64)
    for (name, label), colour, style in zip(names.items(), colours, ("o-", "s--"), strict=True):
        values = np.array([row[name] for row in rows], np.float64)
        axes.plot(rates, values, style, color=colour, linewidth=2, markersize=5, label=label)
    axes.set_xscale("log")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.set_xlabel("passes of each street in each direction, a day")
    axes.grid(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
