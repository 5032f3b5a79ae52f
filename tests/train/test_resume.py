"""A training that is stopped, by whatever means, goes on as if it never had been."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from train.resume_job import made_examples
from workzone.errors import DivergedError, TrainingError, UsageError, WorkzoneError
from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.encoder.config import EncoderConfig
from workzone.train import loop
from workzone.train.feed.sampling import SamplingConfig
from workzone.train.fit import Fit, fit
from workzone.train.judging import Validation
from workzone.train.keep import state as states
from workzone.train.keep.checkpoints import Checkpoints, read_state
from workzone.train.keep.run_folder import RunFolder
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.optim.schedules import ScheduleConfig
from workzone.train.processes import Processes
from workzone.train.session import Session
from workzone.train.settings import RunConfig, TrainConfig

SHAPE = DetectorConfig(
    projection=16,
    dropout=0.2,
    encoder=EncoderConfig(
        width=16,
        depth=1,
        heads=2,
        kv_heads=1,
        feed_forward=32,
        experts=2,
        expert_width=16,
        positions="none",
        dropout=0.1,
    ),
)
CONFIG = TrainConfig(
    detector=SHAPE,
    batch=16,
    epochs=3,
    schedule=ScheduleConfig(name="cosine"),
    run=RunConfig(checkpoint_seconds=0),
)
FOLDS = [np.arange(0, 96, 2)]
OPTIMIZERS = ("adamw", "sophia", "muon", "lion", "schedulefree", "sgd")


class Stopped(Exception):
    """In place of a kill, within one process."""


class Alone(Processes):
    """Stops at the given call of `any`: between two steps, or in one."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def any(self, flag: bool) -> bool:
        self.calls -= 1
        if self.calls == 0:
            raise Stopped
        return flag


def settings(name: str, *, ema: bool = False, workers: int = 0) -> TrainConfig:
    own = OptimizerConfig(name=name, learning_rate=0.01)  # type: ignore[arg-type]
    schedule = ScheduleConfig(name="constant" if name == "schedulefree" else "cosine")
    run = RunConfig(checkpoint_seconds=0, workers=workers)
    return dataclasses.replace(CONFIG, optimizer=own, schedule=schedule, ema=0.9 * ema, run=run)


def weights(result: Fit) -> dict[str, bytes]:
    return {n: v.numpy().tobytes() for n, v in result.detector.state_dict().items()}


def run(config: TrainConfig, folder: Path | None = None, stop: int = 0) -> Fit:
    session = Session(processes=Alone(stop))
    if folder:
        session.keep(folder, config, {}, restart=False, services=())
    with session.open():
        return fit(made_examples(), FOLDS, config, session)


