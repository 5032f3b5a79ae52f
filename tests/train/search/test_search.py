"""The search for settings: what it finds, that it prunes, and that it survives being killed."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import log_loss, matthews_corrcoef

import fresh_process
from made_rows import PLAIN, examples_of, made_data, two_folds
from workzone.backbones.adapters import AdapterConfig
from workzone.errors import MissingExtraError, TrainingError, UsageError, WorkzoneError
from workzone.model.presets import preset
from workzone.report.search import draw_history, draw_slices, search_table
from workzone.train.fit import fit
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.search import study as module
from workzone.train.search.space import Dimension, default_space, read_space
from workzone.train.search.study import (
    Tried,
    best_of,
    search,
    settings_of,
)
from workzone.train.settings import TrainConfig

ROWS = 80
TRIALS = 14
FEATURES, LABELS = made_data(ROWS)
EXAMPLES = examples_of(FEATURES, LABELS)
CONFIG = TrainConfig(detector=PLAIN, epochs=3, batch=32)
SPACE = {
    "optimizer.learning_rate": Dimension(1e-5, 1e-1, log=True),
    "batch": Dimension(16, 64, whole=True),
    "detector.head": Dimension(choices=([], [8])),
}


def run(folder: Path, trials: int, **changes: Any) -> list[Tried]:
    given: dict[str, Any] = {"space": SPACE} | changes
    return search(EXAMPLES, two_folds(ROWS), CONFIG, folder, trials=trials, **given)


def slowly(folder: str) -> None:
    """To be killed between two trials or within one."""
    search(
        EXAMPLES,
        two_folds(ROWS),
        CONFIG,
        Path(folder),
        space=SPACE,
        trials=TRIALS,
        after_trial=lambda: time.sleep(0.05),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Tried]]:
    folder = tmp_path_factory.mktemp("search")
    return folder, run(folder, TRIALS)


def test_a_value_is_that_of_a_fit_with_these_settings(whole: tuple[Path, list[Tried]]) -> None:
    best = best_of(whole[1], "cross-entropy")[0]
    settings = settings_of(CONFIG, best.values, where="test")
    fitted = fit(EXAMPLES, two_folds(ROWS), settings)
    labels = LABELS[fitted.validation_rows].numpy()
    assert best.value == pytest.approx(log_loss(labels, fitted.validation_probabilities))
    lowest = [min(losses) for losses in fitted.validation_losses]
    assert best.losses == pytest.approx((lowest[0], np.mean(lowest)))


def test_better_settings_win(whole: tuple[Path, list[Tried]]) -> None:
    """In three epochs a rate of 1e-5 learns nothing."""
    best = best_of(whole[1], "cross-entropy")
    assert [t.value for t in best] == sorted(t.value for t in best if t.value is not None)
    assert best[0].values["optimizer.learning_rate"] > 1e-3


def test_most_are_given_up_where_they_are_worse_than_the_median(
    whole: tuple[Path, list[Tried]],
) -> None:
    tried = whole[1]
    assert [t.number for t in tried] == list(range(TRIALS))
    given_up = [t for t in tried if t.value is None]
    assert given_up
    assert min(t.number for t in given_up) >= module.UNPRUNED
    for trial in given_up:
        earlier = [
            t.losses[len(trial.losses) - 1]
            for t in tried[: trial.number]
            if len(t.losses) >= len(trial.losses) and t.value is not None
        ]
        assert trial.losses[-1] > np.median(earlier)
        assert "is above the median of earlier trials" in trial.why


def test_a_killed_search_finds_what_it_would_have_found(
    whole: tuple[Path, list[Tried]], tmp_path: Path
) -> None:
    journal = tmp_path / "study.journal"
    process = fresh_process.start(slowly, str(tmp_path))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.is_alive():
        if journal.exists() and len(journal.read_bytes().splitlines()) > 30:
            break  # some trials are through, one is under way
        time.sleep(0.002)
    process.kill()
    process.join()
    (tmp_path / "study.journal.lock").touch()  # as a kill within a write would leave it
    with journal.open("a") as handle:
        handle.write('{"op_code":')
    half = journal.read_text().splitlines()
    assert run(tmp_path, TRIALS) == whole[1]
    assert 30 < len(half) < len(journal.read_text().splitlines())
    assert run(tmp_path, TRIALS) == whole[1]  # nothing is left to do


def test_more_trials_go_on(whole: tuple[Path, list[Tried]], tmp_path: Path) -> None:
    first = run(tmp_path, 2)
    assert run(tmp_path, 3)[:2] == first == whole[1][:2]


def test_another_search_in_the_folder_is_refused(whole: tuple[Path, list[Tried]]) -> None:
    with pytest.raises(WorkzoneError, match="holds a search with other metric: trials would not"):
        run(whole[0], TRIALS, metric="mcc")
    with pytest.raises(WorkzoneError, match="holds a search with other space: "):
        run(whole[0], TRIALS, space={"batch": Dimension(16, 64, whole=True)})


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    def intrude() -> None:
        with pytest.raises(WorkzoneError, match="another process is searching in"):
            run(tmp_path, 1)

    run(tmp_path, 1, after_trial=intrude)


def test_by_mcc_the_highest_wins(tmp_path: Path) -> None:
    tried = run(tmp_path, 7, metric="mcc")
    best = best_of(tried, "mcc")
    assert best[0].value == max(t.value for t in tried if t.value is not None)
    fitted = fit(EXAMPLES, two_folds(ROWS), settings_of(CONFIG, best[0].values, where="test"))
    labels = LABELS[fitted.validation_rows].numpy()
    called = fitted.validation_probabilities > 0.5
    assert best[0].value == pytest.approx(matthews_corrcoef(labels, called))
    assert all(t.losses[0] > 0 for t in tried)


def test_settings_that_cannot_be_are_given_up_with_their_reason(tmp_path: Path) -> None:
    space = {"schedule.name": Dimension(choices=("constant", "cosine"))}
    config = dataclasses.replace(CONFIG, optimizer=OptimizerConfig(name="schedulefree"), epochs=1)
    tried = search(EXAMPLES, two_folds(ROWS), config, tmp_path, space=space, trials=8)
    for trial in tried:
        assert (trial.value is None) == (trial.values["schedule.name"] == "cosine")
    reasons = Counter(t.why for t in tried if t.value is None)
    assert any("lowers the learning rate" in why for why in reasons)


def test_where_nothing_comes_to_an_end_the_reason_is_said() -> None:
    lost = Tried(0, {"batch": 3}, None, (), "training diverges: ...")
    with pytest.raises(TrainingError, match=r"none of 1 trials .*; one of them: training diver"):
        best_of([lost], "mcc")


def test_without_optuna_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"searching .* 'optuna': pip install 'workzone.tu"):
        run(tmp_path, 1)


def test_a_missing_optimizer_is_said_and_no_trial_spent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "lion_pytorch", None)
    with pytest.raises(MissingExtraError, match="lion"):
        run(tmp_path, 1, space={"optimizer.name": Dimension(choices=("lion",))})
    monkeypatch.undo()
    assert len(run(tmp_path, 1, space={"optimizer.name": Dimension(choices=("lion",))})) == 1


def test_a_space_is_read_from_plain_values() -> None:
    space = read_space(
        {
            "optimizer.learning_rate": {"low": "1e-4", "high": 0.01, "log": True},
            "batch": {"low": 16, "high": 64},
            "detector.head": {"choices": [[], [64]]},
        },
        where="space.yaml",
    )
    assert space == {
        "optimizer.learning_rate": Dimension(1e-4, 1e-2, log=True),
        "batch": Dimension(16, 64, whole=True),
        "detector.head": Dimension(choices=([], [64])),
    }


def test_mistakes_of_a_space_come_at_once(tmp_path: Path) -> None:
    tree = {
        "batch": {"low": 64, "high": 16},
        "ema": [0, 1],
        "epochs": {"low": 0, "high": 9, "log": True},
        "seed": {"low": "few", "high": 3},
    }
    with pytest.raises(UsageError) as caught:
        read_space(tree, where="space.yaml")
    said = str(caught.value)
    assert "batch: low must be below high" in said
    assert "ema: expected {low, high, log} or {choices: [...]}, got [0, 1]" in said
    assert "epochs: low must be below high, and above 0 with log" in said
    assert "seed: low must be below high" in said
    with pytest.raises(UsageError, match=r"space.yaml:\s+nothing to search"):
        read_space({}, where="space.yaml")
    wrong = {"optimizer.rate": Dimension(1, 2), "bach": Dimension(16, 32, whole=True)}
    with pytest.raises(UsageError, match=r"(?s)bach: unknown key; .*'batch'.*rate: unknown key"):
        run(tmp_path, 1, space=wrong)
    assert not tmp_path.joinpath("study.journal").exists()


def test_settings_for_pixels_are_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, adapters=AdapterConfig())
    with pytest.raises(UsageError, match=r"searched on stored features: .*adapters=null"):
        search(EXAMPLES, two_folds(ROWS), config, tmp_path / "search", space=SPACE)
    assert not (tmp_path / "search").exists()


ENCODER = settings_of(
    TrainConfig(), {"detector.projection": 512, "detector.encoder.depth": 2}, where="test"
)
DENSE = TrainConfig(detector=preset("dense").detector)


@pytest.mark.parametrize("config", [TrainConfig(), ENCODER, DENSE], ids=["plain", "deep", "dense"])
def test_the_default_space_fits_every_kind_of_detector(config: TrainConfig) -> None:
    random = np.random.default_rng(0)

    class Random:
        def suggest_categorical(self, key: str, words: list[str]) -> str:
            return words[random.integers(len(words))]

        def suggest_float(self, key: str, low: float, high: float, *, log: bool) -> float:
            return float(random.uniform(low, high))

        def suggest_int(self, key: str, low: int, high: int, *, log: bool) -> int:
            return int(random.integers(low, high + 1))

    space = default_space(config)
    for _ in range(50):
        values = {key: dimension.suggest(Random(), key) for key, dimension in space.items()}
        settings_of(config, values, where="test")  # raises where it cannot be


def test_table_and_charts(whole: tuple[Path, list[Tried]], tmp_path: Path) -> None:
    tried = whole[1]
    table = search_table(tried, "cross-entropy")
    best = best_of(tried, "cross-entropy")
    assert table.row_count == min(len(best), 10)
    assert next(iter(table.columns[0].cells)) == str(best[0].number)
    assert table.title == (
        f"The best of {TRIALS} trials ({TRIALS - len(best)} given up early), by cross-entropy"
    )
    draw_history(tried, "cross-entropy", tmp_path / "history.png")
    draw_slices(tried, "cross-entropy", SPACE, tmp_path / "slices.png")
    for name in ("history.png", "slices.png"):
        assert (tmp_path / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_nothing_is_pickled(whole: tuple[Path, list[Tried]]) -> None:
    lines = (whole[0] / "study.journal").read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    names = {path.name for path in whole[0].iterdir()}
    assert names == {"lock", "search.json", "study.journal"}


def test_the_documented_space_is_the_true_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "train" / "training.md").read_text()
    section = page.partition("## Search")[2].partition("\n## ")[0]
    keys = {key for config in (TrainConfig(), ENCODER, DENSE) for key in default_space(config)}
    assert [key for key in keys if f"`{key}`" not in section] == []
    block = section.partition("```yaml\n")[2].partition("```")[0]
    space = read_space(yaml.safe_load(block), where="docs")
    first = {key: d.choices[0] if d.choices else d.low for key, d in space.items()}
    settings_of(TrainConfig(), first | {"batch": 16}, where="docs")
