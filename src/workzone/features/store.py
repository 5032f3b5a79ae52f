"""The feature store: features of views on disk, memory-mapped, safe against kill -9.

A store is a folder, named after its spec's key::

    spec.json       what the features depend on
    pooled.bin      [rows, V, D]       float16, bfloat16 or float32
    boxes.bin       [rows, V, 4]       float32
    grid.bin        [rows, G, N, D]    where patch grids of G views were asked for
    level-8.bin     [rows, C, h, w]    where maps of a level of the first view were
    journal.txt     one line per batch: checksum and JSON (rows, failures, checksums of the data)

Rows are only ever appended. The data of a batch is flushed to disk first, its journal line after
it: what the journal does not tell is cut off when the store is next opened for writing, so a
stopped job loses at most the batch in flight and never leaves a wrong row. A row is found by the
image's content hash and the number of its augmented copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import torch

from workzone.errors import StoreError, WorkzoneError, nearest
from workzone.features.spec import FeatureSpec
from workzone.files import hold, sync_folder, write_text

RowKey = tuple[str, int]
"""Content hash of the image, number of the copy."""


@dataclass(frozen=True)
class RowArray:
    """One array of a store: a file of rows of equal shape."""

    name: str
    shape: tuple[int, ...]  # of one row
    dtype: str  # numpy's name; bfloat16 is kept as its bits, uint16

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def row_arrays(spec: FeatureSpec) -> list[RowArray]:
    """The arrays that a store of this spec has."""
    stored = "uint16" if spec.stored_type == "bfloat16" else spec.stored_type
    views = spec.layout.count
    arrays = [
        RowArray("pooled", (views, spec.width), stored),
        RowArray("boxes", (views, 4), "float32"),
    ]
    if spec.grid_views:
        shape = (len(spec.grid_views), spec.grid_cells, spec.grid_width)
        arrays.append(RowArray("grid", shape, stored))
    arrays += [
        RowArray(level_name(level.level), (level.width, level.rows, level.columns), stored)
        for level in spec.level_shapes
    ]
    return arrays


def level_name(level: int) -> str:
    """What the maps of a level are called."""
    return f"level-{level}"


def row_bytes(spec: FeatureSpec) -> int:
    """Bytes that one image takes on disk."""
    return sum(array.row_bytes for array in row_arrays(spec))


@dataclass
class _Journal:
    rows: dict[RowKey, int]
    failed: dict[RowKey, str]
    valid_bytes: int  # up to the end of the last whole line
    last_crc: dict[str, int]  # of the last batch that has rows
    last_count: int  # its rows


def _read_journal(path: Path) -> _Journal:
    journal = _Journal({}, {}, 0, {}, 0)
    if not path.exists():
        return journal
    with path.open("rb") as handle:
        for line in handle:
            entry = _parse_line(line)
            if entry is None:
                break  # torn by a stop; all that follows was never promised
            for image, copy in entry["rows"]:
                journal.rows[(image, copy)] = len(journal.rows)
            for image, copy, reason in entry["failed"]:
                journal.failed[(image, copy)] = reason
            for image, copy in entry["rows"]:  # failed at first, read at a later try
                journal.failed.pop((image, copy), None)
            journal.valid_bytes += len(line)
            if entry["rows"]:
                journal.last_crc, journal.last_count = entry["crc"], len(entry["rows"])
    return journal


def _parse_line(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    entry: dict[str, Any] = json.loads(text)
    return entry


def _read_spec(folder: Path) -> FeatureSpec:
    path = folder / "spec.json"
    try:
        return FeatureSpec.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise StoreError(
            f"no feature store at {folder}; make one with `workzone extract`"
        ) from error
    except (OSError, ValueError, WorkzoneError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}); delete {folder} and extract again"
        ) from error


class FeatureStore:
    """A store opened for reading."""

    def __init__(self, folder: Path) -> None:
        """Open the store in ``folder``.

        Raises:
            StoreError: there is none, or its files are shorter than its journal says.
        """
        self.folder = folder
        self.spec = _read_spec(folder)
        journal = _read_journal(folder / "journal.txt")
        self.rows, self.failed = journal.rows, journal.failed
        self.siblings: dict[str, FeatureStore] = {}  # of the same images by key, for other models
        self._maps: dict[str, npt.NDArray[Any]] = {}
        for array in row_arrays(self.spec):
            shape = (len(self.rows), *array.shape)
            path = folder / f"{array.name}.bin"
            size = path.stat().st_size if path.exists() else 0
            if size < len(self.rows) * array.row_bytes:
                raise StoreError(
                    f"{path} holds {size:,} bytes, its journal promises "
                    f"{len(self.rows) * array.row_bytes:,}; delete {folder} and extract again"
                )
            self._maps[array.name] = (
                np.memmap(path, dtype=array.dtype, mode="c", shape=shape)  # never written back
                if self.rows
                else np.zeros(shape, dtype=array.dtype)
            )

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, image: str, copy: int = 0) -> int:
        """The row of an image's copy.

        Raises:
            StoreError: it was never extracted, or failed (with the reason).
        """
        key = (image, copy)
        if key in self.failed:
            raise StoreError(f"image {image}, copy {copy}, could not be read: {self.failed[key]}")
        if key not in self.rows:
            raise StoreError(
                f"image {image}, copy {copy}, is not in {self.folder}; "
                "run `workzone extract` on its manifest"
            )
        return self.rows[key]

    def read(self, name: str, rows: Sequence[int] | slice) -> torch.Tensor:
        """Rows of one array.

        Args:
            name: ``pooled`` ``[B, V, D]``, ``boxes`` ``[B, V, 4]``, ``grid`` ``[B, G, N, D]`` or
                a `level_name` ``[B, C, h, w]``.
            rows: B row numbers.

        Returns:
            float32.
        """
        return self.mapped(name)[rows].float()

    def mapped(self, name: str) -> torch.Tensor:
        """One whole array as it lies on disk, ``[R, ...]``; only what is looked at is read.

        See :meth:`read` for names and shapes.
        """
        if name not in self._maps:
            raise StoreError(f"the store has no {name!r}; {nearest(name, self._maps)}")
        values = torch.from_numpy(self._maps[name])
        return values.view(torch.bfloat16) if values.dtype == torch.uint16 else values

    def grid(self, views: Sequence[int]) -> torch.Tensor:
        """Patch grids of some views as they lie on disk.

        Returns:
            ``[R, N, D]`` of one view, ``[R, G, N, D]`` of several.

        Raises:
            StoreError: the store has no grid of one of them.
        """
        stored = self.spec.grid_views
        missing = sorted(set(views) - set(stored))
        if missing:
            raise StoreError(
                f"{self.folder} holds grids of views {list(stored)}, not of {missing}; "
                "extract again"
            )
        grid = self.mapped("grid")
        if len(views) == 1:
            return grid[:, stored.index(views[0])]
        return grid if tuple(views) == stored else grid[:, [stored.index(v) for v in views]]


class StoreWriter:
    """A store opened for appending; one writer at a time, in a ``with`` block."""

    def __init__(self, folder: Path, spec: FeatureSpec) -> None:
        """Open or create, and cut off what an earlier stop left half-written.

        Raises:
            StoreError: another process writes to it, it belongs to another spec, it is damaged,
                or the folder cannot be written.
        """
        self.folder = folder
        try:
            self._lock = hold(folder / "lock")
        except TimeoutError as error:
            raise StoreError(f"another process is writing to {folder}; wait for it") from error
        except OSError as error:
            raise StoreError(
                f"cannot write to {folder}: {error.strerror}; name another folder"
            ) from error
        self._files: dict[str, BinaryIO] = {}
        try:
            self._open(spec)
        except BaseException:
            self.close()
            raise

    def _open(self, spec: FeatureSpec) -> None:
        spec_path = self.folder / "spec.json"
        if not spec_path.exists():
            write_text(spec_path, json.dumps(spec.to_json(), indent=2) + "\n")
        elif _read_spec(self.folder) != spec:
            raise StoreError(f"{self.folder} holds features of another spec; name another folder")
        self._arrays = row_arrays(spec)
        journal = _read_journal(self.folder / "journal.txt")
        self.rows, self.failed = journal.rows, journal.failed
        for array in self._arrays:
            size = len(self.rows) * array.row_bytes
            handle = self._open_at(f"{array.name}.bin", size)
            start = size - journal.last_count * array.row_bytes
            handle.seek(start)
            if journal.last_count and zlib.crc32(handle.read()) != journal.last_crc[array.name]:
                raise StoreError(
                    f"{self.folder / array.name}.bin does not match its journal (a damaged disk?); "
                    f"delete {self.folder} and extract again"
                )
            self._files[array.name] = handle
        self._files["journal"] = self._open_at("journal.txt", journal.valid_bytes)
        self._files["journal"].seek(journal.valid_bytes)
        sync_folder(self.folder)

    def _open_at(self, name: str, size: int) -> BinaryIO:
        """Open a file for reading and writing, cut to ``size``."""
        path = self.folder / name
        path.touch()
        handle = path.open("r+b")
        if path.stat().st_size < size:
            handle.close()
            raise StoreError(
                f"{path} is shorter than its journal says; delete {self.folder} and extract again"
            )
        handle.truncate(size)
        return handle

    def append(
        self,
        keys: Sequence[RowKey],
        arrays: dict[str, npt.NDArray[Any]],
        failed: Iterable[tuple[RowKey, str]] = (),
    ) -> None:
        """Add one batch: data first, then its line in the journal, each flushed to disk.

        Args:
            keys: of the rows, in order.
            arrays: for each of the store's arrays, ``[rows, ...]``.
            failed: images that could not be read, with the reason.

        Raises:
            StoreError: the disk is full; the batch is then not in the store, and the writer is
                closed.
        """
        failed = list(failed)
        assert len(set(keys) - self.rows.keys()) == len(keys), "a key stands for one row"
        data = {}
        for array in self._arrays:
            data[array.name] = np.ascontiguousarray(arrays[array.name]).view(array.dtype).tobytes()
            assert len(data[array.name]) == len(keys) * array.row_bytes, (array, len(keys))
        entry = {
            "rows": [list(key) for key in keys],
            "failed": [[*key, reason] for key, reason in failed],
            "crc": {name: zlib.crc32(values) for name, values in data.items()},
        }
        text = json.dumps(entry, separators=(",", ":")).encode()
        data["journal"] = b"%08x %s\n" % (zlib.crc32(text), text)  # last: it vouches for the rest
        try:
            for name, values in data.items():
                self._files[name].write(values)
                _flush(self._files[name])
        except OSError as error:
            self.close()  # files may end in half a batch: only opening anew puts that right
            raise StoreError(
                f"cannot write to {self.folder}: {error.strerror}. What was extracted so far is "
                "safe: free some space and run the same command again to go on"
            ) from error
        self.failed.update(failed)
        for key in keys:
            self.rows[key] = len(self.rows)
            self.failed.pop(key, None)

    def close(self) -> None:
        """Close the files and let other writers in."""
        for handle in self._files.values():
            with contextlib.suppress(OSError):  # a full disk: what is unwritten was never promised
                handle.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _flush(handle: BinaryIO) -> None:
    handle.flush()
    os.fsync(handle.fileno())
