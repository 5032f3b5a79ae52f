"""Every preset in a tiny form, and every family of DINOv3, as a program that passes the gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache

import pytest

from engine.made_models import (
    METADATA,
    images,
    made_of,
    tiny_convnext,
    tiny_trunk,
    tiny_vit,
)
from engine.shared_graphs import export
from workzone.backbones.base import Backbone
from workzone.backbones.names import SIZES, VARIANTS, ViTSize
from workzone.engine.gate import GateReport
from workzone.model.config import DetectorConfig
from workzone.model.presets import PRESETS, Preset
from workzone.views import ViewLayout

TRUNKS = {variant.trunk: variant for variant in VARIANTS}

Family = str | tuple[tuple[str, object], ...]


def family(name: str) -> Family:
    """What a backbone's tiny form depends on."""
    size = SIZES.get(name)
    if isinstance(size, ViTSize):
        wide = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
        told = size.configuration()
        return tuple((field, value) for field, value in told.items() if field not in wide)
    return name if name in TRUNKS else "convolutions"


def tiny_backbone(kind: Family) -> Backbone:
    """Of a family."""
    if isinstance(kind, tuple):
        return tiny_vit(**dict(kind))
    return tiny_trunk(TRUNKS[kind]) if kind in TRUNKS else tiny_convnext()


def side(kind: Family) -> int:
    """Of a view, in pixels: few cells."""
    return 128 if kind in TRUNKS else 32


def tiny_detector(config: DetectorConfig) -> DetectorConfig:
    """The same parts, each as small as it gets."""
    if not config.encoder.depth:
        return config
    encoder = dataclasses.replace(
        config.encoder, width=32, depth=1, heads=4, kv_heads=2, feed_forward=64, expert_width=16
    )
    return dataclasses.replace(
        config,
        width=0,
        projection=32,
        encoder=encoder,
        head=(16,) if config.head else (),
        masks=config.masks and dataclasses.replace(config.masks, hidden=16, width=0, stride=16),
        metadata=config.metadata and METADATA,
    )


Exporting = Callable[[Family, ViewLayout, DetectorConfig, str | None], GateReport]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    """The gate's report; forms that are alike when tiny are exported once."""

    @lru_cache
    def once(
        kind: Family, layout: ViewLayout, config: DetectorConfig, pooling: str | None
    ) -> GateReport:
        bundle, backbone = made_of(tiny_backbone(kind), layout, config, pooling=pooling)
        folder = tmp_path_factory.mktemp("preset") / "model"
        return export(bundle, backbone, folder, images(bundle)).report

    return once


def parts(preset: Preset) -> set[object]:
    """Each setting of its detector, and its trunk; a test below has DINOv3's families."""
    found: set[object] = {preset.backbone} & TRUNKS.keys()

    def walk(config: object, *path: str) -> None:
        for field in dataclasses.fields(config):  # type: ignore[arg-type]
            value = getattr(config, field.name)
            if dataclasses.is_dataclass(value):
                walk(value, *path, field.name)
            else:
                found.add((*path, field.name, value))

    walk(tiny_detector(preset.detector))
    return found


def covering() -> list[Preset]:
    """Presets that have every part of all."""
    seen: set[object] = set()
    chosen = []
    for preset in PRESETS.values():
        if not parts(preset) <= seen:
            chosen.append(preset)
            seen |= parts(preset)
    return chosen


@pytest.mark.parametrize("preset", covering(), ids=lambda preset: preset.name)
def test_parts_of_every_preset_export_and_pass(preset: Preset, report: Exporting) -> None:
    kind = family(preset.backbone)
    layout = preset.layout.with_view_size(side(kind))
    found = report(kind, layout, tiny_detector(preset.detector), preset.pooling)
    assert (found.images, found.flips) == (12, 0)
    assert found.largest_difference < 1e-4


@pytest.mark.parametrize("name", SIZES)
def test_every_family_exports_and_passes(name: str, report: Exporting) -> None:
    kind = family(name)
    layout = ViewLayout(size=side(kind), tiles=0)
    found = report(kind, layout, DetectorConfig(fusion="mean"), None)
    assert (found.images, found.flips) == (12, 0)
    assert found.largest_difference < 1e-4
