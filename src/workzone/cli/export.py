"""The command that writes a model for other engines: export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import WeightsOption, model_folder

if TYPE_CHECKING:
    from workzone.decide.description import Description
    from workzone.engine.export import Export
    from workzone.engine.gate import GateImage, GateReport
    from workzone.engine.program import Seen

CALIBRATION_IMAGES = 48

EXAMPLES_EXPORT = examples(
    "workzone export model -o model-onnx",
    "workzone export model -o model-onnx --images split.parquet",
    "workzone export model -o model-bf16 --engine openvino --precision bfloat16",
    "workzone export model -o model-int8 --precision int8 --images split.parquet",
    "workzone predict street.jpg --model model-onnx",
)


@command
def export(
    model: Annotated[
        Path | None,
        typer.Argument(help="Folder of the model bundle (default: the one within workzone)."),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    engine: Annotated[str, typer.Option(help="onnx, openvino or torch.")] = "onnx",
    precision: Annotated[
        str,
        typer.Option(
            help="float32, bfloat16 (openvino, torch), int8 (onnx, openvino) or int8-bfloat16 "
            "(openvino), in which it computes."
        ),
    ] = "float32",
    images: Annotated[
        Path | None,
        typer.Option(
            help="Manifest with images to compare on, its validation rows first, and to measure "
            "the ranges of int8 on, its training rows first (default: drawn scenes)."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=8, help="Compare on at most so many images.")] = 64,
    weights: WeightsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a model as a program that ONNX Runtime, OpenVINO or torch runs.

    The folder holds all that a prediction needs and is named with --model like any other. It takes
    batches of any size, and is written only if it answers as the model does: in float32 every
    probability to 1e-4 and every decision; in bfloat16 and int8 all but 0.5 % of the decisions, and
    MCC to 0.01. The comparison stands in the folder's bundle.json.

    Compared on 200 images or more (--images, --count), a program in float32 that passes in bfloat16
    too runs so by default where OpenVINO and the processor can.

    In int8 the backbone computes in bytes (and the rest in float32; in int8-bfloat16 in bfloat16),
    for which ranges are measured on images that are not those compared on. It may not pass: then
    nothing is written. Compare on 200 images or more of your own: of fewer none may flip.
    """
    from workzone.decide.bundle import Bundle
    from workzone.decide.models import read_model
    from workzone.engine.ensemble_export import export_ensemble
    from workzone.engine.export import check_able, check_output
    from workzone.engine.export import export as write_program
    from workzone.engine.int8 import INT8
    from workzone.run.ensembles import backbones_of
    from workzone.run.gate_images import calibration_images, gate_images

    check_able(engine, precision)  # before images are read, which takes a while

    def compared(model: Description) -> list[GateImage]:
        return gate_images(model, images, count=count)

    def measured(model: Description, apart: Sequence[GateImage]) -> list[Seen]:
        if precision not in INT8:
            return []
        return calibration_images(model, images, apart, count=CALIBRATION_IMAGES)

    read = read_model(model_folder(model))
    if isinstance(read, Bundle):
        check_output(output)
        (backbone,) = backbones_of(read, weights=weights)
        seen = compared(read)
        done = write_program(
            *(read, backbone, output, seen),
            engine=engine,
            precision=precision,
            calibration=measured(read, seen),
        )
        if as_json:
            print_json(_to_json(done))
        else:
            _tell(done)
    else:
        each = export_ensemble(
            *(read, backbones_of(read, weights=weights), output, compared),
            engine=engine,
            precision=precision,
            calibration=measured,
        )
        if as_json:
            members = {m.name: _to_json(one) for m, one in zip(read.members, each, strict=True)}
            print_json({"folder": str(output), "members": members})
            return
        for one in each:
            _tell(one)
    if not as_json:
        out.print(f"Written: {output}", markup=False, soft_wrap=True)


def _to_json(done: Export) -> dict[str, Any]:
    return {
        "folder": str(done.folder),
        "gate": done.report.to_json(),
        "faster": done.faster and done.faster.to_json(),
        "kept_in_floats": done.kept,
    }


def _tell(done: Export) -> None:
    out.print(gate_table(done.report))
    if done.faster is not None:
        out.print(gate_table(done.faster))
        out.print(
            f"It passed in {done.faster.precision} too, and runs so on {done.faster.engine} "
            "where neither --engine nor --precision is named.",
            soft_wrap=True,
        )
    if done.kept is not None:
        first, last = done.kept
        out.print(f"The reader's first {first} and last {last} weights stay in floats.")


def gate_table(report: GateReport) -> Table:
    """The gate's figures."""
    table = Table("compared with the model", "", title=f"{report.engine}, {report.precision}")
    table.columns[1].justify = "right"
    rows = {
        "images": f"{report.images:,}",
        "decisions flipped": f"{report.flips:,}",
        "largest difference of a probability": f"{report.largest_difference:.1e}",
        "mean difference": f"{report.mean_difference:.1e}",
        "least cosine of features": f"{report.least_cosine:.6f}",
    }
    if report.mcc is not None and report.reference_mcc is not None:
        rows["MCC, and the model's"] = f"{report.mcc:.3f}, {report.reference_mcc:.3f}"
    if report.calibration_error is not None and report.reference_calibration_error is not None:
        rows["calibration error, and the model's"] = (
            f"{report.calibration_error:.3f}, {report.reference_calibration_error:.3f}"
        )
    for name, value in rows.items():
        table.add_row(name, value)
    return table
