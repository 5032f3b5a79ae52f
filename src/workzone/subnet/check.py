"""Whether a miner would work here: keys, port, chain, clock, card, and an answer on each wire."""

from __future__ import annotations

import http.client
import io
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from workzone.errors import UsageError, WorkzoneError
from workzone.serve.config import ServeConfig
from workzone.serve.server import listen
from workzone.subnet.chain import Chain
from workzone.subnet.desk import running
from workzone.subnet.keys import WALLETS, hotkey_address, new_key
from workzone.subnet.model_card import read_model_card
from workzone.subnet.wire.asking import WIRES, WireName
from workzone.subnet.wire.posting import Poster

MOST_SKEW = 2.0
"""Seconds that this clock may be off: as far ahead as btauth/1 takes a nonce."""
_BLOCK = 12.0
"""Seconds between two blocks of the chain; the newest one may be as old."""
_QUESTIONS = 5

State = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    words: str


@dataclass(frozen=True)
class Findings:
    """All of them."""

    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether nothing failed; what could not be looked at is no failure."""
        return all(finding.state != "failed" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"good": self.good, "findings": [asdict(finding) for finding in self.findings]}

    def table(self) -> Table:
        """For the terminal."""
        table = Table(title="A miner here")
        table.add_column("what", no_wrap=True)
        table.add_column("state")
        table.add_column("", overflow="fold")
        for finding in self.findings:
            table.add_row(finding.name, finding.state, Text(finding.words))
        return table


def check_miner(
    config: ServeConfig,
    chain: Chain,
    *,
    wallet: str = "default",
    hotkey: str = "default",
    wallets: Path = WALLETS,
    card: Path | None = None,
) -> Findings:
    """Look at everything that a miner needs; nothing raises.

    A miner is started on loopback, with a key made for the purpose as the only one that may ask.

    Args:
        config: of the service; its host and port are tried.
        chain: that is asked whether the hotkey is registered, and what time it is.
        wallet: name of the wallet.
        hotkey: name of its hotkey.
        wallets: folder of wallets.
        card: a model card, if one is to be looked at.
    """
    findings: list[Finding] = []

    def note(name: str, state: State, words: str) -> None:
        findings.append(Finding(name, state, words))

    try:
        address = hotkey_address(wallet, hotkey, wallets)
        note("hotkey", "ok", address)
    except WorkzoneError as error:
        address = ""
        note("hotkey", "failed", str(error))
    findings += _of_chain(chain, address)
    if card is not None:
        try:
            found = read_model_card(card)
            same = found["submitted_by"] == address
            words = f"{found['model_name']} {found['version']}"
            other = f"submitted_by is {found['submitted_by']}, not this hotkey"
            note("model card", "ok" if same else "failed", words if same else other)
        except WorkzoneError as error:
            note("model card", "failed", str(error))
    findings += _answers(config, address or new_key().ss58_address)
    return Findings(tuple(findings))


def _of_chain(chain: Chain, address: str) -> Iterator[Finding]:
    try:
        begin = time.time()
        ahead = begin - chain.time()
        # The newest block is up to a block's time old, and some more on its way here.
        off = ahead < -MOST_SKEW or ahead > 2 * _BLOCK + MOST_SKEW
        words = f"the newest block is {ahead:.1f} s old by this clock"
        yield Finding("clock", "failed" if off else "ok", words + (": set it" if off else ""))
    except WorkzoneError as error:
        yield Finding("clock", "unknown", str(error))
    if not address:
        return
    try:
        found = [neuron for neuron in chain.neurons() if neuron.hotkey == address]
        words = f"uid {found[0].uid}" if found else "this hotkey is not registered on the subnet"
        yield Finding("registered", "ok" if found else "failed", words)
    except WorkzoneError as error:
        yield Finding("registered", "unknown", str(error))


def _answers(config: ServeConfig, address: str) -> Iterator[Finding]:
    try:
        with listen(config) as listener:
            port = listener.getsockname()[1]
        yield Finding("port", "ok", f"{port} is free")
    except UsageError as error:
        taken = _who_listens(config.host, config.port)
        yield Finding("port", "ok" if taken else "failed", taken or str(error))
    signer = new_key()
    try:
        config = replace(config, host="127.0.0.1", port=0)
        with running(config, address, signer.ss58_address) as url:
            for wire in WIRES:
                yield _asked(Poster(url, address, signer, wire=wire), wire)
    except WorkzoneError as error:
        yield Finding("answers", "failed", str(error))


def _who_listens(host: str, port: int) -> str:
    """Words where a service of this package listens at an address of this machine."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/livez")
        said = json.loads(connection.getresponse().read())
        return f"{port}: a miner runs there" if said == {"status": "live"} else ""
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()


def _asked(poster: Poster, wire: WireName) -> Finding:
    answers = [poster.ask(_square(number)) for number in range(_QUESTIONS)]
    poster.close()
    wrong = [one for one in answers if one.status != 200 or not 0 <= one.prediction <= 1]
    if wrong:
        return Finding(wire, "failed", f"{wrong[0].status}: {wrong[0].message or 'no answer'}")
    milliseconds = 1000 * statistics.median(one.seconds for one in answers)
    return Finding(wire, "ok", f"{milliseconds:.0f} ms an answer")


def _square(number: int) -> bytes:
    """A square of 224 pixels that shows nothing, as JPEG."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 256, (14, 14, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((224, 224)).save(buffer, "JPEG")
    return buffer.getvalue()
