"""The objects of many images: a picture of each with outlines, and all of them in tables.

::

    NAME.objects.jpg   the frame with its objects outlined
    objects.jsonl      one line per image: decision, evidence, objects with boxes and polygons
    coco.json          the same as COCO annotations, with scores
    pixels.geojson     the same as GeoJSON whose coordinates are pixels, y pointing down
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from workzone.data.find_files import OBJECTS_SUFFIX
from workzone.errors import ImageError
from workzone.files import check_folder, write_text, writing
from workzone.progress import bar
from workzone.report.answer import evidence
from workzone.run.explaining import overlay_places
from workzone.run.journal import Record, job_identity, journal_beside, open_journal
from workzone.run.overlay import Outlined
from workzone.run.predictor import Predictor
from workzone.run.sources import Found, Item
from workzone.types import OBJECT_CLASSES, FoundObject, Prediction, Ring

DIGITS = 2
"""Of pixels."""


@dataclass(frozen=True)
class Outlines:
    """What was decided on an image, and the objects in it, which are outlined in its picture."""

    prediction: Prediction
    evidence: str  # the objects in words, see `workzone.report.answer.evidence`; "": none
    kept: bool  # whether an earlier run had left them


def outline_each(
    predictor: Predictor, found: Found, folder: Path, *, image_only: bool = False
) -> Iterator[tuple[str, Outlines | ImageError]]:
    """Decide on all images and outline their objects; tables are written at the end.

    What is done stands in ``.objects.jsonl.journal`` until then: a stopped job goes on with the
    images that are not in it. Those that cannot be read are tried again.

    Args:
        predictor: the model, which has a mask head.
        found: the images.
        folder: of what is written, see the module.
        image_only: do not use the metadata of a manifest.

    Raises:
        UsageError: the model has no mask head.
        WorkzoneError: something cannot be written, or the journal is of another job.
    """
    predictor.description.check_masks()
    table = folder / "objects.jsonl"
    check_folder(table)
    names = [name for name, _ in found.images]
    places = dict(zip(names, overlay_places(names, OBJECTS_SUFFIX), strict=True))
    identity = job_identity(predictor, found, image_only=image_only)
    with open_journal(journal_beside(table), identity) as journal:
        records = {record["id"]: record for record in journal.records()}
        for name, place in places.items():
            if name in records and not _is_whole(records[name], folder, place):
                del records[name]
        todo = [(name, item) for name, item in found.images if name not in records]
        sample_of = None if image_only else Item.known
        results = predictor.outline_stream(todo, Item.load, sample_of=sample_of)
        with bar("outlining", len(todo)) as progress:
            for name in names:
                kept = name in records
                if not kept:
                    _, result = next(results)
                    progress.advance()
                    if isinstance(result, ImageError):
                        yield name, result
                        continue
                    with writing(folder / places[name]) as aside:
                        result.picture.save(aside, format="JPEG", quality=90)
                    records[name] = _record(name, places[name], result)
                    journal.append([records[name]])
                yield name, _outlines(records[name], kept=kept)
        _write_tables([records[name]["image"] for name in names if name in records], folder)
        journal.path.unlink()


def _record(name: str, place: PurePosixPath, result: Outlined) -> Record:
    image = described(name, result)
    return {
        "id": name,
        "picture": str(place),
        "prediction": asdict(result.prediction),
        "image": image,
    }


def _is_whole(record: Record, folder: Path, place: PurePosixPath) -> bool:
    """Whether the picture that a record tells of is there, under the name that it has now."""
    return bool(record["picture"] == str(place)) and (folder / place).exists()


def _outlines(record: Record, *, kept: bool) -> Outlines:
    prediction = Prediction(**{**record["prediction"], "box": tuple(record["prediction"]["box"])})
    return Outlines(prediction, record["image"]["evidence"], kept)


def _write_tables(images: list[dict[str, Any]], folder: Path) -> None:
    lines = "".join(json.dumps(image, allow_nan=False) + "\n" for image in images)
    write_text(folder / "objects.jsonl", lines)
    for file, table in (("coco.json", coco(images)), ("pixels.geojson", geojson(images))):
        write_text(folder / file, json.dumps(table, allow_nan=False) + "\n")


def described(name: str, result: Outlined) -> dict[str, Any]:
    """An image and its objects as plain values, in pixels of the upright frame."""
    width, height = result.size
    return {
        "id": name,
        "width": width,
        "height": height,
        "probability": result.prediction.probability,
        "decision": result.prediction.decision,
        "evidence": evidence(result.objects),
        "objects": [_object(one, width, height) for one in result.objects],
    }


def _object(one: FoundObject, width: int, height: int) -> dict[str, Any]:
    x0, y0, x1, y1 = one.box
    box = [x0 * width, y0 * height, x1 * width, y1 * height]
    return {
        "class": one.name,
        "score": one.score,
        "box": [round(edge, DIGITS) for edge in box],
        "polygon": [_corners(ring, width, height) for ring in one.rings],
    }


def _corners(ring: Ring, width: int, height: int) -> list[list[float]]:
    return [[round(x * width, DIGITS), round(y * height, DIGITS)] for x, y in ring]


def coco(images: list[dict[str, Any]]) -> dict[str, Any]:
    """COCO's form: its polygons have no holes, so that outlines alone are told."""
    numbers = {name: number for number, name in enumerate(OBJECT_CLASSES, start=1)}
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        for one in image["objects"]:
            x0, y0, x1, y1 = one["box"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": numbers[one["class"]],
                    "bbox": [x0, y0, round(x1 - x0, DIGITS), round(y1 - y0, DIGITS)],
                    "segmentation": [[edge for corner in one["polygon"][0] for edge in corner]],
                    "area": round(sum(map(_area, one["polygon"])), DIGITS),
                    "iscrowd": 0,
                    "score": one["score"],
                }
            )
    return {
        "images": [
            {"id": n, "file_name": image["id"], "width": image["width"], "height": image["height"]}
            for n, image in enumerate(images, start=1)
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": annotations,
    }


def _area(ring: list[list[float]]) -> float:
    """With its sign: outlines and the holes in them turn against each other."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2


def geojson(images: list[dict[str, Any]]) -> dict[str, Any]:
    """GeoJSON's form, in pixels: for tools that draw polygons, not for maps."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": one["polygon"]},
                "properties": {
                    "image": image["id"],
                    "class": one["class"],
                    "score": one["score"],
                    "box": one["box"],
                },
            }
            for image in images
            for one in image["objects"]
        ],
    }
