from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import sys
from typing import Any

import pytest
import torch
from torch import nn

from workzone.config import from_mapping
from workzone.errors import MissingExtraError, TrainingError, UsageError
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.dense import DenseDetector
from workzone.model.detector import Detector
from workzone.model.encoder.config import EncoderConfig
from workzone.model.metadata.config import MetadataConfig
from workzone.model.metadata.encoder import CategoryTable
from workzone.model.presets import preset
from workzone.model.views.config import PrunerConfig
from workzone.train.optim import optimizers
from workzone.train.optim.optimizers import (
    OptimizerConfig,
    differentiable_twice,
    evaluation_weights,
    make_optimizer,
    parameters_by_role,
    set_learning_rate,
)
from workzone.train.optim.schedules import ScheduleConfig

NAMES = ("adamw", "sophia", "muon", "lion", "schedulefree", "sgd")
B, V, D = 8, 4, 24


def small_detector() -> Detector:
    """Every kind of parameter there is, small; not at its zeros, where gradients are nothing."""
    torch.manual_seed(0)
    detector = Detector(
        DetectorConfig(
            width=D,
            projection=32,
            pruner=PrunerConfig(keep=3),
            encoder=EncoderConfig(
                **{"width": 32, "depth": 1, "heads": 4, "kv_heads": 2, "feed_forward": 64},
                **{"experts": 4, "expert_width": 32, "experts_per_token": 2, "gate": "element"},
                positions="learned",
            ),
            fusion="gated",
            metadata=MetadataConfig(weather_values=("rain", "sun")),
            head=(16,),
        )
    )
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return detector


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    labels = torch.arange(B) % 2
    return torch.randn(B, V, D, generator=random) + labels[:, None, None], labels


def steps(
    detector: Detector, optimizer: torch.optim.Optimizer, config: OptimizerConfig, *numbers: int
) -> list[float]:
    features, labels = batch()
    losses = []
    for number in numbers:
        second = config.needs_second_derivatives(number)
        torch.manual_seed(number)  # of the pruner's and of Sophia's noise
        optimizer.zero_grad()
        with differentiable_twice() if second else contextlib.nullcontext():
            output = detector(features)
            loss = nn.functional.cross_entropy(output.logits, labels)
            loss.backward(create_graph=second)
        optimizer.step()
        losses.append(float(loss.detach()))
    optimizer.zero_grad()
    return losses


# The groups.


def names_by_role(module: nn.Module) -> dict[str, str]:
    return {n: role for role, found in parameters_by_role(module).items() for n, _ in found}


def test_roles_of_the_reference_with_experts():
    with torch.device("meta"):
        detector = Detector(preset("huge-moe").detector)
    roles = names_by_role(detector)
    assert roles.keys() == dict(detector.named_parameters()).keys()
    for name, parameter in detector.named_parameters():
        if parameter.ndim < 2 or "norm" in name or "missing" in name or "tables" in name:
            assert roles[name] == "spared", name
    block = "encoder.blocks.3."
    expected = {
        "projection.weight": "hidden",
        "pruner.scorer.1.weight": "hidden",
        "pruner.scorer.3.weight": "spared",  # a score vector
        block + "attention.q_proj.weight": "hidden",
        block + "attention.q_norm.weight": "spared",
        block + "feed_forward.router.weight": "weight",  # four rows
        block + "feed_forward.experts.2.down_proj.weight": "hidden",
        "fusion.gate_weight": "weight",  # matrices of the heads, stacked
        "fusion.gate_bias": "spared",  # two dimensions, but biases
        "fusion.score_weight": "spared",  # two dimensions, but vectors
        "metadata.missing.text": "spared",
        "metadata.tables.weather.known": "spared",
        "metadata.position.project.weight": "hidden",
        "masks.mix.depthwise.weight": "weight",
        "masks.classifier.weight": "weight",
        "head.1.weight": "hidden",
        "head.7.weight": "weight",  # the classifier
        "head.7.bias": "spared",
    }
    assert {name: roles[name] for name in expected} == expected


