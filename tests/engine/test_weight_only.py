"""Weights in 8 or 4 bits, by torchao itself, on vision transformers of a few layers."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cli_invoke import invoke
from engine.made_models import CASES, images, made, made_of, tiny_convnext, tiny_vit
from made_images import blob_image
from workzone import load
from workzone.backbones.base import Backbone
from workzone.backbones.lite import load_trunk
from workzone.backbones.names import LITE0
from workzone.backbones.registry import load_backbone
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.engine.choose import check_choice
from workzone.engine.export import export
from workzone.engine.program import Answer, Program
from workzone.engine.torch_engine import torch_program
from workzone.engine.weight_only import WEIGHT_PRECISIONS, quantise_weights, weight_precision
from workzone.errors import MissingExtraError, UsageError
from workzone.run.backbone import bundle_backbone
from workzone.run.programs import bundle_program

CASE = "rope, metadata"
LAYERS = 2 * 6  # four of attention and two of the feed-forward part, in each of two blocks


def wide_vit() -> Backbone:
    """As wide as NF4 asks for."""
    return tiny_vit(hidden_size=128, intermediate_size=256)


def wide_bundle(precision: str = "float32") -> tuple[Bundle, Backbone]:
    """A bundle on it, whose features were made in a precision."""
    _, layout, config = CASES[CASE]
    encoder = dataclasses.replace(config.encoder, experts=4, expert_width=16)
    config = dataclasses.replace(config, encoder=encoder)
    bundle, backbone = made_of(wide_vit(), layout, config, pooling=None)
    spec = dataclasses.replace(bundle.spec, precision=precision)
    return dataclasses.replace(bundle, spec=spec), backbone


def linear_layers(module: nn.Module) -> list[nn.Linear]:
    return [each for each in module.modules() if isinstance(each, nn.Linear)]


def answers(program: Program, bundle: Bundle) -> Sequence[Answer]:
    return program.run([image.seen for image in images(bundle, 4)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle on disk, with its backbone's weights beside it."""
    root = tmp_path_factory.mktemp("wide")
    bundle, backbone = wide_bundle()
    config = backbone.model.config
    config.save_pretrained(root / "backbone")
    save_file(backbone.model.state_dict(), root / "backbone" / "model.safetensors")
    loaded = load_backbone(str(root / "backbone"))
    spec = dataclasses.replace(bundle.spec, backbone="dinov3", weight_hash=loaded.weight_hash)
    write_bundle(dataclasses.replace(bundle, spec=spec), root / "bundle")
    blob_image(0, 1).save(root / "street.png")
    return root


@pytest.mark.parametrize(("precision", "apart"), [("int8-weights", 0.01), ("nf4-weights", 0.2)])
def test_answers_stay_close(precision: str, apart: float) -> None:
    bundle, backbone = wide_bundle()
    exact = answers(torch_program(bundle, backbone), bundle)
    program = torch_program(bundle, backbone, precision=precision)
    assert program.engine.precision == precision
    assert [type(layer.weight).__name__ for layer in linear_layers(backbone)] == [
        {"int8-weights": "Int8Tensor", "nf4-weights": "NF4Tensor"}[precision]
    ] * LAYERS
    close = answers(program, bundle)
    for one, other in zip(exact, close, strict=True):
        assert one.raw != other.raw  # else nothing was quantised
        assert other.raw == pytest.approx(one.raw, abs=apart)
        a, b = one.penultimate, other.penultimate
        assert float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) > 1 - apart


def test_weights_are_rounded_in_the_way_that_the_page_tells() -> None:
    """A scale per row for 8 bits; for 4 bits one per 64 weights, the largest of which stays."""
    layers = {name: linear_layers(wide_vit())[0] for name in WEIGHT_PRECISIONS}
    plain = layers["int8-weights"].weight.detach().clone()
    for precision, layer in layers.items():
        torch.manual_seed(0)
        backbone = wide_vit()
        quantise_weights(backbone, precision)
        layer.weight = linear_layers(backbone)[0].weight
    scale = plain.abs().amax(1, keepdim=True) / 127
    eight = layers["int8-weights"].weight.dequantize()
    assert torch.all((eight - plain).abs() <= 0.51 * scale)
    four = layers["nf4-weights"].weight.to(torch.float32)
    blocks, largest = (four - plain).view(-1, 64), plain.abs().view(-1, 64).amax(1, keepdim=True)
    assert torch.all(blocks.abs() <= 0.17 * largest)  # half the widest gap of 16 levels


def test_only_linear_layers_of_the_backbone_change() -> None:
    bundle, backbone = wide_bundle()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    published, count = wide_vit().weight_hash, wide_vit().parameter_count
    torch_program(bundle, backbone, precision="int8-weights")
    linear = {f"{n}.weight" for n, m in backbone.named_modules() if isinstance(m, nn.Linear)}
    assert len(linear) == LAYERS
    for name, value in backbone.state_dict().items():
        if name not in linear:
            assert torch.equal(value, before[name]), name
    assert (backbone.weight_hash, backbone.parameter_count) == (published, count)
    assert weight_precision(bundle.detector) is None


