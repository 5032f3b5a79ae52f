"""How fast the default model is served, beside LitServe and plain FastAPI in a thread pool.

    python benchmarks/serving.py --litserve FOLDER -o benchmarks/results/serving.json

FOLDER holds LitServe (`pip install --target FOLDER litserve`). Contenders run one at a time and in
turns; wrk (Debian's package) sends images in closed loops of 1, 8 and 64 clients. Beside them is
what one process does without HTTP (serving_engine.py), before and after each round, and, for the
99th percentile, one client in turns with the engine itself (serving_turns.py). The record says how
busy the machine was; processor time stands beside the clock's, as it depends on that least.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import write_record
from serving_images import DISTINCT, KINDS, images
from serving_service import HERE, free_port, serving

CLIENTS = (1, 8, 64)
CONTENDERS = ("workzone serve", "LitServe", "plain FastAPI")
_SCRIPT = """
local bodies, turn = {}, 0
function init(args)
  for number = 0, tonumber(args[2]) - 1 do
    local file = io.open(args[1] .. "/" .. number, "rb")
    bodies[#bodies + 1] = file:read("*a")
    file:close()
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = args[3]
end
function request()
  turn = turn % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[turn])
end
function done(summary, latency, requests)
  local form = 'JSON{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, ' ..
    '"refused": %d, "broken": %d}\\n'
  io.write(string.format(form, summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def processor_seconds(pid: int) -> float:
    """Of a process and all that it started, so far."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rsplit(") ", 1)[1].split()
        except OSError:  # it has just ended
            continue
        own = int(file.parent.name)
        children.setdefault(int(fields[1]), []).append(own)
        used[own] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    todo, total = [pid], 0.0
    while todo:
        current = todo.pop()
        total += used.get(current, 0.0)
        todo += children.get(current, [])
    return total


def load(port: int, path: str, folder: Path, media_type: str, clients: int, seconds: int) -> Any:
    """What wrk says of so many clients."""
    script = folder / "script.lua"
    script.write_text(_SCRIPT)
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "120s", "-s", script]
    command += [f"http://127.0.0.1:{port}{path}", "--", folder, str(DISTINCT), media_type]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("JSON")]
    said = json.loads(line.removeprefix("JSON"))
    said["requests/s"] = said["requests"] / said.pop("seconds")
    return said


def measure(contender: str, seconds: int, litserve: Path | None) -> dict[str, Any]:
    """By kind of image and number of clients."""
    found: dict[str, Any] = {}
    in_json = contender == "LitServe"
    port = free_port()
    serve = serving(contender, port, litserve)
    with serve as pid, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = "/v1/predict" if contender == "workzone serve" else "/predict"
        for kind in KINDS:
            for number, data in enumerate(images(kind, DISTINCT)):
                body = data
                if in_json:
                    body = json.dumps({"image": base64.b64encode(data).decode()}).encode()
                (folder / str(number)).write_bytes(body)
            media_type = "application/json" if in_json else "image/jpeg"
            load(port, path, folder, media_type, 2, 2)  # first calls allocate
            for clients in CLIENTS:
                before = processor_seconds(pid)
                said = load(port, path, folder, media_type, clients, seconds)
                used = 1000 * (processor_seconds(pid) - before)
                said["processor ms a request"] = used / max(1, said.pop("requests"))
                found[f"{kind}, {clients}"] = said
                print(contender, kind, clients, said, flush=True)
    return found


def said_by(script: str) -> dict[str, Any]:
    """What another script of this folder prints."""
    done = subprocess.run(
        [sys.executable, str(HERE / script)],
        check=True,
        capture_output=True,
        text=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    print(said, flush=True)
    return said


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Of numbers at the same place in each."""
    found: dict[str, Any] = {}
    for key, value in rounds[0].items():
        values = [each[key] for each in rounds]
        if isinstance(value, dict):
            found[key] = medians(values)
        else:
            found[key] = value if isinstance(value, str) else round(statistics.median(values), 2)
    return found


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--litserve", type=Path, help="folder with LitServe; None: without it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    contenders = [c for c in CONTENDERS if c != "LitServe" or options.litserve]
    engines, rounds = [said_by("serving_engine.py")], []
    busy = [os.getloadavg()[0]]
    for _ in range(options.rounds):
        rounds.append({c: measure(c, options.seconds, options.litserve) for c in contenders})
        engines.append(said_by("serving_engine.py"))
        busy.append(os.getloadavg()[0])
    alone, served = medians(engines), medians(rounds)
    turns = said_by("serving_turns.py")
    ratios: dict[str, Any] = {}
    for kind in KINDS:
        best = max(served["workzone serve"][f"{kind}, {c}"]["requests/s"] for c in CLIENTS)
        ratios[kind] = {
            "saturated, times the folder's": round(best / alone[kind]["streams, images/s"], 2),
            "processor time of a request, times the folder's": round(
                served["workzone serve"][f"{kind}, 8"]["processor ms a request"]
                / alone[kind]["streams, processor ms an image"],
                2,
            ),
            **{
                f"{figure} of one client in turns, times the engine's {own}": round(
                    turns[kind]["one client"][figure] / turns[kind]["engine"][own], 2
                )
                for figure, own in (("p50", "p50"), ("p99", "p50"), ("p99", "p99"))
            },
            **{
                f"64 clients, times {other}": round(
                    served["workzone serve"][f"{kind}, 64"]["requests/s"]
                    / served[other][f"{kind}, 64"]["requests/s"],
                    2,
                )
                for other in contenders[1:]
            },
        }
    print(json.dumps(ratios, indent=2))
    results = {
        "engine": alone,
        "served": served,
        "in turns": turns,
        "ratios": ratios,
        "rounds": options.rounds,
        "seconds each": options.seconds,
        "load of the machine": [round(b, 1) for b in busy],
    }
    write_record(options.output, results)


if __name__ == "__main__":
    main()
