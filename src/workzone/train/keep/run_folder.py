"""The folder of a run: what was asked for, with what, on what, and how far it is."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import BaseFileLock

import workzone
from workzone.config import differences
from workzone.errors import UsageError, WorkzoneError
from workzone.files import hold, write_text
from workzone.train.keep.checkpoints import Tensors, Values, read_state, write_state
from workzone.train.settings import TrainConfig

_PACKAGES = (
    "accelerate",
    "lion-pytorch",
    "numpy",
    "peft",
    "pytorch-optimizer",
    "safetensors",
    "schedulefree",
    "timm",
    "torch",
    "torchvision",
    "transformers",
)


@dataclass
class RunFolder:
    """::

    config.yaml         the resolved settings, for `workzone train --config`
    data.json           what is learned from: hash and size of the manifest, features, split
    environment.json    versions, machine, git revision, command line
    log.jsonl           a line per step and per epoch
    teacher.json        log-odds of each image by its content hash, where a teacher judged them
    checkpoints/        of the training that is going on
    learned/            what the finished trainings came to, one file each
    report.html         at the end
    """

    path: Path
    _held: BaseFileLock | None = None

    @classmethod
    def open(
        cls, path: Path, config: TrainConfig, data: Mapping[str, Any], *, restart: bool = False
    ) -> RunFolder:
        """Begin a run, or go on with the one that was stopped here.

        A run that was finished here is replaced.

        Args:
            path: of the folder.
            config: the settings; but for ``run`` they must be those of the run that goes on.
            data: what is learned from, as plain values; likewise.
            restart: drop a run that was stopped here.

        Raises:
            UsageError: a run with other settings or data was stopped here, the folder is something
                else, or another process is using it.
        """
        folder = cls(path)
        there = path / "config.yaml"
        ours = (path / "lock").exists()  # the first file of a run, and the last to go
        if path.exists() and not ours and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(f"{path} is not a run's folder; name another output")
        settings: dict[str, Any] = _plain(dataclasses.asdict(config))
        folder._lock()
        if restart or (path / "finished").exists() or not there.exists():
            folder._clear()
        elif changed := "; ".join(folder._changes(settings, _plain(data))):
            folder.close()
            raise UsageError(
                f"{path} holds an unfinished run of other settings ({changed}): give those "
                "again to go on with it, --restart to drop it, or another output"
            )
        write_text(path / "environment.json", json.dumps(_environment(), indent=2) + "\n")
        write_text(path / "data.json", json.dumps(dict(data), indent=2) + "\n")
        write_text(there, yaml.safe_dump(settings, sort_keys=False))
        return folder

    def _changes(self, settings: dict[str, Any], data: dict[str, Any]) -> Iterator[str]:
        before = yaml.safe_load((self.path / "config.yaml").read_text())
        yield from differences(before | {"run": None}, settings | {"run": None})
        yield from differences(json.loads((self.path / "data.json").read_text()), data)

    def _clear(self) -> None:
        (self.path / "config.yaml").unlink(missing_ok=True)  # without it nothing goes on
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

    def _lock(self) -> None:
        """Until `close`, or the end of this process."""
        try:
            self._held = hold(self.path / "lock")
        except TimeoutError as error:
            raise UsageError(
                f"another process is training in {self.path}; wait for it, or name another output"
            ) from error

    def close(self) -> None:
        """Let others train here."""
        if self._held is not None:
            self._held.release()

    @property
    def log(self) -> Path:
        """A JSON line per step and per epoch."""
        return self.path / "log.jsonl"

    @property
    def teacher(self) -> Path:
        """What a teacher said of the images, where there is one."""
        return self.path / "teacher.json"

    def write_result(self, name: str, tensors: Tensors, values: Values) -> None:
        """Keep what one training came to."""
        write_state(self.path / "learned" / f"{name}.safetensors", tensors, values)

    def read_result(self, name: str) -> tuple[Tensors, Values] | None:
        """What `write_result` kept; None: it is not finished."""
        path = self.path / "learned" / f"{name}.safetensors"
        if not path.exists():
            return None
        try:
            return read_state(path)
        except WorkzoneError as error:
            raise WorkzoneError(f"{error}; begin anew with --restart") from error

    def finish(self) -> None:
        """The run is over: the next one in this folder begins anew."""
        write_text(self.path / "finished", "")


def _plain(tree: Any) -> Any:
    """As JSON gives it back: lists for tuples."""
    return json.loads(json.dumps(tree))


def _environment() -> dict[str, Any]:
    return {
        "workzone": workzone.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "packages": dict(_versions()),
        "git": _git(),
        "command": sys.argv,
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _git() -> str | None:
    """Revision of the working folder, ``-dirty`` where files differ; None: not under git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None
