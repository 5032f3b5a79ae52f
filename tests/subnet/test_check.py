"""What `miner --check` finds, with a chain that says what it is told."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving import QUICK
from workzone.run.model_choice import ModelChoice
from workzone.serve.config import ServeConfig
from workzone.subnet.chain import ChainError, Neuron
from workzone.subnet.check import Findings, check_miner
from workzone.subnet.keys import new_key
from workzone.subnet.miner import miner_limits

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
    config = ServeConfig(port=how.pop("port", 0), workers=1, model=model, limits=miner_limits())
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
    words = {finding.name: finding.words for finding in findings.findings}
    assert (words["hotkey"], words["registered"]) == (HOTKEY, "uid 7")
    assert words["legacy"].endswith(" ms an answer")
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
