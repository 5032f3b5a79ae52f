"""What kind of data set is at a place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from workzone.data.find_files import find_files, nearest_name
from workzone.data.kinds import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    address_advice,
    is_address,
    local_path,
)
from workzone.data.sources.folder import ARCHIVE_SUFFIXES, open_archive, open_folder
from workzone.data.sources.huggingface import is_saved_dataset, open_huggingface
from workzone.data.sources.parquet import (
    holds_images,
    is_manifest,
    is_natix,
    open_parquet,
    parquet_files,
)
from workzone.data.sources.record import Source
from workzone.data.sources.roadwork import PUBLISHED_SPLITS, find_annotations, open_roadwork
from workzone.data.sources.table import TABLE_SUFFIXES, TEXT_SUFFIXES, open_table
from workzone.data.sources.text_files import WORKBOOK_SUFFIXES, workbook_advice
from workzone.data.sources.video import open_videos
from workzone.data.video.choose import FrameSettings
from workzone.errors import UsageError, nearest

SourceKind = Literal[
    "auto", "folder", "table", "parquet", "natix", "roadwork", "huggingface", "video"
]

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_FILE_SUFFIXES = frozenset(
    {".parquet", ".json", ".jsonl", ".gz", ".tgz", *TABLE_SUFFIXES, *TEXT_SUFFIXES}
    | ARCHIVE_SUFFIXES
    | WORKBOOK_SUFFIXES
    | IMAGE_SUFFIXES
    | VIDEO_SUFFIXES
)
"""Endings that no data set on the hub has: a missing file is mistyped, not to be fetched."""


def open_source(
    source: str,
    *,
    kind: SourceKind,
    columns: Mapping[str, str] | None,
    split: str | None,
    store: Path,
    frames: FrameSettings | None = None,
) -> Source:
    """Open a data set with the reader of its kind.

    Args:
        source: a file, a folder, or the id of a data set on the Hugging Face hub.
        kind: the kind, or ``auto``.
        columns: our fields to the source's columns, for kinds that have columns.
        split: the published split of ROADWork.
        store: where images of a Hugging Face data set go, and frames of videos.
        frames: which frames of videos; None: one a second.

    Raises:
        UsageError: an unknown kind, nothing at ``source``, or options that do not fit the kind.
    """
    if kind not in get_args(SourceKind):
        raise UsageError(f"kind {kind!r} is unknown; {nearest(kind, get_args(SourceKind))}")
    source = local_path(source)
    path = Path(source).absolute()
    _refuse_no_file(source, path)
    found = detect_kind(source) if kind == "auto" else kind
    if split is not None and found != "roadwork":
        raise UsageError(f"split {split!r} is for kind roadwork, but {source} is of kind {found}")
    if frames is not None and found != "video":
        raise UsageError(f"which frames is for videos, but {source} is of kind {found}")
    if columns and found in ("folder", "roadwork", "video"):
        raise UsageError(f"columns are for tables and parquet, but {source} is of kind {found}")
    if found == "huggingface":
        return open_huggingface(source, store, columns)
    if not path.exists():
        raise UsageError(f"nothing at {path}{nearest_name(path)}")
    if found == "table":
        return open_table(path, columns)
    if found == "video":
        return open_videos(path, store, frames or FrameSettings())
    if found == "roadwork":
        return open_roadwork(path, split)
    if found in ("parquet", "natix"):
        if found == "natix" and not is_natix(path):
            raise UsageError(f"{path} has not the columns of the NATIX set; use kind parquet")
        return open_parquet(path, columns, name="natix" if found == "natix" else path.stem)
    return open_folder(path) if path.is_dir() else open_archive(path)


def detect_kind(source: str) -> SourceKind:
    """The kind of data set at ``source``, from what is on disk.

    Raises:
        UsageError: nothing is there, or nothing that is known; says what was found.
    """
    path = Path(source).absolute()
    if path.is_dir():
        return _kind_of_folder(path)
    if path.is_file():
        return _kind_of_file(path)
    named_like_a_file = path.suffix.lower() in _FILE_SUFFIXES
    if _HUB_ID.fullmatch(source) and not named_like_a_file and not path.parent.exists():
        return "huggingface"
    raise UsageError(f"nothing at {path}{nearest_name(path)}")


def _refuse_no_file(source: str, path: Path) -> None:
    """Refuse what is neither a file, a folder nor a data set of the hub, whatever the kind."""
    if not path.exists():
        if is_address(source):
            raise UsageError(address_advice(source))
    elif not path.is_file() and not path.is_dir():
        raise UsageError(
            f"{path} is a named pipe, socket or device, not a file: save what it gives as a file "
            "and import that"
        )


def _kind_of_file(path: Path) -> SourceKind:
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES | TEXT_SUFFIXES:
        return "table"
    if suffix in WORKBOOK_SUFFIXES:
        raise UsageError(workbook_advice(path))
    if suffix == ".parquet":
        return "natix" if is_natix(path) else "parquet"
    if suffix in ARCHIVE_SUFFIXES:
        return "folder"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix == ".json":
        raise UsageError(f"{path}: give the folder of the ROADWork set, not one of its files")
    if suffix in IMAGE_SUFFIXES:
        raise UsageError(
            f"{path} is one image: give the folder that it lies in, or score it by "
            f"`workzone predict {shlex.quote(str(path))}`"
        )
    if ".tar" in path.name or suffix == ".tgz":
        raise UsageError(
            f"{path}: images in a compressed tar cannot be found again quickly; unpack it, or "
            "repack it as .tar or .zip"
        )
    raise UsageError(
        f"{path}: files of kind {suffix or 'no suffix'} are not read; give a folder, .csv, .tsv, "
        ".parquet, .zip, .tar or a video"
    )


def _kind_of_folder(path: Path) -> SourceKind:
    if is_saved_dataset(path):
        return "huggingface"
    if any(find_annotations(path, split) for split in PUBLISHED_SPLITS):
        return "roadwork"
    if any(holds_images(file) for file in parquet_files(path)):
        return "natix" if is_natix(path) else "parquet"
    tables = sorted(
        file.name
        for file in path.iterdir()
        if file.suffix.lower() in TABLE_SUFFIXES and not file.name.endswith(".quarantine.csv")
    )
    if tables:
        raise UsageError(
            f"{path} holds tables ({', '.join(tables)}): give the one that lists the images, or "
            "kind folder to take the images alone"
        )
    found = find_files(path)
    if found.videos and not found.images:
        return "video"
    if found.images:
        _refuse_listed(path)
        return "folder"
    workbooks = sorted(f for f in path.iterdir() if f.suffix.lower() in WORKBOOK_SUFFIXES)
    if workbooks:
        raise UsageError(workbook_advice(workbooks[0]))
    raise UsageError(
        f"{path}: no data set found; expected are images, parquet files, a saved Hugging Face data "
        f"set, or ROADWork annotations. In it: {found.holdings()}"
    )


def _refuse_listed(folder: Path) -> None:
    """Images that a manifest lists with labels and masks are not imported anew without them."""
    listed = folder / "manifest.parquet"
    imported = listed.with_suffix(".quarantine.csv")  # beside what an import may write again
    if listed.is_file() and is_manifest(listed) and not imported.exists():
        raise UsageError(
            f"{folder} holds a manifest already: use {listed}, or give kind folder to take the "
            "images alone"
        )
