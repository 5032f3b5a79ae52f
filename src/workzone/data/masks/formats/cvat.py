"""CVAT for images 1.1: one XML file with boxes, outlines, ellipses and masks in pixels.

A mask's ``rle`` are lengths of runs of zeros and ones by turns, row by row within its box, zeros
first (https://docs.cvat.ai/docs/manual/advanced/xml_format/).
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from workzone.data.masks import rle
from workzone.data.masks.formats.shapes import AnnotatedImage, Annotations, Polygon, Shape, Size
from workzone.data.masks.formats.text import read_text
from workzone.errors import ManifestError

_SHAPES = ("box", "polygon", "ellipse", "mask")
_OTHERS = ("polyline", "points", "cuboid", "skeleton")
_ELLIPSE = 72  # corners that stand for one


def read_cvat(path: Path) -> Annotations:
    """The images of an export.

    Raises:
        ManifestError: it is no such XML, or an export for video.
    """
    content = read_text(path)
    if "<!DOCTYPE" in content or "<!ENTITY" in content:
        raise ManifestError(f"{path} defines entities, which no export of CVAT does")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314  # no entities, see above
    except ElementTree.ParseError as error:
        raise ManifestError(f"{path} is no whole XML: {error}; export it again") from error
    if root.tag != "annotations":
        raise ManifestError(f"{path} is no export of CVAT: its root is <{root.tag[:40]}>")
    if root.find("track") is not None:
        raise ManifestError(
            f"{path} is of the format CVAT for video; export it as CVAT for images 1.1"
        )
    labels = [name.text or "" for name in root.findall("meta//labels/label/name")]
    images = tuple(
        _image(element, number, path) for number, element in enumerate(root.iter("image"))
    )
    if not images:
        raise ManifestError(f"{path} has no images; export it as CVAT for images 1.1")
    passed = sum(len(list(root.iter(tag))) for tag in _OTHERS)
    warnings = [f"{path}: {passed} lines, points or cuboids give no masks"] if passed else []
    return Annotations(path, images, tuple(labels) or None, tuple(warnings))


def _image(element: ElementTree.Element, number: int, path: Path) -> AnnotatedImage:
    where = f"{path} image {element.get('id') or number}"
    name = element.get("name", "")
    wrong: list[tuple[str | None, str]] = []
    try:
        size = int(element.get("height", "")), int(element.get("width", ""))
        if min(size) < 1:
            raise ValueError(size)
    except ValueError:
        return AnnotatedImage(name, where, None, (), ((None, f"{where} has no width and height"),))
    shapes = []
    for child in element:
        if child.tag not in _SHAPES:
            continue
        try:
            shapes.append(_shape(child, size))
        except (KeyError, ValueError) as error:
            told = f"no {error}" if isinstance(error, KeyError) else str(error)
            wrong.append((child.get("label"), f"{where}: <{child.tag}>: {told}"))
    return AnnotatedImage(name, where, size, tuple(shapes), tuple(wrong))


def _shape(element: ElementTree.Element, size: Size) -> Shape:
    values = element.attrib
    label = values["label"]
    if element.tag == "polygon":
        pairs = [pair.split(",") for pair in values["points"].split(";")]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError("points are not x,y;x,y;...")
        return Shape(label, (np.array([[_number(v) for v in pair] for pair in pairs]),))
    if element.tag == "mask":
        return Shape(label, counts=_mask(values, size))
    angle = math.radians(_number(values.get("rotation", "0")))
    if element.tag == "ellipse":
        x, y, across, down = (_number(values[name]) for name in ("cx", "cy", "rx", "ry"))
        turns = np.linspace(0, 2 * math.pi, _ELLIPSE, endpoint=False)
        corners = np.stack([x + across * np.cos(turns), y + down * np.sin(turns)], axis=1)
        return Shape(label, (turned(corners, (x, y), angle),))
    left, top, right, bottom = (_number(values[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
    if not angle:
        return Shape(label, box=(left, top, right, bottom))
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    around = turned(corners, ((left + right) / 2, (top + bottom) / 2), angle)
    (x0, y0), (x1, y1) = around.min(axis=0).tolist(), around.max(axis=0).tolist()
    return Shape(label, box=(x0, y0, x1, y1))


def turned(corners: Polygon, centre: tuple[float, float], angle: float) -> Polygon:
    """Corners turned clockwise, as seen, about a point; radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, sin], [-sin, cos]])
    turned_corners: Polygon = (corners - centre) @ rotation + centre
    return turned_corners


def _mask(values: dict[str, str], size: Size) -> bytes:
    left, top, width, height = (int(values[name]) for name in ("left", "top", "width", "height"))
    if min(width, height) < 1 or left < 0 or top < 0:
        raise ValueError("a mask's box lies in the frame and has pixels")
    if top + height > size[0] or left + width > size[1]:
        raise ValueError(f"a mask's box goes beyond the frame of {size[1]} x {size[0]} pixels")
    runs = [int(run) for run in values["rle"].split(",")]
    if min(runs) < 0 or sum(runs) != width * height:
        raise ValueError(f"rle is of {sum(runs)} pixels, its box has {width * height}")
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask = np.zeros(size, np.bool_)
    mask[top : top + height, left : left + width] = pixels.reshape(height, width)
    return rle.encode(mask)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number
