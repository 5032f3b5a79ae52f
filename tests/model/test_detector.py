from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import safetensors.torch
import torch

from workzone.errors import UsageError
from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.encoder.config import EncoderConfig
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.masks.head import place_grids
from workzone.model.metadata.batch import no_metadata
from workzone.model.metadata.config import MetadataConfig
from workzone.model.views.config import GlanceConfig, PrunerConfig

B, V, D = 6, 4, 5


def made_features(rows: int = B) -> torch.Tensor:
    """Far from standard: every dimension has another mean and another spread."""
    noise = torch.randn(rows, V, D, generator=torch.Generator().manual_seed(2))
    return noise * torch.tensor([0.1, 1.0, 5.0, 20.0, 100.0]) + torch.arange(D) * 10


def trained(dropout: float = 0.0) -> Detector:
    """A detector in evaluation mode whose every weight matters."""
    torch.manual_seed(3)
    detector = Detector(DetectorConfig(width=D, gate_hidden=3, dropout=dropout))
    for parameter in detector.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    detector.fit_scaler(made_features(50))
    return detector.eval()


def test_shapes() -> None:
    output = trained()(made_features())
    assert output.logits.shape == (B, 2)
    assert output.view_weights.shape == (B, V)


def test_untrained_it_says_one_half() -> None:
    detector = Detector(DetectorConfig(width=D)).eval()
    assert torch.softmax(detector(made_features()).logits, 1).eq(0.5).all()


def test_logits_are_the_linear_layer_on_attention_and_maximum() -> None:
    """By hand, view by view and from the buffers: mean 0 and spread 1, then weights."""
    detector, features = trained(), made_features()
    views = (features - detector.feature_mean) / detector.feature_scale
    pooled, weights = detector.fusion.attention(views)
    expected = []
    for row in range(B):
        largest = torch.stack([max(views[row, :, d]) for d in range(D)])
        largest = (largest - detector.fusion.maximum_mean) / detector.fusion.maximum_scale
        both = torch.cat([pooled[row], largest])
        expected.append(detector.head[-1].weight @ both + detector.head[-1].bias)
    output = detector(features)
    torch.testing.assert_close(output.logits, torch.stack(expected))
    torch.testing.assert_close(output.view_weights, weights)


def test_masked_views_are_as_good_as_left_out() -> None:
    detector, features = trained(), made_features()
    features[:, 2] = 1e4  # would win every maximum
    mask = torch.tensor([True, True, False, True])
    masked = detector(features, view_mask=mask.expand(B, V))
    torch.testing.assert_close(masked.logits, detector(features[:, mask]).logits)
    assert (masked.view_weights[:, 2] == 0).all()
    assert not torch.allclose(masked.logits, detector(features).logits)


def test_views_are_a_set() -> None:
    detector, features = trained(), made_features()
    order = torch.tensor([2, 0, 3, 1])
    plain, shuffled = detector(features), detector(features[:, order])
    torch.testing.assert_close(shuffled.logits, plain.logits)
    torch.testing.assert_close(shuffled.view_weights, plain.view_weights[:, order])


def test_training_images_are_standardised() -> None:
    detector, features = Detector(DetectorConfig(width=D)), made_features(200)
    detector.fit_scaler(features)
    views = (features - detector.feature_mean) / detector.feature_scale
    torch.testing.assert_close(views.mean(dim=(0, 1)), torch.zeros(D), atol=1e-4, rtol=0)
    torch.testing.assert_close(views.mean(1).std(0, correction=0), torch.ones(D))
    maxima = (views.amax(1) - detector.fusion.maximum_mean) / detector.fusion.maximum_scale
    torch.testing.assert_close(maxima.mean(0), torch.zeros(D), atol=1e-4, rtol=0)
    torch.testing.assert_close(maxima.std(0, correction=0), torch.ones(D))


def test_constant_features_stay_finite() -> None:
    detector = Detector(DetectorConfig(width=D))
    detector.fit_scaler(torch.ones(B, V, D))
    assert detector(torch.ones(B, V, D)).logits.isfinite().all()


def test_the_standardisation_is_saved_with_the_weights() -> None:
    detector, features = trained(), made_features()
    saved = safetensors.torch.save(detector.state_dict())
    other = Detector(detector.config)
    other.load_state_dict(safetensors.torch.load(saved))
    assert torch.equal(other.eval()(features).logits, detector(features).logits)
    assert not torch.equal(other.feature_mean, torch.zeros(D))


