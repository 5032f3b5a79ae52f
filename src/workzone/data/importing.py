"""From a data set to a manifest: every image decoded, every field checked, nothing lost silently.

A row is left out only where its image cannot be used or its id was there before; a field that
cannot be used is cleared and its row kept. Both are told in the quarantine table beside the
manifest.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from workzone import progress
from workzone.cores import core_count
from workzone.data.images import content_hash, decode_pixels, exif_orientation, read_bytes
from workzone.data.kinds import is_address
from workzone.data.manifest import Manifest, write_manifest
from workzone.data.mask_fit import fit_masks
from workzone.data.masks.fit import Frame
from workzone.data.masks.references import stated_orientation, with_path
from workzone.data.passed_over import counted
from workzone.data.quarantine import QuarantineEntry, count_by_code, write_quarantine
from workzone.data.repeats import Collected
from workzone.data.sources.columns import split_warnings
from workzone.data.sources.coordinates import parse_place
from workzone.data.sources.detect import SourceKind, open_source
from workzone.data.sources.groups import Certainty, as_group, group_warnings
from workzone.data.sources.paths import missing_hint
from workzone.data.sources.record import Record, Source
from workzone.data.sources.times import parse_time
from workzone.data.sources.values import (
    FieldError,
    as_tag,
    as_text,
    as_word,
    parse_label,
    parse_split,
)
from workzone.data.video.choose import FrameSettings
from workzone.errors import ImageError, ManifestError, UsageError
from workzone.parallel import map_ahead
from workzone.types import ImageRef, Sample

__all__ = ["ImportSummary", "SourceKind", "import_source"]

T = TypeVar("T")

_LABEL_NAMES = {1: "roadwork", 0: "none", None: "unlabelled"}


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did."""

    manifest: Path
    quarantine: Path
    rows_read: int
    rows_kept: int
    label_counts: Mapping[str, int]  # roadwork, none, unlabelled
    entries: tuple[QuarantineEntry, ...]
    warnings: tuple[str, ...]


def import_source(
    source: str,
    output: Path,
    *,
    kind: SourceKind = "auto",
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    frames: FrameSettings | None = None,
) -> ImportSummary:
    """Read a data set, check every row, and write a manifest with its quarantine table.

    Image paths in the manifest are relative where the image lies below the folder that holds the
    manifest's folder, so that the two can move together; else they are absolute.

    Args:
        source: a folder, a ``.csv``, ``.tsv``, ``.parquet``, ``.zip`` or ``.tar`` file, a video,
            or the id of a data set on the Hugging Face hub.
        output: the manifest to write, ``.parquet``; the table is written beside it as
            ``.quarantine.csv``.
        kind: the kind of data set; ``auto`` tells it from what is on disk.
        columns: our field to the source's column, for tables and parquet.
        split: for ROADWork ``gps_split`` (default) or ``pittsburgh_only``.
        frames: for videos, which frames; None: one a second.

    Raises:
        UsageError: nothing at ``source``, or options that do not fit it.
        ManifestError: a source that cannot be read as a whole, or not one usable row in it.
        MissingExtraError: a Hugging Face data set without the package ``datasets``, a video
            without PyAV.
        WorkzoneError: the output cannot be written.
    """
    output = Path(output)
    if output.suffix != ".parquet":
        raise UsageError(f"a manifest is a .parquet file, got {str(output)!r}")
    if output.resolve() == Path(source).resolve():
        raise UsageError(f"{output} is the source itself; name another manifest")
    output.parent.mkdir(parents=True, exist_ok=True)  # `new/../images` opens only if it exists
    root = output.parent.resolve()
    store = root / f"{output.stem}.images"
    found = open_source(source, kind=kind, columns=columns, split=split, store=store, frames=frames)

    collected = Collected()
    rows_read = 0
    groups: Counter[Certainty] = Counter()
    for checked in _checked_rows(found, root):
        rows_read += 1
        collected.entries += checked.entries
        if checked.sample is not None:
            unread = any(
                entry.code in ("label-unknown", "label-uncertain") for entry in checked.entries
            )
            collected.add(checked.sample, checked.where, label_unread=unread)
            groups[checked.group_from] += 1
    samples, entries = collected.samples, collected.entries
    left_out = sum(entry.action == "row left out" for entry in entries)
    assert rows_read == len(samples) + left_out, "a row was lost"

    quarantine = output.with_suffix(".quarantine.csv")
    write_quarantine(entries, quarantine)
    if not samples:
        counts = ", ".join(f"{code} {count}" for code, count in count_by_code(entries).items())
        raise ManifestError(
            f"{source}: {_none_of(rows_read)} be used ({counts or 'it is empty'}"
            f"{f', such as {entries[0].reason}' if entries else ''}); see {quarantine}"
        )
    write_manifest(Manifest(samples, root, found.source_columns), output)
    counted = Counter(_LABEL_NAMES[sample.label] for sample in samples)
    return ImportSummary(
        manifest=output,
        quarantine=quarantine,
        rows_read=rows_read,
        rows_kept=len(samples),
        label_counts={name: counted[name] for name in _LABEL_NAMES.values()},
        entries=tuple(entries),
        warnings=(
            *found.warnings,
            *_turned(samples),
            *group_warnings(groups),
            *split_warnings(samples),
        ),
    )


