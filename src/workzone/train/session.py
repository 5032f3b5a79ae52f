"""What surrounds a training: processes, checkpoints, the log, and the wish to stop."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from workzone.errors import DivergedError, TrainingError
from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.make import make_detector
from workzone.train.batches import Batch
from workzone.train.feed.examples import Examples
from workzone.train.keep.checkpoints import Checkpoints
from workzone.train.keep.interruption import Interruption
from workzone.train.keep.run_folder import RunFolder
from workzone.train.keep.state import State, whole
from workzone.train.parts import Kept
from workzone.train.processes import Processes, set_generators, state_of_generators
from workzone.train.protection import save_bad_batch
from workzone.train.settings import RunConfig, TrainConfig
from workzone.train.watch.tracking import Listener, Tracker


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A detector in evaluation mode, and how it came about."""

    detector: AnyDetector
    parts: Mapping[str, Kept]  # how good they were on the validation rows; what was kept

    @property
    def losses(self) -> list[float]:
        """On the validation rows, per epoch, of the part that decides on road work."""
        return next(iter(self.parts.values())).losses


@dataclass(kw_only=True)
class Session:
    """Of one call of training; by default one process that keeps nothing on disk."""

    processes: Processes = field(default_factory=Processes)
    make_detector: Callable[[DetectorConfig], AnyDetector] = make_detector  # untrained
    folder: RunFolder | None = None
    tracker: Tracker = field(default_factory=Tracker)
    log_end: int = 0  # of the log, where the last finished training ends
    interruption: Interruption = field(default_factory=Interruption)

    def keep(
        self,
        path: Path,
        config: TrainConfig,
        data: Mapping[str, Any],
        *,
        restart: bool,
        services: Sequence[str],
    ) -> None:
        """Keep the run in a folder, see `RunFolder.open`, and tell services of it."""
        self.folder = RunFolder(path)
        if self.processes.is_main:
            self.folder = RunFolder.open(path, config, data, restart=restart)
            settings = dataclasses.asdict(config)
            self.tracker = Tracker(path, services=services, settings=settings)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """While inside, a stop can be asked for; then log and folder are closed."""
        try:
            with self.interruption.listening():
                yield
        finally:
            self.tracker.close()
            if self.folder is not None:
                self.folder.close()

    def stage(self, name: str, run: RunConfig) -> Stage:
        """One training of several, by a name that can be a file's."""
        checkpoints = None
        if self.folder is not None:
            checkpoints = Checkpoints(self.folder.path / "checkpoints" / name, run.checkpoints)
        return Stage(self, name, self.tracker, checkpoints, run.checkpoint_seconds)


@dataclass
class Stage:
    """One training: on one fold, or on everything."""

    session: Session
    name: str
    tracker: Listener  # told of steps and epochs
    checkpoints: Checkpoints | None = None
    seconds: float = 60.0  # from one checkpoint to the next
    _saved: float = field(default_factory=time.monotonic)

    def restore(self, state: State) -> None:
        """Go on from the newest checkpoint, if there is one."""
        found = None if self.checkpoints is None else self.checkpoints.latest()
        if found is None:
            self.session.tracker.rewind(self.session.log_end)
            return
        tensors, values = found
        self.session.tracker.rewind(values["log"])
        state.unpack(tensors, values)
        set_generators(self.session.processes, tensors["random/global"])

    def between_steps(self, state: State) -> None:
        """Save if it is time to; stop if that was asked for.

        Raises:
            TrainingError: it was; all is saved, and the message says how to go on.
        """
        processes = self.session.processes
        stop = processes.any(self.session.interruption.asked)
        if self.checkpoints is not None:
            due = processes.any(time.monotonic() - self._saved >= self.seconds)
            if stop or due:
                self._save(state, self.checkpoints)
        if stop:
            where = f"step {state.step} of {self.name}"
            raise TrainingError(
                f"stopped at {where}; nothing was kept"
                if self.session.folder is None
                else f"stopped at {where}; all is saved in {self.session.folder.path}: give the "
                "same command again to go on"
            )

    def check_finite(
        self,
        what: str,
        value: torch.Tensor,
        state: State,
        examples: Examples,
        batch: Batch,
        config: TrainConfig,
    ) -> None:
        """Make sure that a scalar of a step is finite in every process.

        Raises:
            DivergedError: it is not; names the step's images, and where a part of them was kept
                by the process that saw it.
        """
        values = self.session.processes.gathered(value)
        broken = values[~torch.isfinite(values)]
        if not len(broken):
            return
        kept = ""
        if self.session.folder is not None:
            if not bool(torch.isfinite(value)):
                save_bad_batch(
                    self.session.folder.path,
                    examples=examples,
                    images=batch.part.images,
                    copies=batch.part.copies,
                    given=batch.given,
                    step=state.step,
                    epoch=state.epoch,
                    loss=value.item(),
                )
            kept = f"; the batch is kept in {self.session.folder.path / 'bad-batch.json'}"
        raise DivergedError(
            f"the {what} became {broken[0].item()} in step {state.step} (epoch {state.epoch}, "
            f"{examples.names(batch.part.step_images)}); lower the learning rate "
            f"({config.optimizer.learning_rate}) or set gradient_clip{kept}"
        )

    def _save(self, state: State, checkpoints: Checkpoints) -> None:
        tensors, values = state.pack(state_of_generators(self.session.processes))
        if self.session.processes.is_main:
            values["log"] = self.session.tracker.position()
            checkpoints.save(state.step, tensors, values)
        self._saved = time.monotonic()

    def finished(self, size: Callable[[], DetectorConfig]) -> Learned | None:
        """What this training came to, if it was finished before; ``size`` tells the detector."""
        folder = self.session.folder
        found = None if folder is None else folder.read_result(self.name)
        if found is None:
            return None
        tensors, values = found
        self.session.log_end = values["log"]
        detector = self.session.make_detector(size())
        detector.load_state_dict(tensors)
        parts = {name: Kept(**part) for name, part in values["parts"].items()}
        return Learned(detector=detector.eval(), parts=parts)

    def finish(self, learned: Learned) -> None:
        """Keep what this training came to, and drop its checkpoints."""
        processes = self.session.processes
        self.session.log_end = self.session.tracker.position()
        if self.session.folder is not None and processes.is_main:
            weights = learned.detector.state_dict()
            state = {name: whole(value) for name, value in weights.items()}
            values = {
                "parts": {name: dataclasses.asdict(part) for name, part in learned.parts.items()},
                "log": self.session.log_end,
            }
            self.session.folder.write_result(self.name, state, values)
        if self.checkpoints is not None and processes.is_main:
            self.checkpoints.remove()
        processes.wait()
