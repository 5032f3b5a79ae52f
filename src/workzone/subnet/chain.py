"""What is asked of the chain: who is registered, with what stake, and what time it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from workzone.errors import MissingExtraError, UsageError, WorkzoneError

NETUID = 72
"""NATIX StreetVision on the main network."""
NETWORK = "finney"
"""The main network, as bittensor calls it."""

OLDEST = 11
"""Of bittensor's major versions."""


class ChainError(WorkzoneError):
    """The chain cannot be reached, or says something else than was asked."""


@dataclass(frozen=True)
class Neuron:
    """One registered hotkey."""

    hotkey: str
    permit: bool  # may set weights: a validator
    stake: float  # in the subnet's own units
    uid: int


class Chain(Protocol):
    """All that is asked of the chain; tests put their own in its place."""

    def neurons(self) -> Sequence[Neuron]:
        """Who is registered on the subnet.

        Raises:
            ChainError: it cannot be told.
        """

    def time(self) -> float:
        """Of the newest block, seconds since 1970.

        Raises:
            ChainError: it cannot be told.
        """


class Bittensor:
    """The chain as bittensor 11 reads it.

    It is imported when it is asked, and only a version that leaves the command line alone.
    """

    def __init__(self, network: str = NETWORK, netuid: int = NETUID) -> None:
        """Ask nothing yet.

        Args:
            network: bittensor's name of one, or an address such as ``ws://127.0.0.1:9944``.
            netuid: of the subnet.
        """
        self._network, self._netuid = network, netuid

    def neurons(self) -> Sequence[Neuron]:
        """See `Chain`."""
        graph = self._ask(lambda chain: chain.subnets.metagraph(self._netuid, commitments=False))
        if graph is None:
            raise ChainError(f"there is no subnet {self._netuid} on {self._network}")
        try:
            return [
                Neuron(
                    str(n.hotkey), bool(n.validator_permit), float(n.total_stake.amount), int(n.uid)
                )
                for n in graph.neurons
            ]
        except (AttributeError, TypeError, ValueError) as error:
            raise ChainError(
                f"the metagraph of subnet {self._netuid} cannot be read ({error}): this bittensor "
                "has it otherwise; pip install -U 'workzone[subnet]'"
            ) from error

    def time(self) -> float:
        """See `Chain`."""
        return float(self._ask(lambda chain: chain.time).timestamp())

    def _ask(self, question: Any) -> Any:
        # Older ones parse the command line of whatever program imports them.
        try:
            installed = version("bittensor")
        except PackageNotFoundError as error:
            raise MissingExtraError("bittensor", "subnet", "reading the metagraph") from error
        if int(installed.partition(".")[0]) < OLDEST:
            raise UsageError(
                f"bittensor {installed} is installed; reading the metagraph needs {OLDEST} or "
                "later: pip install 'workzone[subnet]' in an environment of its own"
            )
        import bittensor

        try:
            with bittensor.Subtensor(self._network) as chain:
                return question(chain)
        except Exception as error:  # of many kinds, those of its transport too
            raise ChainError(
                f"the chain {self._network} does not answer ({type(error).__name__}: {error})"
            ) from error
