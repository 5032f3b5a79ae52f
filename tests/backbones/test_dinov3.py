from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    DINOv3ConvNextConfig,
    DINOv3ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
)

from workzone.backbones import names
from workzone.backbones.base import pool, run
from workzone.backbones.dinov3 import DINOv3ConvNeXt, DINOv3ViT
from workzone.backbones.names import ConvNeXtSize, ViTSize
from workzone.backbones.registry import load_backbone
from workzone.errors import BackboneError

TINY = "dinov3-vits16"  # the name under which the tests load a tiny model


@pytest.fixture
def tiny_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(names.SIZES, TINY, ViTSize(32, 64, 2, 2))
    monkeypatch.setitem(
        names.SIZES, "dinov3-convnext-tiny", ConvNeXtSize((8, 8, 16, 16), (1, 1, 1, 1))
    )


def tiny_vit(**changes: Any) -> DINOv3ViTModel:
    torch.manual_seed(0)
    fields = ViTSize(32, 64, 2, 2).configuration() | {"pos_embed_rescale": 2.0} | changes
    return DINOv3ViTModel(DINOv3ViTConfig(**fields))


def tiny_convnext(**changes: Any) -> DINOv3ConvNextModel:
    torch.manual_seed(0)
    fields = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]} | changes
    return DINOv3ConvNextModel(DINOv3ConvNextConfig(**fields))


def pixels(count: int = 1, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


# timm implements the same architectures on its own. transformers counts the mask token (D) too.
TIMM_TWINS = {
    "dinov3-vits16": "vit_small_patch16_dinov3_qkvb",
    "dinov3-vits16plus": "vit_small_plus_patch16_dinov3_qkvb",
    "dinov3-vitb16": "vit_base_patch16_dinov3_qkvb",
    "dinov3-vitl16": "vit_large_patch16_dinov3_qkvb",
    "dinov3-vith16plus": "vit_huge_plus_patch16_dinov3_qkvb",
    "dinov3-vit7b16": "vit_7b_patch16_dinov3",
    "dinov3-convnext-tiny": "convnext_tiny",
    "dinov3-convnext-small": "convnext_small",
    "dinov3-convnext-base": "convnext_base",
    "dinov3-convnext-large": "convnext_large",
}


@pytest.mark.parametrize("name", names.SIZES)
def test_full_size_parameter_counts(name: str) -> None:
    with torch.device("meta"):
        backbone = load_backbone(name, random=True)
        twin = timm.create_model(TIMM_TWINS[name], num_classes=0)
    mask_token = backbone.width if backbone.has_cls else 0
    expected = sum(parameter.numel() for parameter in twin.parameters()) + mask_token
    assert backbone.parameter_count == expected
    assert backbone.width == twin.num_features == names.SIZES[name].width
    assert backbone.multiple == twin.feature_info[-1]["reduction"] == names.SIZES[name].multiple


def test_the_huge_model_has_its_published_size() -> None:
    with torch.device("meta"):
        assert load_backbone("dinov3-vith16plus", random=True).parameter_count == 840_592_640


@pytest.mark.parametrize("cell", [(0, 0), (0, 3), (1, 2), (3, 1)])
def test_grid_is_in_row_major_order(cell: tuple[int, int]) -> None:
    row, column = cell
    backbone = DINOv3ViT(tiny_vit(), TINY)
    views = pixels()
    changed = views.clone()
    changed[..., 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] ^= 0xFF
    difference = (run(backbone, changed).grid - run(backbone, views).grid).norm(dim=-1)[0]
    assert int(difference.argmax()) == row * 4 + column


def test_convnext_grid_is_in_row_major_order() -> None:
    backbone = DINOv3ConvNeXt(tiny_convnext(), "dinov3-convnext-tiny")
    views = pixels(size=128)
    changed = views.clone()
    changed[..., 32:64, 64:96] ^= 0xFF
    difference = (run(backbone, changed).grid - run(backbone, views).grid).norm(dim=-1)[0]
    assert int(difference.argmax()) == 1 * 4 + 2


def test_registers_are_left_out() -> None:
    model = tiny_vit().eval()
    backbone = DINOv3ViT(model, TINY)
    views = pixels(2)
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (backbone.mean, backbone.std))
    with torch.no_grad():
        reference = model((views / 255 - mean) / std)
    output = backbone(views)
    assert output.grid_size == (4, 4)
    assert reference.last_hidden_state.shape[1] == 1 + 4 + 16
    torch.testing.assert_close(output.cls, reference.pooler_output, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        output.grid, reference.last_hidden_state[:, 5:], atol=1e-5, rtol=1e-4
    )


def test_convnext_cells_are_the_normed_map() -> None:
    model = tiny_convnext().eval()
    backbone = DINOv3ConvNeXt(model, "dinov3-convnext-tiny")
    output = backbone(pixels(2))
    assert output.cls is None
    assert output.grid.shape == (2, 4, 16)
    assert output.grid_size == (2, 2)
    # a layer norm of fresh weights leaves zero mean and unit variance in each cell
    torch.testing.assert_close(output.grid.mean(-1), torch.zeros(2, 4), atol=1e-5, rtol=0)