def test_roles_of_the_small_detector():
    with torch.device("meta"):
        roles = names_by_role(Detector(preset("lite").detector))
    attention = "fusion.attention."
    assert roles == {
        attention + "project.weight": "hidden",
        attention + "project.bias": "spared",
        attention + "gate.weight": "hidden",
        attention + "gate.bias": "spared",
        attention + "score.weight": "spared",
        "head.1.weight": "weight",
        "head.1.bias": "spared",
    }


def test_embeddings_categories_and_frozen_parameters():
    module = nn.ModuleDict(
        {
            "learned": nn.Embedding(64, 32),
            "table": CategoryTable(categories=20, width=32),
            "frozen": nn.Linear(32, 32).requires_grad_(False),
        }
    )
    assert set(names_by_role(module).values()) == {"spared"}
    assert not any("frozen" in name for name in names_by_role(module))


def test_nothing_to_train():
    with pytest.raises(TrainingError, match="no parameter is trainable"):
        make_optimizer(nn.Linear(2, 2).requires_grad_(False), OptimizerConfig())


@pytest.mark.parametrize("name", NAMES)
def test_without_a_gradient_decay_alone_moves_what_is_to_be_decayed(name):
    detector, rate, decay = small_detector(), 0.01, 0.5
    before = {n: p.detach().clone() for n, p in detector.named_parameters()}
    config = OptimizerConfig(name=name, learning_rate=rate, weight_decay=decay)
    optimizer = make_optimizer(detector, config)
    for parameter in detector.parameters():  # zero, but with a graph, for Sophia's Hessian
        parameter.grad = parameter * 0
    optimizer.step()
    shrunk = 1 - rate * decay
    if name == "sgd":  # the penalty is part of the gradient: with Nesterov's momentum, 1.9 of it
        shrunk = 1 - rate * decay * 1.9
    for role, found in parameters_by_role(detector).items():
        for parameter_name, parameter in found:
            expected = before[parameter_name] * (1 if role == "spared" else shrunk)
            torch.testing.assert_close(parameter.detach(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_every_trainable_parameter_is_in_one_group(name):
    detector = small_detector()
    optimizer = make_optimizer(detector, OptimizerConfig(name=name))
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in detector.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_pretrained_tail_learns_more_slowly(name):
    cells = CellHeadConfig(width=192, tail=True, hidden=0)
    detector = DenseDetector(DetectorConfig(width=4, cells=cells))
    config = OptimizerConfig(name=name, learning_rate=1e-3, tail_rate=0.25)
    optimizer = make_optimizer(detector, config)
    tail = {id(p) for p in detector.cells.tail.parameters()}
    rates = {True: set(), False: set()}
    for group in optimizer.param_groups:
        assert group["initial_lr"] == group["lr"]
        for parameter in group["params"]:
            rates[id(parameter) in tail].add(group["lr"])
    assert len(rates[True]) == len(rates[False]) == 1
    assert rates[True].pop() == pytest.approx(0.25 * rates[False].pop())


# Each one learns, and goes on where it was.


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls(name):
    detector = small_detector()
    rate = {"lion": 1e-3, "sgd": 0.05}.get(name, 5e-3)
    config = OptimizerConfig(name=name, learning_rate=rate)
    losses = steps(detector, make_optimizer(detector, config), config, *range(25))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_state_goes_on_bit_for_bit(name):
    config = OptimizerConfig(name=name, learning_rate=3e-3, weight_decay=0.1)
    straight = small_detector()
    optimizer = make_optimizer(straight, config)
    steps(straight, optimizer, config, *range(12))
    saved = copy.deepcopy((straight.state_dict(), optimizer.state_dict()))
    steps(straight, optimizer, config, *range(12, 24))

    resumed = small_detector()
    other = make_optimizer(resumed, config)
    resumed.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    steps(resumed, other, config, *range(12, 24))
    for (parameter, value), again in zip(
        straight.named_parameters(), resumed.parameters(), strict=True
    ):
        assert torch.equal(value, again), parameter
    assert_same(optimizer.state_dict(), other.state_dict())


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, list | tuple):
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    else:
        assert a == b


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_numbers_words_and_tensors(name):
    """So that it can be stored without pickle."""
    detector, config = small_detector(), OptimizerConfig(name=name)
    optimizer = make_optimizer(detector, config)
    steps(detector, optimizer, config, 0)
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert state["state"], "one step leaves a state"
    for values in state["state"].values():
        assert all(isinstance(value, torch.Tensor) for value in values.values())
    for group in state["param_groups"]:
        for value in group.values():
            assert value is None or isinstance(value, bool | int | float | str | list | tuple)


# What each one does.


def one_weight(value: float, config: OptimizerConfig) -> tuple[nn.Linear, torch.optim.Optimizer]:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer, make_optimizer(layer, config)


@pytest.mark.parametrize(("start", "clipped"), [(0.45, True), (0.002, False)])
def test_sophia_by_hand(start, clipped):
    """On a w^2 / 2, whose Hessian is a: the estimate is a z^2 with z the noise."""
    a, w, rate, gamma = 200.0, start, 0.001, 0.01
    config = OptimizerConfig(name="sophia", learning_rate=rate, betas=(0.5, 0.5))
    layer, optimizer = one_weight(w, config)
    momentum = hessian = 0.0
    for step in range(12):
        torch.manual_seed(step)
        noise = float(torch.randn(1, 1))
        torch.manual_seed(step)
        optimizer.zero_grad()
        (a / 2 * layer.weight.square().sum()).backward(create_graph=step % 10 == 0)
        optimizer.step()
        momentum = 0.5 * momentum + 0.5 * a * w
        if step % 10 == 0:
            hessian = 0.5 * hessian + 0.5 * a * noise**2
        ratio = momentum / (gamma * hessian)  # as in the paper
        assert (abs(ratio) > 1) == clipped
        w -= rate * max(-1.0, min(1.0, ratio))
        assert layer.weight.item() == pytest.approx(w, rel=1e-4), step


def test_a_gradient_clipped_in_place_leaves_sophias_hessian_as_it_was():
    estimates = []
    for clip in (False, True):
        config = OptimizerConfig(name="sophia")
        layer, optimizer = one_weight(3.0, config)
        (layer.weight**4).sum().backward(create_graph=True)
        if clip:
            nn.utils.clip_grad_norm_(layer.parameters(), 0.1)
            assert layer.weight.grad.item() == pytest.approx(0.1, rel=1e-4)
        torch.manual_seed(0)
        optimizer.step()
        estimates.append(float(optimizer.state[layer.weight]["hessian"]))
        optimizer.zero_grad()
    assert estimates[0] == estimates[1] > 0


def test_attention_can_be_differentiated_twice_and_quietly(recwarn):
    query = torch.randn(1, 2, 4, 8, requires_grad=True)
    with differentiable_twice():
        mixed = nn.functional.scaled_dot_product_attention(query, query, query)
        mixed.square().sum().backward(create_graph=True)
    (second,) = torch.autograd.grad(query.grad.sum(), query)
    query.grad = None
    assert bool(torch.isfinite(second).all()) and bool(second.any())
    assert not [w for w in recwarn if "create_graph" in str(w.message)]


def test_when_second_derivatives_are_needed():
    sophia = OptimizerConfig(name="sophia")
    assert [n for n in range(31) if sophia.needs_second_derivatives(n)] == [0, 10, 20, 30]
    assert sophia.second_derivatives_every == 10
    for name in set(NAMES) - {"sophia"}:
        other = OptimizerConfig(name=name)
        assert other.second_derivatives_every is None
        assert not other.needs_second_derivatives(0)


def test_muon_moves_matrices_as_much_as_adamw_does():
    """0.2 is the root mean square that the paper finds for AdamW; the rest is AdamW itself."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 2))
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    optimizer = make_optimizer(module, OptimizerConfig(name="muon", learning_rate=1e-2))
    torch.manual_seed(1)
    module(torch.randn(256, 64)).square().mean().backward()
    optimizer.step()
    moved = {n: p.detach() - before[n] for n, p in module.named_parameters()}
    spread = torch.linalg.svdvals(moved["0.weight"].double())
    # Newton and Schulz's iteration leaves singular values between about 0.5 and 1.5 (times the
    # rate); those of a gradient of rank 2 (two outputs) are nothing but for two.
    assert (spread[:2] / (1e-2 * 0.2 * math.sqrt(64))).tolist() == pytest.approx([1, 1], abs=0.5)
    for name in ("0.bias", "1.weight", "1.bias"):  # AdamW's first step is the sign
        assert moved[name].abs().mean() == pytest.approx(1e-2, rel=1e-3), name


def test_muon_without_matrices_is_adamw_and_the_other_way_round():
    for module in (nn.Linear(4, 2), nn.Linear(64, 32, bias=False)):
        config = OptimizerConfig(name="muon", learning_rate=1e-2)
        optimizer = make_optimizer(module, config)
        before = module.weight.detach().clone()
        module(torch.ones(3, module.in_features)).square().mean().backward()
        optimizer.step()
        assert not torch.equal(module.weight, before)


def test_muon_takes_a_closure():
    module = nn.Linear(64, 32)
    optimizer = make_optimizer(module, OptimizerConfig(name="muon"))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = module(torch.ones(1, 64)).square().mean()
        loss.backward()
        return loss

    first, second = optimizer.step(closure), optimizer.step(closure)
    assert second < first


def test_muon_needs_a_pytorch_that_has_it(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(UsageError, match=r"muon needs PyTorch 2.9 or later, this is 2\."):
        make_optimizer(nn.Linear(32, 32), OptimizerConfig(name="muon"))


def test_schedule_free_averages_and_comes_back_bit_for_bit():
    """With a constant learning rate, the evaluated weights are the mean of its base iterates z."""
    config = OptimizerConfig(name="schedulefree", learning_rate=0.05, betas=(0.9, 0.99))
    layer, optimizer = one_weight(1.0, config)
    iterates = []
    for _ in range(5):
        optimizer.zero_grad()
        (layer.weight - 3).square().sum().backward()
        optimizer.step()
        iterates.append(float(optimizer.state[layer.weight]["z"]))
    trained = layer.weight.detach().clone()
    with evaluation_weights(optimizer):
        assert layer.weight.item() == pytest.approx(sum(iterates) / 5, rel=1e-5)
    assert torch.equal(layer.weight, trained)
    optimizer.step()  # it is in training mode again


def test_a_warm_up_from_outside_is_schedule_frees_own():
    """So that it needs no warm-up setting beside the schedule's."""
    ends = []
    for own in (True, False):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(layer.weight, 1.0)
        optimizer = make_optimizer(layer, OptimizerConfig(name="schedulefree", learning_rate=0.1))
        for group in optimizer.param_groups:
            group["warmup_steps"] = 4 if own else 0
        schedule = ScheduleConfig(warmup=0.5)
        for step in range(8):
            if not own:
                set_learning_rate(optimizer, schedule.multiplier(step, 8))
            optimizer.zero_grad()
            (layer.weight - 3).square().sum().backward()
            optimizer.step()
        with evaluation_weights(optimizer):
            ends.append(layer.weight.item())
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)
    assert ends[0] > 1.1


