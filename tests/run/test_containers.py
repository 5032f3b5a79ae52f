"""Images within archives, parquet files and object stores, scored without an import."""

from __future__ import annotations

import io
import re
import tarfile
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.utils import infer_storage_options

from made_images import blob_image
from workzone.data import remote
from workzone.data.images import read_bytes
from workzone.data.manifest import Manifest, write_manifest
from workzone.errors import ImageError, MissingExtraError, UsageError, WorkzoneError
from workzone.run.fetching import fetched_ahead, load_fetched
from workzone.run.selection import select_images
from workzone.run.sources import Item, find_images
from workzone.types import ImageRef, Sample


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    blob_image(number, number % 2).save(buffer, "JPEG")
    return buffer.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def loaded(*sources: str | Path) -> dict[str, bytes]:
    return {name: item.load().data for name, item in find_images(sources).images}


@pytest.fixture
def bucket() -> fsspec.AbstractFileSystem:
    """An object store in memory, empty."""
    store = fsspec.filesystem("memory")
    store.rm("/", recursive=True) if store.ls("/") else None
    return store


def test_webdataset_tars_and_zips_are_sources(tmp_path: Path) -> None:
    files = {"0001.jpg": jpeg(1), "0001.json": b"{}", "__MACOSX/0.jpg": b"x", "a/0002.png": jpeg(2)}
    write_tar(tmp_path / "one.tar", files)
    with zipfile.ZipFile(tmp_path / "two.ZIP", "w") as archive:
        archive.writestr("0003.jpg", jpeg(3))
    one, two = tmp_path / "one.tar", tmp_path / "two.ZIP"
    assert loaded(one) == {"0001.jpg": jpeg(1), "a/0002.png": jpeg(2)}
    assert loaded(one, two) == {
        f"{one}/0001.jpg": jpeg(1),
        f"{one}/a/0002.png": jpeg(2),
        f"{two}/0003.jpg": jpeg(3),
    }
    assert find_images(one).passed_over.total == 1
    two.write_bytes(b"no archive")
    with pytest.raises(WorkzoneError, match=r"two\.ZIP cannot be read"):
        find_images(two)


def test_parquet_with_images_inside_is_a_source(tmp_path: Path) -> None:
    cells = [{"bytes": jpeg(n), "path": None} for n in range(3)]
    table = pa.table({"image": cells, "label": [0, 1, 0]})
    pq.write_table(table, tmp_path / "set.parquet")
    found = find_images(tmp_path / "set.parquet")
    assert loaded(tmp_path / "set.parquet") == {f"set-{n:06d}": jpeg(n) for n in range(3)}
    assert "workzone data import" in found.notes()[0]
    pq.write_table(table.select(["label"]), tmp_path / "labels.parquet")
    with pytest.raises(UsageError, match="neither a manifest nor has it a column of images"):
        find_images(tmp_path / "labels.parquet")


def test_folders_tars_and_parquet_at_an_address(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem
) -> None:
    write_tar(tmp_path / "shard.tar", {"0001.jpg": jpeg(1), "0002.jpg": jpeg(2)})
    pq.write_table(
        pa.table({"image": [jpeg(3), jpeg(4)]}), tmp_path / "set.parquet", row_group_size=1
    )
    bucket.pipe("/fleet/day/0000.jpg", jpeg(0))
    bucket.pipe("/fleet/day/notes.txt", b"words")
    bucket.put(str(tmp_path / "shard.tar"), "/fleet/day/shard.tar")
    bucket.put(str(tmp_path / "set.parquet"), "/fleet/day/set.parquet")
    found = find_images("memory://fleet/day/")
    assert found.remote and found.passed_over.total == 1
    assert loaded("memory://fleet/day") == {
        "0000.jpg": jpeg(0),
        "set.parquet/set-000000": jpeg(3),
        "set.parquet/set-000001": jpeg(4),
        "shard.tar/0001.jpg": jpeg(1),
        "shard.tar/0002.jpg": jpeg(2),
    }
    assert loaded("memory://fleet/day/shard.tar") == {"0001.jpg": jpeg(1), "0002.jpg": jpeg(2)}
    assert loaded("memory://fleet/day/0000.jpg") == {"0000.jpg": jpeg(0)}
    fetched = list(fetched_ahead(found.images, Item.load))
    assert [name for name, _ in fetched] == [name for name, _ in found.images]
    assert load_fetched(fetched[0][1]).data == jpeg(0)


def test_a_manifest_at_an_address_names_what_lies_beside_it(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem
) -> None:
    bucket.pipe("/fleet/a/0.jpg", jpeg(0))
    time = datetime(2026, 11, 1, tzinfo=UTC)
    sample = Sample("first", ImageRef("a/0.jpg"), time=time, latitude=52.0, longitude=13.0)
    write_manifest(Manifest([sample], tmp_path), tmp_path / "manifest.parquet")
    bucket.put(str(tmp_path / "manifest.parquet"), "/fleet/manifest.parquet")
    ((name, item),) = find_images("memory://fleet/manifest.parquet").images
    assert (name, item.load().data) == ("first", jpeg(0))
    assert item.sample is not None and item.sample.time == time
    elsewhere = Sample("second", ImageRef("/disk/0.jpg"))
    write_manifest(Manifest([elsewhere], tmp_path), tmp_path / "manifest.parquet")
    bucket.put(str(tmp_path / "manifest.parquet"), "/fleet/manifest.parquet")
    with pytest.raises(UsageError, match="it is not at an address"):
        find_images("memory://fleet/manifest.parquet")


