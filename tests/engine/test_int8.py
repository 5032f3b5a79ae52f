"""Int8: measured on images of its own, read back, refused where it is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engine.made_models import images, made
from engine.shared_graphs import export
from trained import Tiny
from workzone.decide.bundle import Bundle
from workzone.engine import choose, int8
from workzone.engine import export as exporting
from workzone.engine.choose import load_program, make_engine
from workzone.engine.export import Export
from workzone.engine.gate import GateError, GateImage
from workzone.engine.openvino_engine import _types
from workzone.engine.program import Seen
from workzone.engine.quantize import KEPT_FLOAT, quantise
from workzone.errors import BundleError, UsageError
from workzone.run.gate_images import calibration_images, gate_images
from workzone.views import halved

CONVOLUTIONS, PRODUCTS = "convolutions", "masks of layers"


def test_ranges_are_measured_on_halves_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reader is given them: in the same types as the views."""
    bundle, backbone = made("frames in their own shape")
    found = images(bundle, 4)
    shown: list[np.ndarray] = []

    def write(*arguments: object) -> None:
        shown.extend(arguments[5])  # type: ignore[call-overload]
        raise BundleError("enough")

    monkeypatch.setattr(exporting, "trace", lambda bundle, backbone: {"reader": None})
    monkeypatch.setattr(exporting, "_write", lambda graph, engine, path: path)
    monkeypatch.setattr(exporting, "_int8", write)
    with pytest.raises(BundleError, match="enough"):
        exporting.export(
            bundle,
            backbone,
            tmp_path / "model",
            found[3:],
            precision="int8",
            calibration=[image.seen for image in found[:3]],
        )
    whole = [(1, 3, 128, 128), (1, 3, 128, 192), (1, 3, 256, 64)]
    halves = [(1, 3, 64, 64), (1, 3, 64, 96), (1, 3, 128, 32)]
    assert [views.shape for views in shown] == whole + halves
    assert {views.dtype for views in shown} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(shown[4][0], halved(shown[1][0]))


def compared_and_measured(bundle: Bundle) -> tuple[list[GateImage], list[Seen]]:
    found = images(bundle, 20)
    return found[:12], [image.seen for image in found[12:]]


Exporting = Callable[[str, str, str], Export]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    """A case for an engine in a precision, exported once."""

    @lru_cache
    def once(case: str, engine: str, precision: str) -> Export:
        bundle, backbone = made(case)
        compared, measured = compared_and_measured(bundle)
        return export(
            bundle,
            backbone,
            tmp_path_factory.mktemp("exported") / "model",
            compared,
            engine=engine,
            precision=precision,
            calibration=measured,
        )

    return once


