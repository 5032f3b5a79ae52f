"""The mask store: a folder with a part of it for each source, in parquet.

::

    KEY/source.json           who says it: teacher, version, prompts, settings
    KEY/part-00000.parquet    a row an image, see `SCHEMA`

A part is written whole or not at all and never changed, so that a stopped job goes on with the
images that no part has. Of an image that occurs twice in a source, the later part counts. A job
that ends joins small parts to larger ones, which come after them, and then deletes the small ones:
a stop between leaves every image. A row of a manifest names its masks as ``FOLDER#ID``, the folder
relative to the manifest's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource
from workzone.errors import StoreError
from workzone.files import hold, write_text, writing

SOURCE_FILE = "source.json"
PART_IMAGES = 256
"""Images of a part, unless fewer are left."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("looked", pa.map_(pa.string(), pa.float64()), nullable=False),
        pa.field(
            "objects",
            pa.list_(
                pa.struct(
                    [
                        pa.field("name", pa.string(), nullable=False),
                        pa.field("knowledge", pa.string(), nullable=False),
                        pa.field("counts", pa.binary(), nullable=False),
                        pa.field("box", pa.list_(pa.float64(), 4), nullable=False),
                        pa.field("score", pa.float64()),
                        pa.field("crowd", pa.bool_(), nullable=False),
                        pa.field("category", pa.string()),
                    ]
                )
            ),
            nullable=False,
        ),
    ]
)


class MaskWriter:
    """Adds images to a source of a store; one process at a time."""

    def __init__(self, folder: Path, source: MaskSource, *, part_images: int = PART_IMAGES) -> None:
        """Open or begin the source.

        Raises:
            StoreError: another process writes to it, or what is there is damaged.
        """
        self._folder = folder / source.key
        self._part_images = part_images
        self._waiting: dict[str, ImageMasks] = {}
        try:
            self._lock = hold(folder / f".{source.key}.lock")
        except TimeoutError as error:
            raise StoreError(
                f"{self._folder} is being written by another process; wait for it to end"
            ) from error
        except OSError as error:
            raise StoreError(f"cannot write {folder}: {error.strerror or error}") from error
        try:
            text = json.dumps(source.to_json(), indent=2, ensure_ascii=False) + "\n"
            if not (self._folder / SOURCE_FILE).exists():
                write_text(self._folder / SOURCE_FILE, text)
            self._done = set(_rows(self._folder))
        except BaseException:
            self._lock.release()
            raise

    @property
    def done(self) -> frozenset[str]:
        """Ids of images that are kept already, by an earlier run too."""
        return frozenset(self._done)

    def add(self, masks: ImageMasks) -> None:
        """Keep what is said of an image; on disk with its part.

        Raises:
            ManifestError: masks that are not whole.
        """
        masks.check()
        self._waiting[masks.id] = masks
        self._done.add(masks.id)
        if len(self._waiting) >= self._part_images:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a part."""
        if not self._waiting:
            return
        rows = [_to_row(masks) for masks in self._waiting.values()]
        self._write(pa.Table.from_pylist(rows, schema=SCHEMA))
        self._waiting = {}

    def _write(self, table: pa.Table) -> None:
        number = max((int(p.stem.removeprefix("part-")) for p in _parts(self._folder)), default=-1)
        with writing(self._folder / f"part-{number + 1:05d}.parquet") as aside:
            pq.write_table(table, aside)

    def _join_small_parts(self) -> None:
        """Leave fewer parts with the same images; rows that a later part replaced are left out."""
        counting: dict[Path, list[int]] = {part: [] for part in _parts(self._folder)}
        for part, row in _rows(self._folder).values():
            counting[part].append(row)
        small = {part: rows for part, rows in counting.items() if len(rows) < self._part_images}
        if len(small) < 2 or sum(map(len, small.values())) > (len(small) - 1) * self._part_images:
            return
        waiting: list[pa.Table] = []
        for part, rows in small.items():
            waiting.append(_current_table(part).take(pa.array(rows, pa.int64())))
            if sum(map(len, waiting)) >= self._part_images:
                self._write(pa.concat_tables(waiting))
                waiting = []
        if any(map(len, waiting)):
            self._write(pa.concat_tables(waiting))
        for part in small:
            part.unlink()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits, of a job that failed too; join small parts; and let others write."""
        try:
            self.flush()
            if kind is None:
                self._join_small_parts()
        finally:
            self._lock.release()


