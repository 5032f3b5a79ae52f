"""The trials of a miner: each kind of hostile request gets the status that it must get."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mining import Known, mining

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("mining_trials", "wires"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import mining_trials

    monkeypatch.setattr(mining_trials, "CALLERS", 2)
    return mining_trials


def test_every_kind_gets_its_own_refusal(trials: ModuleType, tmp_path: Path) -> None:
    callers = Known([trials.key(number).ss58_address for number in range(2)])
    with mining(tmp_path, callers=callers, body_bytes=2_000_000) as found:
        asked = trials.request(trials.synapse(trials.picture(2)), trials.key(0), found.hotkey)
        assert trials.post(found.running.port, asked)[0] == 200
        for kind, status in trials.KINDS.items():
            bad = trials.hostile(kind, random.Random(1), trials.key(0), found.hotkey, asked)
            assert trials.post(found.running.port, bad)[0] == status, kind


def test_another_status_is_told(trials: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers all is not taken for one that refuses."""
    monkeypatch.setattr(trials, "HOSTILE", 0.5)
    monkeypatch.setattr(trials, "post", lambda *_: (200, 0.5, 0.1))
    found = trials.Miner(None, 0, trials.key(9).ss58_address)
    wrong = trials.ask_much(found, 40, 0)["not as they must be"]
    assert len(wrong) > 5 and all(line.endswith(": 200") for line in wrong)
    monkeypatch.setattr(trials, "HOSTILE", 0.0)
    assert trials.ask_much(found, 4, 0)["not as they must be"] == []
    monkeypatch.setattr(trials, "post", lambda *_: (429, "full", 0.1))
    assert trials.ask_much(found, 4, 0)["not as they must be"] == ["right: 429, full"] * 4
