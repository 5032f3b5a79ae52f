from __future__ import annotations

import os
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError
from safetensors.torch import save_file

from workzone.backbones.base import run
from workzone.backbones.registry import load_backbone
from workzone.backbones.timm_models import TimmBackbone
from workzone.errors import BackboneError


def pixels(size: int, count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("name", "has_cls", "prefix", "multiple"),
    [
        ("test_vit", True, 1, 16),  # class token
        ("test_vit3", False, 1, 16),  # a register and no class token
        ("test_efficientnet", False, 0, 32),
        ("test_convnext", False, 0, 32),
        ("test_resnet", False, 0, 32),
    ],
)
def test_grid_and_class_token(name: str, has_cls: bool, prefix: int, multiple: int) -> None:
    backbone = load_backbone(f"timm:{name}", random=True)
    assert (backbone.has_cls, backbone.multiple, backbone.default_size) == (has_cls, multiple, 160)
    views = pixels(192, count=2)  # not the size of the weights: positions are interpolated
    output = run(backbone, views)
    side = 192 // multiple
    assert output.grid_size == (side, side)
    assert output.grid.shape == (2, side * side, backbone.width)
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (backbone.mean, backbone.std))
    with torch.no_grad():
        raw = backbone.model.forward_features((views / 255 - mean) / std)  # type: ignore[operator]
    tokens = raw if raw.ndim == 3 else raw.flatten(2).transpose(1, 2)
    assert tokens.shape[1] == side * side + prefix
    torch.testing.assert_close(output.grid, tokens[:, prefix:], atol=1e-3, rtol=1e-3)
    if has_cls:
        torch.testing.assert_close(output.cls, tokens[:, 0], atol=1e-3, rtol=1e-3)
    else:
        assert output.cls is None


def test_two_class_tokens_are_both_taken_off() -> None:
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=0, depth=1)
    output = run(TimmBackbone(model, "timm:deit"), pixels(224))
    assert output.grid.shape == (1, 196, 192)


def test_maps_with_channels_last_and_one_size_only() -> None:
    torch.manual_seed(0)
    model = timm.create_model(
        "swin_tiny_patch4_window7_224",
        embed_dim=16,
        depths=(1, 1, 1, 1),
        num_heads=(1, 1, 1, 1),
        num_classes=0,
    )
    backbone = TimmBackbone(model, "timm:swin", any_size=False)
    views = pixels(224)
    output = run(backbone, views)
    assert output.grid.shape == (1, 49, 128)
    changed = views.clone()
    changed[..., 64:96, 160:192] ^= 0xFF
    difference = (run(backbone, changed).grid - output.grid).norm(dim=-1)[0]
    assert int(difference.argmax()) == 2 * 7 + 5
    with pytest.raises(BackboneError, match=r"size 256 does not fit .*it takes 224 only"):
        backbone.check_size(256)


def test_frozen_survives_a_training_parent() -> None:
    model = timm.create_model("test_vit", num_classes=0, proj_drop_rate=0.5, drop_path_rate=0.5)
    backbone = TimmBackbone(model, "timm:test_vit")
    before = run(backbone, pixels(160)).grid
    torch.nn.Sequential(backbone).train()
    assert torch.equal(run(backbone, pixels(160)).grid, before)


def test_local_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = timm.create_model("test_efficientnet")  # with its classifier, as files on the hub
    bare = timm.create_model("test_efficientnet", num_classes=0)
    bare.load_state_dict(whole.state_dict(), strict=False)
    expected = TimmBackbone(bare, "timm:test_efficientnet")
    save_file(whole.state_dict(), tmp_path / "a.safetensors")
    torch.save(whole.state_dict(), tmp_path / "a.pth")
    for file in ("a.safetensors", "a.pth"):
        loaded = load_backbone("timm:test_efficientnet", weights=tmp_path / file)
        assert loaded.weight_hash == expected.weight_hash


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("hostile",)


def test_files_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "timm:test_efficientnet"
    with pytest.raises(BackboneError, match=r"no weights of 'timm:test_efficientnet' at .*nowhere"):
        load_backbone(name, weights="nowhere.safetensors")
    torch.save({"x": Hostile()}, "hostile.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BackboneError, match=r"hostile\.pth cannot be read"):
            load_backbone(name, weights="hostile.pth")
    assert not Path("hostile").exists()
    Path("short.safetensors").write_bytes(b"abc")
    with pytest.raises(BackboneError, match=r"short\.safetensors cannot be read"):
        load_backbone(name, weights="short.safetensors")
    save_file(timm.create_model("test_resnet").state_dict(), "other.safetensors")
    with pytest.raises(
        BackboneError,
        match=r"weights of 'timm:test_efficientnet': \d+ tensors are missing.*first is blocks\.0",
    ):
        load_backbone(name, weights="other.safetensors")


def test_unknown_model() -> None:
    with pytest.raises(BackboneError, match=r"no model 'resnet5O'; did you mean 'resnet50'\?"):
        load_backbone("timm:resnet5O")


RESPONSE: Any = SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GatedRepoError("403", response=RESPONSE), "gated: accept the licence.*hf auth login"),
        (LocalEntryNotFoundError("no way out"), r"could not be fetched .*no way out.*--weights"),
    ],
)
def test_what_the_hub_refuses(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("timm.models._hub.hf_hub_download", refuse)
    with pytest.raises(BackboneError, match=message):
        load_backbone("timm:test_vit")


def test_a_model_without_published_weights() -> None:
    with pytest.raises(BackboneError, match=r"'timm:mobilenetv4_conv_small_035' .*No pretrained"):
        load_backbone("timm:mobilenetv4_conv_small_035")
