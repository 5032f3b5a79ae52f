from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import matthews_corrcoef

from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.encoder.config import EncoderConfig
from workzone.model.encoder.experts import MixtureOfExperts
from workzone.model.inputs import DetectorInput
from workzone.model.views.config import GlanceConfig, PrunerConfig
from workzone.train.watch.figures import expert_load, gradient_norm, kept_views, validation_metrics

B, V, D = 5, 6, 8


def made_detector(**parts: object) -> tuple[Detector, DetectorInput]:
    torch.manual_seed(0)
    config = DetectorConfig(**parts).sized(  # type: ignore[arg-type]
        width=D, grid_width=D, grid_size=(4, 4), view_size=64
    )
    random = torch.Generator().manual_seed(1)
    corners = torch.rand(B, V, 2, generator=random) * 0.5
    given = DetectorInput(
        features=torch.randn(B, V, D, generator=random),
        boxes=torch.cat([corners, corners + 0.4], dim=-1),
        grid=torch.randn(B, 16, D, generator=random),
        grid_size=(4, 4),
        view_mask=torch.arange(V) < torch.tensor([6, 6, 5, 4, 2])[:, None],
    )
    return Detector(config).eval(), given


def test_the_load_of_experts_is_what_a_count_gives() -> None:
    encoder = EncoderConfig(width=D, heads=2, kv_heads=2, depth=2, experts=4, experts_per_token=2)
    detector, given = made_detector(encoder=encoder)
    chosen: list[torch.Tensor] = []

    def look(module: MixtureOfExperts, arguments: tuple[torch.Tensor, ...]) -> None:
        chosen.append(module.router(arguments[0]).topk(2, dim=-1).indices)

    for block in detector.encoder.blocks:
        block.feed_forward.register_forward_pre_hook(look)  # type: ignore[union-attr, operator]
    load = expert_load(detector.run(given))
    assert given.view_mask is not None
    counts = np.zeros((2, 4))
    for block, indices in enumerate(chosen):
        for image in range(B):
            for view in range(V):
                if given.view_mask[image, view]:
                    for expert in indices[image, view].tolist():
                        counts[block, expert] += 1
    assert load is not None
    assert not load.requires_grad
    np.testing.assert_allclose(load, counts / counts.sum(axis=1, keepdims=True), rtol=1e-6)
    assert (counts[0] != counts[1]).any()  # blocks do differ


def test_without_experts_there_is_no_load() -> None:
    detector, given = made_detector()
    assert expert_load(detector.run(given)) is None


def test_kept_views_are_what_a_count_gives() -> None:
    detector, given = made_detector(glance=GlanceConfig(keep=4), pruner=PrunerConfig(keep=3))
    assert detector.glance is not None
    assert detector.pruner is not None
    detector.glance.weight.copy_(torch.linspace(-1, 1, D))
    torch.nn.init.normal_(detector.pruner.scorer[-1].weight)
    read = detector.choose_views(given)
    assert read.view_ids is not None
    assert read.boxes is not None
    standard = (read.features - detector.feature_mean) / detector.feature_scale
    pruned = detector.pruner(
        standard, view_ids=read.view_ids, boxes=read.boxes, view_mask=read.view_mask
    )
    counts = [0] * V
    for ids, there in zip(pruned.view_ids.tolist(), pruned.mask.tolist(), strict=True):
        for view, exists in zip(ids, there, strict=True):
            counts[view] += exists
    kept = kept_views(detector.run(given))
    assert not kept.requires_grad
    assert kept.tolist() == pytest.approx([count / B for count in counts])
    assert len(set(counts)) > 2  # there was a choice


def test_the_gradient_norm_is_that_of_all_values_and_changes_none() -> None:
    layer = torch.nn.Linear(3, 2)
    unused = torch.nn.Parameter(torch.ones(4))
    (layer(torch.arange(3.0)).square().sum()).backward()
    before = [p.grad.clone() for p in layer.parameters() if p.grad is not None]
    total = sum(value**2 for grad in before for value in grad.flatten().tolist())
    assert float(gradient_norm([*layer.parameters(), unused])) == pytest.approx(math.sqrt(total))
    for parameter, was in zip(layer.parameters(), before, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, was)


def test_validation_metrics_count_pairs_and_decisions() -> None:
    labels = np.array([0, 0, 1, 1, 1, 0])
    probabilities = np.array([0.1, 0.6, 0.55, 0.9, 0.4, 0.5])
    told = validation_metrics(labels, probabilities)
    pairs = [p > n for p in probabilities[labels == 1] for n in probabilities[labels == 0]]
    assert told["validation_auc"] == pytest.approx(sum(pairs) / len(pairs))
    assert told["validation_mcc"] == pytest.approx(matthews_corrcoef(labels, [0, 1, 1, 1, 0, 0]))


@pytest.mark.parametrize(
    ("labels", "probabilities"), [([1, 1], [0.2, 0.7]), ([0, 1], [0.2, math.nan])]
)
def test_what_is_not_defined_is_none(labels: list[int], probabilities: list[float]) -> None:
    told = validation_metrics(np.array(labels), np.array(probabilities))
    assert told == {"validation_auc": None, "validation_mcc": None}
