"""From a bundle to a folder that other engines run, if it answers as the bundle does."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workzone.backbones.base import Backbone
from workzone.decide.bundle import Bundle
from workzone.decide.bundle_json import is_program, notice, training_json
from workzone.decide.familiarity import write_familiarity
from workzone.engine.choose import check_choice, make_engine
from workzone.engine.folder import GRAPH_FILES, file_hash, program_json
from workzone.engine.gate import GateError, GateImage, GateReport, compare, differences
from workzone.engine.int8 import INT8
from workzone.engine.operations import photo_operations
from workzone.engine.program import GraphName, Program, Seen
from workzone.engine.quantize import KEPT_FLOAT, given_to_reader, quantise
from workzone.engine.torch_engine import save_graph, torch_program
from workzone.engine.tracing import Graph, check_onnx_export, quiet, trace, write_onnx
from workzone.errors import BundleError, MissingExtraError, UsageError
from workzone.files import replacing_folder, write_text, writing


@dataclass(frozen=True)
class Export:
    """What an export made."""

    folder: Path
    report: GateReport
    faster: GateReport | None  # of what will run the folder where it can, see `ExportedModel`
    kept: tuple[int, int] | None  # in int8: so many weights at either end of the reader in floats


def export(
    bundle: Bundle,
    backbone: Backbone,
    folder: Path,
    images: Sequence[GateImage],
    *,
    engine: str = "onnx",
    precision: str = "float32",
    calibration: Sequence[Seen] = (),
) -> Export:
    """Write a bundle as a program of another engine, once it has passed the gate.

    Args:
        bundle: the model.
        backbone: that it works on, on the CPU.
        folder: to write; an older export in it is replaced.
        images: to compare on.
        engine: onnx, openvino or torch.
        precision: in which it is to compute; of bytes the reader's products are, chooser and judge
            stay float32 (int8) or bfloat16 (int8-bfloat16).
        calibration: images to measure the ranges of int8 on; none of `images`.

    Raises:
        GateError: it does not answer as the reference does; nothing is written.
        UsageError: an unknown engine, a precision that it has not, int8 without images of its own
            to measure ranges on, or frames of many shapes for a graph that takes one.
        MissingExtraError: the engine, or what torch exports with, is not installed.
        BundleError: the folder holds something else.
    """
    check_able(engine, precision)
    if bundle.spec.layout.shorter and not bundle.resizable:
        raise UsageError(
            f"frames in their own shape are exported of the embedded backbones alone: a graph of "
            f"{bundle.spec.backbone} takes one size of views. Leave the model to engine torch, or "
            "train on a layout without shorter"
        )
    if precision in INT8:
        _check_apart(calibration, images)
    check_output(folder)
    folder = folder.resolve()
    reference = torch_program(bundle, backbone, precision="float32")
    graphs = trace(bundle, backbone)
    kept = None
    with replacing_folder(folder) as aside:
        files = {name: _write(graph, engine, aside / name) for name, graph in graphs.items()}
        if precision in INT8:
            views = given_to_reader(calibration, bundle.spec.layout)
            program, report, kept = _int8(
                bundle, graphs["reader"], files, engine, precision, views, reference, images
            )
        else:
            program = Program(bundle, make_engine(engine, files, precision=precision))
            report = compare(program, reference, images)
        if report.failures:
            raise GateError(
                f"the program of engine {engine} ({precision}) does not answer as the model does: "
                f"{'; '.join(report.failures)}. {_where(program, reference, images, report)} "
                f"Nothing was written.{_advice(precision, len(images))}"
            )
        with writing(aside / "training.json") as path:
            path.write_bytes(training_json(bundle))
        write_familiarity(bundle.familiarity, aside)
        write_text(aside / "NOTICE.txt", notice(bundle, backbone="in the graphs of this folder"))
        faster = _faster(bundle, files, engine, precision, reference, images)
        held = program_json(
            bundle,
            engine=engine,
            precision=precision,
            files={p.name: file_hash(p) for p in sorted(aside.iterdir()) if p.suffix in _HASHED},
            gate=report,
            faster=faster,
            operations=photo_operations(bundle, backbone),
            kept=kept,
        )
        write_text(aside / "bundle.json", json.dumps(held, indent=2, allow_nan=False) + "\n")
    return Export(folder, report, faster, kept)


def check_able(engine: str, precision: str) -> None:
    """Make sure that an engine is here, has a precision, and can be exported for.

    Graphs take minutes to trace, and images to read: what lacks is told before.

    Raises:
        UsageError: an unknown engine, or a precision that it or the processor has not.
        MissingExtraError: the engine, or what torch exports with, is not installed.
    """
    check_choice(engine, precision, exported=True)
    if engine != "torch":
        check_onnx_export()
        make_engine(engine, {}, precision=precision)


def _advice(precision: str, images: int) -> str:
    if precision == "float32" or images >= FEWEST_FOR_DEFAULT:
        return ""
    return (
        f" Of {images} images none may flip: compare on {FEWEST_FOR_DEFAULT} or more of your own "
        "(--images, --count)."
    )


def _faster(
    bundle: Bundle,
    files: Mapping[GraphName, Path],
    engine: str,
    precision: str,
    reference: Program,
    images: Sequence[GateImage],
) -> GateReport | None:
    """How bfloat16 compares, of graphs in float32 that OpenVINO reads.

    None: not here, badly, or on too few images to make it the default.
    """
    if precision != "float32" or engine == "torch" or len(images) < FEWEST_FOR_DEFAULT:
        return None
    try:
        faster = make_engine("openvino", files, precision="bfloat16")
    except (MissingExtraError, UsageError):  # the processor has no bfloat16
        return None
    try:
        report = compare(Program(bundle, faster), reference, images)
    except GateError:
        return None
    return None if report.failures else report


def check_output(folder: Path) -> None:
    """Make sure that an export to a folder replaces an older export at most.

    Raises:
        UsageError: it is a file.
        BundleError: it holds something else, such as the bundle itself.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder to write")
    if folder.exists() and not is_program(folder) and any(folder.iterdir()):
        what = "a bundle" if (folder / "bundle.json").exists() else "something else"
        raise BundleError(f"{folder} holds {what}, no exported model; name another folder")


