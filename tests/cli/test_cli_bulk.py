"""workzone bulk: options, estimate, output; Ray itself is in tests/run/test_on_ray_data.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from made_images import blob_image
from trained import Tiny
from workzone.cli import app
from workzone.data.manifest import Manifest, write_manifest
from workzone.run import bulk, on_ray
from workzone.run.estimate import Estimate
from workzone.run.on_ray import Actors
from workzone.types import ImageRef, Sample


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
    assert said["images"] == 7 and said["workers"] == 2
    assert said["hours"] == pytest.approx(7 * said["seconds_each"] / 2 / 3600)
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


def test_an_estimate_in_figures() -> None:
    cost = Estimate(7200, 2.0, 4, 3)
    assert (cost.hours, cost.machine_hours) == (1.0, 3.0)
    assert "2000 ms each on one worker" in str(cost) and "1.0 h with 4 workers" in str(cost)


def test_options_reach_the_job(
    photos: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "FLUSH_EVERY", 1)
    samples = [
        Sample(f"{n}", ImageRef(f"photos/{n}.png"), time=datetime(2026, 11, 1 + n, tzinfo=UTC))
        for n in range(6)
    ]
    samples.append(
        Sample("bad", ImageRef("photos/bad.jpg"), time=datetime(2026, 11, 7, tzinfo=UTC))
    )
    manifest, output = tmp_path / "manifest.parquet", tmp_path / "scores"
    write_manifest(Manifest(samples, tmp_path), manifest)
    words = (manifest, "-o", output, "--model", tiny.bundle, "--part-rows", 2, "--image-only")
    result = workzone(*words, "--since", "2026-11-03", "--share", 0.1)
    assert result.exit_code == 0, result.output
    rows = pq.read_table(output).to_pylist()
    assert sorted(row["id"] for row in rows) == ["2", "3", "4", "5"]
    assert len(list(output.glob("part-*"))) == 2
    assert InThisProcess.made[0]["choice"].share == 0.1
    blob_image(9, 1).save(photos / "bad.jpg", format="PNG")
    result = workzone(*words, "--since", "2026-11-03", "--share", 0.1, "--retry", "--json")
    assert json.loads(result.stdout)["scored"] == 5