@pytest.fixture(autouse=True)
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that multiplies bytes without saturation."""
    monkeypatch.setattr(choose, "check_processor", lambda: None)


@pytest.mark.parametrize("case", [CONVOLUTIONS, PRODUCTS])
def test_a_reader_in_int8_passes_and_holds_bytes(case: str, exported: Exporting) -> None:
    done = exported(case, "onnx", "int8")
    assert (done.report.precision, done.report.flips) == ("int8", 0)
    assert 0 < done.report.largest_difference < 0.1
    program = load_program(done.folder)
    assert (program.engine.name, program.engine.precision) == ("onnx", "int8")
    told = json.loads((done.folder / "bundle.json").read_text())["program"]
    assert told["precision"] == "int8"
    assert told["kept_in_floats"] == list(done.kept or ()) == [0, 0]
    reader = onnx.load(done.folder / "reader.onnx")
    assert any(
        tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
        for tensor in reader.graph.initializer
    )
    judge = onnx.load(done.folder / "judge.onnx")
    assert "QuantizeLinear" not in {node.op_type for node in judge.graph.node}


def test_openvino_computes_in_bytes(exported: Exporting) -> None:
    done = exported(CONVOLUTIONS, "openvino", "int8")
    program = load_program(done.folder)
    assert (program.engine.name, program.engine.precision) == ("openvino", "int8")
    assert done.report.flips == 0
    assert (done.folder / "reader.xml").exists()


def test_openvino_computes_the_rest_in_bfloat16_where_asked(exported: Exporting) -> None:
    try:
        done = exported(CONVOLUTIONS, "openvino", "int8-bfloat16")
    except UsageError as error:  # a processor without bfloat16 says so
        assert "precision int8-bfloat16: this processor does not compute in bfloat16" in str(error)
        return
    program = load_program(done.folder)
    assert program.engine.precision == done.report.precision == "int8-bfloat16"
    computed = {
        name: {kind for _, kind in _types(model)} for name, model in program.engine._models.items()
    }
    assert "u8" in computed["reader"]
    assert "bf16" in computed["judge"]
    with pytest.raises(UsageError, match="was exported for engine openvino in int8-bfloat16; for"):
        load_program(done.folder, precision="int8")


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_folder_of_floats_that_claims_int8_is_refused(
    engine: str, exported: Exporting, tmp_path: Path
) -> None:
    plain = exported(CONVOLUTIONS, engine, "float32").folder
    with pytest.raises(
        UsageError, match=rf"in float32; for int8 .* workzone export .* --engine {engine}"
    ):
        load_program(plain, precision="int8")
    for file in plain.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    held = json.loads((tmp_path / "bundle.json").read_text())
    held["program"]["precision"] = "int8"
    (tmp_path / "bundle.json").write_text(json.dumps(held))
    with pytest.raises(BundleError, match=r"says that it is int8, and no .* export the model"):
        load_program(tmp_path)


def test_int8_is_run_as_it_passed_the_gate(exported: Exporting) -> None:
    folder = exported(CONVOLUTIONS, "onnx", "int8").folder
    for engine, precision in (("onnx", "float32"), ("openvino", "int8"), ("openvino", "bfloat16")):
        with pytest.raises(UsageError, match="was exported for engine onnx in int8; for"):
            load_program(folder, engine=engine, precision=precision)


def test_images_to_measure_on_are_apart_from_those_compared_on(tmp_path: Path) -> None:
    bundle, backbone = made(CONVOLUTIONS)
    compared, measured = compared_and_measured(bundle)
    for wrong, said in (
        ([compared[3].seen, *measured], "is also one to compare on"),
        ([], "int8 needs images to measure ranges on"),
    ):
        with pytest.raises(UsageError, match=said):
            export(
                bundle,
                backbone,
                tmp_path / "model",
                compared,
                precision="int8",
                calibration=wrong,
            )
    assert list(tmp_path.iterdir()) == []


def pixels(seen: Seen) -> bytes:
    return seen.pixels.tobytes()


def test_a_manifest_gives_its_training_rows_to_measure_on(tiny: Tiny) -> None:
    bundle, _ = made(CONVOLUTIONS)
    compared = gate_images(bundle, tiny.manifest_path, count=8)
    measured = calibration_images(bundle, tiny.manifest_path, compared, count=8)
    assert measured
    assert not {pixels(seen) for seen in measured} & {pixels(image.seen) for image in compared}
    splits = {sample.id: sample.split for sample in tiny.manifest}
    assert {splits[image.name] for image in compared} <= {"val", None, "train", "test"}


def test_where_no_image_is_left_scenes_are_drawn_to_measure_on(tiny: Tiny) -> None:
    bundle, _ = made(CONVOLUTIONS)
    everything = gate_images(bundle, tiny.manifest_path, count=10_000)
    drawn = calibration_images(bundle, None, everything, count=2)
    compared = gate_images(bundle, None, count=2)
    assert not {pixels(seen) for seen in drawn} & {pixels(image.seen) for image in compared}
    taken = [GateImage(sample.id, everything[0].seen) for sample in tiny.manifest]
    left = calibration_images(bundle, tiny.manifest_path, taken, count=2)
    assert [pixels(seen) for seen in left] == [pixels(seen) for seen in drawn]


def test_what_does_not_pass_is_tried_with_more_in_floats_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, backbone = made(CONVOLUTIONS)
    compared, measured = compared_and_measured(bundle)
    tried = []

    def counting(
        file: Path, views: list[np.ndarray], place: Path, *, kept: tuple[int, int]
    ) -> bool:
        tried.append(kept)
        return quantise(file, views, place, kept=kept)

    monkeypatch.setattr(exporting, "quantise", counting)
    monkeypatch.setattr("workzone.engine.gate.FLIPS", -1.0)
    with pytest.raises(GateError, match=r"\(int8\) does not.*reader.* Of 12 images none may"):
        export(
            bundle,
            backbone,
            tmp_path / "model",
            compared,
            precision="int8",
            calibration=measured,
        )
    assert tried == list(KEPT_FLOAT)
    assert list(tmp_path.iterdir()) == []


def test_weights_at_the_ends_stay_floats(exported: Exporting, tmp_path: Path) -> None:
    plain = exported(CONVOLUTIONS, "onnx", "float32").folder / "reader.onnx"
    _, measured = compared_and_measured(made(CONVOLUTIONS)[0])
    sizes = []
    for kept in ((0, 0), (1, 0), (1, 1)):
        place = tmp_path / f"{sum(kept)}.onnx"
        assert quantise(plain, [seen.pixels for seen in measured[:2]], place, kept=kept)
        sizes.append(place.read_bytes().count(b"DequantizeLinear"))
    assert sizes[0] > sizes[1] > sizes[2] > 0
    assert not quantise(plain, [], tmp_path / "none.onnx", kept=(100, 0))
    assert not (tmp_path / "none.onnx").exists()


def test_a_processor_that_overflows_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8.platform, "machine", lambda: "x86_64")
    told = tmp_path / "cpuinfo"
    told.write_text("flags\t\t: fpu sse4_2 avx2 fma\n")
    with pytest.raises(UsageError, match=r"lacks VNNI .* --precision float32"):
        int8.check_processor(cpuinfo=told)
    told.write_text("flags\t\t: fpu avx2 avx512_vnni\n")
    int8.check_processor(cpuinfo=told)
    monkeypatch.setattr(int8.platform, "machine", lambda: "arm64")
    told.write_text("Features\t: asimd\n")
    int8.check_processor(cpuinfo=told)


def test_an_output_keeps_its_name_where_openvino_has_another(tmp_path: Path) -> None:
    """Compiled, the output is named after "before" first: both hold the same bytes."""
    scale = ["scale", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["pixels", *scale], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", *scale], ["before"]),
        helper.make_node("Relu", ["before"], ["after"]),
        helper.make_node("QuantizeLinear", ["after", *scale], ["more"]),
        helper.make_node("DequantizeLinear", ["more", *scale], ["grid"]),
    ]
    ends = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4])]
        for name in ("pixels", "grid")
    )
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [0]),
    ]
    graph = helper.make_graph(nodes, "relu", *ends, constants)
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "r.onnx")
    engine = make_engine("openvino", {"reader": tmp_path / "r.onnx"}, precision="float32")
    outputs = engine.run("reader", {"pixels": np.ones((2, 4), np.float32)})
    assert set(outputs) == {"grid"}
    np.testing.assert_array_equal(outputs["grid"], np.ones((2, 4)))
