"""The commands and the code of the README run as they stand."""

import os
import re
import shlex
import tomllib
from pathlib import Path
from shutil import copyfile

import pytest
from typer.testing import CliRunner

from workzone.cli import app
from workzone.data.manifest import read_manifest
from workzone.scenes import write_scenes

README = Path(__file__).parents[1] / "README.md"
SCENES = 24


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


def commands(mark: str) -> list[list[str]]:
    """The commands of the block below a mark, without the program's name."""
    block = re.search(
        rf"<!-- {mark} run by a test -->\n```sh\n(.*?)```", README.read_text(), re.DOTALL
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
