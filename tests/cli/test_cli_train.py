"""`workzone train` with presets, metadata, masks and the choice of views."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_invoke import invoke
from trained import Tiny
from workzone.cli.settings import choose, options_beside
from workzone.config import read_yaml
from workzone.data.manifest import Manifest, write_manifest
from workzone.decide.test_time import TestTimeConfig
from workzone.errors import UsageError
from workzone.model.presets import preset
from workzone.scenes.write import write_scenes
from workzone.train.settings import TrainConfig
from workzone.train.watch.tracking import read_log

QUICK = "epochs: 2\n"
COUNT = 24  # images where a few are enough; of either label, in each split
LAYOUT = "size: 96\ntiles: 2\noverlap: 0.0\nsquares: []\n"


@pytest.fixture
def options(tiny: Tiny, tmp_path: Path) -> list[object]:
    """Of the features that the shared fixture has stored."""
    (tmp_path / "layout.yaml").write_text(LAYOUT)
    return ["--layout", tmp_path / "layout.yaml", "--store", tiny.store, "--precision", "float32"]


def with_scene(tiny: Tiny, folder: Path) -> Path:
    """The tiny manifest with a column that gives the label away, beside its images."""
    told = [
        dataclasses.replace(s, scene="closed lane" if s.label else "open road")
        for s in tiny.manifest
    ]
    path = tiny.root / f"{folder.name}.parquet"
    write_manifest(Manifest(told, tiny.root), path)
    return path


def test_a_leaking_column_is_refused_with_its_name_and_figure(
    tiny: Tiny, tmp_path: Path, options: list[object]
) -> None:
    (tmp_path / "config.yaml").write_text(QUICK + "detector: {metadata: {}}\n")
    manifest = with_scene(tiny, tmp_path)
    args = ["train", manifest, "-o", tmp_path / "model", "--config", tmp_path / "config.yaml"]
    result = invoke(*args, *options, expect=1)
    said = " ".join(result.stderr.split())
    assert "scene: its value alone tells road work with AUC 1.000" in said
    assert "name it in allow_leaking: [scene]" in said
    assert not (tmp_path / "model").exists()


def test_a_leak_that_is_allowed_is_said_in_training_and_in_every_report(
    tiny: Tiny, tmp_path: Path, options: list[object]
) -> None:
    config = "detector: {metadata: {allow_leaking: [scene]}}\n"
    (tmp_path / "config.yaml").write_text(QUICK + config)
    manifest = with_scene(tiny, tmp_path)
    model = tmp_path / "model"
    trained = invoke("train", manifest, "-o", model, "--config", tmp_path / "config.yaml", *options)
    warning = "The model was fed with scene, which gives the label away"
    assert warning in trained.stderr
    assert trained.stdout.index("Validation rows") < trained.stdout.index("with their metadata")
    report = tmp_path / "report"
    args = ["evaluate", manifest, "--model", model, "-o", report, "--store", tiny.store]
    judged = invoke(*args)
    assert warning in judged.stderr
    assert judged.stdout.index("Image only") < judged.stdout.index("With metadata")
    page = (report / "report.html").read_text()
    assert warning in page
    figures = json.loads((report / "metrics.json").read_text())
    assert list(figures).index("image_only") < list(figures).index("with_metadata")
    assert figures["with_metadata"] is not None
    alone = invoke(*args[:-3], tmp_path / "alone", *args[-2:], "--image-only")
    assert "With metadata" not in alone.stdout
    predicted = invoke("predict", manifest, "--model", model, "--json").stdout.splitlines()
    assert {json.loads(line)["inputs"] for line in predicted} == {"image+metadata"}


def test_a_glance_and_masks_from_scenes_to_predictions(tmp_path: Path) -> None:
    """Trained, judged and used with two of five views read and masks that decide."""
    write_scenes(tmp_path / "scenes", count=COUNT, seed=0)
    manifest = tmp_path / "scenes" / "split.parquet"
    invoke("data", "split", tmp_path / "scenes" / "manifest.parquet", "-o", manifest)
    (tmp_path / "layout.yaml").write_text(LAYOUT)
    (tmp_path / "config.yaml").write_text(
        QUICK + "detector: {glance: {keep: 2}, masks: {hidden: 16}, mask_evidence: true}\n"
    )
    model = tmp_path / "model"
    options = ["--layout", tmp_path / "layout.yaml", "--precision", "float32", "--json"]
    told = json.loads(
        invoke(
            *("train", manifest, "-o", model, "--config", tmp_path / "config.yaml", *options)
        ).stdout
    )
    assert set(told["mask_iou"]) == {"cone", "barrier", "sign", "worker", "vehicle", "equipment"}
    invoke("evaluate", manifest, "--model", model, "-o", tmp_path / "report")
    invoke("predict", tmp_path / "scenes" / "images", "--model", model, "-o", tmp_path / "p.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(rows) == COUNT
    assert all(0 <= row["probability"] <= 1 for row in rows)


def test_a_preset_names_backbone_size_and_detector(
    tiny: Tiny, tmp_path: Path, options: list[object]
) -> None:
    (tmp_path / "config.yaml").write_text(QUICK)
    args = ["train", tiny.manifest_path, "-o", tmp_path / "model", "--preset", "lite-moe"]
    result = invoke(*args, "--config", tmp_path / "config.yaml", *options)
    assert "no row has masks: the mask head is left out" in result.stderr
    description = json.loads((tmp_path / "model" / "bundle.json").read_text())
    assert description["detector"]["encoder"]["experts"] == 4
    assert description["detector"]["masks"] is None
    assert description["features"]["backbone"] == "lite0"
    training = description["provenance"]["training"]
    assert training["epochs"] == 2  # the file's
    assert training["optimizer"]["weight_decay"] == 0.05  # the preset's


@pytest.mark.parametrize(
    ("preset", "backbone", "width"),
    [("dense", "lite0-road-trunk", 192), ("dense2", "lite2-trunk", 208)],
)
def test_the_dense_presets_from_a_manifest_to_overlays(
    preset: str, backbone: str, width: int, tiny: Tiny, tmp_path: Path
) -> None:
    few = tiny.root / f"{tmp_path.name}.parquet"
    write_manifest(tiny.manifest.with_samples(list(tiny.manifest)[:COUNT]), few)
    small = ["--size", 128, "--precision", "float32", "--store", tmp_path / "features"]
    changes, model = ["epochs=2", "sampling.source_weights.made=0.5"], tmp_path / "model"
    args = ["train", few, *changes, "-o", model, "--preset", preset, *small]
    assert f"{backbone}, the frame, its shorter side 128 px; float32" in invoke(*args).stderr
    description = json.loads((model / "bundle.json").read_text())
    cells = {"width": width, "tail": True, "hidden": 0, "top": 4, "dropout": 0.2, "mix_style": 0.5}
    assert description["detector"]["cells"] == cells
    assert description["features"]["backbone"] == backbone
    layout = description["features"]["layout"]
    assert (layout["shorter"], layout["size"], layout["tiles"]) == (128, 256, 0)
    assert (layout["squares"], layout["halves"]) == ([], True)
    training = description["provenance"]["training"]
    assert training["sampling"]["source_weights"] == {"made": 0.5}
    assert training["sampling"]["source_balance"] == 0.5
    invoke("evaluate", few, "--model", model, "-o", tmp_path / "report")
    scores, overlays = tmp_path / "p.jsonl", tmp_path / "overlays"
    invoke("predict", few, "-m", model, "-o", scores, "--explain", overlays)
    rows = [json.loads(line) for line in scores.read_text().splitlines()]
    assert len(rows) == len(list(overlays.rglob("*.jpg"))) == COUNT
    assert {row["view"] for row in rows} == {0}
    for row in rows:  # of 6 x 4 cells, or of 3 x 2
        sides = (6 * (row["x1"] - row["x0"]), 4 * (row["y1"] - row["y0"]))
        assert sides in (pytest.approx((1, 1), abs=1e-4), pytest.approx((2, 2), abs=1e-4))
    told = invoke("train", "--print-config", "--preset", preset).stdout
    assert f"with this file: --preset {preset} --size 512 --pooling mean" in told


def test_the_file_wins_over_the_preset_and_the_command_line_over_both(
    tiny: Tiny, tmp_path: Path, options: list[object]
) -> None:
    (tmp_path / "config.yaml").write_text(
        QUICK + "detector: {encoder: {experts: 2, depth: 1}}\noptimizer: {learning_rate: 2e-3}\n"
    )
    changes = ["epochs=1", "detector.encoder.depth=0", "optimizer.betas=[0.8, 0.9]"]
    args = ["train", tiny.manifest_path, *changes, "-o", tmp_path / "model", "--preset", "lite-moe"]
    invoke(*args, "--config", tmp_path / "config.yaml", *options)
    description = json.loads((tmp_path / "model" / "bundle.json").read_text())
    encoder, training = description["detector"]["encoder"], description["provenance"]["training"]
    assert (encoder["experts"], encoder["depth"], encoder["width"]) == (2, 0, 512)
    assert training["epochs"] == 1
    assert training["optimizer"]["learning_rate"] == 2e-3  # the file's
    assert training["optimizer"]["weight_decay"] == 0.05  # the preset's
    assert training["optimizer"]["betas"] == [0.8, 0.9]


def test_wrong_settings_are_named(tiny: Tiny, tmp_path: Path) -> None:
    args = ["train", tiny.manifest_path, "-o", tmp_path / "model"]
    misspelt = invoke(*args, "--preset", "lighte", expect=2)
    assert "unknown preset 'lighte'; did you mean 'lite'?" in misspelt.stderr
    unknown = invoke(*args, "optimizer.nam=lion", "epoch=3", expect=2)
    assert "optimizer.nam: unknown key; did you mean 'name'?" in unknown.stderr
    assert "epoch: unknown key; did you mean 'epochs'?" in unknown.stderr
    bare = invoke(*args, "epochs", expect=2)
    assert "'epochs' is no setting; write KEY=VALUE, as in epochs=20" in bare.stderr


def test_a_training_leaves_its_log_and_a_report_with_its_curves(
    tiny: Tiny, tmp_path: Path, options: list[object]
) -> None:
    (tmp_path / "config.yaml").write_text(QUICK + "batch: 16\n")
    args = ["train", tiny.manifest_path, "-o", tmp_path / "model", *options]
    args += ["--config", tmp_path / "config.yaml", "--track", "tensorboard", "--json"]
    result = json.loads(invoke(*args).stdout)
    run = tmp_path / "model.run"
    assert result["report"] == str(run / "report.html")
    records = read_log(run / "log.jsonl")
    assert {record["stage"] for record in records} == {"fold-1-of-1", "everything"}
    page = (run / "report.html").read_text()
    for title in ("ROC curve", "Validation loss", "Gradient norm", "Learning rate"):
        assert f"<h3>{title}</h3>" in page
    assert "Training of model on manifest.parquet" in page
    assert "These rows chose when to stop and the threshold" in page
    figure = result["validation"]["figures"]["auc"]["value"]
    assert f"{figure:.3f}" in page
    assert len(list((run / "tensorboard").glob("*/events*"))) == 2
    invoke(*args)  # anew: the log is of this run alone
    assert len(read_log(run / "log.jsonl")) == len(records)


def test_a_service_is_checked_before_the_training(
    tiny: Tiny, tmp_path: Path, options: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ["train", tiny.manifest_path, "-o", tmp_path / "model", *options]
    result = invoke(*args, "--track", "mlflow", expect=2)
    assert "cannot track with 'mlflow'; allowed: tensorboard, trackio, wandb" in result.stderr
    monkeypatch.setitem(sys.modules, "wandb", None)
    result = invoke(*args, "--track", "wandb", expect=1)
    assert "needs the package 'wandb': pip install 'workzone[wandb]'" in result.stderr


def test_find_lr_proposes_a_rate_and_makes_no_model(
    tiny: Tiny, tmp_path: Path, options: list[object]
) -> None:
    args = ["train", tiny.manifest_path, "-o", tmp_path / "model", *options, "--find-lr"]
    result = invoke(*args)
    told = json.loads((tmp_path / "model.learning-rate.json").read_text())
    assert 1e-6 < told["proposed"] < 1
    said = " ".join(result.stdout.split())
    assert f"-o {tmp_path / 'model'} optimizer.learning_rate={told['proposed']:g}" in said
    assert (tmp_path / "model.learning-rate.png").exists()
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "model.run").exists()
    again = json.loads(invoke(*args, "--json").stdout)
    assert again["picture"] == str(tmp_path / "model.learning-rate.png")
    assert {name: again[name] for name in told} == told


def test_the_printed_settings_are_those_that_would_train(tmp_path: Path) -> None:
    """Preset, file, command line and seed, without a manifest and without an output folder."""
    (tmp_path / "config.yaml").write_text(
        "epochs: 5\nbatch: 16\noptimizer: {learning_rate: 1e-4}\n"
    )
    asked = ["--preset", "phase2", "--config", tmp_path / "config.yaml", "--seed", "7"]
    printed = invoke("train", "--print-config", *asked, "batch=8", "detector.dropout=0.25").stdout
    (tmp_path / "printed.yaml").write_text(printed)
    settings = read_yaml(TrainConfig, tmp_path / "printed.yaml")
    chosen = preset("phase2")
    assert (settings.seed, settings.epochs, settings.batch) == (7, 5, 8)
    assert settings.optimizer.name == "sophia"
    assert settings.optimizer.learning_rate == 1e-4
    assert settings.detector == dataclasses.replace(chosen.detector, dropout=0.25)
    assert settings.test_time == TestTimeConfig(copies=4, keep=0.5)
    lines = printed.splitlines()
    assert lines[0].endswith("--backbone lite0 --size 224 --config THIS_FILE")
    assert lines[lines.index("schedule:") - 1] == "# How the learning rate goes."
    assert "  warmup: null" in lines  # defaults are spelled out


def test_mistakes_of_preset_file_and_command_line_come_together(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("epoch: 5\noptimizer: {nam: lion}\nbatch: 0\n")
    said = invoke(
        *("train", "--print-config", "--preset", "phase4", "--config", tmp_path / "config.yaml"),
        *("schedule.name=cosin", "ema=2", "patience"),
        expect=2,
    ).stderr
    assert "unknown preset 'phase4'; did you mean 'phase" in said
    assert "'patience' is no setting; write KEY=VALUE" in said
    only_values = invoke(
        *("train", "--print-config", "--config", tmp_path / "config.yaml"),
        *("schedule.name=cosin", "ema=2"),
        expect=2,
    ).stderr
    assert "config.yaml and the command line:" in only_values
    for mistake in (
        "epoch: unknown key; did you mean 'epochs'?",
        "optimizer.nam: unknown key; did you mean 'name'?",
        "schedule.name: 'cosin' is not known; did you mean 'cosine'?",
        "batch=0, allowed: 1 to 1000000",
        "ema=2.0, allowed: 0.0 to 0.999999",
    ):
        assert mistake in only_values


def test_train_without_a_manifest_says_how_to_call_it(tmp_path: Path) -> None:
    said = invoke("train", "-o", tmp_path / "model", expect=2).stderr
    assert "MANIFEST is missing; write: workzone train MANIFEST -o MODEL" in said


@pytest.mark.parametrize("name", ["phase1", "phase3"])
def test_a_phase_goes_with_any_backbone(
    tiny: Tiny, tmp_path: Path, options: list[object], name: str
) -> None:
    args = ["train", tiny.manifest_path, "-o", tmp_path / "model", "--preset", name]
    small = ["detector.projection=32", "detector.encoder.width=32", "detector.encoder.depth=1"]
    small += ["detector.encoder.heads=4", "detector.head=[16]", "epochs=2", "compile=false"]
    invoke(*args, *small, "--backbone", "lite0", "--pooling", "mean", *options)
    description = json.loads((tmp_path / "model" / "bundle.json").read_text())
    assert description["features"]["pooling"] == "mean"
    assert description["detector"]["width"] == 1280  # of these features, not the preset's
    assert description["provenance"]["training"]["schedule"]["name"] == "cosine"
    assert bool(description["detector"]["encoder"]["experts"]) == (name == "phase3")


def test_a_search_writes_settings_that_train(
    tiny: Tiny, tmp_path: Path, options: list[object]
) -> None:
    (tmp_path / "space.yaml").write_text(
        "optimizer.learning_rate: {low: 1e-3, high: 1e-1, log: true}\nema: {choices: [0.0, 0.9]}\n"
    )
    folder = tmp_path / "search"
    args = ["tune", tiny.manifest_path, "-o", folder, "--space", tmp_path / "space.yaml"]
    said = invoke(*args, "--trials", 2, "epochs=2", *options).stdout
    assert "The best of 2 trials (0 given up early), by cross-entropy" in " ".join(said.split())
    assert {p.name for p in folder.glob("*.*")} >= {"history.png", "slices.png", "best.yaml"}
    told = json.loads(invoke(*args, "--trials", 3, "epochs=2", "--json", *options).stdout)
    assert len(told["trials"]) == 3
    best = told["trials"][told["best"]]
    text = (folder / "best.yaml").read_text()
    assert f"# trial {best['number']} of 3: cross-entropy {best['value']:.4f}" in text
    settings = read_yaml(TrainConfig, folder / "best.yaml")
    assert settings.epochs == 2
    assert settings.optimizer.learning_rate == best["values"]["optimizer.learning_rate"]
    told_train = said.partition("train with `workzone ")[2].partition("`")[0]
    model = tmp_path / "model"
    words = [str(model) if word == "MODEL" else word for word in shlex.split(told_train)]
    assert "--layout" in words  # not what the file can hold
    invoke(*words, "--store", tiny.store, "--precision", "float32")
    assert (model / "bundle.json").exists()


def test_trunks_take_each_others_views_and_tails_nothing_else() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("config", "seed", "size", "pooling", "layout"))
    for name, other in (("dense2", "lite0-trunk"), ("dense", "lite2-trunk")):
        chosen = choose(preset=name, changes=[], backbone=other, **nothing)
        assert (chosen.layout, chosen.pooling) == (preset("dense").layout, "mean")
    for backbone in ("lite2", "timm:vit_tiny_patch16_224"):  # the second has a trunk's width
        with pytest.raises(
            UsageError, match=f"goes on from lite0-road-trunk or .* not from {backbone}"
        ):
            choose(preset="dense2", changes=[], backbone=backbone, **nothing)
    kept = ["detector.cells.tail=false"]
    assert choose(preset="dense2", changes=kept, backbone="lite2", **nothing).layout is None


def test_a_search_tells_which_views_to_train_with() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("config", "seed", "backbone", "size", "pooling"))
    dense = choose(preset="dense", changes=[], layout=None, **nothing)
    assert options_beside(dense, "dense") == "--preset dense --size 512 --pooling mean"
    own = choose(preset=None, changes=[], layout=Path("own.yaml"), **nothing)
    assert options_beside(own, None) == "--backbone lite0 --layout own.yaml"