def test_every_parameter_gets_a_gradient() -> None:
    detector = trained()
    detector(made_features()).logits[:, 1].square().sum().backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_works_in_training_only() -> None:
    detector, features = trained(dropout=0.5), made_features()
    assert torch.equal(detector(features).logits, detector(features).logits)
    detector.train()
    assert not torch.equal(detector(features).logits, detector(features).logits)


@pytest.mark.parametrize("wrong", [{"width": -1}, {"projection": -1}, {"dropout": 1.0}])
def test_wrong_shapes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="width and projection are 0 or more, dropout in"):
        DetectorConfig(**{"width": D, **wrong})


def full_config(**changes: Any) -> DetectorConfig:
    """Every part switched on, small."""
    parts: dict[str, Any] = {
        "width": D,
        "projection": 16,
        "pruner": PrunerConfig(keep=3, hidden=4),
        "encoder": EncoderConfig(
            width=16, depth=2, heads=4, kv_heads=2, feed_forward=24, positions="alibi"
        ),
        "fusion": "gated",
        "head": (12, 8),
        "metadata": MetadataConfig(position=8, weather=4, daytime=4, scene=4, text=0),
        "masks": MaskHeadConfig(width=D, hidden=8, stride=16),
    }
    return DetectorConfig(**{**parts, **changes})


def whole(**changes: Any) -> Detector:
    """In evaluation mode, float64, every weight mattering."""
    torch.manual_seed(5)
    detector = Detector(full_config(**changes))
    for parameter in detector.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    detector.fit_scaler(made_features(50))
    return detector.double().eval()


def made_boxes(rows: int = B, views: int = V) -> torch.Tensor:
    random = torch.Generator().manual_seed(4)
    corner = torch.rand(rows, views, 2, generator=random, dtype=torch.float64) * 0.5
    return torch.cat([corner, corner + 0.4], dim=-1)


def made_ids(rows: int = B, views: int = V) -> torch.Tensor:
    return torch.arange(views).expand(rows, views)


@pytest.mark.parametrize("positions", ["none", "learned", "rope", "alibi"])
@pytest.mark.parametrize("experts", [0, 2])
def test_views_with_their_ids_and_boxes_are_a_set(positions: str, experts: int) -> None:
    encoder = EncoderConfig(
        width=16,
        depth=2,
        heads=4,
        kv_heads=2,
        feed_forward=24,
        experts=experts,
        expert_width=12,
        positions=positions,  # type: ignore[arg-type]
    )
    detector, features, boxes = whole(encoder=encoder), made_features().double(), made_boxes()
    order = torch.tensor([2, 0, 3, 1])
    plain = detector(features, boxes=boxes, view_ids=made_ids())
    shuffled = detector(features[:, order], boxes=boxes[:, order], view_ids=made_ids()[:, order])
    torch.testing.assert_close(shuffled.logits, plain.logits)
    torch.testing.assert_close(shuffled.view_weights, plain.view_weights[:, order])
    assert not torch.allclose(plain.logits[0], plain.logits[1])


def test_five_of_twelve_views_masked_is_the_other_seven_alone() -> None:
    detector = whole(pruner=PrunerConfig(keep=8, hidden=4))
    random = torch.Generator().manual_seed(9)
    features = torch.randn(2, 12, D, generator=random, dtype=torch.float64)
    boxes, ids = made_boxes(2, 12), made_ids(2, 12)
    there = torch.ones(12, dtype=torch.bool)
    there[[1, 4, 5, 9, 11]] = False
    masked = detector(features, boxes=boxes, view_ids=ids, view_mask=there.expand(2, 12))
    alone = detector(features[:, there], boxes=boxes[:, there], view_ids=ids[:, there])
    torch.testing.assert_close(masked.logits, alone.logits)
    torch.testing.assert_close(masked.view_weights[:, there], alone.view_weights)
    assert (masked.view_weights[:, ~there] == 0).all()


def test_nothing_pruned_is_no_pruner() -> None:
    pruning, plain = whole(pruner=PrunerConfig(keep=V, hidden=4)), whole(pruner=None)
    plain.load_state_dict(
        {k: v for k, v in pruning.state_dict().items() if not k.startswith("pruner")}
    )
    features, boxes = made_features().double(), made_boxes()
    torch.testing.assert_close(
        pruning(features, boxes=boxes).logits, plain(features, boxes=boxes).logits
    )


def test_pruned_views_weigh_nothing() -> None:
    output = whole()(made_features().double(), boxes=made_boxes())
    assert ((output.view_weights == 0).sum(dim=1) == V - 3).all()
    torch.testing.assert_close(output.view_weights.sum(1), torch.ones(B, dtype=torch.float64))
    assert output.view_scores is not None and output.view_scores.shape == (B, V)


