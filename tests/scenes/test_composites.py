import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from workzone.cli import app
from workzone.data.images import content_hash
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.data.masks.load import load_masks
from workzone.data.masks.references import read_said
from workzone.errors import ManifestError, UsageError
from workzone.scenes import draw_scene
from workzone.scenes.composite import compose
from workzone.scenes.composites import write_composites
from workzone.scenes.sheet import COLUMNS, ROWS, condition_of, tile
from workzone.types import ImageRef, Sample

GREY = np.full((240, 320, 3), 110, np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Six streets: three may be used; one has road work, one no group, one is for testing."""
    root = tmp_path_factory.mktemp("photos")
    rows = [
        Sample("a", ImageRef("a.png"), label=0, group="g0", split="train", source="web"),
        Sample("b", ImageRef("b.png"), label=0, group="g1", split="train", source="web"),
        Sample("c", ImageRef("c.png"), label=0, group="g1", split="val", source="cars"),
        Sample("work", ImageRef("a.png"), label=1, group="g0", split="train"),
        Sample("alone", ImageRef("a.png"), label=0, split="train"),
        Sample("unknown", ImageRef("a.png"), group="g0", split="train"),
        Sample("test", ImageRef("a.png"), label=0, group="g2", split="test"),
    ]
    for seed, name in enumerate("abc"):
        scene = draw_scene(seed, label=0, width=320, height=200)
        Image.fromarray(scene.image).save(root / f"{name}.png")
    rows[0] = dataclasses.replace(
        rows[0], extra={"licence": "CC0"}, text="an empty street", latitude=1.0, longitude=2.0
    )
    return Manifest(rows, root)


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def decoded(data):
    import io

    return np.asarray(Image.open(io.BytesIO(data)), np.float64)


def test_objects_are_seen_where_the_masks_say_and_nothing_elsewhere():
    made = compose(GREY, (3,), label=1)
    differs = np.abs(decoded(made.jpeg) - 110).max(axis=2)
    seen = made.masks.any(axis=0)
    assert made.masks.shape == (6, 240, 320) and seen.mean() >= 0.0006
    assert np.median(differs[seen]) > 25 > np.median(differs[~seen])
    assert differs[:40].max() < 25  # the sky
    for placed in made.objects:
        kind, (x0, y0, x1, y1) = placed.kind, placed.box
        assert kind and 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1


def test_negatives_are_pasted_into_as_well():
    for seed in range(3):
        made = compose(GREY, (seed,), label=0)
        assert not made.masks.any() and made.objects == []
        assert (np.abs(decoded(made.jpeg) - 110).max(axis=2) > 40).mean() > 0.001


def test_objects_are_darker_in_a_dark_photograph():
    bright, dark = (compose(np.full_like(GREY, value), (3,), label=1) for value in (110, 40))
    seen = bright.masks.any(axis=0)
    assert np.array_equal(seen, dark.masks.any(axis=0))
    assert decoded(dark.jpeg)[seen].mean() < 0.6 * decoded(bright.jpeg)[seen].mean()


def test_rows_keep_to_their_photograph(photographs, tmp_path):
    done = write_composites(photographs, tmp_path, count=12, seed=5)
    manifest = read_manifest(done.manifest)
    bases = {sample.id: sample for sample in photographs}
    assert len(manifest) == done.rows == 12
    assert {s.extra["base_id"] for s in manifest} == {"a", "b", "c"}
    assert {s.label for s in manifest} == {0, 1}
    for sample in manifest:
        base = bases[sample.extra["base_id"]]
        assert (sample.group, sample.split) == (base.group, base.split)
        assert (sample.latitude, sample.text) == (base.latitude, None)
        assert sample.source == "composite" and sample.extra["base_source"] == base.source
        assert sample.extra.get("licence") == base.extra.get("licence")
        assert content_hash((tmp_path / sample.image.path).read_bytes()) == sample.content_hash
        assert load_masks(sample.masks, tmp_path, 200, 320).covered.any() == bool(sample.label)
        ((source, _),) = read_said(sample.masks, tmp_path)
        assert source.knowledge == "drawn"
        told = json.loads((tmp_path / "objects" / f"{sample.id}.json").read_text())
        assert bool(told["objects"]) == bool(sample.label)
    assert len({s.extra["composite_seed"] for s in manifest}) == 12
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > sheet.height  # two rows of six


def test_same_seed_same_bytes_whatever_is_there_already(photographs, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    write_composites(photographs, whole, count=5, seed=1)
    write_composites(photographs, resumed, count=2, seed=1)
    kept = resumed / "images" / "composite-1-00000.jpg"
    before = kept.stat().st_mtime_ns
    (resumed / "objects" / "composite-1-00001.json").write_text("{")  # torn
    mixed = photographs.with_samples(list(reversed(photographs.samples)))
    write_composites(mixed, resumed, count=5, seed=1)
    assert files_of(whole) == files_of(resumed)
    assert kept.stat().st_mtime_ns == before
    other = tmp_path / "other"
    write_composites(photographs, other, count=1, seed=2)
    first = (whole / "images" / "composite-1-00000.jpg").read_bytes()
    assert (other / "images" / "composite-2-00000.jpg").read_bytes() != first


def test_rows_whose_files_are_gone_are_made_again(photographs, tmp_path):
    folder = tmp_path / "made"
    first = write_composites(photographs, folder, count=3, seed=5)
    before = (folder / "images/composite-5-00001.jpg").read_bytes()
    for name in ("images/composite-5-00001.jpg", "masks/composite-5-00002.png"):
        (folder / name).unlink()
    again = write_composites(photographs, folder, count=3, seed=5)
    assert (folder / "images/composite-5-00001.jpg").read_bytes() == before
    assert (folder / "masks/composite-5-00002.png").exists()
    assert first.manifest == again.manifest


def test_splits_and_sources_are_chosen(photographs, tmp_path):
    def bases(**choice):
        made = write_composites(photographs, tmp_path / str(choice), count=8, **choice)
        return {s.extra["base_id"] for s in read_manifest(made.manifest)}

    assert bases(splits=["val"]) == {"c"}
    assert bases(splits=["test"]) == {"test"}
    assert bases(skip_sources=["web"]) == {"c"}


def test_unusable_photographs_are_passed_over_and_listed(photographs, tmp_path):
    Image.new("RGB", (319, 200)).save(tmp_path / "small.png")
    bad = [
        Sample("gone", ImageRef("gone.png"), label=0, group="x"),
        Sample("small", ImageRef(str(tmp_path / "small.png")), label=0, group="x"),
    ]
    manifest = Manifest([*photographs.samples, *bad], photographs.root)
    done = write_composites(manifest, tmp_path / "out", count=12)
    listed = (tmp_path / "out" / "passed_over.csv").read_text()
    assert "gone,gone.png: no such file\n" in listed
    assert 'small,"319x200 pixels; the longer side must have 320, the shorter 64"\n' in listed
    assert set(done.passed_over) == {"gone", "small"}
    with pytest.raises(ManifestError, match="none of the 2 photographs with label 0 can be used"):
        write_composites(Manifest(bad, tmp_path), tmp_path / "none", count=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"count": 0}, UsageError, "count is 0; ask for at least 1 composite"),
        ({"count": 1, "seed": -1}, UsageError, "seed is -1; it must be 0 or more"),
        ({"count": 1, "positive_share": 2}, UsageError, "positive_share is 2; it must lie"),
        ({"count": 1, "splits": ["trian"]}, UsageError, "split 'trian' .*did you mean 'train'"),
        ({"count": 1, "skip_sources": ["wed"]}, UsageError, "source 'wed' .*did you mean 'web'"),
        (
            {"count": 1, "splits": ["train"], "skip_sources": ["web"]},
            ManifestError,
            "no photograph has label 0 and a group.*1 more have no group",
        ),
    ],
)
def test_mistakes_are_named(photographs, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        write_composites(photographs, tmp_path, **options)


def test_command_writes_and_reports(photographs, tmp_path):
    manifest = photographs.root / "manifest.parquet"
    write_manifest(photographs, manifest)
    arguments = ["composites", str(manifest), "-o", str(tmp_path), "--count", "3"]
    result = CliRunner().invoke(app, [*arguments, "--positive-share", "1", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["composites"], told["roadwork"], told["passed_over"]) == (3, 3, 0)
    assert len(read_manifest(tmp_path / "manifest.parquet")) == 3
    assert "3 composites of" in CliRunner().invoke(app, arguments).stdout


def test_tiles_lie_row_by_row_and_keep_their_shape():
    red, blue = (Image.new("RGB", (100, 200), colour) for colour in ("red", "blue"))
    sheet = tile([red] * COLUMNS + [blue] + [red] * COLUMNS * ROWS)
    assert sheet.size == (COLUMNS * 259, ROWS * 147)
    assert sheet.getpixel((128, 72)) == (255, 0, 0)
    assert sheet.getpixel((128, 147 + 72)) == (0, 0, 255)
    assert sheet.getpixel((20, 72)) == (90, 90, 90)


def test_conditions_are_told_apart():
    told = {condition_of(seed) for seed in range(60)}
    assert told == {"day", "night", "rain", ""}
