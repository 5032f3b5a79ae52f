"""Lists of archives: whole, cut off, damaged."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from pathlib import Path

import fsspec
import pytest

from workzone.data.archives import member_names
from workzone.data.images import read_bytes
from workzone.data.remote import tar_members
from workzone.data.sources.folder import open_archive
from workzone.errors import ImageError, ManifestError, WorkzoneError
from workzone.run.sources import find_images
from workzone.types import ImageRef

BLOCK = tarfile.BLOCKSIZE
NAMES = ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


def tar_bytes(names: list[str] = NAMES, form: int = tarfile.USTAR_FORMAT) -> bytearray:
    """Each member of 700 bytes: a header and two blocks, where its name needs no other header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = 700
            archive.addfile(info, io.BytesIO(bytes([number + 1]) * 700))
    return bytearray(buffer.getvalue())


def broken_header() -> bytearray:
    data = tar_bytes()
    data[6 * BLOCK + 5] ^= 0xFF  # in the name of the third member
    return data


def broken_long_name() -> bytearray:
    data = tar_bytes(["0.jpg", "1.jpg", "a" * 150 + ".jpg"], tarfile.GNU_FORMAT)
    data[8 * BLOCK + 5] ^= 0xFF  # the header after the one that holds the long name
    return data


def broken_sparse_map() -> bytearray:
    data = tar_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("4.jpg")
        info.pax_headers = {"GNU.sparse.map": "first,second", "GNU.sparse.size": "700"}
        archive.addfile(info)
    return data[: 6 * BLOCK] + buffer.getvalue()


def lost_header() -> bytearray:
    data = tar_bytes()
    data[6 * BLOCK : 7 * BLOCK] = bytes(BLOCK)
    return data


DAMAGED = {
    "a header is damaged": (broken_header(), 2),
    "a header after a long name is damaged": (broken_long_name(), 2),
    "a map of holes is damaged": (broken_sparse_map(), 2),
    "a header is zeros": (lost_header(), 2),
    "cut in a header": (tar_bytes()[: 9 * BLOCK + 100], 3),
    "cut in the data": (tar_bytes()[: 7 * BLOCK + 100], 3),
}


@pytest.mark.parametrize(("data", "count"), DAMAGED.values(), ids=DAMAGED)
def test_a_tar_whose_list_breaks_off_is_refused(tmp_path: Path, data: bytes, count: int) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(data)
    told = rf"shard\.tar .*its list breaks off after {count} members; fetch it again, or pack"
    with pytest.raises(WorkzoneError, match=told):
        find_images(path)
    with pytest.raises(ManifestError, match=told):
        open_archive(path)
    fsspec.filesystem("memory").pipe("/broken/shard.tar", bytes(data))
    with pytest.raises(WorkzoneError, match=f"memory://broken/{told}"):
        tar_members("memory://broken/shard.tar")


def test_what_comes_before_the_damage_is_still_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "shard.tar").write_bytes(broken_header())
    assert read_bytes(ImageRef("shard.tar", "1.jpg"), tmp_path) == b"\2" * 700
    with pytest.raises(ImageError, match=r"shard\.tar!3\.jpg: .*breaks off after 2") as caught:
        read_bytes(ImageRef("shard.tar", "3.jpg"), tmp_path)
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize("end", [0, 100, BLOCK, 2 * BLOCK, 20 * BLOCK])
def test_a_whole_tar_needs_no_blocks_of_zeros_at_its_end(tmp_path: Path, end: int) -> None:
    data = tar_bytes()[: 12 * BLOCK] + bytes(end)
    (tmp_path / "shard.tar").write_bytes(data)
    assert member_names(tmp_path / "shard.tar") == NAMES
    fsspec.filesystem("memory").pipe("/whole/shard.tar", bytes(data))
    assert [name for name, _, _ in tar_members("memory://whole/shard.tar")] == NAMES


@pytest.fixture(params=["a.zip", "a.tar"])
def repeated(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An archive with one name twice, which holds other bytes each time."""
    path: Path = tmp_path / request.param
    if path.suffix == ".tar":
        path.write_bytes(tar_bytes(["0.jpg", "1.jpg", "0.jpg"]))
        return path
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile says that the name is there already
        for number, name in enumerate(["0.jpg", "1.jpg", "0.jpg"]):
            archive.writestr(name, bytes([number + 1]) * 700)
    return path


TOLD = "1 member left out, whose name comes again later in the same archive: the last of a name"


def test_the_last_member_of_a_name_counts_and_is_told(repeated: Path) -> None:
    expected = {"0.jpg": b"\3" * 700, "1.jpg": b"\2" * 700}
    found = find_images(repeated)
    assert [(name, item.load().data) for name, item in found.images] == list(expected.items())
    assert found.notes() == [f"{repeated}: {TOLD} counts"]
    source = open_archive(repeated)
    records = list(source.records())
    assert {r.default_id: read_bytes(r.image, Path()) for r in records} == expected
    assert len(records) == source.total == 2
    assert f"{repeated}: {TOLD} counts" in source.warnings


def test_the_last_member_of_a_name_counts_at_an_address_too() -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/repeated/a.tar", bytes(tar_bytes(["0.jpg", "1.jpg", "0.jpg"])))
    found = find_images("memory://repeated/a.tar")
    assert {name: item.load().data[:1] for name, item in found.images} == {
        "0.jpg": b"\3",
        "1.jpg": b"\2",
    }
    assert found.notes() == [f"memory://repeated/a.tar: {TOLD} counts"]
