"""Which engine runs a model, and in which precision: as asked for, or as the model was made."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from workzone.engine.folder import read_exported
from workzone.engine.onnx_engine import OnnxEngine
from workzone.engine.openvino_engine import OpenVinoEngine
from workzone.engine.program import Engine, GraphName, Program
from workzone.errors import MissingExtraError, UsageError, nearest

ENGINES = ("onnx", "openvino", "torch")
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("float32",),
    "openvino": ("float32", "bfloat16"),
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
    engine: str, files: Mapping[GraphName, Path], *, precision: str, threads: int = 0
) -> Engine:
    """Start an engine on the files of a program.

    Raises:
        UsageError: an unknown engine, or a precision that it or the processor has not.
        MissingExtraError: the engine is not installed.
    """
    check_choice(engine, precision)
    if engine == "onnx":
        return OnnxEngine(files, precision=precision, threads=threads)
    if engine == "openvino":
        return OpenVinoEngine(files, precision=precision, threads=threads)
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "train", "engine torch")
    from workzone.engine.torch_engine import SavedGraph, TorchEngine

    graphs = {name: SavedGraph(file) for name, file in files.items()}
    return TorchEngine(graphs, precision=precision)


def load_program(
    folder: Path, *, engine: str | None = None, precision: str | None = None, threads: int = 0
) -> Program:
    """Load an exported program.

    Args:
        folder: that `workzone export` wrote.
        engine: None: the one it was exported for.
        precision: None: the one it was exported in.
        threads: of the engine; 0: as many as there are cores.

    Raises:
        BundleError: the folder is damaged, or of another version.
        UsageError: an engine that does not read this folder, or a precision that is not there.
        MissingExtraError: the engine is not installed.
    """
    exported = read_exported(folder)
    engine, precision = engine or exported.engine, precision or exported.precision
    check_choice(engine, precision)
    if engine not in _RUNS[exported.engine]:
        raise UsageError(
            f"{folder} was exported for engine {exported.engine}, which engine {engine} does not "
            f"read: export the model again with --engine {engine}"
        )
    graphs = exported.graphs()
    return Program(exported, make_engine(engine, graphs, precision=precision, threads=threads))
