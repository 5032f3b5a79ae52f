"""Masks learned from the command line: until they are good, not until the classifier is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cli_invoke import invoke
from made_images import ORANGE, blob_image, sample_of
from workzone.data.manifest import Manifest, write_manifest
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.train.watch.tracking import read_log


def write_blobs(folder: Path) -> Path:
    """Images with an orange blob, a cone by its masks, or a blue one; a manifest of them."""
    samples = []
    for number in range(48):
        split = ("train", "train", "val")[number // 2 % 3]
        label = number % 2
        image = blob_image(number, label)
        image.save(folder / f"{number:02}.png")
        masks = np.zeros((6, image.height, image.width), bool)
        masks[0] = (np.asarray(image) == ORANGE).all(axis=2)
        write_bit_image(masks, folder / f"{number:02}-masks.png")
        sample = sample_of(
            folder / f"{number:02}.png",
            label=label,
            split=split,
            group=f"clip-{number // 2}",
            masks=f"{number:02}-masks.png",
        )
        samples.append(sample)
    write_manifest(Manifest(samples, folder), folder / "manifest.parquet")
    return folder / "manifest.parquet"


def test_drawn_cones_are_learned(tmp_path: Path) -> None:
    manifest = write_blobs(tmp_path)
    layout = tmp_path / "layout.yaml"
    layout.write_text("{size: 160, tiles: 1, squares: []}\n")
    done = invoke(
        *("train", manifest, "-o", tmp_path / "model", "--layout", layout, "--json"),
        *("detector.masks.hidden=16", "detector.glance=null", "batch=8", "epochs=30"),
        *("optimizer.learning_rate=0.01", "patience=4"),
    )
    told = json.loads(done.stdout)
    assert told["mask_iou"]["cone"] > 0.2
    assert told["epochs"] < told["mask_epochs"]  # colours are learned at once, their places later
    records = read_log(tmp_path / "model.run" / "log.jsonl")
    epochs = [r for r in records if r["event"] == "epoch" and r["stage"].startswith("fold")]
    losses = [record["validation_mask_loss"] for record in epochs]
    assert min(losses) == losses[told["mask_epochs"] - 1] < 0.8 * losses[0]
    assert max(record["validation_mask_iou"] for record in epochs) > 0.2
    classes = [record["validation_loss"] for record in epochs]
    assert classes.index(min(classes)) + 1 == told["epochs"] < len(epochs) - 4
    report = (tmp_path / "model.run" / "report.html").read_text()
    assert "Validation loss of masks" in report and "IoU of masks" in report
