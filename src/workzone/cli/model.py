"""Commands that make models: backbones, extract, train."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from workzone.cli.console import FAILED, JsonFlag, command, err, examples, out, print_json

if TYPE_CHECKING:
    from workzone.backbones import Backbone
    from workzone.data.manifest import Manifest
    from workzone.features.spec import FeatureSpec, Precision


class PrecisionChoice(enum.StrEnum):
    """In which precision the backbone computes."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class StoredChoice(enum.StrEnum):
    """In which precision features are stored."""

    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


ManifestArgument = Annotated[
    Path, typer.Argument(help="A manifest, made by `workzone data import`.")
]
BackboneOption = Annotated[
    str, typer.Option(help="Backbone by name; `workzone backbones` lists them.")
]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Local file or folder with the backbone's weights.")
]
SizeOption = Annotated[
    int | None, typer.Option(help="Side of a view in pixels (default: the backbone's own).")
]
LayoutOption = Annotated[
    Path | None,
    typer.Option(help="YAML file with the view layout: size, tiles, overlap, squares, boxes."),
]
PoolingOption = Annotated[
    str | None,
    typer.Option(help="cls, mean, max, cls+mean or mean+max (default: the backbone's own)."),
]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option(help="auto takes bfloat16 where the processor has it and features stay equal."),
]
StoredOption = Annotated[StoredChoice, typer.Option("--store-as", help="Type of stored features.")]
CopiesOption = Annotated[
    int, typer.Option(min=0, help="Augmented copies per image, stored beside the image itself.")
]
AugmentSeedOption = Annotated[int, typer.Option(help="Seed of the augmented copies.")]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Folder of feature stores (default: features/ beside the manifest)."
    ),
]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, mps, ...")]


def _print_config(wanted: bool) -> None:
    if not wanted:
        return
    import dataclasses

    import yaml

    from workzone.train.loop import TrainConfig

    typer.echo(yaml.safe_dump(dataclasses.asdict(TrainConfig()), sort_keys=False), nl=False)
    raise typer.Exit


def _prepare(
    manifest: Manifest,
    backbone: str,
    weights: Path | None,
    size: int | None,
    layout: Path | None,
    pooling: str | None,
    precision: PrecisionChoice,
    stored: StoredChoice,
    augment_seed: int,
    device: str,
    grid_views: tuple[int, ...] = (),
) -> tuple[Backbone, FeatureSpec]:
    import dataclasses

    from workzone.backbones import load_backbone
    from workzone.config import read_yaml
    from workzone.data.augmentation import Augmentation
    from workzone.features.extract import choose_precision, make_spec
    from workzone.run.predictor import move
    from workzone.views import ViewLayout

    network = load_backbone(backbone, weights=weights)
    move(network, device)
    chosen: Precision
    views = read_yaml(ViewLayout, layout) if layout else ViewLayout(size=network.default_size)
    if size is not None:
        views = dataclasses.replace(views, size=size)
    network.check_size(views.size)
    if precision is PrecisionChoice.AUTO:
        chosen, reason = choose_precision(network, manifest, views, pooling)
    else:
        chosen = "bfloat16" if precision is PrecisionChoice.BFLOAT16 else "float32"
        reason = f"{chosen} as asked"
    err.print(f"{network.name}, {views.count} views of {views.size} px; {reason}", style="dim")
    spec = make_spec(
        network,
        layout=views,
        pooling=pooling,
        precision=chosen,
        stored_type=stored.value,
        grid_views=grid_views,
        augmentation=Augmentation(seed=augment_seed),
    )
    return network, spec


def _store_folder(store: Path | None, manifest: Path) -> Path:
    return store or manifest.parent / "features"


EXAMPLES_BACKBONES = examples(
    "workzone backbones",
    "workzone backbones --json",
)


@command
def backbones(as_json: JsonFlag = False) -> None:
    """List the backbones by name, with width, parameters and licence."""
    import dataclasses

    from workzone.backbones import list_backbones

    known = list_backbones()
    if as_json:
        print_json([dataclasses.asdict(info) for info in known])
        return
    columns = [field.name for field in dataclasses.fields(known[0])]
    table = Table(*[column.replace("_", " ") for column in columns], title="Backbones")
    for info in known:
        values = [getattr(info, column) for column in columns]
        table.add_row(*[f"{v:,}" if isinstance(v, int) else str(v) for v in values])
    out.print(table)
    out.print("Anything in timm works too, as timm:NAME.", style="dim")


