from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workzone.errors import UsageError
from workzone.features.tiles import keep_highest
from workzone.model.views.config import PrunerConfig
from workzone.model.views.pruning import ViewPruner

B, V, D, KEEP = 3, 6, 5, 4


def made(keep: int = KEEP, *, trained: bool = True, **config: object) -> ViewPruner:
    torch.manual_seed(0)
    pruner = ViewPruner(width=D, config=PrunerConfig(keep=keep, hidden=7, **config)).double()
    if trained:
        torch.nn.init.normal_(pruner.scorer[-1].weight)
    return pruner.eval()


def inputs(views: int = V) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return {
        "features": torch.randn(B, views, D, generator=random, dtype=torch.float64),
        "view_ids": torch.arange(views).expand(B, views),
        "boxes": torch.rand(B, views, 4, generator=random),
    }


def slow_score(pruner: ViewPruner, view: list[float]) -> float:
    _, hidden, _, score = pruner.scorer
    mean = sum(view) / D
    spread = math.sqrt(sum((x - mean) ** 2 for x in view) / D + 1e-5)
    normed = [(x - mean) / spread for x in view]
    total = 0.0
    for row, bias, weight in zip(
        hidden.weight.tolist(), hidden.bias.tolist(), score.weight[0].tolist(), strict=True
    ):
        unit = bias + sum(w * x for w, x in zip(row, normed, strict=True))
        total += weight * unit / (1 + math.exp(-unit))
    return total


@pytest.mark.parametrize("hold_global", [True, False])
def test_it_keeps_the_views_of_a_slow_reference(hold_global: bool) -> None:
    pruner = made(hold_global=hold_global)
    given_ = inputs()
    mask = torch.ones(B, V, dtype=torch.bool)
    mask[1, 4] = False
    pruned = pruner(**given_, view_mask=mask)
    for row in range(B):
        views = given_["features"][row].tolist()
        scores = [slow_score(pruner, view) for view in views]
        present = [v for v in range(V) if mask[row, v]]
        held = [0] if hold_global else []
        rest = sorted((v for v in present if v not in held), key=lambda v: -scores[v])
        expected = sorted(held + rest[: KEEP - len(held)])
        assert pruned.view_ids[row].tolist() == expected
        assert pruned.mask[row].all()
        torch.testing.assert_close(pruned.boxes[row], given_["boxes"][row, expected])
        for place, view in enumerate(expected):
            gate = 1 if view in held else 2 / (1 + math.exp(-scores[view]))
            assert pruned.tokens[row, place].tolist() == pytest.approx(
                [gate * x for x in views[view]], abs=1e-12
            )
        for view in present:
            assert float(pruned.scores[row, view].detach()) == pytest.approx(scores[view])
    assert pruned.scores[1, 4] == -torch.inf


def test_holding_the_global_view_changes_the_choice() -> None:
    given_ = inputs()
    free = made(hold_global=False)(**given_).view_ids
    held = made(hold_global=True)(**given_).view_ids
    assert not (free == 0).any(1).all()
    assert (held == 0).any(1).all()


@pytest.mark.parametrize("keep", [V, V + 3])
@pytest.mark.parametrize("training", [True, False])
def test_with_nothing_to_prune_there_is_no_pruner(keep: int, training: bool) -> None:
    given_ = inputs()
    pruned = made(keep).train(training)(**given_)
    assert torch.equal(pruned.tokens, given_["features"])
    assert torch.equal(pruned.view_ids, given_["view_ids"])
    assert torch.equal(pruned.boxes, given_["boxes"])
    assert pruned.mask.all()


def test_untrained_it_keeps_the_lowest_ids_untouched() -> None:
    given_ = inputs()
    pruned = made(trained=False)(**given_)
    assert torch.equal(pruned.view_ids, given_["view_ids"][:, :KEEP])
    assert torch.equal(pruned.tokens, given_["features"][:, :KEEP])


@pytest.mark.parametrize("trained", [True, False])  # untrained: every score is tied
def test_the_order_of_the_views_does_not_matter(trained: bool) -> None:
    pruner, given_ = made(trained=trained), inputs()
    order = torch.tensor([3, 5, 0, 4, 2, 1])
    expected = pruner(**given_)
    pruned = pruner(**{name: value[:, order] for name, value in given_.items()})
    back = pruned.view_ids.argsort(dim=1)
    assert torch.equal(pruned.view_ids.take_along_dim(back, 1), expected.view_ids)
    torch.testing.assert_close(pruned.tokens.take_along_dim(back[..., None], 1), expected.tokens)
    assert torch.equal(pruned.boxes.take_along_dim(back[..., None], 1), expected.boxes)
    for row in range(B):  # kept views stay in the order in which they came
        places = [order.tolist().index(view) for view in pruned.view_ids[row].tolist()]
        assert places == sorted(places)


@pytest.mark.parametrize("present", [(0, 2, 3, 5, 1), (1, 4, 5), (2,)])
def test_masked_views_are_as_good_as_left_out(present: tuple[int, ...]) -> None:
    pruner, given_ = made(), inputs()
    chosen = sorted(present)
    mask = torch.zeros(B, V, dtype=torch.bool)
    mask[:, chosen] = True
    given_["features"][:, ~mask[0]] = torch.nan
    pruned = pruner(**given_, view_mask=mask)
    alone = pruner(**{name: value[:, chosen] for name, value in given_.items()})
    count = min(KEEP, len(chosen))
    assert pruned.tokens.shape == (B, KEEP, D)
    assert (pruned.mask.sum(1) == count).all()
    assert torch.equal(pruned.view_ids[pruned.mask].view(B, -1), alone.view_ids)
    torch.testing.assert_close(pruned.tokens[pruned.mask].view(B, count, D), alone.tokens)
    assert (pruned.tokens[~pruned.mask] == 0).all()