def test_evaluating_often_changes_nothing():
    weights = []
    for often in (False, True):
        detector, config = small_detector(), OptimizerConfig(name="schedulefree")
        optimizer = make_optimizer(detector, config)
        for number in range(6):
            steps(detector, optimizer, config, number)
            if often:
                with evaluation_weights(optimizer):
                    pass
        weights.append(torch.cat([p.detach().flatten() for p in detector.parameters()]))
    assert torch.equal(*weights)


def test_weights_come_back_when_evaluation_fails():
    config = OptimizerConfig(name="schedulefree", learning_rate=0.1)
    layer, optimizer = one_weight(1.0, config)
    for _ in range(3):
        optimizer.zero_grad()
        layer.weight.sum().backward()
        optimizer.step()
    trained = layer.weight.detach().clone()
    with pytest.raises(ValueError, match="validation"), evaluation_weights(optimizer):
        assert not torch.equal(layer.weight, trained)
        raise ValueError("validation")
    assert torch.equal(layer.weight, trained)


def test_other_optimizers_evaluate_the_weights_as_they_are():
    detector = small_detector()
    before = copy.deepcopy(detector.state_dict())
    with evaluation_weights(make_optimizer(detector, OptimizerConfig())):
        assert_same(dict(detector.state_dict()), dict(before))


