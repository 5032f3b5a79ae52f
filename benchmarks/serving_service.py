"""A service to measure: started, ready, and ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


def free_port() -> int:
    """One that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def serving(contender: str, port: int, litserve: Path | None) -> Iterator[int]:
    """A contender that is ready; its process id."""
    if contender == "workzone serve":
        command = ["-m", "workzone", "serve", "--port", str(port), "--deadline", "120"]
        command += ["--queue", "128"]
        path = "/readyz"
    else:
        kind = "litserve" if contender == "LitServe" else "plain"
        command = [str(HERE / f"serving_{kind}.py"), str(port), str(litserve)]
        path = "/health"
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit(f"{contender} does not start")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
        with contextlib.suppress(ProcessLookupError):  # LitServe leaves processes behind
            os.killpg(process.pid, signal.SIGKILL)
