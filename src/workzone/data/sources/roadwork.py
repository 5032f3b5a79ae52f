"""The ROADWork data set (Carnegie Mellon University, ICCV 2025, arXiv 2406.07661).

COCO-like files ``instances_{train,val}_{gps_split,pittsburgh_only}.json``: images carry
``scene_level_tags``, ``scene_description``, ``gps`` ([latitude, longitude]) and ``video_info``;
annotations carry polygons. Data licence: ODC-By 1.0.

An image is labelled

* 1 where an object of a work zone is annotated (police alone is none), travel is said to be
  altered, or the scene is described (the set describes work zones only);
* 0 where none of these holds and ``travel_alteration`` says ``None``;
* not at all where the file says neither, or where an annotation that cannot be understood (of no
  category, or of an unknown one) may show road work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from workzone.data.masks.categories import class_of_category, is_known_category
from workzone.data.masks.formats.coco import Coco, CocoImage, Orphan, read_coco
from workzone.data.passed_over import counted
from workzone.data.sources.columns import ColumnMap, map_columns
from workzone.data.sources.paths import resolve_image, with_slashes
from workzone.data.sources.record import Record, Source
from workzone.data.sources.values import as_tag, as_text
from workzone.errors import ManifestError, UsageError, nearest
from workzone.types import ImageRef

PUBLISHED_SPLITS = ("gps_split", "pittsburgh_only")
"""100 m apart in all cities; trained on Pittsburgh and validated on the other cities."""

_MOST_ORPHANS = 0.01
"""Of the annotations that may fit no image, before no label 0 of the file is believed."""
_MOST_IMAGES = 0.02
"""The same, of the images that they name beside those of the file."""
_LOST = (
    "too many annotations that may show road work fit no image (over 1 % of the annotations, or "
    "of as many images as 2 % of the file's)"
)
_TRIED = 50  # images looked for in a folder
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
    parts = {part: read_coco(file) for part, file in files.items()}
    for part, data in parts.items():
        warnings += _check(data, files[part])
    images = [image for data in parts.values() for image in data.images]
    columns = _columns(images, path)
    ids = unique_ids([name for image in images if (name := _name(image)) is not None])

    def records() -> Iterator[Record]:
        for part, data in parts.items():
            folder = _image_folder(data, files[part], path)
            lost = _lost(data)
            for number, image in enumerate(data.images):
                where = f"{files[part].name} image {number}"
                yield _record(
                    image,
                    columns,
                    ids,
                    lost=lost,
                    part=part,
                    where=where,
                    file=files[part],
                    folder=folder,
                )

    named = columns.source_columns() | {
        "id": "file_name",
        "label": f"annotations, {_TRAVEL}, scene_description",
    }
    return Source("roadwork", len(images), records, named, tuple(warnings))


def unique_ids(names: Sequence[str]) -> dict[str, str]:
    """By image name, its shortest form that no other image has.

    That is the name without folders and suffix; where clips in several folders have frames of one
    name, the path without suffix; where suffixes alone differ, the path.
    """
    paths = {PurePosixPath(with_slashes(name)) for name in names}
    stems = Counter(path.stem for path in paths)
    bare = Counter(path.with_suffix("") for path in paths)
    ids = {}
    for name in names:
        path = PurePosixPath(with_slashes(name))
        short = path.with_suffix("")
        ids[name] = path.stem if stems[path.stem] == 1 else str(short if bare[short] == 1 else path)
    return ids


def _check(data: Coco, file: Path) -> list[str]:
    unknown = [name for name in data.categories if not is_known_category(name)]
    warnings = [f"{file}: category {name!r} is unknown and gives no masks" for name in unknown]
    warnings += data.warnings
    orphans = _orphans(data)
    if _lost(data):
        warnings.append(f"{file}: {_LOST}, so that no image has label 0")
    elif orphans:
        warnings.append(
            f"{file}: {counted(len(orphans), 'annotation')} that may show road work "
            f"{'fits' if len(orphans) == 1 else 'fit'} no image: as many images with label 0 may "
            "be wrong"
        )
    return warnings


def _columns(images: Sequence[CocoImage], path: Path) -> ColumnMap:
    names = dict.fromkeys(name for image in images for name in _flat(image.row))
    if "file_name" not in names:
        raise ManifestError(f"{path}: not one entry of images has a file_name")
    return map_columns(names, {"image": "file_name"}, where=str(path))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and name != "gps":
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _name(image: CocoImage) -> str | None:
    return as_text(image.row.get("file_name"))


def _record(
    image: CocoImage,
    columns: ColumnMap,
    ids: Mapping[str, str],
    *,
    lost: bool,
    part: str,
    where: str,
    file: Path,
    folder: Path,
) -> Record:
    row = _flat(image.row)
    values, extra = columns.apply(row)
    values.pop("image", None)
    name = _name(image)
    if name is None or image.id is None:
        return Record(where, where, None, problem=("missing", "no id or file_name"))
    cleared = []
    if any(item.category and class_of_category(item.category) for item in image.objects):
        values["masks"] = f"{file}#{image.id}"
    label = _label(row, image)
    doubt = _doubt(image, lost=lost)
    if doubt is not None and (label == 0 or (label is None and image.ambiguous)):
        cleared.append(("label-uncertain", f"{where}: whether it shows road work: {doubt}"))
        label = None
    values |= {"id": ids[name], "split": part, "label": label}
    extra["image_id"] = image.id
    if image.objects:
        seen = Counter(item.category or "unknown" for item in image.objects)
        extra["objects"] = ", ".join(f"{n} {c}" for c, n in sorted(seen.items()))
    source = ImageRef(resolve_image(folder, name))
    return Record(name, where, source, values, extra, cleared=tuple(cleared))


def _label(row: Mapping[str, Any], image: CocoImage) -> int | None:
    travel = as_tag(row.get(_TRAVEL))
    if (
        (not image.ambiguous and any(_is_roadwork(item.category) for item in image.objects))
        or (travel is not None and travel != "None")
        or as_text(row.get("scene_description")) is not None
    ):
        return 1
    return 0 if travel == "None" else None


def _is_roadwork(name: str | None) -> bool:
    """Whether a category is of road work; police alone is none."""
    return name is not None and class_of_category(name) is not None and not _is_police(name)


def _is_police(name: str) -> bool:
    return name.casefold().startswith("police")


def _doubt(image: CocoImage, *, lost: bool) -> str | None:
    """Why annotations may show road work where none was understood."""
    if image.ambiguous and image.objects:
        return f"annotations are of image {image.id!r}, and several images have this id"
    for item in image.objects:
        if item.category is None:
            return "an annotation has no category that the file lists"
        if not is_known_category(item.category):
            return f"the category {item.category!r} of an annotation is unknown"
    return _LOST if lost else None


def _orphans(data: Coco) -> list[Orphan]:
    """Annotations that may show road work in an image that nobody knows."""
    return [
        orphan
        for orphan in data.orphans
        if orphan.category is None
        or not is_known_category(orphan.category)
        or _is_roadwork(orphan.category)
    ]


def _lost(data: Coco) -> bool:
    """Whether so many annotations lack their image that label 0 cannot be believed."""
    orphans = _orphans(data)
    named = {orphan.image_id for orphan in orphans if orphan.image_id is not None}
    unnamed = sum(orphan.image_id is None for orphan in orphans)
    return len(orphans) > _MOST_ORPHANS * data.annotations or len(
        named
    ) + unnamed > _MOST_IMAGES * len(data.images)


def _image_folder(data: Coco, file: Path, source: Path) -> Path:
    """Where the images lie: beside the annotations' folder, in it, or below the source."""
    candidates = [
        *(file.parent.parent / "images", file.parent / "images", source / "images"),
        *(file.parent.parent, source),
    ]
    names = [name for image in data.images if (name := _name(image)) is not None]
    tried = names[:: max(1, len(names) // _TRIED)]  # from all over: a part may not be unpacked
    for folder in candidates:
        if any(Path(resolve_image(folder, name)).is_file() for name in tried):
            return folder
    return candidates[0]
