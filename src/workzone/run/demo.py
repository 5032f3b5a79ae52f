"""The main job, end to end, on photographs or on drawn scenes."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.text import Text

from workzone.backbones.registry import load_backbone
from workzone.data.audit import audit
from workzone.data.importing import import_source
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.data.preview import contact_sheet
from workzone.data.prints import fingerprints
from workzone.data.splits import split_manifest
from workzone.decide.bundle import read_bundle, write_bundle
from workzone.errors import UsageError
from workzone.features.extract import Extraction, make_spec
from workzone.files import write_text, writing
from workzone.report.html import write_report
from workzone.report.metrics import to_table
from workzone.run.evaluate import evaluate
from workzone.run.predictor import Predictor
from workzone.run.programs import bundle_program
from workzone.scenes import write_scenes
from workzone.train.job import train
from workzone.train.settings import TrainConfig

EXPLAINED = 4
"""Test images that get an overlay."""


def run_demo(
    output: Path, *, photos: Path | None, count: int, seed: int, say: Callable[[Any], None]
) -> None:
    """Import, audit, split, extract, train, evaluate and predict; everything goes to ``output``.

    Args:
        output: folder; what an earlier demo left there is replaced, stored features are reused.
        photos: folder with ``labels.csv`` (file, label, group); None: scenes are drawn.
        count: scenes to draw.
        seed: of scenes, split and training.
        say: prints a line as it is (paths and findings may hold brackets), a styled line or a
            table.

    Raises:
        UsageError: no ``labels.csv`` in ``photos``.
    """
    if photos is not None and not (photos / "labels.csv").is_file():
        raise UsageError(
            f"{photos / 'labels.csv'} does not exist: give a folder with labels.csv "
            "(file, label, group) and photographs"
        )
    started = time.monotonic()

    def step(title: str) -> None:
        seconds = f"  ({time.monotonic() - started:.0f} s)"
        say(Text.assemble("\n", (f"== {title}", "bold"), (seconds, "dim")))

    output.mkdir(parents=True, exist_ok=True)
    if photos is None:
        step(f"drawing {count} street scenes, half of them with road work")
        source = write_scenes(output / "scenes", count=count, seed=seed)
        manifest = read_manifest(source)
        manifest = _beside(manifest, source.parent, output)
        write_manifest(manifest, output / "manifest.parquet")
    else:
        step(f"importing the photographs of {photos}")
        summary = import_source(str(photos / "labels.csv"), output / "manifest.parquet")
        say(
            f"{summary.rows_kept} of {summary.rows_read} rows imported; "
            f"left out: {summary.quarantine}"
        )
    manifest = read_manifest(output / "manifest.parquet")

    step("auditing: unreadable images, duplicates, leaks")
    seen = fingerprints(manifest)
    findings = audit(manifest, seen=seen)
    write_text(output / "audit.json", json.dumps(findings.to_json(), indent=2) + "\n")
    for problem in findings.problems:
        say(f"- {problem}")
    say(findings.verdict)

    step("splitting by group, place and looks, and drawing a contact sheet")
    manifest, proof = split_manifest(
        manifest,
        proportions={"train": 0.6, "val": 0.2, "test": 0.2},
        seed=seed,
        seen=seen,
    )
    write_manifest(manifest, output / "split.parquet")
    contact_sheet(manifest, output / "preview.png", seed=seed)
    for part in proof.splits:
        say(f"{part.name:>6}: {part.rows} images, {part.positives} with road work")
    say("proved: " + (", ".join(proof.problems) or "no group, place or image on both sides"))

    step("extracting features of 12 views with the embedded backbone, and training")
    backbone = load_backbone("lite0")
    trained = train(
        manifest,
        backbone,
        make_spec(backbone, grid_views=(0,)),
        output / "features",
        TrainConfig(seed=seed),
    )
    write_bundle(trained.bundle, output / "model")
    say(f"threshold: {trained.fit.threshold.reason}")

    step("evaluating on the test split")
    bundle = read_bundle(output / "model")
    test = manifest.in_split("test")
    store = Extraction(test, backbone, bundle.spec, output / "features").run()
    evaluation = evaluate(bundle, test, store, title="workzone demo")
    write_report(output / "report.html", evaluation.report)
    say(to_table(evaluation.report.metrics, title="Test split, image only"))

    step("predicting, with overlays that show where")
    predictor = Predictor(bundle_program(bundle, backbone))
    names = bundle.spec.layout.names()
    positives = [s for s in test if s.label == 1][: EXPLAINED // 2]
    negatives = [s for s in test if s.label == 0][: EXPLAINED // 2]
    for sample in positives + negatives:
        prediction, overlay = predictor.explain(test.root / sample.image.path)
        target = output / "overlays" / (Path(sample.image.path).stem + ".jpg")
        with writing(target) as aside:
            overlay.save(aside, format="JPEG", quality=90)
        say(
            f"{Path(sample.image.path).name}: label {sample.label}, "
            f"{prediction.decision} {prediction.probability:.2f}, "
            f"most of it from the {names[prediction.view]}"
        )
    say(Text.assemble("\n", ("done", "bold green"), f" in {time.monotonic() - started:.0f} s"))
    say(
        f"report:   {output / 'report.html'}\n"
        f"overlays: {output / 'overlays'}\n"
        f"score your own photograph: workzone predict photo.jpg --model {output / 'model'} "
        "--explain overlays"
    )
    if photos is None:
        warning = (
            "This model learned from drawings alone: it shows how the tool works, not what it can "
            "do on your streets."
        )
        say(Text(warning, style="yellow"))


def _beside(manifest: Manifest, old_root: Path, new_root: Path) -> Manifest:
    """The same manifest with paths that start at another folder above the old one."""
    prefix = old_root.relative_to(new_root)

    def moved(path: str | None) -> str | None:
        return None if path is None else str(prefix / path)

    samples = [
        dataclasses.replace(
            s,
            image=dataclasses.replace(s.image, path=str(prefix / s.image.path)),
            masks=moved(s.masks),
        )
        for s in manifest
    ]
    return dataclasses.replace(manifest, samples=samples, root=new_root)
