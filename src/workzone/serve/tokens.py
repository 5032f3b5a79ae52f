"""Bearer tokens from a file, read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from workzone.errors import UsageError
from workzone.serve.listed import FileState, read_if_changed
from workzone.serve.problems import Problem

SHORTEST = 16
"""Characters; a shorter token can be guessed."""


class Tokens:
    """Those of a file, one a line; lines that begin with # are left out."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UsageError: it cannot be read, holds no token, or one that is too short.
        """
        self._path = path
        self._state: FileState | None = None
        self._digests: list[bytes] = []
        self.reload()

    def reload(self) -> None:
        """Read the file again if it changed.

        Raises:
            UsageError: see the constructor; the tokens from before stay.
        """
        changed = read_if_changed(self._path, "tokens", self._state)
        if changed is None:
            return
        tokens, state = changed
        short = sum(len(token) < SHORTEST for token in tokens)
        if not tokens or short:
            why = f"{short} shorter than {SHORTEST} characters" if short else "none in it"
            raise UsageError(f"tokens {self._path}: {why}; write one a line")
        self._digests = [_digest(token) for token in tokens]
        self._state = state

    def check(self, authorization: str | None) -> None:
        """Make sure that a header ``Authorization`` holds one of the tokens.

        Raises:
            Problem: it does not.
        """
        kind, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        # All are compared, each in constant time: how long it takes says nothing.
        same = [hmac.compare_digest(given, digest) for digest in self._digests]
        if kind.lower() != "bearer" or not any(same):
            raise Problem(
                "unauthorised",
                "send one of the service's tokens in a header: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
