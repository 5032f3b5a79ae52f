"""The processes that train together: one, or as many as ``accelerate launch`` started."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from workzone.errors import MissingExtraError, UsageError
from workzone.train.losses import Objective

logger = logging.getLogger(__name__)


class Processes:
    """This process alone. What several need is done by `LaunchedProcesses`."""

    rank = 0
    count = 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def prepare(
        self, module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The module as it is to be called in training, and its optimizer."""
        return module, optimizer

    def unwrapped(self, module: nn.Module) -> nn.Module:
        """The module without what `prepare` put around it for the exchange of gradients."""
        return module

    def backward(self, loss: torch.Tensor, *, create_graph: bool = False) -> None:
        """Add the gradient of a loss."""
        loss.backward(create_graph=create_graph)

    def passes(self, module: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around each pass of a step; gradients are exchanged in the last alone."""
        return contextlib.nullcontext()

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return flag

    def gathered(self, value: torch.Tensor) -> torch.Tensor:
        """``[count, ...]``: the value of every process, in all of them, on the processor."""
        return value.detach().cpu()[None]

    def mean(self, passes: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """The mean of each figure over the passes of a step and over all processes."""
        means = {name: torch.stack([p[name] for p in passes]).mean(dim=0) for name in passes[0]}
        if self.count == 1:
            return means
        return {name: self.gathered(value).mean(dim=0) for name, value in means.items()}

    def wait(self) -> None:
        """Until all processes are here."""

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """While inside, the main process goes before the others."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()


class LaunchedProcesses(Processes):
    """Those that ``accelerate launch`` started: DDP, FSDP or DeepSpeed, as it was told."""

    def __init__(self) -> None:
        """Join the others.

        Raises:
            MissingExtraError: accelerate is not installed.
        """
        try:
            import accelerate
        except ImportError as error:
            raise MissingExtraError(
                "accelerate", "train", "training in several processes"
            ) from error
        self._accelerator = accelerate.Accelerator(cpu=not torch.accelerator.is_available())
        super().__init__(self._accelerator.device)
        self.rank = self._accelerator.process_index
        self.count = self._accelerator.num_processes
        if self.count == 1 and "MASTER_PORT" in os.environ:
            logger.warning(
                "one process trains: `accelerate launch --cpu` starts no more without MPI; "
                "`torchrun --nproc-per-node 2 -m workzone ...` does"
            )

    def prepare(
        self, module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Wrapped as the launch told."""
        from accelerate import DistributedDataParallelKwargs

        # A step uses those of the metadata's categories, and the experts, that occur in it; a
        # network may have weights that no step uses, such as DINOv3's token for what is masked.
        config = cast(Objective, module).config
        detector = cast(Objective, module).detector.config
        some = detector.metadata is not None or detector.encoder.experts > 0
        some |= config.fine_tuning is not None
        self._accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=some)
        module, wrapped = self._accelerator.prepare(module, optimizer)
        return module, cast(torch.optim.Optimizer, getattr(wrapped, "optimizer", wrapped))

    def unwrapped(self, module: nn.Module) -> nn.Module:
        """The module itself; sharded, if it is."""
        return cast(nn.Module, self._accelerator.unwrap_model(module))

    def backward(self, loss: torch.Tensor, *, create_graph: bool = False) -> None:
        """Add the gradient; in the last pass of a step, that of all processes.

        Raises:
            UsageError: second derivatives in several processes.
        """
        if create_graph and self.count > 1:
            raise UsageError(
                "an optimizer with second derivatives trains in one process: their gradients "
                "cannot be exchanged; take adamw, or leave `accelerate launch` out"
            )
        self._accelerator.backward(loss, create_graph=create_graph)

    def passes(self, module: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Exchange nothing before the last pass."""
        if last:
            return contextlib.nullcontext()
        return cast(contextlib.AbstractContextManager[None], self._accelerator.no_sync(module))

    def any(self, flag: bool) -> bool:
        """Ask all."""
        told = torch.tensor([float(flag)], device=self.device)
        return bool(self._accelerator.reduce(told).item() > 0)

    def gathered(self, value: torch.Tensor) -> torch.Tensor:
        """Of all."""
        given = value.detach().to(self.device)[None]
        return cast(torch.Tensor, self._accelerator.gather(given)).cpu()

    def wait(self) -> None:
        """Until all are here."""
        self._accelerator.wait_for_everyone()


def processes(device: torch.device | str = "cpu") -> Processes:
    """Those of this run: what ``accelerate launch`` started, else this one on ``device``."""
    launched = any(name.startswith("ACCELERATE_") for name in os.environ)
    if launched or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return LaunchedProcesses()
    return Processes(device)


def state_of_generators(processes: Processes) -> torch.Tensor:
    """States of torch's global generators, uint8 ``[count, ...]``, on the processor."""
    states = [torch.get_rng_state()]
    if processes.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(processes.device))
    return processes.gathered(torch.cat(states))


def set_generators(processes: Processes, states: torch.Tensor) -> None:
    """Set this process's generators to what `state_of_generators` gave.

    With another number of processes the rest of the run is as random as before, not the same.
    """
    own = states[processes.rank % len(states)]
    length = len(torch.get_rng_state())
    torch.set_rng_state(own[:length].contiguous())
    if processes.device.type == "cuda" and len(own) > length:
        torch.cuda.set_rng_state(own[length:].contiguous(), processes.device)
