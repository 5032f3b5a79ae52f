"""Single values of parquet columns, page by page, against what was written."""

from __future__ import annotations

import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workzone.data import parquet_bodies, parquet_pages
from workzone.data.images import read_bytes
from workzone.data.parquet_reader import raw_value
from workzone.types import ImageRef


def cells(count: int, longest: int) -> list[bytes | None]:
    """Values of which some are missing, some repeat themselves, and some come twice."""
    rng = random.Random(0)

    def one() -> bytes | None:
        kind = rng.random()
        if kind < 0.2:
            return None
        if kind < 0.6:
            return rng.randbytes(rng.randrange(longest))
        return rng.randbytes(rng.randrange(1, 9)) * rng.randrange(longest // 8)

    found = [one() for _ in range(count)]
    return found + rng.choices(found, k=count // 4)


@pytest.fixture
def small_pieces(monkeypatch):
    """Pages of a few kilobytes count as large."""
    monkeypatch.setattr(parquet_bodies, "IN_MEMORY", 3000)
    monkeypatch.setattr(parquet_bodies, "_PIECE", 5000)
    monkeypatch.setattr(parquet_bodies, "_WINDOW", 100)


@pytest.fixture
def pages_only(monkeypatch):
    """Reading a row group as a whole fails."""

    def refused(*args, **kwargs):
        raise AssertionError("a whole row group was read")

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", refused)


@pytest.mark.usefixtures("pages_only")
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize(
    ("codec", "large"),
    [
        *((codec, False) for codec in ("none", "snappy", "zstd", "gzip", "brotli", "lz4")),
        *((codec, True) for codec in ("none", "snappy", "zstd", "gzip", "brotli")),
    ],
)
def test_any_row_in_any_order(tmp_path, request, codec, dictionary, version, large):
    if large:
        request.getfixturevalue("small_pieces")
    values = cells(250, 400)
    structs = [None if value == b"" else {"bytes": value, "path": "p"} for value in values]
    table = pa.table({"image": values, "struct": structs})
    pq.write_table(
        table,
        tmp_path / "a.parquet",
        compression=codec,
        use_dictionary=dictionary,
        data_page_version=version,
        row_group_size=100,
    )
    rows = list(range(len(values)))
    for order in (rows, random.Random(1).sample(rows, len(rows))):
        for row in order:
            assert raw_value(tmp_path / "a.parquet", "image", row) == values[row]
            struct = raw_value(tmp_path / "a.parquet", "struct", row)
            assert struct["bytes"] == (None if structs[row] is None else values[row])


@pytest.mark.usefixtures("pages_only")
@pytest.mark.parametrize("codec", ["none", "snappy", "zstd"])
def test_memory_does_not_grow_with_the_page(tmp_path, monkeypatch, codec):
    monkeypatch.setattr(parquet_bodies, "IN_MEMORY", 1 << 20)
    rng = random.Random(0)
    values = [rng.randbytes(400_000) for _ in range(100)]
    pq.write_table(pa.table({"image": values}), tmp_path / "a.parquet", compression=codec)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        for row in (*range(100), 3, 99, 0):
            data = read_bytes(ImageRef("a.parquet", "image", row), tmp_path)
            assert data == values[row]
            assert pa.total_allocated_bytes() - before < 8 << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_each_page_is_read_once_in_order_also_of_two_files_in_turn(tmp_path, monkeypatch):
    rng = random.Random(0)
    values = [rng.randbytes(2000) for _ in range(200)]
    for name in "ab":
        pq.write_table(
            pa.table({"image": values}), tmp_path / f"{name}.parquet", use_dictionary=False,
            data_page_size=10_000, write_batch_size=5,
        )  # fmt: skip
    sizes = []
    inflated = parquet_pages.inflated

    def counted(body, codec, size):
        sizes.append(size)
        return inflated(body, codec, size)

    monkeypatch.setattr(parquet_pages, "inflated", counted)
    for row in range(200):
        for name in "ab":
            assert raw_value(tmp_path / f"{name}.parquet", "image", row) == values[row]
    assert len(sizes) > 20
    assert sum(sizes) < 2 * 200 * 2100


def test_threads_may_read_at_once(tmp_path):
    values = [f"{number}".encode() * 300 for number in range(300)]
    for name in "ab":
        pq.write_table(pa.table({"image": values}), tmp_path / f"{name}.parquet", row_group_size=50)

    def reads(row):
        return raw_value(tmp_path / f"{'ab'[row % 2]}.parquet", "image", row)

    order = random.Random(0).sample(range(300), 300)
    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(reads, order)) == [values[row] for row in order]


@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_rare_encodings_are_left_to_pyarrow(tmp_path, encoding):
    values = cells(50, 100)
    pq.write_table(
        pa.table({"image": values}), tmp_path / "a.parquet", use_dictionary=False,
        column_encoding={"image": encoding}, row_group_size=20,
    )  # fmt: skip
    for row in (3, 49, 0):
        assert raw_value(tmp_path / "a.parquet", "image", row) == values[row]
