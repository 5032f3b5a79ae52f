"""EfficientNet-Lite as published: the networks of :mod:`workzone.backbones.lite`.

The stages of Lite0 are those of EfficientNet-B0 (Tan & Le 2019, arXiv 1905.11946, table 1), and
larger networks are scaled from it. The Lite form, of Google's TensorFlow release
(``models/official/efficientnet/lite`` in ``tensorflow/tpu``), has no squeeze-and-excitation, ReLU6
for swish, and scales neither its ends nor their depth. Padding and the constant of batch
normalisation are TensorFlow's. Tensors have the names and the order of timm's
``tf_efficientnet_lite0``: weight hashes, and the weights that a detector has learned, go by them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from workzone.backbones.names import HEAD_WIDTH, STAGES, Stage

STEM_WIDTH = 32

EPSILON = 1e-3
"""Of batch normalisation."""


class Convolution(nn.Conv2d):
    """Without bias and with TensorFlow's ``same`` padding, for maps whose sides are even.

    At stride 2 that is one cell more at the right and bottom than at the left and top.
    """

    def __init__(
        self, inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inside, outside, kernel, stride, groups=groups, bias=False)
        after = kernel // 2
        before = after - (stride == 2)
        self.around = (before, after, before, after)  # left, right, top, bottom

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``[M, inside, h, w]`` to ``[M, outside, h / stride, w / stride]``."""
        return super().forward(F.pad(maps, self.around))


class Normalisation(nn.BatchNorm2d):
    """Batch normalisation and what follows it: ReLU6, or nothing."""

    def __init__(self, channels: int, *, relu: bool = True) -> None:
        super().__init__(channels, eps=EPSILON)
        self.act = nn.ReLU6() if relu else nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``[M, channels, h, w]`` to the same shape."""
        activated: torch.Tensor = self.act(super().forward(maps))
        return activated


class Separable(nn.Module):
    """The first stage's block: each channel by itself, then all of them at each cell."""

    def __init__(self, inside: int, outside: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = Convolution(inside, inside, kernel, groups=inside)
        self.bn1 = Normalisation(inside)
        self.conv_pw = Convolution(inside, outside, 1)
        self.bn2 = Normalisation(outside, relu=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``[M, inside, h, w]`` to ``[M, outside, h, w]``."""
        result: torch.Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(maps))))
        return result


class InvertedResidual(nn.Module):
    """Expand, convolve each channel by itself, project; with a shortcut where shapes allow it.

    Sandler et al. 2018, "MobileNetV2", arXiv 1801.04381.
    """

    def __init__(
        self, inside: int, outside: int, kernel: int, *, stride: int, expansion: int
    ) -> None:
        super().__init__()
        expanded = expansion * inside
        self.conv_pw = Convolution(inside, expanded, 1)
        self.bn1 = Normalisation(expanded)
        self.conv_dw = Convolution(expanded, expanded, kernel, stride=stride, groups=expanded)
        self.bn2 = Normalisation(expanded)
        self.conv_pwl = Convolution(expanded, outside, 1)
        self.bn3 = Normalisation(outside, relu=False)
        self.shortcut = stride == 1 and inside == outside

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``[M, inside, h, w]`` to ``[M, outside, h / stride, w / stride]``."""
        convolved = self.bn2(self.conv_dw(self.bn1(self.conv_pw(maps))))
        result: torch.Tensor = self.bn3(self.conv_pwl(convolved))
        return maps + result if self.shortcut else result


class EfficientNetLite(nn.Module):
    """The whole network without its classifier."""

    def __init__(self, stages: Sequence[Stage] = STAGES) -> None:
        """Weights as PyTorch draws them; ``stages``: of Lite0 unless given."""
        super().__init__()
        self.conv_stem = Convolution(3, STEM_WIDTH, 3, stride=2)
        self.bn1 = Normalisation(STEM_WIDTH)
        self.blocks = nn.Sequential()
        inside = STEM_WIDTH
        for stage in stages:
            self.blocks.append(_blocks(inside, stage))
            inside = stage.channels
        self.conv_head = Convolution(inside, HEAD_WIDTH, 1)
        self.bn2 = Normalisation(HEAD_WIDTH)

    def randomise(self) -> None:
        """Draw weights that keep the spread of signals through the depth."""
        for module in self.modules():
            if isinstance(module, Convolution):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        """``[M, 3, S, S]`` to ``[M, 1280, S / 32, S / 32]``, for S a multiple of 32."""
        maps = self.blocks(self.bn1(self.conv_stem(normalised)))
        features: torch.Tensor = self.bn2(self.conv_head(maps))
        return features


def _blocks(inside: int, stage: Stage) -> nn.Sequential:
    """One stage's blocks, for maps of ``inside`` channels."""
    if stage.expansion == 1:  # has one block
        return nn.Sequential(Separable(inside, stage.channels, stage.kernel))
    blocks = [
        InvertedResidual(
            stage.channels if number else inside,
            stage.channels,
            stage.kernel,
            stride=1 if number else stage.stride,
            expansion=stage.expansion,
        )
        for number in range(stage.blocks)
    ]
    return nn.Sequential(*blocks)
