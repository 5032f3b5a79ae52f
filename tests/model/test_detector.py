from __future__ import annotations

from typing import Any

import pytest
import safetensors.torch
import torch

from workzone.errors import UsageError
from workzone.model.detector import Detector, DetectorConfig

B, V, D = 6, 4, 5


def made_features(rows: int = B) -> torch.Tensor:
    """Far from standard: every dimension has another mean and another spread."""
    noise = torch.randn(rows, V, D, generator=torch.Generator().manual_seed(2))
    return noise * torch.tensor([0.1, 1.0, 5.0, 20.0, 100.0]) + torch.arange(D) * 10


def trained(dropout: float = 0.0) -> Detector:
    """A detector in evaluation mode whose every weight matters."""
    torch.manual_seed(3)
    detector = Detector(DetectorConfig(width=D, hidden=3, dropout=dropout))
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
    pooled, weights = detector.pooling(views)
    expected = []
    for row in range(B):
        largest = torch.stack([max(views[row, :, d]) for d in range(D)])
        largest = (largest - detector.maximum_mean) / detector.maximum_scale
        both = torch.cat([pooled[row], largest])
        expected.append(detector.classifier.weight @ both + detector.classifier.bias)
    output = detector(features)
    torch.testing.assert_close(output.logits, torch.stack(expected))
    torch.testing.assert_close(output.view_weights, weights)


def test_masked_views_are_as_good_as_left_out() -> None:
    detector, features = trained(), made_features()
    features[:, 2] = 1e4  # would win every maximum
    mask = torch.tensor([True, True, False, True])
    masked = detector(features, mask.expand(B, V))
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
    maxima = (views.amax(1) - detector.maximum_mean) / detector.maximum_scale
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


@pytest.mark.parametrize("wrong", [{"width": 0}, {"hidden": 0}, {"dropout": 1.0}])
def test_wrong_shapes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="width and hidden are positive, dropout is in"):
        DetectorConfig(**{"width": D, **wrong})
