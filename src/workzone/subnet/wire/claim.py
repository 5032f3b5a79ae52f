"""What a signed request says of itself, and why one is refused."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SECOND = 1_000_000_000
"""Nanoseconds; nonces are nanoseconds since 1970."""


class Refused(Exception):  # noqa: N818 (as a Problem, it is an answer)
    """Why a request gets no prediction, as the wire tells it."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Name the HTTP status, a word for logs and metrics, and what to do.

        The message never repeats a signature or what was signed.
        """
        super().__init__(message)
        self.status, self.code, self.headers = status, code, dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class Claim(abc.ABC):
    """A request's headers, well formed and not yet believed."""

    hotkey: str
    nonce: int
    """Nanoseconds since 1970, when it was signed."""
    signature: bytes
    seconds: float | None = None
    """How long the caller waits for the answer, if it says so."""

    @property
    @abc.abstractmethod
    def once(self) -> str:
        """What no other request of any caller may have."""

    @abc.abstractmethod
    def check_receiver(self, receiver: str) -> None:
        """Make sure that it was meant for the hotkey ``receiver``.

        Raises:
            Refused: 401.
        """

    @abc.abstractmethod
    def check_fresh(self, now: int) -> None:
        """Make sure that it was signed a moment before ``now``.

        Raises:
            Refused: 401.
        """

    @abc.abstractmethod
    def check_signature(self, body: bytes, receiver: str) -> None:
        """Make sure that the hotkey signed it.

        Raises:
            Refused: 401.
        """

    @abc.abstractmethod
    def check_fields(self, fields: Mapping[str, Any]) -> None:
        """Make sure that the body is what was hashed, as far as its sender hashed it.

        Raises:
            Refused: 401.
        """


def decimal(text: str | None, name: str) -> int:
    """The value of a header that holds a number above 0.

    Raises:
        Refused: 401, it holds none.
    """
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 21):
        raise malformed(f"{name} is missing or no number")
    return int(text)


def signature_of(text: str | None, name: str) -> bytes:
    """The bytes of a header that holds hexadecimal digits, with 0x or without.

    Raises:
        Refused: 401, it holds none.
    """
    if not text:
        raise malformed(f"{name} is missing: sign the request")
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise malformed(f"{name} is no hexadecimal number") from None


def malformed(message: str) -> Refused:
    """Headers that say nothing."""
    return Refused(401, "unsigned", message)


def wrong_receiver() -> Refused:
    """Headers that were signed for somebody else."""
    return Refused(401, "wrong-receiver", "the request was signed for another hotkey than this one")


def wrong_signature() -> Refused:
    """A signature that is another's, or of something else."""
    return Refused(401, "bad-signature", "the signature is not of this hotkey over this request")


def check_age(nonce: int, now: int, *, back: float, ahead: float) -> None:
    """Make sure that a nonce is at most so many seconds old, or ahead of this clock.

    Raises:
        Refused: 401.
    """
    age = (now - nonce) / SECOND
    if age > back:
        raise Refused(401, "stale", f"the nonce is {age:.1f} s old, at most {back:g} s are taken")
    if -age > ahead:
        raise Refused(
            401,
            "stale",
            f"the nonce is {-age:.1f} s ahead of this clock, at most {ahead:g} s are taken",
        )
