"""`workzone data masks` and `workzone data doubt`, from annotations to a table of doubts."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from data.masks.made_masks import coco, outline, pictures
from workzone.cli import app
from workzone.data.manifest import read_manifest

RUNNER = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"})


def run(*words, code=0):
    done = RUNNER.invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def masked(tmp_path):
    pictures(tmp_path, "a", "b", labels=[0, 1])
    images = [("a.jpg", 20, 12), ("b.jpg", 20, 12), ("gone.jpg", 20, 12)]
    coco(tmp_path, outline(4, 3, 8, 9), images=images)
    given = (tmp_path / "m.parquet", tmp_path / "c.json", "-o", tmp_path / "out" / "n.parquet")
    run("data", "masks", "import", *given, "--map", "car=vehicle", "--json")
    return tmp_path / "out" / "n.parquet"


def test_import(masked, tmp_path):
    said = run(
        *("data", "masks", "import", tmp_path / "m.parquet", tmp_path / "c.json"),
        *("-o", masked, "--name", "people"),
    )
    assert "masks of 2 images" in said and "1 annotated images passed over" in said
    assert "no image of the manifest is named 'gone.jpg'" in said
    samples = read_manifest(masked).samples
    assert [s.masks for s in samples] == ["n.masks#a", "n.masks#b"]
    assert samples[0].image.path == "../images/a.jpg"
    for words, message in (
        (["--map", "car"], "--map 'car' is not CATEGORY=CLASS"),
        (["--knowledge", "humans"], "knowledge 'humans' is unknown"),
        (["--format", "cocos"], "did you mean 'coco'"),
    ):
        given = (tmp_path / "m.parquet", tmp_path / "c.json", "-o", masked)
        assert message in run("data", "masks", "import", *given, *words, code=2)


def test_export_and_import_again(masked, tmp_path):
    exported = json.loads(
        run("data", "masks", "export", masked, "-o", tmp_path / "e.json", "--json")
    )
    assert exported["objects"] == 1
    assert "2 images written" in run("data", "masks", "export", masked, "-o", tmp_path / "bits")
    assert "leave --source out" in run(
        *("data", "masks", "export", masked, "-o", tmp_path / "bits", "--source", "c"), code=2
    )


def test_audit_and_sheet(masked, tmp_path):
    said = run("data", "masks", "audit", masked, "--strict", code=1)
    assert "1 x label" in said and "a: label 0, and 1 cone" in said
    found = json.loads(run("data", "masks", "audit", masked, "--json"))
    assert found["counts"]["label"] == 1 and found["objects"]["cone"] == 1
    assert "2 images on" in run("data", "masks", "sheet", masked, "-o", tmp_path / "s.png")
    shown = json.loads(run("data", "masks", "sheet", masked, "-o", tmp_path / "s.png", "--json"))
    assert shown["shown"] == 2


def test_doubt(masked, tmp_path):
    (tmp_path / "scores.csv").write_text("id,probability\nb,0.2\n")
    said = run(
        *("data", "doubt", masked, "--scores", tmp_path / "scores.csv"),
        *("-o", tmp_path / "d.csv", "--sheet", tmp_path / "d.png"),
    )
    assert "1. 1.00  a: label 0, 1 cone (1.00)" in said
    assert "2. 0.80  b: label 1, score 0.20" in said
    assert "2 of 2 labels are in doubt" in said
    assert (tmp_path / "d.csv").exists() and (tmp_path / "d.png").exists()
    told = json.loads(run("data", "doubt", masked, "--json"))
    assert told["doubts"] == [{"id": "a", "label": 0, "doubt": 1.0, "score": None, "masks": 1.0}]
    said = run("data", "doubt", masked, "--no-masks", code=2)
    assert "no labelled row has evidence" in said
