from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workzone.errors import UsageError
from workzone.model.inputs import DetectorInput
from workzone.train.feed.augment import AugmentConfig, augment_batch
from workzone.train.losses import classification_loss

B, V, D = 40, 12, 3
IDS = [f"image {number}" for number in range(B)]
WEIGHTS = torch.tensor([0.6, 3.0])


@pytest.fixture
def given() -> DetectorInput:
    """Every feature tells its image and its view: 100 image + view."""
    image, view = torch.meshgrid(torch.arange(B), torch.arange(V), indexing="ij")
    features = (100.0 * image + view)[..., None].expand(B, V, D).clone()
    return DetectorInput(features=features, boxes=torch.rand(B, V, 4), grid=torch.rand(B, 4, 5))


@pytest.fixture
def targets() -> torch.Tensor:
    return F.one_hot(torch.arange(B) % 2, 2).float()


def run(given, targets, ids=IDS, seed=0, epoch=0, **settings):
    config = AugmentConfig(**settings)
    return augment_batch(given, targets, config=config, ids=ids, seed=seed, epoch=epoch)


def test_with_everything_off_the_batch_itself_comes_back(given, targets):
    result, same = run(given, targets, label_smoothing=0.1, focal=2.0)
    assert result is given
    assert same is targets


@pytest.mark.parametrize("setting", ["view_dropout", "mixup", "cutmix"])
def test_the_batch_that_was_given_is_not_touched(given, targets, setting):
    before, labels = given.features.clone(), targets.clone()
    result, _ = run(given, targets, **{setting: 0.5})
    assert torch.equal(given.features, before)
    assert torch.equal(targets, labels)
    assert given.view_mask is None
    for name in ("boxes", "grid", "metadata", "view_ids"):
        assert getattr(result, name) is getattr(given, name)


@pytest.mark.parametrize(
    "settings",
    [{"view_dropout": 0.5}, {"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}],
    ids=str,
)
def test_the_order_of_the_batch_and_other_draws_change_nothing(given, targets, settings):
    whole, soft = run(given, targets, **settings)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    again, shuffled = run(given[order], targets[order], [IDS[i] for i in order], **settings)
    assert torch.equal(again.features, whole.features[order])
    assert torch.equal(shuffled, soft[order])
    if whole.view_mask is not None:
        assert torch.equal(again.view_mask, whole.view_mask[order])


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}], ids=str)
@pytest.mark.parametrize("settings", [{"view_dropout": 0.5}, {"mixup": 1.0}], ids=str)
def test_seed_and_epoch_each_change_the_draw(given, targets, settings, other):
    first, _ = run(given, targets, **settings)
    second, _ = run(given, targets, **settings, **other)
    if "mixup" in settings:
        assert not torch.equal(first.features, second.features)
    else:
        assert not torch.equal(first.view_mask, second.view_mask)


def test_hidden_views_of_an_image_do_not_depend_on_the_batch(given, targets):
    whole, _ = run(given, targets, view_dropout=0.5)
    half, _ = run(given[:7], targets[:7], IDS[:7], view_dropout=0.5)
    assert torch.equal(half.view_mask, whole.view_mask[:7])


def test_views_are_hidden_as_often_as_asked_and_the_first_never(given, targets):
    hidden = torch.stack(
        [~run(given, targets, epoch=epoch, view_dropout=0.25)[0].view_mask for epoch in range(50)]
    ).float()
    assert float(hidden[..., 0].sum()) == 0
    of_views = hidden[..., 1:].mean(dim=(0, 1))  # 2,000 draws each
    assert bool(((of_views - 0.25).abs() < 0.04).all())


def test_a_view_is_left_even_where_all_are_hidden(given, targets):
    exists = torch.rand(B, V, generator=torch.Generator().manual_seed(0)) < 0.3
    exists[:, -1] = True
    result, _ = run(dataclasses.replace(given, view_mask=exists), targets, view_dropout=1.0)
    first = [row.index(True) for row in exists.tolist()]
    assert torch.equal(result.view_mask, F.one_hot(torch.tensor(first), V).bool())


def mean_number(result: DetectorInput, image: int) -> float:
    """Of a mixture of two images, views with their like: the mean of their numbers, by shares."""
    values = result.features[image, :, 0]
    assert torch.allclose(values.diff(), torch.ones(V - 1), atol=1e-3)
    return float(values[0]) / 100


def test_mixup_averages_an_image_and_its_partner_and_their_targets(given, targets):
    result, soft = run(given, targets, mixup=1.0)
    own, partners = [], []
    for image in range(B):
        position = mean_number(result, image)
        share = float(soft[image, image % 2])
        if share < 1:  # the partner is of the other class: its number follows from the share
            partner = (position - share * image) / (1 - share)
            assert partner == pytest.approx(round(partner), abs=0.02)
            assert round(partner) % 2 != image % 2
            partners.append(round(partner))
            own.append(share)
    assert len(set(partners)) == len(partners) >= 10
    assert min(own) >= 0.5
    assert torch.allclose(soft.sum(dim=1), torch.ones(B))


