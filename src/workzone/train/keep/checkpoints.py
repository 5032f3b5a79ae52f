"""Checkpoints: one file each, whole or not there; the newest few and the best are kept."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from workzone.errors import WorkzoneError
from workzone.files import writing

logger = logging.getLogger(__name__)

Tensors = dict[str, torch.Tensor]
Values = dict[str, Any]

_DAMAGES = (OSError, SafetensorError, ValueError, KeyError, TypeError)
_PATTERN = re.compile(r"step-(\d+)\.safetensors")


@dataclass(frozen=True)
class Checkpoints:
    """Of one training, in a folder of their own.

    A checkpoint is a safetensors file whose header holds the plain values as JSON; nothing in it is
    ever unpickled. It is written aside, flushed and renamed: a kill at any moment leaves the last
    one as it was.
    """

    folder: Path
    newest: int = 3  # kept, beside the best

    def save(self, step: int, tensors: Mapping[str, torch.Tensor], values: Values) -> Path:
        """Write the checkpoint of a step, then drop those no longer needed.

        Args:
            step: its number.
            tensors: on the processor.
            values: plain ones; ``history``, the validation losses so far, tells the best.

        Raises:
            WorkzoneError: the disk is full or the folder cannot be written; older ones stay.
        """
        path = self.folder / f"step-{step:09d}.safetensors"
        write_state(path, tensors, values)
        self._rotate()
        return path

    def latest(self) -> tuple[Tensors, Values] | None:
        """The newest that can be read; None: there is none. What cannot be read is said."""
        for path in reversed(self.paths()):
            try:
                return read_state(path)
            except WorkzoneError as error:
                logger.warning("%s; going on from the one before it", error)
        return None

    def paths(self) -> list[Path]:
        """Of the checkpoints, oldest first."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(path for path in found if _PATTERN.fullmatch(path.name))

    def remove(self) -> None:
        """Drop all: the training is over."""
        for path in [*self.paths(), *self._torn()]:
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _torn(self) -> list[Path]:
        """What kills left of files that were being written."""
        return list(self.folder.glob(".*.part")) if self.folder.is_dir() else []

    def _rotate(self) -> None:
        for path in self._torn():
            path.unlink()
        paths = self.paths()
        old = paths[: -self.newest]
        if old:
            losses = {path: _loss(path) for path in paths}
            best = min(paths, key=lambda path: (losses[path], path))
            for path in old:
                if path != best:
                    path.unlink()


def _loss(path: Path) -> float:
    """The last validation loss in a checkpoint; infinite where there is none."""
    try:
        history: list[float] = _values(path)["history"]
    except _DAMAGES:
        return float("inf")
    return history[-1] if history else float("inf")


def write_state(path: Path, tensors: Mapping[str, torch.Tensor], values: Values) -> None:
    """Write tensors and plain values as one safetensors file, whole or not at all."""
    with writing(path) as aside:
        safetensors.torch.save_file(dict(tensors), aside, metadata={"values": json.dumps(values)})


def read_state(path: Path) -> tuple[Tensors, Values]:
    """What `write_state` wrote.

    Raises:
        WorkzoneError: the file is missing or damaged.
    """
    try:
        return safetensors.torch.load_file(path), _values(path)
    except _DAMAGES as error:
        raise WorkzoneError(f"cannot read the checkpoint {path}: {error}") from error


def _values(path: Path) -> Values:
    with safe_open(path, "pt") as file:
        return dict(json.loads(file.metadata()["values"]))
