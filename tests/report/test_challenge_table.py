from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
from rich.console import Console

from workzone.report.challenge import (
    LEVEL_NAMES,
    ChallengeFigures,
    ChallengeReport,
    challenge_table,
)
from workzone.report.html import EvaluationReport, write_report
from workzone.report.metrics import Figure, summarise


def made_report() -> ChallengeReport:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    figures = []
    for level, blur in ((0, 0.4), (1, 0.9), (2, 1.2), (3, 1.5), (None, 1.0)):
        probabilities = np.clip(labels * 0.5 + blur * (random.random(60) - 0.25), 0, 1)
        metrics = summarise(labels, probabilities, resamples=50 if level != 1 else 0)
        paid = Figure(None) if level == 3 else Figure(0.6123, 0.5, 0.7)
        figures.append(ChallengeFigures(level, metrics, paid))
    return ChallengeReport(tuple(figures), seed=7)


def told(figure: Figure) -> str:
    if figure.value is None:
        return "not defined"
    if figure.low is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} {figure.low:.3f} to {figure.high:.3f}"


def test_the_table_has_a_row_per_level_with_intervals_below() -> None:
    report = made_report()
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(challenge_table(report))
    lines = console.export_text().splitlines()
    assert "60 challenge images of seed 7" in lines[-1] + lines[-2]
    for part in report.figures:
        name = LEVEL_NAMES[part.level]
        number = next(n for n, line in enumerate(lines) if line.startswith(f"│ {name} "))
        values = [cell.strip() for cell in lines[number].split("│")[2:-1]]
        expected = ["not defined" if f.value is None else f"{f.value:.3f}" for f in part.cells()]
        assert values == expected
        assert (" to " in lines[number + 1]) == any(f.low is not None for f in part.cells())


def test_the_page_shows_the_same_and_what_the_reward_is(tmp_path: Path) -> None:
    report = made_report()
    whole = report.figures[-1].metrics
    labels = np.array([0, 1])
    page = EvaluationReport("Streets", whole, labels, np.array([0.2, 0.8]), challenge=report)
    write_report(tmp_path / "report.html", page)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = text[text.index("<h2>The subnet's challenge") :]
    section = section[: section.index("</section>")]
    rows = re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)[1:]
    plain = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]
    assert plain == [
        " ".join([part.name, "60", *map(told, part.cells())]) for part in report.figures
    ]
    assert "seed 7" in section
    assert "half the challenges showing road work" in section


def test_the_json_can_be_written() -> None:
    told_back = json.loads(json.dumps(made_report().to_json(), allow_nan=False))
    assert [part["level"] for part in told_back["levels"]] == [0, 1, 2, 3]
    assert told_back["levels"][3]["expected_reward"]["value"] is None
    assert told_back["overall"]["expected_reward"]["value"] == 0.6123
