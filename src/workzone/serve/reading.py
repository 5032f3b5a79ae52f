"""Bodies as they arrive: counted, timed, and never more in memory than is allowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from workzone.serve.config import Limits
from workzone.serve.problems import Problem

_FIELD_BYTES = 64_000
"""Of a form's field that is no file."""
DRAIN_BYTES = 16_000_000
"""Of a body that was refused, taken so that its sender sees the answer."""
_DRAIN_SECONDS = 2.0


class Held:
    """Counts the bytes of all bodies in memory, or of some ``within`` all of them."""

    def __init__(self, most: int, within: Held | None = None) -> None:
        self.most, self.within, self.bytes = most, within, 0

    def take(self, count: int) -> None:
        """Count some more.

        Raises:
            Problem: overloaded.
        """
        if self.bytes + count > self.most:
            raise Problem(
                "overloaded",
                f"the bodies in memory are at the limit of {self.most:,} bytes: ask again after "
                "Retry-After seconds",
                headers={"Retry-After": "1"},
                limit=self.most,
            )
        if self.within is not None:
            self.within.take(count)
        self.bytes += count

    def free(self, count: int) -> None:
        """Count some as gone."""
        self.bytes -= count
        if self.within is not None:
            self.within.free(count)


class Body:
    """The body of one request; what it takes is counted until `close`."""

    def __init__(
        self, request: Request, held: Held, limits: Limits, *, most: int, deadline: float
    ) -> None:
        """Refuse what can be refused by the headers.

        Args:
            request: that nothing has read from.
            held: what all requests share.
            limits: of the service.
            most: bytes of this body.
            deadline: of `time.monotonic`, by which all of it has to be there.

        Raises:
            Problem: compressed, or too large as it says itself.
        """
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise Problem(
                "unsupported-encoding",
                f"Content-Encoding {encoding[:40]!r}: send the body as it is; images are "
                "compressed already",
                headers={"Accept-Encoding": "identity"},
            )
        self.request = request
        self._held, self._most = held, most
        self._longest, self._deadline = limits.body_seconds, deadline
        self.taken = 0  # bytes
        told = request.headers.get("content-length", "")
        if told.isdecimal() and len(told) < 20 and int(told) > most:
            raise self._too_large()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it comes.

        Raises:
            Problem: too large, too slow, or too much is in memory.
            ClientDisconnect: the client is gone.
        """
        seconds = max(0.0, min(self._longest, self._deadline - time.monotonic()))
        try:
            async with asyncio.timeout(seconds):
                async for chunk in self.request.stream():
                    if self.taken + len(chunk) > self._most:
                        raise self._too_large()
                    self._held.take(len(chunk))
                    self.taken += len(chunk)
                    yield chunk
        except TimeoutError as error:
            raise Problem(
                "slow-body",
                f"the body was not there after {seconds:.1f} s: send it faster, or a smaller image",
                headers={"Connection": "close"},
                limit=round(seconds, 3),
            ) from error

    async def read(self) -> bytes:
        """All of it."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def form(self, *, files: int) -> FormData:
        """As a form of fields and up to so many files, all in memory.

        Raises:
            Problem: it is no such form.
        """
        parser = _InMemory(
            self.request.headers,
            self.chunks(),
            max_files=files,
            max_fields=8,
            max_part_size=_FIELD_BYTES,
        )
        try:
            return await parser.parse()
        except (MultiPartException, ValueError) as error:
            detail = error.message if isinstance(error, MultiPartException) else str(error)
            raise Problem("bad-request", f"the form cannot be read: {detail}") from error

    def prove(self) -> None:
        """Count what came as of a sender that is known, where it counted as of one that is not."""
        if self._held.within is not None:
            self._held.bytes -= self.taken
            self._held = self._held.within

    def close(self) -> None:
        """Its bytes are no longer in memory."""
        self._held.free(self.taken)

    def _too_large(self) -> Problem:
        return Problem(
            "body-too-large",
            f"at most {self._most:,} bytes are taken: send a smaller image, or fewer",
            headers={"Connection": "close"},
            limit=self._most,
        )


async def drain(request: Request, most: int = DRAIN_BYTES) -> bool:
    """Read on for a moment before a refusal: a client that still sends would miss the answer.

    Nothing is read from a client that waits for a word before it sends.

    Args:
        request: that is refused.
        most: bytes that are taken.

    Returns:
        Whether its body has ended.
    """
    if request.scope["workzone"]["expects"]:
        return False
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in request.stream():
                most -= len(chunk)
                if most < 0:
                    return False
    except (TimeoutError, ClientDisconnect):
        return False
    except RuntimeError:  # all of it was read before
        return True
    return True


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 62  # never a file: the service may run on a read-only disk