def test_two_images_of_one_id_at_one_address_are_refused(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "shard.tar", {"0.jpg": jpeg(1)})
    bucket.pipe("/fleet/day/shard.tar/0.jpg", jpeg(2))  # a key may begin with another one
    bucket.pipe("/fleet/day/shard.tar", (tmp_path / "shard.tar").read_bytes())
    monkeypatch.setattr(bucket, "find", lambda path: sorted(k for k in bucket.store if path in k))
    with pytest.raises(UsageError, match=r"the id 'shard\.tar/0\.jpg': .*; rename one of them"):
        find_images("memory://fleet/day")


@pytest.fixture
def remote_parquet(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> str:
    """Two row groups of 32 images, which are structs, at an address."""
    cells = [{"bytes": jpeg(n % 4), "path": None} for n in range(64)]
    pq.write_table(pa.table({"image": cells}), tmp_path / "set.parquet", row_group_size=32)
    bucket.put(str(tmp_path / "set.parquet"), "/fleet/set.parquet")
    remote._parquet.cache_clear()
    remote._group.cache_clear()
    return "memory://fleet/set.parquet"


def test_a_row_group_that_many_threads_want_is_fetched_once(
    remote_parquet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    fetch = pq.ParquetFile.read_row_group

    def slow(file: pq.ParquetFile, number: int, **options: object) -> pa.Table:
        fetched.append(number)
        time.sleep(0.05)  # all threads ask meanwhile
        return fetch(file, number, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", slow)
    images = find_images(remote_parquet).images
    data = [load_fetched(file).data for _, file in fetched_ahead(images, Item.load)]
    assert data == [jpeg(n % 4) for n in range(64)]
    assert sorted(fetched) == [0, 1]


def test_large_cells_and_row_groups_at_an_address_are_refused(
    remote_parquet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, size = ImageRef(remote_parquet, "image", 40), len(jpeg(0))
    assert remote.read_remote(ref, most=size) == jpeg(0)
    with pytest.raises(ImageError, match=r"set\.parquet.*over 0 MiB encoded") as cell:
        remote.read_remote(ref, most=size - 1)
    remote._group.cache_clear()
    monkeypatch.setattr(remote, "_MOST_OF_GROUP", 100)
    with pytest.raises(ImageError, match=r"row group 1 holds .* fewer rows in each row") as group:
        remote.read_remote(ref, most=size)
    assert cell.value.code == group.value.code == "too-large"


def test_archives_that_are_not_read_are_told_with_the_way_to_read_them(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem
) -> None:
    shards = tmp_path / "day" / "shards"
    shards.mkdir(parents=True)
    for name in ("0.tar", "1.tar"):
        write_tar(shards / name, {"0.jpg": jpeg(0)})
    told = f"{tmp_path}/day: 2 .tar archives not opened; name them: {shards}/*.tar"
    with pytest.raises(UsageError, match=re.escape(told)):
        find_images(tmp_path / "day")
    (tmp_path / "day" / "0.jpg").write_bytes(jpeg(0))
    assert find_images(tmp_path / "day").remarks == (told,)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("0.jpg", jpeg(0))
    bucket.put(str(tmp_path / "a.zip"), "/fleet/a.zip")
    told = "memory://fleet: 1 .zip archive not opened, as none is at an address; pack"
    with pytest.raises(UsageError, match=told):
        find_images("memory://fleet")
    bucket.pipe("/fleet/0.jpg", jpeg(0))
    assert told in find_images("memory://fleet").remarks[0]


def test_what_is_passed_over_within_tars_at_an_address_is_counted(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem
) -> None:
    files = {"0.jpg": jpeg(0), "0.json": b"{}", "0.mp4": b"x", ".b/0.jpg": b"x"}
    write_tar(tmp_path / "a.tar", files)
    bucket.put(str(tmp_path / "a.tar"), "/fleet/a.tar")
    bucket.put(str(tmp_path / "a.tar"), "/fleet/b.tar")
    passed_over = find_images("memory://fleet").passed_over
    assert passed_over.kinds == {".mp4": 2, "other file": 2}
    assert passed_over.hidden == 2


class Clusters(fsspec.AbstractFileSystem):
    """Each host has one image in each folder: the host's own name."""

    protocol = "cluster"

    def __init__(self, host: str = "default") -> None:
        super().__init__()
        self.host = host.encode()

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        return {"host": infer_storage_options(path)["host"]}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return infer_storage_options(path)["path"].rstrip("/")

    def find(self, path: str) -> list[str]:  # type: ignore[override]
        return [f"{path}/0.jpg"]

    def size(self, path: str) -> int:
        return len(self.host)

    def cat_file(self, path: str) -> bytes:  # type: ignore[override]
        return self.host


def test_the_host_that_is_named_is_the_one_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("cluster", Clusters, clobber=True)
    monkeypatch.setitem(remote.PACKAGES, "cluster", "fsspec")
    assert loaded("cluster://one/day", "cluster://two/day/", "CLUSTER://two/night::x") == {
        "cluster://one/day/0.jpg": b"one",
        "cluster://two/day/0.jpg": b"two",
        "CLUSTER://two/night::x/0.jpg": b"two",
    }


def test_what_an_address_lacks_is_told(
    bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="nothing at memory://none/: check the bucket"):
        find_images("memory://none/")
    with pytest.raises(ImageError, match="no such file") as missing:
        read_bytes(ImageRef("memory://fleet/gone.jpg"), Path())
    assert missing.value.code == "missing"
    monkeypatch.setattr(remote, "_system", _lacking("Install s3fs to access S3"))
    with pytest.raises(UsageError, match="needs the package s3fs: pip install s3fs"):
        find_images("s3://bucket/a.jpg")
    monkeypatch.setattr(remote, "_system", _lacking("No module named 'fsspec'"))
    with pytest.raises(MissingExtraError, match=r"workzone\[remote\]"):
        find_images("s3://bucket/a.jpg")


def _lacking(message: str):  # type: ignore[no-untyped-def]
    def system(_scheme: str, _host: str) -> None:
        raise ImportError(message)

    return system


def test_a_broken_connection_is_tried_again(
    bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.pipe("/fleet/0.jpg", jpeg(0))
    monkeypatch.setattr(remote, "_PAUSE", 0.0)
    breaks = [ConnectionError("reset"), TimeoutError("slow")]
    whole = bucket.cat_file

    def flaky(*arguments: object, **options: object) -> bytes:
        if breaks:
            raise breaks.pop()
        return whole(*arguments, **options)

    monkeypatch.setattr(bucket, "cat_file", flaky)
    ref = ImageRef("memory://fleet/0.jpg")
    assert read_bytes(ref, Path()) == jpeg(0)
    breaks += [ConnectionError("reset")] * 9
    with pytest.raises(ImageError, match="reset") as broken:
        read_bytes(ref, Path())
    assert broken.value.code == "unreachable"


def _samples(tmp_path: Path, count: int) -> Path:
    samples = [
        Sample(f"{n:03}", ImageRef(f"{n}.jpg"), time=datetime(2026, 11, 1 + n // 10, tzinfo=UTC))
        for n in range(count)
    ]
    write_manifest(
        Manifest([*samples, Sample("x", ImageRef("x.jpg"))], tmp_path), tmp_path / "m.parquet"
    )
    return tmp_path / "m.parquet"


def test_some_images_are_chosen_alike_each_time(tmp_path: Path) -> None:
    found = find_images(_samples(tmp_path, 40))
    assert [n for n, _ in select_images(found, limit=3).images] == ["000", "001", "002"]
    drawn = [n for n, _ in select_images(found, sample=10).images]
    assert len(drawn) == 10 and drawn == sorted(drawn) != [f"{n:03}" for n in range(10)]
    assert set(drawn) <= {n for n, _ in select_images(found, sample=20).images}
    late = select_images(found, since=datetime(2026, 11, 3))
    assert [n for n, _ in late.images] == [f"{n:03}" for n in range(20, 40)]
    assert late.notes() == ["1 image without a time left out by --since"]
    with pytest.raises(UsageError, match="none of 41 images is left"):
        select_images(found, since=datetime(2027, 1, 1))
    (tmp_path / "0.jpg").write_bytes(jpeg(0))
    with pytest.raises(UsageError, match="--since needs times"):
        select_images(find_images(tmp_path / "0.jpg"), since=datetime(2026, 1, 1))


def test_listing_is_tried_again_too(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "shard.tar", {"0001.jpg": jpeg(1)})
    bucket.put(str(tmp_path / "shard.tar"), "/fleet/shard.tar")
    monkeypatch.setattr(remote, "_PAUSE", 0.0)
    breaks = [ConnectionError("reset")]
    whole = bucket.open

    def flaky(*arguments: object, **options: object) -> object:
        if breaks:
            raise breaks.pop()
        return whole(*arguments, **options)

    monkeypatch.setattr(bucket, "open", flaky)
    assert loaded("memory://fleet/shard.tar") == {"0001.jpg": jpeg(1)}


def test_members_and_rows_that_are_not_there_are_told(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem
) -> None:
    with pytest.raises(ImageError, match="uncompressed tars alone") as refused:
        read_bytes(ImageRef("memory://fleet/a.zip", "x.jpg"), Path())
    assert refused.value.code == "unreadable"
    pq.write_table(pa.table({"image": [jpeg(3)]}), tmp_path / "set.parquet")
    bucket.put(str(tmp_path / "set.parquet"), "/fleet/rows/set.parquet")
    with pytest.raises(ImageError, match=r"row 7 of 1, counted from 0") as missing:
        read_bytes(ImageRef("memory://fleet/rows/set.parquet", "image", 7), Path())
    assert missing.value.code == "missing"
