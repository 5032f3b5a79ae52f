"""The command that makes a model: train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from workzone.cli.console import JsonFlag, command, err, examples, out, print_json
from workzone.cli.options import (
    DEFAULT_BACKBONE,
    AugmentSeedOption,
    CopiesOption,
    DeviceOption,
    LayoutOption,
    ManifestArgument,
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

if TYPE_CHECKING:
    from workzone.report.metrics import Metrics
    from workzone.train.judging import Scores


def _print_config(wanted: bool) -> None:
    if not wanted:
        return
    import dataclasses

    import yaml

    from workzone.train.settings import TrainConfig

    typer.echo(yaml.safe_dump(dataclasses.asdict(TrainConfig()), sort_keys=False), nl=False)
    raise typer.Exit


EXAMPLES_TRAIN = examples(
    "workzone train manifest.parquet -o model",
    "workzone train folds.parquet -o model --test fold-0 --seed 1",
    "workzone train --print-config > training.yaml",
    "workzone train manifest.parquet -o model --config training.yaml --copies 2",
    "workzone train manifest.parquet -o model --preset base --weights ./dinov3-vitb16",
    "workzone train manifest.parquet -o model detector.glance.keep=6 optimizer.name=lion",
    "workzone train manifest.parquet -o model --from-pixels batch=16",
)


@command
def train(
    manifest: ManifestArgument,
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings that win over preset and file, as optimizer.name=lion.",
        ),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model bundle.")],
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file with training settings; see --print-config."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Backbone, size, pooling, detector and how it is trained by one name; `workzone "
            "models` lists them. Options and the file win."
        ),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            callback=_print_config,
            is_eager=True,
            help="Print the default settings as YAML and stop.",
        ),
    ] = False,
    from_pixels: Annotated[
        bool,
        typer.Option(
            "--from-pixels",
            help="Train the backbone's last blocks too, by DoRA adapters; settings: adapters.*.",
        ),
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed; overrides the file's.")] = None,
    test: Annotated[
        str, typer.Option(help="The split to leave alone: test, or one of the folds.")
    ] = "test",
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
    """Train a detector on stored features, or with its backbone from pixels, and write a bundle.

    Features that are missing are extracted first. The `val` split validates; in a manifest of
    folds every fold but --test validates in turn. The threshold is chosen on validation rows.
    """
    import dataclasses

    from workzone.config import from_mapping, merged, overrides, read_tree
    from workzone.data.manifest import read_manifest
    from workzone.decide.bundle import write_bundle
    from workzone.model.presets import preset as preset_by_name
    from workzone.report.metrics import summarise, to_table
    from workzone.train.job import train as train_job
    from workzone.train.job import without_idle_masks
    from workzone.train.settings import TrainConfig

    tree: dict[str, Any] = {}
    if preset is not None:
        chosen = preset_by_name(preset)
        tree = {**chosen.training, "detector": dataclasses.asdict(chosen.detector)}
        backbone = backbone or chosen.backbone
        if backbone == chosen.backbone:  # size and pooling go with it
            pooling = pooling or chosen.pooling
            size = chosen.layout.size if size is None and layout is None else size
    if config is not None:
        tree = merged(tree, read_tree(config))
    where = "training" if config is None else str(config)
    tree = merged(tree, overrides(changes or []))
    if from_pixels:
        tree["adapters"] = tree.get("adapters") or {}
    settings = from_mapping(TrainConfig, tree, where=where)
    if seed is not None:
        settings = dataclasses.replace(settings, seed=seed)
    samples = read_manifest(manifest)
    asked, settings = settings, without_idle_masks(settings, samples, test_split=test)
    if settings != asked:
        err.print("no row has masks: the mask head is left out", style="dim")
    network, spec = prepare(
        samples,
        backbone or DEFAULT_BACKBONE,
        weights,
        size,
        layout,
        pooling,
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