@dataclass(frozen=True)
class MaskStore:
    """Reads a store."""

    folder: Path

    @property
    def sources(self) -> Mapping[str, MaskSource]:
        """By key, in the order of keys.

        Raises:
            StoreError: no store there, or a damaged description.
        """
        if not self.folder.is_dir():
            raise StoreError(f"no mask store at {self.folder}; name its folder, or make it again")
        files = sorted(self.folder.glob(f"*/{SOURCE_FILE}"))
        return {file.parent.name: _source(file) for file in files}

    def ids(self) -> list[str]:
        """Of the images of which any source says something, sorted."""
        return sorted({name for key in self.sources for name in _rows(self.folder / key)})

    def image(self, image_id: str) -> list[tuple[MaskSource, ImageMasks]]:
        """What each source says of an image; empty: nobody says anything.

        Raises:
            StoreError: no store there, or damaged parts.
        """
        found = ((source, self.said_by(key, image_id)) for key, source in self.sources.items())
        return [(source, masks) for source, masks in found if masks is not None]

    def said_by(self, key: str, image_id: str) -> ImageMasks | None:
        """What one source says of an image; None: nothing.

        Raises:
            StoreError: damaged parts.
        """
        place = _rows(self.folder / key).get(image_id)
        return None if place is None else _read_row(*place)

    def images(self, key: str) -> Iterator[ImageMasks]:
        """All images of a source, in the order written.

        Raises:
            StoreError: damaged parts.
        """
        for place in _rows(self.folder / key).values():
            yield _read_row(*place)


def write_masks(folder: Path, source: MaskSource, images: Iterable[ImageMasks]) -> None:
    """Add images to a source of a store, see `MaskWriter`."""
    with MaskWriter(folder, source) as writer:
        for masks in images:
            writer.add(masks)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-[0-9][0-9][0-9][0-9][0-9].parquet"))


def _rows(folder: Path) -> dict[str, tuple[Path, int]]:
    """By image, its part and the row in it."""
    return _index(
        folder, tuple((p, p.stat().st_mtime_ns, p.stat().st_size) for p in _parts(folder))
    )


@lru_cache(maxsize=32)
def _index(folder: Path, parts: tuple[tuple[Path, int, int], ...]) -> dict[str, tuple[Path, int]]:
    return {
        name: (path, row)
        for path, *version in parts
        for row, name in enumerate(_table(path, *version).column("id").to_pylist())
    }


@lru_cache(maxsize=256)
def _table(path: Path, _modified: int, _size: int) -> pa.Table:
    try:
        table = pq.read_table(path)
        return table.select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged: {error}; delete it, and make its masks again"
        ) from error


def _current_table(path: Path) -> pa.Table:
    status = path.stat()
    return _table(path, status.st_mtime_ns, status.st_size)


def _read_row(path: Path, row: int) -> ImageMasks:
    (cells,) = _current_table(path).slice(row, 1).to_pylist()
    objects = tuple(MaskObject(**{**item, "box": tuple(item["box"])}) for item in cells["objects"])
    return ImageMasks(**{**cells, "looked": dict(cells["looked"]), "objects": objects})


def _to_row(masks: ImageMasks) -> dict[str, Any]:
    objects = [
        {name: getattr(item, name) for name in MaskObject.__dataclass_fields__}
        for item in masks.objects
    ]
    return {
        "id": masks.id,
        "height": masks.height,
        "width": masks.width,
        "looked": list(masks.looked.items()),
        "objects": objects,
    }


def _source(file: Path) -> MaskSource:
    return _read_source(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read_source(file: Path, _modified: int) -> MaskSource:
    try:
        source = MaskSource.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} is damaged: {error}; make its masks again") from error
    if source.key != file.parent.name:
        raise StoreError(
            f"{file} describes the source {source.key}, its folder is of {file.parent.name}: it "
            "was changed by hand; make its masks again"
        )
    return source
