"""Annotations in COCO's form, read once for labels and for masks.

Files come out of many tools: ids are text here and numbers there, corners come flat or as pairs,
and something is always missing. What can be read for sure is read; the rest is passed over and
counted, and an image knows whether all that is annotated of it was understood.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from workzone.data.masks import rle
from workzone.data.masks.formats.coco_values import (
    box_of,
    counts_of,
    get,
    is_outside,
    number_of,
    outlines_of,
    polygon_of,
    short,
    size_of,
)
from workzone.data.masks.formats.shapes import AnnotatedImage, Annotations, Polygon, Shape
from workzone.data.masks.formats.text import read_bytes
from workzone.data.masks.objects import MaskSource
from workzone.errors import ManifestError

LISTS = ("images", "annotations", "categories")
OWN = "workzone"
"""The key under which our own export keeps what COCO has no place for."""

_WHOLE = re.compile(r"(-?\d+)\.0+")
_PADDED = re.compile(r"0+(?=\d+$)", re.ASCII)
_ONE = {
    **{"annotations": "annotation", "categories": "category"},
    **{"have": "has", "fit": "fits", "are": "is", "give": "gives"},
    **{"their": "its"},
}
"""Words of a fault, as they are said of one."""
_EXAMPLES = 3  # of a fault, in its warning


@dataclass(frozen=True, slots=True)
class CocoObject:
    """One annotation that fits an image."""

    category: str | None  # its name; None: the file does not tell it
    polygons: tuple[Polygon, ...] = ()
    counts: bytes | None = None  # of a run-length mask
    box: rle.BoxXYXY | None = None
    complete: bool = False  # whether polygons or mask are all there is of it
    crowd: bool = False
    score: float | None = None
    row: Mapping[str, Any] = field(default_factory=dict)  # as the file has it

    def to_shape(self) -> Shape | None:
        """What is known of where it is; None: nothing, or no category."""
        if self.category is None or not (self.complete or self.box):
            return None
        shape = Shape(
            self.category,
            self.polygons if self.complete else (),
            self.counts if self.complete else None,
            self.box,
            self.score,
            self.crowd,
        )
        own = self.row.get(OWN)
        if not isinstance(own, Mapping):
            return shape
        box = own.get("box")
        exact = box if isinstance(box, list) and len(box) == 4 else ()
        edges = [edge for edge in map(number_of, exact) if edge is not None]
        return replace(
            shape,
            knowledge=own.get("knowledge"),
            named=own.get("category"),
            box=(edges[0], edges[1], edges[2], edges[3]) if len(edges) == 4 else self.box,
        )


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One entry of ``images`` with what is annotated of it."""

    row: Mapping[str, Any]  # as the file has it
    id: str | None  # see `as_id`
    size: tuple[int, int] | None  # height and width in pixels; None: not told
    objects: tuple[CocoObject, ...]
    ambiguous: bool  # whether other images, of other files, have the same id


@dataclass(frozen=True, slots=True)
class Orphan:
    """One annotation that fits no image."""

    image_id: str | None  # None: it names none
    category: str | None


@dataclass(frozen=True, slots=True)
class Coco:
    """What a file holds, in its order."""

    images: tuple[CocoImage, ...]
    by_id: Mapping[str, CocoImage]  # those whose id is theirs alone
    categories: tuple[str, ...]  # names
    annotations: int  # how many there are
    orphans: tuple[Orphan, ...]  # those that fit no image
    warnings: tuple[str, ...]
    source: MaskSource | None = None  # of our own exports


