"""The service under duress: overload, SIGTERM, a killed worker, a bomb, and mutated requests.

    python benchmarks/serving_trials.py -o benchmarks/results/serving_trials.json

Each trial starts a service of its own, with the default model; the mutated requests (hypothesis,
seeded, see serving_mutations.py) go to one that sees views of 128 px, so that most time is spent on
requests. The record says how busy the machine was.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import serving_mutations
from hypothesis import HealthCheck, Phase, given, seed, settings
from record import write_record
from serving_images import KINDS, images

CHALLENGE = images(KINDS[0], 1)[0]


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    workers: list[int]

    def ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def predict(self, data: bytes = CHALLENGE) -> tuple[int, bytes]:
        """One image."""
        return self.ask("POST", "/v1/predict", data, {"Content-Type": "image/jpeg"})

    def memory(self) -> float:
        """Of the service and its workers, resident, MB."""
        return sum(resident(pid) for pid in (self.process.pid, *self.workers))


def resident(pid: int, what: str = "VmRSS") -> float:
    """Memory of a process, MB; VmHWM: the most it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{what}:")]
    return int(line.split()[1]) / 1000


@contextmanager
def serving(*options: str) -> Iterator[Service]:
    """A service that is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "workzone", "serve", "--port", "0", *options], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    found: dict[str, Any] = {}
    for line in process.stderr:
        found |= json.loads(line)
        if found["event"] == "ready":
            break
    drained = ThreadPoolExecutor(1)
    drained.submit(process.stderr.read)
    try:
        yield Service(process, found["port"], found["workers"])
    finally:
        process.kill()
        process.wait()
        drained.shutdown()


def overload(clients: int = 200, seconds: int = 20) -> dict[str, Any]:
    """Closed loops of so many clients, which wait as they are told when they are refused."""
    request = (
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
        b"Content-Length: %d\r\n\r\n" % len(CHALLENGE) + CHALLENGE
    )
    times: dict[int, list[float]] = {}

    async def client(port: int, end: float, number: int) -> None:
        await asyncio.sleep(number / clients)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (begin := time.monotonic()) < end:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r")[0]))
            status = int(head.split(" ", 2)[1])
            times.setdefault(status, []).append(1000 * (time.monotonic() - begin))
            told_when = "retry-after: " in head
            if told_when:
                await asyncio.sleep(int(head.split("retry-after: ")[1].split("\r")[0]))
            if told_when or "connection: close" in head:  # an idle one may be closed meanwhile
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    async def all_of_them(port: int) -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(client(port, end, number) for number in range(clients)))

    with serving() as service:
        service.predict()
        asyncio.run(all_of_them(service.port))
        last = service.predict()[0]
    return {
        "clients": clients,
        "queue": 64,
        "deadline, ms": 10_000,
        "answers afterwards": last,
        **{
            str(status): {
                "count": len(found),
                "median, ms": round(statistics.median(found), 1),
                "p99, ms": round(float(np.percentile(found, 99)), 1),
            }
            for status, found in sorted(times.items())
        },
    }


def drain(flying: int = 20) -> dict[str, Any]:
    """SIGTERM with so many requests accepted."""
    with serving("--deadline", "60") as service, ThreadPoolExecutor(flying) as threads:
        asked = [threads.submit(service.predict) for _ in range(flying)]
        while True:  # until all are in the queue or with a worker
            text = service.ask("GET", "/metrics", b"", {})[1].decode()
            values = dict(
                line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")
            )
            there = float(values["workzone_queue_length"]) + float(values["workzone_busy_images"])
            done = sum(future.done() for future in asked)
            if there + done >= flying:
                break
        begin = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        statuses = Counter(str(future.result()[0]) for future in asked)
        code = service.process.wait(60)
        seconds = time.monotonic() - begin
    return {
        "in flight": flying,
        "answered before the signal": done,
        "statuses": dict(statuses),
        "exit code": code,
        "seconds": round(seconds, 2),
    }


def killed() -> dict[str, Any]:
    """SIGKILL for one of two workers, once idle and once at work."""
    with serving("--workers", "2") as service, ThreadPoolExecutor(8) as threads:
        found: dict[str, Any] = {}
        for how in ("at work", "idle"):
            (victim, *_), stop = service.workers, []
            asked = []
            if how == "at work":
                asked = [threads.submit(service.predict) for _ in range(8)]
                time.sleep(0.05)
            begin = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            seen = False
            while not stop:
                state = json.loads(service.ask("GET", "/readyz", b"", {})[1])
                seen = seen or state["workers"] < 2
                if seen and state["workers"] == 2:
                    stop.append(time.monotonic() - begin)
                time.sleep(0.02)
            found[how] = {
                "seconds until replaced": round(stop[0], 2),
                "statuses": dict(Counter(str(future.result()[0]) for future in asked)),
            }
            children = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(service.process.pid)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            service.workers = [int(pid) for pid in children.stdout.split()]
    return found


def bomb(side: int = 30_000) -> dict[str, Any]:
    """A small PNG that claims so many pixels a side."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
        + struct.pack(">I", zlib.crc32(header)) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"
    )  # fmt: skip
    with serving() as service:
        service.predict()
        pids = (service.process.pid, *service.workers)
        before = [resident(pid, "VmHWM") for pid in pids]
        said = Counter(str(service.predict(data)[0]) for _ in range(50))
        after = [resident(pid, "VmHWM") for pid in pids]
    return {
        "bytes": len(data),
        "statuses": dict(said),
        "more memory at the most, MB": round(sum(after) - sum(before), 1),
    }


