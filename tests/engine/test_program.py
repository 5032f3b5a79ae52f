"""A program asks its graphs by name: another kind of judge needs nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.made_models import images, made
from workzone.engine.graphs import GraphModule
from workzone.engine.program import Program
from workzone.engine.torch_engine import TorchEngine, graphs_of


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
    bundle, backbone = made("linear attention, learned places")
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
        ("dense", {"boxes", "grid", "half_grid"}),
        ("linear attention, learned places", {"features", "boxes", "view_ids", "view_mask"}),
    ],
)
def test_graphs_name_their_inputs(case: str, inputs: set[str]) -> None:
    assert set(graphs_of(*made(case))["judge"].inputs) == inputs
