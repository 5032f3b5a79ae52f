"""What an engine cannot do is told in a sentence with the fix, and never done otherwise instead."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cli_invoke import invoke
from workzone.decide.bundle import read_bundle, write_bundle
from workzone.decide.bundle_json import shipped_bundle, shipped_program
from workzone.engine import choose, openvino_engine
from workzone.engine.choose import load_program, make_engine
from workzone.engine.folder import file_hash, read_exported
from workzone.engine.onnx_engine import OnnxEngine
from workzone.engine.openvino_engine import OpenVinoEngine
from workzone.engine.program import Engine, GraphName
from workzone.engine.providers import TF32_SWITCH
from workzone.errors import BundleError, MissingExtraError, UsageError
from workzone.run.programs import open_program


def doubling(place: Path, batch: int | str) -> Path:
    """A reader that doubles, of a fixed batch or of any."""
    shape = [batch, 3]
    graph = helper.make_graph(
        [helper.make_node("Add", ["pixels", "pixels"], ["grid"])],
        "doubling",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("grid", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, place)
    return place


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_batch_that_a_graph_was_not_made_for_is_told(engine: str, tmp_path: Path) -> None:
    fixed: Engine = make_engine(
        engine, {"reader": doubling(tmp_path / "reader.onnx", 1)}, precision="float32"
    )
    one = np.ones((1, 3), dtype=np.float32)
    np.testing.assert_array_equal(fixed.run("reader", {"pixels": one})["grid"], 2 * one)
    for wrong in (np.ones((3, 3), dtype=np.float32), np.ones(3, dtype=np.float32)):
        with pytest.raises(
            UsageError, match=r"graph reader takes pixels of \[1, 3\], got .*\(workzone export\)"
        ):
            fixed.run("reader", {"pixels": wrong})
    free = make_engine(
        engine, {"reader": doubling(tmp_path / "free.onnx", "batch")}, precision="float32"
    )
    assert free.run("reader", {"pixels": np.ones((8, 3), dtype=np.float32)})["grid"].shape == (8, 3)
    with pytest.raises(UsageError, match=r"takes pixels of \[any, 3\], got \[8, 4\]"):
        free.run("reader", {"pixels": np.ones((8, 4), dtype=np.float32)})


@pytest.mark.parametrize(
    ("module", "engine", "error", "said"),
    [
        ("onnxruntime", "onnx", UsageError, "is not installed: pip install onnxruntime"),
        ("openvino", "openvino", MissingExtraError, r"pip install 'workzone\[openvino\]'"),
    ],
)
def test_an_engine_that_is_not_installed_is_told(
    module: str, engine: str, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(error, match=said):
        make_engine(engine, {}, precision="float32")


def test_torch_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"engine torch needs .*'workzone\[train\]'"):
        make_engine("torch", {}, precision="float32")


def test_a_folder_is_run_by_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = dataclasses.replace(read_exported(shipped_program()), faster=None)
    monkeypatch.setattr(choose, "read_exported", lambda _: plain)
    assert load_program(shipped_program()).engine.name == "onnx"
    monkeypatch.setattr(choose, "find_spec", lambda name: None if name == "onnxruntime" else name)
    assert load_program(shipped_program()).engine.name == "openvino"
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="pip install onnxruntime"):
        load_program(shipped_program())


class FakeCore:
    """OpenVINO on a processor of one's choice."""

    capabilities: Sequence[str] = ("FP32", "INT8")
    computes = "f32"

    def get_property(self, device: str, name: str) -> Any:
        return list(self.capabilities)

    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = ()

    def read_model(self, file: Path) -> Any:
        return self

    def compile_model(self, model: Any, device: str, settings: Mapping[str, Any]) -> Any:
        return self

    def get_type_name(self) -> str:
        return self.computes


class Rounding(FakeCore):
    """Computes in bfloat16, whatever is asked for."""

    def compile_model(self, model: Any, device: str, settings: Mapping[str, Any]) -> Any:
        class Model:
            def get_property(self, name: str) -> Any:
                core = FakeCore()
                core.computes = "bf16"
                return core

        return Model()


