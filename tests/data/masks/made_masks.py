"""Small grey pictures, annotations of them, and masks."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
from PIL import Image

from workzone.data.images import content_hash
from workzone.data.manifest import Manifest, write_manifest
from workzone.data.masks.formats.detect import read_annotations
from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource
from workzone.data.masks.store import write_masks
from workzone.types import OBJECT_CLASSES, ImageRef, Sample


def pictures(folder, *names, width=20, height=12, labels=None, orientation=1):
    """Pictures ``images/NAME.jpg`` with ids NAME, and ``m.parquet`` of them."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    samples = []
    for number, name in enumerate(names):
        path = folder / "images" / f"{name}.jpg"
        image = Image.new("RGB", (width, height), (90, 90, 90 + number))
        exif = image.getexif()
        if orientation != 1:
            exif[0x0112] = orientation
        image.save(path, exif=exif)
        label = labels[number] if labels else 1
        reference = ImageRef(f"images/{name}.jpg")
        data = path.read_bytes()
        samples.append(Sample(name, reference, label=label, content_hash=content_hash(data)))
    manifest = Manifest(samples, folder)
    write_manifest(manifest, folder / "m.parquet")
    return manifest


def area(top, bottom, left, right, *, width=20, height=12):
    """A mask bool [height, width] of a rectangle."""
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


CATEGORIES = [{"id": 1, "name": "Cone"}, {"id": 2, "name": "drum"}, {"id": 3, "name": "car"}]


def coco(folder, *annotations, images=(("a.jpg", 20, 12),), name="c.json"):
    data = {
        "images": [
            {"id": number, "file_name": file, "width": width, "height": height}
            for number, (file, width, height) in enumerate(images)
        ],
        "annotations": [{"image_id": 0, "category_id": 1, **one} for one in annotations],
        "categories": CATEGORIES,
    }
    (folder / name).write_text(json.dumps(data))
    return read_annotations(folder / name)


def outline(left, top, right, bottom):
    return {"segmentation": [[left, top, right, top, right, bottom, left, bottom]]}


def build(folder, said, *, knowledge="pseudo", labels=None, looked=None):
    """A manifest of pictures of 20 x 12, with what a source says of each: name to objects."""
    manifest = pictures(folder, *said, labels=labels)
    looked = looked or dict.fromkeys(OBJECT_CLASSES, 0.9)
    images = [ImageMasks(name, 12, 20, looked, tuple(objects)) for name, objects in said.items()]
    write_masks(folder / "s", MaskSource(knowledge, "model"), images)
    samples = [dataclasses.replace(s, masks=f"s#{s.id}") for s in manifest]
    return manifest.with_samples(samples)


def cone(mask, score=0.9, **more):
    return MaskObject.from_mask("cone", "pseudo", mask, score=score, **more)
