"""Tables and the mapping of columns."""

from __future__ import annotations

import pytest

from workzone.data.sources.columns import map_columns
from workzone.data.sources.detect import open_source
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
    group = {"group": "s1", "group_from": "clip"}
    assert record.values == {"label": "yes", **group, "latitude": "1.5", "longitude": "2.5"}
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


def test_tables_as_spreadsheet_programs_write_them(tmp_path):
    text = (
        "sep=;\nfile;label;lat;lon;note;;\na.jpg;1;51,5;-0,12;x;;\n;;;;;;\n\nb.jpg;0;;;;;\n;;;;;;\n"
    )
    source = open_table(write(tmp_path / "t.csv", text, "utf-8-sig"), None)
    first, second = source.records()
    assert source.total == 2
    assert (first.values["latitude"], first.extra) == ("51,5", {"note": "x"})
    assert (first.where, second.where) == ("t.csv line 3", "t.csv line 6")
    assert (first.problem, second.problem) == (None, None)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_byte_order_marks_name_the_encoding(tmp_path, encoding):
    text = '\ufeff file \tLabel\tText\r\nplößberg.jpg\t1\t"two\r\nlines"\r\n'
    (record,) = open_table(write(tmp_path / "t.txt", text, encoding), None).records()
    assert record.default_id == "plößberg.jpg"
    assert record.values == {"label": "1", "text": "two\r\nlines"}


def test_the_separator_is_the_one_that_gives_known_columns(tmp_path):
    text = "file;label;notes, long, free, text\na.jpg;1;x, y\n"
    (record,) = open_table(write(tmp_path / "t.csv", text), None).records()
    assert (record.values["label"], record.problem) == ("1", None)
    text = '"file, of the frame";"File Name";label\nx;a.jpg;1\n'
    (record,) = open_table(write(tmp_path / "t.csv", text), None).records()
    assert record.image == ImageRef(str(tmp_path / "a.jpg"))


def test_columns_without_a_name(tmp_path):
    text = ",file,,label\n0,a.jpg,,1\n1,b.jpg,x,0\n"
    first, second = open_table(write(tmp_path / "t.csv", text), None).records()
    assert first.extra == {"column 1": "0"}
    assert second.extra == {"column 1": "1", "column 3": "x"}


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_workbooks_are_to_be_saved_as_text(tmp_path, head):
    for name in ("t.csv", "t.xlsx"):
        (tmp_path / name).write_bytes(head + bytes(100))
        with pytest.raises(
            (ManifestError, UsageError), match=r"workbook.*save its sheet as 'CSV UTF-8'"
        ):
            open_source(str(tmp_path / name), kind="auto", columns=None, split=None, store=tmp_path)


def test_text_that_lacks_its_mark(tmp_path):
    path = write(tmp_path / "t.csv", "file\na.jpg\n", "utf-16-le")
    with pytest.raises(ManifestError, match="save it as UTF-8"):
        open_table(path, None)


def test_a_quote_that_is_not_closed_takes_no_rows_with_it(tmp_path):
    path = write(tmp_path / "t.csv", 'file,text\na.jpg,"note\nb.jpg,x\n')
    with pytest.raises(ManifestError, match="not a readable table: unexpected end of data"):
        open_table(path, None)