def test_all_metadata_missing_is_the_image_only_path() -> None:
    detector, features, boxes = whole(), made_features().double(), made_boxes()
    config = detector.config.metadata
    assert config is not None
    nothing = no_metadata(B, config)
    alone = detector(features, boxes=boxes).logits
    torch.testing.assert_close(detector(features, boxes=boxes, metadata=nothing).logits, alone)
    known = dataclasses.replace(nothing, has_position=torch.ones(B, dtype=torch.bool))
    assert not torch.allclose(detector(features, boxes=boxes, metadata=known).logits, alone)


def test_masks_come_from_the_grid_alone() -> None:
    detector, features, boxes = whole(), made_features().double(), made_boxes()
    assert detector(features, boxes=boxes).masks is None
    grid = torch.randn(B, 6, D, dtype=torch.float64)
    masks = detector(features, boxes=boxes, grid=grid, grid_size=(2, 3)).masks
    assert masks is not None and masks.shape == (B, 6, 8, 12)


def test_every_part_learns() -> None:
    detector = whole().train()
    features, boxes = made_features().double(), made_boxes()
    grid = torch.randn(B, 6, D, dtype=torch.float64)
    output = detector(features, boxes=boxes, grid=grid, grid_size=(2, 3))
    assert output.masks is not None
    (output.logits.square().sum() + output.masks.square().sum()).backward()
    parts = {name.split(".")[0] for name, p in detector.named_parameters() if p.grad is not None}
    assert parts == {"pruner", "projection", "encoder", "fusion", "metadata", "head", "masks"}


def glancing(keep: int) -> tuple[Detector, dict[str, Any]]:
    """A detector with a glance, and what it is given of images with all views."""
    detector = whole(glance=GlanceConfig(keep=keep, width=D), masks=None, pruner=None)
    assert detector.glance is not None
    detector.glance.weight.copy_(torch.arange(D) - 1.0)
    grid = torch.randn(B, 6, D, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    given = {"boxes": made_boxes(), "view_ids": made_ids(), "grid": grid, "grid_size": (2, 3)}
    return detector, given


def test_views_that_the_glance_leaves_out_do_not_exist() -> None:
    detector, given = glancing(keep=2)
    features = made_features().double()
    output = detector(features, **given)
    assert ((output.view_weights > 0).sum(dim=1) == 2).all()
    assert (output.view_weights[:, 0] > 0).all()  # the global view
    unread = features.masked_fill((output.view_weights == 0)[..., None], 1e6)
    torch.testing.assert_close(detector(unread, **given).logits, output.logits)
    order = torch.tensor([2, 0, 3, 1])
    turned = given | {name: given[name][:, order] for name in ("boxes", "view_ids")}
    torch.testing.assert_close(detector(features[:, order], **turned).logits, output.logits)


def test_a_glance_that_keeps_all_views_is_no_glance() -> None:
    detector, given = glancing(keep=V)
    plain = whole(masks=None, pruner=None)
    features = made_features().double()
    torch.testing.assert_close(
        detector(features, **given).logits, plain(features, boxes=made_boxes()).logits
    )
    alone = detector(features, boxes=made_boxes())  # there is no choice, so no grid is needed
    torch.testing.assert_close(alone.logits, detector(features, **given).logits)


def test_a_glance_without_a_grid_is_refused() -> None:
    detector, given = glancing(keep=2)
    with pytest.raises(UsageError, match="the glance chooses views by the global view's patch"):
        detector(made_features().double(), boxes=given["boxes"])
    small = Detector(DetectorConfig(width=D, glance=GlanceConfig(keep=2, width=D))).double()
    with pytest.raises(UsageError, match="give grid, grid_size and boxes"):
        small(made_features().double(), grid=given["grid"], grid_size=(2, 3))


def test_a_mask_head_beside_leaves_the_random_numbers_alone() -> None:
    """Or dropout would differ, and with it the classifier that is trained."""
    drawn = []
    for masks in (None, MaskHeadConfig(width=D, hidden=8)):
        torch.manual_seed(0)
        Detector(full_config(masks=masks))
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


def with_canvas() -> tuple[Detector, dict[str, Any]]:
    masks = MaskHeadConfig(width=D, hidden=8, stride=8, canvas=5)
    detector = whole(masks=masks, mask_evidence=True, pruner=None)
    random = torch.Generator().manual_seed(8)
    grid = torch.randn(B, V, 6, D, generator=random, dtype=torch.float64)
    given = {"boxes": made_boxes(), "view_ids": made_ids(), "grid": grid}
    return detector, given | {"features": made_features().double()}


def test_masks_on_a_canvas_see_the_grids_of_all_views() -> None:
    detector, given = with_canvas()
    output = detector(**given, grid_size=(2, 3))
    assert output.masks is not None and output.masks.shape == (B, 6, 10, 10)
    placed = place_grids(given["grid"], given["boxes"], grid_size=(2, 3), shape=(5, 5))
    torch.testing.assert_close(output.masks, detector.masks(placed, (5, 5)))
    order = torch.tensor([2, 0, 3, 1])
    turned = {name: value[:, order] for name, value in given.items()}
    torch.testing.assert_close(detector(**turned, grid_size=(2, 3)).logits, output.logits)
    mask = torch.tensor([True, False, True, True]).expand(B, V)
    some = {name: value[:, mask[0]] for name, value in given.items()}
    torch.testing.assert_close(
        detector(**given, grid_size=(2, 3), view_mask=mask).logits,
        detector(**some, grid_size=(2, 3)).logits,
    )


def test_a_canvas_needs_boxes_and_every_view() -> None:
    detector, given = with_canvas()
    plain = dataclasses.replace(detector.config, encoder=EncoderConfig(width=16, depth=0))
    with pytest.raises(UsageError, match=r"masks.canvas places grids by the boxes of the views"):
        Detector(plain).double()(given["features"], grid=given["grid"], grid_size=(2, 3))
    with pytest.raises(UsageError, match="the glance leaves most unread: glance: null, or masks"):
        dataclasses.replace(plain, glance=GlanceConfig(keep=2, width=D))


def test_the_head_is_told_the_highest_mask_logits_over_their_prior() -> None:
    torch.manual_seed(1)
    config = DetectorConfig(
        width=D, masks=MaskHeadConfig(width=D, hidden=8, stride=8), mask_evidence=True
    )
    detector = Detector(config).eval()
    features, grid = made_features(), torch.randn(B, 6, D)
    last = detector.head[-1]
    assert isinstance(last, torch.nn.Linear) and last.in_features == 2 * D + 6
    torch.nn.init.zeros_(last.weight)
    last.weight.data[1, 2 * D + 3] = 1.0
    output = detector(features, grid=grid, grid_size=(2, 3))
    assert output.masks is not None
    prior = math.log(0.01 / 0.99)
    expected = output.masks[:, 3].flatten(1).max(dim=1).values - prior
    torch.testing.assert_close(output.logits[:, 1], expected)
    with pytest.raises(UsageError, match="mask_evidence needs the grid"):
        detector(features)
    with pytest.raises(UsageError, match="mask_evidence: true needs masks"):
        DetectorConfig(width=D, mask_evidence=True)


def test_second_derivatives_work_with_the_math_kernel() -> None:
    detector = whole()
    features = made_features(2).double().requires_grad_()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        value = detector(features, boxes=made_boxes(2)).logits[:, 1].sum()
        (first,) = torch.autograd.grad(value, features, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), features)
    assert second.isfinite().all() and second.abs().sum() > 0


