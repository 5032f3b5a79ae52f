from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from made_copies import copies, encoded, picture, stored
from workzone.cli.data import app
from workzone.data.images import read_bytes
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.types import ImageRef, Sample

runner = CliRunner(env={"COLUMNS": "160"})


def paint(path: Path, seed: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(20):
        paint(folder / f"{number}.png", number)
    return folder


@pytest.fixture
def manifest(pictures: Path) -> Path:
    samples = [
        Sample(f"s{n}", ImageRef(f"{n}.png"), label=n // 2 % 2, group=f"g{n // 2}")
        for n in range(20)
    ]
    path = pictures / "manifest.parquet"
    write_manifest(Manifest(samples, pictures), path)
    return path


def run(*arguments: object, expect: int = 0) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == expect, result.output
    return result.output


@pytest.mark.parametrize("name", ["import", "audit", "split", "preview"])
def test_help_teaches_with_an_example(name: str) -> None:
    text = run(name, "--help")
    assert "Examples" in text
    assert f"workzone data {name}" in text


def test_import_reads_a_table_with_mapped_columns(pictures: Path, tmp_path: Path) -> None:
    table = pictures / "rows.csv"
    with table.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["picture", "label", "clip"])
        writer.writerows([f"{n}.png", n % 2, f"c{n // 4}"] for n in range(20))
        writer.writerow(["gone.png", 1, "c9"])
    output = tmp_path / "manifest.parquet"
    arguments = ("import", table, "-o", output, "--map", "image=picture", "--map", "group=clip")
    text = run(*arguments)
    assert "20 of 21 rows kept" in text
    assert "missing" in text
    imported = read_manifest(output)
    assert len(imported) == 20
    assert {sample.group for sample in imported} == {f"c{n}" for n in range(5)}

    read = json.loads(run(*arguments, "--json"))
    assert (read["rows_read"], read["rows_kept"]) == (21, 20)
    assert read["labels"] == {"none": 10, "roadwork": 10, "unlabelled": 0}
    assert read["quarantined"] == {"missing": 1}
    assert read["manifest"] == str(output)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (["image:file"], "--map 'image:file' is not FIELD=COLUMN"),
        (["image=a", "image=b"], "--map names the field 'image' twice"),
    ],
)
def test_a_mapping_that_is_none_exits_with_2(mapping: list[str], message: str) -> None:
    options = [part for pair in mapping for part in ("--map", pair)]
    assert message in run("import", "rows.csv", "-o", "m.parquet", *options, expect=2)


def test_audit_prints_problems_and_strict_exits_with_1(manifest: Path) -> None:
    assert "No problems found in 20 rows." in run("audit", manifest, "--strict")
    (manifest.parent / "3.png").write_bytes(b"torn [red]")
    text = run("audit", manifest)
    assert "1 image cannot be read (1 unreadable)." in text
    assert "group" in text
    run("audit", manifest, "--strict", expect=1)
    report = json.loads(run("audit", manifest, "--json", "--strict", expect=1))
    assert report["unreadable"][0]["id"] == "s3"
    assert report["problems"]


def test_split_writes_a_manifest_whose_images_are_found_from_its_new_folder(
    manifest: Path, tmp_path: Path
) -> None:
    output = tmp_path / "elsewhere" / "deep" / "split.parquet"
    text = run("split", manifest, "-o", output, "--folds", 2)
    assert "fold-0" in text
    assert "0 groups, 0 places and 0 copies (same bytes, re-encoded, resized, mirrored" in text
    assert "Not looked for: crops off the centre" in text
    assert "20 rows are without a position" in text
    assert "content hash" not in text
    done = read_manifest(output)
    assert {sample.split for sample in done} == {"fold-0", "fold-1"}
    before = read_manifest(manifest)
    for old, new in zip(before, done, strict=True):
        assert read_bytes(new.image, done.root) == read_bytes(old.image, before.root)


def test_split_by_shares_as_json(manifest: Path) -> None:
    output = manifest.with_name("split.parquet")
    proof = json.loads(
        run("split", manifest, "-o", output, "--train", 0.6, "--test", 0.4, "--json")
    )
    assert {split["name"]: split["rows"] for split in proof["splits"]} == {"train": 12, "test": 8}
    assert proof["problems"] == []
    assert [s.image for s in read_manifest(output)] == [s.image for s in read_manifest(manifest)]


