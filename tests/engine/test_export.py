"""Every kind of model as a program of other engines: exported, gated, loaded, refused."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import workzone
from cli_invoke import invoke
from engine.made_models import CASES, images, made, made_of, tiny_vit
from engine.shared_graphs import export
from trained import Tiny
from workzone.decide.bundle import Bundle
from workzone.decide.bundle_json import shipped_bundle
from workzone.engine import export as exporting
from workzone.engine.choose import load_program
from workzone.engine.export import Export
from workzone.engine.folder import read_exported
from workzone.engine.program import Engine, Floats, Program
from workzone.engine.torch_engine import torch_program
from workzone.errors import BundleError, MissingExtraError, UsageError
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.run.predictor import Predictor
from workzone.scenes.scene import draw_scene
from workzone.views import ViewLayout


def joined(shares: Floats) -> Floats:
    """The last two views are alike: which of them is the stronger is open."""
    return np.append(shares[:-2], shares[-2:].sum())


Exporting = Callable[[str], Export]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    """A case for ONNX Runtime, exported once."""

    @lru_cache
    def once(case: str) -> Export:
        bundle, backbone = made(case)
        return export(
            bundle, backbone, tmp_path_factory.mktemp("exported") / "model", images(bundle)
        )

    return once


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_model_exports_and_passes(case: str, exported: Exporting) -> None:
    bundle, backbone = made(case)
    compared = images(bundle)
    done = exported(case)
    assert (done.report.images, done.report.flips) == (12, 0)
    assert done.report.largest_difference < 1e-5
    program, reference = load_program(done.folder, engine="onnx"), torch_program(bundle, backbone)
    seen = [image.seen for image in compared]
    masks = bundle.config.masks is not None
    answers, wanted_answers = (p.run(seen, masks=masks) for p in (program, reference))
    for answer, expected in zip(answers, wanted_answers, strict=True):
        assert answer.probability == pytest.approx(expected.probability, abs=1e-5)
        assert answer.with_metadata == expected.with_metadata
        np.testing.assert_array_equal(answer.read, expected.read)
        shares, wanted_shares = joined(answer.view_shares), joined(expected.view_shares)
        np.testing.assert_allclose(shares, wanted_shares, atol=1e-4)
        np.testing.assert_allclose(answer.penultimate, expected.penultimate, atol=1e-3)
        for cells, wanted in zip(answer.cells, expected.cells, strict=True):
            np.testing.assert_allclose(cells, wanted, atol=1e-3)
        if masks:
            assert expected.masks is not None
            np.testing.assert_allclose(answer.masks, expected.masks, atol=1e-3)
        if expected.feature_gradient is not None:
            np.testing.assert_allclose(
                answer.feature_gradient, expected.feature_gradient, atol=1e-4
            )
    assert [answer.with_metadata for answer in program.run(seen)] == [
        bundle.metadata is not None and bool(number % 2) for number in range(12)
    ]


@pytest.mark.parametrize(
    ("case", "spanned"),
    [
        ("pruned, gated SwiGLU", [0, 0, 1, 1]),
        ("masks of layers", [0, -0.5, 1, 1.5]),
    ],
)
def test_masks_on_a_canvas_span_the_frame_others_the_first_view(
    case: str, spanned: list[float]
) -> None:
    bundle, backbone = made(case)
    seen = images(bundle, 1)[0].seen
    boxes = seen.boxes.copy()
    boxes[0] = 0, -0.5, 1, 1.5  # a whole frame that was padded above and below
    program = torch_program(bundle, backbone)
    (answer,) = program.run([dataclasses.replace(seen, boxes=boxes)], masks=True)
    assert answer.masks_box is not None and answer.masks_box.tolist() == spanned


SQUARES, FRAMES = "dense", "frames in their own shape"


@pytest.fixture(scope="module", params=[SQUARES, FRAMES])
def dense(request: pytest.FixtureRequest, exported: Exporting) -> tuple[Path, Bundle, Program]:
    """A program of either kind of views, its bundle, and the reference."""
    bundle, backbone = made(request.param)
    return exported(request.param).folder, bundle, torch_program(bundle, backbone)


@pytest.fixture
def folder(exported: Exporting) -> Path:
    return exported(FRAMES).folder


def test_the_folder_says_what_it_is(folder: Path) -> None:
    names = {file.name for file in folder.iterdir()}
    expected = {"bundle.json", "training.json", "NOTICE.txt", "reader.onnx", "judge.onnx"}
    assert names == expected
    program = json.loads((folder / "bundle.json").read_text())["program"]
    assert (program["engine"], program["precision"]) == ("onnx", "float32")
    assert program["gate"]["images"] == 12
    assert set(program["files"]) == {"reader.onnx", "judge.onnx"}


def test_a_dense_program_takes_views_of_any_size(dense: tuple[Path, Bundle, Program]) -> None:
    folder, bundle, reference = dense
    larger = bundle.with_view_size(192)
    seen = [image.seen for image in images(larger, 3)]
    program = load_program(folder, engine="onnx")
    resized = Program(program.description.with_view_size(192), program.engine)
    expected = Program(larger, reference.engine).run(seen)
    for answer, wanted in zip(resized.run(seen), expected, strict=True):
        assert answer.probability == pytest.approx(wanted.probability, abs=1e-5)
    with pytest.raises(UsageError, match="takes uint8 views"):
        program.run(seen)
    cells = bundle.spec.layout.count  # one of each view's half
    with pytest.raises(UsageError, match=f"this small have {cells} cells, and the 4 strongest"):
        program.description.with_view_size(64)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_openvino_runs_the_same_files(dense: tuple[Path, Bundle, Program], precision: str) -> None:
    folder, bundle, reference = dense
    seen = [image.seen for image in images(bundle)]
    try:
        program = load_program(folder, engine="openvino", precision=precision)
    except UsageError as error:  # a processor without bfloat16 says so
        assert precision == "bfloat16"
        assert "this processor does not compute in bfloat16" in str(error)
        return
    assert (program.engine.name, program.engine.precision) == ("openvino", precision)
    told = np.array([answer.probability for answer in program.run(seen)])
    expected = np.array([answer.probability for answer in reference.run(seen)])
    apart = np.abs(told - expected).max()
    assert apart < 1e-5 if precision == "float32" else apart < 0.2


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_engines_have_folders_of_their_own(engine: str, tmp_path: Path) -> None:
    bundle, backbone = made("convolutions")
    done = export(bundle, backbone, tmp_path / "model", images(bundle), engine=engine)
    assert done.report.largest_difference < 1e-5
    predictor = workzone.load(done.folder)
    assert predictor.program.engine.name == engine
    with pytest.raises(UsageError, match=f"exported for engine {engine}, which engine onnx does"):
        load_program(done.folder, engine="onnx")


def test_torch_runs_strips_that_are_one_cell_high(tmp_path: Path) -> None:
    bundle, backbone = made(FRAMES)
    done = export(bundle, backbone, tmp_path / "model", images(bundle), engine="torch")
    random = np.random.default_rng(0)
    strips = [
        random.integers(0, 256, shape, dtype=np.uint8) for shape in ((30, 400, 3), (400, 30, 3))
    ]
    found = workzone.load(done.folder).predict(strips)
    wanted = Predictor(torch_program(bundle, backbone)).predict(strips)
    for one, other in zip(found, wanted, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_a_lower_precision_runs_a_folder_unasked_after_many_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = exporting.make_engine

    def stand_in(engine: str, files: Any, *, precision: str, **more: Any) -> Engine:
        if precision != "bfloat16":
            return make(engine, files, precision=precision, **more)
        made_by = make("onnx", files, precision="float32")
        made_by.name, made_by.precision = "openvino", "bfloat16"  # type: ignore[misc]
        return made_by

    monkeypatch.setattr(exporting, "make_engine", stand_in)
    bundle, backbone = made(FRAMES)
    for fewest, chosen in ((13, None), (12, ("openvino", "bfloat16"))):
        monkeypatch.setattr(exporting, "FEWEST_FOR_DEFAULT", fewest)
        done = export(bundle, backbone, tmp_path / str(fewest), images(bundle))
        assert (done.faster is not None) == (chosen is not None)
        assert read_exported(done.folder).faster == chosen


def test_what_does_not_fit_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="engine 'onx' is unknown; did you mean 'onnx'"):
        load_program(folder, engine="onx")
    with pytest.raises(UsageError, match="engine onnx does not compute in 'bfloat16'"):
        load_program(folder, engine="onnx", precision="bfloat16")
    with pytest.raises(UsageError, match="which engine torch does not read"):
        load_program(folder, engine="torch")
    with pytest.raises(UsageError, match="which has its weights: leave out --weights"):
        workzone.load(folder, weights="weights.safetensors")
    with pytest.raises(UsageError, match="pip install onnxruntime-gpu"):
        workzone.load(folder, device="cuda")
    bundle, backbone = made(SQUARES)
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "a.txt").touch()
    with pytest.raises(BundleError, match="holds something else, no exported model"):
        export(bundle, backbone, occupied, images(bundle))


def test_what_an_engine_lacks_is_told_before_anything_is_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(exporting, "trace", lambda *_: pytest.fail("it was traced"))
    bundle, backbone = made("convolutions")
    with pytest.raises(MissingExtraError, match=r"workzone\[openvino\]"):
        exporting.export(bundle, backbone, tmp_path / "a", images(bundle), engine="openvino")


def test_frames_of_a_backbone_whose_graph_has_one_size_are_left_to_torch(tmp_path: Path) -> None:
    layout = ViewLayout(size=64, shorter=32, step=16, tiles=0, squares=())
    config = DetectorConfig(cells=CellHeadConfig())
    bundle, backbone = made_of(tiny_vit(), layout, config, pooling="mean")
    shown = images(bundle, 4)
    assert len({image.seen.pixels.shape for image in shown}) > 2
    answers = torch_program(bundle, backbone).run([image.seen for image in shown])
    assert len({round(answer.raw, 6) for answer in answers}) == 4
    with pytest.raises(UsageError, match=r"frames .* of the embedded backbones alone: .* tiny-vit"):
        export(bundle, backbone, tmp_path / "model", shown)
    assert list(tmp_path.iterdir()) == []


def changed(folder: Path, place: Path, **program: object) -> Path:
    """A copy whose ``bundle.json`` says other things of the program."""
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    held = json.loads((place / "bundle.json").read_text())
    held["program"] |= program
    (place / "bundle.json").write_text(json.dumps(held))
    return place


def test_damaged_folders_are_told(folder: Path, tmp_path: Path) -> None:
    later = changed(folder, tmp_path / "later", format=7)
    with pytest.raises(BundleError, match=r"exported in format 7.* export the model again"):
        load_program(later)
    other = changed(folder, tmp_path / "other", engine="tensorrt")
    with pytest.raises(BundleError, match="for engine 'tensorrt', which this version"):
        load_program(other)
    cut = changed(folder, tmp_path / "cut")
    (cut / "judge.onnx").write_bytes((cut / "judge.onnx").read_bytes()[:-9])
    with pytest.raises(BundleError, match=r"judge\.onnx is not the file that bundle\.json"):
        load_program(cut)
    gone = changed(folder, tmp_path / "gone")
    (gone / "reader.onnx").unlink()
    with pytest.raises(BundleError, match=r"reader\.onnx is missing"):
        load_program(gone)
    empty = changed(folder, tmp_path / "empty", files=None)
    with pytest.raises(BundleError, match="is damaged"):
        load_program(empty)


def test_a_bundle_is_run_by_torch_alone() -> None:
    with pytest.raises(UsageError, match=r"is a bundle.* workzone export .* --engine onnx"):
        workzone.load(shipped_bundle(), engine="onnx")
    with pytest.raises(UsageError, match=r"engine torch does not compute in 'int8', but in .*onnx"):
        workzone.load(shipped_bundle(), precision="int8")
    with pytest.raises(UsageError, match=r"precision 'bf16' is unknown; did you mean 'bfloat16'\?"):
        workzone.load(precision="bf16")


def test_the_documented_program_needs_no_workzone(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "score" / "engines.md").read_text()
    found = re.search(r"run by a test -->\n```python\n(.*?)```", page, re.DOTALL)
    assert found
    assert "import workzone" not in found[1]
    (tmp_path / "model-onnx").symlink_to(folder)
    scene = draw_scene(4, label=1)
    small = Image.fromarray(scene.image).resize((224, 126))  # not to be decoded at a fraction
    small.save(tmp_path / "street.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    exec(found[1], {})
    told = float(capsys.readouterr().out.removeprefix("road work: "))
    expected = workzone.load("model-onnx", engine="onnx").predict("street.jpg")[0]
    assert expected.engine == "onnx"
    assert told == pytest.approx(expected.probability, abs=0.006)  # two digits are printed


def test_the_command_exports_and_predict_takes_the_folder(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "model"
    few = ("--count", 8, "--json")
    said = invoke("export", tiny.bundle, "-o", place, "--images", tiny.manifest_path, *few)
    report = json.loads(said.stdout)["gate"]
    assert (report["flips"], report["engine"]) == (0, "onnx")
    photo = tiny.root / "01.png"
    by_onnx = json.loads(
        invoke("predict", photo, "--model", place, "--precision", "float32", "--json").stdout
    )
    by_torch = json.loads(invoke("predict", photo, "--model", tiny.bundle, "--json").stdout)
    assert (by_onnx["engine"], by_onnx["precision"]) == ("onnx", "float32")
    assert by_torch["engine"] == "torch"
    assert by_onnx["probability"] == pytest.approx(by_torch["probability"], abs=1e-4)
    invoke("predict", photo, "--model", place, "--explain", tmp_path / "overlays")
    assert list((tmp_path / "overlays").rglob("*.jpg"))
    refused = invoke("predict", photo, "--model", tiny.bundle, "--engine", "onnx", expect=2)
    assert "workzone export" in refused.stderr
