"""Which format annotations are of, and its reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from workzone.data.masks.formats.bit_images import read_bit_images
from workzone.data.masks.formats.coco import read_coco_shapes
from workzone.data.masks.formats.cvat import read_cvat
from workzone.data.masks.formats.id_images import read_id_images
from workzone.data.masks.formats.label_studio import read_label_studio
from workzone.data.masks.formats.shapes import Annotations
from workzone.data.masks.formats.yolo import NAMES, read_yolo
from workzone.errors import UsageError, nearest

READERS: Mapping[str, Callable[[Path], Annotations]] = {
    "coco": read_coco_shapes,  # ROADWork's too
    "yolo": read_yolo,
    "cvat": read_cvat,
    "label-studio": read_label_studio,
    "cityscapes": read_id_images,
    "bits": read_bit_images,
}
"""By name of the format."""


def read_annotations(path: Path, form: str = "auto") -> Annotations:
    """Annotations of a format; ``auto`` tells it from names and first characters.

    Raises:
        UsageError: an unknown format, or nothing that is known.
        ManifestError: a file that is not of its format.
    """
    chosen = detect_format(path) if form == "auto" else form
    if chosen not in READERS:
        raise UsageError(f"format {form!r} is unknown; {nearest(form, ['auto', *READERS])}")
    return READERS[chosen](path)


def detect_format(path: Path) -> str:
    """The name of the format at ``path``.

    Raises:
        UsageError: nothing is there, or nothing that is known.
    """
    if path.is_dir():
        if any((path / name).is_file() for name in NAMES):
            return "yolo"
        if next(path.rglob("*_instanceIds.png"), None) or next(path.rglob("*_labelIds.png"), None):
            return "cityscapes"
        if next(path.rglob("*.png"), None):
            return "bits"
    elif path.is_file():
        if path.name in NAMES:
            return "yolo"
        if path.suffix == ".xml":
            return "cvat"
        if path.suffix == ".png":
            return "bits"
        if path.suffix == ".json":
            with path.open("rb") as handle:
                start = handle.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")
            return "label-studio" if start.startswith(b"[") else "coco"
    else:
        raise UsageError(f"nothing at {path}; name a file or folder of annotations")
    raise UsageError(
        f"{path} is of no format that is known; expected are COCO's or Label Studio's .json, "
        "CVAT's .xml, a folder of YOLO labels with data.yaml, or of .png masks"
    )
