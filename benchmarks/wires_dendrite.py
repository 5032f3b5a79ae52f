"""Run in an environment with bittensor 9 or 10: each case by a real dendrite, outcomes as JSON.

Reads one JSON object from standard input (importing bittensor 9 reads the command line): port,
hotkey, validator and stranger (secret URIs of development keys), and bodies by case.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any, ClassVar
from unittest import mock

import bittensor as bt
from bittensor.core.chain_data import AxonInfo
from bittensor.utils import networking
from bittensor_wallet import Keypair
from wires_together import together

networking.get_external_ip = lambda: "192.0.2.1"  # it asks strangers for it
HOUR = 3600 * 1_000_000_000


class ImageSynapse(bt.Synapse):
    """As the subnet has it."""

    testnet_label: int = -1
    image: str = ""
    prediction: float = -1.0


class ExtendedImageSynapse(ImageSynapse):
    """As newer validators send it."""

    model_url: str = ""
    explanation: str = ""


class Hashing(ImageSynapse):
    """One whose signature covers the image."""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("image",)


Hashing.__name__ = "ImageSynapse"  # which is its address too


class Changing(bt.Dendrite):
    """A dendrite that changes what it signed."""

    later = 0
    change: Any = None

    def preprocess_synapse_for_request(self, *args: Any, **kwargs: Any) -> Any:
        """Sign, perhaps at another time, and change."""
        now = time.time_ns() + self.later
        with mock.patch.object(time, "time_ns", return_value=now):
            made = super().preprocess_synapse_for_request(*args, **kwargs)
        if self.change is not None:
            self.change(made)
        return made


def main() -> None:
    """All cases, one after the other."""
    given = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        outcomes = asyncio.run(cases(given))
    print("\n" + json.dumps(outcomes), flush=True)


async def cases(given: dict[str, Any]) -> dict[str, Any]:
    """Outcomes by case."""
    validator = Keypair.create_from_uri(given["validator"])
    stranger = Keypair.create_from_uri(given["stranger"])
    good, other = given["bodies"]["right"], given["bodies"]["another picture"]
    axon = of(given["port"], given["hotkey"])
    found: dict[str, Any] = {}

    async def ask(
        case: str, image: str = good, kind: type = ImageSynapse, *, to: Any = axon,
        key: Any = validator, later: int = 0, change: Any = None,
    ) -> Any:  # fmt: skip
        async with Changing(wallet=key) as dendrite:
            dendrite.later, dendrite.change = later, change
            answer = await dendrite.forward(to, kind(image=image), timeout=60, deserialize=False)
        found[case] = outcome(answer)
        return answer

    kept: dict[str, Any] = {}

    def keep(synapse: Any) -> None:
        kept.update(synapse.dendrite.model_dump())

    def again(synapse: Any) -> None:
        for name in ("nonce", "uuid", "signature"):
            setattr(synapse.dendrite, name, kept[name])

    def signed(signature: Any) -> Any:
        return lambda synapse: setattr(synapse.dendrite, "signature", signature)

    for case, image in given["bodies"].items():
        await ask(case, image)
    extended = await ask("extended synapse", kind=ExtendedImageSynapse)
    found["extended synapse"]["model_url"] = extended.model_url
    await ask("image hashed and signed", kind=Hashing)
    await ask("changed body, hashed", kind=Hashing, change=lambda s: setattr(s, "image", other))
    await ask("changed body, not hashed", change=lambda s: setattr(s, "image", other))
    await ask("unknown key", key=stranger)
    await ask("wrong receiver", to=of(given["port"], stranger.ss58_address))
    forged = f"0x{stranger.sign(b'something else').hex()}"
    await ask("wrong signature", change=signed(forged))
    await ask("no signature", change=signed(None))
    await ask("signature is no number", change=signed("0xzz"))
    await ask("old nonce", later=-HOUR)
    await ask("nonce of the future", later=HOUR)
    await ask("first of two", change=keep)
    await ask("replay", change=again)
    async with bt.Dendrite(wallet=validator) as dendrite:
        stays = [
            await dendrite.forward(axon, ImageSynapse(image=good), timeout=60, deserialize=False)
            for _ in range(3)
        ]
        many = await dendrite.forward(
            [axon] * 16, ImageSynapse(image=good), timeout=60, deserialize=False
        )
    found["keep-alive, three"] = together([outcome(answer) for answer in stays])
    found["16 in parallel"] = together([outcome(answer) for answer in many])
    return {"version": bt.__version__, "outcomes": found}


def of(port: int, hotkey: str) -> Any:
    """The miner as the chain names it."""
    return AxonInfo(
        version=1, ip="127.0.0.1", port=port, ip_type=4, hotkey=hotkey, coldkey=hotkey, protocol=4,
        placeholder1=0, placeholder2=0,
    )  # fmt: skip


def outcome(answer: Any) -> dict[str, Any]:
    """What a validator has of an answer."""
    status = answer.dendrite.status_code
    return {
        "status": None if status is None else int(status),
        "prediction": answer.prediction,
        "message": answer.dendrite.status_message,
    }


if __name__ == "__main__":
    main()
