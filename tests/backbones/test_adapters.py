from __future__ import annotations

import sys
from typing import Any

import pytest
import timm
import torch
from torch import nn
from transformers import DINOv3ConvNextConfig, DINOv3ConvNextModel, DINOv3ViTConfig, DINOv3ViTModel

from workzone.backbones.adapters import AdapterConfig, adapt, adapter_layers, merge
from workzone.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from workzone.backbones.blocks import blocks_of
from workzone.backbones.dinov3 import DINOv3ConvNeXt, DINOv3ViT
from workzone.backbones.names import ViTSize
from workzone.backbones.timm_models import TimmBackbone
from workzone.errors import BackboneError, MissingExtraError, UsageError

LAST = AdapterConfig(rank=2, blocks=1)


def tiny_vit() -> Backbone:
    torch.manual_seed(0)
    config = DINOv3ViTConfig(**ViTSize(32, 64, 3, 2).configuration())
    return DINOv3ViT(DINOv3ViTModel(config), "tiny-vit")


def tiny_convnext() -> Backbone:
    torch.manual_seed(0)
    config = DINOv3ConvNextConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 2], layer_scale_init_value=0.5
    )
    return DINOv3ConvNeXt(DINOv3ConvNextModel(config), "tiny-convnext")


def timm_vit() -> Backbone:
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=3, dynamic_img_size=True)
    return TimmBackbone(model, "timm-vit")


def timm_lite() -> Backbone:
    """With its batch normalisations, which the embedded backbone has folded away."""
    torch.manual_seed(0)
    return TimmBackbone(timm.create_model("tf_efficientnet_lite0", num_classes=0), "timm-lite")


@pytest.fixture(params=["vit", "convnext", "timm-vit", "timm-lite", "lite0"])
def backbone(request: pytest.FixtureRequest, lite0: Backbone) -> Backbone:
    makers = {
        "vit": tiny_vit,
        "convnext": tiny_convnext,
        "timm-vit": timm_vit,
        "timm-lite": timm_lite,
        "lite0": lambda: lite0,
    }
    return makers[request.param]()


def pixels(count: int = 2, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def vector(backbone: Backbone) -> torch.Tensor:
    """All that a backbone says of two views."""
    output = backbone(pixels())
    return torch.cat([output.grid.flatten(), *([] if output.cls is None else [output.cls[0]])])


def loss(backbone: Backbone) -> torch.Tensor:
    """Of a fixed direction, so that no gradient is 0 by symmetry or by a final norm."""
    output = backbone(pixels())
    weight = torch.randn(output.grid.shape, generator=torch.Generator().manual_seed(1))
    return (output.grid * weight).mean()


def learning(backbone: Backbone) -> dict[str, nn.Parameter]:
    return {n: p for n, p in backbone.named_parameters() if p.requires_grad}


def disturb(backbone: Backbone) -> None:
    """Move the adapters away from the identity, as training does."""
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in learning(backbone).items():
            noise = torch.randn(parameter.shape, generator=random)
            if "magnitude" in name:
                parameter.mul_(1 + 0.1 * noise.clamp(-2, 2))
            else:
                parameter.add_(0.02 * noise)


def gradients(backbone: Backbone) -> dict[str, torch.Tensor]:
    backbone.zero_grad()
    loss(backbone).backward()
    return {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}


def test_untrained_adapters_change_nothing(backbone: Backbone) -> None:
    with torch.no_grad():
        assert torch.equal(vector(adapt(backbone, LAST)), vector(backbone))


def test_only_adapters_learn_and_all_of_them_do(backbone: Backbone) -> None:
    adapted = adapt(backbone, LAST)
    disturb(adapted)  # at the start one of the thin matrices is 0, and so is the other's gradient
    found = gradients(adapted)
    assert all("lora_" in name for name in found)
    assert found.keys() == learning(adapted).keys()
    assert all(bool(gradient.abs().sum() > 0) for gradient in found.values())
    kinds = {name.split(".lora_")[1].split(".")[0] for name in found}
    assert kinds == {"A", "B", "magnitude_vector"}


def test_the_given_backbone_stays_as_it_is(backbone: Backbone) -> None:
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    names, hash_before = [n for n, _ in backbone.named_modules()], backbone.weight_hash
    adapted = adapt(backbone, LAST)
    disturb(adapted)
    merge(adapted)
    assert [n for n, _ in backbone.named_modules()] == names
    assert backbone.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[n]) for n, value in backbone.state_dict().items())
    assert backbone.weight_hash == hash_before
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_frozen_weights_are_shared(backbone: Backbone) -> None:
    """A second copy of seven billion numbers for each fold would not fit."""
    adapted = adapt(backbone, LAST)
    own = {value.data_ptr() for value in backbone.parameters()}
    apart = [n for n, p in adapted.named_parameters() if p.data_ptr() not in own]
    assert all("lora_" in name or "base_layer.weight" in name for name in apart)


