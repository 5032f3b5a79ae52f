"""Label Studio's export as JSON: tasks with boxes, outlines and ellipses in percent, and brushes.

A brush's ``rle`` is a stream of bits, of an RGBA image whose alpha is the mask: 32 bits for the
number of values, 5 for the bits of a value less one, four times 4 for the bits of lengths less one;
then runs: one bit for whether a value repeats, two for which of the lengths, the length less one,
and the value or values (``decode_rle`` of ``label_studio_sdk.converter.brush`` reads the same).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import numpy.typing as npt

from workzone.data.masks import rle
from workzone.data.masks.formats.cvat import turned
from workzone.data.masks.formats.shapes import AnnotatedImage, Annotations, Shape, Size
from workzone.data.masks.formats.text import read_json
from workzone.errors import ManifestError

_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
_ELLIPSE = 72  # corners that stand for one


def read_label_studio(path: Path) -> Annotations:
    """The tasks of an export that somebody has annotated.

    Of several annotations of a task the ground truth counts, else the last; cancelled ones do not.

    Raises:
        ManifestError: it is no such JSON.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ManifestError(f"{path} is no export of Label Studio: it is no list of tasks")
    if not any("annotations" in task and "data" in task for task in tasks):
        raise ManifestError(
            f"{path} has no tasks with data and annotations; export it as JSON, not as JSON-MIN"
        )
    images, idle = [], 0
    for number, task in enumerate(tasks):
        annotation = _chosen(task.get("annotations"))
        if annotation is None:
            idle += 1
        else:
            images.append(_image(task, annotation, f"{path} task {task.get('id', number)}"))
    if not images:
        raise ManifestError(f"{path}: not one of its {len(tasks)} tasks has an annotation")
    warnings = [f"{path}: {idle} tasks have no annotation and are passed over"] if idle else []
    return Annotations(path, tuple(images), None, tuple(warnings))


def _chosen(annotations: Any) -> Mapping[str, Any] | None:
    if not isinstance(annotations, list):
        return None
    kept = [
        item
        for item in annotations
        if isinstance(item, dict)
        and not item.get("was_cancelled")
        and isinstance(item.get("result"), list)
    ]
    truths = [item for item in kept if item.get("ground_truth")]
    chosen = truths or kept
    return chosen[-1] if chosen else None


def _image(task: Mapping[str, Any], annotation: Mapping[str, Any], where: str) -> AnnotatedImage:
    shapes: list[Shape] = []
    wrong: list[tuple[str | None, str]] = []
    sizes: set[Size] = set()
    for result in annotation["result"]:
        if not isinstance(result, dict) or result.get("type") not in _KINDS:
            continue
        try:
            size = int(result["original_height"]), int(result["original_width"])
            if result.get("image_rotation"):
                raise ValueError("its image was turned in Label Studio; turn it back, export again")
            shapes += _shapes(result["type"], result["value"], size)
            sizes.add(size)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            told = f"no {error}" if isinstance(error, KeyError) else str(error)
            wrong.append((None, f"{where}: {result['type']}: {told}"))
    if len(sizes) > 1:
        wrong.append((None, f"{where}: its shapes are of images of different sizes"))
    told_size = sizes.pop() if len(sizes) == 1 else None
    return AnnotatedImage(_name(task.get("data")), where, told_size, tuple(shapes), tuple(wrong))


def _name(data: Any) -> str:
    """The file that a task shows: of a local file ``?d=``, of an upload without its prefix."""
    values = [v for v in (data.values() if isinstance(data, dict) else ()) if isinstance(v, str)]
    address = data.get("image", values[0] if values else "") if isinstance(data, dict) else ""
    if not isinstance(address, str):
        return ""
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    path = local[0] if local else unquote(parts.path)
    folder, slash, name = path.rpartition("/")
    if "/data/upload/" in path:
        return _UPLOADED.sub("", name)
    return f"{folder}{slash}{name}"


def _shapes(kind: str, value: Mapping[str, Any], size: Size) -> list[Shape]:
    labels = value[kind]
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{kind} is no list of names")
    if kind == "brushlabels":
        counts = rle.encode(read_brush(value["rle"], size))
        return [Shape(label, counts=counts) for label in labels]
    scale = np.array([size[1], size[0]]) / 100
    if kind == "polygonlabels":
        corners = _finite(value["points"]) * scale
        return [Shape(label, (corners,)) for label in labels]
    angle = math.radians(float(value.get("rotation") or 0))
    x, y = (_finite([value["x"], value["y"]]) * scale).tolist()
    if kind == "ellipselabels":
        radii = _finite([value["radiusX"], value["radiusY"]]) * scale
        turns = np.linspace(0, 2 * math.pi, _ELLIPSE, endpoint=False)
        corners = np.stack([np.cos(turns), np.sin(turns)], axis=1) * radii + (x, y)
        return [Shape(label, (turned(corners, (x, y), angle),)) for label in labels]
    across, down = (_finite([value["width"], value["height"]]) * scale).tolist()
    corners = np.array([[x, y], [x + across, y], [x + across, y + down], [x, y + down]])
    corners = turned(corners, (x, y), angle)  # about its first corner
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return [Shape(label, box=(x0, y0, x1, y1)) for label in labels]


def _finite(values: Any) -> npt.NDArray[np.float64]:
    array = np.array(values, np.float64)
    if not np.isfinite(array).all():
        raise ValueError("not all its numbers are finite")
    return array


def read_brush(stream: Any, size: Size) -> npt.NDArray[np.bool_]:
    """The mask ``[h, w]`` of a brush.

    Raises:
        ValueError: a stream that is damaged, ends too early, or is of another size.
    """
    if not isinstance(stream, list) or not all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 256 for v in stream
    ):
        raise ValueError("rle is no list of bytes")
    bits = "".join(f"{byte:08b}" for byte in stream)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        if place > len(bits):
            raise ValueError("rle ends too early")
        return int(bits[place - count : place], 2)

    total = read(32)
    if total != 4 * size[0] * size[1]:
        raise ValueError(
            f"rle is of {total / 4:g} pixels, an image of {size[1]} x {size[0]} has "
            f"{size[0] * size[1]}"
        )
    word = read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint8)
    done = 0
    while done < total:
        repeats = read(1)
        length = 1 + read(lengths[read(2)])
        if done + length > total:
            raise ValueError("rle has more values than it tells")
        if repeats:
            values[done : done + length] = min(read(word), 255)
        else:
            values[done : done + length] = [min(read(word), 255) for _ in range(length)]
        done += length
    return values.reshape(*size, 4)[..., 3] > 0