def mutations(count: int) -> dict[str, Any]:
    """So many mutated requests; memory before, after each tenth, and whether it is right still."""
    statuses: Counter[str] = Counter()
    memory: list[float] = []
    wrong: list[str] = []
    with serving("--size", "128", "--workers", "1") as service:
        expected = json.loads(service.predict()[1])["probability"]

        @seed(0)
        @settings(
            max_examples=count, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(serving_mutations.requests())
        def ask(asked: serving_mutations.Asked) -> None:
            if sum(statuses.values()) % max(1, count // 10) == 0:
                memory.append(service.memory())
            status, body = service.ask("POST", asked.path, asked.body, asked.headers)
            statuses[str(status)] += 1
            infinite: list[str] = []  # numbers that JSON has none of; a message may name them
            answer = json.loads(body, parse_constant=infinite.append)
            if status >= 500 or infinite or not answer:
                wrong.append(f"{status} {body[:200]!r}")

        begin = time.monotonic()
        ask()
        seconds = time.monotonic() - begin
        memory.append(service.memory())
        after = json.loads(service.predict()[1])["probability"]
    rest = memory[2:]  # the first ones fill caches
    slope = float(np.polyfit(np.arange(len(rest)) * count / 10 / 1000, rest, 1)[0])
    return {
        "requests": sum(statuses.values()),
        "seconds": round(seconds, 1),
        "statuses": dict(sorted(statuses.items())),
        "wrong": wrong[:10],
        "memory, MB": [round(m, 1) for m in memory],
        "memory, MB per 1000 requests": round(slope, 2),
        "same answer afterwards": after == expected,
    }


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--mutations", type=int, default=10_000)
    options = parser.parse_args()
    results: dict[str, Any] = {"load of the machine": [round(os.getloadavg()[0], 1)]}
    trials = {
        "bomb": bomb, "killed": killed, "drain": drain, "overload": overload,
        "mutations": lambda: mutations(options.mutations),
    }  # fmt: skip
    for name, trial in trials.items():
        results[name] = trial()
        print(name, json.dumps(results[name]), flush=True)
        results["load of the machine"].append(round(os.getloadavg()[0], 1))
    write_record(options.output, results)


if __name__ == "__main__":
    main()