@pytest.fixture(autouse=True)
def unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written; only a power cut asks for the slow flush."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.mark.parametrize(
    ("name", "ema"),
    [
        (name, ema)
        for name in OPTIMIZERS
        for ema in (False, True)
        if not (ema and name == "schedulefree")  # it averages itself
    ],
)
def test_a_stopped_training_goes_on_bit_for_bit(name: str, ema: bool, tmp_path: Path) -> None:
    """Stopped three times: in the middle of an epoch, in a step, and in the last training."""
    config = settings(name, ema=ema)
    whole = run(config)
    for stop in (8, 15, 31):
        with pytest.raises(Stopped):
            run(config, tmp_path / "run", stop=stop)
    parts = run(config, tmp_path / "run")
    assert weights(parts) == weights(whole)
    assert parts.validation_losses == whole.validation_losses
    assert np.array_equal(parts.validation_probabilities, whole.validation_probabilities)


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Weights of a process that nobody kills: in this one threads may add in another order."""
    folder = tmp_path_factory.mktemp("unkilled")
    subprocess.run(resume_job(folder, workers=0), check=True)
    return safetensors_bytes(folder / "weights.safetensors")


@pytest.mark.parametrize(("workers", "steps"), [(0, (2, 5)), (2, (5,))])
def test_a_killed_process_goes_on_bit_for_bit(
    workers: int, steps: tuple[int, ...], unkilled: dict[str, bytes], tmp_path: Path
) -> None:
    """``kill -9`` in the middle of an epoch, once and twice."""
    command = resume_job(tmp_path, workers=workers)
    folder = tmp_path / "run" / "checkpoints"
    for step in steps:
        process = subprocess.Popen(command)
        try:
            while max(map(newest, folder.glob("*")), default=0) < step:
                assert process.poll() is None, "the training ended before it could be killed"
                time.sleep(0.005)
        finally:
            process.kill()
            process.wait()
    assert not (tmp_path / "weights.safetensors").exists()
    subprocess.run(command, check=True)
    assert safetensors_bytes(tmp_path / "weights.safetensors") == unkilled


def resume_job(folder: Path, *, workers: int) -> list[str]:
    """A command that trains in a folder, and goes on there."""
    tree = yaml.safe_dump(_plain(settings("adamw", ema=True, workers=workers)))
    script = str(Path(__file__).parent / "resume_job.py")
    return [sys.executable, script, tree, str(folder / "run"), str(folder / "weights.safetensors")]


def newest(folder: Path) -> int:
    paths = Checkpoints(folder).paths()
    return int(paths[-1].stem.removeprefix("step-")) if paths else 0


def safetensors_bytes(path: Path) -> dict[str, bytes]:
    import safetensors.torch

    return {n: v.numpy().tobytes() for n, v in safetensors.torch.load_file(path).items()}


def _plain(config: TrainConfig) -> Any:
    import json

    return json.loads(json.dumps(dataclasses.asdict(config)))


def save_forever(folder: Path, ready: Any) -> None:
    """Save without end, so that a kill falls anywhere in it."""
    checkpoints = Checkpoints(folder)
    step = newest(folder)
    ready.set()
    while True:
        step += 1
        tensors = {f"part/{i}": torch.full((64, 64), float(step)) for i in range(4)}
        checkpoints.save(step, tensors, {"step": step, "history": [1 / step]})


def test_fifty_kills_while_saving_leave_a_checkpoint_that_loads(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    random = np.random.default_rng(0)
    before = 0
    for _ in range(50):
        ready = context.Event()
        process = context.Process(target=save_forever, args=(tmp_path, ready))
        process.start()
        ready.wait(30)
        time.sleep(float(random.uniform(0, 0.02)))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        found = Checkpoints(tmp_path).latest()
        if found is None:
            assert before == 0  # killed before the first was whole
            continue
        tensors, values = found
        assert values["step"] >= before
        before = values["step"]
        assert all(bool((value == before).all()) for value in tensors.values())
    assert before > 20


def test_sigterm_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    config = dataclasses.replace(settings("adamw"), run=RunConfig())  # nothing saved by time
    session = Session()
    session.keep(tmp_path / "run", config, {}, restart=False, services=())

    class Signalled(Processes):
        calls = 0

        def any(self, flag: bool) -> bool:
            self.calls += 1
            if self.calls == 6:
                os.kill(os.getpid(), signal.SIGTERM)
            return flag

    session.processes = Signalled()
    told = r"stopped at step \d of fold-1-of-1; all is saved in .*run: give the same command again"
    with pytest.raises(TrainingError, match=told), session.open():
        fit(made_examples(), FOLDS, config, session)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert weights(run(config, tmp_path / "run")) == weights(run(config))


def test_the_newest_few_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, newest=2)
    losses = [0.9, 0.5, 0.7, 0.8, 0.6]
    for step, _ in enumerate(losses, 1):
        checkpoints.save(step, {"x": torch.zeros(1)}, {"history": losses[:step]})
    assert [path.stem for path in checkpoints.paths()] == [
        "step-000000002",
        "step-000000004",
        "step-000000005",
    ]


def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        path = checkpoints.save(step, {"x": torch.full((4,), step)}, {"history": []})
    path.write_bytes(path.read_bytes()[:-3])
    found = checkpoints.latest()
    assert found is not None and found[0]["x"].tolist() == [1] * 4
    assert "step-000000002.safetensors" in caplog.text and "one before it" in caplog.text
    with pytest.raises(WorkzoneError, match=r"cannot read the checkpoint .*000002"):
        read_state(path)


def test_other_settings_are_refused_until_told_to_restart(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    RunFolder.open(folder, CONFIG, {"rows": 5}).close()
    other = dataclasses.replace(CONFIG, batch=8)
    with pytest.raises(UsageError, match=r"other settings \(batch: 16 -> 8; rows: 5 -> 6\)"):
        RunFolder.open(folder, other, {"rows": 6})
    later = dataclasses.replace(CONFIG, run=RunConfig(workers=2))
    RunFolder.open(folder, later, {"rows": 5}).close()  # how it is carried out may change
    (folder / "learned").mkdir()
    RunFolder.open(folder, other, {"rows": 6}, restart=True)
    assert not (folder / "learned").exists()
    assert yaml.safe_load((folder / "config.yaml").read_text())["batch"] == 8


def test_a_finished_run_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = RunFolder.open(folder, CONFIG, {})
    first.finish()
    with pytest.raises(UsageError, match=r"another process is training in .*run; wait for it"):
        RunFolder.open(folder, CONFIG, {})
    first.close()
    RunFolder.open(folder, dataclasses.replace(CONFIG, batch=8), {})
    assert not (folder / "finished").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    with pytest.raises(UsageError, match="is not a run's folder"):
        RunFolder.open(tmp_path, CONFIG, {}, restart=True)


def test_what_a_kill_left_half_made_is_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("lock", "data.json", "environment.json"):  # killed before config.yaml
        (folder / name).write_text("")
    RunFolder.open(folder, CONFIG, {"rows": 5}).close()
    assert (folder / "data.json").read_text()
    checkpoints = Checkpoints(folder / "checkpoints")
    checkpoints.save(1, {"x": torch.zeros(1)}, {"history": []})
    torn = folder / "checkpoints" / ".step-000000002.safetensors.77.part"
    torn.write_bytes(b"half")
    checkpoints.save(3, {"x": torch.zeros(1)}, {"history": []})
    assert not torn.exists()
    torn.write_bytes(b"half")
    checkpoints.remove()
    assert not (folder / "checkpoints").exists()


def test_a_damaged_result_says_how_to_begin_anew(tmp_path: Path) -> None:
    folder = RunFolder.open(tmp_path / "run", CONFIG, {})
    folder.write_result("fold-1-of-1", {"x": torch.zeros(4)}, {"losses": []})
    path = tmp_path / "run" / "learned" / "fold-1-of-1.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WorkzoneError, match=r"cannot read .*fold-1-of-1.*; begin anew with --res"):
        folder.read_result("fold-1-of-1")
    folder.close()


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_is_named_and_its_batch_kept(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"loss": Detector.penalty, "gradient": loop.gradient_norm}[what]
    calls = itertools.count()

    def broken(*arguments: Any, **weights: float) -> torch.Tensor:
        value: torch.Tensor = plain(*arguments, **weights)
        return value * torch.nan if next(calls) == 4 else value

    where = {"loss": (Detector, "penalty"), "gradient": (loop, "gradient_norm")}[what]
    monkeypatch.setattr(*where, broken)
    config = dataclasses.replace(settings("adamw"), accumulate=1)
    with pytest.raises(
        DivergedError,
        match=rf"the {what} became nan in step 4 \(epoch 1, images \d+, .* 11 more\); lower the "
        r"learning rate \(0.01\) or set gradient_clip; the batch is kept in .*bad-batch.json",
    ):
        run(config, tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "bad-batch.json").read_text())
    assert kept["step"] == 4 and len(kept["samples"]) == 16
    tensors = safetensors.torch.load_file(tmp_path / "run" / "bad-batch.safetensors")
    expected = made_examples().features[made_examples().rows[kept["samples"], kept["copies"]]]
    assert torch.equal(tensors["features"], expected)


def test_a_validation_loss_that_is_no_number_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Validation(
        loss=math.nan,
        cross_entropy=math.nan,
        mask_loss=None,
        mask_iou=None,
        probabilities=np.full(48, 0.5),
    )
    monkeypatch.setattr(loop, "validate", lambda *_: seen)
    with pytest.raises(DivergedError, match="validation loss became nan in epoch 0; lower the le"):
        run(settings("adamw"))


def test_a_checkpoint_of_another_model_is_named(tmp_path: Path) -> None:
    def state(width: int) -> states.State:
        detector = Detector(DetectorConfig(width=width))
        optimizer = torch.optim.AdamW(detector.parameters())
        return states.State(
            module=detector, optimizer=optimizer, average=None, generator=torch.Generator()
        )

    tensors, values = state(4).pack(torch.get_rng_state()[None])
    with pytest.raises(TrainingError, match=r"(?s)does not fit the model .*size mismatch"):
        state(5).unpack(tensors, values)


def test_sampling_goes_on_too(tmp_path: Path) -> None:
    """Its draw depends on seed and epoch alone; the copies' draw on the generator."""
    from workzone.types import ImageRef, Sample

    samples = [
        Sample(id=str(i), image=ImageRef(path=f"{i}.jpg"), label=int(label), group=str(i % 9))
        for i, label in enumerate(made_examples().labels)
    ]
    examples = dataclasses.replace(made_examples(), samples=samples)
    config = dataclasses.replace(
        settings("adamw"), sampling=SamplingConfig(class_balance=True, group_balance=True)
    )
    whole = fit(examples, FOLDS, config)
    for stop in (12, 0):
        session = Session(processes=Alone(stop))
        session.keep(tmp_path / "run", config, {}, restart=False, services=())
        ends = pytest.raises(Stopped) if stop else contextlib.nullcontext()
        with ends, session.open():
            parts = fit(examples, FOLDS, config, session)
    assert weights(parts) == weights(whole)


def test_accumulated_passes_are_one_step() -> None:
    """Three passes of a third each, also where the batch does not divide."""
    plain = dataclasses.replace(
        settings("sgd"), detector=DetectorConfig(), batch=20, ema=0.0, precision="float32"
    )
    whole = run(plain)
    parts = run(dataclasses.replace(plain, accumulate=3))
    for name, value in whole.detector.state_dict().items():
        torch.testing.assert_close(parts.detector.state_dict()[name], value, rtol=1e-5, atol=1e-6)
