"""The command line: every command calls one function of the package."""

from __future__ import annotations

from typing import Annotated

import typer

import workzone
from workzone.cli import (
    bench,
    bulk,
    challenge,
    data,
    data_masks,
    data_track,
    demo,
    doubt,
    drives,
    ensemble,
    evaluate,
    export,
    features,
    map,
    map_compare,
    map_feeds,
    map_serve,
    map_show,
    masks,
    miner,
    models,
    predict,
    pseudo_label,
    publish,
    scenes,
    serve,
    train,
    tune,
    video,
)
from workzone.cli.console import out

app = typer.Typer(
    name="workzone",
    help="Road work in street images: whether it is there, how sure, and where.\n\n"
    "samples -> views -> features -> detector -> probability -> decision",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(workzone.__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""


app.command(epilog=demo.EXAMPLES_DEMO)(demo.demo)
app.command(epilog=predict.EXAMPLES_PREDICT)(predict.predict)
app.command(epilog=bulk.EXAMPLES_BULK)(bulk.bulk)
app.command(epilog=video.EXAMPLES_VIDEO)(video.video)
app.command(epilog=serve.EXAMPLES_SERVE)(serve.serve)
app.command(epilog=drives.EXAMPLES_DRIVES)(drives.drives)
app.command("pseudo-label", epilog=pseudo_label.EXAMPLES_PSEUDO_LABEL)(pseudo_label.pseudo_label)
data.app.command(epilog=doubt.EXAMPLES_DOUBT)(doubt.doubt)
data.app.command(epilog=data_track.EXAMPLES_TRACK)(data_track.track)
data.app.add_typer(data_masks.app, name="masks")
app.add_typer(data.app, name="data")
app.command(epilog=scenes.EXAMPLES_SCENES)(scenes.scenes)
app.command(epilog=scenes.EXAMPLES_COMPOSITES)(scenes.composites)
app.command(epilog=masks.EXAMPLES_MASKS)(masks.masks)
app.command(epilog=features.EXAMPLES_BACKBONES)(features.backbones)
app.add_typer(models.app, name="models")
map.app.command(epilog=map_show.EXAMPLES_SHOW)(map_show.show)
map.app.command(epilog=map_serve.EXAMPLES_SERVE)(map_serve.serve)
map.app.command(epilog=map_feeds.EXAMPLES_EXPORT)(map_feeds.export)
map.app.command(epilog=map_feeds.EXAMPLES_VALIDATE)(map_feeds.validate)
map.app.command(epilog=map_compare.EXAMPLES_COMPARE)(map_compare.compare)
app.add_typer(map.app, name="map")
app.command(epilog=features.EXAMPLES_EXTRACT)(features.extract)
app.command(epilog=train.EXAMPLES_TRAIN)(train.train)
app.command(epilog=tune.EXAMPLES_TUNE)(tune.tune)
app.command(epilog=ensemble.EXAMPLES_ENSEMBLE)(ensemble.ensemble)
app.command(epilog=evaluate.EXAMPLES_EVALUATE)(evaluate.evaluate)
app.command(epilog=export.EXAMPLES_EXPORT)(export.export)
app.command(epilog=bench.EXAMPLES_BENCH)(bench.bench)
app.command(epilog=miner.EXAMPLES_MINER)(miner.miner)
app.command(epilog=challenge.EXAMPLES_CHALLENGE)(challenge.challenge)
app.command(epilog=publish.EXAMPLES_PUBLISH)(publish.publish)


def main() -> None:
    """Run the command line."""
    app()