def test_a_precision_that_the_processor_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "_core", lambda _: FakeCore())
    with pytest.raises(UsageError, match=r"precision bfloat16: .* use --precision float32"):
        OpenVinoEngine({}, precision="bfloat16")
    monkeypatch.setattr(openvino_engine, "_core", lambda _: Rounding())
    with pytest.raises(UsageError, match="asked for float32, the reader computes in bf16"):
        OpenVinoEngine({"reader": Path("reader.xml")}, precision="float32")


class FakeSession:
    """A session that says where it runs."""

    chosen: Sequence[str] = ()
    options: Mapping[str, Mapping[str, str]] = {}
    asked: Any = None

    def __init__(self, file: str, options: Any, *, providers: Any, enable_fallback: int) -> None:
        FakeSession.asked = (providers, enable_fallback)

    def get_providers(self) -> Sequence[str]:
        return self.chosen

    def get_provider_options(self) -> Mapping[str, Mapping[str, str]]:
        return self.options


CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
GPU_OPTIONS = {
    CUDA: {"use_tf32": "0"},
    TENSORRT: {"trt_fp16_enable": "0", "trt_int8_enable": "0"},
}


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """ONNX Runtime as on a machine with a GPU."""
    import onnxruntime

    fake = ModuleType("onnxruntime")
    fake.get_available_providers = lambda: [TENSORRT, CUDA, CPU]  # type: ignore[attr-defined]
    fake.SessionOptions = onnxruntime.SessionOptions  # type: ignore[attr-defined]
    fake.InferenceSession = FakeSession  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setenv(TF32_SWITCH, "0")
    monkeypatch.setattr(FakeSession, "options", GPU_OPTIONS)
    return fake


FILES: Mapping[GraphName, Path] = {"reader": Path("reader.onnx")}


@pytest.mark.parametrize(
    ("device", "chosen"), [("cuda", [CUDA, CPU]), ("tensorrt", [TENSORRT, CUDA, CPU])]
)
def test_a_gpu_is_asked_for_by_name_without_rounding(
    device: str, chosen: list[str], runtime: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeSession, "chosen", chosen)
    OnnxEngine(FILES, device=device)
    providers, fallback = FakeSession.asked
    assert providers == [(name, GPU_OPTIONS[name]) for name in chosen[:-1]]
    assert fallback == 0


@pytest.mark.parametrize(
    ("device", "chosen"), [("cuda", [CPU]), ("tensorrt", [CUDA, CPU]), ("tensorrt", [])]
)
def test_a_fall_back_is_refused(
    device: str, chosen: list[str], runtime: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeSession, "chosen", chosen)
    with pytest.raises(UsageError, match=r"asked for .*Provider, ONNX Runtime fell back to"):
        OnnxEngine(FILES, device=device)


def test_a_gpu_that_rounds_is_refused(runtime: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSession, "chosen", [TENSORRT, CUDA, CPU])
    for provider, name in ((CUDA, "use_tf32"), (TENSORRT, "trt_fp16_enable")):
        rounding = GPU_OPTIONS | {provider: GPU_OPTIONS[provider] | {name: "1"}}
        monkeypatch.setattr(FakeSession, "options", rounding)
        with pytest.raises(UsageError, match=f"asked {provider} for {name}=0, it has 1"):
            OnnxEngine(FILES, device="tensorrt")
    monkeypatch.delenv(TF32_SWITCH)
    with pytest.raises(UsageError, match=f"set {TF32_SWITCH}=0 in the environment"):
        OnnxEngine(FILES, device="tensorrt")


