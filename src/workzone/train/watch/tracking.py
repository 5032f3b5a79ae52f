"""What is told while a model trains: a line of JSON per step and epoch, and whoever else asked."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from workzone.errors import WorkzoneError
from workzone.files import write_text
from workzone.train.watch.services import SERVICES, Service, check_services

logger = logging.getLogger(__name__)

LOG = "log.jsonl"
RUN_ID = "run-id"


class Listener(Protocol):
    """Whoever is told of steps and epochs."""

    def step(self, record: Mapping[str, Any]) -> None:
        """Of one optimizer step."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Of one epoch."""


class Tracker:
    """Writes `LOG` in a run's folder, and tells services and listeners; without a folder, nothing.

    A record is a mapping of names to numbers, texts, None, or lists of them; the loop gives:

    ====== =====================================================================================
    both   ``stage``; ``epoch``, from 0; ``step``, from 0 in each stage (of an epoch its last)
    step   ``loss`` and its parts ``cross_entropy``, ``penalty``, ``balance_loss``,
           ``mask_loss``; ``learning_rate``; ``gradient_norm``, before clipping;
           ``images_per_second``; ``expert_load``, ``kept_views`` of `workzone.train.watch.figures`
    epoch  ``validation_loss``, ``validation_auc``, ``validation_mcc``: of the weights that would be
           kept; ``averaged``, whether those are the moving average; ``best``, the lowest
           validation loss so far; with masks ``validation_mask_loss`` and ``validation_mask_iou``
    ====== =====================================================================================

    In the log ``event`` ("step" or "epoch") stands first, and what is not finite is null. Lines are
    handed to the operating system one by one, so that only a power cut can lose any.

    A service that fails (no network, say) is left alone after one warning: training goes on.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        services: Sequence[str] = (),
        position: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the log, after what it holds.

        Args:
            folder: of the run, made if need be; None: nothing is written, and no service told.
            services: of `SERVICES`, who else is told.
            position: see `rewind`; 0: the run begins; None: keep all whole lines.
            settings: of the run, for the services that show them.

        Raises:
            UsageError: an unknown service.
            MissingExtraError: a service's package is not installed.
            WorkzoneError: the log cannot be written.
        """
        check_services(services)
        self._listeners: list[Listener] = []
        self._services: dict[str, Service] = {}
        self._lines = 0
        self._file: IO[bytes] | None = None
        if folder is None:
            return
        self._path = folder / LOG
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("r+b" if self._path.exists() else "w+b", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from error
        if services:
            begins = position == 0 or self._path.stat().st_size == 0
            run_id = _run_id(folder / RUN_ID, anew=begins)
            for name in dict.fromkeys(services):
                with self._never_fatal(name):
                    self._services[name] = SERVICES[name](folder, run_id, settings or {})
        self.rewind(_whole_lines(self._file) if position is None else position)

    def listen(self, listener: Listener) -> None:
        """Tell a listener too, from now on."""
        self._listeners.append(listener)

    def step(self, record: Mapping[str, Any]) -> None:
        """Tell of one optimizer step."""
        for listener in self._listeners:
            listener.step(record)
        self._tell({"event": "step", **record})

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Tell of one epoch."""
        for listener in self._listeners:
            listener.epoch(record)
        self._tell({"event": "epoch", **record})

    def position(self) -> int:
        """Bytes of the log, all of them on the disk by now; 0 without a folder.

        Kept in a checkpoint, it is what `rewind` is given when a run goes on.
        """
        if self._file is None:
            return 0
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        return self._file.tell()

    def rewind(self, position: int) -> None:
        """Forget what was told after a checkpoint, for it will be told again.

        So the log has each step once, however often a run was stopped. TensorBoard is told to drop
        the same steps, Weights & Biases keeps those that it has; trackio gets them twice, equal.

        Args:
            position: bytes, of `position`. Where the log is shorter (somebody cut it), it goes on
                from its end.

        Raises:
            WorkzoneError: the log cannot be written.
        """
        if self._file is None:
            return
        size = _whole_lines(self._file)
        if size < position:
            logger.warning("%s lost its last %d bytes; it goes on", self._path, position - size)
        try:
            self._file.truncate(min(size, position))
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._unwritable(error) from error
        if self._services:
            kept = read_log(self._path)
            self._lines = len(kept)
            last = {record["stage"]: record["step"] for record in kept}
            for name, service in list(self._services.items()):
                with self._never_fatal(name):
                    service.rewind(last)

    def close(self) -> None:
        """Let services finish, and close the log; a closed tracker tells nobody anything."""
        for name, service in list(self._services.items()):
            with self._never_fatal(name):
                service.close()
        self._services, self._listeners = {}, []
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tell(self, record: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        record = {name: plain(value) for name, value in record.items()}
        line = json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"
        try:
            self._file.write(line.encode())
        except OSError as error:
            raise self._unwritable(error) from error
        for name, service in list(self._services.items()):
            with self._never_fatal(name):
                service.tell(self._lines, record)
        self._lines += 1

    def _unwritable(self, error: OSError) -> WorkzoneError:
        return WorkzoneError(
            f"cannot write {self._path}: {error.strerror or error}. "
            "Free some space, or name another place to write to."
        )

    @contextlib.contextmanager
    def _never_fatal(self, name: str) -> Iterator[None]:
        """Whatever a service raises inside is said once, and the service is left alone."""
        try:
            yield
        except WorkzoneError:  # such as a package that is not installed
            raise
        except Exception as error:
            logger.warning(
                "%s is told nothing more (%s: %s); training goes on, and %s has all",
                *(name, type(error).__name__, error, self._path),
            )
            self._services.pop(name, None)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a log, in order; a last line that is not whole is left out.

    Raises:
        WorkzoneError: the file cannot be read, or a line is no record of a `Tracker`.
    """
    return list(_records(path))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                number += 1
                if not line.endswith(b"\n"):
                    return
                record = json.loads(line)
                if not isinstance(record, dict) or not {"event", "stage", "step"} <= record.keys():
                    raise ValueError("no record of a training")
                yield record
    except OSError as error:
        raise WorkzoneError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise WorkzoneError(
            f"{path}, line {number}: {error}; give a {LOG} that `workzone train` wrote"
        ) from error


def plain(value: Any) -> Any:
    """As JSON has it: tensors and arrays as lists, null for what is not finite."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _run_id(path: Path, *, anew: bool) -> str:
    """What services know a run by, which stays the same when it goes on."""
    if anew or not path.exists():
        write_text(path, secrets.token_hex(4))
    return path.read_text(encoding="utf-8")


def _whole_lines(file: IO[bytes]) -> int:
    """Bytes up to the end of the last whole line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
