"""The command that makes a model: train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from workzone import progress
from workzone.cli.console import JsonFlag, command, err, examples, out, print_json
from workzone.cli.options import (
    AugmentChoice,
    AugmentOption,
    AugmentSeedOption,
    CopiesOption,
    DeviceOption,
    LayoutOption,
    PoolingOption,
    PrecisionChoice,
    PrecisionOption,
    SizeOption,
    StoredChoice,
    StoredOption,
    StoreOption,
    WeightsOption,
    prepare,
    store_folder,
)
from workzone.cli.settings import (
    ChangesArgument,
    ConfigOption,
    PresetOption,
    SeedOption,
    TestOption,
    choose,
    described,
)
from workzone.errors import UsageError

if TYPE_CHECKING:
    from workzone.backbones.base import Backbone
    from workzone.data.manifest import Manifest
    from workzone.features.spec import FeatureSpec
    from workzone.report.metrics import Metrics
    from workzone.train.judging import Scores
    from workzone.train.settings import TrainConfig


EXAMPLES_TRAIN = examples(
    "workzone train manifest.parquet -o model",
    "workzone train folds.parquet -o model --test fold-0 --seed 1",
    "workzone train --print-config --preset lite epochs=20 > training.yaml",
    "workzone train manifest.parquet -o model --config training.yaml --copies 2",
    "workzone train manifest.parquet -o model --copies 4 --augment challenge",
    "workzone train manifest.parquet -o model --preset base --weights ./dinov3-vitb16",
    "workzone train manifest.parquet -o model detector.glance.keep=6 optimizer.name=lion",
    "workzone train manifest.parquet -o model --from-pixels batch=16",
    "workzone train manifest.parquet -o model fine_tuning.rate=0.1 fine_tuning.layer_decay=0.8",
    "workzone train manifest.parquet -o model --find-lr",
    "workzone train manifest.parquet -o model --track tensorboard",
)


@command
def train(
    manifest: Annotated[
        Path | None, typer.Argument(help="A manifest, made by `workzone data import`.")
    ] = None,
    changes: ChangesArgument = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the model bundle.")
    ] = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            help="Print all settings as YAML, as preset, file and command line leave them, and "
            "stop; needs no manifest.",
        ),
    ] = False,
    from_pixels: Annotated[
        bool,
        typer.Option(
            "--from-pixels",
            help="Train the backbone too: its last blocks by DoRA adapters (settings: adapters.*), "
            "or, with fine_tuning.*, its own weights.",
        ),
    ] = False,
    seed: SeedOption = None,
    test: TestOption = "test",
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone by name (default: the preset's, or lite0), see `workzone backbones`, or "
            "a folder with DINOv3 weights."
        ),
    ] = None,
    weights: WeightsOption = None,
    size: SizeOption = None,
    layout: LayoutOption = None,
    pooling: PoolingOption = None,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    stored: StoredOption = StoredChoice.FLOAT16,
    copies: CopiesOption = 0,
    augment: AugmentOption = AugmentChoice.MILD,
    augment_seed: AugmentSeedOption = 0,
    store: StoreOption = None,
    device: DeviceOption = "cpu",
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr",
            help="Only try learning rates, from tiny to large, and propose one; no model is made.",
        ),
    ] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(
            help="Show the training in tensorboard, trackio or wandb too; repeatable.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop a run that was stopped here; begin anew.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a detector on stored features, or with its backbone from pixels, and write a bundle.

    Features that are missing are extracted first. The `val` split validates; in a manifest of
    folds every fold but --test validates in turn. The threshold is chosen on validation rows.

    OUTPUT.run, beside the bundle, keeps the run: settings, environment, log.jsonl, checkpoints, and
    at the end report.html. After a stop of any kind the same command goes on where it was. Under
    `accelerate launch` several processes train together.

    With --find-lr one short training is run while the learning rate grows; the curve and its
    numbers are written to OUTPUT.learning-rate.png and .json.
    """
    import dataclasses

    from workzone.backbones.adapters import AdapterConfig
    from workzone.data.manifest import read_manifest
    from workzone.decide.bundle import write_bundle
    from workzone.report.metrics import summarise, to_table
    from workzone.run.training_report import write_training_report
    from workzone.train.job import train as train_job
    from workzone.train.job import without_idle_masks
    from workzone.train.processes import processes
    from workzone.train.watch.services import check_services

    together = processes(device)
    if not together.is_main:  # it alone talks
        out.quiet = err.quiet = True
        progress.enabled = False
    if print_config and manifest is not None and "=" in str(manifest):
        changes, manifest = [str(manifest), *(changes or [])], None
    chosen = choose(
        preset=preset,
        config=config,
        changes=changes or [],
        seed=seed,
        backbone=backbone,
        size=size,
        pooling=pooling,
        layout=layout,
    )
    if from_pixels and not chosen.settings.from_pixels:
        adapted = dataclasses.replace(chosen.settings, adapters=AdapterConfig())
        chosen = dataclasses.replace(chosen, settings=adapted)
    if print_config:
        typer.echo(described(chosen, preset), nl=False)
        return
    if manifest is None or output is None:
        missing = "MANIFEST" if manifest is None else "-o MODEL"
        raise UsageError(f"{missing} is missing; write: workzone train MANIFEST -o MODEL")
    settings = chosen.settings
    check_services(track or ())
    samples = read_manifest(manifest)
    asked, settings = settings, without_idle_masks(settings, samples, test_split=test)
    if settings != asked:
        err.print("no row has masks: the mask head is left out", style="dim")
    network, spec = prepare(
        samples,
        chosen.backbone,
        weights,
        chosen.size,
        layout,
        chosen.pooling,
        precision,
        stored,
        augment,
        augment_seed,
        device,
        views=chosen.layout,
        grid_views=settings.detector.grid_views,
        levels=settings.detector.levels,
    )
    learned_from = (samples, network, spec, store_folder(store, manifest), settings)
    if find_lr:
        again = f"workzone train {manifest} -o {output}" + " --from-pixels" * from_pixels
        _find_learning_rate(
            *learned_from, copies, test, output=output, again=again, as_json=as_json
        )
        return
    trained = train_job(
        *learned_from,
        copies=copies,
        test_split=test,
        run_folder=output.with_name(f"{output.name}.run"),
        restart=restart,
        services=track or (),
        together=together,
    )
    if not together.is_main:
        return
    write_bundle(trained.bundle, output)
    assert trained.folder is not None
    rows = [trained.samples[row] for row in trained.fit.validation_rows]

    def judged(probabilities: Scores) -> Metrics:
        return summarise([s.label for s in rows], probabilities, [s.group for s in rows])

    metrics = judged(trained.fit.validation_probabilities)
    told = trained.fit.metadata_probabilities
    with_metadata = None if told is None else judged(told)
    report = trained.folder.path / "report.html"
    write_training_report(
        report,
        trained,
        samples,
        metrics,
        log=trained.folder.log,
        title=f"Training of {output.name} on {manifest.name}",
        metadata_metrics=with_metadata,
    )
    trained.folder.finish()
    masks = trained.fit.mask_iou()
    warnings = trained.bundle.provenance["warnings"]
    if as_json:
        print_json(
            {
                "bundle": str(output),
                "report": str(report),
                "rows": len(trained.samples),
                "epochs": trained.fit.epochs,
                "mask_epochs": trained.fit.mask_epochs,
                "threshold": dataclasses.asdict(trained.fit.threshold),
                "validation": metrics.to_json(),
                "validation_with_metadata": with_metadata and with_metadata.to_json(),
                "mask_iou": masks,
                "warnings": warnings,
            }
        )
        return
    for warning in warnings:
        err.print(Text(f"warning: {warning}", "bold red"), soft_wrap=True)
    out.print(to_table(metrics, title="Validation rows (they chose the threshold)"))
    if with_metadata is not None:
        out.print(to_table(with_metadata, title="The same rows with their metadata"))
    if masks is not None:
        shown = ", ".join(f"{name} {'-' if v is None else f'{v:.2f}'}" for name, v in masks.items())
        out.print(f"masks, intersection over union on these rows: {shown}", soft_wrap=True)
    out.print(f"threshold: {trained.fit.threshold.reason}", markup=False, soft_wrap=True)
    out.print(f"report: {report}", markup=False, soft_wrap=True)
    out.print(
        f"model in {output}; judge it with `workzone evaluate {manifest} --model {output}`",
        markup=False,
        soft_wrap=True,
    )


