"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from workzone.cli.console import err

if TYPE_CHECKING:
    from workzone.backbones.base import Backbone
    from workzone.data.manifest import Manifest
    from workzone.decide.description import Description
    from workzone.features.spec import FeatureSpec, Precision
    from workzone.views import ViewLayout


class PrecisionChoice(enum.StrEnum):
    """In which precision the backbone computes."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class StoredChoice(enum.StrEnum):
    """In which precision features are stored."""

    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


class AugmentChoice(enum.StrEnum):
    """How augmented copies differ from their image."""

    MILD = "mild"
    TRIVIAL = "trivial"
    RAND = "rand"
    CHALLENGE = "challenge"
    VARIED = "varied"


class UnsureChoice(enum.StrEnum):
    """What is made of reasons for doubt."""

    OFF = "off"
    WARN = "warn"
    ABSTAIN = "abstain"


DEFAULT_BACKBONE = "lite0"

WalletOption = Annotated[str, typer.Option(help="Name of the bittensor wallet.")]
HotkeyOption = Annotated[str, typer.Option(help="Name of its hotkey.")]
WalletsOption = Annotated[
    Path | None, typer.Option(help="Folder of wallets (default: ~/.bittensor/wallets).")
]

ManifestArgument = Annotated[
    Path, typer.Argument(help="A manifest, made by `workzone data import`.")
]
BackboneOption = Annotated[
    str,
    typer.Option(
        help="Backbone by name, see `workzone backbones`, or a folder with DINOv3 weights."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Processes that judge (default: one per core, on a GPU one).")
]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Local file or folder with the backbone's weights.")
]
SizeOption = Annotated[
    int | None, typer.Option(help="Shorter side of a view in pixels (default: the backbone's own).")
]
LayoutOption = Annotated[
    Path | None,
    typer.Option(
        help="YAML file with the view layout: size, tiles, overlap, squares, boxes, shorter."
    ),
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
AugmentOption = Annotated[
    AugmentChoice,
    typer.Option(
        help="How copies differ: crop, flip and light; TrivialAugment; RandAugment; as the subnet "
        "sends images; or the first and the last of these in turn."
    ),
]
AugmentSeedOption = Annotated[int, typer.Option(help="Seed of the augmented copies.")]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Folder of feature stores (default: features/ beside the manifest)."
    ),
]
TestTimeOption = Annotated[
    int | None,
    typer.Option(
        "--tta",
        min=0,
        metavar="COPIES",
        help="Predict on so many augmented copies too and average the surest half; 0: not at all "
        "(default: as the model was trained to).",
    ),
]
UnsureOption = Annotated[
    UnsureChoice,
    typer.Option(
        help="What is made of reasons for doubt, as of a picture that is unlike all that the model "
        "learned from: off looks for none, warn tells them, abstain decides `unsure`."
    ),
]
ImageOnlyFlag = Annotated[
    bool,
    typer.Option(
        "--image-only",
        help="Do not use the manifest's metadata, with a model that was trained with such.",
    ),
]
LooksOption = Annotated[
    str | None,
    typer.Option(
        "--looks",
        metavar="WHICH",
        help="Which looks of --tta decide: all alike, the surest half, or the familiar ones, "
        "nearest to what it learned from (default: as the model was trained to, or surest).",
    ),
]
ViewSizeOption = Annotated[
    int | None,
    typer.Option(
        "--size",
        min=1,
        metavar="PIXELS",
        help="Shorter side of the views, for dense models: 384 is faster, 768 sees smaller things "
        "(default: what the model was trained on).",
    ),
]
ShareOption = Annotated[
    str | None,
    typer.Option(
        "--share",
        metavar="SHARE",
        help="Share of road work where the images come from, such as 0.02, or auto: estimated from "
        "all of these images (default: what the model was calibrated for).",
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        help="Folder of the model: a bundle, or to predict an exported program; or the name of one "
        "within workzone (default: lite).",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(help="cpu, cuda, mps, ...; of a model exported for onnx: cpu, cuda, tensorrt."),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        help="onnx, openvino or torch (default: torch for a bundle, for an exported model the one "
        "it was exported for)."
    ),
]
EnginePrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="float32, bfloat16, int8 or int8-bfloat16, in which it computes; int8-weights or "
        "nf4-weights: a vision transformer's weights alone (default: the model's own, or of an "
        "exported model bfloat16 on openvino, where it passed in that too).",
    ),
]


def prepare(
    manifest: Manifest,
    backbone: str,
    weights: Path | None,
    size: int | None,
    layout: Path | None,
    pooling: str | None,
    precision: PrecisionChoice,
    stored: StoredChoice,
    augment: AugmentChoice,
    augment_seed: int,
    device: str,
    *,
    views: ViewLayout | None = None,
    grid_views: Callable[[ViewLayout], tuple[int, ...]],
    levels: Sequence[int] = (),
) -> tuple[Backbone, FeatureSpec]:
    """The backbone that the options name, and the spec of its features.

    ``views`` are those of a preset, taken where no layout is named; ``levels`` those of the
    backbone whose maps are stored too.
    """
    from workzone.backbones.registry import load_backbone
    from workzone.config import read_yaml
    from workzone.data.augmentation import Augmentation
    from workzone.features.extract import choose_precision, make_spec
    from workzone.run.backbone import move
    from workzone.views import ViewLayout

    network = load_backbone(backbone, weights=weights)
    move(network, device)
    chosen: Precision
    if layout is not None:
        views = read_yaml(ViewLayout, layout)
    views = views or ViewLayout(size=network.default_size)
    if size is not None:
        views = views.with_view_size(size)
    network.check_size(views.size)
    if precision is PrecisionChoice.AUTO:
        chosen, reason = choose_precision(network, manifest, views, pooling)
    else:
        chosen = "bfloat16" if precision is PrecisionChoice.BFLOAT16 else "float32"
        reason = f"{chosen} as asked"
    err.print(f"{network.name}, {views.told()}; {reason}", style="dim")
    spec = make_spec(
        network,
        layout=views,
        pooling=pooling,
        precision=chosen,
        stored_type=stored.value,
        grid_views=grid_views(views),
        levels=levels,
        augmentation=Augmentation(seed=augment_seed, recipe=augment.value),
    )
    return network, spec


def model_folder(model: Path | None) -> Path:
    """The bundle that ``--model`` names, or one within workzone, which is then said.

    Raises:
        BundleError: this copy of workzone lacks it.
    """
    from workzone.decide.bundle_json import shipped_bundle, shipped_name

    say_shipped(model)
    name = shipped_name(model)
    if name is not None:
        return shipped_bundle(name)
    assert model is not None
    return model


def say_shipped(model: Path | None) -> None:
    """Tell which model is taken where ``--model`` names no folder."""
    from workzone.decide.bundle_json import shipped_name

    name = shipped_name(model)
    if name is not None:
        err.print(f"model: {name}, which comes with workzone (--model names another)")


AUTO_SHARE = "auto"

Described = TypeVar("Described", bound="Description")


def with_share(model: Described, share: str | None) -> Described:
    """The model for the share that ``--share`` names; for balanced classes, if it is to be found.

    Raises:
        UsageError: neither a number above 0 and below 1 nor ``auto``.
    """
    from workzone.decide.share import BALANCED
    from workzone.errors import UsageError

    if share is None:
        return model
    if share == AUTO_SHARE:
        return model.with_share(BALANCED)
    try:
        number = float(share)
    except ValueError:
        raise UsageError(
            f"--share {share!r}: give the share of images with road work as a number, such as "
            f"0.02, or {AUTO_SHARE!r} to estimate it from the images"
        ) from None
    return model.with_share(number)


def say_share(share: float, images: int) -> None:
    """Tell what was estimated."""
    err.print(f"road work in {share:.1%} of {images:,} images, estimated", style="dim")


def store_folder(store: Path | None, manifest: Path) -> Path:
    """Where feature stores lie: beside the manifest, if nothing else is said."""
    return store or manifest.parent / "features"


def say_doubts(description: Description, unsure: UnsureChoice) -> None:
    """Say of a model that is asked for doubts that it has no statistics to tell one by."""
    note = description.doubt_note() if unsure != UnsureChoice.OFF else ""
    if note:
        err.print(note, style="yellow", markup=False, soft_wrap=True)
