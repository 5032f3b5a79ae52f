"""Services that show a training while it runs: TensorBoard, Weights & Biases, trackio."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from workzone.errors import MissingExtraError, UsageError, nearest

PROJECT = "workzone"
"""What runs are filed under; W&B's own variable WANDB_PROJECT wins."""


class Service(Protocol):
    """Something that records are forwarded to."""

    def __init__(self, folder: Path, run_id: str, settings: Mapping[str, Any]) -> None:
        """Begin, or go on with the run of that id."""

    def tell(self, line: int, record: Mapping[str, Any]) -> None:
        """Forward the record of a line of the log, counted from 0."""

    def rewind(self, last_steps: Mapping[str, int]) -> None:
        """Go on after these steps, by stage; what came after them will be told again."""

    def close(self) -> None:
        """Wait until all is forwarded."""


class TensorBoard:
    """A run of TensorBoard for each stage, in the folder ``tensorboard``: curves lie one over the
    other. See ``tensorboard --logdir``.
    """

    def __init__(self, folder: Path, run_id: str, settings: Mapping[str, Any]) -> None:
        _package("tensorboard")
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard import SummaryWriter

        self._make_summary, self._make_writer = Summary, SummaryWriter
        self._folder = folder / "tensorboard"
        self._writers: dict[str, Any] = {}
        self._last_steps: Mapping[str, int] = {}

    def tell(self, line: int, record: Mapping[str, Any]) -> None:
        """As scalars at the record's step."""
        stage = str(record["stage"])
        if stage not in self._writers:
            self._writers[stage] = self._make_writer(
                str(self._folder / stage.replace("/", "-")),
                purge_step=self._last_steps.get(stage, -1) + 1,
            )
        # One event of all: as many calls of add_scalar take as long as a small detector's step.
        values = [{"tag": name, "simple_value": value} for name, value in scalars(record)]
        self._writers[stage].file_writer.add_summary(
            self._make_summary(value=values), record["step"]
        )
        if record["event"] == "epoch":
            self._writers[stage].flush()

    def rewind(self, last_steps: Mapping[str, int]) -> None:
        """A writer that is opened anew makes TensorBoard drop the steps from there on."""
        self.close()
        self._writers, self._last_steps = {}, last_steps

    def close(self) -> None:
        """Write all of it."""
        for writer in self._writers.values():
            writer.close()


class WandB:
    """Weights & Biases. A run that goes on keeps its id; W&B drops lines that it has already."""

    def __init__(self, folder: Path, run_id: str, settings: Mapping[str, Any]) -> None:
        self._run = _package("wandb").init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(folder),
            id=run_id,
            name=folder.stem,
            resume="allow",
            config=dict(settings),
        )

    def tell(self, line: int, record: Mapping[str, Any]) -> None:
        """Under the stage's name."""
        self._run.log(by_stage(record), step=line)

    def rewind(self, last_steps: Mapping[str, int]) -> None:
        """Nothing to do: see the class."""

    def close(self) -> None:
        """Wait for the upload."""
        self._run.finish()


class Trackio:
    """trackio, which keeps runs on this machine. See ``trackio show``."""

    def __init__(self, folder: Path, run_id: str, settings: Mapping[str, Any]) -> None:
        self._trackio = _package("trackio")
        self._trackio.init(
            project=PROJECT, name=f"{folder.stem}-{run_id}", resume="allow", config=dict(settings)
        )

    def tell(self, line: int, record: Mapping[str, Any]) -> None:
        """Under the stage's name."""
        self._trackio.log(by_stage(record), step=line)

    def rewind(self, last_steps: Mapping[str, int]) -> None:
        """Nothing to do: lines are told again, with the same numbers."""

    def close(self) -> None:
        """Wait until all is kept."""
        self._trackio.finish()


SERVICES: dict[str, type[Service]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WandB,
}
"""By name, which is that of the package and of the extra."""


def check_services(names: Sequence[str]) -> None:
    """Make sure that all are known and installed, before anything long begins.

    Raises:
        UsageError: an unknown service.
        MissingExtraError: a service's package is not installed.
    """
    for name in names:
        if name not in SERVICES:
            raise UsageError(f"cannot track with {name!r}; {nearest(name, SERVICES)}")
        _package(name)


def by_stage(record: Mapping[str, Any]) -> dict[str, float]:
    """A record's numbers as ``stage/name``, the step among them, to draw the others over."""
    stage = record["stage"]
    return {f"{stage}/{name}": value for name, value in scalars(record)} | {
        f"{stage}/step": record["step"]
    }


def scalars(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a record but its step; those of a list as ``name/0``, ``name/1``, ..."""
    for name, value in record.items():
        if name not in ("event", "stage", "step"):
            yield from _scalars(name, value)


def _scalars(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _scalars(f"{name}/{number}", item)
    elif isinstance(value, int | float):
        yield name, float(value)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(name, name, f"tracking with {name}") from error
