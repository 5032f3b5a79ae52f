"""What a search for settings found: the table of the best, and two charts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from workzone.files import writing
from workzone.train.search.space import Space
from workzone.train.search.study import MetricName, Tried, best_of

BEST_SHOWN = 10

_TRIED, _BEST = "#0072b2", "#d55e00"  # of Okabe & Ito's colour-blind safe palette


def search_table(tried: Sequence[Tried], metric: MetricName) -> Table:
    """The best trials, a row each.

    Raises:
        TrainingError: no trial came to an end.
    """
    best = best_of(tried, metric)
    given_up = len(tried) - len(best)
    title = f"The best of {len(tried)} trials ({given_up} given up early), by {metric}"
    table = Table("trial", metric, title=title, title_justify="left")
    for key in best[0].values:
        table.add_column(key.replace(".", ".\n"))
    for trial in best[:BEST_SHOWN]:
        assert trial.value is not None
        table.add_row(str(trial.number), f"{trial.value:.4f}", *map(_short, trial.values.values()))
    return table


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def draw_history(tried: Sequence[Tried], metric: MetricName, path: Path) -> None:
    """A PNG: each trial's value, and the best so far."""
    whole = [(t.number, t.value) for t in tried if t.value is not None]
    best_so_far = np.maximum.accumulate if metric == "mcc" else np.minimum.accumulate
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    if whole:
        numbers, values = np.array(whole).T
        axes.plot(numbers, values, "o", color=_TRIED, label="trial")
        axes.step(numbers, best_so_far(values), where="post", color=_BEST, label="best so far")
    given_up = [t.number for t in tried if t.value is None]
    if given_up:
        top = axes.get_ylim()[1]
        axes.plot(given_up, [top] * len(given_up), "x", color="#777777", label="given up early")
    axes.set(xlabel="trial", ylabel=metric, title="Trials in order")
    axes.legend()
    _save(figure, path)


def draw_slices(tried: Sequence[Tried], metric: MetricName, space: Space, path: Path) -> None:
    """A PNG: the value over each setting, a panel per setting; the best trial stands out."""
    whole = [t for t in tried if t.value is not None]
    best = best_of(tried, metric)[0]
    columns = min(3, len(space))
    rows = -(-len(space) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True, squeeze=False)).ravel()
    for panel, (key, dimension) in zip(panels, space.items(), strict=False):
        for trials, colour in ((whole, _TRIED), ([best], _BEST)):
            at = [
                dimension.choices.index(t.values[key]) if dimension.choices else t.values[key]
                for t in trials
            ]
            panel.plot(at, [t.value for t in trials], "o", color=colour)
        if dimension.choices:
            panel.set_xticks(range(len(dimension.choices)), map(_short, dimension.choices))
        elif dimension.log:
            panel.set_xscale("log")
        panel.set_xlabel(key)
    for panel in panels[len(space) :]:
        panel.set_visible(False)
    figure.supylabel(metric)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with writing(path) as aside:
        figure.savefig(aside, format="png", dpi=120)
