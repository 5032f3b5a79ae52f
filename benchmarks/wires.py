"""A miner asked by real clients: dendrites of bittensor 9 and 10, btauth/1 of 11, and raw sockets.

    python benchmarks/wires.py --environments envs -o benchmarks/results/wires.json

Each version of bittensor gets an environment of its own, made by uv or pip from the registry. The
miner listens on loopback, with the default model, and allows one development key.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bittensor_core
import numpy as np
from PIL import Image

from workzone.run.model_choice import ModelChoice
from workzone.serve.config import ServeConfig
from workzone.subnet.desk import running
from workzone.subnet.miner import miner_limits
from workzone.subnet.wire.asking import Asked, request, synapse

HERE = Path(__file__).parent
CLIENTS = {
    "bittensor 9.12.2": ("wires_dendrite.py", ["bittensor==9.12.2", "async-substrate-interface<2"]),
    "bittensor 10.5.0": ("wires_dendrite.py", ["bittensor==10.5.0"]),
    "bittensor 11.3.0": ("wires_btauth.py", ["bittensor==11.3.0"]),
}
"""By name: the script that asks, and what its environment needs."""
RAW = "raw sockets"
MINER, VALIDATOR, STRANGER = "//Miner", "//Validator", "//Stranger"
SLOW = 3.0
"""Seconds that the miner of these cases waits for a body."""

EXPECTED: dict[str, int] = {
    "right": 200,
    "another picture": 200,
    "PNG": 200,
    "huge body": 413,
    "empty": 422,
    "not base64": 422,
    "not an image": 422,
    "truncated image": 422,
    "animated GIF": 422,
    "animated PNG": 422,
    "1x1 px": 422,
    "too many pixels": 422,
    "extended synapse": 200,
    "image hashed and signed": 200,
    "changed body, hashed": 401,
    "changed body, not hashed": 200,
    "changed target": 401,
    "signed query": 200,
    "unknown key": 403,
    "wrong receiver": 401,
    "no receiver": 401,
    "wrong signature": 401,
    "no signature": 401,
    "signature is no number": 401,
    "another version": 401,
    "old nonce": 401,
    "nonce of the future": 401,
    "first of two": 200,
    "replay": 401,
    "keep-alive, three": 200,
    "16 in parallel": 200,
    "no headers": 401,
    "not JSON": 422,
    "JSON with NaN": 422,
    "a list": 422,
    "compressed body": 422,
    "HTTP/1.0": 200,
    "in chunks": 200,
    "slow body": 408,
    "GET": 405,
    "another address": 404,
}
"""The status that each case should end with."""


class Unavailable(Exception):  # noqa: N818
    """An environment cannot be made here."""


def environment(folder: Path, requirements: list[str]) -> Path:
    """The Python of an environment with these packages, made if need be.

    Raises:
        Unavailable: the registry cannot be reached, or has them no more.
    """
    python = folder / "bin" / "python"
    done = folder / ".ready"
    if done.is_file():
        return python
    uv = shutil.which("uv") or str(HERE.parent / ".tools" / "bin" / "uv")
    if Path(uv).is_file():
        make = [[uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]]
        make += [[uv, "pip", "install", "--quiet", "--python", str(python), *requirements]]
    else:
        venv.create(folder, clear=True, with_pip=True)
        make = [[str(python), "-m", "pip", "install", "--quiet", *requirements]]
    for command in make:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise Unavailable(f"{' '.join(requirements)}: {made.stderr.strip()[-300:]}")
    done.touch()
    return python


def picture(number: int, kind: str = "JPEG", side: int = 224) -> bytes:
    """A square of coloured patches."""
    pixels = np.random.default_rng(number).integers(0, 256, (14, 14, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((side, side)).save(buffer, kind)
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    """Three frames."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def bodies() -> dict[str, str]:
    """What stands for the image in a challenge, by case."""
    files = {
        "right": picture(1),
        "another picture": picture(2),
        "PNG": picture(1, "PNG"),
        "huge body": bytes(6_000_000),
        "empty": b"",
        "not an image": b"no image at all",
        "truncated image": picture(1)[:200],
        "animated GIF": animated("GIF"),
        "animated PNG": animated("PNG"),
        "1x1 px": picture(1, side=1),
        "too many pixels": picture(1, side=2200),
    }
    encoded = {case: base64.b64encode(data).decode() for case, data in files.items()}
    return encoded | {"not base64": "no base64!"}


@dataclass(frozen=True)
class Place:
    """Where the miner is."""

    port: int
    hotkey: str