def test_merged_equals_unmerged_with_the_plain_classes(backbone: Backbone) -> None:
    kinds = {name: type(module) for name, module in backbone.named_modules()}
    adapted = adapt(backbone, LAST)
    disturb(adapted)
    with torch.no_grad():
        before, plain = vector(adapted), vector(backbone)
        weights = merge(adapted)
        after = vector(adapted)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5 * float(before.abs().max()))
    assert float((after - plain).abs().max()) > 1e-3 * float(plain.abs().max())
    assert {name: type(module) for name, module in adapted.named_modules()} == kinds
    assert adapted.state_dict().keys() == backbone.state_dict().keys()
    assert not hasattr(adapted.model, "peft_config")
    assert not any(parameter.requires_grad for parameter in adapted.parameters())
    changed = {
        name
        for name, value in adapted.model.state_dict().items()
        if not torch.equal(value, backbone.model.state_dict()[name])
    }
    assert changed == weights.keys()


def test_the_merged_weights_make_another_backbone_the_same() -> None:
    adapted, other = adapt(tiny_vit(), LAST), tiny_vit()
    disturb(adapted)
    published = adapted.weight_hash
    weights = merge(adapted)
    other.replace_weights(weights)
    assert other.weight_hash == adapted.weight_hash != published == tiny_vit().weight_hash
    with torch.no_grad():
        assert torch.equal(vector(other), vector(adapted))
    third = tiny_vit()
    name, value = next(iter(weights.items()))
    third.replace_weights(weights | {name: value + 1})
    assert third.weight_hash != other.weight_hash


def test_weights_that_do_not_fit_are_refused() -> None:
    backbone = tiny_vit()
    with pytest.raises(BackboneError, match=r"norm.weight \(torch.float32 \[3\]\) does not fit"):
        backbone.replace_weights({"norm.weight": torch.zeros(3)})
    message = r"the tensor nothing .* 'tiny-vit', which has none there: name the backbone"
    with pytest.raises(BackboneError, match=message):
        backbone.replace_weights({"nothing": torch.zeros(3)})


def test_batch_normalisation_does_not_move() -> None:
    backbone = timm_lite()
    before = {n: b.clone() for n, b in backbone.named_buffers()}
    assert any("running_mean" in name for name in before)
    adapted = adapt(backbone, LAST)
    adapted.train()
    for _ in range(2):
        gradients(adapted)
    after = dict(adapted.named_buffers())
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(module.training for module in adapted.modules())


def test_checkpointing_gives_the_same_gradients_and_keeps_less(backbone: Backbone) -> None:
    torch.manual_seed(5)
    plain = adapt(backbone, AdapterConfig(rank=2, blocks=2))
    torch.manual_seed(5)
    spare = adapt(backbone, AdapterConfig(rank=2, blocks=2, checkpointing=True))
    for adapted in (plain, spare):
        disturb(adapted)
    expected, found = gradients(plain), gradients(spare)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-9)
    assert kept_bytes(spare) < 0.7 * kept_bytes(plain)
    merge(spare)
    assert not any("forward" in vars(module) for module in spare.modules())


def kept_bytes(backbone: Backbone) -> int:
    """What the forward pass keeps for the gradient, each storage once, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in backbone.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(value: torch.Tensor) -> torch.Tensor:
        if value.untyped_storage().data_ptr() not in weights:
            kept[value.untyped_storage().data_ptr()] = value
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        loss(backbone)
    return sum(value.untyped_storage().nbytes() for value in kept.values())


def test_which_layers_are_adapted(lite0: Backbone) -> None:
    def adapted(backbone: Backbone, blocks: int) -> list[str]:
        return list(adapter_layers(adapt(backbone, AdapterConfig(blocks=blocks, rank=2))))

    last = "model.layer.2"
    assert sorted(adapted(tiny_vit(), 1)) == sorted(
        [f"{last}.attention.{x}_proj" for x in "qkvo"]
        + [f"{last}.mlp.up_proj", f"{last}.mlp.down_proj"]
    )
    assert len(adapted(tiny_vit(), 9)) == 3 * 6  # it has three
    assert adapted(lite0, 1) == ["blocks.6.0.conv_pw", "blocks.6.0.conv_pwl"]  # not the depthwise
    assert len(blocks_of(lite0.model)) == 16
    assert adapted(timm_vit(), 1) == [f"blocks.2.{x}" for x in ("attn.qkv", "attn.proj")] + [
        f"blocks.2.mlp.fc{x}" for x in (1, 2)
    ]
    assert adapted(tiny_convnext(), 1) == [
        f"model.stages.3.layers.1.pointwise_conv{x}" for x in (1, 2)
    ]


class _Plain(Backbone):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(
            model,
            name="plain",
            width=4,
            multiple=16,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            default_size=64,
            licence="none",
            has_cls=False,
        )


def test_a_network_without_such_blocks_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=2))
    with pytest.raises(BackboneError, match=r"'plain' has no blocks with linear .* choose another"):
        adapt(_Plain(network), AdapterConfig())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, r"adapters: rank=0, allowed: 1 to 1024"),
        ({"dropout": 1.0, "blocks": 0}, r"dropout=1.0, allowed: 0.0 to 0.99; blocks=0"),
        ({"alpha": float("nan")}, r"alpha=nan, allowed: 0.001 to 10000"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AdapterConfig(**settings)


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    message = r"training from pixels needs the package 'peft': pip install 'workzone\[train\]'"
    with pytest.raises(MissingExtraError, match=message):
        adapt(tiny_vit(), AdapterConfig())
