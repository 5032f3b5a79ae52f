"""The folder of an exported program: what it holds, and that it holds what it says.

::

    bundle.json     as of the bundle, and under "program" the engine, precision, graphs and gate
    reader.onnx     the graphs (of OpenVINO: .xml with .bin beside it; of torch: .pt2)
    chooser.onnx
    judge.onnx
    familiarity.npz how like those an image is, of models that know
    training.json   content hashes and groups of the images that the model learned from
    NOTICE.txt      licences of the parts
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from workzone.decide.bundle_json import describe, parse_description, read_json
from workzone.decide.description import Description
from workzone.decide.familiarity import familiarity_json
from workzone.engine.gate import GateReport
from workzone.engine.int8 import INT8
from workzone.engine.program import GraphName
from workzone.errors import BundleError, UsageError
from workzone.files import write_text
from workzone.model.config import DetectorConfig

FORMAT = 2
"""Of what stands under "program"; a folder of another one is refused."""

PRECISIONS = ("float32", "bfloat16", *INT8)

GRAPH_FILES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}


@dataclass(frozen=True, kw_only=True)
class ExportedModel(Description):
    """The description of a program in a folder."""

    folder: Path
    engine: str
    precision: str
    files: Mapping[str, str]  # BLAKE2b by file name
    shape: DetectorConfig
    gate: Mapping[str, Any] | None = None
    faster: tuple[str, str] | None = None  # engine and precision that passed the gate as well
    operations: int | None = None  # of the backbone on a photograph, see workzone.engine.operations
    beside: Path | None = None  # of an ensemble: the member whose reader it shares

    @property
    def config(self) -> DetectorConfig:
        """Shape of the detector."""
        return self.shape

    def identity(self) -> str:
        """16 hex digits that change with anything that changes a probability."""
        digest = hashlib.blake2b(digest_size=8)
        parts = [self.calibration, self.metadata_calibration, self.text_model, self.test_time]
        plain = [None if part is None else dataclasses.asdict(part) for part in parts]
        facts: list[Any] = [self.spec.key(), self.engine, self.precision, dict(self.files), plain]
        if self.test_time is not None and self.test_time.choose == "familiar":
            facts.append(familiarity_json(self.familiarity))
        digest.update(json.dumps(facts, sort_keys=True).encode())
        return digest.hexdigest()

    def with_view_size(self, size: int | None) -> Self:
        """See `Description.with_view_size`; a graph asks for as many cells as decide."""
        changed = super().with_view_size(size)
        if changed.shape.cells is not None:
            layout, (rows, columns) = changed.spec.layout, changed.spec.grid_size
            cells = layout.count * rows * columns
            if layout.shorter:  # of a square frame, or of a very long one
                cell = layout.size // rows
                cells = min((layout.shorter // cell) ** 2, layout.step // cell * columns)
            cells //= 4 if layout.halves else 1
            if cells < changed.shape.cells.top:
                raise UsageError(
                    f"--size {size}: views this small have {cells} cells, and the "
                    f"{changed.shape.cells.top} strongest decide: take larger ones"
                )
        return changed

    def graphs(self) -> dict[GraphName, Path]:
        """The files of the graphs, by name."""
        suffix = GRAPH_FILES[self.engine]
        return {
            cast(GraphName, name.removesuffix(suffix)): _place(self.folder, name, self.beside)
            for name in self.files
            if name.endswith(suffix)
        }


def _place(folder: Path, name: str, beside: Path | None) -> Path:
    """A file of an exported folder, or of the one beside it where it is not in there."""
    own = folder / name
    return own if beside is None or own.is_file() else beside / name


def file_hash(path: Path) -> str:
    """BLAKE2b-128 of a file, as 32 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def program_json(
    description: Description,
    *,
    engine: str,
    precision: str,
    files: Mapping[str, str],
    gate: GateReport,
    faster: GateReport | None,
    operations: int,
    kept: tuple[int, int] | None,
) -> dict[str, Any]:
    """What `bundle.json` of an exported folder holds.

    Args:
        description: of the model.
        engine: that the files are for.
        precision: that they compute in.
        files: BLAKE2b by file name.
        gate: what they came to beside the model.
        faster: the same of another engine and precision that runs these files and passed.
        operations: see `ExportedModel`.
        kept: in int8, how many weights at either end of the reader are in floats.
    """
    program = {
        "format": FORMAT,
        "engine": engine,
        "precision": precision,
        "files": dict(files),
        "gate": gate.to_json(),
        "faster": faster and faster.to_json(),
        "operations": operations,
        "kept_in_floats": kept,
    }
    return describe(description) | {"program": program}