EXAMPLES_EXTRACT = examples(
    "workzone extract manifest.parquet",
    "workzone extract manifest.parquet --backbone dinov3-vitb16 --weights ./dinov3-vitb16",
    "workzone extract manifest.parquet --copies 4 --grid 0",
)


@command
def extract(
    manifest: ManifestArgument,
    backbone: BackboneOption = "lite0",
    weights: WeightsOption = None,
    size: SizeOption = None,
    layout: LayoutOption = None,
    pooling: PoolingOption = None,
    precision: PrecisionOption = PrecisionChoice.AUTO,
    stored: StoredOption = StoredChoice.FLOAT16,
    copies: CopiesOption = 0,
    augment_seed: AugmentSeedOption = 0,
    grid: Annotated[
        list[int] | None,
        typer.Option(help="Also store the patch grid of this view (0: whole frame); repeatable."),
    ] = None,
    store: StoreOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Extract features of every view of every image, once.

    The store's folder name covers all that changes a feature: backbone, weights, pooling,
    preprocessing, views, augmentation. A stopped extraction goes on where it was; an image that is
    already there is not read again.
    """
    from workzone.data.manifest import read_manifest
    from workzone.features.extract import Extraction

    samples = read_manifest(manifest)
    network, spec = _prepare(
        samples,
        backbone,
        weights,
        size,
        layout,
        pooling,
        precision,
        stored,
        augment_seed,
        device,
        tuple(grid or ()),
    )
    extraction = Extraction(
        samples,
        network,
        spec,
        _store_folder(store, manifest),
        copies=copies,
    )
    estimate = extraction.estimate()
    err.print(str(estimate))
    pending = {job.key for job in extraction.pending()}
    features = extraction.run()
    failed = extraction.failed(features)
    if as_json:
        print_json(
            {
                "store": str(extraction.path),
                "rows": len(features),
                "extracted": len(pending & features.rows.keys()),
                "failed": failed,
            }
        )
        raise typer.Exit(FAILED if len(failed) == len(samples) else 0)
    out.print(f"{len(features):,} rows in {extraction.path}", markup=False, soft_wrap=True)
    for name, reason in failed.items():
        err.print(f"not extracted: {name}: {reason}", style="yellow", markup=False, soft_wrap=True)
    if len(failed) == len(samples):
        raise typer.Exit(FAILED)


EXAMPLES_TRAIN = examples(
    "workzone train manifest.parquet -o model",
    "workzone train folds.parquet -o model --test fold-0 --seed 1",
    "workzone train --print-config > training.yaml",
    "workzone train manifest.parquet -o model --config training.yaml --copies 2",
)


@command
def train(
    manifest: ManifestArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model bundle.")],
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file with training settings; see --print-config."),
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
    seed: Annotated[int | None, typer.Option(help="Seed; overrides the file's.")] = None,
    test: Annotated[
        str, typer.Option(help="The split to leave alone: test, or one of the folds.")
    ] = "test",
    backbone: BackboneOption = "lite0",
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

    from workzone.config import read_yaml
    from workzone.data.manifest import read_manifest
    from workzone.decide.bundle import write_bundle
    from workzone.report.metrics import summarise, to_table
    from workzone.train.job import train as train_job
    from workzone.train.loop import TrainConfig

    settings = read_yaml(TrainConfig, config) if config else TrainConfig()
    if seed is not None:
        settings = dataclasses.replace(settings, seed=seed)
    samples = read_manifest(manifest)
    network, spec = _prepare(
        samples, backbone, weights, size, layout, pooling, precision, stored, augment_seed, device
    )
    trained = train_job(
        samples,
        network,
        spec,
        _store_folder(store, manifest),
        settings,
        copies=copies,
        test_split=test,
    )
    write_bundle(trained.bundle, output)
    rows = trained.fit.validation_rows
    metrics = summarise(
        [trained.samples[row].label for row in rows],
        trained.fit.validation_probabilities,
        [trained.samples[row].group for row in rows],
    )
    if as_json:
        print_json(
            {
                "bundle": str(output),
                "rows": len(trained.samples),
                "epochs": trained.fit.epochs,
                "threshold": dataclasses.asdict(trained.fit.threshold),
                "validation": metrics.to_json(),
            }
        )
        return
    out.print(to_table(metrics, title="Validation rows (they chose the threshold)"))
    out.print(f"threshold: {trained.fit.threshold.reason}", markup=False, soft_wrap=True)
    out.print(
        f"model in {output}; judge it with `workzone evaluate {manifest} --model {output}`",
        markup=False,
        soft_wrap=True,
    )
