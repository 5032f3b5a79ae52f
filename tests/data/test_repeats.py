"""Rows that name one image again."""

from __future__ import annotations

import pytest
from PIL import Image

from bad_images import two_halves
from workzone.data.audit import audit
from workzone.data.importing import ImportSummary, import_source
from workzone.data.manifest import read_manifest
from workzone.types import Sample


def table(folder, header, *rows) -> tuple[ImportSummary, list[Sample]]:
    for name in ("a.png", "b.png"):
        two_halves().save(folder / name)
    Image.new("RGB", (64, 48), (10, 200, 30)).save(folder / "other.png")
    (folder / "t.csv").write_text("\n".join((header, *rows)))
    summary = import_source(str(folder / "t.csv"), folder / "m.parquet")
    assert summary.rows_read == len(rows)
    return summary, list(read_manifest(summary.manifest))


def codes(summary: ImportSummary) -> list[tuple[str, str]]:
    return [(entry.action, entry.code) for entry in summary.entries]


CLEARED, LEFT = ("field cleared", "label-conflict"), ("row left out", "label-conflict")


@pytest.mark.parametrize("labels", [("0", "1"), ("1", "0"), ("1", "maybe"), ("maybe", "1")])
def test_an_image_with_both_labels_keeps_none(tmp_path, labels):
    rows = [f"a.png,{label}" for label in labels]
    summary, samples = table(tmp_path, "file,label", rows[0], "b.png,1", rows[1])
    assert [(s.id, s.label) for s in samples] == [("a.png", None), ("b.png", 1)]
    assert [c for c in codes(summary) if c[1] != "label-unknown"] == [CLEARED, LEFT]
    for entry in (entry for entry in summary.entries if entry.code == "label-conflict"):
        assert "t.csv line 2" in entry.reason
        assert "t.csv line 4" in entry.reason
    problems = audit(read_manifest(summary.manifest)).problems
    assert any("1 image was listed with both labels" in problem for problem in problems)


def test_two_against_one_is_a_conflict_all_the_same(tmp_path):
    summary, (sample,) = table(tmp_path, "file,label", "a.png,1", "a.png,0", "a.png,1", "a.png,")
    assert sample.label is None
    assert codes(summary) == [CLEARED, LEFT, LEFT, ("row left out", "duplicate-id")]
    assert "none in t.csv line 3 and roadwork in t.csv line 4" in summary.entries[2].reason


def test_a_label_that_cannot_be_read_counts_as_another(tmp_path):
    summary, (sample,) = table(tmp_path, "file,label", "a.png,", "a.png,maybe", "a.png,1")
    assert sample.label is None
    assert [code for code in codes(summary) if code[1] == "label-conflict"] == [CLEARED, LEFT]


def test_what_one_row_says_holds_for_the_image(tmp_path):
    rows = ("a.png,,,Sunny", "a.png,1,drive,", "a.png,1,drive,Sunny")
    summary, (sample,) = table(tmp_path, "file,label,group,weather", *rows)
    assert (sample.label, sample.group, sample.weather) == (1, "drive", "Sunny")
    assert codes(summary) == [("row left out", "duplicate-id")] * 2
    assert "line 3: the id 'a.png' occurred before, in t.csv line 2" in summary.entries[0].reason


def test_other_fields_that_differ_are_cleared(tmp_path):
    header = "file,label,group,split,lat,lon,note"
    rows = ("a.png,1,x,train,51,1,n", "a.png,1,y,test,52,1,m", "a.png,1,x,train,51,1,n")
    summary, (sample,) = table(tmp_path, header, *rows)
    assert (sample.label, sample.group, sample.split, sample.latitude) == (1, None, None, None)
    assert sample.extra == {"note": "n"}
    assert codes(summary).count(("field cleared", "field-conflict")) == 3
    reasons = [entry.reason for entry in summary.entries]
    assert any("group is 'x' here and 'y' in t.csv line 3" in reason for reason in reasons)
    assert any("with another 'note', which stays as it is there" in reason for reason in reasons)


@pytest.mark.parametrize("second", ["./a.png", "A.PNG", ".\\a.png"])
def test_one_file_under_several_ids(tmp_path, second):
    rows = ("p,a.png,1", f"q,{second},1", "r,b.png,0", "s,a.png,0", "t,a.png,1", "u,a.png,")
    summary, samples = table(tmp_path, "id,file,label", *rows)
    assert {s.id: s.label for s in samples} == {
        **dict.fromkeys("pqstu"),
        "r": 0,
    }
    assert codes(summary) == [CLEARED] * 4
    assert len(audit(read_manifest(summary.manifest)).labels_cleared) == 4


def test_one_id_for_two_images(tmp_path):
    summary, samples = table(tmp_path, "id,file,label,group", "x,a.png,1,", "x,other.png,1,g")
    assert [(s.label, s.group) for s in samples] == [(1, None)]
    assert codes(summary) == [("row left out", "duplicate-id")]
    assert "with another image; the first row is kept" in summary.entries[0].reason
    summary, samples = table(tmp_path, "id,file,label", "x,a.png,1", "x,other.png,0")
    assert [s.label for s in samples] == [None]
    assert codes(summary) == [CLEARED, LEFT]


def test_the_quarantine_is_no_larger_than_what_it_is_about(tmp_path):
    long = "x" * 100_000
    rows = (f"a.png,{long},{long},{long}", f"{long}.png,,,")
    summary, _ = table(tmp_path, "file,label,time,lat", *rows)
    assert len(summary.entries) == 4
    assert summary.quarantine.stat().st_size < 4000
