"""The loss against sums over single cells; what is not known must not count at all."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workzone.model.masks.loss import cell_weights, mask_loss, mask_loss_sums, mask_overlap

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


def with_gaps(targets: torch.Tensor) -> torch.Tensor:
    """A class unknown in one row, and single cells elsewhere."""
    gaps = targets.clone()
    gaps[0, 2] = gaps[1, 0, 1, 2] = gaps[2, 3, 0, :2] = math.nan
    return gaps


def weight_of(cells: list[list[float]], row: int, column: int) -> float:
    """Of one cell: one over the mean share within four cells of it, first down, then across."""
    height, width = len(cells), len(cells[0])
    rows = range(max(0, row - 4), min(height, row + 5))
    columns = range(max(0, column - 4), min(width, column + 5))
    down = [sum(cells[y][x] for y in rows) / len(rows) for x in columns]
    around = sum(down) / len(columns)
    return 1 + cells[row][column] * (1 / max(around, 1 / 8) - 1)


def slow_reference(logits, targets, rows):
    """One number at a time, from the definitions."""
    cross_entropies, dices = [], []
    for k in range(K):
        total, weight, own = 0.0, 0.0, []
        for b in range(B):
            overlap = squares = highest = 0.0
            cells = targets[b, k].nan_to_num().tolist()
            for y in range(H):
                for x in range(W):
                    t = targets[b, k, y, x].item()
                    if not rows[b] or math.isnan(t):
                        continue
                    p = 1 / (1 + math.exp(-logits[b, k, y, x].item()))
                    w = weight_of(cells, y, x)
                    total -= w * (t * math.log(p) + (1 - t) * math.log(1 - p))
                    weight += w * t + 0.01
                    overlap, squares = overlap + t * p, squares + t * t + p * p
                    highest = max(highest, t)
            if highest > 0:
                own.append(1 - (2 * overlap + 1) / (squares + 1))
        if weight:
            cross_entropies.append(total / weight)
        if own:
            dices.append(sum(own) / len(own))
    return sum(cross_entropies) / len(cross_entropies) + sum(dices) / max(len(dices), 1)


@pytest.mark.parametrize("rows", [ALL, SOME])
@pytest.mark.parametrize("gaps", [False, True])
def test_it_is_weighted_cross_entropy_plus_dice_over_what_is_known(logits, targets, rows, gaps):
    shares = with_gaps(targets) if gaps else targets
    loss = mask_loss(logits, shares, row_mask=rows)
    assert loss.item() == pytest.approx(slow_reference(logits, shares, rows), abs=1e-10)


def test_small_objects_weigh_more_and_nothing_else_does():
    shares = torch.zeros(1, 2, 40, 40)
    shares[0, 0, 5:7, 5:7] = 1  # 2 x 2 cells
    shares[0, 1, 10:30, 10:30] = 1
    weights = cell_weights(shares)
    assert weights[0, 0, 5, 5] == 8
    assert weights[0, 1, 20, 20] == 1
    assert (weights[shares == 0] == 1).all()


def test_a_rare_class_counts_as_much_as_a_common_one():
    """Twice as many cells of a class, equally wrong, change nothing but the floor's part."""
    targets = torch.zeros(1, 2, 64, 64)
    targets[0, 0, :32], targets[0, 1] = 1, 1
    sums = mask_loss_sums(torch.zeros_like(targets), targets, row_mask=ALL[:1])
    mean = sums.cross_entropy / sums.weight
    # of either class, log 2 a cell; the first has as many empty cells again
    expected = [2 * math.log(2) / 1.02, math.log(2) / 1.01]
    torch.testing.assert_close(mean, torch.tensor(expected), rtol=0.04, atol=0)


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_what_is_not_known_changes_neither_loss_nor_gradient(logits, targets):
    targets = with_gaps(targets)
    left_out = targets.isnan() | ~SOME[:, None, None, None]

    def loss_and_gradient(scores, shares):
        scores = scores.clone().requires_grad_()
        loss = mask_loss(scores, shares, row_mask=SOME)
        with torch.autograd.detect_anomaly(check_nan=True):  # none on the way back either
            loss.backward()
        return loss.detach(), scores.grad

    loss, gradient = loss_and_gradient(logits, targets)
    for junk in (7.0, -1e6, torch.inf, torch.nan):
        scores, shares = logits.clone(), targets.clone()
        scores[left_out], shares[~SOME] = junk, junk
        other_loss, other_gradient = loss_and_gradient(scores, shares)
        assert torch.equal(other_loss, loss)
        assert torch.equal(other_gradient, gradient)
    assert (gradient[left_out] == 0).all()
    assert (gradient[~left_out] != 0).all()


@pytest.mark.parametrize(("rows", "junk"), [(torch.zeros(B, dtype=torch.bool), 1), (ALL, math.nan)])
def test_nothing_known_is_zero_with_a_gradient_of_zero(logits, targets, rows, junk):
    scores = logits.clone().requires_grad_()
    loss = mask_loss(scores, targets * junk, row_mask=rows)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_the_loss_is_that_of_the_annotated_rows_alone(logits, targets):
    alone = mask_loss(logits[SOME], targets[SOME], row_mask=SOME[SOME])
    torch.testing.assert_close(mask_loss(logits, targets, row_mask=SOME), alone)


def test_sums_of_batches_are_those_of_all(logits, targets):
    parts = [mask_loss_sums(logits[r], targets[r], row_mask=ALL[r]) for r in ([0], [1, 2])]
    whole = mask_loss(logits, targets, row_mask=ALL)
    torch.testing.assert_close((parts[0] + parts[1]).mean, whole)


def test_a_perfect_answer_costs_nothing():
    targets = torch.zeros(1, 1, 4, 4)
    targets[..., :2] = 1
    sure = 40 * (2 * targets - 1)
    rows = torch.ones(1, dtype=torch.bool)
    assert mask_loss(sure, targets, row_mask=rows) == pytest.approx(0, abs=1e-6)
    assert mask_loss(-sure, targets, row_mask=rows) > 40


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
        return mask_loss(scores, targets, row_mask=SOME)

    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(),))
    assert torch.autograd.gradgradcheck(loss, (logits,))


def test_bfloat16_logits_are_computed_with_in_float32(logits, targets):
    rounded = logits.bfloat16()
    loss = mask_loss(rounded, targets.float(), row_mask=ALL)
    assert loss.dtype == torch.float32
    assert loss.item() == mask_loss(rounded.float(), targets.float(), row_mask=ALL).item()


def test_it_compiles_in_one_graph(logits, targets):
    compiled = torch.compile(mask_loss, fullgraph=True, backend="eager")
    expected = mask_loss(logits, targets, row_mask=SOME)
    actual = compiled(logits, targets, row_mask=SOME)
    torch.testing.assert_close(actual, expected)


def sets_of(cells):
    """The positions of true cells."""
    return {tuple(position) for position in cells.nonzero().tolist()}


@pytest.mark.parametrize("gaps", [False, True])
def test_overlaps_are_those_of_sets_of_cells(logits, targets, gaps):
    targets = with_gaps(targets) if gaps else targets
    logits = logits + 2 * targets.nan_to_num()  # some agreement
    overlap = mask_overlap(logits, targets, row_mask=SOME, threshold=0.6)
    for k in range(K):
        known = ~targets[SOME, k].isnan()
        predicted = sets_of((logits[SOME, k] > math.log(0.6 / 0.4)) & known)
        true = sets_of(targets[SOME, k] >= 0.5)
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