def as_id(value: Any) -> str | None:
    """An id as text that is the same for 7, 7.0, "7" and "7.0"; None: it is no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = int(value) if value.is_integer() else value
    text = str(value).strip()
    whole = _WHOLE.fullmatch(text)
    return (whole[1] if whole else text) or None


class _Ids:
    """Ids of images or categories, to be found with or without zeros in front of a number."""

    def __init__(self, ids: Collection[str | None]) -> None:
        self._ids = ids
        self._bare: dict[str, list[str]] = defaultdict(list)
        for each in ids:
            if each is not None:
                self._bare[_PADDED.sub("", each, count=1)].append(each)

    def find(self, value: Any) -> str | None:
        """The id that a value means: written alike, else but for zeros; None: none, or several."""
        written = as_id(value)
        if written is None or written in self._ids:
            return written
        alike = self._bare.get(_PADDED.sub("", written, count=1), [])
        return alike[0] if len(alike) == 1 else None


def read_coco(path: Path) -> Coco:
    """Read a file, once per version of it.

    Raises:
        ManifestError: it is missing, or is not COCO-like JSON.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ManifestError(f"no annotations at {path}; name another file") from error
    return _read(str(path), status.st_mtime_ns, status.st_size)


def read_coco_shapes(path: Path) -> Annotations:
    """The same as shapes by image, as all readers give them.

    Images whose id others have too are passed over.

    Raises:
        ManifestError: it is missing, or is not COCO-like JSON.
    """
    coco = read_coco(path)
    images = tuple(_shapes(image, path) for image in coco.images if not image.ambiguous)
    return Annotations(path, images, coco.categories, coco.warnings, coco.source)


def coco_image(path: Path, image_id: str) -> AnnotatedImage:
    """The shapes of one image.

    Raises:
        ManifestError: as `read_coco`, or not exactly one image has this id.
    """
    image = read_coco(path).by_id.get(as_id(image_id) or "")
    if image is None:
        raise ManifestError(
            f"{path} has no image with id {image_id!r}, or several; import the set again"
        )
    return _shapes(image, path)


def _shapes(image: CocoImage, path: Path) -> AnnotatedImage:
    where = f"{path} image {image.id}"
    shapes, wrong = [], []
    for item in image.objects:
        shape = item.to_shape()
        if shape is None:
            told = item.category or "an object of no category"
            wrong.append((item.category, f"{where}: {told} has no outline or box that can be read"))
        else:
            shapes.append(shape)
    own = image.row.get(OWN)
    return AnnotatedImage(
        str(image.row.get("file_name", "")),
        where,
        image.size,
        tuple(shapes),
        tuple(wrong),
        _looked(own.get("looked")) if isinstance(own, Mapping) else None,
    )


def _looked(value: Any) -> dict[str, float | None] | None:
    """Classes that were looked for, as our own export tells them; None: it tells none."""
    if not isinstance(value, Mapping):
        return None
    return {str(name): number_of(presence) for name, presence in value.items()}


@lru_cache(maxsize=4)
def _read(path: str, _modified: int, _size: int) -> Coco:
    data = _load(Path(path))
    faults = _Faults(Path(path))
    names = dict(_categories(data["categories"], faults))
    files: dict[str | None, set[str]] = defaultdict(set)  # by id, of its images
    for image in data["images"]:
        files[as_id(get(image, "id"))].add(str(get(image, "file_name")))
    sizes = {as_id(get(image, "id")): size_of(image) for image in data["images"]}
    image_ids, category_ids = _Ids(files), _Ids(names)
    objects: dict[str, list[CocoObject]] = defaultdict(list)
    orphans = []
    for number, annotation in enumerate(data["annotations"]):
        named = as_id(get(annotation, "image_id"))
        image_id = image_ids.find(named)
        key = category_ids.find(get(annotation, "category_id"))
        category = None if key is None else names.get(key)
        where = f"annotation {number}"
        if image_id is None:
            orphans.append(Orphan(named, category))
        if named is None:
            faults.add("annotations have no image_id and are passed over", where)
        elif image_id is None:
            shown = f"{where} (image_id {short(named)})"
            faults.add("annotations fit no image of the file and are passed over", shown)
        else:
            made = _object(annotation, category, sizes[image_id], faults, where)
            objects[image_id].append(made)
    for image_id, owners in files.items():
        if image_id is not None and len(owners) > 1:
            shown = f"id {short(image_id)} of {' and '.join(map(short, sorted(owners)[:3]))}"
            faults.add("images have an id that others have too", shown, len(owners))
    images = tuple(
        CocoImage(
            row=image if isinstance(image, Mapping) else {},
            id=(image_id := as_id(get(image, "id"))),
            size=size_of(image),
            objects=tuple(objects.get(image_id or "", ())),
            ambiguous=len(files[image_id]) > 1,
        )
        for image in data["images"]
    )
    return Coco(
        images=images,
        by_id={i.id: i for i in images if i.id is not None and not i.ambiguous},
        categories=tuple(sorted(set(names.values()))),
        annotations=len(data["annotations"]),
        orphans=tuple(orphans),
        warnings=tuple(faults.sentences()),
        source=_source(data.get("info"), Path(path)),
    )


