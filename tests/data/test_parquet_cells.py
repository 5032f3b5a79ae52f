"""What one cell of an image column may hold."""

from __future__ import annotations

import base64
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bad_images import two_halves
from workzone.data.images import read_bytes
from workzone.data.images_in_text import decode_text
from workzone.data.parquet_cells import look_up
from workzone.errors import ImageError
from workzone.types import ImageRef


def jpeg() -> bytes:
    buffer = io.BytesIO()
    two_halves().save(buffer, "JPEG")
    return buffer.getvalue()


PICTURE = jpeg()
TEXT = base64.b64encode(PICTURE).decode()
URI = f"data:image/jpeg;base64,{TEXT}"
KINDS = {
    "bytes": pa.array([PICTURE]),
    "large bytes": pa.array([PICTURE], pa.large_binary()),
    "view of bytes": pa.array([PICTURE], pa.binary_view()),
    "fixed size": pa.array([PICTURE], pa.binary(len(PICTURE))),
    "dictionary": pa.array([PICTURE]).dictionary_encode(),
    "struct": pa.array([{"bytes": PICTURE, "path": "a.jpg"}]),
    "struct without a path": pa.array([{"bytes": PICTURE, "path": None}]),
    "struct in other case": pa.array([{"Path": "a.jpg", "Bytes": PICTURE}]),
    "list of one struct": pa.array([[{"bytes": PICTURE, "path": None}]]),
    "list of bytes as numbers": pa.array([list(PICTURE)], pa.list_(pa.uint8())),
    "base64": pa.array([TEXT]),
    "base64 in lines": pa.array([base64.encodebytes(PICTURE).decode()], pa.large_string()),
    "base64 for addresses": pa.array([base64.urlsafe_b64encode(PICTURE).decode().rstrip("=")]),
    "base64 as plain bytes": pa.array([TEXT.encode()]),
    "base64 as dictionary": pa.array([TEXT]).dictionary_encode(),
    "address": pa.array([URI], pa.string_view()),
    "struct of base64": pa.array([{"bytes": TEXT, "path": None}]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_in_any_form(tmp_path, kind):
    pq.write_table(pa.table({"image": KINDS[kind]}), tmp_path / "a.parquet")
    assert read_bytes(ImageRef("a.parquet", "image", 0), tmp_path) == PICTURE


def cell(tmp_path, column, row=0):
    pq.write_table(pa.table({"image": column}), tmp_path / "a.parquet")
    return look_up(tmp_path / "a.parquet", "image", row)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x/a.jpg"]),
        pa.array([b"x/a.jpg"]),
        pa.array([{"bytes": None, "path": "x/a.jpg"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),  # noqa: E501
        pa.array([{"bytes": b"", "path": "x/a.jpg"}]),
        pa.array([{"bytes": None, "path": "x/a.jpg"}]),
        pa.array([[{"bytes": None, "path": "x/a.jpg"}]]),
    ],
)  # fmt: skip
def test_a_path(tmp_path, column):
    found = cell(tmp_path, column)
    assert (found.path, found.data, found.problem) == ("x/a.jpg", None, None)


def test_a_path_that_looks_like_base64_stays_a_path(tmp_path):
    assert cell(tmp_path, pa.array(["data/train/roadwork/frame"])).path
    assert decode_text("abcd") is None
    assert decode_text("/9j/a.jpg") is None


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (pa.array([TEXT * 9 + "!"]), "neither a path nor a picture as base64"),
        (pa.array(["data:image/svg+xml,<svg/>"]), "neither a path nor a picture as base64"),
        (pa.array([[PICTURE, PICTURE]]), "holds 2 images; give each a row of its own"),
        (pa.array([[[1, 2], [3, 4]]]), "holds numbers, not a picture; store each picture's JPEG"),
        (pa.array([[1, 2, 3]]), "holds numbers, not a picture"),
        (pa.array([7]), "holds int, not a picture"),
    ],
)
def test_what_is_no_picture_is_told_in_a_short_sentence(tmp_path, column, sentence):
    found = cell(tmp_path, column)
    assert sentence in found.problem
    assert len(found.problem) < 200


@pytest.mark.parametrize(
    "column",
    [pa.array([None], pa.binary()), pa.nulls(1), pa.array([{"bytes": None, "path": None}])],
)
def test_nothing(tmp_path, column):
    found = cell(tmp_path, column)
    assert (found.path, found.data, found.problem) == (None, None, None)
    with pytest.raises(ImageError, match="zero bytes"):
        read_bytes(ImageRef("a.parquet", "image", 0), tmp_path)


def test_a_column_within_a_struct(tmp_path):
    column = pa.array([{"image": {"bytes": PICTURE, "path": None}, "n": 1}, None])
    pq.write_table(pa.table({"frame": column}), tmp_path / "a.parquet")
    assert look_up(tmp_path / "a.parquet", "frame.image", 0).data == PICTURE
    assert look_up(tmp_path / "a.parquet", "frame.image", 1).data is None


def test_a_damaged_page_is_told_and_read_once(tmp_path, monkeypatch):
    pq.write_table(pa.table({"image": [PICTURE] * 9}), tmp_path / "a.parquet", compression="snappy")
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[4:200] = bytes(196)
    (tmp_path / "a.parquet").write_bytes(data)
    reads = []
    whole = pq.ParquetFile.read_row_group

    def counted(self, *args, **kwargs):
        reads.append(args)
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    for row in range(9):
        with pytest.raises(ImageError) as caught:
            read_bytes(ImageRef("a.parquet", "image", row), tmp_path)
        assert caught.value.code == "unreadable"
    assert len(reads) == 1
