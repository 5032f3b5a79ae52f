"""Tables and the mapping of columns."""

from __future__ import annotations

import pytest

from workzone.data.sources.columns import map_columns
from workzone.data.sources.table import open_table
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef


def write(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    return path


def test_usual_names_map_by_themselves_and_the_rest_is_kept(tmp_path):
    path = write(
        tmp_path / "labels.csv",
        "File,is_roadwork,seq_id,Lat,lng,licence,note\na/1.jpg,yes,s1,1.5,2.5,CC-BY,\n",
    )
    source = open_table(path, None)
    (record,) = source.records()
    assert record.image == ImageRef(str(tmp_path / "a/1.jpg"))
    assert record.values == {"label": "yes", "group": "s1", "latitude": "1.5", "longitude": "2.5"}
    assert record.extra == {"licence": "CC-BY"}
    assert (record.default_id, record.where) == ("a/1.jpg", "labels.csv line 2")
    assert source.source_columns == {
        "image_path": "File",
        "label": "is_roadwork",
        "group": "seq_id",
        "latitude": "Lat",
        "longitude": "lng",
    }
    assert (source.name, source.total) == ("labels", 1)


def test_given_columns_win(tmp_path):
    path = write(tmp_path / "t.csv", "file,thumb,label,truth\na.jpg,b.jpg,0,1\n")
    (record,) = open_table(path, {"image": "thumb", "label": "truth"}).records()
    assert record.image == ImageRef(str(tmp_path / "b.jpg"))
    assert record.values == {"label": "1"}
    assert record.extra == {"file": "a.jpg", "label": "0"}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_quotes_and_byte_order_mark(tmp_path, separator):
    text = separator.join(("image", "text")) + "\r\n" + separator.join(("a.jpg", '"x,;\ty\nz"'))
    (record,) = open_table(write(tmp_path / "t.csv", text, "utf-8-sig"), None).records()
    assert record.values["text"] == "x,;\ty\nz"


def test_absolute_paths_and_masks(tmp_path):
    path = write(tmp_path / "t.csv", "image,masks\n/far/a.jpg,m/a.png\n")
    (record,) = open_table(path, None).records()
    assert record.image == ImageRef("/far/a.jpg")
    assert record.values["masks"] == str(tmp_path / "m/a.png")


def test_rows_that_cannot_be_used_say_why(tmp_path):
    path = write(tmp_path / "t.csv", "image,label\na.jpg,1,9\nb.jpg\n,1\n\nc.jpg,0\n")
    source = open_table(path, None)
    problems = [record.problem for record in source.records()]
    assert source.total == len(problems) == 4
    assert [problem and problem[0] for problem in problems] == [
        *("row-malformed", "row-malformed", "missing", None)
    ]
    assert "3 cells under 2 columns; quote cells that hold the separator" in problems[0][1]
    assert problems[2][1] == "the image column is empty"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv is empty; its first row must name the columns"),
        ("image,a,a\n", "the column 'a' occurs twice"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, message):
    with pytest.raises(ManifestError, match=message):
        open_table(write(tmp_path / "t.csv", text), None)


def test_a_table_that_is_not_utf8(tmp_path):
    path = write(tmp_path / "t.csv", "image,text\na.jpg,Straße\n", "latin-1")
    with pytest.raises(ManifestError, match=r"t.csv is not UTF-8 .*save it as UTF-8"):
        open_table(path, None)


def test_an_endless_cell(tmp_path):
    path = write(tmp_path / "t.csv", "image\n" + "x" * 140_000 + "\n")
    with pytest.raises(ManifestError, match="not a readable table"):
        open_table(path, None)


def test_unknown_field_column_and_no_image():
    with pytest.raises(UsageError, match="'lable' is not a field; did you mean 'label'"):
        map_columns(["image"], {"lable": "image"}, where="t")
    with pytest.raises(UsageError, match="t has no column 'flie'; did you mean 'file'"):
        map_columns(["file"], {"image": "flie"}, where="t")
    with pytest.raises(UsageError, match=r"no column for the image; name one.*Columns: a, b"):
        map_columns(["a", "b"], None, where="t")


def test_the_sequence_falls_back_to_the_video_row_by_row():
    columns = ["image", "video_info.seq_id", "video_info.vid_id"]
    mapping = map_columns(columns, None, where="t")
    values, extra = mapping.apply(dict(zip(columns, ("a", "s", "v"), strict=True)))
    assert (values["group"], extra) == ("s", {"video_info.vid_id": "v"})
    values, extra = mapping.apply(dict(zip(columns, ("a", None, "v"), strict=True)))
    assert (values["group"], extra) == ("v", {})
    assert mapping.source_columns()["group"] == "video_info.seq_id or video_info.vid_id"
