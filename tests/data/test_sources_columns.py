"""Which column fills which field: groups of drives, folds, and lists in text."""

from __future__ import annotations

import pytest

from bad_images import two_halves
from workzone.data.importing import import_source
from workzone.data.manifest import read_manifest
from workzone.data.sources.columns import map_columns
from workzone.data.sources.groups import as_group

DRIVE = "cfcd208495d565ef66e7dff9f98764da"


def groups(row: dict, **more: object) -> tuple[object, object]:
    values, _ = map_columns(["image", *row, *more], None, where="t").apply(row | more)
    return values["group"], values.get("group_from")


@pytest.mark.parametrize("prefix", ["video_info.", "video_info_", ""])
@pytest.mark.parametrize("clip", [1, 1.0, "000001", "1.0", None])
def test_the_drive_is_the_group(prefix, clip):
    row = {f"{prefix}seq_id": clip, f"{prefix}vid_id": DRIVE, "city_name": "boston"}
    assert groups(row) == (DRIVE, None)


@pytest.mark.parametrize("drive", [None, "", "None", "nan", float("nan")])
@pytest.mark.parametrize("clip", [1, 1.0, "000001", "1.0"])
def test_without_a_drive_city_and_day_stand_beside_the_clip(drive, clip):
    row = {"video_info.seq_id": clip, "video_info.vid_id": drive}
    date = {"date_captured": "2023-04-05 06:07:08"}
    assert groups(row, city_name="boston", **date) == ("boston 2023-04-05 clip 1", "place")
    assert groups(row, city_name="boston", date_captured=0) == ("boston clip 1", "place")
    assert groups(row, city_name=None, **date) == ("2023-04-05 clip 1", "place")
    assert groups(row, city_name="None", date_captured="?") == ("1", "clip")


def test_a_clip_in_words_may_occur_in_every_drive_too():
    row = {"seq_id": "clip_1", "date": "2023-04-05 06:07:08"}
    assert groups(row, city="boston") == ("boston 2023-04-05 clip_1", "place")
    assert groups(row | {"date": None}, city="bonn") == ("bonn clip_1", "place")
    assert groups(row | {"date": None}, city="unknown") == ("clip_1", "clip")
    assert groups({"seq_id": "unknown"}, city="bonn") == (None, None)


@pytest.mark.parametrize("drive", ["unknown", "Unknown", "-", "-1", -1, -1.0, "0", 0, "none"])
def test_a_placeholder_is_no_drive(drive):
    row = {"vid_id": drive, "seq_id": "c", "city": "bonn"}
    assert groups(row) == ("bonn c", "place")


def test_a_drive_of_a_bare_number_may_occur_in_every_city():
    assert groups({"drive": 1.0}, city="bonn") == ("bonn drive 1", "number")
    assert groups({"drive": "01"}, city="boston") == ("boston drive 1", "number")
    assert groups({"drive": 1}, city=None) == ("1", "number")
    assert groups({"drive": 0}) == ("0", "number")  # no clip: drives may be counted from 0
    assert groups({"drive": 20240501120000}, city="bonn") == ("20240501120000", None)


def test_where_the_own_group_is_empty_the_drive_tells_it():
    row = {"sequence": None, "group": "", "vid_id": DRIVE, "seq_id": 2, "city": "bonn"}
    assert groups(row) == (DRIVE, None)
    assert groups(row | {"vid_id": None}) == ("bonn clip 2", "place")
    assert groups(row | {"sequence": "s"}) == ("s", None)
    mapping = map_columns(["image", *row], None, where="t")
    assert mapping.source_columns()["group"] == "group or sequence or vid_id or city and seq_id"
    assert {mapping.field_of(name) for name in ("group", "sequence", "vid_id")} == {"group"}


@pytest.mark.parametrize("column", ["group", "sequence", "Sequence_ID"])
def test_a_group_of_ones_own_stays_what_it_is(column):
    row = {column: "1", "video_info.vid_id": DRIVE, "city_name": "boston"}
    assert groups(row) == ("1", None)


def test_columns_that_are_named_win():
    columns = ["image", "video_info.seq_id", "video_info.vid_id"]
    mapping = map_columns(columns, {"group": "video_info.seq_id"}, where="t")
    assert mapping.apply(dict(zip(columns, ("a", 1, DRIVE), strict=True)))[0]["group"] == 1


