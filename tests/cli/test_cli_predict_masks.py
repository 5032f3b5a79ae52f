"""From images with masks to outlines of objects: train, export, predict --masks."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.test_cli_train_masks import write_blobs
from cli_invoke import invoke
from workzone.data.find_files import OBJECTS_SUFFIX
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.errors import ImageError, WorkzoneError
from workzone.run.images import encoded
from workzone.run.outlining import Outlines, outline_each
from workzone.run.predictor import load
from workzone.run.sources import find_images
from workzone.serve.wire import Order
from workzone.serve.worker import Judge

LAYOUT = "{size: 192, shorter: 128, step: 64, tiles: 0, squares: []}\n"
TRAIN = ("--preset", "masks", "--precision", "float32", "batch=8", "optimizer.learning_rate=0.01")


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blobs")
    (folder / "layout.yaml").write_text(LAYOUT)
    write_blobs(folder)
    return folder


@pytest.fixture(scope="module")
def model(blobs: Path) -> Path:
    """Trained on stored features, levels among them."""
    done = invoke(
        *("train", blobs / "manifest.parquet", "-o", blobs / "model", *TRAIN, "epochs=6", "--json"),
        *("--layout", blobs / "layout.yaml"),
    )
    assert json.loads(done.stdout)["mask_iou"]["cone"] > 0.2
    return blobs / "model"


def test_outlines_and_tables_are_written(blobs: Path, model: Path, tmp_path: Path) -> None:
    images = [blobs / f"{number:02}.png" for number in (1, 3, 2)]
    done = invoke("predict", *images, "--model", model, "--masks", tmp_path / "out")
    assert "1 cone, " in done.stdout and "objects" in done.stdout  # in the table
    assert not list((tmp_path / "out").glob(".*"))  # the journal is gone
    lines = [json.loads(line) for line in (tmp_path / "out/objects.jsonl").read_text().splitlines()]
    assert [Path(line["id"]).name for line in lines] == ["01.png", "03.png", "02.png"]
    assert all(line["evidence"].startswith("1 cone") for line in lines[:2])
    table = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert len(table["images"]) == 3
    assert len(table["annotations"]) == sum(len(line["objects"]) for line in lines)
    features = json.loads((tmp_path / "out" / "pixels.geojson").read_text())["features"]
    assert len(features) == len(table["annotations"])
    pictures = sorted((tmp_path / "out").rglob(f"*{OBJECTS_SUFFIX}"))
    assert len(pictures) == 3
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.width >= 200
    again = invoke("predict", tmp_path / "out", "--model", model, expect=2)
    assert "no image" in again.stderr  # pictures of outlines are none to judge


def test_a_decision_names_its_evidence(blobs: Path, model: Path, tmp_path: Path) -> None:
    options = ("predict", blobs / "01.png", "--model", model, "--masks", tmp_path)
    said = invoke(*options).stdout
    (line,) = (tmp_path / "objects.jsonl").read_text().splitlines()
    evidence = json.loads(line)["evidence"]
    assert evidence.startswith("1 cone")
    assert said.strip().endswith(f"; {evidence}")
    assert json.loads(invoke(*options, "--json").stdout)["evidence"] == evidence
    quiet = invoke("predict", blobs / "01.png", "--model", model)
    assert "cone" not in quiet.stdout  # nobody looked


def written(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_stopped_job_goes_on_where_it_was(blobs: Path, model: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        shutil.copy(blobs / f"{number:02}.png", images)
    (images / "bad.png").write_bytes(b"no image")
    predictor, found = load(model), find_images(images)
    whole = dict(outline_each(predictor, found, tmp_path / "whole"))
    out = tmp_path / "out"
    stopped = outline_each(predictor, found, out)
    for _ in range(2):
        next(stopped)
    stopped.close()
    assert {path.name for path in out.iterdir()} >= {".objects.jsonl.journal", "01.png.objects.jpg"}
    assert not (out / "objects.jsonl").exists()
    with (out / ".objects.jsonl.journal").open("a") as journal:
        journal.write('{"id": "02.png", "pict')  # torn by a power cut
    (out / "01.png.objects.jpg").unlink()  # not whole: done again
    before = (out / "00.png.objects.jpg").stat().st_ino
    again = dict(outline_each(predictor, found, out))
    assert [name for name, one in again.items() if getattr(one, "kept", False)] == ["00.png"]
    assert (out / "00.png.objects.jpg").stat().st_ino == before
    assert isinstance(again["bad.png"], ImageError)
    assert {
        name: dataclasses.replace(one, kept=False)
        for name, one in again.items()
        if isinstance(one, Outlines)
    } == {name: one for name, one in whole.items() if isinstance(one, Outlines)}
    assert written(out) == written(tmp_path / "whole")


def test_a_job_of_another_model_is_not_gone_on_with(
    blobs: Path, model: Path, tmp_path: Path
) -> None:
    found = find_images([blobs / "00.png", blobs / "01.png"])
    begun = outline_each(load(model), found, tmp_path)
    next(begun)
    begun.close()
    with pytest.raises(
        WorkzoneError, match=r"\.objects\.jsonl\.journal is left from another model"
    ):
        list(outline_each(load(model), find_images(blobs / "00.png"), tmp_path))


def test_the_gallery_of_a_report_outlines_objects(blobs: Path, model: Path, tmp_path: Path) -> None:
    manifest = read_manifest(blobs / "manifest.parquet")
    wrong = [dataclasses.replace(s, label=1 - (s.label or 0), split=None) for s in manifest]
    write_manifest(Manifest(wrong[:4], blobs), blobs / "wrong.parquet")
    done = invoke("evaluate", blobs / "wrong.parquet", "--model", model, "-o", tmp_path / "report")
    assert "report:" in done.stdout
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<p>1 cone" in page
    assert 'class="swatch" style="background: rgb(230, 159, 0)"></span> cone,' in page
    assert page.count("data:image/jpeg;base64,") == 4


def test_a_service_finds_the_same_objects(blobs: Path, model: Path) -> None:
    data = (blobs / "01.png").read_bytes()
    choice = {"model": str(model), "engine": None, "precision": None, "weights": None}
    judge = Judge({**choice, "device": "cpu", "size": None, "tta": None, "share": None})
    assert judge.about()["options"] == ["explain", "masks", "unsure"]
    orders = [Order("a", data, masks=True), Order("b", data)]
    with_masks, without = judge.judge(orders, alone=True)
    ((_, expected),) = load(model).outline_stream([("a", data)], lambda d: encoded(d, "a"))
    assert with_masks["objects"] == [dataclasses.asdict(one) for one in expected.objects]
    assert with_masks["objects"] and "objects" not in without
    assert with_masks["probability"] == pytest.approx(without["probability"], abs=1e-5)


def test_a_box_lies_where_the_cone_is(blobs: Path, model: Path, tmp_path: Path) -> None:
    invoke("predict", blobs / "01.png", "--model", model, "--masks", tmp_path)
    (line,) = (tmp_path / "objects.jsonl").read_text().splitlines()
    found = json.loads(line)
    best = max(found["objects"], key=lambda one: one["score"])
    with Image.open(blobs / "01-masks.png") as image:
        rows, columns = np.nonzero(np.asarray(image) & 1)
    x0, y0, x1, y1 = best["box"]
    assert (found["width"], found["height"]) == image.size
    assert x0 - 8 <= columns.mean() <= x1 + 8
    assert y0 - 8 <= rows.mean() <= y1 + 8


def test_an_exported_program_outlines_the_same(blobs: Path, model: Path, tmp_path: Path) -> None:
    invoke(
        "export",
        model,
        "-o",
        tmp_path / "program",
        "--images",
        blobs / "manifest.parquet",
        "--count",
        "8",
    )
    held = json.loads((tmp_path / "program" / "bundle.json").read_text())["program"]
    assert "outliner.onnx" in held["files"]
    assert held["gate"]["mask_difference"] < 1e-3
    both = []
    for folder in (model, tmp_path / "program"):
        out = tmp_path / f"of-{folder.name}"
        invoke("predict", blobs / "03.png", "--model", folder, "--masks", out)
        both.append(json.loads((out / "objects.jsonl").read_text()))
    ours, theirs = both
    assert ours["evidence"] == theirs["evidence"]
    for one, other in zip(ours["objects"], theirs["objects"], strict=True):
        assert one["box"] == pytest.approx(other["box"], abs=0.2)


def test_masks_of_a_model_without_are_refused(blobs: Path, tmp_path: Path) -> None:
    done = invoke("predict", blobs / "01.png", "--masks", tmp_path / "out", expect=2)
    assert "this model has no mask head" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_backbone_learns_masks_from_pixels(blobs: Path, tmp_path: Path) -> None:
    done = invoke(
        *("train", blobs / "manifest.parquet", "-o", tmp_path / "model", *TRAIN, "epochs=1"),
        *("--layout", blobs / "layout.yaml", "fine_tuning.blocks=2", "--json"),
    )
    assert set(json.loads(done.stdout)["mask_iou"]) >= {"cone", "sign"}
    assert (tmp_path / "model" / "backbone.safetensors").exists()
