"""All that changes while a detector trains, and how it becomes tensors and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import distributed, nn

from workzone.errors import TrainingError
from workzone.train.optim.averaging import WeightAverage
from workzone.train.parts import WHOLE, Kept, belongs

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

Tensors = dict[str, torch.Tensor]
Values = dict[str, Any]

_PLAIN = ("epoch", "batch", "step", "trained", "epoch_loss")


@dataclass(kw_only=True)
class State:
    """Of one training; saved between two steps, it goes on bit for bit as if never stopped."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    generator: torch.Generator  # of the order of images and copies
    epoch: int = 0
    batch: int = 0  # of this epoch, the next one
    step: int = 0
    parts: dict[str, Kept] = field(default_factory=lambda: {WHOLE: Kept()})
    trained: list[float] = field(default_factory=list)  # cross-entropy of what was trained on
    epoch_loss: float = 0.0  # likewise, of this epoch so far
    best: Tensors = field(default_factory=dict)  # each part at its lowest validation loss
    epoch_start: torch.Tensor | None = None  # state of the generator as the epoch began

    @property
    def deciding(self) -> Kept:
        """The part that decides on road work."""
        return next(iter(self.parts.values()))

    def begin_epoch(self) -> None:
        """Make the epoch's random draws those that it began with, also in its middle."""
        if self.epoch_start is None:
            self.epoch_start = self.generator.get_state()
        self.generator.set_state(self.epoch_start)

    def end_epoch(self) -> None:
        """Count an epoch."""
        self.epoch, self.batch, self.epoch_start = self.epoch + 1, 0, None
        self.trained.append(self.epoch_loss)
        self.epoch_loss = 0.0

    def out_of_patience(self, patience: int) -> bool:
        """Whether every part that is judged is out of patience."""
        judged = [part for part in self.parts.values() if part.losses]
        return bool(judged) and all(part.out_of_patience(patience) for part in judged)

    def keep(self, name: str, *, averaged: bool) -> None:
        """Remember a part's weights as they are as its best."""
        weights = self.module.state_dict()
        self.best |= {n: whole(value) for n, value in weights.items() if belongs(n, name)}
        self.parts[name].averaged = averaged

    def has_kept(self, name: str) -> bool:
        """Whether weights of a part are remembered."""
        return any(belongs(weight, name) for weight in self.best)

    def pack(self, random: torch.Tensor) -> tuple[Tensors, Values]:
        """Everything, to be saved; ``random`` are the states of all processes' global generators.

        With sharded weights every process must call it: the shards are gathered.
        """
        tensors: Tensors = {"random/global": random, "random/order": self.generator.get_state()}
        if self.epoch_start is not None:
            tensors["random/epoch"] = self.epoch_start
        for name, value in self.module.state_dict().items():
            tensors[f"module/{name}"] = whole(value)
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        values: Values = {name: getattr(self, name) for name in _PLAIN}
        values["parts"] = {name: asdict(part) for name, part in self.parts.items()}
        values["history"] = self.deciding.losses
        if self.average is not None:
            average = self.average.state_dict()
            values["average_updates"] = average["updates"]
            tensors |= {f"average/{n}": whole(value) for n, value in average["average"].items()}
        described = self.optimizer.state_dict()
        values["groups"] = described["param_groups"]
        values["optimizer"] = {}
        for number, entries in described["state"].items():
            plain = values["optimizer"][str(number)] = {}
            for name, value in entries.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer/{number}/{name}"] = whole(value)
                else:
                    plain[name] = value
        return tensors, values

    def unpack(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """Go on from what `pack` gave.

        Raises:
            TrainingError: it is of another model or optimizer.
        """
        self.generator.set_state(tensors["random/order"])
        self.epoch_start = tensors.get("random/epoch")
        self.best = _under(tensors, "best/")
        try:
            for name in _PLAIN:
                setattr(self, name, values[name])
            self.parts = {name: Kept(**part) for name, part in values["parts"].items()}
            load_whole(self.module, _under(tensors, "module/"))
            self._unpack_optimizer(_under(tensors, "optimizer/"), values)
        except (RuntimeError, ValueError, KeyError) as error:
            raise TrainingError(
                f"the checkpoint does not fit the model or its optimizer: {error}; start again "
                "with --restart"
            ) from error
        if self.average is not None:
            average = {
                name: _alike(value, self.module.get_parameter(name))
                for name, value in _under(tensors, "average/").items()
            }
            state = {"updates": values["average_updates"], "average": average}
            self.average.load_state_dict(state)

    def _unpack_optimizer(self, tensors: Tensors, values: Mapping[str, Any]) -> None:
        state: dict[int, dict[str, Any]] = {
            int(number): dict(entries) for number, entries in values["optimizer"].items()
        }
        for path, value in tensors.items():
            number, _, name = path.partition("/")
            state[int(number)][name] = value
        groups = [
            {name: _as_given(name, value) for name, value in group.items()}
            for group in values["groups"]
        ]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for index, entries in state.items():
            for name, value in entries.items():
                if isinstance(value, torch.Tensor) and value.shape == parameters[index].shape:
                    entries[name] = _laid_out(value, parameters[index])
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _as_given(name: str, value: Any) -> Any:
    """JSON makes lists of tuples, such as betas."""
    return tuple(value) if isinstance(value, list) and name != "params" else value


def whole(value: torch.Tensor) -> torch.Tensor:
    """A copy in the processor's memory; shards are gathered, which every process must call."""
    full = value.full_tensor() if _is_sharded(value) else value
    return full.detach().to("cpu", copy=True).contiguous()


def load_whole(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give a module, sharded or not, the weights of `whole` tensors.

    Raises:
        RuntimeError: they are of another module.
    """
    own = module.state_dict()
    module.load_state_dict({n: _alike(v, own[n]) if n in own else v for n, v in tensors.items()})


def _is_sharded(value: torch.Tensor) -> TypeGuard[DTensor]:
    """Whether other processes have the rest of it; asked of one alone, nothing is imported."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor  # a second to import

    return isinstance(value, DTensor)


def _alike(value: torch.Tensor, model: torch.Tensor) -> torch.Tensor:
    """Sharded as ``model`` is."""
    if _is_sharded(model):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(model.device), model.device_mesh, model.placements)
    return value


def _laid_out(value: torch.Tensor, model: torch.Tensor) -> torch.Tensor:
    """In memory too as ``model`` is, channels last or not: a step's last bits go by it."""
    if _is_sharded(model):
        return _alike(value, model)
    return torch.empty_like(model, dtype=value.dtype, device=value.device).copy_(value)


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> Tensors:
    return {name[len(prefix) :]: v for name, v in tensors.items() if name.startswith(prefix)}
