"""The command that searches for training settings: tune."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import (
    AugmentChoice,
    AugmentOption,
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
from workzone.cli.settings import (
    ChangesArgument,
    ConfigOption,
    PresetOption,
    SeedOption,
    TestOption,
    choose,
    described,
    options_beside,
)

if TYPE_CHECKING:
    from workzone.train.search.study import Tried


class MetricChoice(enum.StrEnum):
    """What a trial is judged by."""

    CROSS_ENTROPY = "cross-entropy"
    MCC = "mcc"


EXAMPLES_TUNE = examples(
    "workzone tune manifest.parquet -o search",
    "workzone tune manifest.parquet -o search --trials 200 --metric mcc",
    "workzone tune manifest.parquet -o search --space space.yaml epochs=30",
    "workzone train manifest.parquet -o model --config search/best.yaml",
)


@command
def tune(
    manifest: ManifestArgument,
    changes: ChangesArgument = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the search.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials, earlier runs' among them.")] = 50,
    metric: Annotated[
        MetricChoice, typer.Option(help="What a trial is judged by, on validation rows.")
    ] = MetricChoice.CROSS_ENTROPY,
    space: Annotated[
        Path | None,
        typer.Option(help="YAML file with what to search instead of the default space."),
    ] = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
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
    as_json: JsonFlag = False,
) -> None:
    """Search for good training settings, on stored features.

    Each trial is trained on the validation folds and judged on rows it never saw; the test split
    is never looked at. A stopped search goes on with the same command. At the end there are a
    table, history.png, slices.png and best.yaml for `workzone train --config`.
    """
    from workzone.config import read_tree
    from workzone.data.manifest import read_manifest
    from workzone.files import write_text
    from workzone.report.search import draw_history, draw_slices, search_table
    from workzone.train.job import prepare as prepare_job
    from workzone.train.job import without_idle_masks
    from workzone.train.search.space import default_space, read_space
    from workzone.train.search.study import (
        best_of,
        check_optuna,
        refuse_pixels,
        search,
        settings_of,
    )

    check_optuna()
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
    refuse_pixels(chosen.settings)
    searched = None if space is None else read_space(read_tree(space), where=str(space))
    samples = read_manifest(manifest)
    settings = without_idle_masks(chosen.settings, samples, test_split=test)
    searched = searched or default_space(settings)
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
    prepared = prepare_job(
        samples,
        network,
        spec,
        store_folder(store, manifest),
        settings,
        copies=copies,
        test_split=test,
    )
    tried = search(
        prepared.examples,
        prepared.validation_folds,
        settings,
        output,
        space=searched,
        metric=metric.value,
        trials=trials,
    )
    best = best_of(tried, metric.value)[0]
    found = settings_of(settings, best.values, where="best.yaml")
    top = (
        f"# trial {best.number} of {len(tried)}: {metric.value} {best.value:.4f} on validation "
        "rows, which chose it\n"
    )
    text = described(dataclasses.replace(chosen, settings=found), preset)
    write_text(output / "best.yaml", top + text)
    draw_history(tried, metric.value, output / "history.png")
    draw_slices(tried, metric.value, searched, output / "slices.png")
    if as_json:
        print_json({"trials": [_plain(trial) for trial in tried], "best": best.number})
        return
    out.print(search_table(tried, metric.value))
    out.print(
        f"best.yaml, history.png and slices.png in {output}; train with `workzone train {manifest} "
        f"-o MODEL {options_beside(chosen, preset)} --config {output / 'best.yaml'}`",
        markup=False,
        soft_wrap=True,
    )


def _plain(trial: Tried) -> dict[str, object]:
    return dataclasses.asdict(trial)
