from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn
from transformers import DINOv3ConvNextConfig, DINOv3ConvNextModel, DINOv3ViTConfig, DINOv3ViTModel

from workzone.backbones.base import Backbone
from workzone.backbones.blocks import blocks_of
from workzone.backbones.dinov3 import DINOv3ConvNeXt, DINOv3ViT
from workzone.backbones.fine_tuning import FineTuneConfig, freeze, learning_rates, unfreeze
from workzone.backbones.names import ViTSize
from workzone.backbones.registry import load_backbone
from workzone.backbones.timm_models import TimmBackbone
from workzone.errors import BackboneError, UsageError

ALL = FineTuneConfig(rate=0.5, layer_decay=0.5)


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


def timm_lite() -> Backbone:
    """With its batch normalisations, which the embedded backbones have folded away."""
    torch.manual_seed(0)
    return TimmBackbone(timm.create_model("tf_efficientnet_lite0", num_classes=0), "timm-lite")


@pytest.fixture(params=["vit", "convnext", "timm-lite", "lite0", "lite0-trunk"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    makers = {"vit": tiny_vit, "convnext": tiny_convnext, "timm-lite": timm_lite}
    name: str = request.param
    return makers[name]() if name in makers else load_backbone(name)


def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=generator)


def vector(backbone: Backbone) -> torch.Tensor:
    output = backbone(pixels())
    return torch.cat([output.grid.flatten(), *([] if output.cls is None else [output.cls[0]])])


def gradients(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Of a fixed direction, so that none is 0 by symmetry or by a final norm."""
    backbone.zero_grad()
    output = backbone(pixels())
    weight = torch.randn(output.grid.shape, generator=torch.Generator().manual_seed(1))
    (output.grid * weight).mean().backward()
    found = backbone.model.named_parameters()
    return {n: p.grad.clone() for n, p in found if p.grad is not None}


def step(backbone: Backbone) -> None:
    """Move what learns, against its gradient."""
    for name, gradient in gradients(backbone).items():
        with torch.no_grad():
            backbone.model.get_parameter(name).sub_(0.01 * gradient / (gradient.norm() + 1e-9))


def test_before_training_it_is_the_same(backbone: Backbone) -> None:
    with torch.no_grad():
        assert torch.equal(vector(unfreeze(backbone, ALL)), vector(backbone))


def test_gradients_reach_every_weight_from_the_stem_on(backbone: Backbone) -> None:
    tuned = unfreeze(backbone, ALL)
    found = gradients(tuned)
    unused = {name for name, _ in tuned.model.named_parameters()} - found.keys()
    assert all("mask_token" in name for name in unused)
    assert all(bool(value.isfinite().all()) for value in found.values())
    still = {name for name, value in found.items() if not value.abs().sum() > 0}
    assert all("k_proj.bias" in name for name in still)  # softmax does not see what all keys share
    first = next(iter(found))
    assert float(found[first].abs().max()) > 0


def test_gradients_are_those_of_plain_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded backbones call oneDNN by name, for which torch has to know the gradient."""
    tuned = unfreeze(load_backbone("lite0"), ALL)
    found = gradients(tuned)
    convolutions = [m for m in tuned.model.modules() if isinstance(m, nn.Conv2d)]
    for kind in {type(m) for m in convolutions}:
        monkeypatch.setattr(kind, "forward", nn.Conv2d.forward)
    plain = gradients(tuned)
    assert found.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("blocks", [1, 2, 99])
def test_the_last_blocks_alone_learn(backbone: Backbone, blocks: int) -> None:
    tuned = unfreeze(backbone, FineTuneConfig(blocks=blocks))
    names = [name for name, _ in blocks_of(tuned.model)]
    learning = [n for n, p in tuned.model.named_parameters() if p.requires_grad]
    earlier = tuple(f"{name}." for name in names[:-blocks])
    assert not [name for name in learning if name.startswith(earlier)]
    for last in names[-blocks:]:
        assert any(name.startswith(f"{last}.") for name in learning)
    stem = next(name for name, _ in tuned.model.named_parameters())
    assert stem not in learning


def test_rates_fall_from_the_end_to_the_stem(backbone: Backbone) -> None:
    tuned = unfreeze(backbone, ALL)
    rates = learning_rates(tuned, ALL)
    assert rates.keys() == {name for name, _ in tuned.model.named_parameters()}
    names = [name for name, _ in blocks_of(tuned.model)]
    for number, block in enumerate(reversed(names)):
        found = {rate for name, rate in rates.items() if name.startswith(f"{block}.")}
        assert found == {0.5 * 0.5**number}
    assert next(iter(rates.values())) == 0.5 * 0.5 ** len(names)  # the stem
    assert list(rates.values())[-1] == 0.5  # what follows the last block
    order = list(rates.values())
    assert order == sorted(order)


def test_the_given_backbone_stays_and_frozen_weights_are_shared(backbone: Backbone) -> None:
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    published = backbone.weight_hash
    tuned = unfreeze(backbone, FineTuneConfig(blocks=1))
    own = {p.data_ptr() for p in backbone.parameters()}
    for name, value in tuned.model.named_parameters():
        assert (value.data_ptr() in own) != value.requires_grad, name
    step(tuned)
    freeze(tuned)
    assert all(torch.equal(value, before[n]) for n, value in backbone.state_dict().items())
    assert backbone.weight_hash == published
    assert not any(p.requires_grad for p in backbone.parameters())


def test_statistics_of_batch_normalisation_do_not_move() -> None:
    tuned = unfreeze(timm_lite(), ALL).train()
    before = {name: b.clone() for name, b in tuned.named_buffers()}
    step(tuned)
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(b, before[name]) for name, b in tuned.named_buffers())


@pytest.mark.parametrize("blocks", [None, 1])
def test_what_was_learned_makes_another_backbone_the_same(
    backbone: Backbone, blocks: int | None
) -> None:
    tuned = unfreeze(backbone, FineTuneConfig(blocks=blocks))
    published = tuned.weight_hash
    step(tuned)
    with torch.no_grad():
        learned, plain = vector(tuned), vector(backbone)
    weights = {name: value.clone().contiguous() for name, value in freeze(tuned).items()}
    assert not torch.equal(learned, plain)
    assert not any(p.requires_grad for p in tuned.parameters())
    with torch.no_grad():
        assert torch.equal(vector(tuned), learned)
    backbone.replace_weights(weights)
    assert backbone.weight_hash == tuned.weight_hash != published
    with torch.no_grad():
        assert torch.equal(vector(backbone), learned)


def test_checkpointing_gives_the_same_gradients() -> None:
    backbone = tiny_vit()
    plain = unfreeze(backbone, ALL)
    spare = unfreeze(backbone, FineTuneConfig(checkpointing=True))
    assert sum("forward" in vars(module) for module in spare.modules()) == 3
    expected, found = gradients(plain), gradients(spare)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-9)
    freeze(spare)
    assert not any("forward" in vars(module) for module in spare.modules())


def test_a_network_without_blocks_is_refused() -> None:
    backbone = tiny_vit()
    backbone.model = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(
        BackboneError, match=r"'tiny-vit' has no blocks with linear .* choose anoth"
    ):
        unfreeze(backbone, ALL)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": 0}, r"fine_tuning: blocks=0, allowed: 1 to 1000"),
        ({"rate": 0.0, "layer_decay": 1.5}, r"rate=0.0, .*; layer_decay=1.5, allowed: 0.01 to 1"),
        ({"rate": float("nan")}, r"rate=nan, allowed: 1e-06 to 10"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FineTuneConfig(**settings)