def test_a_gpu_that_fails_to_start_is_told(
    runtime: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA failure 35")

    monkeypatch.setattr(runtime, "InferenceSession", failing)
    with pytest.raises(UsageError, match=r"does not start on cuda \(CUDA failure 35\)"):
        OnnxEngine(FILES, device="cuda")


def test_devices_that_are_not_there_are_told(
    runtime: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "get_available_providers", lambda: [CPU])
    with pytest.raises(UsageError, match=r"no CUDAExecutionProvider: .* install onnxruntime-gpu;"):
        OnnxEngine(FILES, device="cuda")
    with pytest.raises(UsageError, match="onnxruntime-gpu and NVIDIA's TensorRT libraries"):
        OnnxEngine(FILES, device="tensorrt")
    with pytest.raises(UsageError, match="device 'tensorr' is unknown; did you mean 'tensorrt'"):
        OnnxEngine(FILES, device="tensorr")
    with pytest.raises(UsageError, match="in int8 on the processor alone: leave out --device"):
        OnnxEngine(FILES, precision="int8", device="cuda")
    for engine in ("openvino", "torch"):
        with pytest.raises(UsageError, match=f"engine {engine} runs exported models on the proc"):
            make_engine(engine, {}, precision="float32", device="cuda")


def copied(folder: Path, place: Path, **program: Any) -> Path:
    """A folder with other values under "program"."""
    shutil.copytree(folder, place)
    if program:
        description = json.loads((place / "bundle.json").read_text())
        description["program"] |= program
        (place / "bundle.json").write_text(json.dumps(description))
    return place


def test_an_export_never_takes_the_place_of_anything_else(tmp_path: Path) -> None:
    model = copied(shipped_bundle(), tmp_path / "model")
    files = sorted(path.name for path in model.iterdir())
    said = invoke("export", model, "-o", model, expect=1).stderr
    assert "model holds a bundle, no exported model; name another folder" in said
    assert sorted(path.name for path in model.iterdir()) == files
    (tmp_path / "street.jpg").write_bytes(b"x")
    said = invoke("export", "-o", tmp_path / "street.jpg", expect=2).stderr
    assert "street.jpg is a file; name a folder to write" in said
    said = invoke("export", "-o", tmp_path, expect=1).stderr
    assert "holds something else, no exported model" in said
    said = invoke("export", "-o", tmp_path / "new", "--precision", "bfloat16", expect=2).stderr
    assert "engine onnx does not compute in 'bfloat16', but in float32 and int8" in said
    assert not (tmp_path / "new").exists()
    program = copied(shipped_program(), tmp_path / "program")
    with pytest.raises(BundleError, match="is not empty and not a bundle"):
        write_bundle(read_bundle(shipped_bundle()), program)


def test_a_program_is_no_bundle() -> None:
    with pytest.raises(BundleError, match=r"lite-onnx is an exported program, which only predicts"):
        read_bundle(shipped_program())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision": None}, r"for precision None, which this version .*float32, bfloat16, int8"),
        ({"precision": "float64"}, "for precision 'float64', which this version"),
        ({"engine": None}, "for engine None, which this version"),
        ({"files": {}}, r"lists no graph judge, reader; copy the exported folder again"),
        ({"files": []}, "lists no graph|is damaged"),
    ],
)
def test_a_description_that_fits_no_program_is_told(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=said):
        load_program(copied(shipped_program(), tmp_path / "model", **changes))


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_file_that_is_no_graph_is_told(engine: str, tmp_path: Path) -> None:
    folder = copied(shipped_program(), tmp_path / "model")
    (folder / "judge.onnx").write_bytes(b"no graph")
    files = json.loads((folder / "bundle.json").read_text())["program"]["files"]
    files["judge.onnx"] = file_hash(folder / "judge.onnx")
    broken = copied(folder, tmp_path / "broken", files=files)
    with pytest.raises(BundleError, match=rf"engine {engine} cannot open .*judge\.onnx.*export"):
        load_program(broken, engine=engine)


def test_a_missing_list_of_training_images_is_told(tmp_path: Path) -> None:
    folder = copied(shipped_program(), tmp_path / "model")
    (folder / "training.json").unlink()
    with pytest.raises(BundleError, match=r"training\.json is missing; copy the exported folder"):
        load_program(folder)


def test_a_precision_asks_for_an_engine_that_has_it() -> None:
    exported = read_exported(shipped_program())
    assert choose._engine_at_hand(exported, "float32") == "onnx"
    assert choose._engine_at_hand(exported, "bfloat16") == "openvino"


def test_a_folder_without_a_model_is_told_whatever_is_installed(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model bundle at .*: bundle\.json missing"):
        open_program(tmp_path)
    for text in ("{", "[1]", ""):
        (tmp_path / "bundle.json").write_text(text)
        with pytest.raises(BundleError, match=r"is damaged: bundle\.json cannot be read"):
            open_program(tmp_path)


def test_views_have_a_largest_size() -> None:
    with pytest.raises(UsageError, match="--size 8192: views have at most 2048 px a side"):
        read_exported(shipped_program()).with_view_size(8192)
