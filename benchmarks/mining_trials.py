"""A miner under 32 callers at once, a tenth of their requests hostile; then killed and restarted.

    python benchmarks/mining_trials.py -o benchmarks/results/mining_trials.json

`workzone miner` runs in a process of its own, with the default model and two workers. Each caller
has a key of its own and asks one thing after the other. Memory is that of all its processes.
Statuses other than those that a kind of request must get are printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bittensor_core
from wires import MINER, animated, picture

from workzone.subnet.wire.asking import WIRES, Asked, request, synapse

CALLERS = 32
HOSTILE = 0.1
KINDS = {
    "stranger": 403,
    "signature": 401,
    "receiver": 401,
    "old": 401,
    "body": 422,
    "animated": 422,
    "none": 401,
    "large": 413,
    "replay": 401,
}
"""Of hostile requests, and the status that each must get."""
PATIENCE = 600.0
"""Seconds that callers wait: how busy the machine is shall not decide what is answered."""


@dataclass
class Miner:
    """One that runs."""

    process: subprocess.Popen[str]
    port: int
    hotkey: str

    def memory(self) -> int:
        """Bytes that its processes hold for themselves alone."""
        pids = [self.process.pid]
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            pids += [int(pid) for pid in (task / "children").read_text().split()]
        total = 0
        for pid in pids:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            lines = (line.split() for line in text.splitlines() if line.startswith("Private_"))
            total += sum(1024 * int(words[1]) for words in lines)
        return total


@contextlib.contextmanager
def miner(folder: Path) -> Iterator[Miner]:
    """`workzone miner` that allows all callers, killed at the end."""
    pair = bittensor_core.Keypair.create_from_uri(MINER)
    hotkeys = folder / "wallets" / "default" / "hotkeys"
    hotkeys.mkdir(parents=True, exist_ok=True)
    (hotkeys / "defaultpub.txt").write_text(json.dumps({"ss58Address": pair.ss58_address}))
    allowed = [key(number).ss58_address for number in range(CALLERS)]
    (folder / "allow.txt").write_text("\n".join(allowed))
    command = [sys.executable, "-m", "workzone", "miner", "--port", "0", "--workers", "2"]
    command += ["--wallets", str(folder / "wallets"), "--allow", str(folder / "allow.txt")]
    command += ["--state", str(folder / "state"), "--rate", "1000", "--deadline", str(PATIENCE)]
    process = subprocess.Popen([*command, "--engine", "onnx"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        port = 0
        for line in process.stderr:
            said = json.loads(line)
            port = said.get("port", port)
            if said["event"] == "ready":
                break
        with ThreadPoolExecutor(1) as reader:  # or its log would fill the pipe
            reader.submit(process.stderr.read)
            yield Miner(process, port, pair.ss58_address)
            process.kill()
    finally:
        process.kill()
        process.wait()


def key(number: int) -> Any:
    """A caller's."""
    return bittensor_core.Keypair.create_from_uri(f"//Caller{number}")


