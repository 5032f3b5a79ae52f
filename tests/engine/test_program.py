"""A program asks its graphs by name: another kind of judge needs nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.made_models import images, made
from workzone.engine.graphs import GraphModule
from workzone.engine.program import Array, Arrays, GraphName, Program, Seen
from workzone.engine.torch_engine import TorchEngine, graphs_of
from workzone.errors import UsageError
from workzone.features.reading import read_views
from workzone.model.inputs import DetectorInput


class MeanJudge(GraphModule):
    """Judges by the mean of the features, and weighs every view alike."""

    inputs = ("features", "view_mask")

    def forward(self, features: torch.Tensor, view_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        mean = features.mean(dim=(1, 2))
        return {
            "logits": torch.stack([-mean, mean], dim=-1),
            "view_weights": view_mask.float() / view_mask.shape[1],
            "penultimate": features.mean(dim=1),
        }


def test_a_judge_takes_and_gives_what_it_names() -> None:
    bundle, backbone = made("convolutions")
    graphs = graphs_of(bundle, backbone) | {"judge": MeanJudge()}
    answers = Program(bundle, TorchEngine(graphs)).run([image.seen for image in images(bundle, 3)])
    for answer in answers:
        mean = float(answer.penultimate.mean())
        assert answer.raw == pytest.approx(1 / (1 + np.exp(-2 * mean)), abs=1e-5)
        np.testing.assert_allclose(answer.view_shares, 1 / bundle.spec.layout.count)
        assert answer.cells == ()
        assert answer.grid is answer.feature_gradient is answer.masks is None


@pytest.mark.parametrize(
    ("case", "inputs"),
    [
        ("dense", {"boxes", "grid"}),
        ("convolutions", {"features", "boxes", "view_ids", "view_mask"}),
    ],
)
def test_graphs_name_their_inputs(case: str, inputs: set[str]) -> None:
    assert set(graphs_of(*made(case))["judge"].inputs) == inputs


class Watched:
    """An engine of torch that keeps the shapes of what it is given."""

    name, precision, device, views_at_once, streams = "watched", "float32", "cpu", 1, 1

    def __init__(self, graphs: dict[GraphName, GraphModule]) -> None:
        self.engine, self.calls = TorchEngine(graphs), list[tuple[GraphName, tuple[int, ...]]]()

    def begin_stream(self) -> None:
        raise AssertionError("no thread begins here")

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        self.calls.append((graph, inputs["pixels" if graph == "reader" else "grid"].shape))
        return self.engine.run(graph, inputs)


def test_views_and_their_halves_are_read_and_judged_one_after_the_other() -> None:
    bundle, backbone = made("frames in their own shape")
    engine = Watched(graphs_of(bundle, backbone))
    seen = images(bundle, 2)[1].seen
    (answer,) = Program(bundle, engine).run([seen])
    rows, columns = seen.pixels.shape[2:]
    cells, half_cells = (rows // 32, columns // 32), (rows // 64, columns // 64)
    assert engine.calls == [
        ("reader", (1, 3, rows, columns)),
        ("reader", (1, 3, rows // 2, columns // 2)),
        ("judge", (1, 1, *cells, 192)),
        ("judge", (1, 1, *half_cells, 192)),
    ]
    # as the detector itself judges what the backbone says of both
    output = read_views(backbone, torch.from_numpy(seen.pixels), bundle.spec)
    with torch.no_grad():
        told = bundle.detector.run(
            DetectorInput(
                features=torch.zeros(1, 1, 192),
                boxes=torch.from_numpy(seen.boxes)[None],
                grid=output.grid[None],
                grid_size=output.grid_size,
            )
        )
    (logits,) = told.logits.numpy()
    assert answer.raw == pytest.approx(1 / (1 + np.exp(logits[0] - logits[1])), abs=1e-6)
    assert told.cells is not None
    assert told.half_cells is not None
    expected = [
        scale[0].numpy() - bundle.calibration.cut for scale in (told.cells, told.half_cells)
    ]
    assert [scale.shape for scale in answer.cells] == [(1, *cells), (1, *half_cells)]
    for found, wanted in zip(answer.cells, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert answer.view_shares.tolist() == [1.0]


def test_images_of_several_shapes_are_judged_together_where_their_shapes_are_alike() -> None:
    bundle, backbone = made("frames in their own shape")
    engine = Watched(graphs_of(bundle, backbone))
    program, seen = Program(bundle, engine), [image.seen for image in images(bundle, 6)]
    shapes = [one.pixels.shape for one in seen]
    assert (len(set(shapes)), shapes[:2]) == (4, shapes[4:])
    alone = [program.run([one])[0] for one in seen]
    engine.calls.clear()
    together = program.run(seen)
    judged = [shape[0] for graph, shape in engine.calls if graph == "judge"]
    assert sorted(judged) == [1, 1, 1, 1, 2, 2, 2, 2]  # of both scales
    for one, same in zip(together, alone, strict=True):
        assert one.raw == pytest.approx(same.raw, abs=1e-6)
        np.testing.assert_allclose(one.cells[0], same.cells[0], atol=1e-5)
    assert len({round(one.raw, 6) for one in together}) == 6
    assert program.run([]) == []


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 3, 128, 160), np.uint8),  # no whole steps
        ((1, 3, 128, 320), np.uint8),  # longer than the layout allows
        ((1, 3, 0, 128), np.uint8),
        ((2, 3, 128, 128), np.uint8),
        ((1, 1, 128, 128), np.uint8),
        ((1, 3, 128, 128), np.float32),
    ],
)
def test_frames_that_the_layout_does_not_make_are_refused(
    shape: tuple[int, ...], dtype: type
) -> None:
    bundle, backbone = made("frames in their own shape")
    program = Program(bundle, TorchEngine(graphs_of(bundle, backbone)))
    good = images(bundle, 1)[0].seen
    wrong = Seen(np.zeros(shape, dtype), good.boxes)
    with pytest.raises(UsageError, match=r"its layout \(the frame, its shorter side 128 px\), got"):
        program.run([good, wrong])
