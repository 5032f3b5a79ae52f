"""The gate: what must not pass does not, and is told by name."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.made_models import images, made
from engine.shared_graphs import export
from workzone.backbones.base import Backbone
from workzone.decide.bundle import Bundle
from workzone.engine import export as exporting
from workzone.engine.gate import GateError, compare, differences
from workzone.engine.program import Array, Arrays, Engine, GraphName, Program
from workzone.engine.torch_engine import torch_program
from workzone.engine.tracing import Graph

CASE = "convolutions"


class Changed:
    """An engine with a fault."""

    views_at_once, streams, device = 2, 1, "cpu"

    def __init__(self, engine: Engine, *, precision: str = "float32") -> None:
        self.engine, self.name, self.precision = engine, "changed", precision

    def begin_stream(self) -> None:
        self.engine.begin_stream()

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        return self.engine.run(graph, inputs)


class Normalised(Changed):
    """Red and blue exchanged."""

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        if graph == "reader":
            inputs = {"pixels": inputs["pixels"][:, ::-1]}
        return super().run(graph, inputs)


class Rounded(Changed):
    """Computes in half the precision that it claims."""

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        said = super().run(graph, inputs)
        return {name: _rounded(value) for name, value in said.items()}


def _rounded(value: Array) -> Array:
    rounded: Array = torch.from_numpy(np.ascontiguousarray(value)).bfloat16().float().numpy()
    return rounded


class OneByOne(Changed):
    """Fixed to a batch of one."""

    fixed = ("judge", "features")

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        if graph == self.fixed[0] and len(inputs[self.fixed[1]]) != 1:
            raise RuntimeError("Got invalid dimensions: index 0 got 3 expected 1")
        return super().run(graph, inputs)


class ViewByView(OneByOne):
    """Whose reader is, although it is never given more."""

    views_at_once = 1
    fixed = ("reader", "pixels")


def programs(fault: type[Changed], **more: str) -> tuple[Program, Program]:
    bundle, backbone = made(CASE)
    reference = torch_program(bundle, backbone)
    return Program(bundle, fault(reference.engine, **more)), reference


def test_the_same_program_passes() -> None:
    program, reference = programs(Changed)
    report = compare(program, reference, images(made(CASE)[0]))
    assert report.failures == []
    assert report.mcc == report.reference_mcc is not None
    assert report.least_cosine == pytest.approx(1)


def test_another_normalisation_does_not_pass_and_is_found_in_the_reader() -> None:
    program, reference = programs(Normalised)
    compared = images(made(CASE)[0])
    report = compare(program, reference, compared)
    assert "float32 may differ by 0.0001" in report.failures[0]
    apart = differences(program, reference, compared[0])
    assert max(apart, key=lambda name: apart[name])[0] == "reader"


def test_rounding_passes_as_bfloat16_and_not_as_float32() -> None:
    compared = images(made(CASE)[0])
    claimed, reference = programs(Rounded)
    failures = compare(claimed, reference, compared).failures
    assert failures
    assert "a probability differs" in failures[0]
    honest, reference = programs(Rounded, precision="bfloat16")
    assert compare(honest, reference, compared).failures == []


def test_a_program_of_one_batch_size_fails_and_no_images_are_no_proof() -> None:
    for fault in (OneByOne, ViewByView):
        program, reference = programs(fault)
        with pytest.raises(GateError, match=r"the program fails on a batch of \d: Got invalid"):
            compare(program, reference, images(made(CASE)[0]))
    with pytest.raises(GateError, match="no images to compare on"):
        compare(program, reference, [])


def test_flips_and_a_loss_of_mcc_fail_whatever_the_precision() -> None:
    class Inverted(Changed):
        def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
            said = super().run(graph, inputs)
            return said | ({"logits": -said["logits"]} if graph == "judge" else {})

    bundle, _ = made(CASE)
    program, reference = programs(Inverted, precision="bfloat16")
    compared = images(bundle)
    truth = [int(answer.probability > 0.5) for answer in reference.run([i.seen for i in compared])]
    assert 0 < sum(truth) < len(truth)
    labelled = [
        type(image)(image.name, image.seen, label)
        for image, label in zip(compared, truth, strict=True)
    ]
    report = compare(program, reference, labelled)
    assert report.reference_mcc == 1
    assert "decisions flipped (image" in report.failures[0]
    assert "MCC falls from 1.000 to" in report.failures[1]


def test_an_engine_with_a_fault_is_not_exported_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, backbone = made(CASE)
    graphs, start = exporting.trace(bundle, backbone), exporting.make_engine
    monkeypatch.setattr(exporting, "trace", lambda bundle, backbone: graphs)
    for fault in (Normalised, Rounded):

        def faulty(*arguments: object, fault: type[Changed] = fault, **more: object) -> Changed:
            return fault(start(*arguments, **more))

        monkeypatch.setattr(exporting, "make_engine", faulty)
        with pytest.raises(GateError, match="does not answer as the model does"):
            export(bundle, backbone, tmp_path / "model", images(bundle), engine="torch")
        assert list(tmp_path.iterdir()) == []


def test_a_wrong_weight_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, backbone = made(CASE)
    plain = exporting.trace

    def damaged(bundle: Bundle, backbone: Backbone) -> Mapping[GraphName, Graph]:
        detector = copy.deepcopy(bundle.detector)
        detector.head[-1].weight.data[1] += 1.0
        return plain(dataclasses.replace(bundle, detector=detector), backbone)

    monkeypatch.setattr(exporting, "trace", damaged)
    with pytest.raises(GateError, match=r"does not answer as the model does.*\bjudge's output"):
        export(bundle, backbone, tmp_path / "model", images(bundle), engine="torch")
    assert list(tmp_path.iterdir()) == []