def test_a_backbone_is_moved_with_its_small_weights() -> None:
    for precision in WEIGHT_PRECISIONS:
        backbone = wide_vit()
        quantise_weights(backbone, precision, "cpu")
        pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
        before = backbone(pixels).grid
        backbone.to("cpu").train()
        assert weight_precision(backbone) == precision
        assert torch.equal(backbone(pixels).grid, before)


@pytest.mark.parametrize("precision", WEIGHT_PRECISIONS)
def test_it_computes_in_the_precision_of_the_features(precision: str) -> None:
    """The weights are small; what goes through them is as it was in training."""
    computed = {}
    for features in ("float32", "bfloat16"):
        bundle, backbone = wide_bundle(features)
        program = torch_program(bundle, backbone, precision=precision)
        assert program.engine.precision == precision
        computed[features] = answers(program, bundle)[0].penultimate
    close = computed["float32"], computed["bfloat16"]
    assert not np.array_equal(*close)
    np.testing.assert_allclose(*close, atol=0.1)


def test_the_same_backbone_is_quantised_once() -> None:
    bundle, backbone = wide_bundle()
    first = bundle_program(bundle, backbone, precision="int8-weights")
    again = bundle_program(bundle, backbone, precision="int8-weights")
    assert again.engine.precision == bundle_program(bundle, backbone).engine.precision
    for one, other in zip(answers(first, bundle), answers(again, bundle), strict=True):
        assert one.raw == other.raw
    with pytest.raises(UsageError, match=r"are in int8-weights already; load it anew for nf4-wei"):
        bundle_program(bundle, backbone, precision="nf4-weights")


def test_convolutional_dinov3_has_linear_layers_too() -> None:
    backbone = tiny_convnext()
    quantise_weights(backbone, "int8-weights")
    assert weight_precision(backbone) == "int8-weights"


@pytest.mark.parametrize("precision", WEIGHT_PRECISIONS)
def test_the_embedded_backbone_has_nothing_to_quantise(precision: str) -> None:
    told = (
        rf"{precision} is of linear layers.*'lite0-trunk' has none.*export MODEL.*--precision int8"
    )
    with pytest.raises(UsageError, match=told.replace("lite0-trunk", load_trunk(LITE0).name)):
        bundle_program(*made("dense"), precision=precision)


def test_a_layer_that_nf4_cannot_hold_is_named() -> None:
    backbone = tiny_vit()
    with pytest.raises(UsageError, match=r"layer model\..* has 2,304 .* 16,384: take .* int8-wei"):
        quantise_weights(backbone, "nf4-weights")
    assert weight_precision(backbone) is None


def test_weights_that_are_not_alike_are_refused() -> None:
    backbone = wide_vit()
    quantise_weights(backbone, "int8-weights")
    layer = linear_layers(backbone)[0]
    layer.weight = nn.Parameter(torch.zeros(layer.weight.shape))
    with pytest.raises(UsageError, match=f"some of {LAYERS} linear layers have other weights"):
        weight_precision(backbone)


def test_without_torchao_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    told = r"precision int8-weights needs the package 'torchao': pip install 'workzone\[quantize\]'"
    with pytest.raises(MissingExtraError, match=told):
        bundle_program(*wide_bundle(), precision="int8-weights")


def test_a_device_that_is_not_there_is_told(folder: Path) -> None:
    bundle = read_bundle(folder / "bundle")
    with pytest.raises(UsageError, match="cannot use the device 'nowhere'"):
        bundle_backbone(
            bundle, weights=folder / "backbone", device="nowhere", precision="int8-weights"
        )


@pytest.mark.parametrize("precision", WEIGHT_PRECISIONS)
def test_a_loaded_model_tells_it(folder: Path, precision: str) -> None:
    predictor = load(folder / "bundle", weights=folder / "backbone", precision=precision)
    [result] = predictor.predict(folder / "street.png")
    assert (result.engine, result.precision) == ("torch", precision)
    [plain] = load(folder / "bundle", weights=folder / "backbone").predict(folder / "street.png")
    assert plain.precision == "float32"
    assert result.probability == pytest.approx(plain.probability, abs=0.2)


def test_the_command_tells_it(folder: Path) -> None:
    options = ("--model", folder / "bundle", "--weights", folder / "backbone", "--json")
    shown = invoke("predict", folder / "street.png", *options, "--precision", "nf4-weights").stdout
    assert '"precision": "nf4-weights"' in shown


def test_exported_programs_keep_their_weights(tmp_path: Path) -> None:
    told = "precision int8-weights is of bundles.*--precision int8"
    with pytest.raises(UsageError, match=told):
        export(*wide_bundle(), tmp_path, [], engine="torch", precision="int8-weights")
    with pytest.raises(UsageError, match=told):
        load(precision="int8-weights")
    check_choice("torch", "int8-weights")
    with pytest.raises(UsageError, match=r"engine onnx does not compute in .*: --engine torch"):
        check_choice("onnx", "nf4-weights")
