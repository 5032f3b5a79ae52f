"""Signed challenges posted to a miner over a connection that stays, and what comes back."""

from __future__ import annotations

import contextlib
import http.client
import math
import socket
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from workzone.errors import UsageError
from workzone.serve.client import ended, json_object
from workzone.subnet.keys import Signer, check_address
from workzone.subnet.wire.asking import ADDRESSES, WireName, request, synapse

NO_ANSWER = -1.0
"""The prediction of who does not answer; it counts in no window."""
SECONDS = 9.0
"""That a validator waits."""
_LONGEST_BODY = 16_000_000
"""Bytes of an answer; a right one repeats the challenge."""
_LONGEST_MESSAGE = 500
"""Characters of a miner's words that are kept."""


@dataclass(frozen=True)
class Answered:
    """What a validator has in the end."""

    status: int  # of HTTP; 0: no answer came
    prediction: float  # `NO_ANSWER` where there is none
    seconds: float
    message: str  # why not


@dataclass(frozen=True)
class Target:
    """A miner to be asked."""

    hotkey: str
    url: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Target:
        """One from ``HOTKEY@HOST:PORT``.

        Raises:
            UsageError: it is none.
        """
        hotkey, at, place = text.partition("@")
        if not at or not place:
            raise UsageError(f"--miner {text!r}: name its hotkey and address, as HOTKEY@HOST:PORT")
        check_address(hotkey, where="--miner")
        url = place if place.startswith("http://") else f"http://{place}"
        return cls(hotkey, url, place.removeprefix("http://"))


class Poster:
    """A miner, asked by one thread."""

    def __init__(
        self,
        url: str,
        hotkey: str,
        signer: Signer,
        *,
        wire: WireName = "legacy",
        seconds: float = SECONDS,
    ) -> None:
        """Ask nothing yet.

        Args:
            url: of the miner, such as ``http://localhost:8091``.
            hotkey: its own.
            signer: the validator's key.
            wire: which it is asked on.
            seconds: to wait for an answer.

        Raises:
            UsageError: no such address.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme != "http" or not parts.hostname or port == -1:
            raise UsageError(f"{url!r} is no address of a miner: one is http://localhost:8091")
        self._hotkey, self._signer, self._wire, self._seconds = hotkey, signer, wire, seconds
        self._connection = http.client.HTTPConnection(parts.hostname, port, timeout=seconds)

    def ask(self, image: bytes) -> Answered:
        """The answer to one challenge; whatever goes wrong is part of it."""
        begin = time.perf_counter()
        try:
            answer, text = self._posted(image, begin + self._seconds)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            took = time.perf_counter() - begin
            late = f"no answer within {self._seconds:g} s"
            why = late if took >= self._seconds else _words(error) or type(error).__name__
            return Answered(0, NO_ANSWER, took, why)
        took = time.perf_counter() - begin
        said = json_object(text)
        if answer.status != 200:
            return Answered(answer.status, NO_ANSWER, took, _words(said.get("message", "")))
        if self._wire == "legacy" and answer.headers.get("bt_header_axon_status_code") != "200":
            return Answered(answer.status, NO_ANSWER, took, "the answer's headers name no status")
        prediction = _number(said.get("prediction"))
        if prediction is None:
            return Answered(answer.status, NO_ANSWER, took, "the answer holds no number")
        return Answered(200, prediction, took, "")

    def _posted(self, image: bytes, end: float) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer and its body; asked twice where a connection that was kept has ended.

        Args:
            image: its file.
            end: of `time.perf_counter`, by which all of the answer has to be there.

        Raises:
            HTTPException, OSError: there is none.
        """
        kept = self._connection.sock
        if kept is not None and ended(kept):
            self.close()
            kept = None
        try:
            return self._once(image, end)
        except ConnectionError:
            if kept is None or time.perf_counter() >= end:
                raise
        self.close()  # the miner hung up at the moment it was asked
        return self._once(image, end)

    def _once(self, image: bytes, end: float) -> tuple[http.client.HTTPResponse, bytes]:
        asked = request(
            synapse(image),
            self._signer,
            self._hotkey,
            wire=self._wire,
            target=ADDRESSES[0],
            seconds=self._seconds,
        )
        if self._connection.sock is None:
            self._connection.timeout = _left(end)
            self._connection.connect()
        line: socket.socket = self._connection.sock
        line.settimeout(_left(end))
        # A time-out counts from byte to byte; the clock ends an answer that drips.
        clock = threading.Timer(_left(end), _hang_up, [line])
        clock.start()
        try:
            self._connection.request("POST", asked.target, asked.body, asked.headers)
            answer = self._connection.getresponse()
            text = answer.read(_LONGEST_BODY + 1)
        finally:
            clock.cancel()
        _left(end)
        if len(text) > _LONGEST_BODY:
            raise http.client.HTTPException(f"the answer has more than {_LONGEST_BODY:,} bytes")
        return answer, text

    def close(self) -> None:
        """Hang up; the next question connects again."""
        with contextlib.suppress(OSError):
            self._connection.close()


def _left(end: float) -> float:
    """Seconds until ``end``.

    Raises:
        TimeoutError: it is past.
    """
    left = end - time.perf_counter()
    if left <= 0:
        raise TimeoutError
    return left


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _number(value: object) -> float | None:
    """A finite number of JSON; None: it is none, or none that a float can hold."""
    if not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _words(value: object) -> str:
    """What a miner says, fit for a terminal and a page."""
    text = str(value)[:_LONGEST_MESSAGE]
    return "".join(sign if sign.isprintable() else " " for sign in text)
