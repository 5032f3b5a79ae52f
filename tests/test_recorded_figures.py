"""The figures that the README, the docs and the model card tell are those of the records.

``figures.yaml`` holds the sentences as the records fill them. A sentence whose figure the record no
longer holds, or whose words have changed, is not found on its page, and the failure says what it
should be. Figures that are in no record say so on their page, and are not there.
"""

from __future__ import annotations

import json
import re
import runpy
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
SENTENCES = yaml.safe_load((ROOT / "tests" / "figures.yaml").read_text(encoding="utf-8"))
PROGRAM = ROOT / "src/workzone/weights/lite-onnx/bundle.json"
LEVELS = [f"level {number}" for number in range(4)]
OTHERS, EVERY = "of the other two folds", "of all three folds"


def record(name: str) -> Any:
    """The results of a benchmark."""
    return json.loads((BENCHMARKS / "results" / f"{name}.json").read_text())["results"]


def _levels(setting: Mapping[str, Any]) -> dict[str, float]:
    """Means over folds at the challenge's levels, and the mean of those."""
    found = {
        f"{figure} {level[-1]}": setting[level]["mean"][figure]
        for figure in ("mcc", "reward")
        for level in LEVELS
    }
    return found | {
        figure: float(np.mean([setting[level]["mean"][figure] for level in LEVELS]))
        for figure in ("mcc", "reward")
    }


def _calibrated(setting: Mapping[str, Any], known: str, share: str) -> dict[str, float]:
    """The same, calibrated on photographs of the folds that ``known`` names."""
    own = setting["calibration"][f"by level, {known}"][share]
    found = {
        f"{figure} {kind[-1] if kind in LEVELS else kind}": value
        for kind, figures in own.items()
        for figure, value in figures.items()
    }
    return found | {
        figure: float(np.mean([own[level][figure] for level in LEVELS]))
        for figure in ("mcc", "reward")
    }


def figures() -> dict[str, Any]:
    """What the sentences name: records, and short names of what lies deep in them."""
    accuracy, before, dense2 = map(
        record, ("accuracy", "accuracy_without_boxes", "accuracy_dense2")
    )
    photographs = record("photographs")
    shipped = accuracy["summary"]["permitted"]
    named: dict[str, Any] = {
        "photographs": photographs,
        "program": json.loads(PROGRAM.read_text(encoding="utf-8"))["program"],
        "ece": {
            name: float(np.mean([seed["ece"] for seed in method["five folds"]["seeds"]]))
            for name, method in photographs["methods"].items()
        },
        "free": photographs["methods"]["detector, all 12 views, attention left free"]["five folds"][
            "seeds"
        ][0],
        "interval": photographs["methods"]["detector"]["five folds"]["first seed"]["figures"],
        "shipped": shipped,
        "single": accuracy["single seeds"]["permitted"][accuracy["size"]],
        "views": record("images"),
        "extraction": record("extraction"),
        "latency": record("latency"),
        "evaluation": record("evaluation"),
        "light gigabytes": record("light_base")["now"]["megabytes"] / 1000,
        "light": {
            "before" if name.startswith("commit") else name: figures
            for name, figures in record("light_base").items()
        },
        "self": record("self_training")["summary"]["the same photographs"],
        "looks": record("test_time"),
        "kills": record("map_kills"),
        "objects": record("map_objects"),
        "effect": record("masks_effect"),
        "unlike": {
            name: record(name)["table"] for name in ("unsure", "unsure_fresh", "unsure_newest")
        },
        "quantised": {
            f"{backbone[7:]} {row['weights']}, {row['computes in']}": row
            for backbone, rows in record("quantisation")["backbones"].items()
            for row in rows
        },
        "int4 layer": record("quantisation")["int4 layer"],
        "faster": {
            name.removeprefix("plain: "): value
            for name, value in record("images")["times as fast"].items()
        },
    }
    for name, results in (("now", accuracy), ("before", before), ("dense2", dense2)):
        own = results["summary"]["permitted"]
        named[name] = _levels(own)
        plain = own[results.get("size", "512 px")]
        named[name] |= {"auc": plain["mean"]["auc"], "us": plain["us"]}
        named[name]["as it is"] = plain["mean"]["mcc"]
        for short, known in (("others", OTHERS), ("calibrated", EVERY)):
            named[f"{name} {short}"] = _calibrated(own, known, "one half")
            named[f"{name} {short}, share estimated"] = _calibrated(own, known, "estimated")
        named[f"{name} gap"] = {
            "plain": plain["mean"]["mcc"] - named[name]["mcc"],
            "calibrated": named[f"{name} calibrated"]["mcc as it is"]
            - named[f"{name} calibrated"]["mcc"],
        }
    return named