FEWEST_FOR_DEFAULT = 200
"""Images that a lower precision must have been compared on to run a folder unasked."""

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
        with tempfile.TemporaryDirectory() as folder:
            onnx = Path(folder) / "graph.onnx"
            write_onnx(graph, onnx)
            write_openvino(onnx, file)
    return file


def _int8(
    bundle: Bundle,
    reader: Graph,
    files: Mapping[GraphName, Path],
    engine: str,
    precision: str,
    views: Sequence[npt.NDArray[np.uint8]],
    reference: Program,
    images: Sequence[GateImage],
) -> tuple[Program, GateReport, tuple[int, int]]:
    """Write the reader in int8, with as few weights in floats as pass the gate; the last attempt.

    With it, how many weights at either end are in floats.

    Raises:
        BundleError: none of it can be int8.
    """
    tried: tuple[Program, GateReport, tuple[int, int]] | None = None
    with tempfile.TemporaryDirectory() as scratch:
        floats = Path(scratch) / "plain.onnx"
        write_onnx(reader, floats)
        for kept in KEPT_FLOAT:
            try:
                _write_int8(floats, engine, files["reader"], views, kept=kept)
                program = Program(bundle, make_engine(engine, files, precision=precision))
            except BundleError:  # too little is left for the engine to compute it in int8
                if tried is None:
                    raise
                return tried
            tried = program, compare(program, reference, images), kept
            if not tried[1].failures:
                break
    assert tried is not None
    return tried


def _write_int8(
    floats: Path,
    engine: str,
    file: Path,
    views: Sequence[npt.NDArray[np.uint8]],
    *,
    kept: tuple[int, int],
) -> None:
    """Write a reader in int8, from its ``.onnx`` in floats, over the one that is there.

    Raises:
        BundleError: none of it would be int8.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "int8.onnx"
        if not quantise(floats, views, made, kept=kept):
            raise BundleError(f"{file.name} has no weights that could be int8")
        for old in (file, file.with_suffix(".bin")):  # an engine may have it mapped
            old.unlink(missing_ok=True)
        if engine == "onnx":
            shutil.copyfile(made, file)  # another file system, maybe
        else:
            write_openvino(made, file)


def _check_apart(calibration: Sequence[Seen], images: Sequence[GateImage]) -> None:
    if not calibration:
        raise UsageError("int8 needs images to measure ranges on, and there are none")
    compared = {image.seen.pixels.tobytes() for image in images}
    if any(seen.pixels.tobytes() in compared for seen in calibration):
        raise UsageError(
            "an image to measure the ranges of int8 on is also one to compare on: take others"
        )


def write_openvino(onnx: Path, file: Path) -> None:
    """Write a graph of ONNX in OpenVINO's form.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "openvino", "export to OpenVINO") from error
    from onnx import load

    graph, model = load(onnx).graph, openvino.convert_model(onnx)
    names = {value.name for value in (*graph.input, *graph.output)}
    for port in (*model.inputs, *model.outputs):  # int8 has others there beside the graph's own
        port.get_tensor().set_names(port.get_names() & names)
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
