"""Run in an environment with bittensor 11: each case signed by `bittensor.http_auth`, as JSON.

Reads one JSON object from standard input, as wires_dendrite.py does.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bittensor as bt
from bittensor import http_auth
from bittensor.keyfiles import Keypair
from wires_together import together

HOUR = 3600 * 1_000_000_000


def main() -> None:
    """All cases, one after the other."""
    given = json.load(sys.stdin)
    print("\n" + json.dumps({"version": bt.__version__, "outcomes": cases(given)}), flush=True)


def cases(given: dict[str, Any]) -> dict[str, Any]:
    """Outcomes by case."""
    validator = Keypair.create_from_uri(given["validator"])
    stranger = Keypair.create_from_uri(given["stranger"])
    good, other = given["bodies"]["right"], given["bodies"]["another picture"]
    found: dict[str, Any] = {}

    def ask(
        case: str, image: str = good, *, key: Any = validator, receiver: Any = given["hotkey"],
        nonce: int | None = None, target: str = "/ImageSynapse", signed: str | None = None,
        sent: str | None = None, connection: Any = None, **changes: str | None,
    ) -> dict[str, Any]:  # fmt: skip
        body = json.dumps({"image": image}).encode()
        headers = http_auth.sign(
            key, method="POST", path=signed or target, body=body, receiver_ss58=receiver,
            nonce_ns=nonce,
        )  # fmt: skip
        headers |= {f"X-Bittensor-{name}": value for name, value in changes.items()}
        headers = {name: value for name, value in headers.items() if value is not None}
        body = body if sent is None else json.dumps({"image": sent}).encode()
        http_client = connection or http.client.HTTPConnection(
            "127.0.0.1", given["port"], timeout=60
        )
        http_client.request("POST", target, body, headers)
        answer = http_client.getresponse()
        said = json.loads(answer.read())
        found[case] = {
            "status": answer.status,
            "prediction": said.get("prediction", -1.0),
            "message": said.get("message", ""),
            **({"model_url": said["model_url"]} if "model_url" in said else {}),
        }
        return found[case]

    for case, image in given["bodies"].items():
        ask(case, image)
    ask("extended synapse", target="/ExtendedImageSynapse")
    ask("changed body, hashed", sent=other)
    ask("changed target", signed="/ImageSynapse", target="/ExtendedImageSynapse")
    ask("signed query", target="/ImageSynapse?a=%20b")
    ask("unknown key", key=stranger)
    ask("wrong receiver", receiver=stranger.ss58_address)
    ask("no receiver", receiver=None)
    ask("wrong signature", Signature=f"0x{stranger.sign(b'something else').hex()}")
    ask("no signature", Signature=None)
    ask("signature is no number", Signature="0xzz")
    ask("another version", Version="2")
    ask("old nonce", nonce=time.time_ns() - HOUR)
    ask("nonce of the future", nonce=time.time_ns() + HOUR)
    nonce = time.time_ns()
    ask("first of two", nonce=nonce)
    ask("replay", nonce=nonce)
    stays = http.client.HTTPConnection("127.0.0.1", given["port"], timeout=60)
    each = [ask("keep-alive, three", connection=stays) for _ in range(3)]
    found["keep-alive, three"] = together(each)
    with ThreadPoolExecutor(16) as threads:
        many = list(threads.map(lambda n: ask(f"parallel {n}"), range(16)))
    found["16 in parallel"] = together(many)
    return {name: one for name, one in found.items() if not name.startswith("parallel ")}


if __name__ == "__main__":
    main()
