"""Trains on made data and writes the weights' bytes; tests stop it in the middle."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import yaml
from torch import nn

from workzone.config import from_mapping
from workzone.train.feed.examples import Examples
from workzone.train.fit import fit
from workzone.train.keep.run_folder import RunFolder
from workzone.train.losses import Objective
from workzone.train.optim.optimizers import make_optimizer
from workzone.train.processes import LaunchedProcesses, processes
from workzone.train.session import Session
from workzone.train.settings import TrainConfig


def made_examples(rows: int = 96, views: int = 3, width: int = 16) -> Examples:
    random = torch.Generator().manual_seed(0)
    labels = (torch.rand(rows, generator=random) < 0.5).long()
    features = torch.randn(rows * 2, views, width, generator=random)
    features[:, 0, 0] += 2.0 * labels.repeat_interleave(2)
    return Examples(labels=labels, rows=torch.arange(rows * 2).view(rows, 2), features=features)


class Sharded(LaunchedProcesses):
    """Weights, gradients and the optimizer's state in shards, as FSDP 2 has them."""

    def prepare(
        self, module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard  # a second to import

        fully_shard(module, mesh=init_device_mesh("cpu", (self.count,)))
        assert isinstance(module, Objective)
        return module, make_optimizer(module.detector, module.config.optimizer)

    def unwrapped(self, module: nn.Module) -> nn.Module:
        return module

    def passes(self, module: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def main(settings: str, folder: str, output: str) -> None:
    torch.set_num_threads(1)
    config = from_mapping(TrainConfig, yaml.safe_load(settings), where="settings")
    together = Sharded() if os.environ.get("SHARDED") else processes()
    run = RunFolder(Path(folder))
    if together.is_main:
        run = RunFolder.open(Path(folder), config, {})
    together.wait()
    session = Session(processes=together, folder=run)
    folds = [np.arange(0, 96, 2)]
    with session.interruption.listening():
        result = fit(made_examples(), folds, config, session)
    if together.is_main:
        safetensors.torch.save_file(dict(result.detector.state_dict()), output)
        print(f"processes: {together.count}")
    together.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
