"""What `miner --check` finds, with a chain that says what it is told."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from mining import Mining
from serving import QUICK
from workzone.errors import MissingExtraError
from workzone.run.model_choice import ModelChoice
from workzone.serve.config import ServeConfig
from workzone.subnet.chain import ChainError, Neuron
from workzone.subnet.check import Finding, Findings, check_miner
from workzone.subnet.keys import new_key
from workzone.subnet.miner import miner_limits
from workzone.subnet.wire.asking import WIRES

HOTKEY = new_key().ss58_address


@dataclass
class Told:
    """A chain."""

    hotkeys: Sequence[str] = ()
    ahead: float = -6.0
    answers: bool = True

    def neurons(self) -> list[Neuron]:
        if not self.answers:
            raise ChainError("the chain test does not answer")
        return [Neuron(hotkey, False, 0.0, 7) for hotkey in self.hotkeys]

    def time(self) -> float:
        if not self.answers:
            raise ChainError("the chain test does not answer")
        return time.time() + self.ahead


@pytest.fixture
def wallets(tmp_path: Path) -> Path:
    hotkeys = tmp_path / "default" / "hotkeys"
    hotkeys.mkdir(parents=True)
    (hotkeys / "defaultpub.txt").write_text(json.dumps({"ss58Address": HOTKEY}))
    return tmp_path


def found(wallets: Path, chain: Told, model: ModelChoice = QUICK, **how) -> Findings:
    where = {name: how.pop(name) for name in ("host", "port") if name in how}
    where = {"port": 0} | where
    config = ServeConfig(workers=1, model=model, limits=miner_limits(), **where)
    return check_miner(config, chain, wallets=wallets, **how)


def states(findings: Findings) -> dict[str, str]:
    return {finding.name: finding.state for finding in findings.findings}


def test_all_is_well(wallets: Path) -> None:
    findings = found(wallets, Told([HOTKEY]))
    assert states(findings) == {
        "hotkey": "ok",
        "clock": "ok",
        "registered": "ok",
        "port": "ok",
        "legacy": "ok",
        "btauth/1": "ok",
    }
    assert findings.good
    said = words(findings)
    assert (said["hotkey"], said["registered"]) == (HOTKEY, "uid 7")
    assert said["legacy"].endswith(" ms an answer")
    assert json.loads(json.dumps(findings.to_json()))["good"] is True


NO_MODEL = ModelChoice(model="surely/nowhere")
"""So that what is found otherwise is found quickly."""


def test_a_chain_that_does_not_answer_is_no_failure(wallets: Path) -> None:
    said = states(found(wallets, Told(answers=False), NO_MODEL))
    assert (said["clock"], said["registered"]) == ("unknown", "unknown")


def test_what_fails_is_said(wallets: Path, tmp_path: Path) -> None:
    findings = found(tmp_path / "nowhere", Told(), NO_MODEL)
    assert states(findings) == {
        "hotkey": "failed",
        "clock": "ok",
        "port": "ok",
        "answers": "failed",
    }
    assert not findings.good
    card = tmp_path / "model_card.json"
    card.write_text("{}")
    for ahead in (60.0, -600.0):
        said = states(found(wallets, Told(ahead=ahead), NO_MODEL, card=card))
        failed = {name for name, state in said.items() if state == "failed"}
        assert failed == {"clock", "registered", "model card", "answers"}


def test_a_card_of_another_hotkey(wallets: Path, tmp_path: Path) -> None:
    card = tmp_path / "model_card.json"
    told = {
        "model_name": "a",
        "description": "b",
        "version": "1.2.3",
        "submitted_by": HOTKEY,
        "submission_time": 1_800_000_000,
    }
    for hotkey, state in ((HOTKEY, "ok"), (new_key().ss58_address, "failed")):
        card.write_text(json.dumps(told | {"submitted_by": hotkey}))
        assert states(found(wallets, Told(), NO_MODEL, card=card))["model card"] == state


def test_a_port_that_is_taken(wallets: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(0)
        port = taken.getsockname()[1]
        findings = found(wallets, Told(), NO_MODEL, port=port)
    (port_finding,) = [one for one in findings.findings if one.name == "port"]
    assert port_finding.state == "failed" and f"port {port}" in port_finding.words


def words(findings: Findings) -> dict[str, str]:
    return {finding.name: finding.words for finding in findings.findings}


def test_the_port_of_a_miner_that_runs(wallets: Path, miner: Mining) -> None:
    findings = found(wallets, Told(), NO_MODEL, port=miner.running.port)
    assert states(findings)["port"] == "ok"
    assert words(findings)["port"] == f"{miner.running.port}: a miner runs there"


def test_somebody_else_that_speaks_http_is_no_miner(wallets: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        findings = found(wallets, Told(), NO_MODEL, port=other.server_port)
        other.shutdown()
        thread.join()
    assert states(findings)["port"] == "failed"


def test_the_address_that_is_named_is_the_one_that_is_tried(wallets: Path) -> None:
    elsewhere = found(wallets, Told(), NO_MODEL, host="192.0.2.1")  # of no machine, by RFC 5737
    assert states(elsewhere)["port"] == "failed"
    assert "192.0.2.1" in words(elsewhere)["port"]
    assert states(found(wallets, Told(), NO_MODEL, host="0.0.0.0"))["port"] == "ok"


def test_without_bittensor_the_extra_is_named(wallets: Path) -> None:
    class Missing(Told):
        def time(self) -> float:
            raise MissingExtraError("bittensor", "subnet", "reading the metagraph")

        neurons = time  # type: ignore[assignment]

    findings = found(wallets, Missing(), NO_MODEL)
    said = states(findings)
    assert (said["clock"], said["registered"]) == ("unknown", "unknown")
    assert all("workzone[subnet]" in words(findings)[name] for name in ("clock", "registered"))


def test_answers_that_do_not_come(wallets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def nobody(*_: object) -> Iterator[str]:
        yield "http://127.0.0.1:1"

    monkeypatch.setattr("workzone.subnet.check.running", nobody)
    findings = found(wallets, Told())
    for wire in WIRES:
        assert states(findings)[wire] == "failed"
        assert words(findings)[wire].startswith("0: ")


def test_words_of_others_are_no_markup() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(Findings((Finding("legacy", "failed", "500: [/red] [bold]"),)).table())
    assert "[/red] [bold]" in console.file.getvalue()
