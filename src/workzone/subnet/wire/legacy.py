"""The wire of bittensor 9 and 10: what their dendrites sign, and what they want of an answer.

A dendrite posts a synapse as JSON to `/` and the name of the synapse's class. It signs
``{nonce}.{its hotkey}.{the miner's hotkey}.{its uuid}.{body hash}``. The body hash is SHA3-256 over
the joined hashes of those fields that the class requires to be hashed. The subnet's own classes
(natix 2.0.4) require none: their hash is that of nothing, and the image is not covered by the
signature. Where a sender does hash fields, they are compared with the body.

Facts read in bittensor 9.12.2 and 10.5.0 (`core/dendrite.py`, `core/synapse.py`, `core/axon.py`).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workzone.subnet.keys import SR25519, verifies
from workzone.subnet.wire.claim import (
    Claim,
    Refused,
    check_age,
    decimal,
    malformed,
    signature_of,
    wrong_receiver,
    wrong_signature,
)

NAME = "legacy"
DENDRITE = "bt_header_dendrite_"
AXON = "bt_header_axon_"
BODY_HASH = "computed_body_hash"

SLACK = 4.0
"""Seconds that a nonce may be old beside the time that its sender waits, as axons have it."""
LONGEST = 12.0
"""Of the time that a sender waits so much counts; nobody signed that header."""
OLDEST = SLACK + LONGEST
"""Seconds; the oldest nonce that is taken, and as far ahead of this clock one may be."""

_HASHED = ("testnet_label", "image", "prediction", "model_url", "explanation")
"""Fields that a sender may hash, in the order of the subnet's classes."""


def body_hash(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The hash of a synapse whose class requires ``names`` to be hashed, as 64 hex digits."""
    return _sha3("".join(_hashes(fields, names).values()))


def _hashes(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: _sha3(str(fields[name])) for name in names}


def _sha3(text: str) -> str:
    return hashlib.sha3_256(text.encode("utf-8", "surrogatepass")).hexdigest()


NOTHING_HASHED = body_hash({}, ())
"""The body hash of a class that requires no field to be hashed."""


@dataclass(frozen=True, kw_only=True)
class LegacyClaim(Claim):
    """Headers of a dendrite."""

    uuid: str
    axon: str | None  # the hotkey that it means to ask, if it says so
    hashed: str

    @property
    def once(self) -> str:
        """See `Claim`."""
        return f"{NAME} {self.hotkey} {self.nonce} {self.uuid}"

    def check_receiver(self, receiver: str) -> None:
        """See `Claim`; where the header is missing the signature tells."""
        if self.axon is not None and self.axon != receiver:
            raise wrong_receiver()

    def check_fresh(self, now: int) -> None:
        """See `Claim`."""
        waits = min(max(0.0, self.seconds or 0.0), LONGEST)
        check_age(self.nonce, now, back=SLACK + waits, ahead=SLACK + waits)

    def check_signature(self, body: bytes, receiver: str) -> None:
        """See `Claim`; the body comes in by its hash alone."""
        message = f"{self.nonce}.{self.hotkey}.{receiver}.{self.uuid}.{self.hashed}"
        if not verifies(message.encode(), self.signature, self.hotkey, SR25519):
            raise wrong_signature()

    def check_fields(self, fields: Mapping[str, Any]) -> None:
        """See `Claim`."""
        if self.hashed == NOTHING_HASHED:
            return
        hashes = _hashes(fields, [name for name in _HASHED if name in fields]).values()
        subsets = (itertools.combinations(hashes, n) for n in range(1, len(hashes) + 1))
        if not any(self.hashed == _sha3("".join(some)) for some in itertools.chain(*subsets)):
            raise Refused(401, "changed-body", "the body is not the one that was hashed and signed")


def read_claim(headers: Mapping[str, str]) -> LegacyClaim:
    """The claim that a dendrite's headers make.

    Args:
        headers: by lower-case name.

    Raises:
        Refused: 401, one is missing or malformed.
    """
    hotkey, uuid = headers.get(f"{DENDRITE}hotkey"), headers.get(f"{DENDRITE}uuid")
    if not hotkey or not uuid:
        raise malformed(f"{DENDRITE}hotkey or {DENDRITE}uuid is missing: sign the request")
    return LegacyClaim(
        hotkey=hotkey,
        nonce=decimal(headers.get(f"{DENDRITE}nonce"), f"{DENDRITE}nonce"),
        signature=signature_of(headers.get(f"{DENDRITE}signature"), f"{DENDRITE}signature"),
        seconds=_seconds(headers.get("timeout")),
        uuid=uuid,
        axon=headers.get(f"{AXON}hotkey"),
        hashed=headers.get(BODY_HASH, ""),
    )


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None


def answer_headers(status: int, message: str, seconds: float) -> dict[str, str]:
    """What a dendrite reads of an answer; without the status it counts a 200 as failed.

    Args:
        status: the HTTP status.
        message: a sentence; what no header may hold becomes a space.
        seconds: that the answer took.
    """
    plain = "".join(sign if " " <= sign <= "~" else " " for sign in message)
    return {
        f"{AXON}status_code": str(status),
        f"{AXON}status_message": plain[:500],
        f"{AXON}process_time": f"{seconds:.6f}",
    }
