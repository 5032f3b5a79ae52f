"""From a bundle to a folder that other engines run, if it answers as the bundle does."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workzone.backbones.base import Backbone
from workzone.decide.bundle import Bundle
from workzone.decide.bundle_json import notice, training_json
from workzone.engine.choose import ENGINES, make_engine
from workzone.engine.folder import GRAPH_FILES, file_hash, program_json
from workzone.engine.gate import GateError, GateImage, GateReport, compare, differences
from workzone.engine.program import Program
from workzone.engine.torch_engine import save_graph, torch_program
from workzone.engine.tracing import Graph, quiet, trace, write_onnx
from workzone.errors import BundleError, MissingExtraError, UsageError, nearest
from workzone.files import replacing_folder, write_text, writing


@dataclass(frozen=True)
class Export:
    """What an export made."""

    folder: Path
    report: GateReport


def export(
    bundle: Bundle,
    backbone: Backbone,
    folder: Path,
    images: Sequence[GateImage],
    *,
    engine: str = "onnx",
    precision: str = "float32",
) -> Export:
    """Write a bundle as a program of another engine, once it has passed the gate.

    Args:
        bundle: the model.
        backbone: that it works on, on the CPU.
        folder: to write; an older export in it is replaced.
        images: to compare on.
        engine: onnx, openvino or torch.
        precision: in which it is to compute.

    Raises:
        GateError: it does not answer as the reference does; nothing is written.
        UsageError: an unknown engine, or a precision that it has not.
        MissingExtraError: the engine, or what torch exports with, is not installed.
        BundleError: the folder holds something else.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r} is unknown; {nearest(engine, ENGINES)}")
    folder = folder.resolve()
    if folder.exists() and not (folder / "bundle.json").exists() and any(folder.iterdir()):
        raise BundleError(f"{folder} is not empty and no exported model; name another folder")
    reference = torch_program(bundle, backbone, precision="float32")
    graphs = trace(bundle, backbone)
    with replacing_folder(folder) as aside:
        files = {name: _write(graph, engine, aside / name) for name, graph in graphs.items()}
        program = Program(bundle, make_engine(engine, files, precision=precision))
        report = compare(program, reference, images)
        if report.failures:
            raise GateError(
                f"the program of engine {engine} ({precision}) does not answer as the model does: "
                f"{'; '.join(report.failures)}. {_where(program, reference, images, report)} "
                "Nothing was written."
            )
        with writing(aside / "training.json") as path:
            path.write_bytes(training_json(bundle))
        write_text(aside / "NOTICE.txt", notice(bundle, backbone="in the graphs of this folder"))
        held = program_json(
            bundle,
            engine=engine,
            precision=precision,
            files={p.name: file_hash(p) for p in sorted(aside.iterdir()) if p.suffix in _HASHED},
            gate=report.to_json(),
        )
        write_text(aside / "bundle.json", json.dumps(held, indent=2, allow_nan=False) + "\n")
    return Export(folder, report)


_HASHED = {*GRAPH_FILES.values(), ".bin"}


def _write(graph: Graph, engine: str, path: Path) -> Path:
    """Write a graph in the form of an engine; the file."""
    file = path.with_suffix(GRAPH_FILES[engine])
    if engine == "torch":
        with quiet():
            save_graph(graph.program, graph.inputs, graph.outputs, file)
    elif engine == "onnx":
        write_onnx(graph, file)
    else:
        _write_openvino(graph, file)
    return file


def _write_openvino(graph: Graph, file: Path) -> None:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "openvino", "export to OpenVINO") from error
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "graph.onnx"
        write_onnx(graph, onnx)
        model = openvino.convert_model(onnx)
    openvino.save_model(model, file, compress_to_fp16=False)  # else it halves the weights unasked


def _where(
    program: Program, reference: Program, images: Sequence[GateImage], report: GateReport
) -> str:
    """Which graph departs from the reference, on the image that differs most."""
    image = next(image for image in images if image.name == report.furthest)
    worst = differences(program, reference, image)
    if not worst:
        return ""
    graph, output = max(worst, key=lambda name: worst[name])
    return (
        f"The {graph}'s output {output!r} departs furthest, by {worst[graph, output]:.2g} of its "
        "range."
    )
