"""Presets: that they are the ones promised, fit their backbones, and learn at their true size."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from made_images import blob_image, sample_of
from workzone.backbones.base import Backbone, pool, pooled_width, run
from workzone.backbones.dinov3 import DINOv3ViT
from workzone.data.images import decode_pixels
from workzone.data.manifest import Manifest
from workzone.errors import UsageError
from workzone.features.extract import Extraction, make_spec
from workzone.model.cost import meta_backbone
from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.model.make import make_detector
from workzone.model.masks.loss import mask_loss
from workzone.model.metadata.batch import no_metadata
from workzone.model.presets import PRESETS, preset
from workzone.train.settings import TrainConfig
from workzone.types import BackboneOutput, DetectorOutput
from workzone.views import make_views, view_boxes

backbone_of = lru_cache(meta_backbone)


def test_the_names_are_the_known_ones() -> None:
    plain = ("lite", "small", "base", "large", "huge")
    others = ("dense", "dense2", "dense-224", "masks", "phase1", "phase2", "phase3")
    assert set(PRESETS) == {*others, *plain, *(f"{name}-moe" for name in plain)}
    assert all(preset(name).name == name for name in PRESETS)
    with pytest.raises(UsageError, match=r"unknown preset 'hugh'; did you mean 'huge'\? allowed:"):
        preset("hugh")


def test_lite_is_the_default_detector() -> None:
    lite = preset("lite")
    assert lite.backbone == "lite0"
    default = TrainConfig().detector
    assert (
        default.sized(width=2560, grid_width=1280, grid_size=(7, 7), view_size=224) == lite.detector
    )
    assert not lite.training


def test_huge_is_the_reference() -> None:
    huge = preset("huge")
    assert (huge.layout.size, huge.layout.count) == (512, 12)
    with torch.device("meta"):
        shapes = {
            name: tuple(w.shape) for name, w in make_detector(huge.detector).named_parameters()
        }
    assert shapes["projection.weight"] == (512, 1280)
    assert sum(name.endswith("attention.q_proj.weight") for name in shapes) == 4
    assert shapes["encoder.blocks.3.attention.q_proj.weight"] == (512, 512)
    assert shapes["encoder.blocks.3.attention.k_proj.weight"] == (128, 512)
    assert shapes["encoder.blocks.3.attention.gate_proj.weight"] == (512, 512)
    heads = [shape for name, shape in shapes.items() if name.startswith("head.") and len(shape) > 1]
    assert heads == [(512, 512 + 704), (256, 512), (2, 256)]
    assert huge.detector.pruner is not None
    assert huge.detector.pruner.keep == 8
    assert huge.detector.dropout == 0.1


def test_huge_has_the_frozen_parameters_of_the_published_weights() -> None:
    assert backbone_of("dinov3-vith16plus").parameter_count == 840_592_640


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fits_its_backbone_and_runs(name: str) -> None:
    entry = preset(name)
    backbone = backbone_of(entry.backbone)
    pooling = entry.pooling or backbone.default_pooling
    assert entry.detector.width == pooled_width(backbone, pooling)
    grid_size = backbone.grid_size(entry.layout.size)
    with torch.device("meta"):
        detector = make_detector(entry.detector).eval()
        features = torch.empty(3, entry.layout.count, entry.detector.width)
        boxes = torch.empty(3, entry.layout.count, 4)
        views = (entry.layout.count,) if entry.detector.needs_all_grids else ()
        grid = torch.empty(3, *views, grid_size[0] * grid_size[1], backbone.width)
        sides = {n: entry.layout.size // backbone.level_stride(n) for n in entry.detector.levels}
        levels = {n: torch.empty(3, backbone.level_widths[n], s, s) for n, s in sides.items()}
    given = DetectorInput(
        features=features,
        boxes=None if levels else boxes,  # which tell frames' shapes, and have no values here
        grid=grid,
        grid_size=grid_size,
        levels=levels or None,
    )
    output = detector.run(given)
    assert output.logits.shape == (3, 2)
    assert output.view_weights.shape == (3, entry.layout.count)
    if entry.detector.masks is not None:
        quarter = entry.layout.size // 4
        assert output.masks.shape == (3, 6, quarter, quarter)


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-moe")])
def test_experts_cost_a_token_as_much_as_the_dense_layer(name: str) -> None:
    encoder = preset(name).detector.encoder
    assert (encoder.experts, encoder.experts_per_token) == (4, 2)
    assert encoder.experts_per_token * encoder.expert_width == encoder.feed_forward


def tiny_backbone() -> Backbone:
    """Of the true class and width, with two small layers and random weights."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(
        hidden_size=1280,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=20,
        use_gated_mlp=True,
        hidden_act="silu",
        num_register_tokens=4,
    )
    return DINOv3ViT(DINOv3ViTModel(config), "tiny")


@dataclasses.dataclass
class Step:
    """Two images with all that a detector can learn from."""

    detector: Detector
    inputs: dict[str, Any]

    def loss(self) -> torch.Tensor:
        """With the same dropout and the same exploration at every call."""
        torch.manual_seed(3)
        output: DetectorOutput = self.detector(**self.inputs)
        masks = output.masks
        assert masks is not None
        assert output.balance_loss is not None
        targets = (torch.arange(masks.numel()).view_as(masks) % 3 == 0).float()
        return (
            F.cross_entropy(output.logits, torch.tensor([0, 1]))
            + 0.01 * output.balance_loss
            + mask_loss(masks, targets, row_mask=torch.tensor([True, False]))
        )


