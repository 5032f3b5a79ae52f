"""A real service on a free port, in a thread of the test's own process, with real workers."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from made_images import blob_image
from workzone.run.model_choice import ModelChoice
from workzone.serve.config import Limits, ServeConfig
from workzone.serve.server import Server, make_server

QUICK = ModelChoice(engine="onnx", size=128)


def picture(number: int = 1, kind: str = "JPEG", **size: int) -> bytes:
    """A small picture's file."""
    buffer = io.BytesIO()
    blob_image(number, number % 2, **size).save(buffer, kind)
    return buffer.getvalue()


def form(*files: tuple[str, bytes], **fields: str) -> tuple[bytes, dict[str, str]]:
    """A multipart body of files and fields, and its header."""
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts += [
        f'--limit\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'.encode()
        + b"Content-Type: image/jpeg\r\n\r\n"
        + data
        + b"\r\n"
        for name, data in files
    ]
    body = b"".join(parts) + b"--limit--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=limit"}


@dataclass
class Said:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        return self.json.get("code")


class Running:
    """A service that listens."""

    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port
        self.service = server.service

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 600,
    ) -> Said:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Said(answer.status, answer.headers, answer.read())

    def predict(self, data: bytes, query: str = "", **headers: str) -> Said:
        return self.ask(
            "POST", f"/v1/predict{query}", data, {"Content-Type": "image/jpeg"} | headers
        )

    def send(self, data: bytes, *, timeout: float = 600) -> bytes:
        """Raw bytes, and all that comes back until the other side hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            said = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    said += part
            return said

    def until(self, true: Any, seconds: float = 600) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.01)

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """With workers that do not move."""
        pids = self.service.workers.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def running(
    *,
    workers: int = 1,
    ready: bool = True,
    model: ModelChoice = QUICK,
    make: Callable[[ServeConfig], Server] = make_server,
    **settings: Any,
) -> Iterator[Running]:
    """A service; what `ServeConfig` has no name for is a limit."""
    limits = {k: settings.pop(k) for k in list(settings) if k in Limits.__dataclass_fields__}
    # A busy machine is no failure.
    limits = {"deadline_seconds": 600, "worker_seconds": 600, "drain_seconds": 600} | limits
    if "queue" in limits:
        limits.setdefault("batch_parts", min(32, limits["queue"]))
    config = ServeConfig(port=0, workers=workers, model=model, limits=Limits(**limits), **settings)
    with listening(make(config)) as found:
        if ready:
            found.until(lambda: found.service.readiness()[0])
        yield found


@contextlib.contextmanager
def listening(server: Server) -> Iterator[Running]:
    """A server in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Running(server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