def test_who_averages_itself():
    assert [n for n in NAMES if OptimizerConfig(name=n).averages_itself] == ["schedulefree"]


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_is_scaled(name):
    """Half the rate, half the first step; each of these makes one in proportion to its rate."""
    moved = []
    for multiplier in (1.0, 0.5):
        torch.manual_seed(0)
        module = nn.Linear(64, 32)
        before = module.weight.detach().clone()
        optimizer = make_optimizer(module, OptimizerConfig(name=name, learning_rate=1e-2))
        set_learning_rate(optimizer, 0.1)
        set_learning_rate(optimizer, multiplier)  # of the configured rate, not of the last
        module(torch.ones(3, 64)).square().mean().backward(create_graph=name == "sophia")
        optimizer.step()
        moved.append(float((module.weight.detach() - before).abs().mean()))
        optimizer.zero_grad()
    assert moved[0] > 0
    assert moved[1] == pytest.approx(moved[0] / 2, rel=1e-3)


def test_a_learning_rate_lowered_by_a_schedule_survives_a_restart():
    module = nn.Linear(2, 2)
    optimizer = make_optimizer(module, OptimizerConfig(learning_rate=0.1))
    set_learning_rate(optimizer, 0.5)
    other = make_optimizer(module, OptimizerConfig(learning_rate=0.1))
    other.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in other.param_groups] == [0.05, 0.05]
    set_learning_rate(other, 1.0)
    assert [group["lr"] for group in other.param_groups] == [0.1, 0.1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adamw", {"betas": (0.8, 0.95)}),
        ("lion", {"betas": (0.8, 0.95)}),
        ("schedulefree", {"betas": (0.8, 0.95)}),
        ("sophia", {"betas": (0.8, 0.95)}),
        ("muon", {"betas": (0.8, 0.95)}),
    ],
)
def test_betas_arrive(name, expected):
    config = OptimizerConfig(name=name, betas=(0.8, 0.95))
    group = make_optimizer(nn.Linear(2, 2), config).param_groups[-1]
    assert {key: group[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_momentum_arrives(name):
    config = OptimizerConfig(name=name, momentum=0.5)
    assert make_optimizer(nn.Linear(32, 32), config).param_groups[0]["momentum"] == 0.5


# What is refused.


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("sophia", "pytorch_optimizer", "pytorch-optimizer"),
        ("lion", "lion_pytorch", "lion-pytorch"),
        ("schedulefree", "schedulefree", "schedulefree"),
    ],
)
def test_a_missing_package_names_its_extra(monkeypatch, name, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"optimizer {name} needs the package '{package}': pip install 'workzone\[train\]'"
    with pytest.raises(MissingExtraError, match=message):
        make_optimizer(nn.Linear(2, 2), OptimizerConfig(name=name))


def test_all_mistakes_at_once():
    with pytest.raises(UsageError) as error:
        OptimizerConfig(
            name="adamv",
            learning_rate=float("nan"),
            weight_decay=-1,
            betas=(0.9, 1.0),
            momentum=1.5,
        )
    assert str(error.value) == (
        "optimizer: name='adamv' is not known; did you mean 'adamw'? allowed: adamw, lion, muon, "
        "schedulefree, sgd, sophia; learning_rate=nan, allowed: 1e-9 to 10; weight_decay=-1, "
        "allowed: 0 to 10; betas=(0.9, 1.0), allowed: each above 0 and below 1; momentum=1.5, "
        "allowed: above 0 and below 1; adamv has no momentum; leave it out, or give betas"
    )


def test_settings_that_an_optimizer_has_not():
    with pytest.raises(UsageError, match="sgd has no betas; leave them out, or give momentum"):
        OptimizerConfig(name="sgd", betas=(0.9, 0.99))
    with pytest.raises(UsageError, match="lion has no momentum; leave it out, or give betas"):
        OptimizerConfig(name="lion", momentum=0.9)


def test_a_configuration_is_read_from_plain_values():
    config = OptimizerConfig(name="lion", learning_rate=3e-4, betas=(0.95, 0.98))
    assert from_mapping(OptimizerConfig, dataclasses.asdict(config), where="it") == config
    with pytest.raises(UsageError, match="did you mean 'sophia'"):
        from_mapping(OptimizerConfig, {"name": "sofia"}, where="it")


def test_the_names_are_all_there():
    assert sorted([*optimizers._MAKERS, "muon"]) == sorted(NAMES)