def step_of(name: str) -> Step:
    torch.manual_seed(0)
    backbone, entry = tiny_backbone(), preset(name)
    pixels = torch.randint(0, 256, (2 * 12, 3, 64, 64), dtype=torch.uint8)
    output = run(backbone, pixels)
    assert entry.pooling == "cls"
    features = pool(output, entry.pooling).view(2, 12, 1280)
    assert entry.detector.metadata is not None
    known = dataclasses.replace(
        entry.detector.metadata,
        weather_values=("rain",),
        daytime_values=("night",),
        scene_values=("city",),
        field_dropout=0.0,  # every field is to be seen
        drop_all=0.0,
    )
    detector = Detector(dataclasses.replace(entry.detector, metadata=known)).train()
    detector.fit_scaler(features)
    metadata = no_metadata(2, known)
    metadata.position[0] = torch.tensor([0.6, 0.0, 0.8])
    metadata.text[0] = F.normalize(torch.randn(known.text), dim=0)
    metadata.has_position[0] = metadata.has_text[0] = True
    for column in (metadata.weather, metadata.daytime, metadata.scene):
        column.copy_(torch.tensor([2, 1]))  # the known category; one that training never saw
    boxes = torch.from_numpy(view_boxes(entry.layout, 1280, 720)).expand(2, 12, 4)
    grid = output.grid.view(2, 12, *output.grid.shape[1:])[:, 0]
    inputs = {"features": features, "boxes": boxes, "metadata": metadata}
    return Step(detector, {**inputs, "grid": grid, "grid_size": output.grid_size})


@pytest.mark.parametrize("name", ["huge", "huge-moe"])
def test_the_reference_takes_real_steps_at_its_true_size(name: str) -> None:
    step = step_of(name)
    weights = dict(step.detector.named_parameters())
    with torch.device("meta"):
        true_size = sum(w.numel() for w in make_detector(preset(name).detector).parameters())
    assert sum(w.numel() for w in weights.values()) == true_size + 3 * 64  # a category per field
    optimizer = torch.optim.AdamW(step.detector.parameters(), lr=1e-3)
    learning: set[str] = set()
    losses = []
    for _ in range(3):  # layers that start at zero pass a gradient on from the step after next
        optimizer.zero_grad()
        loss = step.loss()
        loss.backward()
        losses.append(loss.item())
        without = [name for name, weight in weights.items() if weight.grad is None]
        assert without == []  # nothing in the reference is unused
        grads = {name: w.grad for name, w in weights.items() if w.grad is not None}
        assert [name for name, grad in grads.items() if not grad.isfinite().all()] == []
        learning |= {name for name, grad in grads.items() if grad.any()}
        optimizer.step()
    # An expert that no token chose has a gradient of zero.
    assert {name for name in weights.keys() - learning if ".experts." not in name} == set()
    assert losses[1] < losses[0]


@pytest.mark.parametrize("name", ["lite", "lite-moe"])
def test_stored_features_and_pixels_give_the_same(
    name: str, lite0: Backbone, tmp_path: Path
) -> None:
    entry = preset(name)
    samples = []
    for number in range(2):
        blob_image(number, number).save(tmp_path / f"{number}.png")
        samples.append(sample_of(tmp_path / f"{number}.png", label=number))
    spec = make_spec(lite0, layout=entry.layout, pooling=entry.pooling, grid_views=(0,))
    store = Extraction(Manifest(samples, tmp_path), lite0, spec, tmp_path / "features").run()
    rows = [store.rows[(sample.content_hash or "", 0)] for sample in samples]
    stored = store.read("pooled", rows).float()
    torch.manual_seed(0)
    detector = Detector(entry.detector).eval()
    torch.nn.init.normal_(detector.head[-1].weight)  # it starts at zero
    if detector.glance is not None:
        torch.nn.init.normal_(detector.glance.weight)
    boxes = store.read("boxes", rows).float()
    known: dict[str, Any] = {"grid": store.read("grid", rows)[:, 0], "grid_size": spec.grid_size}
    from_store = detector(stored, boxes=boxes, **known).logits
    frames = [decode_pixels((tmp_path / f"{number}.png").read_bytes()) for number in range(2)]
    views = [make_views(frame, entry.layout) for frame in frames]
    outputs: list[BackboneOutput] = [run(lite0, torch.from_numpy(view.pixels)) for view in views]
    pixels = torch.stack([pool(output, spec.pooling) for output in outputs])
    known["grid"] = torch.stack([output.grid[0] for output in outputs])
    boxes = torch.stack([torch.from_numpy(view.boxes) for view in views])
    from_pixels = detector(pixels, boxes=boxes, **known).logits
    size = from_store.abs().max().item()
    torch.testing.assert_close(from_store, from_pixels, rtol=0, atol=0.01 * size)  # as float16
    assert (from_store[0] - from_store[1]).abs().max() > 0.02 * size  # the images do differ