def test_mixup_shares_follow_the_beta_distribution(given):
    # One image has the target 1, so every batch tells one share, and that of its partner.
    shares = []
    for epoch in range(400):
        targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        _, soft = run(given[:2], targets, IDS[:2], epoch=epoch, mixup=0.4)
        shares += [float(soft[0, 1]), float(soft[1, 0])]
    drawn = np.random.default_rng(0).beta(0.4, 0.4, 100_000)
    expected = np.maximum(drawn, 1 - drawn)
    for quantile in (0.25, 0.5, 0.75):
        assert np.quantile(shares, quantile) == pytest.approx(
            np.quantile(expected, quantile), abs=0.04
        )
    assert min(shares) >= 0.5


def test_cutmix_takes_whole_views_of_one_partner_and_the_target_by_their_share(given, targets):
    result, soft = run(given, targets, cutmix=1.0)
    counts = []
    for image in range(B):
        values = result.features[image, :, 0]
        assert torch.equal(values % 100, torch.arange(V).float())  # each view in its place
        owners = (values // 100).int().tolist()
        assert owners[0] == image
        others = {owner for owner in owners if owner != image}
        assert len(others) <= 1
        taken = V - owners.count(image)
        counts.append(taken)
        expected = targets[image] * (V - taken) / V
        for other in others:
            expected = expected + targets[other] * taken / V
        assert torch.allclose(soft[image], expected)
    assert max(counts) <= V / 2
    assert len(set(counts)) > 3


def test_views_that_do_not_exist_in_the_partner_do_not_exist_after_cutmix(given, targets):
    exists = torch.ones(B, V, dtype=torch.bool)
    exists[1::2, 6:] = False
    result, _ = run(dataclasses.replace(given, view_mask=exists), targets, cutmix=1.0)
    owners = (result.features[..., 0] // 100).long()
    expected = exists[owners, torch.arange(V).expand(B, V)]
    assert torch.equal(result.view_mask, expected)
    assert not torch.equal(expected, exists)


def test_with_both_on_each_image_is_mixed_by_one_of_them(given, targets):
    result, _ = run(given, targets, mixup=1.0, cutmix=1.0)
    fractions = result.features[:, 1:, 0] - torch.arange(1, V)
    whole = (fractions / 100 - (fractions / 100).round()).abs().amax(dim=1) < 1e-4
    assert 8 <= int(whole.sum()) <= 32  # cutmix leaves whole numbers


def test_one_image_alone_is_its_own_partner(given, targets):
    result, soft = run(given[:1], targets[:1], IDS[:1], mixup=1.0)
    assert torch.allclose(result.features, given.features[:1])
    assert torch.allclose(soft, targets[:1])


@pytest.mark.parametrize(
    ("name", "value"),
    [("view_dropout", 1.2), ("mixup", -1.0), ("cutmix", float("nan")), ("label_smoothing", 1.0)],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(UsageError, match=rf"augment: {name}={value}, allowed: 0.0 to"):
        AugmentConfig(**{name: value})


# The loss


def logits_and_labels(dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(64, 2, generator=generator, dtype=dtype) * 4
    return logits, torch.randint(2, (64,), generator=generator)


def test_with_everything_off_loss_and_gradient_are_bit_equal_to_cross_entropy():
    logits, labels = logits_and_labels()
    old = logits.clone().requires_grad_()
    losses = F.cross_entropy(old, labels, reduction="none")
    (before := (losses * WEIGHTS[labels]).mean()).backward()
    new = logits.clone().requires_grad_()
    one_hot = F.one_hot(labels, 2).float()
    (after := classification_loss(new, one_hot, WEIGHTS, AugmentConfig()).mean()).backward()
    assert torch.equal(after, before)
    assert torch.equal(new.grad, old.grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_soft_targets_are_those_of_torch(smoothing):
    logits, _ = logits_and_labels()
    share = torch.rand(64, generator=torch.Generator().manual_seed(1))
    soft = torch.stack([share, 1 - share], dim=1)
    expected = F.cross_entropy(logits, soft, weight=WEIGHTS, label_smoothing=smoothing)
    config = AugmentConfig(label_smoothing=smoothing)
    assert torch.allclose(classification_loss(logits, soft, WEIGHTS, config).mean(), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_focal_loss_is_the_papers(gamma):
    logits, labels = logits_and_labels(torch.float64)
    expected = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        p = float(np.exp(row[label]) / np.exp(row).sum())
        expected -= (1 - p) ** gamma * np.log(p) * float(WEIGHTS[label])
    one_hot = F.one_hot(labels, 2).double()
    loss = classification_loss(logits, one_hot, WEIGHTS.double(), AugmentConfig(focal=gamma)).mean()
    assert float(loss) == pytest.approx(expected / 64, rel=1e-9)


def test_gradients_stay_finite_however_sure_the_detector_is():
    for gamma, size in itertools.product((0.0, 0.5, 2.0), (0.0, 30.0, 1e4)):
        logits = torch.tensor([[size, -size], [-size, size]], requires_grad=True)
        targets = torch.tensor([[1.0, 0.0], [0.3, 0.7]])
        config = AugmentConfig(focal=gamma, label_smoothing=0.1)
        classification_loss(logits, targets, WEIGHTS, config).mean().backward()
        assert bool(torch.isfinite(logits.grad).all())
