"""How many floating-point operations a photograph costs the backbone, counted."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from workzone.backbones.base import Backbone
from workzone.decide.description import Description

PHOTO = (1280, 720)
"""Width and height, in pixels, of the photograph that is counted."""


def photo_operations(description: Description, backbone: Backbone) -> int:
    """Operations of the views that are read of a photograph of `PHOTO`; a multiply-add is two."""
    layout = description.spec.layout
    rows, columns = layout.shape(*PHOTO)
    shapes = [(rows, columns)] + ([(rows // 2, columns // 2)] if layout.halves else [])
    counting = copy.deepcopy(backbone).to("meta")  # oneDNN's convolutions are not counted
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for shape in shapes:
            counting(torch.empty(1, 3, *shape, dtype=torch.uint8, device="meta"))
    return int(counter.get_total_flops()) * description.views_read
