"""Several processes learn what one learns."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml

from train.resume_job import made_examples
from workzone.backbones.adapters import AdapterConfig
from workzone.data.weather import WeatherConfig
from workzone.errors import UsageError
from workzone.model.config import DetectorConfig
from workzone.train import processes as module
from workzone.train.batches import cut
from workzone.train.feed.augment import AugmentConfig
from workzone.train.fit import fit
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.processes import LaunchedProcesses, Processes, processes
from workzone.train.settings import RunConfig, TrainConfig

FOLDS = [torch.arange(0, 96, 2).numpy()]
JOB = Path(__file__).parent / "resume_job.py"
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = ["accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1"]
ACCELERATE += ["--dynamo_backend", "no", "--mixed_precision", "no"]
CONFIG = TrainConfig(
    detector=DetectorConfig(),
    batch=15,  # of 48 rows: the last batch has 3, so that the parts are uneven
    epochs=3,
    ema=0.9,
    gradient_clip=1.0,
    accumulate=2,
)


def launch(
    config: TrainConfig, folder: Path, launcher: Sequence[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    tree = yaml.safe_dump(json.loads(json.dumps(dataclasses.asdict(config))))
    arguments = [str(JOB), tree, str(folder / "run"), str(folder / "weights.safetensors")]
    return subprocess.run(
        [sys.executable, "-m", *launcher, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize(
    ("launcher", "environment", "count"),
    [
        ([*ACCELERATE, "--multi_gpu"], {}, 2),  # gloo between them, where there is no GPU
        (TORCHRUN, {"SHARDED": "1"}, 2),
        ([*ACCELERATE, "--cpu"], {}, 1),  # Accelerate starts one without MPI
    ],
    ids=["DDP", "FSDP", "cpu"],
)
def test_several_processes_learn_what_one_learns(
    launcher: list[str], environment: dict[str, str], count: int, tmp_path: Path
) -> None:
    told = launch(CONFIG, tmp_path, launcher, **environment)
    assert told.returncode == 0, told.stderr[-3000:]
    assert told.stdout.splitlines()[-1] == f"processes: {count}"
    assert ("one process trains" in told.stderr) == (count == 1)
    together = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    alone = fit(made_examples(), FOLDS, CONFIG).detector.state_dict()
    untrained = dataclasses.replace(CONFIG, optimizer=OptimizerConfig(learning_rate=1e-9))
    before = fit(made_examples(), FOLDS, untrained).detector.state_dict()
    moved = 0.0
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=0, atol=1e-6)
        moved = max(moved, float((value - before[name]).abs().max()))
    assert moved > 1e-2  # it was learned, not left alone


def test_second_derivatives_are_refused_in_several_processes() -> None:
    together = LaunchedProcesses.__new__(LaunchedProcesses)
    together.count = 2
    with pytest.raises(
        UsageError, match=r"second derivatives trains in one process: .* take adamw"
    ):
        together.backward(torch.zeros(()), create_graph=True)


@pytest.mark.parametrize(("rows", "parts"), [(15, 1), (15, 2), (3, 4), (1, 2), (64, 8)])
def test_parts_hold_each_row_once_and_are_alike_in_size(rows: int, parts: int) -> None:
    images = torch.randperm(rows)
    cuts = cut(images, images + 100, parts)
    assert len({len(part.images) for part in cuts}) == 1
    counted = [part.images[part.counted] for part in cuts]
    assert sorted(torch.cat(counted).tolist()) == list(range(rows))
    assert all(torch.equal(part.copies, part.images + 100) for part in cuts)
    # the mean over parts of what counts in each is the mean over the rows
    values = torch.arange(rows).double()
    means = [(values[part.images] * part.counted).mean() * part.padded for part in cuts]
    assert float(torch.stack(means).mean()) == pytest.approx(float(values.mean()))


def test_one_process_is_alone_unless_it_was_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    assert type(processes()) is Processes
    monkeypatch.setattr(module, "LaunchedProcesses", lambda: "launched")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes() == "launched"
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert processes() == "launched"


def test_launched_without_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(Exception, match=r"needs the package 'accelerate': .*workzone\[train\]"):
        LaunchedProcesses()


def test_compiled_code_learns_what_plain_code_learns() -> None:
    plain = dataclasses.replace(CONFIG, accumulate=1, epochs=1, batch=16)
    compiled = fit(made_examples(), FOLDS, dataclasses.replace(plain, compile=True)).detector
    for name, value in fit(made_examples(), FOLDS, plain).detector.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-4, atol=1e-6)


def test_mixed_precision_learns_nearly_the_same() -> None:
    plain = fit(made_examples(), FOLDS, CONFIG)
    mixed = fit(made_examples(), FOLDS, dataclasses.replace(CONFIG, precision="bfloat16"))
    differences = [
        float((mixed.detector.state_dict()[name] - value).abs().max())
        for name, value in plain.detector.state_dict().items()
    ]
    assert 0 < max(differences) < 0.05
    assert all(v.dtype == torch.float32 for v in mixed.detector.state_dict().values())


def test_settings_that_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="compile: sophia needs second derivatives"):
        TrainConfig(compile=True, optimizer=OptimizerConfig(name="sophia"))
    with pytest.raises(UsageError, match="weather: stored features have seen theirs; train from"):
        TrainConfig(weather=WeatherConfig(rain=0.5))
    with pytest.raises(UsageError, match="augment: mixup and cutmix mix stored features; leave"):
        TrainConfig(adapters=AdapterConfig(), augment=AugmentConfig(mixup=0.2))
    with pytest.raises(UsageError, match="accumulate=65: more passes than batch=64"):
        TrainConfig(accumulate=65)
    with pytest.raises(UsageError, match="precision='float16' is not known; did you mean 'bfl"):
        TrainConfig(precision="float16")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"workers=-1, allowed: 0 to 256; checkpoints=0"):
        RunConfig(workers=-1, checkpoints=0)