def post(port: int, asked: Asked) -> tuple[int, Any, float]:
    """Status, prediction (or why there is none) and seconds."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        try:
            connection.request("POST", asked.target, asked.body, asked.headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None, time.perf_counter() - begin
        word = said.get("prediction", said.get("message"))
        return answer.status, word, time.perf_counter() - begin


def hostile(kind: str, draw: random.Random, signer: Any, hotkey: str, before: Asked) -> Asked:
    """A request of one of `KINDS`; ``before``: one that was answered."""
    right = request(synapse(picture(1)), signer, hotkey, wire=draw.choice(WIRES))
    match kind:
        case "stranger":
            return request(synapse(picture(1)), key(1000), hotkey)
        case "signature":
            other = request(synapse(picture(1)), key(1000), hotkey, wire="btauth/1")
            stolen = {"X-Bittensor-Signature": other.headers["X-Bittensor-Signature"]}
            mine = request(synapse(picture(1)), signer, hotkey, wire="btauth/1")
            return replace(mine, headers=mine.headers | stolen)
        case "receiver":
            return request(synapse(picture(1)), signer, key(1000).ss58_address)
        case "old":
            return request(synapse(picture(1)), signer, hotkey, nonce=time.time_ns() - 10**12)
        case "body":
            return request(b"no json", signer, hotkey)
        case "animated":
            return request(synapse(animated("PNG")), signer, hotkey)
        case "large":
            return request(synapse(bytes(4_000_000)), signer, hotkey)
        case "replay":
            return before
        case _:
            return replace(right, headers={})


def is_answer(status: int, word: Any) -> bool:
    """Whether it is what a right request must get."""
    return status == 200 and isinstance(word, float) and 0 <= word <= 1


def ask_much(found: Miner, answers: int, seed: int) -> dict[str, Any]:
    """So many right requests by all callers at once, a tenth hostile ones among them."""
    each = math.ceil(answers / CALLERS)

    def one(number: int) -> tuple[list[tuple[int, Any, float]], list[tuple[str, int]]]:
        draw, signer = random.Random(f"{seed} {number}"), key(number)
        before: Asked | None = None
        good: list[tuple[int, Any, float]] = []
        bad: list[tuple[str, int]] = []
        while len(good) < each:
            if before is not None and draw.random() < HOSTILE:
                kind = draw.choice(list(KINDS))
                asked = hostile(kind, draw, signer, found.hotkey, before)
                bad.append((kind, post(found.port, asked)[0]))
                continue
            wire = draw.choice(WIRES)
            image = picture(draw.randrange(10_000))
            before = request(synapse(image), signer, found.hotkey, wire=wire, seconds=PATIENCE)
            good.append(post(found.port, before))
        return good, bad

    with ThreadPoolExecutor(CALLERS) as threads:
        by_caller = list(threads.map(one, range(CALLERS)))
    good = [answer for caller, _ in by_caller for answer in caller]
    bad = [one for _, several in by_caller for one in several]
    medians = [statistics.median(seconds for *_, seconds in caller) for caller, _ in by_caller]
    finite = [word for status, word, _ in good if is_answer(status, word)]
    return {
        "right requests": len(good),
        "statuses of right requests": dict(Counter(status for status, *_ in good)),
        "finite in 0..1": len(finite),
        "statuses of hostile requests": dict(Counter(status for _, status in bad)),
        "not as they must be": [
            *(
                f"right: {status}, {word}"
                for status, word, _ in good
                if not is_answer(status, word)
            ),
            *(f"{kind}: {status}" for kind, status in bad if status != KINDS[kind]),
        ],
        "slowest caller's median over the fastest's": max(medians) / min(medians),
        "median seconds": statistics.median(seconds for *_, seconds in good),
    }


def killed(folder: Path) -> dict[str, Any]:
    """Replays after kill -9, and what lies in the folder of its state."""
    with miner(folder) as first:
        ahead = time.time_ns() + 12 * 10**9  # so that they are fresh after the restart too
        asked = [
            request(synapse(picture(n)), key(n), first.hotkey, nonce=ahead, seconds=PATIENCE)
            for n in range(10)
        ]
        before = [post(first.port, one)[0] for one in asked]
        begin = time.monotonic()
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
    with miner(folder) as second:
        between = time.monotonic() - begin
        after = [post(second.port, one)[:2] for one in asked]
    return {
        "before": dict(Counter(before)),
        "the same again after the restart": dict(Counter(f"{s}: {words}" for s, words in after)),
        "not as they must be": [
            *(f"before: {status}" for status in before if status != 200),
            *(f"replay: {status}" for status, _ in after if status != KINDS["replay"]),
        ],
        "seconds between": between,
        "files of its state": sorted(path.name for path in (folder / "state").iterdir()),
    }


def main() -> None:
    """Both trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, miner(Path(folder)) as found:
        rounds = []
        for seed in range(2):
            rounds.append(ask_much(found, options.answers, seed))
            rounds[-1]["private megabytes after it"] = found.memory() / 1e6
            print(rounds[-1])
    with tempfile.TemporaryDirectory() as folder:
        restart = killed(Path(folder))
        print(restart)
    from record import write_record

    write_record(options.output, {"rounds": rounds, "restart": restart})
    wrong = [line for trial in (*rounds, restart) for line in trial["not as they must be"]]
    if wrong:
        sys.exit("not as they must be:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()
