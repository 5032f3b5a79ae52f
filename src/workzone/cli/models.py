"""The commands of models: what presets cost, averages, and what a model learned from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from workzone.cli.console import JsonFlag, command, err, examples, out, print_json
from workzone.cli.options import StoreOption, WeightsOption, store_folder
from workzone.errors import UsageError, nearest

if TYPE_CHECKING:
    from workzone.model.costs import Cost
    from workzone.model.presets import Preset

EXAMPLES_SHOW = examples(
    "workzone models",
    "workzone models show huge > huge.yaml",
    "workzone models --json",
)
EXAMPLES_FAMILIARISE = examples("workzone models familiarise model --data manifest.parquet")
EXAMPLES_LOOKS = examples("workzone models looks model --data unseen.parquet -o looking")
EXAMPLES_AVERAGE = examples("workzone models average seed-0 seed-1 seed-2 -o averaged")


class _ShowUnlessNamed(TyperGroup):
    """`workzone models` and `workzone models NAME` show presets, without a command's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name in front where none of the commands is named."""
        named = bool(args) and args[0] in {*self.commands, "--help"}
        return super().parse_args(ctx, args if named else ["show", *args])


app = typer.Typer(
    cls=_ShowUnlessNamed,
    help="List presets with what they cost (`show`, which need not be named), or average models.",
    rich_markup_mode="rich",
)


