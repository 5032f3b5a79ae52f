"""The loss against sums over single cells; what is not annotated must not count at all."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workzone.model.masks.loss import annotated, mask_loss, mask_overlap

B, K, H, W = 3, 4, 2, 3


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(B, K, H, W, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture
def targets() -> torch.Tensor:
    """Shares of cells, some cells empty and some whole, and two classes that do not occur."""
    shares = torch.rand(B, K, H, W, generator=torch.Generator().manual_seed(1)).double()
    shares = (2 * shares - 0.5).clamp(0, 1)
    shares[0, 1] = shares[2, 3] = 0
    return shares


ALL = torch.ones(B, dtype=torch.bool)
SOME = torch.tensor([True, False, True])
CLASSES = torch.tensor([[True] * 4, [True, True, False, True], [False, True, True, True]])


def slow_reference(logits, targets, entries):
    """One number at a time, from the definitions."""
    cross_entropies, dices = [], []
    for b, k in entries:
        z = logits[b, k].flatten().tolist()
        t = targets[b, k].flatten().tolist()
        p = [1 / (1 + math.exp(-value)) for value in z]
        cross_entropies.append(
            -sum(a * math.log(q) + (1 - a) * math.log(1 - q) for a, q in zip(t, p, strict=True))
            / len(t)
        )
        if any(t):
            overlap = sum(a * q for a, q in zip(t, p, strict=True))
            squares = sum(a * a + q * q for a, q in zip(t, p, strict=True))
            dices.append(1 - (2 * overlap + 1) / (squares + 1))
    return sum(cross_entropies) / len(cross_entropies) + sum(dices) / max(len(dices), 1)


@pytest.mark.parametrize("rows", [ALL, SOME])
@pytest.mark.parametrize("classes", [None, CLASSES])
def test_it_is_cross_entropy_plus_dice_over_what_is_annotated(logits, targets, rows, classes):
    entries = [
        (b, k) for b in range(B) for k in range(K) if rows[b] and (classes is None or classes[b, k])
    ]
    loss = mask_loss(logits, targets, row_mask=rows, class_mask=classes)
    assert loss.item() == pytest.approx(slow_reference(logits, targets, entries), abs=1e-12)
    found = annotated(rows, classes, classes=K).nonzero().tolist()
    assert found == [list(entry) for entry in entries]


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_what_is_not_annotated_changes_neither_loss_nor_gradient(logits, targets):
    def loss_and_gradient(scores, shares):
        scores = scores.clone().requires_grad_()
        loss = mask_loss(scores, shares, row_mask=SOME, class_mask=CLASSES)
        with torch.autograd.detect_anomaly(check_nan=True):  # none on the way back either
            loss.backward()
        return loss.detach(), scores.grad

    left_out = ~annotated(SOME, CLASSES, classes=K)
    loss, gradient = loss_and_gradient(logits, targets)
    for junk in (7.0, -1e6, torch.inf, torch.nan):
        scores, shares = logits.clone(), targets.clone()
        scores[left_out], shares[left_out] = junk, junk
        other_loss, other_gradient = loss_and_gradient(scores, shares)
        assert torch.equal(other_loss, loss)
        assert torch.equal(other_gradient, gradient)
    assert (gradient[left_out] == 0).all()
    assert (gradient[~left_out] != 0).all()


@pytest.mark.parametrize(
    ("rows", "classes"),
    [(torch.zeros(B, dtype=torch.bool), None), (ALL, torch.zeros(B, K, dtype=torch.bool))],
)
def test_nothing_annotated_is_zero_with_a_gradient_of_zero(logits, targets, rows, classes):
    scores = logits.clone().requires_grad_()
    loss = mask_loss(scores, targets * torch.nan, row_mask=rows, class_mask=classes)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_the_loss_is_that_of_the_annotated_rows_alone(logits, targets):
    alone = mask_loss(logits[SOME], targets[SOME], row_mask=SOME[SOME])
    assert torch.equal(mask_loss(logits, targets, row_mask=SOME), alone)


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much():
    targets = torch.zeros(1, 1, 4, 4)
    targets[..., :2] = 1
    sure = 40 * (2 * targets - 1)
    rows = torch.ones(1, dtype=torch.bool)
    assert mask_loss(sure, targets, row_mask=rows) == pytest.approx(0, abs=1e-6)
    # cross-entropy 40 a cell; Dice 1 - (0 + 1) / (8 + 8 + 1)
    assert mask_loss(-sure, targets, row_mask=rows) == pytest.approx(40 + 16 / 17, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.05, 0.95), min_size=6, max_size=6), st.integers(0, 99))
def test_it_is_least_where_probabilities_are_the_shares(shares, seed):
    targets = torch.tensor(shares, dtype=torch.float64).view(1, 1, 2, 3)
    rows = torch.ones(1, dtype=torch.bool)
    best = torch.logit(targets).requires_grad_()
    loss = mask_loss(best, targets, row_mask=rows)
    loss.backward()
    torch.testing.assert_close(best.grad, torch.zeros_like(targets), atol=1e-9, rtol=0)
    step = torch.randn(1, 1, 2, 3, generator=torch.Generator().manual_seed(seed)).double()
    assert mask_loss(best.detach() + step, targets, row_mask=rows) > loss


def test_first_and_second_derivatives(logits, targets):
    def loss(scores):
        return mask_loss(scores, targets, row_mask=SOME, class_mask=CLASSES)

    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(),))
    assert torch.autograd.gradgradcheck(loss, (logits,))


def test_bfloat16_logits_are_computed_with_in_float32(logits, targets):
    rounded = logits.bfloat16()
    loss = mask_loss(rounded, targets.float(), row_mask=ALL)
    assert loss.dtype == torch.float32
    assert loss.item() == mask_loss(rounded.float(), targets.float(), row_mask=ALL).item()


def test_it_compiles_in_one_graph(logits, targets):
    compiled = torch.compile(mask_loss, fullgraph=True, backend="eager")
    expected = mask_loss(logits, targets, row_mask=SOME, class_mask=CLASSES)
    actual = compiled(logits, targets, row_mask=SOME, class_mask=CLASSES)
    torch.testing.assert_close(actual, expected)


def sets_of(cells):
    """The positions of true cells."""
    return {tuple(position) for position in cells.nonzero().tolist()}


@pytest.mark.parametrize("classes", [None, CLASSES])
def test_overlaps_are_those_of_sets_of_cells(logits, targets, classes):
    logits = logits + 2 * targets  # some agreement
    overlap = mask_overlap(logits, targets, row_mask=SOME, class_mask=classes, threshold=0.6)
    for k in range(K):
        rows = [b for b in range(B) if SOME[b] and (classes is None or classes[b, k])]
        predicted = sets_of(logits[rows, k] > math.log(0.6 / 0.4))
        true = sets_of(targets[rows, k] >= 0.5)
        both, either = len(predicted & true), len(predicted | true)
        assert overlap.iou[k].item() == pytest.approx(both / either)
        dice = 2 * both / (len(predicted) + len(true))
        assert overlap.dice[k].item() == pytest.approx(dice)
    assert ((overlap.iou > 0) & (overlap.iou < 1)).sum() >= 2


def test_batches_add_up(logits, targets):
    whole = mask_overlap(logits, targets, row_mask=ALL)
    parts = mask_overlap(logits[:1], targets[:1], row_mask=ALL[:1]) + mask_overlap(
        logits[1:], targets[1:], row_mask=ALL[1:]
    )
    assert torch.equal(parts.iou, whole.iou)
    assert torch.equal(parts.dice, whole.dice)


def test_a_class_that_is_neither_predicted_nor_true_has_no_score(logits, targets):
    logits[:, 2], targets[:, 2] = -5, 0
    overlap = mask_overlap(logits, targets, row_mask=ALL)
    assert overlap.iou.isnan().tolist() == [False, False, True, False]
    assert overlap.dice.isnan().tolist() == [False, False, True, False]


def test_perfect_masks_score_one(targets):
    overlap = mask_overlap(100 * (targets - 0.499), targets, row_mask=ALL)
    assert overlap.iou.tolist() == overlap.dice.tolist() == [1.0] * K
