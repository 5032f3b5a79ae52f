"""The ROADWork data set (Carnegie Mellon University, ICCV 2025, arXiv 2406.07661).

COCO-like files ``instances_{train,val}_{gps_split,pittsburgh_only}.json``: images carry
``scene_level_tags``, ``scene_description``, ``gps`` ([latitude, longitude]) and ``video_info``;
annotations carry polygons. Data licence: ODC-By 1.0.

An image is labelled

* 1 where an object of a work zone is annotated (police alone is none), travel is said to be
  altered, or the scene is described (the set describes work zones only);
* 0 where none of these holds and ``travel_alteration`` says ``None``;
* not at all where the file says neither.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workzone.data.masks import class_of_category, is_known_category, polygons_of
from workzone.data.sources.columns import ColumnMap, map_columns
from workzone.data.sources.paths import resolve_image, with_slashes
from workzone.data.sources.record import Record, Source
from workzone.data.sources.values import as_tag, as_text
from workzone.errors import ManifestError, UsageError, nearest
from workzone.types import ImageRef

PUBLISHED_SPLITS = ("gps_split", "pittsburgh_only")
"""100 m apart in all cities; trained on Pittsburgh and validated on the other cities."""

_POLICE = frozenset({"Police Officer", "Police Vehicle"})
_TRAVEL = "scene_level_tags.travel_alteration"


def find_annotations(path: Path, split: str) -> dict[str, Path]:
    """By ``train`` and ``val``, the annotation file of a published split at or below ``path``."""
    found = {}
    for part in ("train", "val"):
        files = sorted(path.rglob(f"instances_{part}_{split}.json"), key=lambda f: len(f.parts))
        if files:
            found[part] = files[0]
    return found


def open_roadwork(path: Path, split: str | None) -> Source:
    """The images of a published split (``gps_split`` where none is named).

    Raises:
        UsageError: an unknown split, or its files are not there.
        ManifestError: a file that is not COCO-like JSON.
    """
    split = split or PUBLISHED_SPLITS[0]
    if split not in PUBLISHED_SPLITS:
        raise UsageError(f"split {split!r} is unknown; {nearest(split, PUBLISHED_SPLITS)}")
    files = find_annotations(path, split)
    if not files:
        raise UsageError(
            f"{path} holds no instances_train_{split}.json or instances_val_{split}.json; "
            "unpack annotations.zip there"
        )
    warnings = [
        f"{path}: instances_{part}_{split}.json is not there; only the other part is read"
        for part in ("train", "val")
        if part not in files
    ]
    parts = {part: _load(file) for part, file in files.items()}
    for part, data in parts.items():
        warnings += _check(data, files[part])
    columns = _columns(next(iter(parts.values())), path)

    def records() -> Iterator[Record]:
        for part, data in parts.items():
            yield from _records(data, part=part, file=files[part], source=path, columns=columns)

    total = sum(len(data["images"]) for data in parts.values())
    named = columns.source_columns() | {
        "id": "file_name",
        "label": f"annotations, {_TRAVEL}, scene_description",
    }
    return Source("roadwork", total, records, named, tuple(warnings))


def _load(file: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ManifestError(f"{file} is not readable JSON: {error}") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise ManifestError(f"{file} has no list {key!r}; it is not a COCO file")
    return data


def _check(data: Mapping[str, Any], file: Path) -> list[str]:
    unknown = sorted(c["name"] for c in data["categories"] if not is_known_category(c["name"]))
    warnings = [f"{file}: category {name!r} is unknown and gives no masks" for name in unknown]
    bare = sum(1 for a in data["annotations"] if not any(polygons_of(a)))
    if bare:
        warnings.append(f"{file}: {bare} annotations have no polygon and give no masks")
    return warnings


def _columns(data: Mapping[str, Any], path: Path) -> ColumnMap:
    names = dict.fromkeys(name for image in data["images"] for name in _flat(image))
    return map_columns(names, {"image": "file_name"} if names else None, where=str(path))


def _flat(image: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in image.items():
        if isinstance(value, Mapping) and name != "gps":
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _records(
    data: Mapping[str, Any], *, part: str, file: Path, source: Path, columns: ColumnMap
) -> Iterator[Record]:
    categories = {c["id"]: c["name"] for c in data["categories"]}
    objects: dict[Any, Counter[str]] = defaultdict(Counter)
    for annotation in data["annotations"]:
        name = categories.get(annotation["category_id"], "unknown")
        objects[annotation["image_id"]][name] += 1
    folder = _image_folder(data, file, source)
    for number, image in enumerate(data["images"]):
        row = _flat(image)
        values, extra = columns.apply(row)
        name = as_text(values.pop("image", None))
        where = f"{file.name} image {number}"
        if name is None or "id" not in image:
            yield Record(where, where, None, problem=("missing", "no id or file_name"))
            continue
        seen = objects[image["id"]]
        if any(class_of_category(category) for category in seen):
            values["masks"] = f"{file}#{image['id']}"
        values |= {"id": Path(with_slashes(name)).stem, "split": part, "label": _label(row, seen)}
        extra["image_id"] = str(image["id"])
        if seen:
            extra["objects"] = ", ".join(f"{n} {c}" for c, n in sorted(seen.items()))
        yield Record(name, where, ImageRef(resolve_image(folder, name)), values, extra)


def _label(row: Mapping[str, Any], objects: Mapping[str, int]) -> int | None:
    travel = as_tag(row.get(_TRAVEL))
    if (
        any(class_of_category(name) and name not in _POLICE for name in objects)
        or (travel is not None and travel != "None")
        or as_text(row.get("scene_description")) is not None
    ):
        return 1
    return 0 if travel == "None" else None


def _image_folder(data: Mapping[str, Any], file: Path, source: Path) -> Path:
    """Where the images lie: beside the annotations' folder, in it, or below the source."""
    candidates = [
        *(file.parent.parent / "images", file.parent / "images", source / "images"),
        *(file.parent.parent, source),
    ]
    names = [image["file_name"] for image in data["images"][:20] if image.get("file_name")]
    for folder in candidates:
        if any(Path(resolve_image(folder, name)).is_file() for name in names):
            return folder
    return candidates[0]
