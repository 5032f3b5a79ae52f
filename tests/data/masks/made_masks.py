"""A manifest of small grey pictures, for annotations to be laid over."""

from __future__ import annotations

import numpy as np
from PIL import Image

from workzone.data.images import content_hash
from workzone.data.manifest import Manifest, write_manifest
from workzone.types import ImageRef, Sample


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
