"""The command that makes a model: train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from workzone.cli.console import JsonFlag, command, err, examples, out, print_json
from workzone.cli.options import (
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
    from workzone.report.metrics import Metrics
    from workzone.train.judging import Scores


EXAMPLES_TRAIN = examples(
    "workzone train manifest.parquet -o model",
    "workzone train folds.parquet -o model --test fold-0 --seed 1",
    "workzone train --print-config --preset lite epochs=20 > training.yaml",
    "workzone train manifest.parquet -o model --config training.yaml --copies 2",
    "workzone train manifest.parquet -o model --preset base --weights ./dinov3-vitb16",
    "workzone train manifest.parquet -o model detector.glance.keep=6 optimizer.name=lion",
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
    seed: SeedOption = None,
    test: TestOption = "test",
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone by name (default: the preset's, or lite0); see `workzone backbones`."
        ),
    ] = None,
    weights: WeightsOption = None,
    size: SizeOption = None,
    layout: LayoutOption = None,
    pooling: PoolingOption = None,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    stored: StoredOption = StoredChoice.FLOAT16,
    copies: CopiesOption = 0,
    augment_seed: AugmentSeedOption = 0,
    store: StoreOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Train a detector on stored features and write a bundle.

    Features that are missing are extracted first. The `val` split validates; in a manifest of
    folds every fold but --test validates in turn. The threshold is chosen on validation rows.
    """
    import dataclasses

    from workzone.data.manifest import read_manifest
    from workzone.decide.bundle import write_bundle
    from workzone.report.metrics import summarise, to_table
    from workzone.train.job import train as train_job
    from workzone.train.job import without_idle_masks

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
    if print_config:
        typer.echo(described(chosen, preset), nl=False)
        return
    if manifest is None or output is None:
        missing = "MANIFEST" if manifest is None else "-o MODEL"
        raise UsageError(f"{missing} is missing; write: workzone train MANIFEST -o MODEL")
    settings = chosen.settings
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
        augment_seed,
        device,
        grid_views=settings.detector.grid_views,
    )
    trained = train_job(
        samples,
        network,
        spec,
        store_folder(store, manifest),
        settings,
        copies=copies,
        test_split=test,
    )
    write_bundle(trained.bundle, output)
    rows = [trained.samples[row] for row in trained.fit.validation_rows]

    def judged(probabilities: Scores) -> Metrics:
        return summarise([s.label for s in rows], probabilities, [s.group for s in rows])

    metrics = judged(trained.fit.validation_probabilities)
    told = trained.fit.metadata_probabilities
    with_metadata = None if told is None else judged(told)
    masks = trained.fit.mask_iou()
    warnings = trained.bundle.provenance["warnings"]
    if as_json:
        print_json(
            {
                "bundle": str(output),
                "rows": len(trained.samples),
                "epochs": trained.fit.epochs,
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
    out.print(
        f"model in {output}; judge it with `workzone evaluate {manifest} --model {output}`",
        markup=False,
        soft_wrap=True,
    )
