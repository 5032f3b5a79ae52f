"""The commands and the code of the README, and the walk of the map, run as they stand."""

import importlib.resources
import json
import os
import re
import shlex
import tomllib
from datetime import timedelta
from pathlib import Path
from shutil import copyfile, copytree

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from made_images import blob_image
from made_tracks import START, gpx
from made_videos import make_video
from workzone.cli import app
from workzone.data.manifest import read_manifest
from workzone.data.track.reading import read_track
from workzone.scenes import write_scenes

README = Path(__file__).parents[1] / "README.md"
SCENES = 24


@pytest.fixture
def small_model(tiny, tmp_path, monkeypatch):
    """In the place of the one that comes along; the test runs in an empty folder."""
    for name in ("lite", "lite-onnx"):
        copytree(tiny.bundle, tmp_path / "weights" / name)
    files = importlib.resources.files
    monkeypatch.setattr(
        importlib.resources, "files", lambda name: tmp_path if name == "workzone" else files(name)
    )
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of classes, as the README supposes it."""
    folder = tmp_path_factory.mktemp("readme")
    scenes = read_manifest(write_scenes(folder / "drawn", count=SCENES, seed=3))
    for number, sample in enumerate(scenes):
        kind = "roadwork" if sample.label else "none"
        # The group is the folder below the class: one per drive.
        target = folder / "photos" / kind / str(sample.group) / f"scene_{number:04d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        (scenes.root / sample.image.path).rename(target)
    first = min((folder / "photos" / "roadwork").rglob("*.jpg"))
    first.rename(folder / "photos" / "roadwork" / "scene_0001.jpg")
    return folder


def commands(mark: str, page: Path = README) -> list[list[str]]:
    """The commands of the block below a mark, without the program's name."""
    block = re.search(
        rf"<!-- {mark} run by a test -->\n```sh\n(.*?)```", page.read_text(), re.DOTALL
    )
    assert block
    lines = [shlex.split(line) for line in block.group(1).splitlines()]
    assert all(program == "workzone" for program, *_ in lines)
    return [arguments for _, *arguments in lines]


def run(lines: list[list[str]]) -> str:
    said = ""
    for arguments in lines:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{arguments}\n{result.output}"
        said += result.output
    return said


def test_the_model_that_comes_along_answers(photos, tmp_path, monkeypatch):
    copyfile(photos / "photos" / "roadwork" / "scene_0001.jpg", tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    assert "street.jpg: road work, " in run(commands("this command is"))
    assert [p.name for p in Path("overlays").rglob("*.*")] == ["street.jpg.overlay.jpg"]
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code
    exec(compile(code.group(1), "README.md", "exec"), {})


def test_the_commands_run(photos, monkeypatch):
    monkeypatch.chdir(photos)
    run(commands("these commands are"))
    assert (photos / "evaluation" / "report.html").stat().st_size > 10_000
    assert len((photos / "scores.csv").read_text().splitlines()) == SCENES + 1
    assert [p.name for p in Path("overlays").rglob("*.*")] == ["scene_0001.jpg.overlay.jpg"]


def test_a_drive_of_two_minutes_becomes_tables_a_track_and_a_film(small_model):
    make_video(
        Path("drive.mp4"),
        [n / 2 for n in range(240)],
        lambda second: np.asarray(blob_image(int(second), 40 <= second < 80)),
    )
    Path("drive.gpx").write_text(gpx(range(121)))
    run(commands("this command of videos is"))
    rows = pq.read_table("found/scores.parquet").to_pylist()
    assert len(rows) == 120
    assert all(row["time"] and row["latitude"] for row in rows)
    assert len(read_track(Path("found/track.gpx"))) == 120
    assert len(Path("found/segments.csv").read_text().splitlines()) == 1 + 1
    with av.open("found/drive.mp4.annotated.mp4") as film:
        assert film.streams.video[0].frames == 120


def test_videos_of_two_days_become_a_page_and_a_feed(small_model):
    for day, name in enumerate(("monday", "tuesday")):
        make_video(
            Path(f"{name}.mp4"),
            range(60),
            lambda second: np.asarray(blob_image(int(second), 20 <= second < 40)),
        )
        way = gpx(range(61), start=START + timedelta(days=day))
        Path(f"{name}.gpx").write_text(way)
    said = run(commands("these commands are", README.parent / "docs" / "map.md"))
    assert "no fault" in said
    (feature,) = json.loads(Path("wzdx.json").read_text())["features"]
    assert feature["properties"]["core_details"]["event_type"] == "work-zone"
    assert "maplibre" in Path("map.html").read_text()


def test_it_is_read_in_two_minutes():
    assert len(README.read_text().splitlines()) <= 120


def test_the_extras_exist():
    extras = re.findall(r"workzone\[(\w+)\]", README.read_text())
    project = tomllib.loads((README.parent / "pyproject.toml").read_text())["project"]
    assert extras and set(extras) <= set(project["optional-dependencies"])


def test_make_targets_exist():
    makefile = (README.parent / "Makefile").read_text()
    block = re.search(r"```sh\n(make .*?)```", README.read_text(), re.DOTALL)
    assert block
    for line in block.group(1).splitlines():
        assert f"\n{line.removeprefix('make ')}: " in makefile
    assert os.access(README.parent / ".ci" / "run", os.X_OK)
