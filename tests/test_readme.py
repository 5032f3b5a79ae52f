"""The commands and the code of the README run as they stand."""

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workzone.cli import app
from workzone.data.manifest import read_manifest
from workzone.scenes import write_scenes

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of classes, as the README supposes it."""
    folder = tmp_path_factory.mktemp("readme")
    scenes = read_manifest(write_scenes(folder / "drawn", count=48, seed=3))
    for number, sample in enumerate(scenes):
        kind = "roadwork" if sample.label else "none"
        # The group is the folder below the class: one per drive.
        target = folder / "photos" / kind / str(sample.group) / f"scene_{number:04d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        (scenes.root / sample.image.path).rename(target)
    first = min((folder / "photos" / "roadwork").rglob("*.jpg"))
    first.rename(folder / "photos" / "roadwork" / "scene_0001.jpg")
    return folder


def test_the_commands_run(photos, monkeypatch):
    monkeypatch.chdir(photos)
    block = re.search(
        r"<!-- these commands are run by a test -->\n```sh\n(.*?)```", README.read_text(), re.DOTALL
    )
    assert block
    runner = CliRunner()
    for line in block.group(1).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "workzone"
        result = runner.invoke(app, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"
    assert (photos / "evaluation" / "report.html").stat().st_size > 10_000
    assert len((photos / "scores.csv").read_text().splitlines()) == 48 + 1
    assert [p.name for p in Path("overlays").rglob("*.*")] == ["scene_0001.jpg.overlay.jpg"]

    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code
    exec(compile(code.group(1), "README.md", "exec"), {})  # the model was trained above


def test_make_targets_exist():
    makefile = (README.parent / "Makefile").read_text()
    block = re.search(r"```sh\n(make .*?)```", README.read_text(), re.DOTALL)
    assert block
    for line in block.group(1).splitlines():
        assert f"\n{line.removeprefix('make ')}: " in makefile


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
    assert os.access(README.parent / ".ci" / "run", os.X_OK)
