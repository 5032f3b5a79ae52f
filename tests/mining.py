"""A real miner on a free port, with keys made for the purpose, and callers of both wires."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import Running, Said, picture, running
from workzone.subnet.callers import Callers
from workzone.subnet.keys import Signer, new_key
from workzone.subnet.miner import MinerConfig, make_miner, miner_limits
from workzone.subnet.rates import Rates
from workzone.subnet.replays import Replays
from workzone.subnet.wire.asking import Asked, WireName, request, synapse

OPEN = Rates(per_second=1e6, burst=1_000_000, at_once=1000, unknown_at_once=1000)


@dataclass
class Known:
    """These may ask."""

    hotkeys: Sequence[str]

    def why_not(self, hotkey: str) -> str:
        return "" if hotkey in self.hotkeys else "not known"


@dataclass
class Mining:
    """A miner that listens, and its one validator."""

    running: Running
    hotkey: str
    validator: Signer

    def signed(self, fields: Any = None, **how: Any) -> Asked:
        """A right challenge, but for what is told otherwise."""
        fields = synapse(picture(1)) if fields is None else fields
        signer, receiver = how.pop("signer", self.validator), how.pop("receiver", self.hotkey)
        return request(fields, signer, receiver, **({"seconds": 600.0} | how))

    def post(self, asked: Asked) -> Said:
        return self.running.ask("POST", asked.target, asked.body, asked.headers)

    def ask(self, fields: Any = None, *, wire: WireName = "legacy", **how: Any) -> Said:
        return self.post(self.signed(fields, wire=wire, **how))


@contextlib.contextmanager
def mining(
    state: Path,
    *,
    callers: Callers | None = None,
    rates: Rates = OPEN,
    model_url: str = "",
    validator: Signer | None = None,
    hotkey: str | None = None,
    **settings: Any,
) -> Iterator[Mining]:
    """A miner; settings as of `serving.running`."""
    validator = validator or new_key()
    hotkey = hotkey or new_key().ss58_address
    who = callers or Known([validator.ss58_address])
    config = MinerConfig(hotkey=hotkey, model_url=model_url, rates=rates)
    with contextlib.closing(Replays(state / "accepted.sqlite")) as replays:
        settings = {"pixels": miner_limits().pixels} | settings
        made = running(make=lambda c: make_miner(c, config, who, replays), **settings)
        with made as found:
            yield Mining(found, hotkey, validator)


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def at_once(count: int, do: Any) -> list[Any]:
    """Results of so many threads that begin together."""
    results: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def one(number: int) -> None:
        barrier.wait()
        results[number] = do(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
