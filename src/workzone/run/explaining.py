"""Overlays of many images, each in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from PIL import Image

from workzone.data.find_files import OVERLAY_SUFFIX
from workzone.errors import ImageError
from workzone.files import writing
from workzone.progress import track
from workzone.run.images import Encoded
from workzone.run.sources import Found, Item
from workzone.types import Prediction, Sample

T = TypeVar("T")

_OUTSIDE = ""
"""In place of a first folder: the id leads out of any folder it is joined to."""
_LONGEST_NAME = 200
"""In bytes; file systems take 255, and the overlay's name is longer than the image's."""


class Explainer(Protocol):
    """A `Predictor`, or what stands for one that is elsewhere: its overlays come as JPEG."""

    def explain_stream(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, tuple[Prediction, Image.Image | bytes] | ImageError]]:
        """See :meth:`workzone.run.predictor.Predictor.explain_stream`."""
        ...


def explain_each(
    predictor: Explainer, found: Found, folder: Path, *, image_only: bool = False
) -> Iterator[tuple[str, Prediction | ImageError]]:
    """Decide on all images, one by one, and write an overlay of each that can be read.

    Args:
        predictor: the model.
        found: the images.
        folder: of the overlays, see `overlay_places`.
        image_only: do not use the metadata of a manifest.

    Raises:
        WorkzoneError: an overlay cannot be written.
    """
    places = overlay_places([name for name, _ in found.images])
    sample_of = None if image_only else Item.known
    results = predictor.explain_stream(found.images, Item.load, sample_of=sample_of)
    both = zip(results, places, strict=True)
    for (name, result), place in track(both, "explaining", len(found.images)):
        if isinstance(result, ImageError):
            yield name, result
            continue
        prediction, overlay = result
        with writing(folder / place) as aside:
            if isinstance(overlay, bytes):
                aside.write_bytes(overlay)
            else:
                overlay.save(aside, format="JPEG", quality=90)
        yield name, prediction


def overlay_places(ids: Iterable[str], suffix: str = OVERLAY_SUFFIX) -> list[PurePosixPath]:
    """A relative path for the overlay of each id, no two alike and none outside the folder.

    Ids may be any text. Relative ones keep their folders; of absolute ones, and of those that
    climb up, the folders are kept that tell them apart from each other.
    """
    parts_of = [_parts(name) for name in ids]
    climbing = [parts[1:-1] for parts in parts_of if parts[0] == _OUTSIDE]
    levels = zip(*climbing, strict=False)
    shared = sum(1 for _ in takewhile(lambda folders: len(set(folders)) == 1, levels))
    places: list[PurePosixPath] = []
    taken: set[str] = set()
    for parts in parts_of:
        inside = parts[1 + shared :] if parts[0] == _OUTSIDE else parts
        path = stem = PurePosixPath(*inside)
        number = 1
        while str(path).casefold() in taken:  # some disks do not tell cases apart
            number += 1
            path = stem.with_name(f"{stem.stem}-{number}{stem.suffix}")
        taken.add(str(path).casefold())
        places.append(path.with_name(path.name + suffix))
    return places


def _parts(name: str) -> list[str]:
    """The folders and the file of an id as names that can be written, see `_OUTSIDE`."""
    path = PurePosixPath(name.replace("\0", ""))
    kept = [part for part in path.parts if part != ".." and part.strip("/")] or ["image"]
    shortened = [
        part.encode(errors="replace")[-_LONGEST_NAME:].decode(errors="ignore") for part in kept
    ]
    leads_out = path.is_absolute() or ".." in path.parts
    return [_OUTSIDE, *shortened] if leads_out else shortened
