"""``workzone drives``, from a manifest and made-up scores."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from cli_invoke import invoke
from workzone.data.manifest import read_manifest, write_manifest
from workzone.decide.drive import read_chain
from workzone.scenes.drive import write_drives


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A drawn drive of 12 small frames, and scores as if frames 4 to 8 showed road work."""
    folder = tmp_path_factory.mktemp("drive")
    path = write_drives(folder, count=1, seconds=12, width=96, height=64)
    lines = ["id,probability,decision"]
    for row, sample in enumerate(read_manifest(path)):
        probability = 0.999 if 4 <= row <= 8 else 0.0001
        lines.append(f"{sample.id},{probability},{'unsure' if row == 6 else 'none'}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def files(drive):
    return drive / "manifest.parquet", drive / "scores.csv"


def test_frames_segments_and_a_table(files, tmp_path):
    frames, segments = tmp_path / "frames.csv", tmp_path / "segments.geojson"
    said = invoke("drives", *files, "-o", frames, "--segments", segments).output
    assert "1 segments with road work on 1 drives of 12 frames; 1 frames say nothing" in said
    rows = list(csv.DictReader(frames.open()))
    assert [row["segment"] for row in rows] == ["1" if 4 <= k <= 8 else "" for k in range(12)]
    assert rows[6]["probability"] == "" and float(rows[6]["smoothed"]) > 0.5  # it was unsure
    (feature,) = json.loads(segments.read_text())["features"]
    assert feature["properties"]["frames"] == 5 and feature["properties"]["seconds"] == 4
    assert feature["geometry"]["coordinates"][0][0] == float(rows[4]["longitude"])
    told = json.loads(invoke("drives", *files, "--json").output)
    assert (told["frames"], told["silent"], len(told["segments"])) == (12, 1, 1)


def test_a_chain_is_fitted_and_used(files, drive, tmp_path):
    labelled = write_labels(drive, tmp_path)
    invoke("drives", labelled, files[1], "--fit", tmp_path / "chain.json")
    assert read_chain(tmp_path / "chain.json").entering == pytest.approx(2 / 16, rel=1e-3)
    invoke("drives", *files, "--chain", tmp_path / "chain.json")


def write_labels(drive, folder):
    """The manifest with the labels that the scores speak of."""
    manifest = read_manifest(drive / "manifest.parquet")
    rows = [replace(s, label=int(4 <= row <= 8)) for row, s in enumerate(manifest)]
    write_manifest(manifest.with_samples(rows), folder / "labelled.parquet")
    return folder / "labelled.parquet"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "frames.txt"], "cannot tell the format of 'frames.txt'"),
        (["--segments", "s.gpx"], "cannot tell the format of 's.gpx'"),
        (["--chain", "a.json", "--fit", "b.json"], "leave one of them out"),
        (["--chain", "gone.json"], "gone.json cannot be read as a chain"),
        (["--share", "1.5"], "share 1.5"),
    ],
)
def test_wrong_calls_are_refused(files, options, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in invoke("drives", *files, *options, expect=2).output
    assert not list(tmp_path.iterdir())


def test_what_is_read_is_never_written(files):
    before = files[1].read_bytes()
    assert "is what is read from" in invoke("drives", *files, "-o", files[1], expect=2).output
    assert files[1].read_bytes() == before