@app.command(epilog=EXAMPLES_SHOW)
@command
def show(
    name: Annotated[
        str | None, typer.Argument(help="A preset: print its configuration instead of the table.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the presets with what they cost, counted and not measured.

    With a name, that preset's detector is printed as YAML for `workzone train --config`, its
    figures and the options of `workzone train` beside it.
    """
    from workzone.model.costs import preset_costs
    from workzone.model.presets import PRESETS, preset

    if name is not None and name not in PRESETS:
        known = nearest(name, (*PRESETS, "average"))
        raise UsageError(f"unknown preset or command {name!r}; {known}")
    chosen = list(PRESETS.values()) if name is None else [preset(name)]
    costs = preset_costs()
    counted = [(entry, costs[entry.name]) for entry in chosen]
    if as_json:
        rows = [_to_json(entry, cost) for entry, cost in counted]
        print_json(rows if name is None else rows[0])
    elif name is None:
        out.print(_table(counted))
    else:
        typer.echo(_configuration(*counted[0]), nl=False)


@app.command(epilog=EXAMPLES_AVERAGE)
@command
def average(
    models: Annotated[list[Path], typer.Argument(help="Two bundles or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the new bundle.")],
    weights: WeightsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Average the weights of several models: one model, as fast as each of them.

    All must be of one configuration, and see images alike. They should be tuned from the same
    weights, as those of several seeds are: layers that began at random mean nothing on average.

    The calibration is that of the first; judge the result with `workzone evaluate`.
    """
    from workzone.decide.average import average as average_bundles
    from workzone.decide.bundle import read_bundle, write_bundle

    _check_distinct(models, output)
    bundle = average_bundles({str(path): read_bundle(path) for path in models}, weights=weights)
    write_bundle(bundle, output)
    (*_, warning) = bundle.provenance["warnings"]
    if as_json:
        print_json(
            {"bundle": str(output), "averaged": list(map(str, models)), "warnings": [warning]}
        )
        return
    err.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    out.print(f"mean of {len(models)} models in {output}", markup=False, soft_wrap=True)


@app.command(epilog=EXAMPLES_FAMILIARISE)
@command
def familiarise(
    model: Annotated[Path, typer.Argument(help="A bundle, an ensemble, or an exported program.")],
    data: Annotated[Path, typer.Option(help="A manifest of images that it learned from.")],
    rate: Annotated[
        float,
        typer.Option(help="Share of images like these that may be taken for unlike, 0 to 1."),
    ] = 0.05,
    weights: WeightsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Give a model statistics of what it learned from, by which it tells what is unlike all of it.

    Models made by `workzone train` have them, unless they were trained from pixels. What is in the
    folder already is replaced. The probabilities stay what they were.
    """
    from workzone.data.manifest import read_manifest
    from workzone.decide.bundle_json import check_model
    from workzone.decide.familiarity import familiarity_json
    from workzone.run.familiarise import add_familiarity, familiarity_of
    from workzone.run.predictor import load

    check_model(model)  # a folder, and no name of a model within workzone
    found = familiarity_of(load(model, weights=weights), read_manifest(data), rate=rate)
    add_familiarity(model, found)
    if as_json:
        print_json({"model": str(model), "familiarity": familiarity_json(found)})
        return
    out.print(
        f"{model} knows what it learned from: {found.rows:,} images of {found.groups:,} groups; "
        f"{found.rate:.1%} of those held back were beyond the cut",
        markup=False,
        soft_wrap=True,
    )


@app.command(epilog=EXAMPLES_LOOKS)
@command
def looks(
    model: Annotated[Path, typer.Argument(help="A bundle with statistics of its training.")],
    data: Annotated[Path, typer.Option(help="A manifest of images that it did not learn from.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the new bundle.")],
    copies: Annotated[int, typer.Option(min=1, max=64, help="Beside the image itself.")] = 15,
    margin: Annotated[
        float,
        typer.Option(min=0, help="Log-odds by which the first 4 looks decide alone; 0: never."),
    ] = 0.0,
    store: StoreOption = None,
    weights: WeightsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Have a model look at augmented copies too, weighed by how familiar they are.

    The nearest 80 % to what it learned from are averaged, the image itself always among them; how
    much nearer ones weigh is found on images that it did not learn from. `workzone models
    familiarise` gives a bundle the statistics for it.
    """
    from workzone.data.manifest import read_manifest
    from workzone.decide.bundle import read_bundle, write_bundle
    from workzone.run.fit_looks import fit_looks

    _check_distinct([model], output)
    made, images = fit_looks(
        *(read_bundle(model), read_manifest(data), store_folder(store, data)),
        copies=copies,
        margin=margin,
        weights=weights,
    )
    write_bundle(made, output)
    assert made.test_time is not None
    if as_json:
        told = dataclasses.asdict(made.test_time)
        print_json({"bundle": str(output), "images": images, "test_time": told})
        return
    out.print(
        f"temperature {made.test_time.temperature:.2f}, from {images:,} images; model in {output}",
        markup=False,
        soft_wrap=True,
    )


def _check_distinct(models: list[Path], output: Path) -> None:
    """Raises: UsageError."""
    places = [path.resolve() for path in models]
    twice = [str(path) for path in models if places.count(path.resolve()) > 1]
    if twice:
        raise UsageError(f"a model is named twice: {', '.join(twice)}")
    if output.resolve() in places:
        raise UsageError(f"{output} is one of the models themselves: name another folder with -o")


def _to_json(entry: Preset, cost: Cost) -> dict[str, Any]:
    figures = dataclasses.asdict(cost) | {"predict_memory": cost.predict_memory}
    return dataclasses.asdict(entry) | {"cost": figures}


def _table(counted: list[tuple[Preset, Cost]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))  # 80 columns will do
    for column in ("name", "backbone", "views"):
        table.add_column(column, no_wrap=True)
    for column in ("width", "trained\nM", "frozen\nM", "GFLOP\n", "predict\nGB", "train\nGB"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry, cost in counted:
        table.add_row(
            entry.name,
            entry.backbone,
            _views(entry),
            str(entry.detector.width),
            f"{cost.trainable_parameters / 1e6:,.2f}",
            f"{cost.frozen_parameters / 1e6:,.1f}",
            f"{cost.flops / 1e9:,.1f}" if cost.flops < 1e12 else f"{cost.flops / 1e9:,.0f}",
            f"{cost.predict_memory / 1e9:.2f}",
            f"{cost.train_step / 1e9:.2f}",
        )
    return table


def _configuration(entry: Preset, cost: Cost) -> str:
    """YAML that `workzone train` takes; all that it cannot hold is said in comments."""
    import yaml

    from workzone.model.costs import TRAINING_BATCH

    comments = (
        f"{entry.name}: {entry.summary}",
        f"parameters: {cost.trainable_parameters:,} trainable, {cost.frozen_parameters:,} frozen",
        f"operations: {cost.flops / 1e9:,.1f} GFLOP for an image (views {_views(entry)} px), "
        f"{cost.backbone_flops / 1e9:,.1f} of them in the backbone",
        f"weights: {_gigabytes(cost.weights_float32)} in float32, "
        f"{_gigabytes(cost.weights_bfloat16)} in bfloat16",
        f"memory: {_gigabytes(cost.predict_memory)} to predict an image, "
        f"{_gigabytes(cost.train_step)} for a training step of {TRAINING_BATCH} images on stored "
        "features",
        f"workzone train MANIFEST -o MODEL --preset {entry.name}",
        f"or with this file: workzone train MANIFEST -o MODEL {_options(entry)} --config THIS_FILE",
    )
    tree = dict(entry.training) | {"detector": dataclasses.asdict(entry.detector)}
    lines = "".join(f"# {comment}\n" for comment in comments)
    return lines + str(yaml.safe_dump(tree, sort_keys=False))


def _views(entry: Preset) -> str:
    from workzone.model.costs import views_read
    from workzone.views import USUAL_FRAME

    if entry.layout.shorter:
        height, width = entry.layout.shape(*USUAL_FRAME)
        return f"{width}x{height}"
    read, views = views_read(entry), entry.layout.count
    return f"{views if read == views else f'{read}/{views}'}x{entry.layout.size}"


def _options(entry: Preset) -> str:
    pooling = "" if entry.pooling is None else f" --pooling {entry.pooling}"
    from workzone.cli.settings import default_views

    if not default_views(entry.layout):
        return f"--preset {entry.name}"  # which a file cannot hold
    return f"--backbone {entry.backbone} --size {entry.layout.view_size}{pooling}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
