"""COCO's JSON of what a mask store holds; what COCO has no place for is kept under ``workzone``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workzone.data.masks import rle
from workzone.data.masks.formats.coco import OWN
from workzone.data.masks.objects import ImageMasks, MaskSource
from workzone.files import write_text
from workzone.types import OBJECT_CLASSES


def write_coco(
    path: Path,
    images: Iterable[ImageMasks],
    source: MaskSource,
    file_names: Mapping[str, str] | None = None,
) -> int:
    """Write images as one file; read again, they are the same.

    Masks are compressed run lengths; that of a mere box is the filled box, and its ``workzone``
    says so.

    Args:
        path: of the file.
        images: of one source, or merged.
        source: who says it.
        file_names: of the images, by id; the id where there is none.

    Returns:
        How many objects were written.
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, masks in enumerate(images, 1):
        listed.append(
            {
                "id": number,
                "file_name": (file_names or {}).get(masks.id, masks.id),
                "height": masks.height,
                "width": masks.width,
                OWN: {"id": masks.id, "looked": dict(masks.looked)},
            }
        )
        for item in masks.objects:
            left, top, right, bottom = item.box
            entry: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": OBJECT_CLASSES.index(item.name) + 1,
                "segmentation": {
                    "size": [masks.height, masks.width],
                    "counts": item.counts.decode("ascii"),
                },
                "area": rle.area(item.counts),
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": int(item.crowd),
                OWN: {
                    "knowledge": item.knowledge,
                    "category": item.category,
                    "box": list(item.box),
                },
            }
            if item.score is not None:
                entry["score"] = item.score
            annotations.append(entry)
    data = {
        "info": {"description": "object masks of road work", OWN: source.to_json()},
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for n, name in enumerate(OBJECT_CLASSES, 1)],
    }
    write_text(path, json.dumps(data, allow_nan=False) + "\n")
    return len(annotations)