def read_exported(folder: Path) -> ExportedModel:
    """Read the description of an exported folder, and make sure that its files are those named.

    Raises:
        BundleError: it is damaged, of another version, or a file is missing or another one.
    """
    try:
        held = read_json(folder)
        program = held["program"]
        if program["format"] != FORMAT:
            raise BundleError(
                f"{folder} was exported in format {program['format']}, this version of workzone "
                f"reads {FORMAT}: export the model again (workzone export)"
            )
        for key, allowed in (("engine", tuple(GRAPH_FILES)), ("precision", PRECISIONS)):
            if program[key] not in allowed:
                raise BundleError(
                    f"{folder} was exported for {key} {program[key]!r}, which this version of "
                    f"workzone does not know ({', '.join(allowed)}): export the model again"
                )
        files, reader_of = program["files"], program.get("reader_of")
        beside = None if reader_of is None else folder.parent / Path(reader_of).name
        for name in files:
            check_file(_place(folder, name, beside), files[name])
        training = folder / "training.json"
        if not training.is_file():
            raise BundleError(f"{training} is missing; copy the exported folder again, whole")
        shape, parts = parse_description(folder, held, training.read_bytes())
        exported = ExportedModel(
            **parts,
            shape=shape,
            folder=folder,
            engine=program["engine"],
            precision=program["precision"],
            files=files,
            gate=program.get("gate"),
            faster=_faster(program.get("faster")),
            operations=program.get("operations"),
            beside=beside,
        )
        _check_graphs(exported)
        return exported
    except BundleError:
        raise
    except KeyError as error:
        raise BundleError(f"the program at {folder} is damaged: {error} is missing") from error
    except Exception as error:  # a damaged file can fail in any way
        raise BundleError(f"the program at {folder} is damaged: {error}") from error


def _faster(report: Mapping[str, Any] | None) -> tuple[str, str] | None:
    return None if report is None else (str(report["engine"]), str(report["precision"]))


def _check_graphs(exported: ExportedModel) -> None:
    needed: set[GraphName] = {"reader", "judge"}
    if 1 < exported.views_read < exported.spec.layout.count:
        needed.add("chooser")
    if exported.config.masks is not None:
        needed.add("outliner")
    missing = sorted(needed - set(exported.graphs()))
    if missing:
        raise BundleError(
            f"the program at {exported.folder} is damaged: bundle.json lists no graph "
            f"{', '.join(missing)}; copy the exported folder again, whole"
        )


def share_reader(folder: Path, other: Path) -> bool:
    """Drop the reader of an exported folder where the one beside it has the same.

    Returns:
        Whether it has.
    """
    held = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    files = held["program"]["files"]
    readers = [name for name in files if name.startswith("reader.")]
    if not all((other / n).is_file() and file_hash(other / n) == files[n] for n in readers):
        return False
    held["program"]["reader_of"] = other.name
    write_text(folder / "bundle.json", json.dumps(held, indent=2, allow_nan=False) + "\n")
    for name in readers:
        (folder / name).unlink()
    return True


def check_file(path: Path, expected: str) -> None:
    """Make sure that a file of an exported folder is the one that was exported.

    Raises:
        BundleError: it is missing, or another one.
    """
    if not path.is_file() or file_hash(path) != expected:
        state = "is not the file that bundle.json describes" if path.is_file() else "is missing"
        raise BundleError(f"{path} {state}; copy the exported folder again, whole")