def test_what_fills_the_group_is_told_and_the_rest_kept():
    columns = ["image", "video_info.seq_id", "video_info.vid_id", "city_name", "date_captured"]
    mapping = map_columns(columns, None, where="t")
    values, extra = mapping.apply(dict(zip(columns, ("a", 1, DRIVE, "boston", 0), strict=True)))
    assert (values["group"], values["time"]) == (DRIVE, 0)
    assert extra == {"video_info.seq_id": "1", "city_name": "boston"}
    assert mapping.source_columns()["group"] == (
        "video_info.vid_id or city_name and date_captured and video_info.seq_id"
    )


def test_groups_are_equal_between_files():
    assert [as_group(value) for value in (1, 1.0, "1", "1.0", "a.0", None, "None")] == [
        *("1", "1", "1", "1", "a.0", None, None)
    ]


def table(folder, header, *rows):
    for row in rows:
        two_halves().save(folder / row.split(",")[0])
    (folder / "t.csv").write_text("\n".join((header, *rows)))
    return import_source(str(folder / "t.csv"), folder / "m.parquet")


def test_groups_without_a_drive_are_told(tmp_path):
    header = "file,vid_id,seq_id,city_name"
    summary = table(
        tmp_path, header, f"a.png,{DRIVE},1,boston", "b.png,,1,boston", "c.png,,1,", "d.png,,1,"
    )
    found = [sample.group for sample in read_manifest(summary.manifest)]
    assert found == [DRIVE, "boston clip 1", "1", "1"]
    assert [warning.split(":")[0] for warning in summary.warnings] == [
        "1 row without a drive",
        "2 rows with a clip, but no drive, city or day",
    ]


def test_clips_and_numbers_of_drives_in_several_cities_stay_apart(tmp_path):
    rows = ("a.png,,clip_1,bonn", "b.png,,clip_1,boston", "c.png,1,,bonn", "d.png,1,,boston")
    summary = table(tmp_path, "file,vid_id,seq_id,city", *rows)
    found = [sample.group for sample in read_manifest(summary.manifest)]
    assert found == ["bonn clip_1", "boston clip_1", "bonn drive 1", "boston drive 1"]
    first, second = summary.warnings
    assert "2 rows with a bare number for a drive" in first
    assert "2 rows without a drive" in second


@pytest.mark.parametrize("column", ["fold", "cv_fold", "kfold", "K Fold"])
def test_folds_become_splits(tmp_path, column):
    summary = table(tmp_path, f"file,{column}", "a.png,0", "b.png,1.0", "c.png,fold_2", "d.png,")
    found = [sample.split for sample in read_manifest(summary.manifest)]
    assert (found, summary.warnings) == (["fold-0", "fold-1", "fold-2", None], ())


def test_splits_that_nothing_reads_are_told(tmp_path):
    rows = ("a.png,Train,0", "b.png,holdout,1", "c.png,holdout,2", "d.png,1,3")
    summary = table(tmp_path, "file,split,fold", *rows)
    found = [sample.split for sample in read_manifest(summary.manifest)]
    assert found == ["train", "holdout", "holdout", "1"]
    first, second = summary.warnings
    assert "column 'fold' is kept beside another split" in first
    assert "split 'holdout' (2 rows), '1' (1 row): no training reads it" in second


def test_lists_in_text_are_the_words_of_the_list(tmp_path):
    header = "file;weather;scene_level_tags.travel_alteration;daytime"
    rows = ("['Sunny'];['None'];[]", "Sunny;None;", '["Rain", "Fog"];[];[\'None\']')
    for number, _ in enumerate(rows):
        two_halves().save(tmp_path / f"{number}.png")
    quoted = [row.replace('"', '""').split(";") for row in rows]
    lines = [";".join([f"{n}.png", *(f'"{cell}"' for cell in q)]) for n, q in enumerate(quoted)]
    (tmp_path / "t.csv").write_text("\n".join((header, *lines)))
    summary = import_source(str(tmp_path / "t.csv"), tmp_path / "m.parquet")
    samples = read_manifest(summary.manifest).samples
    assert [(s.weather, s.daytime) for s in samples] == [
        *(("Sunny", None), ("Sunny", None), ("Rain, Fog", None))
    ]
    assert [s.extra for s in samples] == [
        *({"scene_level_tags.travel_alteration": "None"},) * 2,
        {},
    ]