def _source(info: Any, path: Path) -> MaskSource | None:
    own = get(info, OWN)
    if own is None:
        return None
    try:
        return MaskSource.from_json(own)
    except ValueError as error:
        raise ManifestError(f"{path}: info.{OWN}: {error}; export it again") from error


def _load(path: Path) -> dict[str, Any]:
    content = read_bytes(path)
    try:
        data = json.loads(content)  # of bytes, the encoding is told by their beginning
    except (ValueError, RecursionError) as error:
        lines = content.split(b"\n", 2)
        if "Extra data" in str(error) and all(line.strip()[:1] == b"{" for line in lines[:2]):
            raise ManifestError(
                f"{path} holds an object a line (JSON Lines); a COCO file is one object with the "
                f"lists {', '.join(LISTS)}"
            ) from error
        raise ManifestError(
            f"{path} is not readable JSON: {error}; fetch or unpack it again"
        ) from error
    for key in LISTS:
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise ManifestError(f"{path} has no list {key!r}; it is not a COCO file")
    return dict(data)


@dataclass
class _Faults:
    """What is wrong in a file: how often, and where first."""

    file: Path
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, fault: str, where: str, count: int = 1) -> None:
        self.counts[fault] += count
        if len(self.examples[fault]) < _EXAMPLES:
            self.examples[fault].append(where)

    def sentences(self) -> Iterator[str]:
        for fault, count in self.counts.items():
            told = fault if count != 1 else " ".join(_ONE.get(w, w) for w in fault.split(" "))
            yield f"{self.file}: {count} {told}: {', '.join(self.examples[fault])}"


def _categories(entries: list[Any], faults: _Faults) -> Iterator[tuple[str, str]]:
    for number, entry in enumerate(entries):
        key, name = as_id(get(entry, "id")), get(entry, "name")
        if key is None or not isinstance(name, str) or not name.strip():
            faults.add("categories have no id or no name", f"category {number}")
        else:
            yield key, name.strip()


def _object(
    annotation: Mapping[str, Any],
    category: str | None,
    size: tuple[int, int] | None,
    faults: _Faults,
    where: str,
) -> CocoObject:
    if category is None:
        shown = f"{where} (category_id {short(annotation.get('category_id'))})"
        faults.add("annotations have no category that the file lists", shown)
    segmentation = annotation.get("segmentation")
    box = box_of(annotation.get("bbox"), size)
    score = number_of(annotation.get("score"))
    found = CocoObject(
        category,
        box=box,
        crowd=get(annotation, "iscrowd") in (1, True, "1"),
        score=score if score is not None and 0 <= score <= 1 else None,
        row=annotation,
    )
    gives = "give no masks" if box is None else "are known by their box alone"
    if isinstance(segmentation, Mapping):
        try:
            counts = counts_of(segmentation, size)
        except ValueError as error:
            fault = f"annotations have run lengths that cannot be read and {gives}"
            faults.add(fault, f"{where} ({error})")
            return found
        return replace(found, counts=counts, complete=True)
    polygons, complete = [], True
    for corners in outlines_of(segmentation):
        polygon = polygon_of(corners)
        if polygon is None or (size is not None and is_outside(polygon, size)):
            complete = False
        elif len(polygon) >= 3:
            polygons.append(polygon)
    if not complete:
        faults.add(f"annotations have polygons that cannot be read and {gives}", where)
    elif not polygons:
        faults.add(f"annotations have no polygon and {gives}", where)
    return replace(found, polygons=tuple(polygons), complete=complete and bool(polygons))
