from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from cli_invoke import invoke
from natix_fixture import make_natix
from trained import Tiny
from workzone.cli.options import AugmentChoice
from workzone.data.augmentation import RECIPES
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.train.settings import TrainConfig

LAYOUT = "size: 96\ntiles: 2\noverlap: 0.0\nsquares: []\n"
"""That of the shared bundle: its stored features serve here too."""


def parsed(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("layout") / "layout.yaml"
    path.write_text(LAYOUT)
    return path


def quick(tiny: Tiny, layout: Path) -> list[object]:
    """The options that find the features of the shared fixture."""
    return ["--layout", layout, "--store", tiny.store, "--precision", "float32"]


def test_backbones_are_listed() -> None:
    text = invoke("backbones").stdout
    assert "lite0" in text
    assert "Apache-2.0" in text
    assert "timm:NAME" in text
    by_name = {row["name"]: row for row in parsed(invoke("backbones", "--json"))}
    assert by_name["lite0"]["width"] == 1280
    assert by_name["dinov3-vitb16"]["width"] == 768


def test_extract_says_what_it_will_take_and_where_it_went(
    tiny: Tiny, layout: Path, tmp_path: Path
) -> None:
    options = ["--layout", layout, "--store", tmp_path, "--precision", "float32"]
    first = invoke("extract", tiny.manifest_path, *options)
    assert "60 rows to extract (0 already stored)" in first.stderr
    assert "5 views of 96 px; float32 as asked" in first.stderr
    assert f"60 rows in {tmp_path}/lite0-" in first.stdout
    again = parsed(invoke("extract", tiny.manifest_path, *options, "--json"))
    assert again["rows"] == 60
    assert again["extracted"] == 0
    assert again["failed"] == {}
    assert Path(again["store"]).is_dir()


def test_extract_names_images_that_cannot_be_read(tiny: Tiny, layout: Path, tmp_path: Path) -> None:
    few = tiny.manifest.with_samples(list(tiny.manifest)[:3])
    for sample in few:
        shutil.copy(tiny.root / sample.image.path, tmp_path)
    (tmp_path / "01.png").write_bytes(b"changed")
    write_manifest(few, tmp_path / "manifest.parquet")
    result = invoke(
        *("extract", tmp_path / "manifest.parquet", "--layout", layout, "--precision", "float32")
    )
    assert "2 rows in " in result.stdout
    assert "not extracted: 01: 01.png: its bytes changed since it was imported" in result.stderr
    assert (tmp_path / "features").is_dir()  # beside the manifest


def test_train_and_evaluate(tiny: Tiny, layout: Path, tmp_path: Path) -> None:
    settings = tmp_path / "training.yaml"
    settings.write_text("epochs: 20\noptimizer: {learning_rate: 2e-3}\n")
    model = tmp_path / "model"
    trained = invoke(
        *("train", tiny.manifest_path, "-o", model, "--config", settings, "--seed", 3),
        *quick(tiny, layout),
    )
    assert "Validation rows (they chose the threshold)" in trained.stdout
    assert "threshold: 0.5 is kept: 7 rows with road work" in trained.stdout
    assert f"workzone evaluate {tiny.manifest_path} --model {model}" in trained.stdout
    described = json.loads((model / "bundle.json").read_text())
    assert described["provenance"]["training"]["seed"] == 3
    assert described["provenance"]["training"]["epochs"] == 20
    assert described["provenance"]["training"]["optimizer"]["learning_rate"] == 0.002

    folder = tmp_path / "report"
    judged = invoke(
        *("evaluate", tiny.manifest_path, "--model", model, "-o", folder, "--store", tiny.store)
    )
    assert "Image only" in judged.stdout
    assert f"report: {folder}/report.html" in judged.stdout
    assert "warning: Only 7 images with road work" in judged.stderr
    assert (folder / "report.html").stat().st_size > 10_000
    figures = json.loads((folder / "metrics.json").read_text())
    assert figures["manifest"]["images"] == 14  # the test split
    assert figures["image_only"]["figures"]["auc"]["value"] > 0.8


def test_json_is_all_that_is_printed(tiny: Tiny, layout: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    trained = parsed(
        invoke("train", tiny.manifest_path, "-o", model, "--json", *quick(tiny, layout))
    )
    assert trained["bundle"] == str(model)
    assert trained["rows"] == 46
    assert trained["threshold"]["guarded"] is True
    judged = parsed(
        invoke(
            *("evaluate", tiny.manifest_path, "--model", model, "-o", tmp_path / "report"),
            *("--store", tiny.store, "--split", "val", "--split", "test", "--json"),
        )
    )
    assert judged["manifest"]["images"] == 28
    assert judged["manifest"]["splits"] == {"val": 14, "test": 14}
    assert "14 of 28 images were in training or validation" in judged["warnings"][0]


def test_settings_can_be_printed_edited_and_read(tiny: Tiny, layout: Path, tmp_path: Path) -> None:
    printed = invoke("train", "--print-config").stdout
    assert yaml.safe_load(printed) == json.loads(json.dumps(dataclasses.asdict(TrainConfig())))
    (tmp_path / "training.yaml").write_text(printed.replace("epochs: 60", "epochs: 1"))
    invoke(
        *("train", tiny.manifest_path, "-o", tmp_path / "model"),
        *("--config", tmp_path / "training.yaml", *quick(tiny, layout)),
    )
    described = json.loads((tmp_path / "model" / "bundle.json").read_text())
    assert described["provenance"]["training"]["epochs"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["extract", "gone.parquet"], 1, "no manifest at gone.parquet; make one with"),
        (["train", "gone.parquet", "-o", "m"], 1, "no manifest at gone.parquet"),
        (["evaluate", "gone.parquet", "--model", "m"], 1, "no manifest at gone.parquet"),
        (["extract", "{manifest}", "--backbone", "lit0"], 2, "did you mean 'lite0'?"),
        (["extract", "{manifest}", "--size", "50"], 2, "the nearest are 32 and 64"),
        (["extract", "{manifest}", "--pooling", "cls"], 2, "needs a class token"),
        (["extract", "{manifest}", "--device", "gpu"], 2, "cannot use the device 'gpu'"),
        (["extract", "{manifest}", "--layout", "{typo}"], 2, "did you mean 'tiles'?"),
        (["extract", "{manifest}", "--copies", "-1"], 2, "--copies"),
        (["extract", "{manifest}", "--augment", "chalenge"], 2, "'challenge'"),
        (["train", "{manifest}", "-o", "m", "augment.mixup=-1"], 2, "mixup=-1.0, allowed: 0.0 to"),
        (["train", "{manifest}", "-o", "m", "--config", "{typo}"], 2, "tils: unknown key"),
        (["train", "{manifest}", "-o", "m", "--test", "tset"], 2, "did you mean 'test'?"),
        (
            ["train", "{manifest}"],
            2,
            "-o MODEL is missing; write: workzone train",
        ),
        (["evaluate", "{manifest}", "--model", "{root}"], 1, "no model bundle at"),
        (["evaluate", "{manifest}", "--model", "{model}", "--split", "tset"], 2, "mean 'test'?"),
        (["evaluate", "{manifest}", "--model", "{model}", "--device", "gpu"], 2, "device 'gpu'"),
        (["extract", "{manifest}", "--colour"], 2, "No such option"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    tiny: Tiny,
    layout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "typo.yaml").write_text("tils: 3\n")
    names = {
        "manifest": tiny.manifest_path,
        "typo": tmp_path / "typo.yaml",
        "layout": layout,
        "root": tmp_path,
        "model": tiny.bundle,
    }
    monkeypatch.chdir(tmp_path)
    result = invoke(*[argument.format(**names) for argument in arguments], expect=code)
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_extract_makes_copies_by_the_recipe_that_is_named(
    tiny: Tiny, layout: Path, tmp_path: Path
) -> None:
    few = tiny.manifest.with_samples(list(tiny.manifest)[:2])
    for sample in few:
        shutil.copy(tiny.root / sample.image.path, tmp_path)
    path = tmp_path / "two.parquet"
    write_manifest(few, path)
    told = parsed(
        invoke(
            *("extract", path, "--layout", layout, "--store", tmp_path / "features", "--json"),
            *("--copies", "2", "--augment", "challenge", "--augment-seed", "3"),
        )
    )
    assert told["rows"] == 6
    spec = json.loads((Path(told["store"]) / "spec.json").read_text())
    assert spec["augmentation"]["recipe"] == "challenge"
    assert spec["augmentation"]["seed"] == 3


def test_every_recipe_can_be_named() -> None:
    assert tuple(AugmentChoice) == RECIPES


@pytest.mark.parametrize("name", ["backbones", "extract", "train", "evaluate"])
def test_help_teaches_with_an_example(name: str) -> None:
    text = invoke(name, "--help").stdout
    assert "Examples" in text
    assert f"workzone {name}" in text


def test_natix_from_the_download_to_predictions(layout: Path, tmp_path: Path) -> None:
    """The main job on the columns most users have, leaks and gaps included."""
    source = make_natix(tmp_path / "natix", train=72, test=24)
    manifest, split = tmp_path / "manifest.parquet", tmp_path / "split.parquet"
    imported = parsed(invoke("data", "import", source, "-o", manifest, "--kind", "natix", "--json"))
    assert imported["rows_kept"] == imported["rows_read"] == 96

    audit = parsed(invoke("data", "audit", manifest, "--json"))
    leaks = {leak["column"] for leak in audit["leaks"] if leak["verdict"] == "leak"}
    assert any("scene_description" in name or name == "text" for name in leaks)
    assert any("travel_alteration" in name for name in leaks)
    problems = " ".join(audit["problems"])
    assert "scene_description" in problems
    assert "travel_alteration" in problems

    proof = parsed(invoke("data", "split", manifest, "-o", split, "--json"))
    assert proof["problems"] == []
    counts = {part["name"]: part["rows"] for part in proof["splits"]}
    assert sum(counts.values()) == 96

    options = ["--layout", layout, "--precision", "float32"]
    extracted = parsed(invoke("extract", split, *options, "--json"))
    assert extracted["extracted"] == 96
    model = tmp_path / "model"
    trained = parsed(invoke("train", split, "-o", model, *options, "--json"))
    assert trained["rows"] == counts["train"] + counts["val"]
    judged = parsed(invoke("evaluate", split, "-m", model, "-o", tmp_path / "report", "--json"))
    assert judged["manifest"]["images"] == counts["test"]
    assert judged["image_only"]["figures"]["auc"]["value"] > 0.8
    assert judged["model"]["provenance"]["inputs"] == "image only"
    assert not any("training or validation" in warning for warning in judged["warnings"])

    scores = tmp_path / "scores.csv"
    summary = parsed(invoke("predict", split, "-m", model, "-o", scores, "--json"))
    assert summary["scored"] == 96
    with scores.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    labels = {s.id: s.label for s in read_manifest(split)}
    right = sum((row["decision"] == "roadwork") == bool(labels[row["id"]]) for row in rows)
    assert right > 0.85 * 96


def test_a_split_of_a_manifest_without_splits_is_the_manifests_fault(
    tiny: Tiny, tmp_path: Path
) -> None:
    samples = [dataclasses.replace(sample, split=None) for sample in tiny.manifest]
    write_manifest(Manifest(samples, tiny.root), tmp_path / "unsplit.parquet")
    arguments = ("evaluate", tmp_path / "unsplit.parquet", "--model", tiny.bundle)
    result = invoke(*arguments, "--split", "test", expect=1)
    message = "no sample is in split test; this manifest has no splits. Make them with `workzone"
    assert message in " ".join(result.stderr.split())
