"""Training settings from a preset, a file and the command line, for the commands that take them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workzone.train.settings import TrainConfig
    from workzone.views import ViewLayout

ChangesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings that win over preset and file, as optimizer.name=lion.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(help="YAML file with training settings; see --print-config."),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        help="Backbone, size, pooling, detector and how it is trained by one name; `workzone "
        "models` lists them. Options and the file win."
    ),
]
SeedOption = Annotated[int | None, typer.Option(help="Seed; overrides the file's.")]
TestOption = Annotated[
    str, typer.Option("--test", help="The split to leave alone: test, or one of the folds.")
]


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What a preset, a file and the command line come to."""

    settings: TrainConfig
    backbone: str
    size: int | None
    pooling: str | None
    layout: ViewLayout | None  # the preset's; None: nothing is said of it
    layout_file: Path | None  # what --layout named


def choose(
    *,
    preset: str | None,
    config: Path | None,
    changes: Sequence[str],
    seed: int | None,
    backbone: str | None,
    size: int | None,
    pooling: str | None,
    layout: Path | None,
) -> Chosen:
    """Later ones win: the preset, the file, settings on the command line, the seed.

    A preset's views and pooling go with its backbone; they are left out with another one (but for
    the trunks of the embedded backbones, which take each other's), and the views where a layout is
    given.

    Raises:
        UsageError: all mistakes of preset, file and command line at once, and a tail on a backbone
            that it does not go on from.
    """
    from workzone.backbones.names import VARIANTS
    from workzone.cli.options import DEFAULT_BACKBONE
    from workzone.config import from_mapping, merged, overrides, read_tree
    from workzone.errors import UsageError
    from workzone.model.presets import preset as preset_by_name
    from workzone.train.settings import TrainConfig

    trunks = {variant.trunk for variant in VARIANTS}
    mistakes: list[str] = []
    tree: dict[str, Any] = {}
    views: ViewLayout | None = None
    if preset is not None:
        try:
            entry = preset_by_name(preset)
            tree = {**entry.training, "detector": dataclasses.asdict(entry.detector)}
            backbone = backbone or entry.backbone
            if backbone == entry.backbone or {backbone, entry.backbone} <= trunks:
                pooling = pooling or entry.pooling
                views = entry.layout if layout is None else None
                size = entry.layout.view_size if size is None and layout is None else size
        except UsageError as error:
            mistakes.append(str(error))
    try:
        tree = tree if config is None else merged(tree, read_tree(config))
    except UsageError as error:
        mistakes.append(str(error))
    try:
        tree = merged(tree, overrides(changes))
    except UsageError as error:
        mistakes.append(str(error))
    if seed is not None:
        tree["seed"] = seed
    places = [str(config)] * (config is not None) + ["the command line"] * bool(changes)
    settings = TrainConfig()
    try:
        settings = from_mapping(TrainConfig, tree, where=" and ".join(places) or "training")
    except UsageError as error:
        mistakes.append(str(error))
    if mistakes:
        raise UsageError("\n".join(mistakes))
    backbone = backbone or DEFAULT_BACKBONE
    cells = settings.detector.cells
    if cells is not None and cells.tail and backbone not in trunks:
        raise UsageError(
            f"cells: the tail goes on from {' or '.join(sorted(trunks))}, not from {backbone}: "
            "name one of those with --backbone, or say detector.cells.tail=false"
        )
    return Chosen(settings, backbone, size, pooling, views, layout)


def default_views(layout: ViewLayout) -> bool:
    """Whether a layout differs from the default in the size of its views alone."""
    from workzone.views import ViewLayout

    return layout == ViewLayout(size=layout.size)


def described(chosen: Chosen, preset: str | None) -> str:
    """The settings as YAML, with what the file cannot hold in a comment on top."""
    from workzone.config import to_yaml

    named = "" if preset is None else f"preset {preset}; "
    top = f"# {named}with this file: {options_beside(chosen, preset)} --config THIS_FILE\n"
    return top + to_yaml(chosen.settings)


def options_beside(chosen: Chosen, preset: str | None) -> str:
    """What the command line has to say beside a file of settings, which cannot: the views."""
    options = [f"--backbone {chosen.backbone}"]
    if chosen.layout is not None and not default_views(chosen.layout):
        options = [f"--preset {preset}"]
    options += [] if chosen.layout_file is None else [f"--layout {chosen.layout_file}"]
    options += [] if chosen.size is None else [f"--size {chosen.size}"]
    options += [] if chosen.pooling is None else [f"--pooling {chosen.pooling}"]
    return " ".join(options)