@contextlib.contextmanager
def miner() -> Iterator[Place]:
    """A miner that runs meanwhile and allows the validator of these cases."""
    hotkey, validator = (
        bittensor_core.Keypair.create_from_uri(uri).ss58_address for uri in (MINER, VALIDATOR)
    )
    limits = miner_limits(deadline=60.0)
    limits = type(limits)(**{**vars(limits), "body_seconds": SLOW})
    config = ServeConfig(port=0, workers=1, model=ModelChoice(engine="onnx"), limits=limits)
    with running(config, hotkey, validator) as url:
        yield Place(int(url.rpartition(":")[2]), hotkey)


def ask_by_client(python: Path, script: str, place: Place) -> dict[str, Any]:
    """The outcomes of a client in an environment of its own."""
    given = {
        "port": place.port,
        "hotkey": place.hotkey,
        "validator": VALIDATOR,
        "stranger": STRANGER,
        "bodies": bodies(),
    }
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(python), str(HERE / script)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": home},
        )
    if done.returncode:
        raise RuntimeError(f"{script} by {python}: {done.stderr[-3000:]}")
    said = done.stdout.splitlines()[-1]  # bittensor logs to standard output too
    outcomes: dict[str, Any] = json.loads(said)["outcomes"]
    return outcomes


def ask_raw(place: Place) -> dict[str, Any]:
    """Cases that no client makes, over sockets."""
    key = bittensor_core.Keypair.create_from_uri(VALIDATOR)

    def signed(body: Any = None, **how: Any) -> Asked:
        return request(synapse(picture(1)) if body is None else body, key, place.hotkey, **how)

    def send(
        asked: Asked, first: str | None = None, *, body: bytes | None = None, **more: str
    ) -> Any:
        line = first or f"POST {asked.target} HTTP/1.1"
        sent = asked.body if body is None else body
        headers = {"Host": "miner", "Connection": "close", "Content-Length": str(len(asked.body))}
        headers |= asked.headers | {name.replace("_", "-"): value for name, value in more.items()}
        lines = [line] + [f"{name}: {value}" for name, value in headers.items() if value]
        with socket.create_connection(("127.0.0.1", place.port), timeout=60) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + sent)
            said = b""
            while part := connection.recv(65536):
                said += part
        head, _, text = said.partition(b"\r\n\r\n")
        try:
            prediction = json.loads(text).get("prediction", -1.0)
        except ValueError:
            prediction = -1.0
        return {"status": int(head.split()[1]), "prediction": prediction, "message": ""}

    right = signed()
    chunks = b"".join(
        f"{len(part):x}\r\n".encode() + part + b"\r\n"
        for part in (right.body[:1000], right.body[1000:], b"")
    )
    nothing = Asked("/ImageSynapse", {}, b"{}")
    return {
        "no headers": send(nothing),
        "not JSON": send(signed(b"no json")),
        "JSON with NaN": send(signed(b'{"image": "", "timeout": NaN}')),
        "a list": send(signed(b"[]")),
        "compressed body": send(signed(), Content_Encoding="gzip"),
        "HTTP/1.0": send(asked := signed(), f"POST {asked.target} HTTP/1.0"),
        "in chunks": send(right, body=chunks, Content_Length="", Transfer_Encoding="chunked"),
        "slow body": send(asked := signed(), body=asked.body[:100]),
        "GET": send(nothing, "GET /ImageSynapse HTTP/1.1", body=b"", Content_Length=""),
        "another address": send(nothing, "POST /OtherSynapse HTTP/1.1"),
    }


def table(results: dict[str, Any]) -> str:
    """The statuses by case and client, as the docs show them."""
    clients = list(results["clients"])
    head = ["case", "expected", *clients]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for case, expected in EXPECTED.items():
        seen = [results["clients"][client].get(case) for client in clients]
        cells = ["" if one is None else str(one["status"]) for one in seen]
        lines.append(f"| {' | '.join([case, str(expected), *cells])} |")
    return "\n".join(lines)


def main() -> None:
    """Ask by all clients that can be had, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache/workzone-wires")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with miner() as place:
        for name, (script, requirements) in CLIENTS.items():
            folder = options.environments / name.replace(" ", "-")
            begin = time.monotonic()
            found[name] = ask_by_client(environment(folder, requirements), script, place)
            print(f"{name}: {len(found[name])} cases in {time.monotonic() - begin:.0f} s")
        found[RAW] = ask_raw(place)
    from record import write_record

    write_record(options.output, {"clients": found})
    print(table({"clients": found}))


if __name__ == "__main__":
    main()
