"""Images within files that hold many, here or at an address: archives, tars, parquet, manifests."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from workzone.data.archives import ARCHIVE_ERRORS, member_names, repeats_note
from workzone.data.find_files import find_in_names
from workzone.data.passed_over import PassedOver, counted
from workzone.data.remote import is_remote, list_files, member_at, open_remote, tar_members
from workzone.errors import UsageError, WorkzoneError
from workzone.types import ImageRef, Sample

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Named = tuple[str, ImageRef, Sample | None]
"""An id, the image, and what a manifest says of it."""


@dataclass(frozen=True)
class Held:
    """The images that a container holds."""

    images: list[Named]
    passed_over: PassedOver = field(default_factory=PassedOver)
    remarks: tuple[str, ...] = ()


def images_in_archive(path: Path) -> Held:
    """The images in a zip or an uncompressed tar, such as WebDataset's; ids are their names in it.

    Raises:
        WorkzoneError: it is damaged.
    """
    try:
        names = member_names(path)
    except (OSError, *ARCHIVE_ERRORS) as error:
        raise WorkzoneError(f"{path} cannot be read: {error}") from error
    kept = dict.fromkeys(names)
    found = find_in_names(kept)
    absolute = str(path.absolute())
    images: list[Named] = [(name, ImageRef(absolute, name), None) for name in found.images]
    repeats = repeats_note(str(path), len(names) - len(kept))
    return Held(images, found.passed_over, tuple(repeats))


def images_in_table(path: Path) -> list[Named]:
    """The images in a parquet file that is no manifest; ids are its stem and the row's number.

    Raises:
        UsageError: it has no column of images.
        WorkzoneError: it is no parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return _rows(file, str(path.absolute()), path.stem)
    except (OSError, pa.ArrowException) as error:
        raise WorkzoneError(f"{path} cannot be read: {error}") from error


def images_at(address: str) -> Held:
    """The images at or below an address: files, and what tars, parquet files and manifests hold.

    Ids are their names below it. Zip archives are not read there.

    Raises:
        MissingExtraError: fsspec, or its package for such addresses, is not installed.
        UsageError: nothing is there.
        WorkzoneError: something there cannot be listed or read.
    """
    below = list_files(address)
    containers = [n for n in below if PurePosixPath(n).suffix.lower() in (".tar", ".parquet")]
    found = find_in_names(name for name in below if name not in containers)
    images: list[Named] = [(name, ImageRef(below[name]), None) for name in found.images]
    remarks = _zips_note(address, found.passed_over.kinds[".zip"])
    for name in sorted(containers):
        lead = "" if len(below) == 1 else f"{name}/"
        held = _in_tar(below[name]) if name.lower().endswith(".tar") else _in_parquet(below[name])
        images += [(f"{lead}{inner}", ref, sample) for inner, ref, sample in held.images]
        found.passed_over.merge(held.passed_over)
        remarks += held.remarks
    return Held(images, found.passed_over, tuple(remarks))


def _zips_note(address: str, zips: int) -> list[str]:
    if not zips:
        return []
    return [
        f"{address}: {counted(zips, '.zip archive')} not opened, as none is at an address; pack "
        "the images as .tar, or name a copy on a disk"
    ]


def _in_tar(address: str) -> Held:
    listed = tar_members(address)
    spans = {name: (begin, size) for name, begin, size in listed}
    found = find_in_names(spans)
    images: list[Named] = [
        (name, ImageRef(address, member_at(name, *spans[name])), None) for name in found.images
    ]
    repeats = repeats_note(address, len(listed) - len(spans))
    return Held(images, found.passed_over, tuple(repeats))


def _in_parquet(address: str) -> Held:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from workzone.data import manifest

    with open_remote(address) as handle:
        try:
            file = pq.ParquetFile(handle)
        except pa.ArrowException as error:
            raise WorkzoneError(f"{address} cannot be read: {error}") from error
        if not set(file.schema_arrow.names) >= set(manifest.SCHEMA.names):
            return Held(_rows(file, address, PurePosixPath(address).stem))
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "manifest.parquet"
            pq.write_table(file.read(), copy)
            listed = manifest.read_manifest(copy)
    root = address.rpartition("/")[0]
    return Held([(s.id, _below(root, s.image), s) for s in listed])


def _below(root: str, ref: ImageRef) -> ImageRef:
    """An image of a manifest at an address.

    Raises:
        UsageError: it is on a disk, which other machines do not have.
    """
    if is_remote(ref.path):
        return ref
    if PurePosixPath(ref.path).is_absolute() or (ref.member is not None and ref.row is None):
        raise UsageError(
            f"a manifest at {root} names {ref}: it is not at an address; name the folder or the "
            "tars at the address, or write a manifest with addresses"
        )
    return replace(ref, path=f"{root}/{ref.path}")


def _rows(file: pq.ParquetFile, path: str, stem: str) -> list[Named]:
    from workzone.data.sources.parquet_columns import columns_of, image_column

    column = image_column(Path(path), columns_of(file.schema_arrow))
    if column is None:
        raise UsageError(
            f"{path} is neither a manifest nor has it a column of images: import it first, naming "
            "its columns: workzone data import --column image=NAME"
        )
    return [
        (f"{stem}-{row:06d}", ImageRef(path, column, row), None)
        for row in range(file.metadata.num_rows)
    ]
