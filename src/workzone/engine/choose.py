"""Which engine runs a model, and in which precision: as asked for, or as the model was made."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from workzone.engine.folder import ExportedModel, read_exported
from workzone.engine.int8 import check_processor
from workzone.engine.onnx_engine import OnnxEngine
from workzone.engine.openvino_engine import OpenVinoEngine
from workzone.engine.program import Engine, GraphName, Program
from workzone.errors import MissingExtraError, UsageError, nearest

ENGINES = ("onnx", "openvino", "torch")
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bfloat16", "int8"),
    "torch": ("float32", "bfloat16"),
}
"""That an engine can be asked for; whether the processor has it is seen when it starts."""

_RUNS = {"onnx": ("onnx", "openvino"), "openvino": ("openvino",), "torch": ("torch",)}
"""By the engine that a folder was exported for, those that read its files."""


def check_choice(engine: str, precision: str) -> None:
    """Make sure that an engine and a precision are known and go together.

    Raises:
        UsageError: they do not.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r} is unknown; {nearest(engine, ENGINES)}")
    if precision not in PRECISIONS[engine]:
        hint = nearest(precision, PRECISIONS[engine])
        raise UsageError(f"engine {engine} does not compute in {precision!r}; {hint}")


def make_engine(
    engine: str,
    files: Mapping[GraphName, Path],
    *,
    precision: str,
    threads: int = 0,
    device: str = "cpu",
) -> Engine:
    """Start an engine on the files of a program.

    Raises:
        UsageError: an unknown engine, a precision that it or the processor has not, or a device
            that it does not compute on.
        MissingExtraError: the engine is not installed.
        BundleError: the files are not in int8, and should be.
    """
    check_choice(engine, precision)
    if precision == "int8":
        check_processor()
    if engine == "onnx":
        return OnnxEngine(files, precision=precision, threads=threads, device=device)
    if device != "cpu":
        raise UsageError(
            f"engine {engine} runs exported models on the processor: leave out --device, or export "
            "the model with --engine onnx, which runs on cuda and tensorrt too"
        )
    if engine == "openvino":
        return OpenVinoEngine(files, precision=precision, threads=threads)
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "train", "engine torch")
    from workzone.engine.torch_engine import SavedGraph, TorchEngine

    graphs = {name: SavedGraph(file) for name, file in files.items()}
    return TorchEngine(graphs, precision=precision)


def load_program(
    folder: Path,
    *,
    engine: str | None = None,
    precision: str | None = None,
    threads: int = 0,
    device: str = "cpu",
) -> Program:
    """Load an exported program.

    Args:
        folder: that `workzone export` wrote.
        engine: None: the one it was exported for, or, if that is not installed, another that reads
            the folder and is.
        precision: None: the one it was exported in.
        threads: of the engine; 0: as many as there are cores.
        device: cpu; of engine onnx also cuda and tensorrt.

    Raises:
        BundleError: the folder is damaged, or of another version.
        UsageError: an engine that does not read this folder, or a precision or device that is not
            there.
        MissingExtraError: the engine is not installed.
    """
    exported = read_exported(folder)
    precision = precision or exported.precision
    engine = engine or _engine_at_hand(exported)
    check_choice(engine, precision)
    if engine not in _RUNS[exported.engine]:
        raise UsageError(
            f"{folder} was exported for engine {exported.engine}, which engine {engine} does not "
            f"read: export the model again with --engine {engine}"
        )
    _check_int8(exported, engine, precision)
    made = make_engine(
        engine, exported.graphs(), precision=precision, threads=threads, device=device
    )
    return Program(exported, made)


def _engine_at_hand(exported: ExportedModel) -> str:
    if exported.precision == "int8":  # which has passed the gate on one engine alone
        return exported.engine
    modules = {"onnx": "onnxruntime"}
    readers = _RUNS[exported.engine]
    installed = [name for name in readers if find_spec(modules.get(name, name)) is not None]
    return installed[0] if installed else exported.engine


def _check_int8(exported: ExportedModel, engine: str, precision: str) -> None:
    """Int8 stands in the graphs, and has passed the gate on one engine alone.

    Raises:
        UsageError: it is asked for and not there, the other way about, or of another engine.
    """
    asked, have = (engine, precision), (exported.engine, exported.precision)
    if "int8" in (precision, exported.precision) and asked != have:
        raise UsageError(
            f"{exported.folder} was exported for engine {have[0]} in {have[1]}; for {precision} on "
            f"{engine} write another: workzone export MODEL -o FOLDER --engine {engine} "
            f"--precision {precision}"
        )