def test_one_graph_for_a_fixed_shape() -> None:
    detector, features, boxes = whole(), made_features().double(), made_boxes()
    compiled = torch.compile(
        lambda f, b: detector(f, boxes=b).logits, fullgraph=True, backend="aot_eager"
    )
    with torch.no_grad():
        torch.testing.assert_close(
            compiled(features, boxes), detector(features, boxes=boxes).logits
        )


def test_one_graph_with_a_glance() -> None:
    detector, given = glancing(keep=2)
    features = made_features().double()
    size = given.pop("grid_size")
    compiled = torch.compile(
        lambda f, given: detector(f, grid_size=size, **given).logits,
        fullgraph=True,
        backend="aot_eager",
    )
    with torch.no_grad():
        expected = detector(features, grid_size=size, **given).logits
        torch.testing.assert_close(compiled(features, given), expected)


def test_bfloat16_stays_close() -> None:
    detector, features, boxes = whole(), made_features(), made_boxes()
    exact = torch.softmax(detector(features.double(), boxes=boxes).logits, 1)
    rounded = detector.to(torch.bfloat16)(features.bfloat16(), boxes=boxes.bfloat16()).logits
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(torch.softmax(rounded.double(), 1), exact, atol=0.1, rtol=0)


def test_alibi_without_boxes_is_refused() -> None:
    with pytest.raises(UsageError, match="needs the boxes of the views"):
        whole()(made_features().double())


def test_an_encoder_of_another_width_is_refused() -> None:
    with pytest.raises(UsageError, match=r"encoder.width=16 must be the width of the tokens, 32"):
        full_config(projection=32)
