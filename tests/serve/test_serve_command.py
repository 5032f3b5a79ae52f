"""The command in a process of its own: it says where it listens, answers, and ends in peace."""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import light_base
from serving import QUICK, picture, running
from workzone.cli import app
from workzone.errors import SERVE_PACKAGES, MissingExtraError, needing_serve
from workzone.run.predictor import load

ROOT = Path(__file__).parents[2]


def lines(process: subprocess.Popen[str]) -> Iterator[dict]:
    assert process.stderr
    for line in process.stderr:
        yield json.loads(line)


def first(process: subprocess.Popen[str], event: str) -> dict:
    """The next line of an event."""
    return next(line for line in lines(process) if line["event"] == event)


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "workzone", "serve", "--port", "0", "--engine", "onnx"]
    process = subprocess.Popen(
        [*command, "--size", "128", *options], stderr=subprocess.PIPE, text=True
    )
    try:
        port = first(process, "listening")["port"]
        for _ in range(6000):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=600)
                break
            except OSError:
                time.sleep(0.1)
        yield process, port
    finally:
        process.kill()
        process.wait()


def ask(port: int) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with closing(connection):
        connection.request("POST", "/v1/predict", picture(1), {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_what_is_in_flight_at_sigterm_is_answered_and_the_exit_code_is_0() -> None:
    options = ("--workers", "1", "--deadline", "600")
    with serving(*options) as (process, port), ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(ask, port) for _ in range(8)]
        asked[0].result()
        process.send_signal(signal.SIGTERM)
        answers = [future.result() for future in asked]
        said = list(lines(process))
        assert process.wait() == 0
        (draining,) = [line for line in said if line["event"] == "draining"]
    codes = [(status, answer.get("code")) for status, answer in answers]
    # Those that were on their way when the signal came may be told to go elsewhere; none is lost.
    assert set(codes) <= {(200, None), (503, "draining")}
    assert draining["level"] == "info"


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended and was not asked about yet does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return done.stdout.strip()[:1] not in (b"", b"Z")


def test_workers_end_with_a_service_that_is_killed() -> None:
    with serving("--workers", "2") as (process, port):
        assert ask(port)[0] == 200
        workers = first(process, "ready")["workers"]
        assert len(workers) == 2 and all(map(lives, workers))
        process.kill()
        for _ in range(6000):
            if not any(map(lives, workers)):
                return
            time.sleep(0.1)
        pytest.fail("workers outlived the service")


def test_mistakes_are_told_in_a_line(tmp_path: Path) -> None:
    for options, told in (
        (["--port", "70000"], "--port 70000"),
        (["--tokens", str(tmp_path / "none")], "cannot be read"),
        (["--host", "256.0.0.1"], "cannot listen at"),
        (["--port", "0", "--model", str(tmp_path)], "no model bundle at"),
    ):
        result = CliRunner().invoke(app, ["serve", *options])
        assert result.exit_code in (1, 2)
        assert told in re.sub(r"\s+", " ", result.stderr)


def test_the_extra_is_named() -> None:
    wanted = r"workzone serve needs the package 'fastapi': pip install 'workzone\[serve\]'"
    with pytest.raises(MissingExtraError, match=wanted), needing_serve("workzone serve"):
        raise ModuleNotFoundError(name="fastapi.routing")
    assert "workzone[serve]" in light_base.run("-m", "workzone", "serve", expect=1).stderr
    assert {"fastapi", "uvicorn"} <= SERVE_PACKAGES


def test_the_base_install_with_the_extra_serves() -> None:
    """Neither the service nor a worker imports what the base install has not."""
    code = (
        "import sys; from workzone.serve.worker import Judge; "
        "judge = Judge(dict(model=None, engine='onnx', precision=None, weights=None, device='cpu',"
        " size=128, tta=None, share=None)); print(judge.about()['warm_up'])"
    )
    light_base.run("-c", code)
    code = (
        "import sys, workzone.serve.server; "
        "print(sorted({'torch', 'scipy', 'sklearn', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_share_of_the_service_is_that_of_predict() -> None:
    with running(model=dataclasses.replace(QUICK, share=0.02)) as service:
        said = service.predict(picture(1)).json["probability"]
    local = load(engine="onnx")
    description = local.description.with_view_size(128).with_share(0.02)
    assert said == pytest.approx(local.described(description).predict(picture(1))[0].probability)