def _none_of(rows: int) -> str:
    return "its only row cannot" if rows == 1 else f"none of its {rows} rows can"


def _turned(samples: Sequence[Sample]) -> Iterator[str]:
    count = sum(stated_orientation(sample.masks or "") is not None for sample in samples)
    if count:
        yield (
            f"the masks of {counted(count, 'image')} are of the pixels as stored; they are turned "
            "upright with the image, by its EXIF orientation"
        )


@dataclass(frozen=True, slots=True)
class _Checked:
    where: str
    sample: Sample | None
    entries: tuple[QuarantineEntry, ...]
    group_from: Certainty = "drive"


def _checked_rows(source: Source, root: Path) -> Iterator[_Checked]:
    """Rows in order: this thread reads, as data sets lie in order on disk; a few others decode."""
    workers = core_count()
    rows = progress.track(source.records(), "importing", source.total)
    read = (_read(record, root) for record in rows)
    for row, outcome in map_ahead(_inspect, read, threads=workers, ahead=2 * workers):
        yield _check(row, outcome, source_name=source.name, root=root)


@dataclass(frozen=True, slots=True)
class _Row:
    record: Record
    image: ImageRef | None  # as it goes into the manifest
    data: bytes | ImageError


def _read(record: Record, root: Path) -> _Row:
    """The bytes of a record's image, found as the manifest's readers will find it."""
    image = record.image and replace(record.image, path=_relative(record.image.path, root))
    if image is None or record.problem is not None:
        code, reason = record.problem or ("missing", "no image is named")
        return _Row(record, image, ImageError(code, reason))
    try:
        return _Row(record, image, read_bytes(image, root))
    except ImageError as error:
        if error.code == "missing" and record.image is not None:
            error = ImageError(error.code, f"{error}{missing_hint(record.image.path)}")
        return _Row(record, image, error)


@dataclass(frozen=True, slots=True)
class _Seen:
    content_hash: str
    frame: Frame


def _inspect(row: _Row) -> _Seen | ImageError:
    """What an image that can be decoded is like, or why it cannot."""
    if isinstance(row.data, ImageError):
        return row.data
    try:
        height, width, _ = decode_pixels(row.data, name=str(row.image)).shape
    except ImageError as error:
        return error
    masked = as_word(row.record.values.get("masks")) is not None
    orientation = exif_orientation(row.data) if masked else 1
    return _Seen(content_hash(row.data), Frame(height, width, orientation))


def _check(row: _Row, outcome: _Seen | ImageError, *, source_name: str, root: Path) -> _Checked:
    record = row.record
    if isinstance(outcome, ImageError) or row.image is None:
        error = outcome if isinstance(outcome, ImageError) else ImageError("missing", "no image")
        image = "" if row.image is None else str(row.image)
        reason = f"{record.where}: {error}"
        return _Checked(record.where, None, (_left_out(_id(record), image, error.code, reason),))
    values = record.values
    entries = [
        QuarantineEntry(_id(record), str(row.image), "field cleared", code, reason)
        for code, reason in record.cleared
    ]
    frame = outcome.frame

    def parsed(parse: Callable[[Any], T], value: Any) -> T | None:
        try:
            return parse(value)
        except FieldError as error:
            reason = f"{record.where}: {error}"
            entries.append(
                QuarantineEntry(_id(record), str(row.image), "field cleared", error.code, reason)
            )
            return None

    place = parsed(parse_place, values)
    sample = Sample(
        id=_id(record),
        image=row.image,
        label=parsed(parse_label, values.get("label")),
        group=as_group(values.get("group")),
        latitude=place[0] if place else None,
        longitude=place[1] if place else None,
        time=parsed(parse_time, values.get("time")),
        weather=as_word(as_tag(values.get("weather"))),
        daytime=as_word(as_tag(values.get("daytime"))),
        scene=as_word(as_tag(values.get("scene"))),
        text=as_word(values.get("text")),
        masks=parsed(lambda reference: _masks(reference, root, frame), values.get("masks")),
        source=as_word(values.get("source")) or source_name,
        content_hash=outcome.content_hash,
        split=parse_split(as_word(values.get("split"))),
        extra=dict(record.extra),
    )
    group_from = values.get("group_from", "drive")
    return _Checked(record.where, sample, tuple(entries), group_from)


def _left_out(sample_id: str, image: str, code: str, reason: str) -> QuarantineEntry:
    return QuarantineEntry(sample_id, image, "row left out", code, reason)


def _id(record: Record) -> str:
    return as_text(record.values.get("id")) or record.default_id


def _masks(reference: Any, root: Path, frame: Frame) -> str | None:
    text = as_word(reference)
    if text is None:
        return None
    return fit_masks(with_path(text, lambda path: _relative(path, root)), root, frame)


def _relative(path: str, root: Path) -> str:
    """``path`` as it goes into a manifest in ``root``; a web address as it is."""
    if is_address(path) and not os.path.lexists(path):
        return path
    folder = _real(str(Path(path).parent))
    below = root.parent if root.parent != root.parent.parent else root
    full = folder / Path(path).name
    if folder.is_relative_to(below):
        return Path(os.path.relpath(full, root)).as_posix()
    return str(full)


@lru_cache(maxsize=1024)
def _real(folder: str) -> Path:
    try:
        return Path(os.path.realpath(folder))
    except ValueError:  # a null character: no folder has that name, which reading it will say
        return Path(folder)
