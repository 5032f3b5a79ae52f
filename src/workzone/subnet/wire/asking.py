"""The callers' side of both wires: requests signed as validators sign them."""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from workzone.subnet.keys import SCHEME_NAMES, Signer
from workzone.subnet.wire import btauth, legacy

WireName = Literal["legacy", "btauth/1"]
WIRES: tuple[WireName, ...] = ("legacy", "btauth/1")

ADDRESSES = ("/ImageSynapse", "/ExtendedImageSynapse")
"""By the subnet's two synapses; the second has the model's address and an explanation beside."""


@dataclass(frozen=True)
class Asked:
    """A request to be posted."""

    target: str
    headers: dict[str, str]
    body: bytes


def synapse(image: bytes, **fields: Any) -> dict[str, Any]:
    """The fields of a challenge, before it has its answer."""
    encoded = base64.b64encode(image).decode("ascii")
    return {"testnet_label": -1, "image": encoded, "prediction": -1.0} | fields


def request(
    fields: dict[str, Any] | bytes,
    signer: Signer,
    receiver: str,
    *,
    wire: WireName = "legacy",
    target: str = ADDRESSES[0],
    seconds: float = 9.0,
    nonce: int | None = None,
    hashed: tuple[str, ...] = (),
) -> Asked:
    """A challenge, signed.

    Args:
        fields: of the synapse, or the bytes of a body.
        signer: the caller's key.
        receiver: the miner's hotkey.
        wire: which.
        target: where it is posted.
        seconds: that the caller waits.
        nonce: nanoseconds since 1970; None: now.
        hashed: on the legacy wire, fields that the signature covers.
    """
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    nonce = time.time_ns() if nonce is None else nonce
    headers = {"Content-Type": "application/json"}
    if wire == "btauth/1":
        scheme = SCHEME_NAMES[signer.crypto_type]
        signed = btauth.payload(
            scheme=scheme,
            method="POST",
            target=target,
            body=body,
            nonce=nonce,
            sender=signer.ss58_address,
            receiver=receiver,
        )
        told = {
            "Version": "1",
            "Hotkey": signer.ss58_address,
            "Receiver": receiver,
            "Nonce": str(nonce),
            "Signature": f"0x{signer.sign(signed).hex()}",
            "Crypto": scheme,
        }
        return Asked(target, headers | {f"X-Bittensor-{n}": v for n, v in told.items()}, body)
    covered = fields if isinstance(fields, dict) else {}
    digest = legacy.body_hash(covered, hashed)
    own = str(uuid.uuid4())
    message = f"{nonce}.{signer.ss58_address}.{receiver}.{own}.{digest}"
    told = {
        f"{legacy.DENDRITE}hotkey": signer.ss58_address,
        f"{legacy.DENDRITE}nonce": str(nonce),
        f"{legacy.DENDRITE}uuid": own,
        f"{legacy.DENDRITE}signature": f"0x{signer.sign(message.encode()).hex()}",
        f"{legacy.DENDRITE}version": "10000000",
        f"{legacy.AXON}hotkey": receiver,
        legacy.BODY_HASH: digest,
        "name": target.removeprefix("/"),
        "timeout": str(seconds),
    }
    return Asked(target, headers | told, body)
