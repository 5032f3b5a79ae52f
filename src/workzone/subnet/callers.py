"""Who may ask a miner: hotkeys of a file, or validators of the metagraph."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from workzone.config import from_mapping
from workzone.errors import UsageError, WorkzoneError
from workzone.files import write_text
from workzone.serve.listed import FileState, read_if_changed
from workzone.subnet.chain import Chain, Neuron
from workzone.subnet.keys import check_address

log = logging.getLogger("workzone.subnet")

REFRESH = 600.0
"""Seconds between two looks at the metagraph."""
_SOONER = 60.0
"""The same after one that failed."""


class Callers(Protocol):
    """Who may ask."""

    def why_not(self, hotkey: str) -> str:
        """Why a hotkey may not ask; "": it may."""


class ListedCallers:
    """Hotkeys of a file, one a line; lines that begin with # are left out."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UsageError: it cannot be read, or holds none, or what is no address.
        """
        self._path = path
        self._state: FileState | None = None
        self._next_look = 0.0
        self._hotkeys: frozenset[str] = frozenset()
        self._reload()

    def why_not(self, hotkey: str) -> str:
        """See `Callers`; the file is read again when it changes."""
        if time.monotonic() >= self._next_look:
            try:
                self._reload()
            except UsageError as error:
                log.error("%s; those from before go on", error)
        return "" if hotkey in self._hotkeys else "this hotkey is not on the list of callers"

    def _reload(self) -> None:
        self._next_look = time.monotonic() + 1
        changed = read_if_changed(self._path, "callers", self._state)
        if changed is None:
            return
        lines, state = changed
        hotkeys = [
            check_address(line.partition("#")[0].strip(), where=str(self._path)) for line in lines
        ]
        if not hotkeys:
            raise UsageError(f"callers {self._path}: none in it; write the hotkeys one a line")
        self._hotkeys, self._state = frozenset(hotkeys), state


class RegisteredCallers:
    """Validators of the subnet, as the metagraph names them.

    The last good answer of the chain is kept in a file, and taken where the chain does not answer.
    """

    def __init__(
        self, chain: Chain, copy: Path, *, stake: float = 0.0, permit: bool = True
    ) -> None:
        """Know nobody yet.

        Args:
            chain: that is asked.
            copy: file of the last good answer.
            stake: the least that a caller must have.
            permit: whether a caller needs a validator's permit.

        Raises:
            UsageError: a stake that is none.
        """
        if not 0 <= stake < math.inf:  # nothing is below NaN
            raise UsageError(f"--stake {stake}: give a number from 0 up")
        self._chain, self._copy, self._stake, self._permit = chain, copy, stake, permit
        self._neurons: dict[str, Neuron] = {}
        self._end = threading.Event()

    def why_not(self, hotkey: str) -> str:
        """See `Callers`."""
        neuron = self._neurons.get(hotkey)
        if neuron is None:
            return "this hotkey is not registered on the subnet"
        if self._permit and not neuron.permit:
            return "this hotkey has no validator permit"
        if neuron.stake < self._stake:
            return f"this hotkey's stake is below {self._stake:g}"
        return ""

    def load(self) -> None:
        """Ask the chain, or take what it said last.

        Raises:
            WorkzoneError: it does not answer, and never did.
        """
        try:
            self._refresh()
        except WorkzoneError as error:
            self._neurons = self._kept(error)

    def _refresh(self) -> None:
        neurons = list(self._chain.neurons())
        if not any(self._takes(neuron) for neuron in neurons):
            raise WorkzoneError(f"of {len(neurons)} registered hotkeys none may ask")
        self._neurons = {neuron.hotkey: neuron for neuron in neurons}
        rows = [vars(neuron) for neuron in neurons]
        try:
            write_text(self._copy, json.dumps({"time": time.time(), "neurons": rows}) + "\n")
        except WorkzoneError as error:
            log.error("%s; the chain's answer holds, and would be lost with this process", error)

    def _takes(self, neuron: Neuron) -> bool:
        return (neuron.permit or not self._permit) and neuron.stake >= self._stake

    def _kept(self, error: WorkzoneError) -> dict[str, Neuron]:
        try:
            said = json.loads(self._copy.read_bytes())
            age = (time.time() - said["time"]) / 3600
            rows = [from_mapping(Neuron, row, where=str(self._copy)) for row in said["neurons"]]
        except (OSError, ValueError, KeyError, TypeError, UsageError) as why:
            raise WorkzoneError(
                f"{error}; and no answer from before is in {self._copy} ({why}): ask again, or "
                "name callers with --allow FILE"
            ) from error
        log.error("%s; its answer from %.1f hours ago goes on", error, age)
        return {neuron.hotkey: neuron for neuron in rows}

    @contextmanager
    def refreshed(self, seconds: float = REFRESH) -> Iterator[None]:
        """Ask again and again meanwhile; an answer that does not come changes nothing.

        Raises:
            UsageError: seconds that nobody can wait.
        """
        if not 0 < seconds <= threading.TIMEOUT_MAX:
            raise UsageError(f"--refresh {seconds}: give seconds above 0, such as {REFRESH:.0f}")

        def ask() -> None:
            pause = seconds
            while not self._end.wait(pause):
                try:
                    self._refresh()
                    pause = seconds
                except Exception as error:  # whatever it is, the next answer may be right
                    unexpected = None if isinstance(error, WorkzoneError) else error
                    log.error("%s; the answer from before goes on", error, exc_info=unexpected)
                    pause = min(seconds, _SOONER)

        thread = threading.Thread(target=ask, name="metagraph", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()  # a question that hangs is not waited for
