"""Optimizers by name, with the right parameters in the right groups.

========== ==================================================================== ==============
adamw      Loshchilov & Hutter 2019, arXiv 1711.05101                           torch
sophia     SophiaH: Liu et al. 2023, arXiv 2305.14342                           extra ``train``
muon       Jordan et al. 2024, https://kellerjordan.github.io/posts/muon;       torch
           step scaled as in Liu et al. 2025, arXiv 2502.16982
lion       Chen et al. 2023, arXiv 2302.06675                                   extra ``train``
schedulefree  Schedule-Free AdamW: Defazio et al. 2024, arXiv 2405.15682        extra ``train``
sgd        with Nesterov's momentum: Sutskever et al. 2013                      torch
========== ==================================================================== ==============
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from workzone.errors import MissingExtraError, TrainingError, UsageError, nearest
from workzone.model.metadata.encoder import CategoryTable

OptimizerName = Literal["adamw", "sophia", "muon", "lion", "schedulefree", "sgd"]
Role = Literal["hidden", "weight", "spared"]
Group = dict[str, Any]
Named = tuple[str, nn.Parameter]

HESSIAN_EVERY = 10
"""Steps from one estimate of Sophia's Hessian to the next, as in the paper."""

SOPHIA_CLIP = 0.01
"""Sophia's gamma: a weight moves by the full learning rate where momentum > gamma * Hessian."""

SMALLEST_HIDDEN = 16
"""Rows and columns from which on a matrix is orthogonalised by Muon: a classifier has 2 rows, a
router one per expert."""

