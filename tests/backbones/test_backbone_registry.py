from __future__ import annotations

import pytest

from workzone.backbones.registry import BACKBONES, canonical_name, list_backbones, load_backbone
from workzone.errors import UsageError


def test_hub_ids_and_short_names_mean_the_same() -> None:
    assert canonical_name("facebook/dinov3-vits16-pretrain-lvd1689m") == "dinov3-vits16"
    assert [canonical_name(name) for name in BACKBONES] == list(BACKBONES)
    assert canonical_name("timm:resnet18") == "timm:resnet18"


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match=r"unknown backbone 'dinov3-vit16'; did you mean 'dino"):
        load_backbone("dinov3-vit16")
    with pytest.raises(UsageError, match=r"allowed: .*lite0.*timm:<model>"):
        load_backbone("xyz")


def test_contradictions() -> None:
    with pytest.raises(UsageError, match="'dinov3-vits16': give weights or ask for random"):
        load_backbone("dinov3-vits16", weights="folder", random=True)
    with pytest.raises(UsageError, match=r"'lite0' carries its own weights.*timm:tf_efficientnet"):
        load_backbone("lite0", weights="file")


def test_the_table() -> None:
    table = {row.name: row for row in list_backbones()}
    assert tuple(table) == BACKBONES
    assert table["lite0"].hub_id is None
    assert table["lite0"].parameters == 3_371_008
    huge = table["dinov3-vith16plus"]
    assert huge.hub_id == "facebook/dinov3-vith16plus-pretrain-lvd1689m"
    assert (huge.width, huge.multiple, huge.parameters) == (1280, 16, 840_592_640)
    assert huge.licence == "DINOv3 License"
    assert table["dinov3-vit7b16"].width == 4096
    assert table["dinov3-convnext-large"].width == 1536
