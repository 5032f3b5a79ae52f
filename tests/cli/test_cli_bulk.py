"""workzone bulk: options, estimate, output; Ray itself is in tests/run/test_on_ray_data.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from made_images import blob_image
from trained import Tiny
from workzone.cli import app
from workzone.run import bulk, on_ray
from workzone.run.on_ray import Actors


class InThisProcess:
    """Stands for `RayScorer`: judges by the model that is loaded here."""

    made: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, choice: Any, predictor: Any, actors: Actors, **options: Any) -> None:
        self.made.append({"choice": choice, "actors": actors, **options})
        self._predictor = predictor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    @contextmanager
    def running(self) -> Iterator[tuple[int, int, int]]:
        yield 1, 2, 1


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(on_ray, "RayScorer", InThisProcess)
    monkeypatch.setattr(bulk, "RayScorer", InThisProcess)
    InThisProcess.made.clear()
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        blob_image(number, number % 2).save(folder / f"{number}.png")
    (folder / "bad.jpg").write_bytes(b"no image")
    return folder


def workzone(*words: str | Path) -> Any:
    return CliRunner().invoke(app, ["bulk", *map(str, words)])


def test_images_become_parts_and_a_rerun_starts_nothing(
    photos: Path, tiny: Tiny, tmp_path: Path
) -> None:
    output = tmp_path / "scores"
    result = workzone(photos, "-o", output, "--model", tiny.bundle, "--limit", 5)
    assert result.exit_code == 0, result.output
    assert "ms each on one worker" in result.stderr and "with 2 workers" in result.stderr
    result = workzone(photos, "-o", output, "--model", tiny.bundle)
    assert result.exit_code == 0, result.output
    assert "6 images scored (5 results were there)" in result.stdout
    assert "1 could not be read" in result.stderr
    assert pq.read_table(output).num_rows == 6
    (first, second) = InThisProcess.made
    assert first["folders"] == [str(photos)] and not first["remote"]
    assert Path(second["choice"].model).is_absolute()
    again = workzone(photos, "-o", output, "--model", tiny.bundle, "--json")
    assert json.loads(again.stdout)["resumed"] == 7
    assert len(InThisProcess.made) == 2


def test_an_estimate_scores_nothing(photos: Path, tiny: Tiny, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    words = (photos, "-o", output, "--model", tiny.bundle, "--estimate", "--json")
    result = workzone(*words, "--workers", "1:3")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["images"] == 7 and said["workers"] == 2 and said["hours"] > 0
    assert said["machine_hours"] == said["hours"]
    assert not output.exists()
    assert InThisProcess.made[0]["actors"] == Actors("local", 1, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", "many"), "--workers 'many': give a number"),
        (("--workers", "2:"), "--workers '2:'"),
        (("--since", "2026-11-01"), "--since needs times"),
    ],
)
def test_wrong_use_is_told(
    photos: Path, tiny: Tiny, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = workzone(photos, "-o", tmp_path / "scores", "--model", tiny.bundle, *words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
