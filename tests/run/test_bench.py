"""Speeds of models on this machine: what is timed, and when nothing is told."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from cli_invoke import invoke
from made_images import blob_image
from workzone.errors import ImageError
from workzone.run import bench as benching
from workzone.run.bench import Bench, NoisyMachineError, Speed, bench
from workzone.run.predictor import Predictor, load


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2):
        blob_image(number, number % 2).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that gives all of its time, and rounds that are all alike."""
    monkeypatch.setattr(benching, "_share_of_cores", lambda: 1.0)
    monkeypatch.setattr(benching, "ROUNDS", (2, 2))
    monkeypatch.setattr(benching, "matrix_rate", {"float32": 1e12}.get)


def measured(frames: Path) -> Bench:
    return bench([None], frames, seconds=1000, most_spread=1e9)


@pytest.mark.usefixtures("quiet")
def test_the_default_model_is_timed_on_every_engine_that_runs_it(frames: Path) -> None:
    result = measured(frames)
    names = [(row.engine, row.precision) for row in result.rows]
    assert len(set(names)) == len(names)
    assert {("onnx", "float32"), ("openvino", "float32")} <= set(names)
    assert "int8" not in {precision for _, precision in names}  # that takes another export
    assert (result.images, result.rounds) == (2, 2)
    shares = {row.precision: row.matrix_share for row in result.rows}
    for row in result.rows:
        assert row.model == "default"
        assert min(row.images_per_second, row.photo, row.photo_beside, row.image_side) > 0
        assert row.spread >= 0
    assert set(shares.values()) == {None}  # of frames in other sizes nothing is counted
    assert result.matrix_rates == {"float32": 1e12}


@pytest.mark.usefixtures("quiet")
def test_of_drawn_photographs_the_share_of_the_matrix_rate_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(benching, "FRAMES", 1)
    predictor = load(engine="onnx", precision="float32")
    entries = [(name, "onnx", name, predictor) for name in ("float32", "bfloat16")]
    monkeypatch.setattr(benching, "_contenders", lambda _: entries)
    known, unknown = bench([None], seconds=1, most_spread=1e9).rows
    operations = benching._operations(predictor)
    assert operations is not None
    assert operations > 1e9
    assert known.matrix_share == pytest.approx(operations * known.images_per_second / 1e12)
    assert unknown.matrix_share is None  # of its precision there is no rate


@pytest.mark.usefixtures("quiet")
def test_slow_models_score_fewer_images(monkeypatch: pytest.MonkeyPatch, frames: Path) -> None:
    monkeypatch.setattr(benching, "_contenders", lambda _: [("m", "e", "float32", Predictor())])
    assert bench([None], frames, seconds=1e-6, most_spread=1e9).images == 1


def test_an_image_that_cannot_be_read_is_named_before_anything_is_timed(frames: Path) -> None:
    (frames / "torn.jpg").write_bytes(benching._drawn(0)[:5000])
    with pytest.raises(ImageError, match=r"torn\.jpg"):
        bench([None], frames)


def test_a_busy_machine_gives_no_figures(monkeypatch: pytest.MonkeyPatch, frames: Path) -> None:
    monkeypatch.setattr(benching, "_share_of_cores", lambda: 0.5)
    with pytest.raises(NoisyMachineError, match=r"leave 50% of its .* 90% is the least"):
        bench([None], frames)


@pytest.mark.usefixtures("quiet")
def test_rounds_that_differ_give_no_figures(monkeypatch: pytest.MonkeyPatch, frames: Path) -> None:
    speeds = iter([10.0, 30.0] * 50)

    def one_round(*_: object) -> benching._Round:
        return benching._Round(next(speeds), 1.0)

    monkeypatch.setattr(benching, "_one_round", one_round)
    monkeypatch.setattr(benching, "_contenders", lambda model: [("tiny", "e", "p", Predictor())])
    monkeypatch.setattr(benching, "ROUNDS", (4, 4))
    with pytest.raises(NoisyMachineError, match="half of the 4 rounds of e p lie"):
        bench([None], frames)


def test_processes_that_keep_the_cores_busy_end_with_the_measurement() -> None:
    import multiprocessing

    with benching.busy():
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


def test_drawn_photographs_are_720p_and_of_the_size_that_dashcams_write() -> None:
    data = benching._drawn(0)
    assert Image.open(io.BytesIO(data)).size == (1280, 720)
    assert 100_000 < len(data) < 400_000
    assert data != benching._drawn(1)


def test_the_rate_of_matrix_products_is_measured() -> None:
    rate = benching.matrix_rate("float32")
    assert rate is not None
    assert 1e8 < rate < 1e15
    assert benching.matrix_rate("int8") is None


def test_the_command_prints_a_table_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = Speed(
        "models/of-june", "openvino", "int8-bfloat16", 12.34, 81.2, 99.6, 14.3, 0.567, 0.04
    )
    faster = dataclasses.replace(speed, images_per_second=24.68, matrix_share=None)
    result = Bench((speed, faster), cores=2, images=8, rounds=9, matrix_rates={"float32": 2e11})
    monkeypatch.setattr(benching, "bench", lambda *_, **__: result)
    shown = invoke("bench").stdout
    assert "…" not in shown
    for word in (
        "images",
        "per s",
        "openvino",
        "int8-bfloat16",
        "12.3",
        "2.00",
        "81",
        "100",
        "0.57",
        "4%",
        "9 rounds",
        "200",
    ):
        assert word in shown
    told = json.loads(invoke("bench", "--json").stdout)
    assert told["rows"][0]["photo"] == 81.2
    assert told["rows"][1]["matrix_share"] is None


def test_the_command_says_that_the_machine_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "_share_of_cores", lambda: 0.2)
    assert "too busy to measure on" in invoke("bench", expect=1).stderr
