"""Trains on made data and writes the weights' bytes; tests stop it in the middle."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import yaml

from workzone.config import from_mapping
from workzone.train.examples import Examples
from workzone.train.fit import fit
from workzone.train.processes import processes
from workzone.train.run_folder import RunFolder
from workzone.train.session import Session
from workzone.train.settings import TrainConfig


def made_examples(rows: int = 96, views: int = 3, width: int = 16) -> Examples:
    random = torch.Generator().manual_seed(0)
    labels = (torch.rand(rows, generator=random) < 0.5).long()
    features = torch.randn(rows * 2, views, width, generator=random)
    features[:, 0, 0] += 2.0 * labels.repeat_interleave(2)
    return Examples(labels=labels, rows=torch.arange(rows * 2).view(rows, 2), features=features)


def main(settings: str, folder: str, output: str) -> None:
    torch.set_num_threads(1)
    config = from_mapping(TrainConfig, yaml.safe_load(settings), where="settings")
    together = processes()
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
    together.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
