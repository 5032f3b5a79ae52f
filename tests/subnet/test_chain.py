"""What is asked of bittensor, and that nothing is where it would parse the command line."""

from __future__ import annotations

import datetime
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest

from workzone.errors import MissingExtraError, UsageError
from workzone.subnet import chain as chain_module
from workzone.subnet.chain import Bittensor, ChainError, Neuron

NODE = SimpleNamespace(
    hotkey="5abc", validator_permit=True, total_stake=SimpleNamespace(amount=7.5), uid=3
)


class Subtensor:
    """As bittensor 11 has it; knows one subnet."""

    time = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)

    def __init__(self, network: str) -> None:
        if network != "test":
            raise RuntimeError(f"cannot connect to {network}")
        self.subnets = self

    def __enter__(self) -> Subtensor:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def metagraph(self, netuid: int, *, commitments: bool) -> Any:
        assert not commitments  # they are large, and nobody asks for them
        graphs = {72: [NODE], 73: [SimpleNamespace(hotkey="5abc")]}
        return SimpleNamespace(neurons=graphs[netuid]) if netuid in graphs else None


@pytest.fixture
def bittensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "version", lambda _: "11.3.0")
    monkeypatch.setitem(sys.modules, "bittensor", SimpleNamespace(Subtensor=Subtensor))


@pytest.mark.usefixtures("bittensor")
def test_neurons_and_the_time() -> None:
    assert Bittensor("test").neurons() == [Neuron("5abc", True, 7.5, 3)]
    assert Bittensor("test").time() == Subtensor.time.timestamp()


@pytest.mark.usefixtures("bittensor")
def test_a_chain_that_cannot_be_asked() -> None:
    with pytest.raises(ChainError, match=r"finney does not answer .*cannot connect to finney"):
        Bittensor().neurons()
    with pytest.raises(ChainError, match="there is no subnet 5 on test"):
        Bittensor("test", 5).neurons()
    with pytest.raises(ChainError, match=r"of subnet 73 cannot be read .*'validator_permit'"):
        Bittensor("test", 73).neurons()


def test_versions_that_read_the_command_line_are_not_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bittensor", None)  # an import would fail
    monkeypatch.setattr(chain_module, "version", lambda _: "9.12.2")
    with pytest.raises(UsageError, match=r"bittensor 9\.12\.2 is installed; .* needs 11 or later"):
        Bittensor("test").neurons()

    def none(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(chain_module, "version", none)
    with pytest.raises(MissingExtraError, match=r"'bittensor': pip install 'workzone\[subnet\]'"):
        Bittensor("test").neurons()


def test_a_miner_needs_neither_bittensor_nor_what_trains() -> None:
    code = (
        "import sys, workzone.subnet.check, workzone.subnet.miner; "
        "print(sorted({'bittensor', 'torch', 'scipy', 'sklearn', 'matplotlib', 'onnxruntime'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
