"""The command that judges a model: evaluate."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from workzone.cli.console import JsonFlag, command, err, examples, out, print_json
from workzone.cli.options import (
    AUTO_SHARE,
    DeviceOption,
    LooksOption,
    ManifestArgument,
    ModelOption,
    ShareOption,
    StoredChoice,
    StoreOption,
    TestTimeOption,
    UnsureChoice,
    UnsureOption,
    ViewSizeOption,
    WeightsOption,
    model_folder,
    say_share,
    store_folder,
    with_share,
)
from workzone.errors import UsageError

EXAMPLES_EVALUATE = examples(
    "workzone evaluate manifest.parquet --model model",
    "workzone evaluate folds.parquet --model model --split fold-0 -o fold-0",
    "workzone evaluate manifest.parquet --model model --challenge",
    "workzone evaluate manifest.parquet --model model --tta 4",
    "workzone evaluate manifest.parquet --share auto",
    "workzone evaluate manifest.parquet --unsure warn",
)


@command
def evaluate(
    manifest: ManifestArgument,
    model: ModelOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for report.html and metrics.json.")
    ] = Path("evaluation"),
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Splits to judge on; repeatable "
            "(default: test, or all rows of a manifest without splits)."
        ),
    ] = None,
    image_only: Annotated[
        bool, typer.Option("--image-only", help="Do not judge with the manifest's metadata too.")
    ] = False,
    tta: TestTimeOption = None,
    looks: LooksOption = None,
    size: ViewSizeOption = None,
    share: ShareOption = None,
    unsure: UnsureOption = UnsureChoice.OFF,
    weights: WeightsOption = None,
    store: StoreOption = None,
    device: DeviceOption = "cpu",
    challenge: Annotated[
        bool,
        typer.Option(
            "--challenge",
            help="Also judge the images as NATIX StreetVision (Bittensor subnet 72) would send "
            "them, with the expected reward.",
        ),
    ] = False,
    challenge_seed: Annotated[int, typer.Option(help="Seed of the challenge images.")] = 0,
    stored: Annotated[
        StoredChoice | None,
        typer.Option(
            "--store-as",
            help="Type of the stored features that are read, or made (default: the model's; "
            "float32 takes twice the room of 16 bits and gives the probabilities of predict).",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge a model: figures with intervals, slices, and one self-contained HTML report.

    The image alone is judged first. Of a model that was trained with metadata, a second table
    gives the figures of the same images with those of the manifest.

    With --challenge, each image is cut and distorted at the subnet's four levels; the results are
    kept below the output folder, in challenge/, and taken from there by the next run. Half of the
    subnet's images show road work, so there --share does not count.
    """
    from workzone.data.manifest import read_manifest
    from workzone.decide.bundle import Bundle
    from workzone.decide.models import read_model
    from workzone.decide.share import BALANCED
    from workzone.files import write_text
    from workzone.report.challenge import challenge_table
    from workzone.report.html import write_report
    from workzone.report.metrics import to_table
    from workzone.report.selective import coverage_table, refused_table
    from workzone.run.ensembles import backbones_of, extract_for
    from workzone.run.evaluate import evaluate as evaluate_job
    from workzone.run.evaluate import in_store, with_estimated_share
    from workzone.run.metadata import bundle_text_vectors
    from workzone.run.predictor import Predictor
    from workzone.run.programs import bundle_program
    from workzone.subnet.challenge import judge_challenge, write_challenge

    samples = read_manifest(manifest)
    folder = model_folder(model)
    bundle = with_share(read_model(folder).with_test_time(tta, looks).with_view_size(size), share)
    if stored is not None and not isinstance(bundle, Bundle):
        raise UsageError("--store-as: members of an ensemble have a type each; leave it out")
    if stored is not None:
        spec = dataclasses.replace(bundle.spec, stored_type=stored.value)
        bundle = dataclasses.replace(bundle, spec=spec)
    copies = 0 if bundle.test_time is None else bundle.test_time.copies
    if split or any(sample.split for sample in samples):
        samples = samples.in_split(*(split or ["test"]))
    networks = backbones_of(bundle, weights=weights, device=device)
    stores = store_folder(store, manifest)
    vectors = None if image_only else bundle_text_vectors(bundle, samples, stores / "text")
    features = extract_for(bundle, networks, samples, stores, copies=copies)
    if share == AUTO_SHARE:
        readable = in_store(features, samples)
        bundle = with_estimated_share(bundle, features, readable)
        assert bundle.calibration.share is not None  # it was just estimated
        say_share(bundle.calibration.share, len(readable))
    evaluation = evaluate_job(
        bundle,
        samples,
        features,
        title=f"{folder.name} on {manifest.name}",
        text_vectors=vectors,
        image_only=image_only,
        unsure=unsure.value,
    )
    if isinstance(bundle, Bundle) and bundle.config.masks is not None:
        predictor = Predictor(bundle_program(bundle, networks[0]))
        evaluation = evaluation.with_objects(predictor, samples)
    if challenge:
        images = write_challenge(samples, output / "challenge", seed=challenge_seed)
        features = extract_for(bundle, networks, images, stores, copies=copies)
        even = bundle if share is None else bundle.with_share(BALANCED)  # as the subnet sends them
        judged = judge_challenge(even, images, features, seed=challenge_seed)
        evaluation = evaluation.with_challenge(judged)
    write_report(output / "report.html", evaluation.report)
    text = json.dumps(evaluation.to_json(), indent=2, allow_nan=False)
    write_text(output / "metrics.json", text + "\n")
    if as_json:
        print_json(evaluation.to_json())
        return
    for warning in evaluation.report.warnings:
        line = Text(f"warning: {warning}", "bold red")  # whole: figures are not set off in it
        err.print(line, soft_wrap=True)
    out.print(to_table(evaluation.report.metrics, title="Image only"))
    if evaluation.report.metadata_metrics is not None:
        out.print(to_table(evaluation.report.metadata_metrics, title="With metadata"))
    if evaluation.report.chances is not None:
        out.print(coverage_table(evaluation.report.chances))
        if any(evaluation.report.chances.refused.values()):
            out.print(refused_table(evaluation.report.chances))
    if evaluation.report.challenge is not None:
        out.print(challenge_table(evaluation.report.challenge))
    out.print(f"report: {output / 'report.html'}", markup=False, soft_wrap=True)