def test_the_scorer_receives_a_gradient_from_the_first_step() -> None:
    pruner, given_ = made(trained=False).train(), inputs()
    pruner(**given_).tokens.square().sum().backward()
    assert pruner.scorer[-1].weight.grad.abs().sum() > 0
    given_["features"][0, 1] = torch.nan  # behind the mask, it must not reach the weights
    mask = torch.ones(B, V, dtype=torch.bool)
    mask[0, 1] = False
    pruner.zero_grad()
    pruner(**given_, view_mask=mask).tokens.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in pruner.parameters())


def test_a_scorer_learns_which_view_matters() -> None:
    random = torch.Generator().manual_seed(3)
    pruner = made(2, trained=False, hold_global=False).train()
    optimizer = torch.optim.Adam(pruner.parameters(), lr=0.03)
    ids = torch.arange(V).expand(64, V)
    boxes = torch.zeros(64, V, 4)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        """One view in each image, anywhere, has a large first channel; the others are noise."""
        features = torch.randn(64, V, D, generator=random, dtype=torch.float64)
        where = torch.randint(V, (64,), generator=random)
        features[torch.arange(64), where, 0] += 6
        return features, where

    torch.manual_seed(4)
    for _ in range(60):
        features, _ = batch()
        kept = pruner(features, view_ids=ids, boxes=boxes).tokens
        loss = -kept[..., 0].mean() + kept[..., 1:].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    features, where = batch()
    kept = pruner.eval()(features, view_ids=ids, boxes=boxes).view_ids
    assert (kept == where[:, None]).any(1).float().mean() > 0.95  # by chance: 2 of 6


def test_in_training_every_view_gets_its_turn_in_proportion() -> None:
    pruner = made(1, trained=False, hold_global=False).train()
    count = 20_000
    features = torch.zeros(count, 3, D, dtype=torch.float64)
    wanted = torch.tensor([0.0, 1.0, 2.0])
    pruner.scorer = torch.nn.Linear(D, 1, bias=False).double()
    torch.nn.init.ones_(pruner.scorer.weight)
    features[..., 0] = wanted
    torch.manual_seed(5)
    ids = torch.arange(3).expand(count, 3)
    kept = pruner(features, view_ids=ids, boxes=torch.zeros(count, 3, 4)).view_ids[:, 0]
    shares = torch.bincount(kept, minlength=3) / count
    torch.testing.assert_close(shares, wanted.softmax(0), atol=0.015, rtol=0)


def test_without_noise_training_chooses_as_evaluation_does() -> None:
    given_ = inputs()
    pruner = made(noise=0.0)
    assert torch.equal(pruner.train()(**given_).tokens, pruner.eval()(**given_).tokens)


def test_gradients_and_second_derivatives_are_right() -> None:
    pruner, given_ = made(), inputs()
    weight = pruner.scorer[-1].weight

    def tokens(features: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
        state = {"scorer.3.weight": score}
        arguments = given_ | {"features": features}
        return torch.func.functional_call(pruner, state, kwargs=arguments, args=()).tokens

    arguments = (given_["features"].requires_grad_(), weight.detach().clone().requires_grad_())
    assert torch.autograd.gradcheck(tokens, arguments)
    assert torch.autograd.gradgradcheck(tokens, arguments)


def test_it_compiles_without_graph_breaks_and_exports() -> None:
    pruner, given_ = made(), inputs()
    expected = pruner(**given_)
    compiled = torch.compile(pruner, fullgraph=True, backend="eager")
    exported = torch.export.export(_Unpacked(pruner), (), given_).module()
    tokens, view_ids = exported(**given_)
    torch.testing.assert_close(tokens, expected.tokens)
    torch.testing.assert_close(compiled(**given_).tokens, expected.tokens)
    assert torch.equal(view_ids, expected.view_ids)
    assert compiled.train()(**given_).tokens.shape == (B, KEEP, D)  # the noise too


class _Unpacked(torch.nn.Module):
    """Export knows tuples, not our dataclass."""

    def __init__(self, pruner: ViewPruner) -> None:
        super().__init__()
        self.pruner = pruner

    def forward(self, **arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pruned = self.pruner(**arguments)
        return pruned.tokens, pruned.view_ids


def test_bfloat16_keeps_its_type() -> None:
    given_ = inputs()
    given_["features"] = given_["features"].bfloat16()
    pruned = made().bfloat16()(**given_)
    assert pruned.tokens.dtype == torch.bfloat16
    assert pruned.boxes.dtype == torch.float32


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 8).flatmap(
        lambda count: st.tuples(
            st.lists(st.sampled_from([-torch.inf, 0.0, 0.5, 2.0]), min_size=count, max_size=count),
            st.permutations(range(count)),
            st.integers(1, count + 2),
        )
    )
)
def test_keep_highest_is_a_stable_sort(case: tuple[list[float], list[int], int]) -> None:
    scores, ids, keep = case
    best = sorted(range(len(scores)), key=lambda place: (-scores[place], ids[place]))[:keep]
    kept = keep_highest(torch.tensor([scores]), keep=keep, view_ids=torch.tensor([ids]))
    assert kept[0].tolist() == sorted(best)


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"hidden": 0}, {"noise": -0.5}])
def test_a_wrong_configuration_is_refused(wrong: dict[str, float]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(UsageError, match=rf"positive.*{name}={value}"):
        PrunerConfig(**wrong)
