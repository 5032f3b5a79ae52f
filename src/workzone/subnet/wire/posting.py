"""Signed challenges posted to a miner over a connection that stays, and what comes back."""

from __future__ import annotations

import contextlib
import http.client
import math
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from workzone.errors import UsageError
from workzone.serve.client import json_object
from workzone.subnet.keys import Signer, check_address
from workzone.subnet.wire.asking import ADDRESSES, WireName, request, synapse

NO_ANSWER = -1.0
"""The prediction of who does not answer; it counts in no window."""
SECONDS = 9.0
"""That a validator waits."""


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
        asked = request(
            synapse(image),
            self._signer,
            self._hotkey,
            wire=self._wire,
            target=ADDRESSES[0],
            seconds=self._seconds,
        )
        begin = time.perf_counter()
        try:
            self._connection.request("POST", asked.target, asked.body, asked.headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (http.client.HTTPException, OSError) as error:
            self.close()
            took = time.perf_counter() - begin
            return Answered(0, NO_ANSWER, took, str(error) or type(error).__name__)
        took = time.perf_counter() - begin
        said = json_object(text)
        if answer.status != 200:
            return Answered(answer.status, NO_ANSWER, took, str(said.get("message", "")))
        if self._wire == "legacy" and answer.headers.get("bt_header_axon_status_code") != "200":
            return Answered(answer.status, NO_ANSWER, took, "the answer's headers name no status")
        prediction = said.get("prediction")
        if not isinstance(prediction, int | float) or not math.isfinite(prediction):
            return Answered(answer.status, NO_ANSWER, took, "the answer holds no number")
        return Answered(200, float(prediction), took, "")

    def close(self) -> None:
        """Hang up; the next question connects again."""
        with contextlib.suppress(OSError):
            self._connection.close()
