"""Data sets in the format of Hugging Face ``datasets``: saved to disk, or named by their id.

They are written once as parquet files with the images' bytes inside, and then read like any other
parquet. Needs the extra ``huggingface``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workzone import progress
from workzone.data.sources.parquet import is_natix, open_parquet
from workzone.data.sources.record import Source
from workzone.errors import MissingExtraError, WorkzoneError
from workzone.files import writing

_FINGERPRINT = b"workzone.fingerprint"
_BATCH = 100  # images written, and later read, at once


def is_saved_dataset(path: Path) -> bool:
    """Whether ``datasets.save_to_disk`` wrote this folder."""
    return _has_splits(path) or (
        (path / "dataset_info.json").is_file() and (path / "state.json").is_file()
    )


def open_huggingface(source: str, folder: Path, columns: Mapping[str, str] | None) -> Source:
    """A saved data set, or one of the hub (``organisation/name``), by way of parquet files.

    Args:
        source: the folder, or the id.
        folder: where the parquet files go, one per split; those of an earlier run are taken where
            the data set has not changed.
        columns: our fields to its columns.

    Raises:
        MissingExtraError: the package ``datasets`` is not installed.
        WorkzoneError: the data set cannot be loaded, or is empty.
    """
    splits = _load(source)
    if not splits:
        raise WorkzoneError(f"the data set {source!r} has no rows")
    files = []
    for split, dataset in splits.items():
        files.append(folder / f"{split}.parquet")
        if not _is_current(files[-1], dataset._fingerprint):
            _write(dataset, files[-1])
    name = "natix" if is_natix(files[0]) else source.rstrip("/").rpartition("/")[2]
    return open_parquet(folder, columns, name=name, files=files)


def _load(source: str) -> dict[str, Any]:
    """The data set's splits by name."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "huggingface", f"reading {source}") from error
    saved = is_saved_dataset(Path(source))
    try:
        if not saved:
            loaded = datasets.load_dataset(source)
        elif _has_splits(Path(source)):
            loaded = {
                folder.name: datasets.load_from_disk(str(folder))
                for folder in _filled_splits(Path(source))
            }
        else:
            loaded = datasets.load_from_disk(source)
    except Exception as error:  # network, hub, and format errors of many libraries
        raise WorkzoneError(
            f"the data set {source!r} cannot be loaded: {error}. Give a folder written by "
            "save_to_disk, or an id such as organisation/name and a connection to the hub."
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {str(loaded.split or "all"): loaded}


def _has_splits(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file()


def _filled_splits(folder: Path) -> list[Path]:
    """The folders of a saved set's splits; `datasets` cannot load one without rows again."""
    names = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    states = {
        name: json.loads((folder / name / "state.json").read_text(encoding="utf-8"))
        for name in names
    }
    return [folder / name for name, state in states.items() if state["_data_files"]]


def _is_current(file: Path, fingerprint: str) -> bool:
    if not file.is_file():
        return False
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (pa.ArrowInvalid, OSError):
        return False
    return metadata.get(_FINGERPRINT) == fingerprint.encode()


def _write(dataset: Any, file: Path) -> None:
    from datasets.table import embed_table_storage

    schema: pa.Schema = dataset.features.arrow_schema
    schema = schema.with_metadata(
        {**(schema.metadata or {}), _FINGERPRINT: dataset._fingerprint.encode()}
    )
    arrow = dataset.with_format("arrow")
    with writing(file) as aside, pq.ParquetWriter(aside, schema) as writer:
        starts = range(0, len(dataset), _BATCH)
        for start in progress.track(starts, f"writing {file.name}"):
            table = arrow[start : start + _BATCH].cast(dataset.features.arrow_schema)
            with suppress(OSError):  # a file is gone: the import finds, or lists, what paths name
                table = embed_table_storage(table)
            writer.write_table(table.cast(schema))