def _find_learning_rate(
    manifest: Manifest,
    network: Backbone,
    spec: FeatureSpec,
    folder: Path,
    settings: TrainConfig,
    copies: int,
    test: str,
    *,
    output: Path,
    again: str,
    as_json: bool,
) -> None:
    """Run the range test on what the first fold's training would learn from, and tell of it."""
    import numpy as np

    from workzone.train.job import begin_session
    from workzone.train.job import prepare as prepare_job
    from workzone.train.search.range_test import range_test, write_range_test

    prepared = prepare_job(
        manifest, network, spec, folder, settings, copies=copies, test_split=test
    )
    examples = prepared.taught(settings, manifest.root, folder, network.device)
    rows = np.arange(len(examples))
    for fold in prepared.validation_folds[:1]:
        rows = examples.all_but(fold)
    session = begin_session(network, spec, settings)
    result = range_test(examples, rows, settings, session)
    picture = output.with_name(f"{output.name}.learning-rate.png")
    write_range_test(result, picture)
    if as_json:
        print_json(result.to_json() | {"picture": str(picture)})
        return
    table = Table(title=f"Learning rates tried: {len(result.rates)} steps")
    table.add_column("")
    table.add_column("rate", justify="right")
    table.add_row("where the loss falls fastest (proposed)", f"{result.proposed:g}")
    table.add_row("a tenth of where it is lowest, as a check", f"{result.lowest / 10:.1e}")
    table.add_row("where it is lowest", f"{result.lowest:.1e}")
    table.add_row(
        "where it diverged" if result.diverged else "highest tried; it did not diverge",
        f"{result.rates[-1]:.1e}",
    )
    out.print(table)
    out.print(f"curve: {picture}", markup=False, soft_wrap=True)
    out.print(
        f"train with it: {again} optimizer.learning_rate={result.proposed:g}",
        markup=False,
        soft_wrap=True,
    )
