"""The HTTP server: uvicorn with time-outs for slow senders, bounds on headers, and a drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from asyncio import TimerHandle
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from fastapi import APIRouter, FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from workzone.errors import UsageError
from workzone.serve.app import create_app
from workzone.serve.base import BaseService
from workzone.serve.config import HttpConfig, Limits, ServeConfig
from workzone.serve.gate import log_json
from workzone.serve.problems import Problem, problem_response
from workzone.serve.reading import DRAIN_BYTES
from workzone.serve.service import Service

log = logging.getLogger("workzone.serve")

HEADER_BYTES = 64_000
"""Of a request's line and headers."""
_KEEP_ALIVE = 5
_LINGER = 1.0
"""Seconds for which a client that was refused is listened to: it would miss the answer else."""


def protocol(limits: Limits) -> type[asyncio.Protocol]:
    """uvicorn's protocol that cuts off clients whose headers do not come, or do not end."""
    taken = 2 * max(limits.body_bytes, limits.batch_bytes)  # chunks have frames
    most = max(taken, 2 * DRAIN_BYTES) + HEADER_BYTES

    class Patient(HttpToolsProtocol):
        _timer: TimerHandle | None = None  # of what is to come in
        _taking: TimerHandle | None = None  # of what is to go out
        _received = 0
        _answers = 0
        _in_headers = True
        _refused = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.abort()
                return
            with contextlib.suppress(AttributeError, OSError):
                peer = transport.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._expect(limits.header_seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            if self._taking is not None:
                self._taking.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._refused:
                return
            self._received += len(data)
            super().data_received(data)
            if self._received > (HEADER_BYTES if self._in_headers else most):
                self._refuse()
            elif self._timer is None and not self._at_work:
                # uvicorn stops its timer for idle connections at any byte: a line's end, or what
                # is left of a body that was refused, would keep the connection for ever.
                self._expect(limits.header_seconds if self._in_headers else limits.body_seconds)

        def on_message_begin(self) -> None:
            self._in_headers = True
            self._expect(limits.header_seconds)
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._stop_timer()
            self._in_headers = False
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._received, self._in_headers = 0, True
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._answers += 1
            self._watch_taking()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_taking()

        @property
        def _at_work(self) -> bool:
            """Whether a request is read or answered."""
            return self.cycle is not None and not self.cycle.response_complete

        def _refuse(self) -> None:
            if not self._in_headers or self._at_work:  # no place for an answer
                self.transport.abort()
                return
            self._refused = True
            self.transport.write(_headers_too_large())
            self._expect(_LINGER)

        def _expect(self, seconds: float) -> None:
            self._stop_timer()
            self._timer = self.loop.call_later(seconds, self._give_up)

        def _give_up(self) -> None:
            self._timer = None
            if self._at_work:  # more requests were sent before its answer
                self._expect(limits.header_seconds)
            else:
                self.transport.abort()

        def _watch_taking(self) -> None:
            """Cut the client off if it does not take what was written: closing waits for it."""
            if self._taking is None and self.transport.get_write_buffer_size():
                self._taking = self.loop.call_later(
                    limits.send_seconds, self._look_at_taking, self._answers
                )

        def _look_at_taking(self, answers: int) -> None:
            self._taking = None
            if self._answers == answers and self.transport.get_write_buffer_size():
                self.transport.abort()
            else:  # what is there now came later
                self._watch_taking()

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Patient


def _headers_too_large() -> bytes:
    """A whole answer, where no application has been asked yet."""
    problem = Problem(
        "headers-too-large",
        f"the request's line and headers have more than {HEADER_BYTES:,} bytes: send metadata as "
        "a field of a form, or in JSON",
        limit=HEADER_BYTES,
    )
    answer = problem_response(problem, secrets.token_hex(8))
    lines = [f"HTTP/1.1 {problem.status} {problem.title}".encode(), b"connection: close"]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])


class Server(uvicorn.Server):
    """Takes requests until a signal, then finishes those it has and ends with exit code 0."""

    def __init__(self, config: uvicorn.Config, service: BaseService) -> None:
        super().__init__(config)
        self.service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Go on until told to stop, or until it is clear that the service cannot start."""
        return await super().on_tick(counter) or self.service.failure is not None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the drain, a second one ends it."""
        if self.service.draining or self._loop is None:
            self.should_exit = self.force_exit = True
            return
        self.service.draining = True
        self._loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        log.info("draining")
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        """Wait for the requests that were accepted; the sockets stay open, to say no to others."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.service.config.limits.drain_seconds):
                while self.service.accepted:
                    await asyncio.sleep(0.02)
        self.service.refuse_rest()  # whose deadline is later than the end
        self.should_exit = True


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or Ctrl-C, and return once what was accepted is answered.

    Raises:
        UsageError: the tokens cannot be read, or the address cannot be listened at.
        WorkzoneError: the model cannot be loaded.
    """
    run(make_server(config))


def run(server: Server) -> None:
    """The same with a server of `make_server` or `server_of`.

    Raises:
        UsageError, WorkzoneError: see `serve`.
    """
    listener = listen(server.service.config)
    with log_json():
        host, port = listener.getsockname()[:2]
        log.info("listening", extra={"host": host, "port": port})
        server.run(sockets=[listener])
    if server.service.failure is not None:
        raise server.service.failure


def listen(config: HttpConfig) -> socket.socket:
    """A socket at the address of a service.

    Raises:
        UsageError: the address cannot be listened at.
    """
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        return socket.create_server((config.host, config.port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {config.host} port {config.port} ({error.strerror or error}): name "
            "another --host or --port"
        ) from error


def make_server(
    config: ServeConfig, routers: Callable[[Service], Sequence[APIRouter]] | None = None
) -> Server:
    """A server that has not started.

    Args:
        config: of the service.
        routers: what of a service is answered, see `create_app`; None: all that `serve` answers.

    Raises:
        UsageError: the tokens cannot be read.
    """
    service = Service(config)
    app = create_app(service, None if routers is None else routers(service))
    return server_of(app, service)


def server_of(app: FastAPI, service: BaseService) -> Server:
    """A server that has not started, of an application and the service that it asks."""
    config = service.config
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        http=protocol(config.limits),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=2,
        lifespan="on",
    )
    return Server(settings, service)