def test_positions_are_not_rescaled_at_random_under_a_training_parent() -> None:
    noisy = tiny_vit(attention_dropout=0.5, drop_path_rate=0.5)
    views = pixels()
    noisy.train()
    assert not torch.equal(noisy(views.float())[0], noisy(views.float())[0])  # it can be random
    backbone = DINOv3ViT(noisy, TINY)
    before = backbone(views)
    nn.Sequential(backbone).train()
    after = backbone(views)
    assert torch.equal(before.grid, after.grid)
    assert before.cls is not None
    assert after.cls is not None
    assert torch.equal(before.cls, after.cls)


def test_bfloat16_is_close() -> None:
    backbone = DINOv3ViT(tiny_vit(), TINY)
    exact = pool(run(backbone, pixels(3)), "cls+mean")
    rough = pool(run(backbone, pixels(3), precision="bfloat16"), "cls+mean")
    assert not torch.equal(exact, rough)
    assert float(torch.cosine_similarity(exact, rough).min()) > 0.999


@pytest.mark.parametrize("published_names", [False, True])
@pytest.mark.usefixtures("tiny_sizes")
def test_local_folder(tmp_path: Path, published_names: bool) -> None:
    model = tiny_vit()
    model.save_pretrained(tmp_path)
    if published_names:  # the hub's files were written when layers had no "model." before them
        file = tmp_path / "model.safetensors"
        tensors = {
            key.replace("model.layer.", "layer."): value for key, value in load_file(file).items()
        }
        assert any(key.startswith("layer.0.") for key in tensors)
        save_file(tensors, file, metadata={"format": "pt"})
    loaded = load_backbone(TINY, weights=tmp_path)
    expected = DINOv3ViT(model, TINY)
    assert loaded.weight_hash == expected.weight_hash
    assert torch.equal(loaded(pixels()).grid, expected(pixels()).grid)


@pytest.mark.usefixtures("tiny_sizes")
def test_a_bfloat16_file_computes_in_float32(tmp_path: Path) -> None:
    tiny_vit().to(torch.bfloat16).save_pretrained(tmp_path)
    rounded = tiny_vit()
    with torch.no_grad():
        for parameter in rounded.parameters():  # the table of frequencies is no parameter
            parameter.copy_(parameter.to(torch.bfloat16))
    loaded = load_backbone(TINY, weights=tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded(pixels()).grid, DINOv3ViT(rounded, TINY)(pixels()).grid)


@pytest.mark.usefixtures("tiny_sizes")
def test_local_convnext_folder(tmp_path: Path) -> None:
    tiny_convnext().save_pretrained(tmp_path)
    loaded = load_backbone("dinov3-convnext-tiny", weights=str(tmp_path))
    assert loaded.weight_hash == DINOv3ConvNeXt(tiny_convnext(), "x").weight_hash


def test_a_folder_of_another_size_is_refused(tmp_path: Path) -> None:
    tiny_vit().save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match=r"is not 'dinov3-vits16': its hidden_size is 32, exp"):
        load_backbone("dinov3-vits16", weights=tmp_path)


@pytest.mark.usefixtures("tiny_sizes")
def test_missing_tensors_are_never_made_up(tmp_path: Path) -> None:
    tiny_vit().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    del tensors["norm.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"1 tensors are missing .* norm\.weight"):
        load_backbone(TINY, weights=tmp_path)
    tensors["norm.weight"] = torch.ones(7)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"of another shape, the first is norm\.weight"):
        load_backbone(TINY, weights=tmp_path)


@pytest.mark.usefixtures("tiny_sizes")
def test_damaged_and_pickled_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"no weights at .*config\.json"):
        load_backbone(TINY, weights=tmp_path)
    tiny_vit().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BackboneError, match="cannot be read"):
        load_backbone(TINY, weights=tmp_path)
    file.unlink()
    torch.save(tiny_vit().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(BackboneError, match=r"pytorch_model\.bin is a pickle"):
        load_backbone(TINY, weights=tmp_path)


RESPONSE: Any = SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            GatedRepoError("403", response=RESPONSE),
            r"'dinov3-vitb16' are gated: accept the licence at https://huggingface\.co/facebook/"
            r"dinov3-vitb16-pretrain-lvd1689m, log in with 'hf auth login'.*--weights",
        ),
        (
            RepositoryNotFoundError("401", response=RESPONSE),
            r"hub shows no weights of 'dinov3-vitb16'.*'hf auth login'.*--weights",
        ),
        (LocalEntryNotFoundError("no connection"), r"not on this machine.*connection.*--weights"),
        (OfflineModeIsEnabled("offline"), r"not on this machine.*HF_HUB_OFFLINE.*'lite0' needs no"),
    ],
)
def test_what_the_hub_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, message: str
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("transformers.utils.hub.hf_hub_download", refuse)
    monkeypatch.setattr("transformers.utils.hub.snapshot_download", refuse)
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match=message):
        load_backbone("dinov3-vitb16")
