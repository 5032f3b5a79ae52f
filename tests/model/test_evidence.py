from __future__ import annotations

from typing import Any

import torch

from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.evidence import shares
from workzone.model.inputs import DetectorInput
from workzone.model.metadata.batch import MetadataBatch, encode_samples
from workzone.model.metadata.config import MetadataConfig
from workzone.model.views.config import GlanceConfig
from workzone.types import ImageRef, Sample

B, V, D = 7, 4, 5


def made_features(rows: int = B) -> torch.Tensor:
    return torch.randn(rows, V, D, generator=torch.Generator().manual_seed(4)) * 3 + 1


def linear_detector(width: int = D) -> Detector:
    """With flat attention (the score vector is zero), so that only the maximum is not linear."""
    torch.manual_seed(5)
    detector = Detector(DetectorConfig(width=width, gate_hidden=3))
    torch.nn.init.normal_(detector.head[-1].weight)
    torch.nn.init.normal_(detector.head[-1].bias)
    return detector.eval()


def difference(detector: Detector, features: torch.Tensor) -> torch.Tensor:
    logits = detector(features).logits
    return logits[:, 1] - logits[:, 0]


def test_evidence_adds_up_to_the_logit() -> None:
    """Mean and maximum are both homogeneous, so gradient times input is the whole difference.

    What the evidence is measured against is the image of which every view is the average view.
    """
    detector = linear_detector()
    detector.fit_scaler(made_features(100))
    features = made_features()
    average = detector.feature_mean.expand(1, V, D)
    expected = difference(detector, features) - difference(detector, average)
    evidence = detector.view_evidence(DetectorInput(features=features))
    assert evidence.shape == (B, V)
    torch.testing.assert_close(evidence.sum(1), expected.detach(), atol=1e-4, rtol=1e-4)
    assert expected.abs().max() > 1


def test_each_view_has_its_own_part_in_closed_form() -> None:
    """Unit scale, weights by hand: a mean over V, and the maximum to whoever holds it."""
    detector = Detector(DetectorConfig(width=2, gate_hidden=3)).eval()
    with torch.no_grad():
        # columns: mean of dimension 0, mean of 1, maximum of 0, maximum of 1
        detector.head[-1].weight[1] = torch.tensor([2.0, 0.0, 0.0, 10.0])
    features = torch.tensor([[[4.0, 1.0], [-2.0, 7.0], [0.0, 0.0]]])
    # 2 * x0 / 3 for each, and 10 * 7 for the second, which holds the maximum of dimension 1
    expected = torch.tensor([[8 / 3, -4 / 3 + 70, 0.0]])
    torch.testing.assert_close(detector.view_evidence(DetectorInput(features=features)), expected)


def test_images_of_a_batch_do_not_mix() -> None:
    detector, features = linear_detector(), made_features()
    torch.nn.init.normal_(detector.fusion.attention.score.weight)
    alone = torch.cat(
        [
            detector.view_evidence(DetectorInput(features=features[row : row + 1]))
            for row in range(B)
        ]
    )
    torch.testing.assert_close(detector.view_evidence(DetectorInput(features=features)), alone)


def test_explaining_leaves_no_gradients_behind() -> None:
    detector, features = linear_detector(), made_features()
    with torch.no_grad():
        detector.view_evidence(DetectorInput(features=features))
    assert not features.requires_grad
    assert all(parameter.grad is None for parameter in detector.parameters())


def test_shares_are_of_what_argues_for_road_work() -> None:
    evidence = torch.tensor([[3.0, -5.0, 1.0, 0.0], [-1.0, -2.0, 0.0, -4.0]])
    expected = torch.tensor([[0.75, 0.0, 0.25, 0.0], [0.25] * 4])
    torch.testing.assert_close(shares(evidence), expected)


def test_views_that_the_glance_leaves_out_have_no_share() -> None:
    config = DetectorConfig(width=D, glance=GlanceConfig(keep=2, width=3))
    detector = Detector(config).eval()  # its last layer is zero: nothing argues for road work
    boxes = torch.tensor([[[0.0, 0, 1, 1], [0, 0, 0.5, 1], [0.5, 0, 1, 1], [0, 0, 1, 0.5]]])
    given = DetectorInput(
        features=made_features(1), boxes=boxes, grid=torch.randn(1, 4, 3), grid_size=(2, 2)
    )
    expected = torch.tensor([[0.5, 0.5, 0.0, 0.0]])  # an unfitted probe keeps the lowest ids
    torch.testing.assert_close(detector.view_shares(given, views=V), expected)


def test_shares_of_the_faintest_evidence_sum_to_one() -> None:
    assert float(shares(torch.tensor([[1e-20, 3e-20]])).sum()) == 1.0


def told_detector() -> tuple[Detector, MetadataBatch]:
    """With a hidden layer, so that what is known changes what each view is worth."""
    torch.manual_seed(6)
    metadata = MetadataConfig(
        **{"position": 0, "weather": 0, "scene": 0, "text": 0, "daytime": 3},
        daytime_values=("day", "night"),
    )
    detector = Detector(DetectorConfig(width=D, gate_hidden=3, head=(6,), metadata=metadata))
    for parameter in detector.parameters():
        torch.nn.init.normal_(parameter)
    night = [Sample(str(row), ImageRef("x.jpg"), daytime="night") for row in range(B)]
    return detector.eval().double(), encode_samples(night, metadata)


def slope(detector: Detector, at: torch.Tensor, along: torch.Tensor, known: MetadataBatch) -> Any:
    """Of the logit difference, by central differences."""

    def score(step: float) -> torch.Tensor:
        logits = detector(at + step * along, metadata=known).logits
        return logits[:, 1] - logits[:, 0]

    with torch.no_grad():
        return (score(1e-6) - score(-1e-6)) / 2e-6


def test_evidence_is_of_the_score_with_metadata() -> None:
    detector, known = told_detector()
    features = made_features().double()
    evidence = detector.view_evidence(DetectorInput(features=features, metadata=known))
    expected = slope(detector, features, features - detector.feature_mean, known)
    torch.testing.assert_close(evidence.sum(1), expected, rtol=1e-4, atol=1e-6)
    assert (evidence - detector.view_evidence(DetectorInput(features=features))).abs().max() > 1e-2
