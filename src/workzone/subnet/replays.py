"""Requests that were accepted, on disk: none is accepted twice, not after a kill -9 either."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from pathlib import Path

from workzone.errors import WorkzoneError
from workzone.subnet.wire.claim import SECOND

KEPT = 240
"""Seconds that a request is remembered at least: longer than one is fresh on any wire."""
_SWEEP = 1_000
"""Requests between two looks at what may be forgotten."""


class Replays:
    """A file of accepted requests, for any number of threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            WorkzoneError: it cannot be made, or is none.
        """
        self._path, self._lock, self._since = path, threading.Lock(), 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(
                path, timeout=10, isolation_level=None, check_same_thread=False
            )
            # FULL: a request is on the disk before it is answered, whatever ends the machine.
            self._base.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                "CREATE TABLE IF NOT EXISTS seen (once BLOB PRIMARY KEY, nonce INTEGER)"
                " WITHOUT ROWID;"
                "CREATE TABLE IF NOT EXISTS floor (nonce INTEGER);"
            )
            found = self._base.execute("SELECT max(nonce) FROM floor").fetchone()
        except (OSError, sqlite3.Error) as error:
            raise WorkzoneError(
                f"accepted requests cannot be kept in {path}: {error}. Name another --state, or "
                "move the file away"
            ) from error
        self._floor: int = found[0] or 0

    def accept(self, once: str, nonce: int) -> bool:
        """Remember a request; False: it was accepted before, or is older than what is remembered.

        Args:
            once: what no other request has, see `Claim.once`.
            nonce: nanoseconds since 1970.

        Raises:
            WorkzoneError: it cannot be written down, so that it must not be answered.
        """
        digest = hashlib.sha256(once.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            if nonce <= self._floor:
                return False
            try:
                self._base.execute("INSERT INTO seen VALUES (?, ?)", (digest, nonce))
                self._since += 1
                if self._since >= _SWEEP:
                    self._sweep()
            except sqlite3.IntegrityError:
                return False
            except (sqlite3.Error, OverflowError) as error:
                raise WorkzoneError(f"{self._path}: a request cannot be kept: {error}") from error
        return True

    def _sweep(self) -> None:
        """Forget what is long over, and never take anything as old again."""
        self._since = 0
        newest = self._base.execute("SELECT max(nonce) FROM seen").fetchone()[0]
        floor = newest - KEPT * SECOND
        if floor <= self._floor:
            return
        with self._base:
            self._base.execute("BEGIN IMMEDIATE")
            self._base.execute("DELETE FROM seen WHERE nonce <= ?", (floor,))
            self._base.execute("DELETE FROM floor")
            self._base.execute("INSERT INTO floor VALUES (?)", (floor,))
        self._floor = floor

    def __len__(self) -> int:
        """How many requests are remembered."""
        with self._lock:
            return int(self._base.execute("SELECT count(*) FROM seen").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()
