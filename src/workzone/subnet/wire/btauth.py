"""btauth/1, the wire of bittensor 11: any HTTP request, signed by headers.

Signed are, one a line: the protocol, the scheme, the method, the path with its query, SHA-256 of
the raw body, the nonce, the sender and the receiver.

Facts read in bittensor 11.3.0 (`http_auth.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workzone.subnet.keys import SCHEMES, verifies
from workzone.subnet.wire.claim import (
    Claim,
    check_age,
    decimal,
    malformed,
    signature_of,
    wrong_receiver,
    wrong_signature,
)

NAME = "btauth/1"
PREFIX = "x-bittensor-"

BACK, AHEAD = 10.0, 2.0
"""Seconds that a nonce may be old, and ahead of this clock."""


def payload(
    *,
    scheme: str,
    method: str,
    target: str,
    body: bytes,
    nonce: int,
    sender: str,
    receiver: str,
) -> bytes:
    """The bytes that are signed; ``target``: path and query as they are sent."""
    digest = hashlib.sha256(body).hexdigest()
    lines = (NAME, scheme, method.upper(), target, digest, str(nonce), sender, receiver)
    return "\n".join(lines).encode()


@dataclass(frozen=True, kw_only=True)
class BtauthClaim(Claim):
    """Headers of btauth/1."""

    scheme: str
    receiver: str
    method: str
    target: str

    @property
    def once(self) -> str:
        """See `Claim`."""
        return f"{NAME} {self.hotkey} {self.nonce}"

    def check_receiver(self, receiver: str) -> None:
        """See `Claim`."""
        if self.receiver != receiver:
            raise wrong_receiver()

    def check_fresh(self, now: int) -> None:
        """See `Claim`."""
        check_age(self.nonce, now, back=BACK, ahead=AHEAD)

    def check_signature(self, body: bytes, receiver: str) -> None:
        """See `Claim`."""
        message = payload(
            scheme=self.scheme,
            method=self.method,
            target=self.target,
            body=body,
            nonce=self.nonce,
            sender=self.hotkey,
            receiver=receiver,
        )
        if not verifies(message, self.signature, self.hotkey, SCHEMES[self.scheme]):
            raise wrong_signature()

    def check_fields(self, fields: Mapping[str, Any]) -> None:
        """See `Claim`; the signature covers the whole body."""


def is_btauth(headers: Mapping[str, str]) -> bool:
    """Whether a request speaks this wire, by its headers."""
    return any(name.startswith(PREFIX) for name in headers)


def read_claim(headers: Mapping[str, str], *, method: str, target: str) -> BtauthClaim:
    """The claim that headers make.

    Args:
        headers: by lower-case name.
        method: of the request.
        target: its path and query as they were received.

    Raises:
        Refused: 401, one is missing or malformed.
    """
    if headers.get(f"{PREFIX}version") != "1":
        raise malformed("X-Bittensor-Version is missing or not 1")
    scheme = headers.get(f"{PREFIX}crypto", "sr25519").lower()
    if scheme not in SCHEMES:
        raise malformed(f"X-Bittensor-Crypto is none of {', '.join(SCHEMES)}")
    hotkey, receiver = headers.get(f"{PREFIX}hotkey"), headers.get(f"{PREFIX}receiver")
    if not hotkey:
        raise malformed("X-Bittensor-Hotkey is missing")
    if not receiver:
        raise malformed("X-Bittensor-Receiver is missing: bind the request to this hotkey")
    return BtauthClaim(
        hotkey=hotkey,
        nonce=decimal(headers.get(f"{PREFIX}nonce"), "X-Bittensor-Nonce"),
        signature=signature_of(headers.get(f"{PREFIX}signature"), "X-Bittensor-Signature"),
        scheme=scheme,
        receiver=receiver,
        method=method,
        target=target,
    )