def test_copies_stay_on_one_side_unless_nobody_looks(tmp_path: Path) -> None:
    samples = []
    for number in range(8):
        one = picture(number, (640, 480))
        kind = list(copies(one))[number % 4]
        for name, data in ((f"{number}", encoded(one)), (f"{number}-copy", copies(one)[kind])):
            samples.append(stored(tmp_path, f"{name}.jpg", data, label=number // 4, group=name))
    path, output = tmp_path / "manifest.parquet", tmp_path / "split.parquet"
    write_manifest(Manifest(samples, tmp_path), path)
    text = run("split", path, "-o", output, "--folds", 2)
    split = {sample.id: sample.split for sample in read_manifest(output)}
    assert all(split[f"{n}.jpg"] == split[f"{n}-copy.jpg"] for n in range(8))
    assert "8 scenes were joined to others, for their pictures look alike" in text
    assert "16 images look like others" in run("audit", output, "--strict")

    text = run("split", path, "-o", output, "--folds", 2, "--no-look")
    assert "0 copies (same bytes) on two sides" in text
    assert (
        "Not looked for: copies (re-encoded, resized, mirrored, cropped about the centre)" in text
    )
    assert "16 images of different groups show the same picture" in run("audit", output)
    proof = json.loads(run("split", path, "-o", output, "--folds", 2, "--no-look", "--json"))
    assert proof["looks"] is None
    assert proof["not_looked_for"][0].startswith("copies (re-encoded")


def test_split_mistakes_have_their_exit_codes(manifest: Path) -> None:
    output = manifest.with_name("split.parquet")
    text = run("split", manifest, "-o", output, "--folds", 5, "--train", 0.7, expect=2)
    assert "either folds or proportions" in text
    assert "sum to 1" in run("split", manifest, "-o", output, "--train", 0.7, expect=2)
    assert "would hold no road work" in run("split", manifest, "-o", output, "--folds", 9, expect=1)
    assert not output.exists()
    missing = run("split", manifest.with_name("no.parquet"), "-o", output, expect=1)
    assert "no manifest at" in missing


def test_preview_draws_a_sheet(manifest: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert "6 of 20 images on" in run("preview", manifest, "-o", sheet, "--columns", 3, "--rows", 2)
    assert Image.open(sheet).format == "PNG"
    told = run("preview", manifest, "-o", sheet, "--json")
    shown = json.loads(told[told.index("{") :])  # after a bar, where drawing takes long
    assert shown == {"sheet": str(sheet), "shown": 20, "rows": 20}
    assert "a contact sheet is a .png file" in run("preview", manifest, "-o", "x.jpg", expect=2)


def test_a_folder_with_a_manifest_is_not_imported_anew(manifest: Path, tmp_path: Path) -> None:
    text = run("import", manifest.parent, "-o", tmp_path / "m.parquet", expect=2)
    assert "holds a manifest already: use" in " ".join(text.split())


def test_the_audit_fits_a_narrow_terminal(pictures: Path) -> None:
    samples = [
        Sample(
            f"s{n}", ImageRef(f"{n}.png"), label=n // 2 % 2, group=f"g{n // 2}",
            extra={"travel_alteration": "x"},
        )
        for n in range(20)
    ]  # fmt: skip
    columns = {"scene": "scene_level_tags.scene_environment"}
    path = pictures / "manifest.parquet"
    write_manifest(Manifest(samples, pictures, columns), path)
    result = runner.invoke(app, ["audit", str(path)], env={"COLUMNS": "80"})
    bar = "\N{BOX DRAWINGS LIGHT VERTICAL}"
    rows = [line for line in result.output.splitlines() if line.startswith(bar)]
    assert max(map(len, rows)) <= 80
    assert sum("too few rows" in row for row in rows) == 10
    folded = [row for row in rows if row.split(bar)[2].isspace()]
    assert len(folded) <= 2  # of the long name alone
    assert "group: 10 of 10 hold one label only" in result.output


def test_a_split_without_labels_warns(pictures: Path) -> None:
    samples = [Sample(f"s{n}", ImageRef(f"{n}.png")) for n in range(20)]
    path = pictures / "manifest.parquet"
    write_manifest(Manifest(samples, pictures), path)
    text = run("split", path, "-o", pictures / "split.parquet")
    assert "warning: no row has a label: the splits are even in rows only." in text
