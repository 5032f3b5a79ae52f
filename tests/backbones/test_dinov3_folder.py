"""DINOv3 weights of any size, loaded by the path of their folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    DINOv3ConvNextConfig,
    DINOv3ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
)

from workzone.backbones.base import IMAGENET_MEAN
from workzone.backbones.dinov3 import DINOv3ConvNeXt, DINOv3ViT
from workzone.backbones.registry import load_backbone
from workzone.errors import BackboneError, UsageError

VIEWS = torch.arange(3 * 96 * 96).view(1, 3, 96, 96).remainder(251).to(torch.uint8)


def vit(**changes: Any) -> DINOv3ViTModel:
    torch.manual_seed(0)
    fields = {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_register_tokens": 4,
    }
    return DINOv3ViTModel(DINOv3ViTConfig(**(fields | changes)))


def convnext(**changes: Any) -> DINOv3ConvNextModel:
    torch.manual_seed(0)
    fields = {"hidden_sizes": [8, 8, 16, 24], "depths": [1, 1, 2, 1]} | changes
    return DINOv3ConvNextModel(DINOv3ConvNextConfig(**fields))


def configure(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    save_file(change(tensors), file, metadata={"format": "pt"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vit().save_pretrained(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("changes", "grid"),
    [
        ({}, (6, 6)),
        ({"patch_size": 12, "num_register_tokens": 0}, (8, 8)),
        ({"patch_size": 32, "num_register_tokens": 7}, (3, 3)),
        ({"use_gated_mlp": True, "hidden_act": "silu", "query_bias": False}, (6, 6)),
        ({"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 12}, (6, 6)),
    ],
)
def test_a_vit_of_any_size(tmp_path: Path, changes: dict[str, Any], grid: tuple[int, int]) -> None:
    model = vit(**changes)
    model.save_pretrained(tmp_path)
    loaded = load_backbone(str(tmp_path))
    assert loaded.name == "dinov3"
    assert loaded.width == model.config.hidden_size
    loaded.check_size(loaded.default_size)
    output = loaded(VIEWS)
    assert output.grid_size == grid
    assert torch.equal(output.grid, DINOv3ViT(model, "dinov3")(VIEWS).grid)
    again = load_backbone("dinov3", weights=tmp_path)
    assert (again.weight_hash, again.source) == (loaded.weight_hash, tmp_path.name)


@pytest.mark.parametrize("widths", [[8, 8, 16, 24], [8, 8, 16]])
def test_a_convnext_of_any_size(tmp_path: Path, widths: list[int]) -> None:
    model = convnext(hidden_sizes=widths, depths=[1] * len(widths))
    model.save_pretrained(tmp_path)
    loaded = load_backbone(str(tmp_path))
    step = 4 * 2 ** (len(widths) - 1)
    assert (loaded.name, loaded.width, loaded.multiple) == ("dinov3", widths[-1], step)
    assert torch.equal(loaded(VIEWS).grid, DINOv3ConvNeXt(model, "dinov3")(VIEWS).grid)


def test_shards(tmp_path: Path) -> None:
    vit().save_pretrained(tmp_path, max_shard_size="40kB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert load_backbone(str(tmp_path)).weight_hash == DINOv3ViT(vit(), "dinov3").weight_hash
    shards[1].unlink()
    with pytest.raises(BackboneError, match=rf"cannot be read.*{shards[1].name}"):
        load_backbone(str(tmp_path))


def test_a_pruned_model_loads_though_its_list_of_stages_is_stale(tmp_path: Path) -> None:
    model = vit(num_hidden_layers=3)
    model.model.layer = model.model.layer[:2]
    model.config.num_hidden_layers = 2
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["out_features"] == ["stage3"]
    assert torch.equal(load_backbone(str(tmp_path))(VIEWS).grid, DINOv3ViT(model, "x")(VIEWS).grid)


def test_a_published_size_has_its_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DINOv3ViTModel(
        DINOv3ViTConfig(
            hidden_size=384,
            intermediate_size=1536,
            num_hidden_layers=12,
            num_attention_heads=6,
            num_register_tokens=4,
        )
    )
    model.save_pretrained(tmp_path)
    loaded = load_backbone(str(tmp_path))
    assert loaded.name == "dinov3-vits16"
    assert loaded.weight_hash == load_backbone("dinov3-vits16", weights=tmp_path).weight_hash
    configure(tmp_path, rope_theta=50.0)  # other features with the very same weights
    assert load_backbone(str(tmp_path)).name == "dinov3"
    with pytest.raises(BackboneError, match=r"its rope_theta is 50\.0, expected 100\.0; give --ba"):
        load_backbone("dinov3-vits16", weights=tmp_path)


@pytest.mark.parametrize("change", [{"num_attention_heads": 3}, {"rope_theta": 10.0}])
def test_what_leaves_no_trace_in_the_weights_changes_the_hash(
    folder: Path, change: dict[str, Any]
) -> None:
    before = load_backbone(str(folder))
    configure(folder, **change)
    after = load_backbone(str(folder))
    assert not torch.equal(before(VIEWS).grid, after(VIEWS).grid)
    assert before.weight_hash != after.weight_hash


def test_normalisation_is_the_folders(folder: Path) -> None:
    assert load_backbone(str(folder)).mean == IMAGENET_MEAN
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps({"image_mean": [0.43, 0.41, 0.3], "image_std": 0.5}))
    loaded = load_backbone(str(folder))
    assert (loaded.mean, loaded.std) == ((0.43, 0.41, 0.3), (0.5, 0.5, 0.5))
    file.write_text(json.dumps({"do_normalize": False, "image_mean": [0.43, 0.41, 0.3]}))
    loaded = load_backbone(str(folder))
    assert (loaded.mean, loaded.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_mean": [0.5, 0.5]}, r"image_mean is \[0\.5, 0\.5\]; three numbers"),
        ({"image_mean": ["a", 0, 0]}, "three numbers"),
        ({"image_std": [0.5, 0, 0.5]}, "must be above 0"),
        ({"rescale_factor": 1.0}, "rescale_factor 1/255"),
    ],
)
def test_a_normalisation_that_cannot_be(folder: Path, values: dict[str, Any], message: str) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(BackboneError, match=rf"preprocessor_config\.json: .*{message}"):
        load_backbone(str(folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "dinov2"}, r"is not of a DINOv3 \(model_type 'dinov2'\)"),
        ({"model_type": None, "architecture": "resnet18"}, "--backbone timm:resnet18"),
        ({"hidden_size": "48"}, "is not valid: .*hidden_size"),
        ({"hidden_act": "none such"}, "no model can be built"),
        ({"num_channels": 4}, "num_channels is 4"),
        ({"patch_size": [16, 8]}, r"patch_size \[16, 8\] is not one whole number"),
        ({"num_attention_heads": 5}, "hidden_size 48 is not 5 heads"),
        ({"num_attention_heads": 8}, "hidden_size 48 is not 8 heads of a multiple of 4"),
        ({"quantization_config": {"load_in_8bit": True}}, "quantized weights"),
        ({"num_hidden_layers": 3}, r"17 tensors are missing .* model\.layer\.2"),
        ({"num_hidden_layers": 1}, r"17 tensors that its config\.json does not .*layer\.1"),
        ({"hidden_size": 64}, "of another shape"),
    ],
)
def test_configurations_that_cannot_be(folder: Path, changes: dict[str, Any], message: str) -> None:
    configure(folder, **changes)
    with pytest.raises(BackboneError, match=message) as caught:
        load_backbone(str(folder))
    assert len(str(caught.value).splitlines()) == 1


def test_a_convnext_whose_stages_do_not_match(tmp_path: Path) -> None:
    convnext().save_pretrained(tmp_path)
    configure(tmp_path, depths=[1, 1, 2])
    with pytest.raises(BackboneError, match=r"depths \[1, 1, 2\] do not match"):
        load_backbone(str(tmp_path))
    with pytest.raises(BackboneError, match="is not 'dinov3-vits16': it is a dinov3_convnext"):
        configure(tmp_path, depths=[1, 1, 2, 1])
        load_backbone("dinov3-vits16", weights=tmp_path)


def test_the_trunk_of_a_classifier_loads(folder: Path) -> None:
    plain = load_backbone(str(folder)).weight_hash
    rewrite(folder, lambda tensors: tensors | {"classifier.weight": torch.zeros(2, 48)})
    assert load_backbone(str(folder)).weight_hash == plain


def test_weights_that_are_not_there(folder: Path) -> None:
    rewrite(folder, lambda tensors: {name: value.char() for name, value in tensors.items()})
    with pytest.raises(BackboneError, match="is of type I8, as quantized weights are"):
        load_backbone(str(folder))
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(BackboneError, match="holds an adapter"):
        load_backbone(str(folder))
    (folder / "adapter_config.json").unlink()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BackboneError, match=r"no model\.safetensors.*is a pickle, which is never"):
        load_backbone(str(folder))
    (folder / "config.json").write_text('{"model_type": ')
    with pytest.raises(BackboneError, match=r"config\.json cannot be read"):
        load_backbone(str(folder))


def test_paths_and_names(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackboneError, match="which does not exist: a folder with config"):
        load_backbone("./nowhere")
    with pytest.raises(BackboneError, match="which is a file: a folder with config"):
        load_backbone(str(folder / "model.safetensors"))
    with pytest.raises(BackboneError, match=r"may be of any size: name the folder .* --weights"):
        load_backbone("dinov3")
    with pytest.raises(UsageError, match="is a path: name its weights once"):
        load_backbone(str(folder), weights=folder)
    with pytest.raises(UsageError, match="folder with DINOv3 weights"):
        load_backbone("")
    monkeypatch.chdir(tmp_path)
    assert load_backbone("mine").name == "dinov3"
    (tmp_path / "lite0").mkdir()  # a backbone's name stays a backbone's name
    assert load_backbone("lite0").name == "lite0"