class _Paths(string.Formatter):
    """Field names are paths, with keys as the records spell them."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        value: Any = kwargs
        for key in field_name.split("/"):
            value = value[int(key) if isinstance(value, list) else key]
        return value, field_name


def filled(sentence: str, values: Mapping[str, Any]) -> str:
    """A sentence with its figures."""
    return " ".join(_Paths().vformat(sentence, (), values).split())


def text(page: str) -> str:
    """A page in one line, as sentences break anywhere."""
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    ("page", "sentence"),
    [(page, sentence) for page, sentences in SENTENCES.items() for sentence in sentences],
)
def test_a_sentence_tells_what_the_record_holds(page: str, sentence: str) -> None:
    assert filled(sentence, figures()) in text(page)


def test_a_sentence_is_filled_by_paths() -> None:
    values = {"run": {"mcc, mean": [0.126, 2]}}
    assert filled("is {run/mcc, mean/0:.2f},\n  of {run/mcc, mean/1}", values) == "is 0.13, of 2"
    with pytest.raises(KeyError):
        filled("{run/auc}", values)


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("photographs", "docs/judge/accuracy.md"),
        ("test_time", "docs/judge/evaluation.md"),
        ("pipeline", "docs/performance.md"),
        ("backbone_profile", "docs/performance.md"),
        ("memory_curve", "docs/performance.md"),
        ("latency", "docs/performance.md"),
        ("linear_attention", "docs/understand/pruning.md"),
        ("images", "docs/performance.md"),
        ("extraction", "docs/performance.md"),
        ("layout", "docs/experiments/recipe.md"),
        ("quantisation", "docs/score/engines.md"),
        ("unsure", "docs/judge/unsure.md"),
        ("unsure_newest", "docs/judge/unsure.md"),
    ],
)
def test_a_table_shows_what_the_record_holds(name: str, page: str) -> None:
    tables = runpy.run_path(str(BENCHMARKS / "page_tables.py"))["TABLES"]
    shown = (ROOT / page).read_text(encoding="utf-8")
    rows = tables[name](record(name)).splitlines()
    assert len(rows) > 1
    assert [row for row in rows if row not in shown] == []


@pytest.mark.parametrize(
    ("name", "page"), [("decisions", "docs/judge/decisions.md"), ("serving", "docs/serving.md")]
)
def test_a_page_shows_the_rows_of_its_own_table(name: str, page: str) -> None:
    shown = (ROOT / page).read_text(encoding="utf-8")
    script = runpy.run_path(str(BENCHMARKS / f"{name}_table.py"))
    rows = "\n".join(script["tables"](record(name)).values()).splitlines()
    assert len(rows) > 10
    assert [row for row in rows if row not in shown] == []


def test_the_model_card_shows_the_recorded_accuracy() -> None:
    tables = runpy.run_path(str(BENCHMARKS / "accuracy_tables.py"))
    accuracy = record("accuracy")
    card = (ROOT / "src/workzone/weights/lite/MODEL_CARD.md").read_text(encoding="utf-8")
    recipe = tables["peers_table"](accuracy, record("peers"), "permitted").splitlines()[-2:]
    intervals = tables["intervals_table"](accuracy, "permitted").splitlines()
    assert [row for row in (*recipe, *intervals) if row not in card] == []
    accuracy_page = (ROOT / "docs" / "judge" / "accuracy.md").read_text(encoding="utf-8")
    assert [row for row in intervals if row not in accuracy_page] == []


def decimals(prose: str) -> list[str]:
    """Figures with two decimals or more, without their sign."""
    return re.findall(r"(?<![\d.])\d+\.\d{2,}(?![\d.])", prose)


def test_the_ablations_conclusions_are_of_its_tables() -> None:
    page = (ROOT / "docs" / "experiments" / "ablation.md").read_text(encoding="utf-8")
    conclusions = page.partition("## Conclusions")[2].partition("\n## ")[0]
    tables = runpy.run_path(str(BENCHMARKS / "ablation_tables.py"))["tables"]
    found = [float(figure) for figure in decimals(tables(record("ablation")))]
    told = decimals(conclusions)
    assert len(told) > 50

    def is_recorded(figure: str) -> bool:
        step = 10.0 ** -len(figure.partition(".")[2])
        return any(abs(float(figure) - value) <= 0.5001 * step for value in found)

    assert [figure for figure in told if not is_recorded(figure)] == []