_DEFAULT_BETAS: dict[str, tuple[float, float]] = {
    "adamw": (0.9, 0.999),
    "sophia": (0.96, 0.99),
    "muon": (0.9, 0.999),
    "lion": (0.9, 0.99),
    "schedulefree": (0.9, 0.999),
}
_DEFAULT_MOMENTUM = {"muon": 0.95, "sgd": 0.9}


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Which optimizer, and its settings."""

    name: OptimizerName = "adamw"
    learning_rate: float = 1e-3  # of adamw, muon, sophia and lion: about what a weight moves a step
    weight_decay: float = 0.0  # per unit of learning rate, and of a weight; L2 penalty for sgd
    betas: tuple[float, float] | None = None  # decay of the averages; None: the optimizer's own
    momentum: float | None = None  # of sgd, and of muon's matrices; None: the optimizer's own
    tail_rate: float = 0.1  # of the dense head's tail, as a share of the learning rate

    def __post_init__(self) -> None:
        mistakes = []
        if self.name not in get_args(OptimizerName):
            hint = nearest(str(self.name), get_args(OptimizerName))
            mistakes.append(f"name={self.name!r} is not known; {hint}")
        if not 1e-9 <= self.learning_rate <= 10:  # NaN is in no range
            mistakes.append(f"learning_rate={self.learning_rate}, allowed: 1e-9 to 10")
        if not 0 <= self.weight_decay <= 10:
            mistakes.append(f"weight_decay={self.weight_decay}, allowed: 0 to 10")
        if not 0 <= self.tail_rate <= 1:
            mistakes.append(f"tail_rate={self.tail_rate}, allowed: 0 to 1")
        if self.betas is not None:
            if not all(0 < beta < 1 for beta in self.betas):
                mistakes.append(f"betas={self.betas}, allowed: each above 0 and below 1")
            if self.name == "sgd":
                mistakes.append("sgd has no betas; leave them out, or give momentum")
        if self.momentum is not None:
            if not 0 < self.momentum < 1:
                mistakes.append(f"momentum={self.momentum}, allowed: above 0 and below 1")
            if self.name not in _DEFAULT_MOMENTUM:
                mistakes.append(f"{self.name} has no momentum; leave it out, or give betas")
        if mistakes:
            raise UsageError(f"optimizer: {'; '.join(mistakes)}")

    @property
    def second_derivatives_every(self) -> int | None:
        """Steps between two that need second derivatives; None: none does."""
        return HESSIAN_EVERY if self.name == "sophia" else None

    def needs_second_derivatives(self, step: int) -> bool:
        """Whether step number ``step``, from 0, needs second derivatives.

        Its forward and ``loss.backward(create_graph=True)`` belong inside
        :func:`differentiable_twice`, and not into ``torch.compile``.
        """
        every = self.second_derivatives_every
        return every is not None and step % every == 0

    @property
    def averages_itself(self) -> bool:
        """Whether it averages the weights itself: no decay of the learning rate then, no EMA."""
        return self.name == "schedulefree"


def role_of(module: nn.Module, name: str, parameter: nn.Parameter) -> Role:
    """What a parameter is to an optimizer.

    Args:
        module: the one that holds it.
        name: its dotted name; the last part is that in ``module``.
        parameter: the parameter.

    Returns:
        ``spared``: never decayed, never orthogonalised. Anything of fewer than two dimensions
        (biases, norms, vectors for what is missing), biases of more, the magnitudes of adapters
        (those of a convolution have four), embeddings and categories, and score vectors, whether
        they are a linear layer with one output or one vector per head.
        ``hidden``: weights of linear layers from `SMALLEST_HIDDEN` a side: decayed, and
        orthogonalised by Muon. ``weight``: all others, such as convolutions, classifiers, routers
        and stacked matrices: decayed.
    """
    last = name.rpartition(".")[2]
    if parameter.ndim < 2 or "bias" in last or "score" in last or "magnitude" in name:
        return "spared"
    if isinstance(module, nn.Embedding | nn.EmbeddingBag | CategoryTable | nn.ParameterDict):
        return "spared"
    if isinstance(module, nn.Linear):
        if parameter.shape[0] == 1:
            return "spared"
        if min(parameter.shape) >= SMALLEST_HIDDEN:
            return "hidden"
    return "weight"


def parameters_by_role(module: nn.Module) -> dict[Role, list[Named]]:
    """The trainable parameters with their names, each once, in the module's order."""
    modules = dict(module.named_modules())
    found: dict[Role, list[Named]] = {"hidden": [], "weight": [], "spared": []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            owner = modules[name.rpartition(".")[0]]
            found[role_of(owner, name, parameter)].append((name, parameter))
    return found


def make_optimizer(
    module: nn.Module, config: OptimizerConfig, rates: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """An optimizer of the module's trainable parameters.

    Args:
        module: whose parameters they are.
        config: which optimizer.
        rates: of some parameters by name, as shares of the learning rate; all others have it whole,
            but for the dense head's tail.

    Each group's ``initial_lr`` holds the learning rate that :func:`set_learning_rate` scales.
    Sophia draws noise from torch's global generator. Schedule-Free AdamW is in training mode.

    Raises:
        MissingExtraError: the optimizer's package is not installed.
        TrainingError: nothing is trainable.
        UsageError: muon, with a PyTorch that has none.
    """
    roles = parameters_by_role(module)
    rates = rates or {}
    if not any(roles.values()):
        raise TrainingError(
            "no parameter is trainable: nothing to optimize; unfreeze some of the model"
        )
    if config.name == "muon":
        optimizer = _muon(roles, config, rates)
    else:
        optimizer = _MAKERS[config.name](_groups(roles, config, rates), config)
    for group in optimizer.param_groups:
        group["lr"] *= group.pop("rate", 1.0)
        group["initial_lr"] = group["lr"]
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, multiplier: float) -> None:
    """Set each group's learning rate to ``multiplier`` (0..1) times that of its configuration."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * multiplier


@contextlib.contextmanager
def differentiable_twice() -> Iterator[None]:
    """While inside, attention can be differentiated twice: fused kernels cannot.

    A gradient with a graph refers to its parameter, which refers to it; torch warns of that cycle.
    ``zero_grad(set_to_none=True)``, torch's default, breaks it.
    """
    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using backward\\(\\) with create_graph=True")
        yield


@contextlib.contextmanager
def evaluation_weights(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """While inside, the module has the weights to evaluate, keep or save.

    They differ from those trained on for Schedule-Free AdamW alone. Its own ``eval()`` and
    ``train()`` are inverse to each other only up to rounding; here the weights come back bit for
    bit, so that how often one evaluates changes nothing.
    """
    if not _has_modes(optimizer):
        yield
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    trained = [p.detach().clone() for p in parameters]
    switch = cast(Any, optimizer)
    switch.eval()
    try:
        yield
    finally:
        switch.train()
        with torch.no_grad():
            for parameter, value in zip(parameters, trained, strict=True):
                parameter.copy_(value)


def _has_modes(optimizer: torch.optim.Optimizer) -> bool:
    return "train_mode" in optimizer.param_groups[0]


def _groups(
    roles: dict[Role, list[Named]], config: OptimizerConfig, rates: Mapping[str, float]
) -> list[Group]:
    """Decayed and spared ones, each by their rates, the highest first."""
    decayed = [*roles["hidden"], *roles["weight"]]
    return [
        group | {"weight_decay": decay}
        for named, decay in ((decayed, config.weight_decay), (roles["spared"], 0.0))
        for group in _by_rate(named, config, rates)
    ]


def _by_rate(
    named: list[Named], config: OptimizerConfig, rates: Mapping[str, float]
) -> list[Group]:
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named:
        rate = config.tail_rate if "cells.tail." in name else rates.get(name, 1.0)
        found.setdefault(rate, []).append(parameter)
    return [{"params": found[rate], "rate": rate} for rate in sorted(found, reverse=True)]


def _betas(config: OptimizerConfig) -> tuple[float, float]:
    return config.betas or _DEFAULT_BETAS[config.name]


def _momentum(config: OptimizerConfig) -> float:
    return config.momentum or _DEFAULT_MOMENTUM[config.name]


def _adamw(groups: list[Group], config: OptimizerConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=_betas(config))


def _sgd(groups: list[Group], config: OptimizerConfig) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        groups, lr=config.learning_rate, momentum=_momentum(config), nesterov=True
    )


def _sophia(groups: list[Group], config: OptimizerConfig) -> torch.optim.Optimizer:
    # The package clips to gamma and multiplies by lr; the paper divides by gamma, clips to 1 and
    # multiplies by the learning rate. The same, with lr = learning rate / gamma.
    for group in groups:
        group["weight_decay"] *= SOPHIA_CLIP
    package = _optional("pytorch_optimizer", "pytorch-optimizer", "optimizer sophia")
    optimizer: torch.optim.Optimizer = package.SophiaH(
        groups,
        lr=config.learning_rate / SOPHIA_CLIP,
        betas=_betas(config),
        p=SOPHIA_CLIP,
        update_period=HESSIAN_EVERY,
    )
    return optimizer


def _lion(groups: list[Group], config: OptimizerConfig) -> torch.optim.Optimizer:
    package = _optional("lion_pytorch", "lion-pytorch", "optimizer lion")
    optimizer: torch.optim.Optimizer = package.Lion(
        groups, lr=config.learning_rate, betas=_betas(config)
    )
    return optimizer


def _schedulefree(groups: list[Group], config: OptimizerConfig) -> torch.optim.Optimizer:
    package = _optional("schedulefree", "schedulefree", "optimizer schedulefree")
    optimizer = package.AdamWScheduleFree(groups, lr=config.learning_rate, betas=_betas(config))
    optimizer.train()
    return cast(torch.optim.Optimizer, optimizer)


_MAKERS: dict[str, Callable[[list[Group], OptimizerConfig], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "sophia": _sophia,
    "lion": _lion,
    "schedulefree": _schedulefree,
    "sgd": _sgd,
}


def _optional(module: str, package: str, purpose: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(package, "train", purpose) from error


def _muon(
    roles: dict[Role, list[Named]], config: OptimizerConfig, rates: Mapping[str, float]
) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise UsageError(
            f"optimizer muon needs PyTorch 2.9 or later, this is {torch.__version__}: upgrade, or "
            "take adamw"
        )
    others = _groups({**roles, "hidden": []}, config, rates)
    parts: list[torch.optim.Optimizer] = []
    if hidden := _by_rate(roles["hidden"], config, rates):
        parts.append(
            torch.optim.Muon(
                hidden,
                lr=config.learning_rate,
                weight_decay=config.weight_decay,
                momentum=_momentum(config),
                adjust_lr_fn="match_rms_adamw",  # a step as long as AdamW's: one learning rate
            )
        )
    if others:
        parts.append(_adamw(others, config))
    return Together(parts)


class Together(torch.optim.Optimizer):
    """Several optimizers, each with parameters of its own, as one.

    Groups and state are kept here, in torch's own layout, so that ``state_dict`` and schedulers
    work as with any other; the parts only step.
    """

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        """Take over the groups of ``parts``."""
        groups: list[Group] = []
        for number, part in enumerate(parts):
            groups += [{**group, "part": number} for group in part.param_groups]
        super().__init__(groups, {})
        self.parts = parts

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Let each part take its step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for number, part in enumerate(self.parts):
            # Anew each time: loading a state replaces both.
            part.state = self.state
            part.param_groups = [g for g in self.param_groups if g["part"] == number]
            part.step()
        return loss
