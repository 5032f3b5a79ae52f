"""Which engine runs a model, and in which precision: as asked for, or as the model was made."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from workzone.engine.folder import ExportedModel, read_exported
from workzone.engine.int8 import INT8, check_processor
from workzone.engine.onnx_engine import OnnxEngine
from workzone.engine.openvino_engine import OpenVinoEngine
from workzone.engine.program import Engine, GraphName, Program
from workzone.engine.weight_only import WEIGHT_PRECISIONS
from workzone.errors import BundleError, MissingExtraError, UsageError, WorkzoneError, nearest

ENGINES = ("onnx", "openvino", "torch")
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bfloat16", *INT8),
    "torch": ("float32", "bfloat16", *WEIGHT_PRECISIONS),
}
"""That an engine can be asked for; whether the processor has it is seen when it starts."""

_RUNS = {"onnx": ("onnx", "openvino"), "openvino": ("openvino",), "torch": ("torch",)}
"""By the engine that a folder was exported for, those that read its files."""


def check_choice(engine: str, precision: str, *, exported: bool = False) -> None:
    """Make sure that an engine and a precision are known and go together.

    Args:
        engine: one of `ENGINES`.
        precision: one of its `PRECISIONS`.
        exported: of a program that is or will be exported, not of a bundle.

    Raises:
        UsageError: they do not.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r} is unknown; {nearest(engine, ENGINES)}")
    if exported and precision in WEIGHT_PRECISIONS:
        raise UsageError(
            f"precision {precision} is of bundles, whose weights are stored so as they are loaded; "
            "an exported program keeps those that it was written with. Give the bundle, or write "
            "a program in int8: workzone export MODEL -o FOLDER --precision int8"
        )
    able = [name for name in ENGINES if precision in PRECISIONS[name]]
    if not able:
        every = {one for known in PRECISIONS.values() for one in known}
        raise UsageError(f"precision {precision!r} is unknown; {nearest(precision, every)}")
    if engine not in able:
        raise UsageError(
            f"engine {engine} does not compute in {precision!r}, but in "
            f"{' and '.join(PRECISIONS[engine])}; in {precision} these do: --engine "
            f"{' or '.join(able)}"
        )


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
        BundleError: the files are no graphs, or not in int8 and should be.
    """
    check_choice(engine, precision)
    if precision in INT8:
        check_processor()
    if engine != "onnx" and device != "cpu":
        raise UsageError(
            f"engine {engine} runs exported models on the processor: leave out --device, or export "
            "the model with --engine onnx, which runs on cuda and tensorrt too"
        )
    if engine == "torch" and find_spec("torch") is None:
        raise MissingExtraError("torch", "train", "engine torch")
    try:
        if engine == "onnx":
            return OnnxEngine(files, precision=precision, threads=threads, device=device)
        if engine == "openvino":
            return OpenVinoEngine(files, precision=precision, threads=threads)
        from workzone.engine.torch_engine import SavedGraph, TorchEngine

        graphs = {name: SavedGraph(file) for name, file in files.items()}
        return TorchEngine(graphs, precision=precision)
    except WorkzoneError:
        raise
    except Exception as error:  # a file that is no graph can fail in any way
        listed = ", ".join(str(file) for file in files.values())
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"engine {engine} cannot open {listed} ({first_line}): export the model again"
        ) from error


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
        engine: None: the one it was exported for, or, if that is not installed or has not the
            precision, another that reads the folder.
        precision: None: the one it was exported in. With neither, a faster engine and precision
            that passed the folder's gate as well, where it is installed and the processor has it.
        threads: of the engine; 0: as many as there are cores.
        device: cpu; of engine onnx also cuda and tensorrt.

    Raises:
        BundleError: the folder is damaged, or of another version.
        UsageError: an engine that does not read this folder, or a precision or device that is not
            there.
        MissingExtraError: the engine is not installed.
    """
    exported = read_exported(folder)
    unnamed = engine is None and precision is None and device == "cpu"
    if unnamed and exported.precision == "float32" and exported.faster is not None:
        with suppress(WorkzoneError):  # not installed, or not in this processor
            name, faster = exported.faster
            made = make_engine(name, exported.graphs(), precision=faster, threads=threads)
            return Program(exported, made)
    precision = precision or exported.precision
    engine = engine or _engine_at_hand(exported, precision)
    check_choice(engine, precision, exported=True)
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


def engines_for(exported: ExportedModel) -> list[str]:
    """Installed engines that read the folder, its own first."""
    modules = {"onnx": "onnxruntime"}
    known = _RUNS[exported.engine]
    return [name for name in known if find_spec(modules.get(name, name)) is not None]


def _engine_at_hand(exported: ExportedModel, precision: str) -> str:
    """The first that reads the folder and computes in the precision, if need be not installed."""
    if exported.precision in INT8:  # it has passed the gate on one engine alone
        return exported.engine
    able = [name for name in _RUNS[exported.engine] if precision in PRECISIONS[name]]
    installed = [name for name in engines_for(exported) if name in able]
    return (installed or able or [exported.engine])[0]


def _check_int8(exported: ExportedModel, engine: str, precision: str) -> None:
    """Int8 stands in the graphs, and has passed the gate on one engine alone.

    Raises:
        UsageError: it is asked for and not there, the other way about, or of another engine.
    """
    asked, have = (engine, precision), (exported.engine, exported.precision)
    if {precision, exported.precision} & {*INT8} and asked != have:
        raise UsageError(
            f"{exported.folder} was exported for engine {have[0]} in {have[1]}; for {precision} on "
            f"{engine} write another: workzone export MODEL -o FOLDER --engine {engine} "
            f"--precision {precision}"
        )
